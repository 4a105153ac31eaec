/**
 * Losses: what did not go well in a job, and whether it is more than the job may bear.
 *
 * Points that failed, points of which nobody knows, and points that may have run twice are kept as ranges, each with who
 * had it. A person who sees them may let the job go on: what he has seen is forgiven, and only what comes on top counts.
 *
 * Invariants: the sums are those of the lists · each list is bounded, and never changes once it was given out.
 */
import { FAILED_RANGES_MAX, FIRST_FAILURES_MAX, UNCERTAIN_RANGES_MAX } from '../base/limits.ts';
import type { NodeId, Range } from '../base/types.ts';
import { addFailed } from './failed.ts';
import { toleratedPoints } from './options.ts';
import { addReexecuted, reexecutedPoints } from './reexecuted.ts';
import type { FailedRange, Reexecuted, Tolerance, Uncertain } from './types.ts';
import { addUncertain, cutOut } from './uncertain.ts';

/** What a snapshot holds of it. */
export interface LossesImage {
  readonly failed: readonly FailedRange[];
  readonly uncertain: readonly Uncertain[];
  readonly reexecuted: readonly Reexecuted[];
  /** Failed and uncertain points that a person has seen: those of the last start, resume or retry. */
  readonly forgiven: number;
  /** Tasks that failed in a row since then; null once anything was acknowledged. */
  readonly firstFailures: number | null;
}

/** Failed and uncertain ranges that are to be tried again, and what stays. */
export interface Cut {
  readonly failed: readonly Range[];
  readonly uncertain: readonly Range[];
  readonly left: Pick<LossesImage, 'failed' | 'uncertain'>;
}

export class Losses {
  #failed: readonly FailedRange[] = Object.freeze([]);
  #failedPoints = 0;
  #uncertain: readonly Uncertain[] = Object.freeze([]);
  #uncertainPoints = 0;
  #reexecuted: readonly Reexecuted[] = Object.freeze([]);
  #reexecutedPoints = 0;
  #forgiven = 0;
  #firstFailures: number | null = 0;

  get failed(): readonly FailedRange[] {
    return this.#failed;
  }

  get failedPoints(): number {
    return this.#failedPoints;
  }

  get uncertain(): readonly Uncertain[] {
    return this.#uncertain;
  }

  get uncertainPoints(): number {
    return this.#uncertainPoints;
  }

  get reexecuted(): readonly Reexecuted[] {
    return this.#reexecuted;
  }

  get reexecutedPoints(): number {
    return this.#reexecutedPoints;
  }

  get forgiven(): number {
    return this.#forgiven;
  }

  get firstFailures(): number | null {
    return this.#firstFailures;
  }

  restore({ failed, uncertain, reexecuted, forgiven, firstFailures }: LossesImage): void {
    this.#set({ failed: Object.freeze([...failed]), uncertain: Object.freeze([...uncertain]) });
    this.#reexecuted = Object.freeze([...reexecuted]);
    this.#reexecutedPoints = reexecutedPoints(reexecuted);
    this.#forgiven = forgiven;
    this.#firstFailures = firstFailures;
  }

  /** Points that may have run are given to this worker. */
  ranAgain(range: Range, worker: NodeId): void {
    this.#reexecuted = addReexecuted(this.#reexecuted, range, worker);
    this.#reexecutedPoints = reexecutedPoints(this.#reexecuted);
  }

  /** False when the list is as long as it may be, and nothing in it can be merged. */
  addFailed(range: FailedRange): boolean {
    const failed = addFailed(this.#failed, range);
    if (failed !== null) this.#set({ failed, uncertain: this.#uncertain });
    return failed !== null;
  }

  addUncertain(range: Uncertain): void {
    this.#set({ failed: this.#failed, uncertain: addUncertain(this.#uncertain, range) });
  }

  /** What of it lies within `range` (everywhere when it is null). Nothing changes yet. */
  cut(range: Range | null, withUncertain: boolean): Cut {
    const failed = cutOut(this.#failed, range);
    const uncertain = withUncertain ? cutOut(this.#uncertain, range) : { inside: [], outside: this.#uncertain };
    const left = { failed: failed.outside, uncertain: uncertain.outside };
    return { failed: failed.inside, uncertain: uncertain.inside, left };
  }

  /** What was cut out is to be tried again. False when what is left would be too much. */
  leave({ left }: Cut): boolean {
    if (left.failed.length > FAILED_RANGES_MAX) return false;
    this.#set(left);
    return true;
  }

  /** A task was acknowledged, in part or whole. */
  acknowledged(): void {
    this.#firstFailures = null;
  }

  taskFailed(): void {
    if (this.#firstFailures !== null) this.#firstFailures += 1;
  }

  /** A person has seen what went wrong so far. */
  forgive(): void {
    this.#forgiven = this.#failedPoints + this.#uncertainPoints;
    this.#firstFailures = 0;
  }

  /** Why a job of so many points fares worse than it may; null when it does not. `last` names the failure just now. */
  complaint(tolerate: Tolerance, total: number, last: string): string | null {
    if ((this.#firstFailures ?? 0) >= FIRST_FAILURES_MAX) {
      return `its first ${FIRST_FAILURES_MAX} tasks failed in a row, the last on ${last}`;
    }
    const trouble = this.#failedPoints + this.#uncertainPoints - this.#forgiven;
    if (trouble > toleratedPoints(tolerate, total)) {
      const counts = `${this.#failedPoints} points failed and ${this.#uncertainPoints} are uncertain`;
      return `${counts}, more than it tolerates (${tolerate})`;
    }
    return this.#uncertain.length > UNCERTAIN_RANGES_MAX ? `it has ${this.#uncertain.length} uncertain ranges` : null;
  }

  #set({ failed, uncertain }: Pick<LossesImage, 'failed' | 'uncertain'>): void {
    this.#failed = failed;
    this.#failedPoints = pointsOf(failed);
    this.#uncertain = uncertain;
    this.#uncertainPoints = pointsOf(uncertain);
  }
}

function pointsOf(ranges: readonly Range[]): number {
  return ranges.reduce((points, { start, end }) => points + (end - start), 0);
}
