/**
 * What the node, its job hosts and their threads say to each other. All three come from one installation, so there is
 * no version here; but a host runs code that the node does not trust, and its numbers are checked on arrival.
 */
import type { ErrorCode } from '../base/errors.ts';
import type { Epoch, JobId, NodeId, Point } from '../base/types.ts';
import type { ExecutorEnding, MasterCall } from '../daemon/env.ts';
import type { TaskOrder } from '../wire/messages.ts';
import type { DataAnswer, DataRequest } from './data-words.ts';

/**
 * How a job type is run: its `work` in a thread, point by point or (a pipeline) with its task as a whole, or its metadata as a
 * command in a process of its own.
 */
export type JobTypeKind = 'client' | 'pipeline' | 'program';

/** First message to a host: what all its tasks have in common. */
export interface HostSetup {
  readonly type: 'setup';
  readonly job: JobId;
  readonly kind: JobTypeKind;
  /** Absolute path of the `index.js` of the job type. */
  readonly module: string;
  readonly worker: NodeId;
  /** Where the records of running programs are kept. */
  readonly recordsDir: string;
  /** Where the batches of running tasks lie. */
  readonly spoolDir: string;
  /** Content hash of the job type. */
  readonly codeHash: string;
  /** Monotonic milliseconds; `Infinity` until there is one. */
  readonly deadline: number;
  /** Old-space heap of each of its threads. */
  readonly heapMb: number;
  /** Resident memory of the host, beyond which it ends itself. */
  readonly residentMb: number;
}

/** From node to host. */
export type HostOrder =
  | HostSetup
  | { readonly type: 'run'; readonly order: TaskOrder }
  | { readonly type: 'committed'; readonly epoch: Epoch; readonly cursor: Point; readonly limit: Point }
  | { readonly type: 'keep'; readonly epoch: Epoch }
  | { readonly type: 'release'; readonly epoch: Epoch }
  | { readonly type: 'abort'; readonly epoch: Epoch }
  /** What it emitted cannot be kept: it has failed. */
  | { readonly type: 'fail'; readonly epoch: Epoch; readonly error: string }
  | { readonly type: 'data'; readonly epoch: Epoch; readonly answer: DataAnswer }
  | { readonly type: 'deadline'; readonly at: number }
  | { readonly type: 'oversee'; readonly id: number; readonly order: MasterOrder }
  | ({ readonly type: 'answer' } & AskAnswer);

export interface Position {
  readonly epoch: Epoch;
  readonly cursor: Point;
  readonly begun: Point;
}

/** How an attempt ended, as its host says it. */
export type AttemptEnding = Omit<ExecutorEnding, 'outputs'>;

/** One line of job code. `epoch` is null when no attempt was running where it came from. */
export interface JobLine {
  readonly type: 'line';
  readonly epoch: Epoch | null;
  readonly source: 'log' | 'stdout' | 'stderr';
  readonly line: string;
}

/** From host to node. */
export type HostReport =
  | { readonly type: 'progress'; readonly positions: readonly Position[] }
  | { readonly type: 'ended'; readonly ending: AttemptEnding }
  | { readonly type: 'kept'; readonly epoch: Epoch; readonly end: Point }
  | { readonly type: 'data'; readonly epoch: Epoch; readonly request: DataRequest }
  | { readonly type: 'overseen'; readonly id: number; readonly returned: MasterReturn }
  /** The Master took a step of what it was told to do. */
  | { readonly type: 'moved'; readonly id: number }
  | { readonly type: 'ask'; readonly id: number; readonly ask: number; readonly dataset: string }
  | JobLine
  /** The host is about to kill itself, and why. */
  | { readonly type: 'dying'; readonly reason: string };

export interface ThreadSetup {
  readonly module: string;
  readonly worker: NodeId;
  readonly heapMb: number;
}

/** Of a thread that works. */
export interface JobThreadSetup extends ThreadSetup {
  readonly codeHash: string;
  readonly spoolDir: string;
  /** Its tasks are worked as a whole. */
  readonly isWhole: boolean;
}

/** From host to thread. */
export type ThreadOrder =
  | { readonly type: 'run'; readonly order: TaskOrder; readonly cell: SharedArrayBuffer }
  | { readonly type: 'data'; readonly answer: DataAnswer }
  /** The committed cursor moved while the thread waited for it. */
  | { readonly type: 'wake' }
  | { readonly type: 'stop' };

/** From thread to host. Cursor and begun are in the cell. */
export type ThreadReport =
  /** Half a window was acknowledged, or the thread waits for a commit: read the cell now. */
  | { readonly type: 'nudge' }
  | { readonly type: 'data'; readonly request: DataRequest }
  | { readonly type: 'line'; readonly line: string }
  | {
      readonly type: 'ended';
      readonly ending: ExecutorEnding['ending'];
      readonly error: string;
      /** `work` threw: what it had begun side by side may still run. */
      readonly threw: boolean;
    };

// ---- the Master -----------------------------------------------------------------------------------------------------

/** What a Master is to do: hear of its job, plan one, begin to fold one from a state, or take a step of that. */
export type MasterOrder =
  | { readonly kind: 'tell'; readonly call: MasterCall }
  | { readonly kind: 'plan'; readonly job: JobId; readonly metadata: string }
  | {
      readonly kind: 'begin';
      /** Names the instance that is made. */
      readonly session: number;
      readonly job: JobId;
      readonly metadata: string;
      /** An Arrow file; null where nothing was folded yet. */
      readonly state: string | null;
    }
  | FoldStep;

/** Paths are of Arrow files: of an output to be read, or of what is to be written. */
export type FoldStep =
  | {
      readonly kind: 'collect';
      readonly session: number;
      readonly path: string;
      readonly start: Point;
      readonly end: Point;
    }
  | { readonly kind: 'save'; readonly session: number; readonly path: string }
  | { readonly kind: 'finish'; readonly session: number; readonly path: string };

/** How an order ended. It comes from where job code runs: `value` is what that says, and is read as such. */
export interface MasterReturn {
  readonly error: string | null;
  /** Of an error of the table, where it was one. */
  readonly code: string | null;
  /** No fault of the Master: the instance that was meant is gone, with its thread or its host. */
  readonly lost: boolean;
  /** What `plan` gave, and whether `state` or `finish` gave anything. */
  readonly value: unknown;
}

/** Rows of a dataset, or why there is no answer. `id` is of the order that asked. */
export type AskAnswer = { readonly id: number; readonly ask: number } & (
  | { readonly rows: number }
  | { readonly rows: null; readonly code: ErrorCode; readonly detail: string }
);

/** From host to the thread of a Master. */
export type MasterThreadOrder =
  | { readonly type: 'order'; readonly order: MasterOrder }
  | ({ readonly type: 'answer' } & AskAnswer);

/** From the thread of a Master to its host. */
export type MasterReport =
  | ({ readonly type: 'returned' } & MasterReturn)
  | { readonly type: 'moved' }
  | { readonly type: 'ask'; readonly ask: number; readonly dataset: string }
  | { readonly type: 'line'; readonly line: string };
