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
import type { ThreadOrder, ThreadReport, ThreadSetup } from './protocol.ts';
import { RunningTask } from './task.ts';

const port = must(parentPort, 'this module is the main of a worker thread');
const setup = workerData as ThreadSetup;
// Here too, so that a chatty loop cannot fill the queue between the threads.
const limiter = new LineLimiter(JOB_LOG_LINES_PER_SECOND, (line) => report({ type: 'line', line }));
let running: RunningTask | null = null;

function report(message: ThreadReport): void {
  port.postMessage(message);
}

async function load(): Promise<ClientClass> {
  const exported = exportedClass(await import(pathToFileURL(setup.module).href));
  assert(exported.kind === 'client', 'a program is not run in a thread');
  return exported.type;
}

async function run(task: RunningTask): Promise<void> {
  const ended = await attempt(task);
  running = null;
  report({ type: 'ended', ...ended });
}

async function attempt(task: RunningTask): Promise<Omit<Extract<ThreadReport, { type: 'ended' }>, 'type'>> {
  try {
    const type = await load();
    await new type().work(task);
    return { ...task.finish(), threw: false };
  } catch (thrown) {
    if (task.stopped) return { ending: 'release', error: '', threw: true };
    if (thrown instanceof Error && thrown.stack !== undefined) task.log(thrown.stack);
    return { ending: 'fail', error: errorText(thrown) || 'work() threw something without a message', threw: true };
  }
}

port.on('message', (order: ThreadOrder) => {
  switch (order.type) {
    case 'run':
      assert(running === null, 'a thread runs one attempt at a time');
      running = new RunningTask({
        order: order.order,
        cell: new Cell(order.cell),
        worker: setup.worker,
        nudge: () => report({ type: 'nudge' }),
        log: (line) => limiter.line(line),
      });
      void run(running);
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
