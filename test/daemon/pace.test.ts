import { describe, expect, test } from 'vitest';
import { SHRINK_STUCK_MS, TASK_GROWTH_MAX, TASK_SIZE_FIRST, TASK_SIZE_MAX } from '../../src/base/limits.ts';
import { Pace } from '../../src/daemon/pace.ts';

const HUGE = 2 ** 50;

/** Runs one task of `size` points for `ms` and gives the time after it. */
function run(pace: Pace, epoch: number, size: number, now: number, ms: number): number {
  pace.granted({ epoch, cursor: 0, end: size }, now);
  pace.ended('j', 'w', epoch, true, now + ms);
  return now + ms;
}

test('the first task of a worker is small', () => {
  expect(new Pace().size('j', 'w', HUGE, 1)).toBe(TASK_SIZE_FIRST);
});

test('the first task of a small job leaves something for the other slots', () => {
  expect(new Pace().size('j', 'w', 10, 5)).toBe(1);
  expect(new Pace().size('j', 'w', 1, 5)).toBe(1);
});

test('a task is at most four times the one before it, however fast that was', () => {
  const pace = new Pace();
  let now = 0;
  let size = pace.size('j', 'w', HUGE, 1);
  for (let epoch = 1; epoch <= 5; epoch++) {
    now = run(pace, epoch, size, now, 1);
    const next = pace.size('j', 'w', HUGE, 1);
    expect(next).toBe(size * TASK_GROWTH_MAX);
    size = next;
  }
});

test('no task is beyond the largest size, and none is below one point', () => {
  const pace = new Pace();
  run(pace, 1, TASK_SIZE_MAX, 0, 1);
  expect(pace.size('j', 'w', HUGE, 1)).toBe(TASK_SIZE_MAX);
  run(pace, 2, TASK_SIZE_MAX, 0, 1e15);
  const slow = new Pace();
  run(slow, 1, 1, 0, 60_000);
  expect(slow.size('j', 'w', HUGE, 1)).toBe(1);
});

test('the size settles where a task takes five seconds', () => {
  const pace = new Pace();
  let now = 0;
  let size = pace.size('j', 'w', HUGE, 1);
  for (let epoch = 1; epoch < 30; epoch++) {
    now = run(pace, epoch, size, now, size * 10);
    size = pace.size('j', 'w', HUGE, 1);
  }
  expect(size).toBe(500);
});

test('near the end a task takes half of its share of what is left, until it is not worth less', () => {
  const pace = new Pace();
  run(pace, 1, 10_000, 0, 10_000);
  // One point a millisecond: the target is 5,000 points, the floor of one second is 1,000.
  expect(pace.size('j', 'w', 100_000, 10)).toBe(5_000);
  expect(pace.size('j', 'w', 40_000, 10)).toBe(2_000);
  expect(pace.size('j', 'w', 4_000, 10)).toBe(1_000);
});

test('a scrap from the end of a range tells nothing of the speed', () => {
  const pace = new Pace();
  run(pace, 1, 10_000, 0, 10_000);
  run(pace, 2, 10, 20_000, 10_000);
  expect(pace.size('j', 'w', HUGE, 1)).toBe(5_000);
});

test('small tasks that do not end are no scraps: the speed is learnt from them', () => {
  const pace = new Pace();
  run(pace, 1, 10_000, 0, 10_000);
  for (const epoch of [2, 3, 4]) run(pace, epoch, 10, 20_000, 10_000);
  expect(pace.size('j', 'w', HUGE, 1)).toBe(5_000);
  run(pace, 5, 10, 20_000, 10_000);
  expect(pace.size('j', 'w', HUGE, 1)).toBe(40);
});

test('a task that was not completed tells nothing of the speed', () => {
  const pace = new Pace();
  pace.granted({ epoch: 1, cursor: 0, end: 1_000_000 }, 0);
  pace.ended('j', 'w', 1, false, 1);
  expect(pace.size('j', 'w', HUGE, 1)).toBe(TASK_SIZE_FIRST);
});

describe('what a task will still take', () => {
  const task = { epoch: 9, job: 'j', start: 0, end: 1_000, worker: 'w', incarnation: 1, attempts: 0, checkpoint: null };

  test('follows from its own headway, whatever the worker did before', () => {
    const pace = new Pace();
    run(pace, 1, 10_000, 0, 1_000);
    pace.granted({ ...task, cursor: 0 }, 2_000);
    expect(pace.left({ ...task, cursor: 100 }, 4_000)).toBe(18_000);
  });

  test('counts from where a new leader found it', () => {
    const pace = new Pace();
    pace.granted({ ...task, cursor: 500 }, 0);
    expect(pace.left({ ...task, cursor: 600 }, 1_000)).toBe(4_000);
  });

  test('is told by the speed of its worker at first, then by its standing still', () => {
    const pace = new Pace();
    pace.granted({ ...task, cursor: 0 }, 0);
    expect(pace.left({ ...task, cursor: 0 }, 10)).toBeNull();
    expect(pace.left({ ...task, cursor: 0 }, SHRINK_STUCK_MS)).toBe(Number.POSITIVE_INFINITY);
    run(pace, 1, 10_000, 0, 1_000);
    expect(pace.left({ ...task, cursor: 0 }, 10)).toBe(100);
  });

  test('is unknown for a task that nobody told of', () => {
    expect(new Pace().left({ ...task, cursor: 500 }, 1_000)).toBeNull();
  });
});

test('a task that was shrunk tells the speed by the points that it kept', () => {
  const pace = new Pace();
  pace.granted({ epoch: 1, cursor: 0, end: 10_000 }, 0);
  pace.shrunk({ epoch: 1, end: 500 });
  pace.ended('j', 'w', 1, true, 1_000);
  expect(pace.size('j', 'w', HUGE, 1)).toBe(500 * TASK_GROWTH_MAX);
});

test('a worker that is gone, and a job that is over, are forgotten', () => {
  const pace = new Pace();
  run(pace, 1, 1_000, 0, 1);
  pace.forgetWorker('w');
  expect(pace.size('j', 'w', HUGE, 1)).toBe(TASK_SIZE_FIRST);
  run(pace, 2, 1_000, 0, 1);
  pace.moved('j', 5, 0);
  pace.forgetJob('j');
  expect(pace.size('j', 'w', HUGE, 1)).toBe(TASK_SIZE_FIRST);
  expect(pace.rate('j', 1_000)).toBe(0);
});

test('a steady job has a steady rate from its first seconds on, and an idle one falls to nothing', () => {
  const pace = new Pace();
  let now = 0;
  for (; now < 2_000; now += 10) pace.moved('j', 5, now);
  expect(pace.rate('j', now)).toBeGreaterThan(480);
  expect(pace.rate('j', now)).toBeLessThan(520);
  expect(pace.rate('j', now + 60_000)).toBeLessThan(1);
});
