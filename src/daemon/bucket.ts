/**
 * Bucket: how many points of a job may be granted now, so that the whole cluster keeps its points a second.
 *
 * Think of a cistern under a thin pipe: it fills at the rate that was asked for, holds one second of it, and a grant
 * takes out what it gives. It begins empty, with a job and with every leader, so that no change of leaders lets more
 * through than the rate times the time. What comes back from a lost worker is paid for again when it is granted again,
 * for it may run again.
 *
 * A range that failed before is granted whole, and may be larger than the cistern: then the level falls below zero, and
 * nothing more is given until it has risen again.
 *
 * Pure: time is an argument (monotonic milliseconds).
 */
import { assert } from '../base/assert.ts';
import { BUCKET_BURST_MS, BUCKET_CHUNK_MS } from '../base/limits.ts';

/** Of a point: what rounding may cost over a refill. */
const ROUNDING = 1e-6;

export class Bucket {
  #rate: number;
  #level = 0;
  #filledAt: number;

  constructor(pointsPerSecond: number, now: number) {
    assert(pointsPerSecond > 0, 'a rate lets something through');
    this.#rate = pointsPerSecond;
    this.#filledAt = now;
  }

  /** Points a second. */
  get rate(): number {
    return this.#rate;
  }

  /** What has gathered so far was gathered at the former rate. */
  setRate(pointsPerSecond: number, now: number): void {
    if (pointsPerSecond === this.#rate) return;
    assert(pointsPerSecond > 0, 'a rate lets something through');
    this.#fill(now);
    this.#rate = pointsPerSecond;
    this.#level = Math.min(this.#level, this.#capacity);
  }

  /** How many of `wanted` points may be granted now; 0 while less than a worthwhile chunk has gathered. */
  offer(wanted: number, now: number): number {
    this.#fill(now);
    if (this.#level + ROUNDING < this.#chunk(wanted)) return 0;
    return Math.min(wanted, Math.floor(this.#level + ROUNDING));
  }

  /** Whether a piece that cannot be cut may be granted now. */
  offersWhole(points: number, now: number): boolean {
    this.#fill(now);
    return this.#level + ROUNDING >= Math.min(points, this.#capacity);
  }

  /** When `offer` of so many points, or `offersWhole`, will say yes, if nothing is taken until then. */
  readyAt(wanted: number, whole: boolean, now: number): number {
    this.#fill(now);
    const needed = whole ? Math.min(wanted, this.#capacity) : this.#chunk(wanted);
    return now + Math.max(0, ((needed - this.#level) / this.#rate) * 1_000);
  }

  take(points: number, now: number): void {
    this.#fill(now);
    this.#level -= points;
  }

  /** Of what was taken, so much was not granted after all. */
  giveBack(points: number, now: number): void {
    this.#fill(now);
    this.#level = Math.min(this.#capacity, this.#level + points);
  }

  get #capacity(): number {
    return Math.max(1, (this.#rate * BUCKET_BURST_MS) / 1_000);
  }

  #chunk(wanted: number): number {
    return Math.min(wanted, Math.max(1, Math.floor((this.#rate * BUCKET_CHUNK_MS) / 1_000)));
  }

  #fill(now: number): void {
    const gathered = (this.#rate * Math.max(0, now - this.#filledAt)) / 1_000;
    this.#filledAt = Math.max(this.#filledAt, now);
    this.#level = Math.min(this.#capacity, this.#level + gathered);
  }
}
