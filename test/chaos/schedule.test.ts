/**
 * The schedule of strikes is a function of the seed and of nothing else.
 */
import { describe, expect, test } from 'vitest';
import { chosen, compressed, createStrikes, lengthOf, strikeTimes } from '../../chaos/schedule.ts';

const every = { minMs: 15_000, maxMs: 45_000 };
const HOUR_MS = 3_600_000;

describe('the schedule', () => {
  test('a seed repeats it', () => {
    const stream = { seed: 7, label: 'kill w1', every };
    expect(strikeTimes(stream, HOUR_MS)).toEqual(strikeTimes(stream, HOUR_MS));
    const [left, right] = [createStrikes(stream), createStrikes(stream)];
    for (let at = 0; at < 100; at++) expect(left()).toEqual(right());
  });

  test('the schedules that are published stay as they are', () => {
    expect(strikeTimes({ seed: 1, label: 'kill w1', every }, 120_000)).toMatchInlineSnapshot(`
      [
        36926,
        73296,
        117897,
      ]
    `);
  });

  test('another seed and another victim have another one', () => {
    const times = ['kill w1', 'kill w2', 'leader'].flatMap((label) =>
      [1, 2].map((seed) => strikeTimes({ seed, label, every }, HOUR_MS).join()),
    );
    expect(new Set(times).size).toBe(times.length);
  });

  test('two strikes are never nearer nor farther than was said', () => {
    const times = strikeTimes({ seed: 3, label: 'kill w1', every }, 100 * HOUR_MS);
    const gaps = times.map((at, index) => at - (times[index - 1] ?? 0));
    expect(gaps.length).toBeGreaterThan(8_000);
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(every.minMs);
    expect(Math.min(...gaps)).toBeLessThan(every.minMs + 100);
    expect(Math.max(...gaps)).toBeLessThanOrEqual(every.maxMs);
    expect(Math.max(...gaps)).toBeGreaterThan(every.maxMs - 100);
  });

  test('it ends before the time that is asked for', () => {
    expect(strikeTimes({ seed: 3, label: 'kill w1', every }, every.minMs)).toEqual([]);
  });

  test('compression divides both ends', () => {
    expect(compressed(every, 10)).toEqual({ minMs: 1_500, maxMs: 4_500 });
    expect(compressed({ minMs: 5, maxMs: 50 }, 10)).toEqual({ minMs: 1, maxMs: 5 });
  });

  test('a share points at one of the items, or at a length', () => {
    expect([0, 0.34, 0.999].map((share) => chosen(['a', 'b', 'c'], share))).toEqual(['a', 'b', 'c']);
    expect(chosen([], 0.5)).toBeNull();
    expect(lengthOf({ minMs: 10, maxMs: 20 }, 0.5)).toBe(15);
  });
});
