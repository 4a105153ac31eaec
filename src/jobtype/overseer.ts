/**
 * Overseer: the thread of a Master as its host sees it.
 *
 * Calls queue here and go in one at a time; each has MASTER_CALL_MS. A call that takes longer, or whose thread exits, has
 * failed, and the next one gets another thread.
 *
 * Invariant: every call is answered exactly once.
 */
import { Worker } from 'node:worker_threads';
import { must, unreachable } from '../base/assert.ts';
import { errorText } from '../base/errors.ts';
import { JOB_LOG_LINES_PER_SECOND, MASTER_CALL_MS } from '../base/limits.ts';
import { builtPath } from '../base/package.ts';
import type { MasterCall } from '../daemon/env.ts';
import { captureLines } from './lines.ts';
import type { JobLine, MasterReport, ThreadSetup } from './protocol.ts';

interface Waiting {
  readonly call: MasterCall;
  readonly done: (error: string | null) => void;
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

  call(call: MasterCall, done: Waiting['done']): void {
    this.#queue.push({ call, done });
    if (this.#queue.length === 1) this.#begin();
  }

  // ---- inside ----

  #begin(): void {
    const { call } = must(this.#queue[0], 'somebody waits');
    this.#thread ??= this.#spawn();
    this.#thread.postMessage(call);
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
      case 'returned':
        // A call that was too late is answered by the exit of its thread.
        if (this.#error === null) this.#end(report.error);
        break;
      case 'line':
        this.#line({ type: 'line', epoch: null, source: 'log', line: report.line });
        break;
      default:
        unreachable(report);
    }
  }

  #end(error: string | null): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    const { done } = must(this.#queue.shift(), 'only a call that was made ends');
    done(error);
    if (this.#queue.length > 0) this.#begin();
  }
}
