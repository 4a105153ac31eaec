/**
 * ReturnedRanges: what leases left behind, waiting for the next one.
 *
 * Two shelves. On the fresh one lie ranges whose worker was lost or let go: anyone may take the first piece at once, and
 * neighbours melt together. On the tried one lie ranges that failed: each keeps its attempts and its error, and is taken
 * whole, when the leader finds that its back-off is over.
 *
 * `touched` says how far a range may have run: points of [start, touched). It is one number, so two neighbours melt only
 * where the sum is still of that form; else the second grant would be blamed for points that nobody ever began.
 *
 * Invariants: each shelf ascends · start <= touched <= end · fresh ranges have no attempts, tried ones have some.
 */
import { assert } from '../base/assert.ts';
import type { Point, Range } from '../base/types.ts';
import type { Returned } from './types.ts';

export class ReturnedRanges {
  readonly #fresh: Returned[] = [];
  readonly #tried: Returned[] = [];
  #points = 0;
  #list: readonly Returned[] | null = null;

  get points(): number {
    return this.#points;
  }

  get count(): number {
    return this.#fresh.length + this.#tried.length;
  }

  /** Both shelves, ascending. The list is never changed afterwards. */
  get list(): readonly Returned[] {
    this.#list ??= Object.freeze([...this.#fresh, ...this.#tried].sort((left, right) => left.start - right.start));
    return this.#list;
  }

  /** Puts a range on its shelf; a fresh one melts with its neighbours where that says nothing false. */
  put(range: Returned): void {
    if (range.attempts > 0) {
      this.restore(range);
      return;
    }
    checkReturned(range);
    const shelf = this.#fresh;
    const place = firstFrom(shelf, range.start);
    const before = shelf[place - 1];
    const after = shelf[place];
    let melted = range;
    let from = place;
    let count = 0;
    if (before !== undefined && melts(before, melted)) {
      melted = melt(before, melted);
      from -= 1;
      count += 1;
    }
    if (after !== undefined && melts(melted, after)) {
      melted = melt(melted, after);
      count += 1;
    }
    shelf.splice(from, count, melted);
    this.#changed(range.end - range.start);
  }

  /** Puts a range on its shelf exactly as it is, as a snapshot had it. */
  restore(range: Returned): void {
    checkReturned(range);
    const shelf = range.attempts > 0 ? this.#tried : this.#fresh;
    shelf.splice(firstFrom(shelf, range.start), 0, range);
    this.#changed(range.end - range.start);
  }

  /** Takes at most `size` points off the front of the first fresh range; the whole of one with a checkpoint. */
  takeFresh(size: number): Returned | null {
    const first = this.#fresh[0];
    if (first === undefined) return null;
    if (first.end - first.start <= size || first.checkpoint !== null) {
      this.#fresh.shift();
      this.#changed(first.start - first.end);
      return first;
    }
    const cut = first.start + size;
    this.#fresh[0] = { ...first, start: cut, touched: Math.max(first.touched, cut) };
    this.#changed(-size);
    return { ...first, end: cut, touched: Math.min(first.touched, cut) };
  }

  /** Takes the tried range that begins at `start`, whole. */
  takeTried(start: Point): Returned | null {
    const place = firstFrom(this.#tried, start);
    const range = this.#tried[place];
    if (range === undefined || range.start !== start) return null;
    this.#tried.splice(place, 1);
    this.#changed(range.start - range.end);
    return range;
  }

  /**
   * For a job that will never grant again: whatever touches becomes one range, errors, attempts and checkpoints are forgotten, and
   * `touched` may overstate. A cancelled job then costs its holes and no more.
   */
  compact(): void {
    const merged: Returned[] = [];
    for (const { start, end, touched } of this.list) {
      const last = merged.at(-1);
      if (last === undefined || last.end !== start) merged.push(untried({ start, end }, touched));
      else merged[merged.length - 1] = { ...last, end, touched: touched > start ? touched : last.touched };
    }
    this.#tried.length = 0;
    this.#fresh.length = 0;
    // One by one: a spread of so many arguments could overflow the stack.
    for (const range of merged) this.#fresh.push(range);
    this.#list = null;
  }

  #changed(points: number): void {
    this.#points += points;
    this.#list = null;
    assert(this.#points >= 0 && Number.isSafeInteger(this.#points), 'returned points count up');
  }
}

/** A range without a failure, of which points of [start, touched) may have run. */
export function untried({ start, end }: Range, touched: Point): Returned {
  return { start, end, touched, attempts: 0, error: '', checkpoint: null };
}

/** Place of the first range of a shelf that begins at or after `start`. */
function firstFrom(shelf: readonly Returned[], start: Point): number {
  let low = 0;
  let high = shelf.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (shelf[middle]!.start < start) low = middle + 1;
    else high = middle;
  }
  return low;
}

function melts(left: Returned, right: Returned): boolean {
  if (left.checkpoint !== null || right.checkpoint !== null) return false;
  return left.end === right.start && (left.touched === left.end || right.touched === right.start);
}

function melt(left: Returned, right: Returned): Returned {
  const touched = left.touched === left.end ? right.touched : left.touched;
  return { ...left, end: right.end, touched };
}

function checkReturned(range: Returned): void {
  assert(range.start < range.end, 'a returned range is not empty');
  assert(range.start <= range.touched && range.touched <= range.end, 'touched lies within its range');
}
