/**
 * Master: the half of a job type that oversees.
 *
 * It says what a job works on, is told how it gets on, and makes one result of what all its points emitted. It runs on
 * the leader alone (its `plan` on whichever node is asked for a job), in a worker thread of the job host like all job
 * code: what it throws or how long it hangs never costs a node.
 *
 * A folder that exports a Client may export one Master beside it, any class with one of the methods `plan`, `collect`,
 * `onProgress` or `onComplete`. Polaris makes one instance a thread, and a thread may be replaced between any two calls, so
 * what must last belongs into the state; so does whatever must happen once, outside, under `key`.
 *
 * Think of somebody who copies votes into a ledger: the slips are torn up only when the page is signed, both in one stroke. Whoever
 * faints over a page leaves the last signed one and all slips since, and another clerk goes on from there. So a slip may
 * be read twice, and stands in the ledger once.
 *
 * Invariants: calls for a job come one at a time · each committed output is in the state exactly once, though `collect` may
 * have seen it more often · `finish` comes when everything is covered and in the state · `onComplete` comes at least once
 * for each run, and always with the same key · nothing is told of a run after its end was taken.
 */
import type { RecordBatch, Table } from 'apache-arrow';
import type { JobId, Json, Point } from '../base/types.ts';
import type { JobReport } from '../daemon/env.ts';

/** A job as its Master sees it. */
export interface OverseenJob<M = Readonly<Record<string, Json>>> extends Omit<JobReport, 'job'> {
  readonly id: JobId;
  readonly metadata: M;
  /** `<job>/<run>`: the same however often the end of a run is told. */
  readonly key: string;
  /** One line for the log of the node. */
  log(line: string): void;
}

/** A job that is asked for and has no range yet. */
export interface PlannedJob<M = Readonly<Record<string, Json>>> {
  readonly id: JobId;
  readonly metadata: M;
  readonly datasets: {
    /** Rows of a dataset as it stands now; the job gets this very version of it. Rejects where there is none: NOT_FOUND. */
    rows(name: string): Promise<number>;
  };
  log(line: string): void;
}

/** What a job works on: the rows of a dataset, a point each, or a range of its own, or some of the rows. */
export interface Plan {
  /** Name of a dataset. */
  readonly input?: string;
  /** The first row of the input where nothing is said. */
  readonly start?: Point;
  /** Behind the last row of the input where nothing is said. */
  readonly end?: Point;
}

/** A job whose outputs are taken in. */
export interface CollectingJob<M = Readonly<Record<string, Json>>> {
  readonly job: JobId;
  readonly metadata: M;
  log(line: string): void;
}

/** Where a batch comes from. */
export interface CollectedTask<M = Readonly<Record<string, Json>>> extends CollectingJob<M> {
  /** The points that emitted it, and perhaps others that did not, are in `[start, end)`. */
  readonly start: Point;
  readonly end: Point;
}

/** Arrow batches in any shape in which they come to hand. */
export type Batches = RecordBatch | Table | Iterable<RecordBatch | Table> | AsyncIterable<RecordBatch | Table>;

export abstract class Master<M = Readonly<Record<string, Json>>> {
  /** Whether `collect` gets outputs in range order; else as they are committed, and nothing waits for a slow range. */
  readonly ordered?: boolean;

  /** The range, and the input, of a job that was submitted without them. What it throws refuses the submit. */
  plan?(job: PlannedJob<M>): Promise<Plan> | Plan;

  /** Takes in what points emitted. A Master that has it needs `state` and `restore`. Throwing pauses the job. */
  collect?(batch: RecordBatch, task: CollectedTask<M>): Promise<void> | void;

  /** All that was taken in so far, as batches: what a successor goes on from. No batch at all says that nothing was. */
  state?(): Promise<Batches> | Batches;

  /** The first call of an instance that goes on from a state. */
  restore?(batches: readonly RecordBatch[]): Promise<void> | void;

  /** The result of the job, when everything is taken in; nothing, or no batch at all, is no result. */
  finish?(job: CollectingJob<M>): Promise<Batches | null | undefined> | Batches | null | undefined;

  /** Something moved: at most once a second, and left out where the leader changes or the last call still runs. */
  onProgress?(job: OverseenJob<M>): Promise<void> | void;

  /** A run ended. Called again, with growing pauses, until it returns without throwing. */
  onComplete?(job: OverseenJob<M>): Promise<void> | void;
}
