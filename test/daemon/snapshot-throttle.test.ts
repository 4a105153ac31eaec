import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { TokenBucket } from '../../src/daemon/snapshot-throttle.ts';

describe('the token bucket', () => {
  test('gives its brim at once, then what drips, and keeps no more than the brim', () => {
    const bucket = new TokenBucket({ perSecond: 1_000, brim: 100 });
    expect(bucket.take(100, 5_000)).toBe(true);
    expect(bucket.take(1, 5_000)).toBe(false);
    expect(bucket.take(10, 5_009)).toBe(false);
    expect(bucket.take(10, 5_010)).toBe(true);
    expect(bucket.take(100, 60_000)).toBe(true);
    expect(bucket.take(1, 60_000)).toBe(false);
  });

  test('gives nothing for time that goes back', () => {
    const bucket = new TokenBucket({ perSecond: 1_000, brim: 100 });
    bucket.take(100, 1_000);
    expect(bucket.take(1, 500)).toBe(false);
    expect(bucket.take(1, 1_000)).toBe(false);
    expect(bucket.take(1, 1_001)).toBe(true);
  });

  test('over any stretch of time gives no more than the brim and what dripped', () => {
    const draws = fc.array(fc.tuple(fc.nat(50), fc.integer({ min: 1, max: 64 })), { maxLength: 100 });
    fc.assert(
      fc.property(draws, (steps) => {
        const bucket = new TokenBucket({ perSecond: 2_000, brim: 64 });
        let now = 0;
        const given: { at: number; count: number }[] = [];
        for (const [delay, count] of steps) {
          now += delay;
          if (bucket.take(count, now)) given.push({ at: now, count });
        }
        for (let from = 0; from < given.length; from++) {
          let sum = 0;
          for (const { at, count } of given.slice(from)) {
            sum += count;
            expect(sum).toBeLessThanOrEqual(64 + (at - (given[from]?.at ?? 0)) * 2 + 1e-6);
          }
        }
      }),
    );
  });
});
