import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FAILED_RANGES_MAX, REEXECUTED_RANGES_MAX } from '../../src/base/limits.ts';
import { addFailed } from '../../src/ranges/failed.ts';
import { addReexecuted, reexecutedPoints } from '../../src/ranges/reexecuted.ts';
import { ReturnedRanges } from '../../src/ranges/returned.ts';
import type { FailedRange, Reexecuted } from '../../src/ranges/types.ts';

const SIZE = 30;

const range = fc
  .tuple(fc.nat({ max: SIZE - 1 }), fc.integer({ min: 1, max: SIZE }))
  .map(([start, length]) => ({ start, end: Math.min(SIZE, start + length) }));

describe('the list of re-executed ranges', () => {
  test('is the height of the pile of all that was laid on it', () => {
    fc.assert(
      fc.property(fc.array(range, { maxLength: 30 }), (ranges) => {
        const pile = new Array<number>(SIZE).fill(0);
        let list: readonly Reexecuted[] = [];
        for (const { start, end } of ranges) {
          list = addReexecuted(list, { start, end }, 'w1');
          for (let point = start; point < end; point++) pile[point]! += 1;
        }
        const heights = new Array<number>(SIZE).fill(0);
        for (const { start, end, times } of list) heights.fill(times, start, end);
        expect(heights).toEqual(pile);
        expect(reexecutedPoints(list)).toBe(pile.reduce((sum, height) => sum + height, 0));
        list.forEach((one, i) => {
          const next = list[i + 1];
          if (next?.start === one.end) expect(next.times).not.toBe(one.times);
        });
      }),
      { numRuns: 500 },
    );
  });

  test('merges where that overstates least when it is full, and never understates', () => {
    let list: readonly Reexecuted[] = [];
    for (let i = 0; i < REEXECUTED_RANGES_MAX; i++)
      list = addReexecuted(list, { start: 10 * i, end: 10 * i + 5 }, 'w1');
    expect(list).toHaveLength(REEXECUTED_RANGES_MAX);
    const before = reexecutedPoints(list);
    list = addReexecuted(list, { start: 10 * REEXECUTED_RANGES_MAX - 4, end: 10 * REEXECUTED_RANGES_MAX }, 'w1');
    expect(list).toHaveLength(REEXECUTED_RANGES_MAX);
    // One gap of one point is filled, and no gap of five.
    expect(list.at(-1)).toEqual({
      start: 10 * REEXECUTED_RANGES_MAX - 10,
      end: 10 * REEXECUTED_RANGES_MAX,
      times: 1,
      workers: ['w1'],
    });
    expect(reexecutedPoints(list)).toBe(before + 4 + 1);
  });

  test('counts no further than safe integers go', () => {
    const everything = { start: 0, end: Number.MAX_SAFE_INTEGER };
    let list = addReexecuted([], everything, 'w1');
    list = addReexecuted(list, everything, 'w1');
    expect(list).toEqual([{ ...everything, times: 2, workers: ['w1'] }]);
    expect(reexecutedPoints(list)).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe('the list of failed ranges', () => {
  const failed = (start: number, end: number, error: string, at = 1): FailedRange => ({
    start,
    end,
    error,
    attempts: at,
    worker: `w${at}`,
    at,
  });

  test('joins neighbours with the same error and keeps the later word', () => {
    let list = addFailed([], failed(0, 5, 'same', 7))!;
    list = addFailed(list, failed(10, 15, 'same', 3))!;
    list = addFailed(list, failed(5, 10, 'same', 5))!;
    expect(list).toEqual([{ start: 0, end: 15, error: 'same', attempts: 7, worker: 'w7', at: 7 }]);
  });

  test('when full, merges neighbours that touch whatever their errors, and drops no point', () => {
    let list: readonly FailedRange[] = [];
    for (let i = 0; i <= FAILED_RANGES_MAX + 5; i++) list = addFailed(list, failed(i, i + 1, `error ${i}`, i))!;
    expect(list).toHaveLength(FAILED_RANGES_MAX);
    let reached = 0;
    for (const { start, end } of list) {
      expect(start).toBe(reached);
      reached = end;
    }
    expect(reached).toBe(FAILED_RANGES_MAX + 6);
  });

  test('when full of ranges that do not touch, takes no more', () => {
    let list: readonly FailedRange[] = [];
    for (let i = 0; i < FAILED_RANGES_MAX; i++) list = addFailed(list, failed(2 * i, 2 * i + 1, 'same'))!;
    expect(addFailed(list, failed(-2, -1, 'same'))).toBeNull();
    expect(addFailed(list, failed(1, 2, 'other'))).not.toBeNull();
  });
});

describe('returned ranges', () => {
  test('never lose a point and never forget that one may have run, however they melt', () => {
    const piece = fc.record({
      length: fc.integer({ min: 1, max: 6 }),
      touched: fc.nat({ max: 6 }),
      attempts: fc.constantFrom(0, 0, 0, 1),
      order: fc.nat(),
    });
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 12 }), fc.integer({ min: 1, max: 9 }), (pieces, size) => {
        const shelf = new ReturnedRanges();
        const ran: boolean[] = [];
        const ranges = pieces.map(({ length, touched, attempts, order }) => {
          const start = ran.length;
          for (let i = 0; i < length; i++) ran.push(i < touched);
          const back = { touched: start + Math.min(touched, length), attempts, error: '', checkpoint: null };
          return { start, end: start + length, order, ...back };
        });
        for (const { order: _, ...one } of ranges.toSorted((a, b) => a.order - b.order)) shelf.put(one);
        expect(shelf.points).toBe(ran.length);
        const taken = ran.map(() => null as boolean | null);
        for (let got = shelf.takeFresh(size); got !== null; got = shelf.takeFresh(size)) {
          expect(got.end - got.start).toBeLessThanOrEqual(size);
          for (let point = got.start; point < got.end; point++) taken[point] = point < got.touched;
        }
        for (const { start, end, touched } of shelf.list) {
          const got = shelf.takeTried(start);
          expect(got).toMatchObject({ start, end, touched });
          for (let point = start; point < end; point++) taken[point] = point < touched;
        }
        expect(taken).toEqual(ran);
        expect([shelf.points, shelf.count]).toEqual([0, 0]);
      }),
      { numRuns: 500 },
    );
  });
});
