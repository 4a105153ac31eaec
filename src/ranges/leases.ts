/**
 * Leases: the live tasks of a job, and how many points they still have before them.
 *
 * Invariants: in order of their epochs · `points` is the sum of their rests.
 */
import { assert } from '../base/assert.ts';
import type { Epoch } from '../base/types.ts';
import type { Lease } from './lease.ts';

export class Leases {
  /** A Map keeps the order of insertion, and epochs only grow. */
  readonly #byEpoch = new Map<Epoch, Lease>();
  #points = 0;
  #list: readonly Lease[] | null = null;

  get count(): number {
    return this.#byEpoch.size;
  }

  /** Points from cursor to end, of all of them. */
  get points(): number {
    return this.#points;
  }

  /** The list is never changed afterwards. */
  get list(): readonly Lease[] {
    this.#list ??= Object.freeze([...this.#byEpoch.values()]);
    return this.#list;
  }

  get(epoch: Epoch): Lease | undefined {
    return this.#byEpoch.get(epoch);
  }

  /** A new one, or one that has changed. */
  set(lease: Lease): void {
    const former = this.#byEpoch.get(lease.epoch);
    this.#byEpoch.set(lease.epoch, lease);
    this.#points += restOf(lease) - (former === undefined ? 0 : restOf(former));
    this.#list = null;
  }

  remove(epoch: Epoch): void {
    const lease = this.#byEpoch.get(epoch);
    assert(lease !== undefined, 'a lease ends once');
    this.#byEpoch.delete(epoch);
    this.#points -= restOf(lease);
    this.#list = null;
  }
}

function restOf({ cursor, end }: Lease): number {
  return end - cursor;
}
