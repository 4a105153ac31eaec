/**
 * The worker's side of a fenced sink: batches, and the points that are still to be done.
 *
 * Invariant: whatever a store answers, a task never says more than the store did: no memory of its own says what is done.
 */
import { PolarisError } from '../base/errors.ts';
import { SINK_BATCH_POINTS_MAX } from '../base/limits.ts';
import type { Epoch, Point, Range } from '../base/types.ts';
import { checkEpoch, checkRange } from './fence.ts';
import type { FencedTask, Pushed } from './types.ts';

/** What is different in each store. All three are atomic. */
export interface FenceStore<V> {
  /** Gives the done ranges within the range. */
  open(range: Range, epoch: Epoch): Promise<readonly Range[]>;
  /** At most SINK_BATCH_POINTS_MAX values. Gives how many took effect by this call. */
  push(first: Point, values: readonly V[], epoch: Epoch): Promise<number>;
  drop(): Promise<void>;
}

export async function openTask<V>(store: FenceStore<V>, range: Range, epoch: Epoch): Promise<FencedTask<V>> {
  checkRange(range);
  checkEpoch(epoch);
  const done = await store.open({ start: range.start, end: range.end }, epoch);
  const pushMany = async (first: Point, values: readonly V[]): Promise<number> => {
    if (values.length === 0) return 0;
    checkRange({ start: first, end: first + values.length });
    let count = 0;
    for (let from = 0; from < values.length; from += SINK_BATCH_POINTS_MAX) {
      count += await store.push(first + from, values.slice(from, from + SINK_BATCH_POINTS_MAX), epoch);
    }
    return count;
  };
  return {
    done,
    pushMany,
    async push(point: Point, value: V): Promise<Pushed> {
      return (await pushMany(point, [value])) === 1 ? 'pushed' : 'already-done';
    },
  };
}

/**
 * The points of a task that the sink does not have yet. Every point is still asked of Polaris, the done ones too: that is
 * what acknowledges them.
 */
export async function* fencedPoints<V>(
  task: { points(): AsyncIterable<Point> },
  fenced: FencedTask<V>,
): AsyncGenerator<Point> {
  const { done } = fenced;
  let at = 0;
  for await (const point of task.points()) {
    for (let range = done[at]; range !== undefined && range.end <= point; range = done[at]) at += 1;
    const range = done[at];
    if (range === undefined || point < range.start) yield point;
  }
}

/** @throws PolarisError BAD_OPTION for a job that no key could be made of. */
export function checkJob(job: string): void {
  if (/^[\x21-\x7a|~]{1,200}$/.test(job)) return;
  throw new PolarisError(
    'BAD_OPTION',
    'job must be the id of a job: 1 to 200 printable characters, no braces or spaces',
  );
}
