/**
 * Sums of floats without an error, against the nearest float found by search.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ExactSum } from '../../../src/data/windows/exact-sum.ts';
import { nearest, toUnits } from './floats.ts';

const RUNS = { seed: 7, numRuns: 400 };
const finite = fc.double({ noNaN: true, noDefaultInfinity: true });
const tiny = fc.integer({ min: -20, max: 20 }).map((units) => units * Number.MIN_VALUE);
const values = fc.array(
  fc.oneof(
    finite,
    tiny,
    fc.integer({ min: -999, max: 999 }).map((cents) => cents / 100),
  ),
  {
    maxLength: 12,
  },
);

function sumOf(floats: readonly number[]): ExactSum {
  const sum = new ExactSum();
  for (const float of floats) sum.add(float);
  return sum;
}

test('a sum is the nearest float to the exact one, and a mean is rounded once', () => {
  fc.assert(
    fc.property(values, fc.integer({ min: 1, max: 1_000_000 }), (floats, count) => {
      const units = floats.reduce((total, float) => total + toUnits(float), 0n);
      expect(sumOf(floats).value()).toBe(nearest(units, 1n) + 0);
      expect(sumOf(floats).dividedBy(count) + 0).toBe(nearest(units, BigInt(count)) + 0);
    }),
    RUNS,
  );
});

test('order and grouping leave the very same parts', () => {
  fc.assert(
    fc.property(values, values, (one, other) => {
      const apart = sumOf(one);
      apart.combine(sumOf(other));
      expect(apart.parts()).toEqual(sumOf([...other, ...one].reverse()).parts());
      expect(ExactSum.of(apart.parts()).value()).toBe(apart.value());
    }),
    RUNS,
  );
});

test('the edges of the floats are hit exactly', () => {
  const { MAX_VALUE, MIN_VALUE } = Number;
  expect(sumOf([MAX_VALUE, MAX_VALUE, -MAX_VALUE]).value()).toBe(MAX_VALUE);
  expect(sumOf([MAX_VALUE, MAX_VALUE]).value()).toBe(Number.POSITIVE_INFINITY);
  expect(sumOf([MAX_VALUE, 2 ** 969]).value()).toBe(MAX_VALUE);
  expect(sumOf([MAX_VALUE, 2 ** 970]).value()).toBe(Number.POSITIVE_INFINITY);
  expect(sumOf([MAX_VALUE, MAX_VALUE]).dividedBy(2)).toBe(MAX_VALUE);
  expect(sumOf([MIN_VALUE, -MIN_VALUE]).value()).toBe(0);
  expect(sumOf([MIN_VALUE]).dividedBy(2)).toBe(0);
  expect(sumOf([3 * MIN_VALUE]).dividedBy(2)).toBe(2 * MIN_VALUE);
  expect(sumOf([MIN_VALUE]).dividedBy(1_000_000)).toBe(0);
  expect(sumOf([2 ** 53, 1]).value()).toBe(2 ** 53);
  expect(sumOf([2 ** 53, 1, MIN_VALUE]).value()).toBe(2 ** 53 + 2);
});
