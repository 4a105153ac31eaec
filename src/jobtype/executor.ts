/**
 * Executor: where a node runs job code, as the daemon sees it.
 *
 * One job host, a child process, for each job that runs here: a crash of a job's code costs attempts of that job alone,
 * and the resident memory of a host is that of one job. A host stays warm for a while after its last task, because the
 * next task of its job is usually a message away.
 *
 * Invariants: no job code runs in this process · `ended` comes exactly once for each `run`, never inside of it · at the
 * deadline every task stops, by the host's clock and, if the host fails in it, by ours.
 */
import { join } from 'node:path';
import { assert, must } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import {
  ABORT_GRACE_MS,
  HOST_BASE_MB,
  HOST_IDLE_MS,
  HOST_MEMORY_CHECK_MS,
  HOST_MEMORY_MB,
  HOSTS_SPARE,
  THREAD_HEAP_MB,
} from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Epoch, JobId, NodeId, Point } from '../base/types.ts';
import type {
  Executor,
  ExecutorEnding,
  ExecutorHandler,
  FoldEnding,
  FoldOrder,
  JobTypeInfo,
  MasterCall,
  TaskBlobs,
} from '../daemon/env.ts';
import type { StampedCheckpoint, StampedOutput } from '../ranges/types.ts';
import type { TaskOrder } from '../wire/messages.ts';
import { DeadlineTimer } from './deadline.ts';
import { FoldDesk } from './fold-desk.ts';
import type { Seat } from './fold-work.ts';
import { HostProcess } from './host-process.ts';
import type { LoadedType, LoadedTypes } from './loader.ts';
import { type MadePlan, PlanDesk, type Planner, type PlanRequest } from './planner.ts';
import type { JobLine, MasterReturn } from './protocol.ts';
import { recordsDirOf } from './records.ts';
import { emptySpool } from './spool-files.ts';

export { endLeftoverHosts } from './records.ts';

export interface ExecutorOptions {
  readonly types: LoadedTypes;
  readonly slots: number;
  readonly dataDir: string;
  readonly log: Logger;
  /** Path of the compiled host.js. */
  readonly hostEntry: string;
  readonly nodeId: NodeId;
}

export function createExecutor(options: ExecutorOptions): Executor & Planner {
  return new HostExecutor(options);
}

/** What a host is for. */
interface Hosted {
  readonly job: JobId;
  readonly name: string;
  readonly memoryMb: number | null;
}

/** Of a node that has no place for batches: code that wants some hears of it. */
const NO_BLOBS: TaskBlobs = {
  keep: async () => refuseBatches(),
  open: async () => refuseBatches(),
  rows: () => refuseBatches(),
};

function refuseBatches(): never {
  throw new PolarisError('BAD_OPTION', 'this node carries no batches');
}

class HostExecutor implements Executor, Planner {
  readonly types: readonly JobTypeInfo[];
  readonly #options: ExecutorOptions;
  readonly #recordsDir: string;
  readonly #spoolDir: string;
  #handler: ExecutorHandler | null = null;
  /** In order of their last use: the longest idle comes first. */
  readonly #hosts = new Map<HostProcess, NodeJS.Timeout | null>();
  readonly #hostOf = new Map<Epoch, HostProcess>();
  #deadline = Number.POSITIVE_INFINITY;
  readonly #lateTimer = new DeadlineTimer(() => this.#killLate());
  #memoryTimer: NodeJS.Timeout | null = null;
  #stopped: (() => void) | null = null;
  #blobs: TaskBlobs | null = null;
  readonly #folds: FoldDesk;
  readonly #plans: PlanDesk;

  constructor(options: ExecutorOptions) {
    this.#options = options;
    this.types = [...options.types.values()].map((type) => type.info);
    this.#recordsDir = recordsDirOf(options.dataDir);
    this.#spoolDir = emptySpool(options.dataDir);
    this.#folds = new FoldDesk({
      directory: join(options.dataDir, 'folds'),
      blobs: () => this.#blobs ?? NO_BLOBS,
      seat: (order) => this.#seat(order),
    });
    this.#plans = new PlanDesk((request) => this.#askPlan(request));
  }

  useBlobs(blobs: TaskBlobs): void {
    assert(this.#handler === null, 'blobs are there before job code runs');
    this.#blobs = blobs;
  }

  start(handler: ExecutorHandler): void {
    assert(this.#handler === null, 'an executor is started once');
    this.#handler = handler;
  }

  run(order: TaskOrder): void {
    assert(!this.#hostOf.has(order.epoch), 'an epoch is run once');
    if (this.#stopped !== null) return;
    const type = this.#options.types.get(order.name);
    if (type === undefined) {
      this.#refuse(order);
      return;
    }
    const host = this.#hostFor({ ...order, memoryMb: order.options.memoryMb }, type);
    this.#occupy(host);
    this.#hostOf.set(order.epoch, host);
    host.run(order);
  }

  committed(epoch: Epoch, cursor: Point, limit: Point): void {
    this.#hostOf.get(epoch)?.committed(epoch, cursor, limit);
  }

  checkpointed(epoch: Epoch, stage: number): void {
    this.#hostOf.get(epoch)?.checkpointed(epoch, stage);
  }

  keep(epoch: Epoch, answer: (end: Point) => void): void {
    this.#hostOf.get(epoch)?.keep(epoch, answer);
  }

  oversee(call: MasterCall, done: (error: string | null) => void): void {
    if (this.#stopped !== null) return;
    const type = must(this.#options.types.get(call.name), 'a Master is called where its type is');
    const host = this.#hostFor({ ...call, job: call.report.job }, type);
    this.#occupy(host);
    const returned = ({ error }: MasterReturn) => {
      if (this.#stopped === null) done(error);
    };
    host.oversee({ kind: 'tell', call }, { returned });
  }

  fold(order: FoldOrder, done: (ending: FoldEnding) => void): () => void {
    if (this.#stopped !== null) return () => {};
    return this.#folds.fold(order, (ending) => {
      if (this.#stopped === null) done(ending);
    });
  }

  plan(request: PlanRequest): Promise<MadePlan> {
    return this.#plans.plan(request);
  }

  release(epoch: Epoch): void {
    this.#hostOf.get(epoch)?.release(epoch);
  }

  abort(epoch: Epoch): void {
    this.#hostOf.get(epoch)?.abort(epoch);
  }

  deadline(at: number): void {
    this.#deadline = at;
    for (const host of this.#hosts.keys()) host.deadline(at);
    this.#lateTimer.move(at + ABORT_GRACE_MS);
  }

  stop(done: () => void): void {
    assert(this.#stopped === null, 'an executor is stopped once');
    this.#stopped = done;
    this.#lateTimer.cancel();
    for (const host of this.#hosts.keys()) host.kill('the node stops');
    if (this.#hosts.size === 0) setImmediate(done);
  }

  // ---- inside ----

  #refuse(order: TaskOrder): void {
    const { epoch, cursor, name } = order;
    const error = `this node does not have the job type ${name}`;
    setImmediate(() => this.#ended({ epoch, cursor, begun: cursor, ending: 'fail', error, outputs: [] }));
  }

  #hostFor(order: Hosted, type: LoadedType): HostProcess {
    for (const host of this.#hosts.keys()) {
      if (host.job === order.job && host.type === type && host.open) return host;
    }
    if (this.#hosts.size >= this.#options.slots + HOSTS_SPARE) this.#endLongestIdle();
    return this.#spawn(order, type);
  }

  /** In the host of a job whose Master will be given several orders. */
  #seat(hosted: Hosted): Seat {
    const type = must(this.#options.types.get(hosted.name), 'a Master is asked where its type is');
    const host = this.#hostFor(hosted, type);
    this.#occupy(host);
    const leave = host.sit();
    return { host, leave, give: (order) => new Promise((returned) => host.oversee(order, { returned })) };
  }

  #askPlan({ job, name, metadata, memoryMb, rows }: PlanRequest): Promise<MasterReturn> {
    const type = must(this.#options.types.get(name), 'a Master plans where its type is');
    if (this.#stopped !== null) throw new PolarisError('STOPPING');
    const host = this.#hostFor({ job, name, memoryMb }, type);
    this.#occupy(host);
    return new Promise((returned) => host.oversee({ kind: 'plan', job, metadata }, { rows, returned }));
  }

  #spawn(order: Hosted, type: LoadedType): HostProcess {
    const { log, nodeId, hostEntry, slots } = this.#options;
    const { memoryMb } = order;
    const host = new HostProcess({
      entry: hostEntry,
      job: order.job,
      type,
      worker: nodeId,
      recordsDir: this.#recordsDir,
      spoolDir: this.#spoolDir,
      blobs: this.#blobs ?? NO_BLOBS,
      deadline: this.#deadline,
      heapMb: memoryMb ?? THREAD_HEAP_MB,
      residentMb: memoryMb === null ? HOST_MEMORY_MB : HOST_BASE_MB + slots * memoryMb,
      handler: {
        progress: (epoch, cursor, begun, outputs) => this.#progress(epoch, cursor, begun, outputs),
        checkpoint: (epoch, checkpoint) => this.#checkpoint(epoch, checkpoint),
        ended: (ending) => this.#ended(ending),
      },
      line: (line) => this.#line(order, line),
      idle: () => this.#idle(host),
      gone: (reason) => this.#gone(host, reason),
    });
    log.info({ jobId: order.job, jobType: order.name, pid: host.pid }, 'job host started');
    this.#memoryTimer ??= setInterval(() => this.#watchMemory(), HOST_MEMORY_CHECK_MS);
    return host;
  }

  #occupy(host: HostProcess): void {
    const idle = this.#hosts.get(host);
    if (idle) clearTimeout(idle);
    this.#use(host, null);
  }

  /** Puts the host at the end of the order of use. */
  #use(host: HostProcess, idleTimer: NodeJS.Timeout | null): void {
    this.#hosts.delete(host);
    this.#hosts.set(host, idleTimer);
  }

  #idle(host: HostProcess): void {
    this.#use(
      host,
      setTimeout(() => host.kill('idle'), HOST_IDLE_MS),
    );
  }

  #endLongestIdle(): void {
    for (const [host, idleTimer] of this.#hosts) {
      if (idleTimer === null || !host.open) continue;
      clearTimeout(idleTimer);
      host.kill('idle, and its room is needed');
      return;
    }
  }

  #progress(epoch: Epoch, cursor: Point, begun: Point, outputs: readonly StampedOutput[]): void {
    if (this.#stopped === null) must(this.#handler, 'started before it runs').progress(epoch, cursor, begun, outputs);
  }

  #checkpoint(epoch: Epoch, checkpoint: StampedCheckpoint): void {
    if (this.#stopped === null) must(this.#handler, 'started before it runs').checkpoint(epoch, checkpoint);
  }

  #ended(ending: ExecutorEnding): void {
    this.#hostOf.delete(ending.epoch);
    if (this.#stopped === null) must(this.#handler, 'started before it runs').ended(ending);
  }

  #gone(host: HostProcess, reason: string): void {
    const idleTimer = this.#hosts.get(host);
    if (idleTimer) clearTimeout(idleTimer);
    this.#hosts.delete(host);
    this.#options.log.info({ jobId: host.job, pid: host.pid, reason }, 'job host ended');
    if (this.#hosts.size > 0) return;
    if (this.#memoryTimer !== null) clearInterval(this.#memoryTimer);
    this.#memoryTimer = null;
    this.#stopped?.();
  }

  #line(order: Hosted, { epoch, source, line }: JobLine): void {
    this.#options.log.info({ jobId: order.job, jobType: order.name, epoch, source, line }, 'job output');
  }

  #watchMemory(): void {
    for (const host of this.#hosts.keys()) host.watchMemory();
  }

  /** The hosts stop their tasks at the deadline themselves; a host that could not is killed a little later. */
  #killLate(): void {
    for (const host of this.#hosts.keys()) {
      if (host.taskCount > 0) host.kill('job host was killed: it worked beyond the deadline of its leases');
    }
  }
}
