/**
 * Fenced sinks: where effects go exactly once, whatever dies in between.
 *
 * Polaris alone can do a point at least once or at most once: between an effect and its commit there is always a moment.
 * A sink that keeps the effect and the memory of it in one transaction closes that moment, and one that knows leases can
 * tell the worker that holds a point from the one that only believes so.
 *
 * Invariants: a point takes effect in the transaction that moves its cursor, or not at all · at most one epoch may push a
 * point, and it is never an older one than one that has opened it.
 */
import type { Epoch, Point, Range } from '../base/types.ts';

/** The effects of one job. A value is what a point leaves there. */
export interface FencedSink<V> {
  /**
   * Takes the range over for the lease of this epoch: from now on older epochs can push nothing in it.
   *
   * @throws PolarisError STALE_EPOCH when a newer epoch has opened some of it, or the job was dropped since.
   */
  open(range: Range, epoch: Epoch): Promise<FencedTask<V>>;
  /** Forgets a finished job, all but the newest epoch of it: a worker that slept through its end stays locked out. */
  drop(): Promise<void>;
}

/** The sink, as one lease may use it. */
export interface FencedTask<V> {
  /** What was done already when it was opened: disjoint, ascending, not touching. To be skipped. */
  readonly done: readonly Range[];
  /**
   * The effect of a point, once. Points are pushed in ascending order; those that are done are passed over. A push that
   * was cut off may be repeated.
   *
   * @throws PolarisError STALE_EPOCH when the point belongs to another lease, OUT_OF_ORDER when it is not the next
   */
  push(point: Point, value: V): Promise<Pushed>;
  /** The same for consecutive points, in one round trip a thousand. Gives how many took effect by this call. */
  pushMany(first: Point, values: readonly V[]): Promise<number>;
}

export type Pushed = 'pushed' | 'already-done';
