/**
 * Throttle: a token bucket, so that a snapshot takes its share of a line and no more.
 *
 * A tap that drips into a bucket: what is not drawn is kept, up to the brim, and whoever draws more than there is waits
 * for the next drops. Time is an argument.
 *
 * Invariants: over any stretch of time no more is given than the brim and what dripped meanwhile · time that goes back
 * gives nothing.
 */
import { assert } from '../base/assert.ts';

export class TokenBucket {
  readonly #perMs: number;
  readonly #brim: number;
  #tokens: number;
  #filledAt: number | null = null;

  /** Full at first. */
  constructor(options: { readonly perSecond: number; readonly brim: number }) {
    assert(options.perSecond > 0 && options.brim > 0, 'a bucket has a tap and a brim');
    this.#perMs = options.perSecond / 1_000;
    this.#brim = options.brim;
    this.#tokens = options.brim;
  }

  /** Takes so many tokens at this monotonic time, or none and says false. */
  take(count: number, now: number): boolean {
    assert(count <= this.#brim, 'what is asked for fits into the bucket');
    const elapsedMs = Math.max(0, now - (this.#filledAt ?? now));
    this.#filledAt = Math.max(now, this.#filledAt ?? now);
    this.#tokens = Math.min(this.#brim, this.#tokens + elapsedMs * this.#perMs);
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }
}
