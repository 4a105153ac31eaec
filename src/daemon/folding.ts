/**
 * Folding: when the Master of one job takes in what its points emitted, and which of it. Pure; `fold-duty.ts` carries it out.
 *
 * What is folded becomes part of a state that the log names by one entry, which drops the outputs in the same stroke. So it
 * does not matter where an order ends early: whoever goes on has the state and the outputs that the log has, and nothing
 * is in both. A state is written anew with each fold, however little came in; so a few outputs wait for more, unless there are no more.
 *
 * Invariants: one order at a time, under the epoch of our own take · in order, no output is taken in before every point in
 * front of it is covered · it finishes when everything is covered and no output is left.
 */
import { assert } from '../base/assert.ts';
import {
  FOLD_BACKLOG_MAX,
  FOLD_BYTES_MAX,
  FOLD_DEATHS_MAX,
  FOLD_INTERVAL_MS,
  FOLD_OUTPUTS_MAX,
  FOLD_RETRY_MS_MAX,
  FOLD_RETRY_MS_MIN,
} from '../base/limits-masters.ts';
import type { Prng } from '../base/prng.ts';
import type { LogIndex } from '../base/types.ts';
import { isForOutputs } from '../ranges/outputs.ts';
import type { JobView, Output } from '../ranges/types.ts';
import type { Collecting, FoldEnding } from './env.ts';

/** What there is to be done. */
export type FoldMove =
  /** Nothing before this monotonic time, unless the job changes; infinite when only that helps. */
  | { readonly kind: 'rest'; readonly until: number }
  | { readonly kind: 'take' }
  /** An order to the Master: these outputs, or (null) to finish. */
  | { readonly kind: 'order'; readonly epoch: LogIndex; readonly outputs: readonly Output[] | null };

export type FoldedJob = Pick<
  JobView,
  'spec' | 'state' | 'reason' | 'covered' | 'coveredPoints' | 'failed' | 'outputs' | 'master'
>;

const REST: FoldMove = { kind: 'rest', until: Number.POSITIVE_INFINITY };

export class Folding {
  readonly #collecting: Collecting;
  readonly #prng: Prng;
  /** Of our own take; null before it. */
  #epoch: LogIndex | null = null;
  #foldedAt = Number.NEGATIVE_INFINITY;
  #deaths = 0;
  #failures = 0;
  #retryAt = Number.NEGATIVE_INFINITY;
  #trouble: string | null = null;

  constructor(collecting: Collecting, prng: Prng) {
    this.#collecting = collecting;
    this.#prng = prng;
  }

  /** As `backlogOf`, for its Master. */
  backlog(job: FoldedJob): string | null {
    return backlogOf(job, this.#collecting);
  }

  /** What went wrong last, as long as nothing has gone right since. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /** To be asked when nothing of it is under way. */
  next(job: FoldedJob, now: number): FoldMove {
    if (!mayFold(job)) return REST;
    const isCovered = job.coveredPoints === job.spec.end - job.spec.start;
    const ready = this.#collecting === 'in-order' ? job.outputs.slice(0, countReady(job)) : job.outputs;
    if (ready.length === 0 && !(isCovered && job.outputs.length === 0)) return REST;
    if (now < this.#retryAt) return { kind: 'rest', until: this.#retryAt };
    if (this.#epoch === null) return { kind: 'take' };
    // Another one took it, so we do not lead any more, and will be told so.
    if (job.master?.epoch !== this.#epoch) return REST;
    if (ready.length === 0) return { kind: 'order', epoch: this.#epoch, outputs: null };
    const outputs = cut(ready);
    const dueAt = this.#foldedAt + FOLD_INTERVAL_MS;
    if (outputs.length === job.outputs.length && !isCovered && outputs.length < FOLD_OUTPUTS_MAX && now < dueAt) {
      return { kind: 'rest', until: dueAt };
    }
    return { kind: 'order', epoch: this.#epoch, outputs };
  }

  taken(epoch: LogIndex): void {
    assert(this.#epoch === null, 'a leader takes a job once');
    this.#epoch = epoch;
    this.#wentWell();
  }

  /** The log has it. */
  folded(now: number): void {
    this.#foldedAt = now;
    this.#wentWell();
  }

  /** The log, or whoever was asked, would not have it. Whether it is to be tried again by itself; else the job is to pause. */
  failed({ culprit, error }: Omit<Extract<FoldEnding, { kind: 'failed' }>, 'kind'>, now: number): boolean {
    this.#trouble = error;
    this.#failures += 1;
    if (culprit === 'host') this.#deaths += 1;
    const full = Math.min(FOLD_RETRY_MS_MAX, FOLD_RETRY_MS_MIN * 2 ** (this.#failures - 1));
    this.#retryAt = now + full / 2 + (this.#prng.next() * full) / 2;
    const isHopeless = culprit === 'master' || this.#deaths >= FOLD_DEATHS_MAX;
    // Whoever resumes the job begins with a clean sheet.
    if (isHopeless) this.#wentWell();
    return !isHopeless;
  }

  #wentWell(): void {
    this.#deaths = 0;
    this.#failures = 0;
    this.#retryAt = Number.NEGATIVE_INFINITY;
    this.#trouble = null;
  }
}

/** It runs; or it waits for nothing else than for us. */
export function mayFold({ state, reason }: Pick<JobView, 'state' | 'reason'>): boolean {
  return state === 'running' || (state === 'paused' && isForOutputs(reason));
}

/**
 * Why nothing new of a job is granted: its Master is behind. Null when it is not. In order, what stands behind a failed point is
 * not waited for: nobody can take it in before a person has that point tried again, and the rest of the job is to come to its end.
 */
export function backlogOf(
  job: Pick<FoldedJob, 'spec' | 'covered' | 'failed' | 'outputs'>,
  collecting: Collecting | null,
): string | null {
  const { spec, outputs } = job;
  if (!spec.collects || outputs.length < FOLD_BACKLOG_MAX) return null;
  const count = collecting === 'in-order' && isStopped(job) ? countReady(job) : outputs.length;
  return count < FOLD_BACKLOG_MAX ? null : `its Master has ${count} outputs to take in`;
}

/** The first point that is not covered has failed. */
function isStopped({ spec, covered: [first], failed }: Pick<FoldedJob, 'spec' | 'covered' | 'failed'>): boolean {
  const open = first?.start === spec.start ? first.end : spec.start;
  return failed.some(({ start, end }) => start <= open && open < end);
}

/** Outputs in front of which no point is open. They lie in what is covered, so those of its first piece are they. */
function countReady({ spec, covered: [first], outputs }: Pick<FoldedJob, 'spec' | 'covered' | 'outputs'>): number {
  if (first === undefined || first.start !== spec.start) return 0;
  let count = 0;
  for (const output of outputs) {
    if (output.start >= first.end) break;
    count += 1;
  }
  return count;
}

/** As many as one order takes, and at least one. */
function cut(outputs: readonly Output[]): readonly Output[] {
  let bytes = 0;
  let count = 0;
  for (const { handle } of outputs) {
    bytes += handle.bytes;
    if (count > 0 && (bytes > FOLD_BYTES_MAX || count === FOLD_OUTPUTS_MAX)) break;
    count += 1;
  }
  return outputs.slice(0, count);
}
