/**
 * Env: everything that the daemon takes from outside. The same daemon runs on the real one (daemon/real.ts) and in the
 * simulator (test/sim), and cannot tell which.
 *
 * Think of a diver's suit: air, pressure and light all come through it, and the diver is the same person in the tank
 * and in the sea. Callbacks, not promises: one event is one turn, and in the simulator a turn is a plain call.
 *
 * Invariant: nothing in src/daemon, but real.ts, names a clock, a timer, a socket, a file or a random source.
 */
import type { Handle } from '../base/handle.ts';
import type { Logger } from '../base/log.ts';
import type { Prng } from '../base/prng.ts';
import type { Address, Epoch, JobId, LogIndex, NodeId, Point } from '../base/types.ts';
import type { TraceEvent } from '../raft/trace.ts';
import type { Delivery, JobState, Output, StampedCheckpoint, StampedOutput } from '../ranges/types.ts';
import type { Store } from '../store/types.ts';
import type { TaskOrder } from '../wire/messages.ts';
import type { Network } from '../wire/network.ts';
import type { Probe } from './probe.ts';

export interface Clock {
  /** Monotonic milliseconds, fractional. The same clock in all processes of a machine. */
  now(): number;
  /** Milliseconds since 1970, for display only. */
  wall(): number;
}

export interface Timer {
  cancel(): void;
}

export interface Timers {
  after(delayMs: number, run: () => void): Timer;
  /** Runs once what is waiting to be read has been read; several calls in one turn run in order. */
  soon(run: () => void): void;
}

/** How an attempt at a task ended. `begun` is the first point not begun. */
export interface ExecutorEnding {
  readonly epoch: Epoch;
  readonly cursor: Point;
  readonly begun: Point;
  readonly ending: 'complete' | 'fail' | 'release';
  readonly error: string;
  /** Those that `progress` did not tell yet, as there. */
  readonly outputs: readonly StampedOutput[];
}

export interface ExecutorHandler {
  /**
   * Every point of the task below `cursor` is done; `begun` is the first not begun. Monotone. `outputs` are those since the
   * last call: ascending, disjoint, below the cursor, and durable already. The cursor never passes a point whose batches
   * are not.
   */
  progress(epoch: Epoch, cursor: Point, begun: Point, outputs: readonly StampedOutput[]): void;
  /**
   * A pipeline has finished a stage for the whole range of its task. Durable already; stages only grow. A task that makes
   * checkpoints answers `keep` with its end: what it has finished cannot be cut.
   */
  checkpoint(epoch: Epoch, checkpoint: StampedCheckpoint): void;
  /** The attempt is over: no code of it runs any more. Exactly once for each start, unless the node stops first. */
  ended(ending: ExecutorEnding): void;
}

/** A job type as the node knows it without running its code. */
export interface JobTypeInfo {
  readonly name: string;
  readonly hash: string;
  readonly exposure: 'window' | 'task';
  /** It has a Master. */
  readonly overseen: boolean;
  /** Its Master says what a job works on that is submitted without a range. */
  readonly plans?: boolean;
  /** How its Master takes in what points emit; null or nothing where it takes none of it. */
  readonly collects?: Collecting | null;
  /** What its jobs may ask for. */
  readonly deliveries: readonly Delivery[];
  /** What they may ask for beside these, if their metadata is as it must be for that. */
  readonly deliveriesWhen?: DeliveriesWhen;
  /** JSON Schema of the metadata; null takes any object. */
  readonly metadataSchema: JsonSchema | null;
}

/** In range order, or as it is committed. */
export type Collecting = 'in-order' | 'as-committed';

export type JsonSchema = Readonly<Record<string, unknown>>;
export type DeliveriesWhen = { readonly [delivery in Delivery]?: JsonSchema };

/** Where job code runs: the job hosts in reality, a model of them in the simulator. */
export interface Executor {
  readonly types: readonly JobTypeInfo[];
  /** Where job code leaves its batches and finds its input: told once, before `start`. The simulator's makes handles by itself. */
  useBlobs(blobs: TaskBlobs): void;
  start(handler: ExecutorHandler): void;
  /** Begins a task at `order.cursor`. The lease deadline set last holds for it too. */
  run(order: TaskOrder): void;
  /** The cursor is committed, and points below `limit` may be handed out. At first those below `windowEnd` of the order. */
  committed(epoch: Epoch, cursor: Point, limit: Point): void;
  /** The checkpoint behind this stage, or a later one, is committed. */
  checkpointed(epoch: Epoch, stage: number): void;
  /**
   * The task hands out nothing at or beyond the end that it answers: about the middle of what it has not begun, or its end
   * when it can keep no less. No answer comes of a task that is over.
   */
  keep(epoch: Epoch, answer: (end: Point) => void): void;
  /** Stop at the next point, then `ended` with 'release' (or what came first). Ignored too long, the code is terminated. */
  release(epoch: Epoch): void;
  /** The lease is lost: terminate at once. `ended` follows, and what it says counts for nothing. */
  abort(epoch: Epoch): void;
  /** Monotonic time (Clock.now) at which every running task must be stopped, unless it is moved on before. */
  deadline(at: number): void;
  /**
   * Calls the Master of a job; the type must have one. `done` comes once, in a later turn and within MASTER_CALL_MS or soon
   * after, with null or with what went wrong; never after `stop`.
   */
  oversee(call: MasterCall, done: (error: string | null) => void): void;
  /**
   * Has a Master take in outputs, or end; its type must have one that collects. One order for a job at a time. `done` comes once,
   * in a later turn, unless the order is given up with what this gives; never after `stop`.
   */
  fold(order: FoldOrder, done: (ending: FoldEnding) => void): () => void;
  /** Ends all job code, then calls back. */
  stop(done: () => void): void;
}

/** What job hosts need of the blobs of their node. */
export interface TaskBlobs {
  /** Reads an Arrow IPC file without belief, stores it and copies it to enough voters. The file is the caller's to delete. @throws PolarisError */
  keep(path: string, signal: AbortSignal): Promise<{ readonly handle: Handle; readonly stamp: LogIndex }>;
  /** Rows [start, end) of a blob of Arrow batches as an Arrow IPC stream. It waits for copies that cannot be reached. */
  rows(handle: Handle, start: number, end: number, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** All of it, as it lies. */
  open(handle: Handle): Promise<{ readonly bytes: number; read(): AsyncIterable<Uint8Array> }>;
}

/** What a Master is told. */
export interface MasterCall {
  readonly kind: 'progress' | 'complete';
  readonly name: string;
  /** Canonical JSON of an object. */
  readonly metadata: string;
  readonly memoryMb: number | null;
  readonly report: JobReport;
}

/** What a Master is to do with what points emitted. */
export interface FoldOrder {
  readonly job: JobId;
  readonly name: string;
  /** Canonical JSON of an object. */
  readonly metadata: string;
  readonly memoryMb: number | null;
  /** Of the Master. */
  readonly epoch: LogIndex;
  /** What was made of everything that was folded before. */
  readonly state: Handle | null;
  /** To be taken in, in this order; null: there are no more of them, and it is to finish. */
  readonly outputs: readonly Output[] | null;
}

/** What came of it, durable already. */
export type FoldEnding =
  /** A state of nothing is null, and so is no result; the stamp of either is 0. */
  | { readonly kind: 'folded'; readonly state: Handle | null; readonly stamp: LogIndex }
  | { readonly kind: 'finished'; readonly result: Handle | null; readonly stamp: LogIndex }
  | {
      readonly kind: 'failed';
      /** The Master threw or hung; its host ended, for whatever reason; or this node could not read or keep a blob. */
      readonly culprit: 'master' | 'host' | 'node';
      readonly error: string;
    };

/** How a job stands, for whoever oversees it and for whoever is told of its end. */
export interface JobReport {
  readonly job: JobId;
  readonly name: string;
  readonly start: Point;
  readonly end: Point;
  /** Counts from 1; a retry begins another one. */
  readonly run: number;
  readonly state: JobState;
  readonly progress: {
    readonly total: number;
    readonly done: number;
    readonly failed: number;
    readonly uncertain: number;
    readonly reexecuted: number;
  };
}

/** Where ids of jobs, clusters and nonces come from. */
export interface Env {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly prng: Prng;
  readonly network: Network;
  readonly store: Store;
  readonly executor: Executor;
  readonly probe: Probe;
  readonly log: Logger;
  /** Hears of every change of state of the Raft core; absent, nothing is even made for it. */
  readonly trace?: (event: TraceEvent) => void;
  /** The process cannot go on: prints the error and exits in reality, stops the node in the simulator. */
  readonly fatal: (error: Error) => void;
}

export interface NodeConfig {
  readonly id: NodeId;
  readonly address: Address;
  readonly role: 'voter' | 'worker';
  /** The founding voters with their addresses, this node included; empty for a worker that joins by address. */
  readonly peers: readonly { readonly id: NodeId; readonly address: Address }[];
  /** Addresses of any members: for a worker, and for a voter that is to be taken into their cluster. */
  readonly join: readonly Address[];
  /** A voter that joins becomes one as soon as it has caught up (the default), or stays a learner until it is promoted. */
  readonly promote?: boolean;
  /** 0: no worker. */
  readonly slots: number;
  readonly sessionTtlMs: number;
  /** Smaller in the simulator, so that snapshots happen there; limits.ts otherwise. */
  readonly snapshotEveryEntries?: number;
  readonly logTailEntries?: number;
  readonly snapshotChunkBytes?: number;
  readonly stateHashEveryEntries?: number;
}
