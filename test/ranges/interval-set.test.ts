import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IntervalSet } from '../../src/ranges/interval-set.ts';

/** Points of the model: small enough to keep one by one. */
const SIZE = 24;

const range = fc
  .tuple(fc.integer({ min: 0, max: SIZE - 1 }), fc.integer({ min: 1, max: SIZE }))
  .map(([start, length]) => ({ start, end: Math.min(SIZE, start + length) }));

const step = fc.record({ kind: fc.constantFrom('add', 'subtract'), range });

/** The ranges of a model, the slow way. */
function rangesOf(model: readonly boolean[], wanted = true): { start: number; end: number }[] {
  const ranges: { start: number; end: number }[] = [];
  model.forEach((inside, point) => {
    if (inside !== wanted) return;
    const last = ranges.at(-1);
    if (last?.end === point) last.end = point + 1;
    else ranges.push({ start: point, end: point + 1 });
  });
  return ranges;
}

function run(steps: readonly { kind: string; range: { start: number; end: number } }[]) {
  const set = new IntervalSet();
  const model: boolean[] = Array.from({ length: SIZE }, () => false);
  for (const { kind, range } of steps) {
    const inside = kind === 'add';
    let changed = 0;
    for (let point = range.start; point < range.end; point++) {
      if (model[point] !== inside) changed += 1;
      model[point] = inside;
    }
    expect(inside ? set.add(range.start, range.end) : set.subtract(range.start, range.end)).toBe(changed);
    expect(set.ranges).toEqual(rangesOf(model));
  }
  return { set, model };
}

describe('an interval set', () => {
  test('is at every step what a table of booleans is', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const { set, model } = run(steps);
        expect(set.points).toBe(model.filter(Boolean).length);
        expect(set.count).toBe(rangesOf(model).length);
        model.forEach((inside, point) => {
          expect(set.contains(point)).toBe(inside);
        });
      }),
      { numRuns: 500 },
    );
  });

  test('knows which parts of a range it holds and which it lacks', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 20 }), range, (steps, { start, end }) => {
        const { set, model } = run(steps);
        const window = model.map((inside, point) => inside && point >= start && point < end);
        const holes = model.map((inside, point) => !inside && point >= start && point < end);
        expect([...set.within(start, end)]).toEqual(rangesOf(window));
        expect([...set.gaps(start, end)]).toEqual(rangesOf(holes));
        expect(set.pointsWithin(start, end)).toBe(window.filter(Boolean).length);
        expect(set.containsAll(start, end)).toBe(!holes.some(Boolean));
      }),
      { numRuns: 500 },
    );
  });

  test('intersects with another point by point', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 15 }), fc.array(step, { maxLength: 15 }), (left, right) => {
        const one = run(left);
        const two = run(right);
        const both = one.model.map((inside, point) => inside && two.model[point] === true);
        expect(one.set.intersect(two.set).ranges).toEqual(rangesOf(both));
      }),
      { numRuns: 300 },
    );
  });

  test('melts ranges that touch', () => {
    const set = IntervalSet.from([
      { start: 0, end: 5 },
      { start: 10, end: 15 },
    ]);
    set.add(5, 10);
    expect(set.ranges).toEqual([{ start: 0, end: 15 }]);
  });

  test('holds 2^53-1 points and not one more', () => {
    const set = new IntervalSet();
    set.add(0, Number.MAX_SAFE_INTEGER);
    expect(set.points).toBe(Number.MAX_SAFE_INTEGER);
    expect(() => set.add(-1, 0)).toThrow('2^53-1');
    expect(set.points).toBe(Number.MAX_SAFE_INTEGER);
    expect(set.subtract(1, Number.MAX_SAFE_INTEGER)).toBe(Number.MAX_SAFE_INTEGER - 1);
    expect(set.add(-5, 0)).toBe(5);
    expect(set.ranges).toEqual([{ start: -5, end: 1 }]);
  });

  test('refuses ranges that are empty, unsafe or too long', () => {
    const set = new IntervalSet();
    expect(() => set.add(5, 5)).toThrow('not empty');
    expect(() => set.subtract(6, 5)).toThrow('not empty');
    expect(() => set.add(0, 2 ** 53)).toThrow('safe integers');
    expect(() => set.add(0.5, 2)).toThrow('safe integers');
    expect(() => set.add(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)).toThrow('2^53-1');
  });

  test('never changes a list of ranges that it gave out', () => {
    const set = IntervalSet.from([{ start: 0, end: 5 }]);
    const before = set.ranges;
    set.add(5, 9);
    expect(before).toEqual([{ start: 0, end: 5 }]);
    expect(Object.isFrozen(before)).toBe(true);
  });
});
