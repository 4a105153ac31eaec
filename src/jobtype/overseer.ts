/**
 * Overseer: the thread of a Master as its host sees it.
 *
 * Orders queue here and go in one at a time; each has MASTER_CALL_MS, and as long again after each step in which it moved.
 * One that takes longer, or whose thread exits, has failed, and the next one gets another thread.
 *
 * Invariant: every order is answered exactly once.
 */
import { Worker } from 'node:worker_threads';
import { must, unreachable } from '../base/assert.ts';
import { errorText } from '../base/errors.ts';
import { JOB_LOG_LINES_PER_SECOND } from '../base/limits.ts';
import { MASTER_CALL_MS } from '../base/limits-masters.ts';
import { builtPath } from '../base/package.ts';
import { captureLines } from './lines.ts';
import type {
  AskAnswer,
  JobLine,
  MasterOrder,
  MasterReport,
  MasterReturn,
  MasterThreadOrder,
  ThreadSetup,
} from './protocol.ts';

/** Who hears of an order. */
export interface OrderEvents {
  readonly moved: () => void;
  readonly ask: (ask: number, dataset: string) => void;
  readonly returned: (returned: MasterReturn) => void;
}

interface Waiting extends OrderEvents {
  readonly id: number;
  readonly order: MasterOrder;
}

const ENTRY = builtPath('src/jobtype/master-thread.js');

export class Overseer {
  readonly #setup: ThreadSetup;
  readonly #line: (line: JobLine) => void;
  readonly #queue: Waiting[] = [];
  #thread: Worker | null = null;
  #timer: NodeJS.Timeout | null = null;
  /** Why the thread will exit, where that is known before. */
  #error: string | null = null;

  constructor(setup: ThreadSetup, line: (line: JobLine) => void) {
    this.#setup = setup;
    this.#line = line;
  }

  give(id: number, order: MasterOrder, events: OrderEvents): void {
    this.#queue.push({ id, order, ...events });
    if (this.#queue.length === 1) this.#begin();
  }

  /** What was asked during an order is answered during it, or not at all: another thread may be at work since. */
  answer(answer: AskAnswer): void {
    if (this.#queue[0]?.id === answer.id) this.#post({ type: 'answer', ...answer });
  }

  // ---- inside ----

  #begin(): void {
    const { order } = must(this.#queue[0], 'somebody waits');
    this.#thread ??= this.#spawn();
    this.#post({ type: 'order', order });
    this.#arm();
  }

  #post(order: MasterThreadOrder): void {
    this.#thread?.postMessage(order);
  }

  #arm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#late(), MASTER_CALL_MS);
  }

  #spawn(): Worker {
    const thread = new Worker(ENTRY, {
      workerData: this.#setup,
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: this.#setup.heapMb },
      stdout: true,
      stderr: true,
    });
    this.#error = null;
    thread.on('message', (report: MasterReport) => this.#receive(report));
    thread.on('error', (error) => {
      this.#error ??= `the Master ended its thread: ${errorText(error)}`;
    });
    thread.once('exit', (code) => {
      this.#thread = null;
      if (this.#queue.length > 0) this.#end(this.#error ?? `the Master ended its thread: process.exit(${code})`);
    });
    for (const source of ['stdout', 'stderr'] as const) {
      const line = (text: string) => this.#line({ type: 'line', epoch: null, source, line: text });
      captureLines(thread[source], JOB_LOG_LINES_PER_SECOND, line);
    }
    return thread;
  }

  #late(): void {
    this.#error = `the Master took longer than ${MASTER_CALL_MS} ms`;
    void this.#thread?.terminate();
  }

  #receive(report: MasterReport): void {
    switch (report.type) {
      case 'returned': {
        const { type: _, ...returned } = report;
        // One that was too late is answered by the exit of its thread.
        if (this.#error === null) this.#finish(returned);
        break;
      }
      case 'moved':
        if (this.#error !== null) break;
        this.#arm();
        this.#queue[0]?.moved();
        break;
      case 'ask':
        this.#queue[0]?.ask(report.ask, report.dataset);
        break;
      case 'line':
        this.#line({ type: 'line', epoch: null, source: 'log', line: report.line });
        break;
      default:
        unreachable(report);
    }
  }

  #end(error: string): void {
    this.#finish({ error, code: null, lost: false, value: null });
  }

  #finish(returned: MasterReturn): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    must(this.#queue.shift(), 'only an order that was given ends').returned(returned);
    if (this.#queue.length > 0) this.#begin();
  }
}
