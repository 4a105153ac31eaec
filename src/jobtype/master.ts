/**
 * Master: the half of a job type that oversees.
 *
 * It is told how a job gets on and how each run of it ended. It runs on the leader alone, in a worker thread of the job
 * host like all job code: what it throws or how long it hangs costs a call, never a node.
 *
 * A folder that exports a Client may export one Master beside it, any class with an `onProgress` or an `onComplete`
 * method. Polaris makes one instance a thread, and a thread may be replaced between any two calls, so what must last
 * belongs outside; so does whatever must happen once, under `key`.
 *
 * Invariants: calls for a job come one at a time · `onComplete` comes at least once for each run, and always with the same
 * key · nothing is told of a run after its end was taken.
 */
import type { JobId, Json } from '../base/types.ts';
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

export abstract class Master<M = Readonly<Record<string, Json>>> {
  /** Something moved: at most once a second, and left out where the leader changes or the last call still runs. */
  onProgress?(job: OverseenJob<M>): Promise<void> | void;

  /** A run ended. Called again, with growing pauses, until it returns without throwing. */
  onComplete?(job: OverseenJob<M>): Promise<void> | void;
}
