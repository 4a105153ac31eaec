/**
 * Which points may have run more than once, and how many times again at most.
 *
 * Every time a lease covers points that an earlier lease may have begun, one layer is laid over them; the list is the
 * height of the pile. The true number of repeats is never above it, and that is all it promises: when the list is full,
 * the two neighbours whose merging overstates least become one.
 *
 * Invariants: ascending, disjoint, times >= 1 · neighbours that touch differ in `times` or `workers` · at most REEXECUTED_RANGES_MAX.
 */
import { REEXECUTED_RANGES_MAX, REEXECUTED_WORKERS_MAX } from '../base/limits.ts';
import type { NodeId, Range } from '../base/types.ts';
import type { Reexecuted } from './types.ts';

/** The list with one layer more over `[start, end)`, laid by this worker. */
export function addReexecuted(
  list: readonly Reexecuted[],
  { start, end }: Range,
  worker: NodeId,
): readonly Reexecuted[] {
  const alone: readonly NodeId[] = [worker];
  const result: Reexecuted[] = [];
  // Where the new layer has got to: what lies below it is done.
  let from = start;
  for (const old of list) {
    const low = Math.max(old.start, start);
    const high = Math.min(old.end, end);
    if (from < end && from < low) {
      push(result, { start: from, end: Math.min(low, end), times: 1, workers: alone });
      from = Math.min(low, end);
    }
    if (low >= high) {
      push(result, old);
      continue;
    }
    push(result, { ...old, end: low });
    push(result, { start: low, end: high, times: old.times + 1, workers: together(old.workers, alone) });
    push(result, { ...old, start: high });
    from = high;
  }
  push(result, { start: from, end, times: 1, workers: alone });
  while (result.length > REEXECUTED_RANGES_MAX) mergeCheapest(result);
  return Object.freeze(result);
}

/** Points times repeats. Stays at 2^53-1 when it would be more: it is a number for people. */
export function reexecutedPoints(list: readonly Pick<Reexecuted, 'start' | 'end' | 'times'>[]): number {
  let points = 0;
  for (const { start, end, times } of list) points += (end - start) * times;
  return Math.min(points, Number.MAX_SAFE_INTEGER);
}

/** Those of the first list, then the new ones of the second: the first few. */
function together(left: readonly NodeId[], right: readonly NodeId[]): readonly NodeId[] {
  const all = [...left];
  for (const worker of right) if (!all.includes(worker) && all.length < REEXECUTED_WORKERS_MAX) all.push(worker);
  return all;
}

function alike(left: Reexecuted, right: Reexecuted): boolean {
  return left.times === right.times && left.workers.join('\0') === right.workers.join('\0');
}

function push(result: Reexecuted[], range: Reexecuted): void {
  if (range.start >= range.end) return;
  const last = result.at(-1);
  const isSame = last !== undefined && last.end === range.start && alike(last, range);
  if (isSame) result[result.length - 1] = { ...last, end: range.end };
  else result.push(range);
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
  const tail = after !== undefined && after.start === merged.end && alike(after, merged);
  const head = before !== undefined && before.end === merged.start && alike(before, merged);
  const whole = { ...merged, start: head ? before.start : merged.start, end: tail ? after.end : merged.end };
  result.splice(head ? cheapest - 1 : cheapest, 2 + (head ? 1 : 0) + (tail ? 1 : 0), whole);
}

function span(left: Reexecuted, right: Reexecuted): Reexecuted {
  const workers = together(left.workers, right.workers);
  return { start: left.start, end: right.end, times: Math.max(left.times, right.times), workers };
}
