/**
 * Thread: main of a worker thread, the only place where the code of a job type runs.
 *
 * The module is imported at the first task and stays; each attempt gets an instance of its own. A thread runs one
 * attempt at a time, and says of it only how it ended: how far it came stands in the cell, which outlives the thread.
 */
import { pathToFileURL } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { assert, must, unreachable } from '../base/assert.ts';
import { errorText } from '../base/errors.ts';
import { JOB_LOG_LINES_PER_SECOND } from '../base/limits.ts';
import { Cell } from './cell.ts';
import { type ClientClass, exportedClass } from './exported.ts';
import { LineLimiter } from './lines.ts';
import type { JobThreadSetup, ThreadOrder, ThreadReport } from './protocol.ts';
import { spoolOf } from './spool-files.ts';
import { RunningTask } from './task.ts';
import { ThreadData } from './task-data.ts';

const port = must(parentPort, 'this module is the main of a worker thread');
const setup = workerData as JobThreadSetup;
// Here too, so that a chatty loop cannot fill the queue between the threads.
const limiter = new LineLimiter(JOB_LOG_LINES_PER_SECOND, (line) => report({ type: 'line', line }));
let running: RunningTask | null = null;
let data: ThreadData | null = null;

function report(message: ThreadReport): void {
  port.postMessage(message);
}

async function load(): Promise<ClientClass> {
  const exported = exportedClass(await import(pathToFileURL(setup.module).href));
  assert(exported.kind !== 'program', 'a program is not run in a thread');
  return exported.type;
}

async function run(task: RunningTask): Promise<void> {
  const ended = await attempt(task);
  limiter.end();
  running = null;
  data = null;
  report({ type: 'ended', ...ended });
}

async function attempt(task: RunningTask): Promise<Omit<Extract<ThreadReport, { type: 'ended' }>, 'type'>> {
  try {
    const type = await load();
    await new type().work(task);
    await task.settle();
    const ended = task.finish();
    task.close();
    return { ...ended, threw: false };
  } catch (thrown) {
    task.close();
    if (task.stopped) return { ending: 'release', error: '', threw: true };
    if (thrown instanceof Error && thrown.stack !== undefined) task.log(thrown.stack);
    return { ending: 'fail', error: errorText(thrown) || 'work() threw something without a message', threw: true };
  }
}

function begin({ order, cell: buffer }: Extract<ThreadOrder, { type: 'run' }>): RunningTask {
  const cell = new Cell(buffer);
  return new RunningTask({
    ...{ order, cell, worker: setup.worker, codeHash: setup.codeHash, isWhole: setup.isWhole },
    nudge: () => report({ type: 'nudge' }),
    log: (line) => limiter.line(line),
    data: (signal) => {
      const carrier: ThreadData = new ThreadData({
        ...{ cell, signal, hasInput: order.input !== null, checkpoint: order.checkpoint },
        spool: spoolOf(setup.spoolDir, order.epoch),
        // What an attempt left running is not heard in the next.
        ask: (request) => {
          if (data === carrier) report({ type: 'data', request });
        },
      });
      data = carrier;
      return carrier;
    },
  });
}

port.on('message', (order: ThreadOrder) => {
  switch (order.type) {
    case 'run':
      assert(running === null, 'a thread runs one attempt at a time');
      running = begin(order);
      void run(running);
      break;
    case 'data':
      data?.answer(order.answer);
      break;
    case 'wake':
      running?.wake();
      break;
    case 'stop':
      running?.stop();
      break;
    default:
      unreachable(order);
  }
});
