/**
 * The replicated job table, as values: commands in, state and events out.
 *
 * A job is one record however long its range is: what is covered, where the frontier of never-granted points stands,
 * what came back, and who works on what. Memory grows with open tasks and holes, never with points.
 *
 * Invariants: tasks of a job never overlap · epochs only grow · a covered point is never leased again ·
 * covered (uncertain points included) + tasks' rests + returned + failed + [frontier, end) tile [start, end) · done if and only if covered.
 */
import type { BlobHash, Handle, SchemaHash } from '../base/handle.ts';
import type { Address, Epoch, Incarnation, InstanceId, JobId, LogIndex, NodeId, Point, Range } from '../base/types.ts';
import type { Dataset, ExpectedVersion } from './datasets.ts';

/**
 * How often a point may take effect: effect, then commit ('at-least-once'); commit of a claim, then effect, and what was
 * claimed and not acknowledged is 'uncertain' and never runs again by itself ('at-most-once'); or effect and cursor moved
 * together by a sink that fences ('exactly-once': for the table the same as 'at-least-once').
 */
export type Delivery = 'at-least-once' | 'at-most-once' | 'exactly-once';

/** A number of points, or a share of all of them. */
export type Tolerance = number | `${number}%`;

/** What can be changed while a job is open. It begins as the options say; the spec stays as it was submitted. */
export interface Controls {
  /** The higher goes first, strictly. */
  readonly priority: number;
  /** Share among jobs of one priority. */
  readonly weight: number;
  /** Live tasks at most; null: as many as there are slots. */
  readonly maxConcurrency: number | null;
  /** Of the whole cluster; null: as fast as it goes. */
  readonly pointsPerSecond: number | null;
  /** More failed and uncertain points than this pause the job. */
  readonly tolerate: Tolerance;
}

/** Asks the world outside whether a job may go on just now. */
export type Throttle = { readonly intervalMs: number } & (
  | { readonly kind: 'command'; readonly command: readonly string[] }
  | { readonly kind: 'url'; readonly url: string }
  | { readonly kind: 'prometheus'; readonly url: string; readonly query: string; readonly holdAbove: number }
);

/** Options of a job, all filled in. */
export interface JobOptions {
  readonly delivery: Delivery;
  /** At most this many points beyond the committed cursor are handed out: what one lost slot may repeat. */
  readonly commitEvery: number;
  readonly commitIntervalMs: number;
  /** Points of a task; null lets the leader adapt it. */
  readonly taskSize: number | null;
  /** An attempt that runs longer has failed; null lets it run. */
  readonly taskTimeoutMs: number | null;
  /** Heap of a job thread; null: that of limits.ts. */
  readonly memoryMb: number | null;
  /** Times a failing point is begun before it counts as failed. */
  readonly maxAttempts: number;
  /** What the controls of the job begin with. */
  readonly priority: number;
  readonly weight: number;
  readonly maxConcurrency: number | null;
  readonly pointsPerSecond: number | null;
  readonly tolerate: Tolerance;
  readonly throttle: Throttle | null;
  /** Where the end of each run is told. */
  readonly onDone: string | null;
  /** Waits for this job to be done. */
  readonly after: JobId | null;
  /** Epoch ms: nothing is granted before. */
  readonly at: number | null;
}

/** What was asked for; two submits of one id are the same if and only if these are equal byte for byte. */
export interface JobSpec {
  readonly id: JobId;
  /** Its job type. */
  readonly name: string;
  readonly start: Point;
  readonly end: Point;
  /** Canonical JSON text (RFC 8785) of an object. */
  readonly metadata: string;
  readonly options: JobOptions;
  /**
   * How much of a task may have run when it is lost: 'window' for types that take points within `commitEvery`,
   * 'task' for those that begin the whole task at once (exec).
   */
  readonly exposure: 'window' | 'task';
  /** Its type has a Master, which is told of each end of a run. */
  readonly overseen: boolean;
  /** Point p is row p of it; null when the job has none. Held while the job is in the table. */
  readonly input: Handle | null;
  /** Name of the dataset that the input was taken from; null when it was not asked for by name. The same words are the same job, whatever stands under the name by then. */
  readonly inputName: string | null;
  /** Its Master folds what its points emitted, and its `finish` ends the job. */
  readonly collects: boolean;
}

/** A job that is submitted again and again: each time under an id of its own. */
export type ScheduledSpec = Omit<JobSpec, 'id'>;

/** When to submit what. `cron` is read by whoever leads; the table compares numbers only. */
export interface ScheduleSpec {
  readonly key: string;
  readonly cron: string;
  readonly timeZone: string;
  readonly spec: ScheduledSpec;
}

/** A schedule as others see it. */
export interface Schedule extends ScheduleSpec {
  /** Epoch ms; null when it is never due again, or not until somebody puts it anew. */
  readonly nextAt: number | null;
  readonly lastJob: JobId | null;
  /** Times that passed without a job: the last one was still at work, or nobody led. */
  readonly skipped: number;
}

/** What job code emitted for points of a range, in order: one blob of Arrow batches. */
export interface Output extends Range {
  readonly handle: Handle;
}

/** On its way into the table: `stamp` is the smallest of the copies that were counted. */
export interface StampedOutput extends Output {
  readonly stamp: LogIndex;
}

/** What a pipeline has for the whole range of a task behind stage `stage` (the first is 0), made by code of this fingerprint. */
export interface StageCheckpoint {
  readonly stage: number;
  readonly fingerprint: string;
  readonly handle: Handle;
}

export interface StampedCheckpoint extends StageCheckpoint {
  readonly stamp: LogIndex;
}

/** Who folds the outputs of a job, and how far that has come. */
export interface MasterView {
  /** Index of the entry by which it took the job: what an older one says is refused. */
  readonly epoch: LogIndex;
  /** What it has made of the outputs that it folded. */
  readonly state: Handle | null;
  /** Outputs folded so far. */
  readonly folded: number;
}

export type JobState = 'pending' | 'running' | 'paused' | 'done' | 'failed' | 'cancelled';

/** A job type that a worker can run; `hash` is that of its code. */
export interface Offer {
  readonly name: string;
  readonly hash: string;
}

/** How a task ended, from its worker. `begun` is the first point that was not begun: `cursor <= begun <= end`. */
export interface Ending {
  readonly epoch: Epoch;
  readonly cursor: Point;
  readonly begun: Point;
  /** Those that no progress brought, as there. */
  readonly outputs: readonly StampedOutput[];
}

/** How far a task is, and how far it may begin. */
export interface Headway {
  readonly epoch: Epoch;
  readonly cursor: Point;
  /** At most once: the first point that may not be begun. The cursor, or more, otherwise. */
  readonly claimed: Point;
  /**
   * What points below the cursor emitted, ascending and disjoint. Those that end at or below the committed cursor are
   * repeats; one that reaches across it makes the report stale.
   */
  readonly outputs: readonly StampedOutput[];
}

/** `at` is the leader's stamp, epoch ms, monotone: for display and retention only. */
export type Command =
  | {
      readonly kind: 'submit-job';
      readonly at: number;
      readonly spec: JobSpec;
      /** Of the copies of its input that were counted; null where it has none, or one that is held already. */
      readonly stamp: LogIndex | null;
    }
  | {
      readonly kind: 'control-job';
      readonly at: number;
      readonly id: JobId;
      readonly action: 'pause' | 'resume' | 'cancel';
    }
  /** Failed points (and uncertain ones, if asked) inside the range, or all of them, are pending again. */
  | {
      readonly kind: 'retry-job';
      readonly at: number;
      readonly id: JobId;
      readonly range: Range | null;
      readonly uncertain: boolean;
    }
  /** Changes the controls of an open job. */
  | { readonly kind: 'set-job'; readonly at: number; readonly id: JobId; readonly changes: Partial<Controls> }
  /** Whoever was to be told that a run has ended took the word. */
  | { readonly kind: 'job-notified'; readonly at: number; readonly id: JobId; readonly run: number }
  /** In place of the one of its key. */
  | {
      readonly kind: 'put-schedule';
      readonly at: number;
      readonly schedule: ScheduleSpec;
      readonly nextAt: number | null;
    }
  | { readonly kind: 'drop-schedule'; readonly at: number; readonly key: string }
  /** Its time has come: submits its job as `id`, unless the last one is not finished. `missed` times came and went before. */
  | {
      readonly kind: 'fire-schedule';
      readonly at: number;
      readonly key: string;
      readonly due: number;
      readonly next: number | null;
      readonly missed: number;
      readonly id: JobId;
    }
  | {
      readonly kind: 'worker-join';
      readonly at: number;
      readonly worker: NodeId;
      readonly instanceId: InstanceId;
      readonly address: Address;
      readonly slots: number;
      readonly offers: readonly Offer[];
    }
  /** The session ended: silence of a whole TTL, or proof of death. */
  | {
      readonly kind: 'worker-expire';
      readonly at: number;
      readonly worker: NodeId;
      readonly incarnation: Incarnation;
      readonly reason: string;
    }
  /** Another quarter of the TTL in silence. */
  | {
      readonly kind: 'worker-suspect';
      readonly worker: NodeId;
      readonly incarnation: Incarnation;
      readonly quarters: number;
    }
  | { readonly kind: 'worker-heard'; readonly worker: NodeId; readonly incarnation: Incarnation }
  /**
   * A task for a worker, its range picked here: the first returned range that was not failed before, else the frontier.
   * `retry` names a failed-before range by its start instead. Its epoch is this entry's index.
   */
  | {
      readonly kind: 'grant';
      readonly at: number;
      readonly job: JobId;
      readonly worker: NodeId;
      readonly incarnation: Incarnation;
      readonly size: number;
      readonly retry: Point | null;
    }
  | {
      readonly kind: 'progress';
      readonly at: number;
      readonly cursors: readonly Headway[];
    }
  /** Of a live lease of which nothing is covered: the next one of the same range goes on behind it. */
  | {
      readonly kind: 'checkpoint';
      readonly at: number;
      readonly epoch: Epoch;
      readonly checkpoint: StageCheckpoint;
      readonly stamp: LogIndex;
    }
  /** From now on this entry's index is the epoch of the job's Master. */
  | { readonly kind: 'take-master'; readonly at: number; readonly job: JobId }
  /** The outputs that begin at these points are dropped, and the state replaces the former one, at once. */
  | {
      readonly kind: 'fold';
      readonly at: number;
      readonly job: JobId;
      /** Of its Master. */
      readonly epoch: LogIndex;
      readonly outputs: readonly Point[];
      readonly state: Handle | null;
      readonly stamp: LogIndex;
    }
  /** What its Master did wrong: the job pauses, with that for the reason. */
  | {
      readonly kind: 'master-failed';
      readonly at: number;
      readonly job: JobId;
      readonly epoch: LogIndex;
      readonly error: string;
    }
  /** Everything is covered and folded: the job is done. */
  | {
      readonly kind: 'finish-master';
      readonly at: number;
      readonly job: JobId;
      readonly epoch: LogIndex;
      readonly result: Handle | null;
      readonly stamp: LogIndex;
    }
  /** A name for a handle, in place of what it stood for. `stamp` is the smallest of the copies that were counted. */
  | {
      readonly kind: 'put-dataset';
      readonly at: number;
      readonly name: string;
      readonly handle: Handle;
      readonly stamp: LogIndex;
      readonly expected: ExpectedVersion;
      readonly ttlMs: number | null;
      readonly pinned: boolean;
    }
  | { readonly kind: 'drop-dataset'; readonly at: number; readonly name: string; readonly expected: ExpectedVersion }
  | { readonly kind: 'pin-dataset'; readonly at: number; readonly name: string; readonly pinned: boolean }
  /** Copies of these stamped below this entry's index are garbage, where nothing refers to them. */
  | { readonly kind: 'condemn'; readonly hashes: readonly BlobHash[] }
  /** The worker hands out nothing at or beyond `end` and what lies behind goes back. */
  | { readonly kind: 'shrink'; readonly at: number; readonly epoch: Epoch; readonly end: Point }
  /** `cursor` short of the committed end is progress plus release. */
  | ({ readonly kind: 'complete'; readonly at: number } & Ending)
  | ({ readonly kind: 'fail'; readonly at: number; readonly error: string } & Ending)
  | ({ readonly kind: 'release'; readonly at: number } & Ending);

/** What applying a command gave to its proposer. */
export type Outcome =
  | { readonly kind: 'created'; readonly id: JobId }
  | { readonly kind: 'exists'; readonly id: JobId }
  | { readonly kind: 'joined'; readonly incarnation: Incarnation }
  | { readonly kind: 'granted'; readonly epoch: Epoch }
  /** A grant that found nothing to give: the job changed meanwhile. Harmless. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'ok' }
  /** The dataset as this entry made it; one that was dropped, as it was. */
  | { readonly kind: 'put' | 'pinned' | 'dropped'; readonly dataset: Dataset }
  | { readonly kind: 'taken'; readonly epoch: LogIndex }
  /**
   * For progress: epochs whose report did not count. Most are no longer live; of those in `refused` (absent: none) the
   * lease lives, and its code must end, for what it emitted cannot be kept.
   */
  | { readonly kind: 'progressed'; readonly stale: readonly Epoch[]; readonly refused?: readonly Epoch[] }
  | {
      readonly kind: 'refused';
      readonly code:
        | 'SPEC_CONFLICT'
        | 'JOB_NOT_FOUND'
        | 'WRONG_STATE'
        | 'TOO_MANY_JOBS'
        | 'STALE_EPOCH'
        /** No such schedule, no such dataset. */
        | 'NOT_FOUND'
        | 'DATASET_CONFLICT'
        /** What was stored for this entry may have been deleted since. */
        | 'BLOB_CONDEMNED'
        /** What was emitted has another schema than what came before it. */
        | 'SCHEMA_CONFLICT'
        | 'INSTANCE_MISMATCH'
        /** A join beyond WORKERS_MAX, a schedule beyond SCHEDULES_MAX, a name beyond DATASETS_MAX. */
        | 'OVERLOADED';
      readonly detail: string;
    };

/** What changed, for the leader, the worker, the log line and the event stream. */
export type TableEvent =
  | { readonly kind: 'job-submitted'; readonly job: JobId }
  | { readonly kind: 'job-state'; readonly job: JobId; readonly state: JobState; readonly reason: string | null }
  /** Once for each run of a job, in the turn in which it finishes. */
  | { readonly kind: 'job-finished'; readonly job: JobId; readonly run: number; readonly state: JobState }
  /** Its controls are others now. */
  | { readonly kind: 'job-set'; readonly job: JobId; readonly controls: Controls }
  | { readonly kind: 'job-evicted'; readonly job: JobId }
  | { readonly kind: 'dataset-put'; readonly name: string; readonly version: LogIndex; readonly hash: BlobHash }
  | { readonly kind: 'dataset-dropped'; readonly name: string }
  /** Those of an entry to which nothing refers. */
  | { readonly kind: 'blobs-condemned'; readonly hashes: readonly BlobHash[] }
  | { readonly kind: 'worker-joined'; readonly worker: NodeId; readonly incarnation: Incarnation }
  | {
      readonly kind: 'worker-ended';
      readonly worker: NodeId;
      readonly incarnation: Incarnation;
      readonly reason: string;
    }
  | { readonly kind: 'task-granted'; readonly job: JobId; readonly epoch: Epoch; readonly worker: NodeId }
  | {
      readonly kind: 'task-progressed';
      readonly job: JobId;
      readonly epoch: Epoch;
      readonly worker: NodeId;
      readonly from: Point;
      readonly to: Point;
    }
  | {
      readonly kind: 'task-checkpointed';
      readonly job: JobId;
      readonly epoch: Epoch;
      readonly worker: NodeId;
      readonly stage: number;
    }
  /** Points from here on have outputs that were not there before. */
  | { readonly kind: 'outputs-added'; readonly job: JobId; readonly from: Point; readonly count: number }
  | { readonly kind: 'outputs-folded'; readonly job: JobId; readonly count: number }
  | { readonly kind: 'master-taken'; readonly job: JobId; readonly epoch: LogIndex }
  | {
      readonly kind: 'task-shrunk';
      readonly job: JobId;
      readonly epoch: Epoch;
      readonly worker: NodeId;
      readonly end: Point;
    }
  | {
      readonly kind: 'task-ended';
      readonly job: JobId;
      readonly epoch: Epoch;
      readonly worker: NodeId;
      readonly how: 'completed' | 'failed' | 'released' | 'expired' | 'cancelled';
      /** Points of [cursor, end) that went back or failed; null when nothing is left. */
      readonly rest: Range | null;
    }
  | { readonly kind: 'range-failed'; readonly job: JobId; readonly range: Range; readonly error: string }
  | { readonly kind: 'range-uncertain'; readonly job: JobId; readonly range: Range; readonly worker: NodeId };

/** A lease. Points below `cursor` are covered. */
export interface Task {
  readonly epoch: Epoch;
  readonly job: JobId;
  readonly start: Point;
  readonly end: Point;
  readonly cursor: Point;
  /** At most once: points from here on must not be begun. The cursor otherwise. */
  readonly claimed: Point;
  readonly worker: NodeId;
  readonly incarnation: Incarnation;
  /** Times this range was begun before, and failed. */
  readonly attempts: number;
  /** Of this whole range; null once anything of it is covered. */
  readonly checkpoint: StageCheckpoint | null;
}

/** A range that came back. Points of [start, touched) may have run already. */
export interface Returned {
  readonly start: Point;
  readonly end: Point;
  readonly touched: Point;
  /** 0 when it came back without a failure. */
  readonly attempts: number;
  /** Of the last failure; empty when there was none. */
  readonly error: string;
  /** Of this whole range, which is granted whole then. */
  readonly checkpoint: StageCheckpoint | null;
}

export interface FailedRange {
  readonly start: Point;
  readonly end: Point;
  readonly error: string;
  readonly attempts: number;
  readonly worker: NodeId;
  readonly at: number;
}

/** Points that were claimed and never acknowledged, by this worker under this lease: they ran once or not at all. */
export interface Uncertain {
  readonly start: Point;
  readonly end: Point;
  readonly epoch: Epoch;
  readonly worker: NodeId;
  readonly at: number;
}

/** Points of a range that may have run more than once: at most `times` times again, by these workers (the first few). */
export interface Reexecuted {
  readonly start: Point;
  readonly end: Point;
  readonly times: number;
  readonly workers: readonly NodeId[];
}

/** How a run of a job ended. */
export interface RunEnd {
  readonly run: number;
  readonly state: Extract<JobState, 'done' | 'failed' | 'cancelled'>;
}

/** What the outputs of a job look like, and which points said so. */
export interface OutputSchema extends Range {
  readonly schema: SchemaHash;
}

/** A job as others see it; a view that must not be changed. */
export interface JobView {
  readonly spec: JobSpec;
  readonly controls: Controls;
  readonly state: JobState;
  /** The job that must be done first; null when none is waited for. */
  readonly waitsFor: JobId | null;
  /** Runs that ended and that its Master, or whoever asked, was not told of yet, oldest first. */
  readonly untold: readonly RunEnd[];
  /** Why it is paused or failed; null otherwise. */
  readonly reason: string | null;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  /** Points never granted begin here. */
  readonly frontier: Point;
  /** Acknowledged points: disjoint, ascending, not touching. */
  readonly covered: readonly Range[];
  readonly coveredPoints: number;
  readonly returned: readonly Returned[];
  readonly tasks: readonly Task[];
  readonly failed: readonly FailedRange[];
  readonly failedPoints: number;
  /** Part of what is covered. */
  readonly uncertain: readonly Uncertain[];
  readonly uncertainPoints: number;
  /** How often it has been set to work: 1, and one more for each retry after it had finished. */
  readonly run: number;
  readonly reexecuted: readonly Reexecuted[];
  readonly reexecutedPoints: number;
  /** What its points emitted and no Master has folded: in range order, disjoint, within what is covered. */
  readonly outputs: readonly Output[];
  /** Of all that was ever emitted: fixed by the first output, for whose points it stands; null before. */
  readonly schema: OutputSchema | null;
  /** Null until one took the job. */
  readonly master: MasterView | null;
  /** What its Master's `finish` gave. */
  readonly result: Handle | null;
}

export interface WorkerView {
  readonly id: NodeId;
  readonly incarnation: Incarnation;
  readonly instanceId: InstanceId;
  readonly address: Address;
  readonly slots: number;
  readonly offers: readonly Offer[];
  /** Quarters of the TTL in silence that the log holds: 0 to 3. */
  readonly suspectQuarters: number;
  /** Epochs of its live tasks, ascending. */
  readonly epochs: readonly Epoch[];
}

/**
 * The state machine. Equal commands at equal indexes give equal states on every replica, and equal states give equal
 * bytes. Implemented by `JobTable` in table.ts.
 */
export interface Table {
  readonly appliedIndex: LogIndex;
  /** `payload` as made by `encodeCommand`; an empty one is the no-op of a new leader. Indexes come without a gap. */
  apply(index: LogIndex, payload: Uint8Array): { readonly outcome: Outcome; readonly events: readonly TableEvent[] };
  job(id: JobId): JobView | undefined;
  /** In order of submission. */
  jobs(): Iterable<JobView>;
  /** Ids that begin with the prefix, at most `limit`. */
  jobIdsWith(prefix: string, limit: number): readonly JobId[];
  task(epoch: Epoch): Task | undefined;
  worker(id: NodeId): WorkerView | undefined;
  /** In id order. */
  workers(): Iterable<WorkerView>;
  /** In key order. */
  schedules(): Iterable<Schedule>;
  schedule(key: string): Schedule | undefined;
  dataset(name: string): Dataset | undefined;
  /** In name order. */
  datasets(): Iterable<Dataset>;
  /** Blobs that something refers to, in no order. */
  heldBlobs(): Iterable<BlobHash>;
  /** How many times a blob is referred to. */
  referencesTo(hash: BlobHash): number;
  isHeld(hash: BlobHash): boolean;
  /** Whether a copy with this stamp is garbage for good. */
  mayDeleteBlob(hash: BlobHash, stamp: LogIndex): boolean;
  /** Whether some worker ever offered this job type (kept after it left). */
  everOffered(name: string): boolean;
  /** Canonical bytes of the whole state. */
  snapshot(): Uint8Array;
  /** Replaces the whole state. */
  restore(index: LogIndex, snapshot: Uint8Array): void;
}
