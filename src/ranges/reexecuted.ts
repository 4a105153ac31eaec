/**
 * Which points may have run more than once, and how many times again at most.
 *
 * Every time a lease covers points that an earlier lease may have begun, one layer is laid over them; the list is the
 * height of the pile. The true number of repeats is never above it, and that is all it promises: when the list is full,
 * the two neighbours whose merging overstates least become one.
 *
 * Invariants: ascending, disjoint, times >= 1 · neighbours that touch differ in `times` · at most REEXECUTED_RANGES_MAX.
 */
import { REEXECUTED_RANGES_MAX } from '../base/limits.ts';
import type { Range } from '../base/types.ts';
import type { Reexecuted } from './types.ts';

/** The list with one layer more over `[start, end)`. */
export function addReexecuted(list: readonly Reexecuted[], { start, end }: Range): readonly Reexecuted[] {
  const result: Reexecuted[] = [];
  // Where the new layer has got to: what lies below it is done.
  let from = start;
  for (const old of list) {
    const low = Math.max(old.start, start);
    const high = Math.min(old.end, end);
    if (from < end && from < low) {
      push(result, from, Math.min(low, end), 1);
      from = Math.min(low, end);
    }
    if (low >= high) {
      push(result, old.start, old.end, old.times);
      continue;
    }
    push(result, old.start, low, old.times);
    push(result, low, high, old.times + 1);
    push(result, high, old.end, old.times);
    from = high;
  }
  push(result, from, end, 1);
  while (result.length > REEXECUTED_RANGES_MAX) mergeCheapest(result);
  return Object.freeze(result);
}

/** Points times repeats. Stays at 2^53-1 when it would be more: it is a number for people. */
export function reexecutedPoints(list: readonly Reexecuted[]): number {
  let points = 0;
  for (const { start, end, times } of list) points += (end - start) * times;
  return Math.min(points, Number.MAX_SAFE_INTEGER);
}

function push(result: Reexecuted[], start: number, end: number, times: number): void {
  if (start >= end) return;
  const last = result.at(-1);
  if (last !== undefined && last.end === start && last.times === times) result[result.length - 1] = { ...last, end };
  else result.push({ start, end, times });
}

function mergeCheapest(result: Reexecuted[]): void {
  let cheapest = 0;
  let cost = Number.POSITIVE_INFINITY;
  for (let i = 0; i + 1 < result.length; i++) {
    const left = result[i]!;
    const right = result[i + 1]!;
    const over = reexecutedPoints([span(left, right)]) - reexecutedPoints([left, right]);
    if (over < cost) {
      cost = over;
      cheapest = i;
    }
  }
  const merged = span(result[cheapest]!, result[cheapest + 1]!);
  const after = result[cheapest + 2];
  const before = result[cheapest - 1];
  // The merged one may now equal a neighbour that it touches.
  const tail = after !== undefined && after.start === merged.end && after.times === merged.times;
  const head = before !== undefined && before.end === merged.start && before.times === merged.times;
  const whole = { ...merged, start: head ? before.start : merged.start, end: tail ? after.end : merged.end };
  result.splice(head ? cheapest - 1 : cheapest, 2 + (head ? 1 : 0) + (tail ? 1 : 0), whole);
}

function span(left: Reexecuted, right: Reexecuted): Reexecuted {
  return { start: left.start, end: right.end, times: Math.max(left.times, right.times) };
}
