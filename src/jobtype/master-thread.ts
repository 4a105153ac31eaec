/**
 * Master thread: main of the worker thread in which the Master of a job type runs. One order at a time.
 *
 * Folding has an instance of its own beginning: it is made, restored from a state, and from then on everything that the thread is
 * told goes to it. A step that speaks of another session finds that instance gone, and says so.
 */
import { pathToFileURL } from 'node:url';
import { parentPort, workerData } from 'node:worker_threads';
import { must, unreachable } from '../base/assert.ts';
import { errorText, PolarisError } from '../base/errors.ts';
import { JOB_LOG_LINES_PER_SECOND } from '../base/limits.ts';
import { MASTER_MOVED_MS } from '../base/limits-masters.ts';
import type { MasterCall } from '../daemon/env.ts';
import { exportedClass } from './exported.ts';
import { LineLimiter } from './lines.ts';
import type { Master, OverseenJob, PlannedJob } from './master.ts';
import type { FoldStep, MasterOrder, MasterReport, MasterReturn, MasterThreadOrder, ThreadSetup } from './protocol.ts';

interface Session {
  readonly number: number;
  readonly order: Extract<MasterOrder, { kind: 'begin' }>;
  readonly master: Master;
}

interface Asker {
  readonly resolve: (rows: number) => void;
  readonly reject: (error: PolarisError) => void;
}

const port = must(parentPort, 'this module is the main of a worker thread');
const setup = workerData as ThreadSetup;
const limiter = new LineLimiter(JOB_LOG_LINES_PER_SECOND, (line) => report({ type: 'line', line }));
const log = (line: string) => limiter.line(String(line));
/** What the plan that runs asked, by a number of ours. */
const askers = new Map<number, Asker>();
let asks = 0;
let movedAt = 0;
let master: Promise<Master> | null = null;
let session: Session | null = null;

function report(message: MasterReport): void {
  port.postMessage(message);
}

async function load(): Promise<Master> {
  const { master: type } = exportedClass(await import(pathToFileURL(setup.module).href));
  return new (must(type, 'only a type with a Master is overseen'))();
}

/** One that takes step after step is given time for each. */
function moved(): void {
  const now = performance.now();
  if (now - movedAt < MASTER_MOVED_MS) return;
  movedAt = now;
  report({ type: 'moved' });
}

async function answer(order: MasterOrder): Promise<void> {
  const nothing = { error: null, code: null, lost: false, value: null };
  try {
    report({ type: 'returned', ...nothing, ...(await carryOut(order)) });
  } catch (thrown) {
    if (thrown instanceof Error && thrown.stack !== undefined) limiter.line(thrown.stack);
    const code = thrown instanceof PolarisError ? thrown.code : null;
    const error = errorText(thrown) || 'the Master threw something without a message';
    report({ type: 'returned', ...nothing, error, code });
  }
}

async function carryOut(order: MasterOrder): Promise<Partial<MasterReturn>> {
  switch (order.kind) {
    case 'tell':
      await tell(order.call);
      return {};
    case 'plan':
      master ??= load();
      return { value: await (await master).plan?.(plannedJob(order)) };
    case 'begin':
      await begin(order);
      return {};
    case 'collect':
    case 'save':
    case 'finish':
      if (session === null || session.number !== order.session) return { error: 'the instance is gone', lost: true };
      return { value: await step(session, order) };
    default:
      return unreachable(order);
  }
}

async function tell(call: MasterCall): Promise<void> {
  master ??= load();
  const { [call.kind === 'progress' ? 'onProgress' : 'onComplete']: method } = await master;
  await method?.call(await master, overseen(call));
}

function overseen({ metadata, report: { job: id, ...more } }: MasterCall): OverseenJob {
  const key = `${id}/${more.run}`;
  return { id, ...more, metadata: JSON.parse(metadata), key, log };
}

function plannedJob({ job: id, metadata }: Extract<MasterOrder, { kind: 'plan' }>): PlannedJob {
  return { id, metadata: JSON.parse(metadata), datasets: { rows: askRows }, log };
}

function askRows(dataset: string): Promise<number> {
  if (typeof dataset !== 'string') throw new PolarisError('BAD_REQUEST', 'the name of a dataset is a text');
  const ask = ++asks;
  report({ type: 'ask', ask, dataset });
  return new Promise((resolve, reject) => askers.set(ask, { resolve, reject }));
}

/** The state goes to an instance that knows nothing, or the same outputs would count in two of them. */
async function begin(order: Extract<MasterOrder, { kind: 'begin' }>): Promise<void> {
  session = null;
  const begun = await load();
  master = Promise.resolve(begun);
  if (order.state !== null) await (await import('./ledger.ts')).restoreState(begun, order.state);
  session = { number: order.session, order, master: begun };
}

async function step({ order: { job, metadata }, master }: Session, order: FoldStep): Promise<unknown> {
  // Masters that only oversee never load it.
  const { collectOutput, saveState, writeResult } = await import('./ledger.ts');
  const about = { job, metadata: JSON.parse(metadata), log };
  switch (order.kind) {
    case 'collect': {
      const { path, start, end } = order;
      return collectOutput(master, path, { ...about, start, end }, moved);
    }
    case 'save':
      return saveState(master, order.path, moved);
    case 'finish':
      return writeResult(master, order.path, about, moved);
    default:
      return unreachable(order);
  }
}

port.on('message', (message: MasterThreadOrder) => {
  if (message.type === 'order') return void answer(message.order);
  const asker = askers.get(message.ask);
  askers.delete(message.ask);
  if (message.rows !== null) asker?.resolve(message.rows);
  else asker?.reject(new PolarisError(message.code, message.detail));
});
