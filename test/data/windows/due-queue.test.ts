/**
 * The queue of what is due: order, early entries, and windows that are gone.
 */
import { expect, test } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import { DueQueue } from '../../../src/data/windows/due-queue.ts';
import type { OpenWindow } from '../../../src/data/windows/open.ts';

function windowAt(start: number): OpenWindow {
  const group = { keys: [], text: '', windows: [] };
  return { group, start, end: start, main: null, late: null, fired: false, gone: false, queued: false };
}

test('gives what is due by moment, and nothing before its time', () => {
  const prng = createPrng(3);
  const queue = new DueQueue();
  for (let at = 0; at < 500; at++) {
    const moment = prng.integer(0, 200);
    queue.push(moment, windowAt(moment));
  }
  const given: number[] = [];
  for (let watermark = 0; watermark < 200; watermark += 7) {
    for (let next = queue.pop(watermark); next !== null; next = queue.pop(watermark)) {
      expect(next.start).toBeLessThanOrEqual(watermark);
      expect(next.queued).toBe(false);
      given.push(next.start);
    }
  }
  expect(given).toEqual([...given].sort((left, right) => left - right));
  expect(given.length + queue.size).toBe(500);
});

test('forgets windows that are gone, and gives the others in their order all the same', () => {
  const prng = createPrng(4);
  const queue = new DueQueue();
  const windows = Array.from({ length: 4_000 }, () => windowAt(prng.integer(0, 1_000)));
  for (const window of windows) queue.push(window.start, window);
  for (const [at, window] of windows.entries()) window.gone = at % 10 !== 0;
  queue.sweep(400);
  expect(queue.size).toBe(400);
  const given: number[] = [];
  for (let next = queue.pop(1_000); next !== null; next = queue.pop(1_000)) given.push(next.start);
  const left = windows.filter(({ gone }) => !gone).map(({ start }) => start);
  expect(given).toEqual(left.sort((one, other) => one - other));
});
