/**
 * HostProcess: one job host as its node sees it.
 *
 * Think of a diver's attendant: the line tells how far the diver is, and when the line goes slack the attendant reports
 * for him, from what was heard last. So the node never waits for a host: every promise that a host makes (to release, to
 * stop, to keep its memory) is watched from here with a clock of our own, and a host that breaks one is killed.
 *
 * Invariants: every task that was run ends exactly once · what a dead host is said to have begun is never less than
 * what it may have begun.
 */
import { type ChildProcess, fork } from 'node:child_process';
import type { Readable } from 'node:stream';
import { assert, must, unreachable } from '../base/assert.ts';
import { errorText } from '../base/errors.ts';
import {
  ABORT_GRACE_MS,
  ERROR_TEXT_MAX,
  JOB_LOG_LINES_PER_SECOND,
  PIPES_CLOSE_MS,
  TERMINATE_GRACE_MS,
} from '../base/limits.ts';
import type { Epoch, JobId, NodeId, Point } from '../base/types.ts';
import type { ExecutorHandler, TaskBlobs } from '../daemon/env.ts';
import { windowEnd } from '../ranges/lease.ts';
import type { TaskOrder } from '../wire/messages.ts';
import { timeoutReason } from './attempt.ts';
import { HostedData } from './hosted-data.ts';
import { HostedMaster, lostWith, type MasterEvents } from './hosted-master.ts';
import { captureLines } from './lines.ts';
import type { LoadedType } from './loader.ts';
import { memoryReason, residentMb, signalGroup } from './proc.ts';
import type { AttemptEnding, HostOrder, HostReport, JobLine, MasterOrder } from './protocol.ts';
import { endRemains, writeRecord } from './records.ts';
import { spoolOf } from './spool-files.ts';

export interface HostProcessOptions {
  readonly entry: string;
  readonly job: JobId;
  readonly type: LoadedType;
  readonly worker: NodeId;
  readonly recordsDir: string;
  readonly spoolDir: string;
  readonly blobs: TaskBlobs;
  readonly deadline: number;
  /** Of each thread, and of the whole process. */
  readonly heapMb: number;
  readonly residentMb: number;
  readonly handler: ExecutorHandler;
  readonly line: (line: JobLine) => void;
  /** Its last task or call ended; the host stays warm. */
  readonly idle: () => void;
  /** The process is gone, after the endings of all its tasks. `reason` says why, for the log. */
  readonly gone: (reason: string) => void;
}

interface HostedTask {
  readonly order: TaskOrder;
  readonly data: HostedData;
  /** As the host says; told is the cursor only as far as batches are kept. */
  cursor: Point;
  begun: Point;
  told: { readonly cursor: Point; readonly begun: Point };
  committed: Point;
  /** First point that may not be handed out. */
  limit: Point;
  /** Of the order, or what the host said that it keeps: it hands out nothing at or beyond it. */
  end: Point;
  /** Who asked which end it keeps, in order. */
  readonly keeping: ((end: Point) => void)[];
  /** It was told to stop, and is killed with its host when this fires. */
  stopping: NodeJS.Timeout | null;
  /** Its time is up, and the host said nothing of it. */
  readonly late: NodeJS.Timeout | null;
  /** None of its code runs any more; it ends when what it emitted is kept. */
  ending: AttemptEnding | null;
}

export class HostProcess {
  readonly job: JobId;
  readonly type: LoadedType;
  readonly #options: HostProcessOptions;
  readonly #child: ChildProcess;
  readonly #tasks = new Map<Epoch, HostedTask>();
  readonly #master: HostedMaster;
  #seats = 0;
  /** Why we killed it, or why it killed itself. */
  #reason: string | null = null;
  #lastComplaint = '';
  #exit: string | null = null;
  #settled = false;

  constructor(options: HostProcessOptions) {
    this.#options = options;
    this.job = options.job;
    this.type = options.type;
    this.#master = new HostedMaster({
      send: (order) => this.#send(order),
      late: () => this.kill('job host was killed: its Master did not end a call in time'),
      ended: () => this.#maybeIdle(),
    });
    // Its own process group: a signal for the group of the node, from a terminal or a supervisor, does not reach it.
    this.#child = fork(options.entry, [], {
      detached: true,
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#listen();
    this.#record();
    const { job, worker, recordsDir, spoolDir, deadline, heapMb, residentMb } = options;
    const { kind, module, info } = options.type;
    const limits = { deadline, heapMb, residentMb };
    this.#send({ type: 'setup', job, kind, module, codeHash: info.hash, worker, recordsDir, spoolDir, ...limits });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Whether it may be given another task. */
  get open(): boolean {
    return this.#reason === null && this.#exit === null;
  }

  get taskCount(): number {
    return this.#tasks.size;
  }

  /** Whether it may be ended at no cost. */
  get isIdle(): boolean {
    return this.#tasks.size === 0 && this.#master.isIdle && this.#seats === 0;
  }

  /** A host that is dying by now fails the task with its reason. */
  run(order: TaskOrder): void {
    assert(!this.#settled, 'a host that is gone runs nothing');
    assert(!this.#tasks.has(order.epoch), 'an epoch is run once');
    const { cursor } = order;
    const limit = this.type.kind === 'pipeline' ? order.end : windowEnd(order, order.options);
    this.#tasks.set(order.epoch, {
      order,
      data: this.#dataOf(order),
      cursor,
      begun: cursor,
      told: { cursor, begun: cursor },
      committed: cursor,
      limit,
      end: order.end,
      keeping: [],
      stopping: null,
      late: this.#lateTimer(order),
      ending: null,
    });
    this.#send({ type: 'run', order });
  }

  committed(epoch: Epoch, cursor: Point, limit: Point): void {
    const task = this.#tasks.get(epoch);
    if (task === undefined) return;
    task.committed = Math.max(task.committed, cursor);
    task.limit = Math.min(Math.max(task.limit, limit), task.end);
    this.#send({ type: 'committed', epoch, cursor, limit });
  }

  checkpointed(epoch: Epoch, stage: number): void {
    this.#tasks.get(epoch)?.data.checkpointed(stage);
  }

  /** `returned` comes once, with the end of the process at the latest. */
  oversee(order: MasterOrder, events: MasterEvents): void {
    if (this.#settled) setImmediate(() => events.returned(lostWith('the job host is gone')));
    else this.#master.give(order, events);
  }

  /** Somebody will have more orders for its Master: it is not idle until he leaves. */
  sit(): () => void {
    this.#seats += 1;
    let sits = true;
    return () => {
      if (!sits) return;
      sits = false;
      this.#seats -= 1;
      this.#maybeIdle();
    };
  }

  /** No answer comes of a task that ends first. */
  keep(epoch: Epoch, answer: (end: Point) => void): void {
    const task = this.#tasks.get(epoch);
    if (task === undefined) return;
    task.keeping.push(answer);
    this.#send({ type: 'keep', epoch });
  }

  /** The host has its own clock for this; ours is behind it, for a host that is stopped or wedged. */
  release(epoch: Epoch): void {
    this.#stopTask(epoch, { type: 'release', epoch }, 2 * ABORT_GRACE_MS + TERMINATE_GRACE_MS);
  }

  abort(epoch: Epoch): void {
    this.#stopTask(epoch, { type: 'abort', epoch }, ABORT_GRACE_MS);
  }

  deadline(at: number): void {
    this.#send({ type: 'deadline', at });
  }

  /** Ends the process and all its groups; the endings of its tasks carry the reason. */
  kill(reason: string): void {
    if (!this.open) return;
    this.#reason = reason;
    const { pid } = this.#child;
    if (pid !== undefined) signalGroup(pid, 'SIGKILL');
    // Its group is named by its pid once it has called setsid, which it may not have reached yet.
    this.#child.kill('SIGKILL');
  }

  watchMemory(): void {
    const { pid } = this.#child;
    if (pid === undefined || !this.open) return;
    const limitMb = this.#options.residentMb;
    if ((residentMb(pid) ?? 0) > limitMb) this.kill(memoryReason(limitMb));
  }

  // ---- inside ----

  /** The host keeps the time of its tasks; ours is behind it, as with a release. */
  #lateTimer({ options: { taskTimeoutMs } }: TaskOrder): NodeJS.Timeout | null {
    if (taskTimeoutMs === null) return null;
    return setTimeout(() => this.kill(timeoutReason(taskTimeoutMs)), taskTimeoutMs + ABORT_GRACE_MS);
  }

  #stopTask(epoch: Epoch, order: HostOrder, killAfterMs: number): void {
    const task = this.#tasks.get(epoch);
    if (task === undefined) return;
    if (task.stopping !== null) clearTimeout(task.stopping);
    // Its code has ended already; it has the same time for what is still being kept.
    const late = (): void => {
      if (task.ending !== null) this.#close(task, task.ending);
      else this.kill('job host was killed: it did not stop a task in time');
    };
    task.stopping = setTimeout(late, killAfterMs);
    if (task.ending === null) this.#send(order);
    else if (order.type === 'abort') this.#close(task, task.ending);
  }

  #dataOf(order: TaskOrder): HostedData {
    const { epoch } = order;
    const { spoolDir, blobs, handler } = this.#options;
    return new HostedData({
      ...{ order, blobs, spool: spoolOf(spoolDir, epoch) },
      answer: (answer) => this.#send({ type: 'data', epoch, answer }),
      sealed: (end) => this.#reached(epoch, end),
      moved: () => this.#tell(epoch),
      checkpoint: (checkpoint) => handler.checkpoint(epoch, checkpoint),
      failed: (error) => this.#unkeepable(epoch, error),
    });
  }

  #send(order: HostOrder): void {
    // A host that is gone is told of by its exit, and needs no orders.
    if (this.#child.connected) this.#child.send(order, () => {});
  }

  #listen(): void {
    const child = this.#child;
    child.on('message', (report) => this.#receive(report as HostReport));
    child.on('error', (error) => {
      // Without a pid it was never started, and no exit will follow.
      if (child.pid === undefined) this.#exited(`job host cannot be started: ${errorText(error)}`);
    });
    child.once('exit', (code, signal) => {
      // Nobody has a last word before a SIGKILL; before all else V8 or Node may have said why.
      const complaint = signal === 'SIGKILL' || this.#lastComplaint === '' ? '' : `: ${this.#lastComplaint}`;
      this.#exited(
        (signal === null ? `job host exited with code ${code}` : `job host was killed by ${signal}`) + complaint,
      );
    });
    // What it said before it died is still read after its exit; the end of the channel comes behind it.
    child.once('disconnect', () => this.#disconnected());
    this.#capture(child.stdout, 'stdout');
    this.#capture(child.stderr, 'stderr');
  }

  #record(): void {
    const { pid } = this.#child;
    try {
      if (pid !== undefined) writeRecord(this.#options.recordsDir, pid, null);
    } catch (thrown) {
      this.kill(`job host was ended: it could not be recorded: ${errorText(thrown)}`);
    }
  }

  /** There is no stream where the system had no file descriptors left to start the host. */
  #capture(stream: Readable | null | undefined, source: 'stdout' | 'stderr'): void {
    if (!stream) return;
    captureLines(stream, JOB_LOG_LINES_PER_SECOND, (line) => {
      if (source === 'stderr') this.#lastComplaint = line;
      this.#options.line({ type: 'line', epoch: null, source, line });
    });
  }

  #receive(report: HostReport): void {
    switch (report.type) {
      case 'progress':
        for (const { epoch, cursor, begun } of report.positions) this.#progress(epoch, cursor, begun);
        break;
      case 'ended':
        this.#ended(report.ending);
        break;
      case 'kept':
        this.#kept(report.epoch, report.end);
        break;
      case 'data':
        this.#data(report.epoch, report.request);
        break;
      case 'overseen':
      case 'moved':
      case 'ask':
        this.#master.receive(report);
        break;
      case 'line':
        this.#options.line(report);
        break;
      case 'dying':
        this.#reason ??= report.reason;
        break;
      default:
        unreachable(report);
    }
  }

  /** An end that no honest host says is none. */
  #kept(epoch: Epoch, end: Point): void {
    const task = this.#tasks.get(epoch);
    if (task === undefined || !Number.isSafeInteger(end) || end < task.begun || end > task.end) return;
    task.end = end;
    task.limit = Math.min(task.limit, end);
    task.keeping.shift()?.(end);
  }

  #progress(epoch: Epoch, cursor: Point, begun: Point): void {
    const task = this.#tasks.get(epoch);
    if (task === undefined || !moves(task, cursor, begun)) return;
    task.cursor = cursor;
    task.begun = begun;
    this.#tell(epoch);
  }

  #data(epoch: Epoch, request: unknown): void {
    const task = this.#tasks.get(epoch);
    if (task === undefined || task.ending !== null || task.data.receive(request)) return;
    this.kill('job host was killed: it said something about batches that makes no sense');
  }

  /** A segment ends here, so all before it is acknowledged. */
  #reached(epoch: Epoch, cursor: Point): void {
    const task = must(this.#tasks.get(epoch), 'only a task that runs has segments');
    task.cursor = Math.max(task.cursor, cursor);
    task.begun = Math.max(task.begun, cursor);
  }

  /** Says what is new of it, as far as what it emitted is kept; and its end, if nothing else is waited for. */
  #tell(epoch: Epoch): void {
    const task = this.#tasks.get(epoch);
    if (task === undefined) return;
    if (task.ending !== null) {
      if (!task.data.isBusy) this.#close(task, task.ending);
      return;
    }
    const { told, data, begun } = task;
    const cursor = Math.max(told.cursor, data.hold(task.cursor));
    const outputs = data.take(cursor);
    if (cursor === told.cursor && begun === told.begun) return;
    task.told = { cursor, begun };
    this.#options.handler.progress(epoch, cursor, begun, outputs);
  }

  #unkeepable(epoch: Epoch, error: string): void {
    const task = this.#tasks.get(epoch);
    if (task === undefined) return;
    const failure = `what it emitted cannot be kept: ${error}`;
    if (task.ending === null) this.#send({ type: 'fail', epoch, error: failure });
    else task.ending = { ...task.ending, ending: 'fail', error: failure };
  }

  #ended(ending: AttemptEnding): void {
    const task = this.#tasks.get(ending.epoch);
    if (task === undefined || task.ending !== null) return;
    if (!moves(task, ending.cursor, ending.begun)) {
      this.kill('job host was killed: it reported a position outside of its task');
      return;
    }
    task.ending = ending;
    if (task.late !== null) clearTimeout(task.late);
    if (!task.data.isBusy) this.#close(task, ending);
  }

  #maybeIdle(): void {
    if (this.isIdle && this.open) this.#options.idle();
  }

  /** What is not kept by now does not count, and neither do the points that it was for. */
  #close(task: HostedTask, ending: AttemptEnding): void {
    if (task.stopping !== null) clearTimeout(task.stopping);
    if (task.late !== null) clearTimeout(task.late);
    this.#tasks.delete(ending.epoch);
    const { data, told } = task;
    const cursor = Math.max(told.cursor, data.hold(ending.cursor));
    const outputs = data.take(cursor);
    data.close();
    const isCut = ending.ending === 'complete' && cursor < ending.cursor;
    const error = ending.error.slice(0, ERROR_TEXT_MAX);
    this.#options.handler.ended({ ...ending, cursor, ending: isCut ? 'release' : ending.ending, error, outputs });
    this.#maybeIdle();
  }

  #exited(exit: string): void {
    this.#exit = exit;
    const { pid } = this.#child;
    if (pid !== undefined) endRemains(this.#options.recordsDir, pid);
    if (!this.#child.connected) this.#settle();
    // Somebody outside of the group may hold the channel open.
    else setTimeout(() => this.#settle(), PIPES_CLOSE_MS);
  }

  #disconnected(): void {
    if (this.#exit !== null) this.#settle();
    // The end of the channel may be seen before the exit that caused it.
    else setTimeout(() => this.kill('job host was killed: it closed its channel'), PIPES_CLOSE_MS);
  }

  /** Reports for the dead. */
  #settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    const reason = this.#reason ?? must(this.#exit, 'a host is settled after its exit');
    for (const task of [...this.#tasks.values()]) this.#close(task, this.#endingOfDead(task, reason));
    this.#master.settle(reason);
    this.#options.gone(reason);
  }

  #endingOfDead(task: HostedTask, reason: string): AttemptEnding {
    if (task.ending !== null) return task.ending;
    const { epoch, options } = task.order;
    const beginsAll = this.#options.type.kind === 'program' && options.delivery !== 'at-most-once';
    const exposed = beginsAll ? task.end : task.limit;
    const begun = Math.max(task.begun, exposed);
    const position = { epoch, cursor: task.cursor, begun };
    // A task that was told to stop did so, one way or the other.
    if (task.stopping !== null) return { ...position, ending: 'release', error: '' };
    return { ...position, ending: 'fail', error: reason };
  }
}

/** Whether a reported position lies within the task and does not go back. */
function moves(task: HostedTask, cursor: Point, begun: Point): boolean {
  return (
    Number.isSafeInteger(cursor) &&
    Number.isSafeInteger(begun) &&
    task.cursor <= cursor &&
    task.begun <= begun &&
    cursor <= begun &&
    begun <= task.end
  );
}
