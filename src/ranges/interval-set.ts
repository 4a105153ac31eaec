/**
 * IntervalSet: a set of integers, kept as disjoint ranges that ascend and never touch.
 *
 * Think of a ruler with pencil marks: every mark switches between outside and inside. The marks stand in one flat sorted
 * array (start, end, start, end, …), so how many marks lie below a point says by its parity whether the point is inside,
 * and every operation is two binary searches and one splice. Memory grows with the holes, never with the points.
 *
 * Invariants: marks ascend strictly · their count is even · `points` is their sum and a safe integer.
 */
import { assert } from '../base/assert.ts';
import type { Point, Range } from '../base/types.ts';

export class IntervalSet {
  #marks: number[] = [];
  #points = 0;
  /** What `ranges` gave out last; a change drops it, so that a list once given out never changes. */
  #ranges: readonly Range[] | null = null;

  static from(ranges: Iterable<Range>): IntervalSet {
    const set = new IntervalSet();
    for (const range of ranges) set.add(range.start, range.end);
    return set;
  }

  /** How many integers are in the set. */
  get points(): number {
    return this.#points;
  }

  /** How many disjoint ranges it takes to say so. */
  get count(): number {
    return this.#marks.length / 2;
  }

  /** The disjoint ranges, ascending, not touching. The list is never changed afterwards. */
  get ranges(): readonly Range[] {
    if (this.#ranges === null) {
      const marks = this.#marks;
      const ranges: Range[] = [];
      for (let i = 0; i < marks.length; i += 2) ranges.push({ start: marks[i]!, end: marks[i + 1]! });
      this.#ranges = Object.freeze(ranges);
    }
    return this.#ranges;
  }

  /** Adds `[start, end)`, and says how many of its points are new. */
  add(start: Point, end: Point): number {
    checkRange(start, end);
    const fresh = end - start - this.pointsWithin(start, end);
    const points = this.#points + fresh;
    assert(Number.isSafeInteger(points), 'an interval set holds at most 2^53-1 points');
    if (fresh === 0) return 0;
    this.#points = points;
    this.#ranges = null;
    const marks = this.#marks;
    const last = marks.length - 1;
    // A job mostly grows at its far end: two cases that need neither search nor splice.
    if (last < 0 || start > marks[last]!) marks.push(start, end);
    else if (start === marks[last]) marks[last] = end;
    else this.#replace(start, end, 0);
    return fresh;
  }

  /** Takes `[start, end)` out, and says how many points that were in the set are gone. */
  subtract(start: Point, end: Point): number {
    checkRange(start, end);
    const gone = this.pointsWithin(start, end);
    if (gone === 0) return 0;
    this.#points -= gone;
    this.#ranges = null;
    this.#replace(start, end, 1);
    return gone;
  }

  contains(point: Point): boolean {
    return this.#countUpTo(point) % 2 === 1;
  }

  /** Whether every point of `[start, end)` is in the set. */
  containsAll(start: Point, end: Point): boolean {
    checkRange(start, end);
    const below = this.#countUpTo(start);
    return below % 2 === 1 && end <= this.#marks[below]!;
  }

  /** How many points of `[start, end)` are in the set. */
  pointsWithin(start: Point, end: Point): number {
    let points = 0;
    for (const range of this.within(start, end)) points += range.end - range.start;
    return points;
  }

  /** The parts of the set in `[start, end)`. */
  *within(start: Point, end: Point): Generator<Range> {
    const marks = this.#marks;
    const below = this.#countUpTo(start);
    for (let i = below - (below % 2); i < marks.length && marks[i]! < end; i += 2) {
      yield { start: Math.max(start, marks[i]!), end: Math.min(end, marks[i + 1]!) };
    }
  }

  /** The parts of `[start, end)` that are not in the set. */
  *gaps(start: Point, end: Point): Generator<Range> {
    let from = start;
    for (const range of this.within(start, end)) {
      if (from < range.start) yield { start: from, end: range.start };
      from = range.end;
    }
    if (from < end) yield { start: from, end };
  }

  /** The points that are in both sets. */
  intersect(other: IntervalSet): IntervalSet {
    const [few, many] = this.count <= other.count ? [this, other] : [other, this];
    const both = new IntervalSet();
    for (const range of few.ranges) {
      for (const part of many.within(range.start, range.end)) both.add(part.start, part.end);
    }
    return both;
  }

  /**
   * Makes `[start, end)` all inside (`outside` 0) or all outside (1). Marks in [start, end], ends included, vanish; a
   * new one appears at either end unless the side beyond it is already what the range becomes. Marks *at* the ends go too,
   * and so touching neighbours coalesce.
   */
  #replace(start: Point, end: Point, outside: 0 | 1): void {
    const from = this.#countBelow(start);
    const to = this.#countUpTo(end);
    const marks: number[] = [];
    if (from % 2 === outside) marks.push(start);
    if (to % 2 === outside) marks.push(end);
    this.#marks.splice(from, to - from, ...marks);
  }

  /** How many marks are less than `point`. */
  #countBelow(point: Point): number {
    const marks = this.#marks;
    let low = 0;
    let high = marks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (marks[middle]! < point) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** How many marks are at most `point`. */
  #countUpTo(point: Point): number {
    const count = this.#countBelow(point);
    return this.#marks[count] === point ? count + 1 : count;
  }
}

function checkRange(start: Point, end: Point): void {
  assert(Number.isSafeInteger(start) && Number.isSafeInteger(end), 'the ends of a range are safe integers');
  assert(start < end, 'a range is not empty');
  assert(Number.isSafeInteger(end - start), 'a range has at most 2^53-1 points');
}
