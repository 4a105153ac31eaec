/**
 * Host: main of the child process in which the code of one job runs, in threads, or as programs of its own.
 *
 * The host is the fuse between job code and the node. Its main thread runs no job code, so it answers while a job loops,
 * and it trusts nobody to end it: it keeps the deadline of the leases by its own clock, also while the node is stopped,
 * and takes everything with it when the channel to the node closes.
 *
 * Invariants: at the deadline every attempt is terminated · no process of a job outlives the channel · signals from
 * outside do not end it before the node does · no file of the node is within reach of a job.
 */
import { setPriority } from 'node:os';
import { assert, must, unreachable } from '../base/assert.ts';
import { errorText } from '../base/errors.ts';
import { HOST_MEMORY_CHECK_MS, HOST_NICE, PIPES_CLOSE_MS } from '../base/limits.ts';
import { builtPath } from '../base/package.ts';
import type { Epoch } from '../base/types.ts';
import type { TaskOrder } from '../wire/messages.ts';
import { type Attempt, type AttemptEvents, timeoutReason } from './attempt.ts';
import { DeadlineTimer } from './deadline.ts';
import { closeInheritedFiles } from './inherited.ts';
import { JobThread } from './job-thread.ts';
import { Overseer } from './overseer.ts';
import { BYTES_PER_MB, memoryReason } from './proc.ts';
import { runProgram } from './program.ts';
import type { HostOrder, HostReport, HostSetup, JobLine, MasterOrder } from './protocol.ts';
import { endRemains } from './records.ts';
import { Sampler } from './sampler.ts';

const THREAD_ENTRY = builtPath('src/jobtype/thread.js');

class Host {
  readonly #setup: HostSetup;
  readonly #attempts = new Map<Epoch, Attempt>();
  /** Ends the attempts that may take only so long. */
  readonly #timers = new Map<Epoch, NodeJS.Timeout>();
  readonly #threads = new Set<JobThread>();
  #overseer: Overseer | null = null;
  readonly #sampler: Sampler;
  readonly #deadlineTimer = new DeadlineTimer(() => this.#terminateAll());
  #deadline: number;

  constructor(setup: HostSetup) {
    this.#setup = setup;
    this.#deadline = setup.deadline;
    this.#sampler = new Sampler(this.#attempts, (positions) => report({ type: 'progress', positions }));
    this.#deadlineTimer.move(setup.deadline);
    // The node watches too; this one works while the node is stopped.
    setInterval(() => this.#watchMemory(), HOST_MEMORY_CHECK_MS);
  }

  receive(order: Exclude<HostOrder, HostSetup>): void {
    switch (order.type) {
      case 'run':
        this.#run(order.order);
        break;
      case 'committed':
        this.#attempts.get(order.epoch)?.committed(order.cursor, order.limit);
        break;
      case 'keep': {
        const { epoch } = order;
        const end = this.#attempts.get(epoch)?.keep();
        if (end !== undefined) report({ type: 'kept', epoch, end });
        break;
      }
      case 'release':
        this.#attempts.get(order.epoch)?.release();
        break;
      case 'abort':
        this.#attempts.get(order.epoch)?.terminate();
        break;
      case 'fail':
        this.#attempts.get(order.epoch)?.fail(order.error);
        break;
      case 'data':
        this.#attempts.get(order.epoch)?.data(order.answer);
        break;
      case 'deadline':
        this.#moveDeadline(order.at);
        break;
      case 'oversee':
        this.#oversee(order.id, order.order);
        break;
      case 'answer': {
        const { type: _, ...answer } = order;
        this.#overseer?.answer(answer);
        break;
      }
      default:
        unreachable(order);
    }
  }

  /** Ends this process and everything that it started; does not return. */
  die(): never {
    endRemains(this.#setup.recordsDir, process.pid);
    process.exit(1);
  }

  // ---- inside ----

  #run(order: TaskOrder): void {
    assert(!this.#attempts.has(order.epoch), 'an epoch is run once');
    const attempt = this.#begin(order);
    this.#attempts.set(order.epoch, attempt);
    const { taskTimeoutMs } = order.options;
    if (taskTimeoutMs !== null) {
      const timer = setTimeout(() => attempt.fail(timeoutReason(taskTimeoutMs)), taskTimeoutMs);
      this.#timers.set(order.epoch, timer);
    }
    this.#sampler.update();
    // A deadline that passed before the task came fires once more, for it.
    this.#deadlineTimer.move(this.#deadline);
  }

  #begin(order: TaskOrder): Attempt {
    const events: AttemptEvents = {
      nudge: () => this.#sampler.nudge(),
      line: report,
      data: (request) => report({ type: 'data', epoch: order.epoch, request }),
      ended: (ending) => {
        this.#attempts.delete(ending.epoch);
        clearTimeout(this.#timers.get(ending.epoch));
        this.#timers.delete(ending.epoch);
        this.#sampler.update();
        report({ type: 'ended', ending });
      },
      stuck: (reason) => this.#dieSaying(reason),
    };
    if (this.#setup.kind === 'program') return runProgram(order, this.#setup.recordsDir, events);
    return this.#freeThread(report).run(order, this.#deadline, events);
  }

  #oversee(id: number, order: MasterOrder): void {
    const { module, worker, heapMb } = this.#setup;
    this.#overseer ??= new Overseer({ module, worker, heapMb }, report);
    this.#overseer.give(id, order, {
      moved: () => report({ type: 'moved', id }),
      ask: (ask, dataset) => report({ type: 'ask', id, ask, dataset }),
      returned: (returned) => report({ type: 'overseen', id, returned }),
    });
  }

  #freeThread(line: (line: JobLine) => void): JobThread {
    for (const thread of this.#threads) if (thread.free) return thread;
    const { module, worker, heapMb, codeHash, spoolDir, kind } = this.#setup;
    const thread: JobThread = new JobThread(
      THREAD_ENTRY,
      { module, worker, heapMb, codeHash, spoolDir, isWhole: kind === 'pipeline' },
      { line, gone: () => this.#threads.delete(thread) },
    );
    this.#threads.add(thread);
    return thread;
  }

  #moveDeadline(at: number): void {
    this.#deadline = at;
    this.#deadlineTimer.move(at);
    for (const attempt of this.#attempts.values()) attempt.moveDeadline(at);
  }

  #terminateAll(): void {
    for (const attempt of this.#attempts.values()) attempt.terminate();
  }

  #watchMemory(): void {
    const { residentMb } = this.#setup;
    if (process.memoryUsage.rss() > residentMb * BYTES_PER_MB) this.#dieSaying(memoryReason(residentMb));
  }

  #dieSaying(reason: string): void {
    report({ type: 'dying', reason }, () => this.die());
    // A node that is stopped does not read what we say.
    setTimeout(() => this.die(), PIPES_CLOSE_MS);
  }
}

function report(message: HostReport, sent: () => void = () => {}): void {
  if (process.connected) process.send?.(message, undefined, undefined, sent);
}

function main(): void {
  closeInheritedFiles();
  try {
    setPriority(HOST_NICE);
  } catch (thrown) {
    report({ type: 'line', epoch: null, source: 'log', line: `the host runs without nice: ${errorText(thrown)}` });
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});
  let host: Host | null = null;
  process.on('message', (order: HostOrder) => {
    if (order.type === 'setup') host = new Host(order);
    else must(host, 'the setup comes first').receive(order);
  });
  process.once('disconnect', () => {
    if (host === null) process.exit(1);
    host.die();
  });
}

main();
