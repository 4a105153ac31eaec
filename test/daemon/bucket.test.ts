import { expect, test } from 'vitest';
import { BUCKET_BURST_MS, BUCKET_CHUNK_MS } from '../../src/base/limits.ts';
import { createPrng } from '../../src/base/prng.ts';
import { Bucket } from '../../src/daemon/bucket.ts';

const RATE = 1_000;
const CHUNK = (RATE * BUCKET_CHUNK_MS) / 1_000;
const BURST = (RATE * BUCKET_BURST_MS) / 1_000;
const MUCH = 1e9;

test('a new bucket is empty, and gives its first chunk when that has gathered', () => {
  const bucket = new Bucket(RATE, 0);
  expect(bucket.offer(MUCH, 0)).toBe(0);
  expect(bucket.readyAt(MUCH, false, 0)).toBe(BUCKET_CHUNK_MS);
  expect(bucket.offer(MUCH, BUCKET_CHUNK_MS - 1)).toBe(0);
  expect(bucket.offer(MUCH, BUCKET_CHUNK_MS)).toBe(CHUNK);
});

test('a job that wants less than a chunk waits only for that', () => {
  const bucket = new Bucket(RATE, 0);
  expect(bucket.readyAt(3, false, 0)).toBe(3);
  expect(bucket.offer(3, 3)).toBe(3);
});

test('after a rest no more than the burst is given at once', () => {
  const bucket = new Bucket(RATE, 0);
  expect(bucket.offer(MUCH, 3_600_000)).toBe(BURST);
});

test('less than one point a second still gives whole points, one by one', () => {
  const bucket = new Bucket(0.5, 0);
  expect(bucket.offer(MUCH, 1_999)).toBe(0);
  expect(bucket.offer(MUCH, 2_000)).toBe(1);
  bucket.take(1, 2_000);
  expect(bucket.readyAt(MUCH, false, 2_000)).toBe(4_000);
});

test('a whole range larger than the bucket goes when it is full, and is paid off before anything else goes', () => {
  const bucket = new Bucket(RATE, 0);
  expect(bucket.readyAt(10 * BURST, true, 0)).toBe(BUCKET_BURST_MS);
  expect(bucket.offersWhole(10 * BURST, BUCKET_BURST_MS - 1)).toBe(false);
  expect(bucket.offersWhole(10 * BURST, BUCKET_BURST_MS)).toBe(true);
  bucket.take(10 * BURST, BUCKET_BURST_MS);
  // Nine bursts are owed, and then one chunk is needed.
  expect(bucket.readyAt(MUCH, false, BUCKET_BURST_MS)).toBe(10 * BUCKET_BURST_MS + BUCKET_CHUNK_MS);
  expect(bucket.offer(MUCH, 10 * BUCKET_BURST_MS)).toBe(0);
});

test('what was taken and not granted comes back, but never above the brim', () => {
  const bucket = new Bucket(RATE, 0);
  bucket.take(bucket.offer(MUCH, 1_000), 1_000);
  bucket.giveBack(CHUNK, 1_000);
  expect(bucket.offer(MUCH, 1_000)).toBe(CHUNK);
  bucket.giveBack(MUCH, 1_000);
  expect(bucket.offer(MUCH, 1_000)).toBe(BURST);
});

test('a new rate counts from the moment of its change', () => {
  const bucket = new Bucket(RATE, 0);
  bucket.setRate(10, 500);
  // Half a burst had gathered, and the smaller bucket holds a second of the smaller rate.
  expect(bucket.offer(MUCH, 500)).toBe(10);
  bucket.take(10, 500);
  bucket.setRate(100, 600);
  expect(bucket.offer(1, 600)).toBe(1);
  expect(bucket.offer(2, 600)).toBe(0);
  expect(bucket.readyAt(2, false, 600)).toBeCloseTo(610);
});

test('a clock that stands still gives nothing', () => {
  const bucket = new Bucket(RATE, 1_000);
  bucket.take(bucket.offer(MUCH, 2_000), 2_000);
  expect(bucket.offer(MUCH, 1_500)).toBe(0);
  expect(bucket.offer(MUCH, 2_000)).toBe(0);
});

test('over any length of time no more is given than the rate times the time', () => {
  const prng = createPrng(7);
  for (const rate of [0.3, 1, 7, 99.5, 12_345]) {
    const bucket = new Bucket(rate, 0);
    let given = 0;
    for (let now = 0; now < 100_000; now += prng.integer(1, 400)) {
      const offered = bucket.offer(prng.integer(1, 10_000), now);
      bucket.take(offered, now);
      given += offered;
      expect(given).toBeLessThanOrEqual((rate * now) / 1_000 + 1e-3);
    }
    // And not much less; a bucket that holds one point only spills what comes before somebody asks again.
    expect(given).toBeGreaterThan(0.75 * rate * 100);
  }
});
