/**
 * Failed ranges as first-class objects: which points failed, why, how often, where last.
 *
 * A poison stretch fails piece by piece, so neighbours with the same error are one range. The list is a value: each
 * change makes a new one, which costs little because failures are rare and the list is bounded.
 */
import { assert } from '../base/assert.ts';
import { FAILED_RANGES_MAX } from '../base/limits.ts';
import type { FailedRange } from './types.ts';

/**
 * The list with one range more, or null when it would be too long even after neighbours that touch are merged whatever
 * their errors. Ranges that do not touch are never merged: the points between them are covered, or have yet to run.
 */
export function addFailed(list: readonly FailedRange[], range: FailedRange): readonly FailedRange[] | null {
  const place = placeOf(list, range);
  const before = list[place - 1];
  const after = list[place];
  let merged = range;
  let from = place;
  let count = 0;
  if (before !== undefined && before.end === merged.start && before.error === merged.error) {
    merged = mergeFailed(before, merged);
    from -= 1;
    count += 1;
  }
  if (after !== undefined && merged.end === after.start && after.error === merged.error) {
    merged = mergeFailed(merged, after);
    count += 1;
  }
  const longer = list.toSpliced(from, count, merged);
  if (longer.length <= FAILED_RANGES_MAX) return Object.freeze(longer);
  const touching = longer.findIndex((right, i) => i > 0 && longer[i - 1]!.end === right.start);
  if (touching === -1) return null;
  return Object.freeze(longer.toSpliced(touching - 1, 2, mergeFailed(longer[touching - 1]!, longer[touching]!)));
}

/** One range over two that touch: with the error of the later failure and the larger number of attempts. */
function mergeFailed(left: FailedRange, right: FailedRange): FailedRange {
  const later = left.at > right.at ? left : right;
  return { ...later, start: left.start, end: right.end, attempts: Math.max(left.attempts, right.attempts) };
}

function placeOf(list: readonly FailedRange[], range: FailedRange): number {
  const found = list.findIndex((other) => other.start >= range.start);
  const place = found === -1 ? list.length : found;
  assert((list[place - 1]?.end ?? range.start) <= range.start, 'failed ranges do not overlap');
  assert((list[place]?.start ?? range.end) >= range.end, 'failed ranges do not overlap');
  return place;
}
