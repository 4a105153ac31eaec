/**
 * JobThread: a worker thread as its host sees it, and the attempt that runs in it.
 *
 * A thread is a rented room: the tenant may smash everything in it, and the landlord only ever looks through the door
 * (the cell) and changes the lock (terminate). `process.exit`, an uncaught error and a heap that is full all end the
 * thread; what it was doing then ends with it, and the next task rents another room.
 *
 * Invariants: an attempt ends exactly once, by its own word or by the exit of its thread · when work() threw, the thread
 * is gone before the attempt ends, since half of a `Promise.all` may still have been at work.
 */
import { Worker } from 'node:worker_threads';
import { assert, must, unreachable } from '../base/assert.ts';
import { errorText } from '../base/errors.ts';
import { ABORT_GRACE_MS, JOB_LOG_LINES_PER_SECOND, TERMINATE_GRACE_MS } from '../base/limits.ts';
import type { Point } from '../base/types.ts';
import type { ExecutorEnding } from '../daemon/env.ts';
import { windowEnd } from '../ranges/lease.ts';
import type { TaskOrder } from '../wire/messages.ts';
import type { Attempt, AttemptEvents } from './attempt.ts';
import { Cell } from './cell.ts';
import type { DataRequest } from './data-words.ts';
import { captureLines } from './lines.ts';
import type { JobThreadSetup, Position, ThreadOrder, ThreadReport } from './protocol.ts';

interface Tenancy {
  readonly order: TaskOrder;
  readonly cell: Cell;
  readonly events: AttemptEvents;
  grace: NodeJS.Timeout | null;
  /** How it says that it ended, where it is to end with the exit of its thread. */
  word: Word | null;
  /** Segments that it told of, and how far the cursor was said to be when none was on its way. */
  segments: number;
  settled: Point;
}

interface Word {
  readonly ending: ExecutorEnding['ending'];
  readonly error: string;
}

const RELEASED: Word = { ending: 'release', error: '' };

export class JobThread {
  readonly #worker: Worker;
  readonly #isWhole: boolean;
  readonly #gone: () => void;
  readonly #line: AttemptEvents['line'];
  #tenancy: Tenancy | null = null;
  /** Why the thread will exit, where it said so before. */
  #error: string | null = null;
  #terminating: NodeJS.Timeout | null = null;

  constructor(entry: string, setup: JobThreadSetup, events: { gone: () => void; line: AttemptEvents['line'] }) {
    this.#gone = events.gone;
    this.#line = events.line;
    this.#isWhole = setup.isWhole;
    this.#worker = new Worker(entry, {
      workerData: setup,
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: setup.heapMb },
      stdout: true,
      stderr: true,
    });
    this.#worker.on('message', (report: ThreadReport) => this.#receive(report));
    this.#worker.on('error', (error) => {
      this.#error = exitReason(error, setup.heapMb);
    });
    this.#worker.once('exit', (code) => this.#exited(code));
    for (const source of ['stdout', 'stderr'] as const) {
      captureLines(this.#worker[source], JOB_LOG_LINES_PER_SECOND, (line) => {
        this.#line({ type: 'line', epoch: this.#tenancy?.order.epoch ?? null, source, line });
      });
    }
  }

  /** Whether it can take another attempt. */
  get free(): boolean {
    return this.#tenancy === null && this.#terminating === null && this.#error === null;
  }

  run(order: TaskOrder, deadline: number, events: AttemptEvents): Attempt {
    assert(this.free, 'a thread runs one attempt at a time');
    const tenancy: Tenancy = {
      order,
      cell: Cell.create(order.cursor, this.#isWhole ? order.end : windowEnd(order, order.options), order.end, deadline),
      events,
      grace: null,
      word: null,
      segments: 0,
      settled: order.cursor,
    };
    this.#tenancy = tenancy;
    this.#post({ type: 'run', order, cell: tenancy.cell.buffer });
    return {
      order,
      position: () => positionOf(tenancy),
      committed: (cursor, limit) => this.#committed(tenancy, cursor, limit),
      keep: () => this.#keep(tenancy),
      data: (answer) => {
        if (tenancy === this.#tenancy) this.#post({ type: 'data', answer });
      },
      moveDeadline: (at) => tenancy.cell.moveDeadline(at),
      release: () => this.#release(tenancy),
      terminate: () => this.#terminate(tenancy),
      fail: (error) => this.#fail(tenancy, error),
    };
  }

  // ---- inside ----

  #post(order: ThreadOrder): void {
    this.#worker.postMessage(order);
  }

  #committed({ cell }: Tenancy, cursor: Point, limit: Point): void {
    cell.commit(cursor, limit);
    // The cell is shared by one tenancy only, so a thread that waits on it is ours.
    if (cell.waiting) this.#post({ type: 'wake' });
  }

  /** A thread that waits for room looks again: its task may have become shorter. */
  #keep({ cell }: Tenancy): Point {
    const end = cell.keepHalf();
    if (cell.waiting) this.#post({ type: 'wake' });
    return end;
  }

  #release(tenancy: Tenancy): void {
    if (tenancy !== this.#tenancy || tenancy.grace !== null) return;
    tenancy.cell.stop();
    this.#post({ type: 'stop' });
    tenancy.grace = setTimeout(() => this.#terminate(tenancy), ABORT_GRACE_MS);
  }

  #terminate(tenancy: Tenancy): void {
    if (tenancy !== this.#tenancy || this.#terminating !== null) return;
    tenancy.cell.stop();
    this.#terminating = setTimeout(() => {
      tenancy.events.stuck('job host was ended: a thread of it could not be terminated');
    }, TERMINATE_GRACE_MS);
    void this.#worker.terminate();
  }

  #fail(tenancy: Tenancy, error: string): void {
    // A task that was told to stop is given back, however long it takes to.
    if (tenancy !== this.#tenancy || tenancy.grace !== null || this.#terminating !== null) return;
    tenancy.word = { ending: 'fail', error };
    this.#terminate(tenancy);
  }

  #receive(report: ThreadReport): void {
    const tenancy = this.#tenancy;
    switch (report.type) {
      case 'nudge':
        tenancy?.events.nudge();
        break;
      case 'data':
        this.#relay(must(tenancy, 'only an attempt has batches'), report.request);
        break;
      case 'line':
        this.#line({ type: 'line', epoch: tenancy?.order.epoch ?? null, source: 'log', line: report.line });
        break;
      case 'ended':
        this.#said(must(tenancy, 'only an attempt ends'), report, report.threw);
        break;
      default:
        unreachable(report);
    }
  }

  #relay(tenancy: Tenancy, request: DataRequest): void {
    if (request.kind === 'sealed') tenancy.segments += 1;
    tenancy.events.data(request);
  }

  #said(tenancy: Tenancy, word: Word, threw: boolean): void {
    tenancy.word = word;
    if (threw) this.#terminate(tenancy);
    else if (this.#terminating === null) this.#end(tenancy, word);
  }

  #exited(code: number): void {
    if (this.#terminating !== null) clearTimeout(this.#terminating);
    this.#gone();
    const tenancy = this.#tenancy;
    const reason = this.#error ?? `job code ended its thread: process.exit(${code})`;
    if (tenancy === null) {
      this.#line({ type: 'line', epoch: null, source: 'log', line: `idle thread ended: ${reason}` });
      return;
    }
    // A task that was told to stop did so, one way or the other.
    const stopped = this.#terminating !== null || tenancy.grace !== null;
    this.#end(tenancy, tenancy.word ?? (stopped ? RELEASED : { ending: 'fail', error: reason }));
  }

  #end(tenancy: Tenancy, { ending, error }: Word): void {
    if (tenancy.grace !== null) clearTimeout(tenancy.grace);
    this.#tenancy = null;
    tenancy.events.ended({ ...positionOf(tenancy), ending, error });
  }
}

/** The cursor is read first: see Cell. While a segment is on its way from the thread, it is where it was. */
function positionOf(tenancy: Tenancy): Position {
  const { order, cell, segments } = tenancy;
  tenancy.settled = cell.settled(segments) ?? tenancy.settled;
  return { epoch: order.epoch, cursor: tenancy.settled, begun: cell.begun };
}

function exitReason(error: Error & { code?: unknown }, heapMb: number): string {
  if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') return `job code used more than ${heapMb} MB of heap`;
  return `uncaught in job code: ${errorText(error)}`;
}
