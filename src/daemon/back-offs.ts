/**
 * BackOffs: when a range that failed may be tried again.
 *
 * In the leader's memory only; a new leader lets each wait anew, which costs seconds and needs no entry. What a job has
 * to give is worked out anew only when its list of returned ranges is another one.
 */
import { RETRY_MS_MAX, RETRY_MS_MIN } from '../base/limits.ts';
import type { Prng } from '../base/prng.ts';
import type { JobId, Point } from '../base/types.ts';
import type { JobView, Returned } from '../ranges/types.ts';

/** A range that failed before; it is granted whole. */
export interface Tried {
  readonly start: Point;
  readonly points: number;
  readonly attempts: number;
  /** Monotonic time from which on it may be granted. */
  readonly eligibleAt: number;
}

export interface Shelf {
  /** The list that this was worked out from; such a list never changes. */
  readonly returned: readonly Returned[];
  /** Points of ranges that came back unharmed. */
  readonly freshPoints: number;
  /** By start. */
  readonly tried: ReadonlyMap<Point, Tried>;
}

const EMPTY: Shelf = { returned: [], freshPoints: 0, tried: new Map() };

export class BackOffs {
  readonly #prng: Prng;
  readonly #shelves = new Map<JobId, Shelf>();

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  /** What of a job came back. Begins the back-off of those that are seen first. */
  shelf({ spec, returned }: JobView, now: number): Shelf {
    const known = this.#shelves.get(spec.id) ?? EMPTY;
    if (known.returned === returned) return known;
    if (returned.length === 0) {
      this.#shelves.delete(spec.id);
      return EMPTY;
    }
    let freshPoints = 0;
    const tried = new Map<Point, Tried>();
    for (const { start, end, attempts } of returned) {
      const points = end - start;
      if (attempts === 0) {
        freshPoints += points;
        continue;
      }
      const before = known.tried.get(start);
      const isSame = before !== undefined && before.attempts === attempts && before.points === points;
      tried.set(start, isSame ? before : { start, points, attempts, eligibleAt: now + this.#backOff(attempts) });
    }
    const shelf = { returned, freshPoints, tried };
    this.#shelves.set(spec.id, shelf);
    return shelf;
  }

  forget(job: JobId): void {
    this.#shelves.delete(job);
  }

  #backOff(attempts: number): number {
    const full = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (attempts - 1));
    // Half of it is jitter, so that ranges that failed together do not come back together.
    return full / 2 + (this.#prng.next() * full) / 2;
  }
}
