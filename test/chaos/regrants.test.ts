/**
 * The time from a loss to the next lease of the rest.
 */
import { describe, expect, test } from 'vitest';
import { type LiveTask, Regrants } from '../../chaos/regrants.ts';

function task(changes: Partial<LiveTask> = {}): LiveTask {
  return { start: 0, end: 50, cursor: 20, epoch: 5, worker: 'w1', ...changes };
}

describe('a lost task', () => {
  test('is measured until somebody has a part of its rest under a newer epoch', () => {
    const regrants = new Regrants();
    regrants.seen([task()], [], 1_000);
    regrants.workerLost('w1', 1_100);
    regrants.seen([task(), task({ start: 50, cursor: 50, end: 90, epoch: 9, worker: 'w2' })], [], 1_200);
    expect(regrants.times).toEqual([]);
    regrants.seen([task({ start: 20, epoch: 12, worker: 'w2' })], [], 1_700);
    expect(regrants.times).toEqual([600]);
    regrants.seen([task({ start: 20, epoch: 13, worker: 'w2' })], [], 1_900);
    expect(regrants.times).toEqual([600]);
  });

  test('of another worker is none of it', () => {
    const regrants = new Regrants();
    regrants.seen([task({ worker: 'w2' })], [], 1_000);
    regrants.workerLost('w1', 1_100);
    regrants.seen([task({ epoch: 6 })], [], 1_200);
    expect(regrants.times).toEqual([]);
  });

  test('whose rest turns out to be done leaves nothing to measure', () => {
    const regrants = new Regrants();
    regrants.seen([task()], [[0, 20]], 1_000);
    regrants.workerLost('w1', 1_100);
    regrants.seen([], [[0, 50]], 1_200);
    regrants.seen([task({ epoch: 9 })], [[0, 20]], 1_300);
    expect(regrants.times).toEqual([]);
  });

  test('that threw is measured from the point at which it did', () => {
    const regrants = new Regrants();
    regrants.taskFailed(5, 30, 1_000);
    regrants.seen([task({ start: 31, cursor: 31, epoch: 6 })], [], 1_100);
    regrants.seen([task({ start: 30, cursor: 30, end: 31, epoch: 7 })], [], 1_500);
    expect(regrants.times).toEqual([500]);
  });
});
