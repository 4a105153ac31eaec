/**
 * Master thread: main of the worker thread in which the Master of a job type runs. One call at a time.
 */
import { pathToFileURL } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { must } from '../base/assert.ts';
import { errorText } from '../base/errors.ts';
import { JOB_LOG_LINES_PER_SECOND } from '../base/limits.ts';
import type { MasterCall } from '../daemon/env.ts';
import { exportedClass } from './exported.ts';
import { LineLimiter } from './lines.ts';
import type { Master, OverseenJob } from './master.ts';
import type { MasterReport, ThreadSetup } from './protocol.ts';

const port = must(parentPort, 'this module is the main of a worker thread');
const setup = workerData as ThreadSetup;
const limiter = new LineLimiter(JOB_LOG_LINES_PER_SECOND, (line) => report({ type: 'line', line }));
let master: Promise<Master> | null = null;

function report(message: MasterReport): void {
  port.postMessage(message);
}

async function load(): Promise<Master> {
  const { master: type } = exportedClass(await import(pathToFileURL(setup.module).href));
  return new (must(type, 'only a type with a Master is overseen'))();
}

async function answer(call: MasterCall): Promise<void> {
  try {
    master ??= load();
    const job = overseen(call);
    const { [call.kind === 'progress' ? 'onProgress' : 'onComplete']: method } = await master;
    await method?.call(await master, job);
    report({ type: 'returned', error: null });
  } catch (thrown) {
    if (thrown instanceof Error && thrown.stack !== undefined) limiter.line(thrown.stack);
    report({ type: 'returned', error: errorText(thrown) || 'the Master threw something without a message' });
  }
}

function overseen({ metadata, report: { job: id, ...more } }: MasterCall): OverseenJob {
  const key = `${id}/${more.run}`;
  return { id, ...more, metadata: JSON.parse(metadata), key, log: (line) => limiter.line(String(line)) };
}

port.on('message', (call: MasterCall) => void answer(call));
