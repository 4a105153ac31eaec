/**
 * Uncertain points: claimed by a lease that ended without a word on them. Nobody knows whether they took effect, and so
 * they count as covered and never run again unless a person asks.
 *
 * The list is a value: each change makes a new one. Neighbours of one lease are one range. Those of different leases are
 * kept apart: each names its worker, which is where the answer may be found.
 */
import { assert } from '../base/assert.ts';
import type { Range } from '../base/types.ts';
import type { Uncertain } from './types.ts';

export function addUncertain(list: readonly Uncertain[], range: Uncertain): readonly Uncertain[] {
  const found = list.findIndex((other) => other.start >= range.start);
  const place = found === -1 ? list.length : found;
  assert((list[place - 1]?.end ?? range.start) <= range.start, 'uncertain ranges do not overlap');
  assert((list[place]?.start ?? range.end) >= range.end, 'uncertain ranges do not overlap');
  return Object.freeze(list.toSpliced(place, 0, range));
}

/** The list cut in two: what lies within `range` (everything when it is null), and the rest. Of any first-class ranges. */
export function cutOut<T extends Range>(
  list: readonly T[],
  range: Range | null,
): { readonly inside: readonly T[]; readonly outside: readonly T[] } {
  if (range === null) return { inside: list, outside: Object.freeze([]) };
  const inside: T[] = [];
  const outside: T[] = [];
  for (const one of list) {
    const start = Math.max(one.start, range.start);
    const end = Math.min(one.end, range.end);
    if (start >= end) {
      outside.push(one);
      continue;
    }
    inside.push({ ...one, start, end });
    if (one.start < start) outside.push({ ...one, end: start });
    if (end < one.end) outside.push({ ...one, start: end });
  }
  return { inside, outside: Object.freeze(outside) };
}
