import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { FAILED_RANGES_MAX, FIRST_FAILURES_MAX } from '../../src/base/limits.ts';
import { jobId, Pen, type SpecChanges } from './fixtures.ts';

function started(changes: SpecChanges = {}): Pen {
  const pen = new Pen();
  pen.submit(changes);
  pen.join();
  return pen;
}

/** Runs every range that waits until none does; `poison` fails whatever task holds it. Gives the attempts it took. */
function drive(pen: Pen, size: number, poison: ReadonlySet<number>, attemptsMax = 10_000): number {
  for (let attempts = 0; attempts < attemptsMax; attempts++) {
    if (pen.job().state === 'paused' || pen.job().finishedAt !== null) return attempts;
    const isFree = pen.job().returned.some((range) => range.attempts === 0) || pen.job().frontier < pen.job().spec.end;
    const tried = pen.job().returned.find((range) => range.attempts > 0);
    const epoch = pen.grant(size, isFree ? {} : { retry: must(tried, 'something waits').start });
    const { start, end } = must(pen.table.task(epoch), 'it was granted');
    const bad = [...poison].find((point) => start <= point && point < end);
    if (bad === undefined) pen.complete(epoch);
    else if (pen.job().spec.exposure === 'task') pen.fail(epoch, start, end, `bad ${bad}`);
    else pen.fail(epoch, bad, bad + 1, `bad ${bad}`);
  }
  throw new Error('it never ends');
}

describe('a poison point', () => {
  test('of a program among a million others ends alone, after few attempts more, and all others are covered', () => {
    const pen = started({ end: 1e6, exposure: 'task', options: { maxAttempts: 3 } });
    const attempts = drive(pen, 1e6, new Set([765_432]));
    expect(pen.job()).toMatchObject({ state: 'failed', coveredPoints: 1e6 - 1, failedPoints: 1 });
    expect(pen.job().failed).toMatchObject([{ start: 765_432, end: 765_433, error: 'bad 765432' }]);
    expect(attempts - 1).toBeLessThanOrEqual(60);
  });

  test('of code that takes points costs no other point a second run', () => {
    const pen = started({ end: 10_000, options: { maxAttempts: 3, commitEvery: 100 } });
    drive(pen, 1_000, new Set([4_321]));
    expect(pen.job().failed).toMatchObject([{ start: 4_321, end: 4_322, attempts: 3 }]);
    expect(pen.job().reexecuted).toEqual([{ start: 4_321, end: 4_322, times: 2, workers: ['w1'] }]);
  });

  test('of a job with one attempt fails with all that was begun beside it', () => {
    const pen = started({ options: { maxAttempts: 1 } });
    pen.fail(pen.grant(50), 10, 20);
    expect(pen.job().failed).toMatchObject([{ start: 10, end: 20, attempts: 1 }]);
    expect(pen.job().returned).toMatchObject([{ start: 20, end: 50, attempts: 0 }]);
  });

  test('is not looked for when nothing was begun', () => {
    const pen = started({ options: { maxAttempts: 2 } });
    pen.fail(pen.grant(100), 0, 0, 'program not found');
    pen.fail(pen.grant(1, { retry: 0 }), 0, 0, 'program not found');
    expect(pen.job()).toMatchObject({ state: 'failed', failed: [{ start: 0, end: 100, attempts: 2 }] });
  });
});

describe('a job that fares badly pauses by itself', () => {
  test('when more points failed than it tolerates, and says how many', () => {
    const pen = started({ options: { maxAttempts: 1, tolerate: 2 } });
    pen.complete(pen.grant(10));
    for (let i = 0; i < 2; i++) pen.fail(pen.grant(1), 10 + i, 11 + i);
    expect(pen.job().state).toBe('running');
    pen.fail(pen.grant(1), 12, 13);
    expect(pen.job()).toMatchObject({
      state: 'paused',
      reason: '3 points failed and 0 are uncertain, more than it tolerates (2)',
    });
    expect(pen.tryGrant(1)).toEqual({ kind: 'nothing' });
  });

  test('and after a resume bears as many again', () => {
    const pen = started({ options: { maxAttempts: 1, tolerate: '1%' } });
    pen.complete(pen.grant(10));
    const failNext = () => {
      const epoch = pen.grant(1);
      const { start } = must(pen.table.task(epoch), 'it was granted');
      pen.fail(epoch, start, start + 1);
    };
    failNext();
    failNext();
    expect(pen.job().state).toBe('paused');
    pen.control('resume');
    failNext();
    expect(pen.job().state).toBe('running');
    failNext();
    expect(pen.job()).toMatchObject({ state: 'paused', failedPoints: 4 });
  });

  test('when its first tasks fail one after the other', () => {
    const pen = started({ end: 1e6, options: { maxAttempts: 3 } });
    for (let i = 1; i < FIRST_FAILURES_MAX; i++)
      pen.fail(pen.grant(100), 100 * (i - 1), 100 * (i - 1), 'no such table');
    expect(pen.job().state).toBe('running');
    pen.fail(pen.grant(100), 100 * (FIRST_FAILURES_MAX - 1), 100 * (FIRST_FAILURES_MAX - 1), 'no such table');
    expect(pen.job()).toMatchObject({
      state: 'paused',
      reason: 'its first 20 tasks failed in a row, the last on w1: no such table',
    });
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
  });

  test('but not when one point was acknowledged between', () => {
    const pen = started({ end: 1e6, options: { maxAttempts: 1 } });
    for (let i = 0; i < 2 * FIRST_FAILURES_MAX; i++) {
      const epoch = pen.grant(2);
      const { start } = must(pen.table.task(epoch), 'it was granted');
      pen.fail(epoch, start + (i === 5 ? 1 : 0), start + 2);
    }
    expect(pen.job().state).toBe('running');
  });

  test('and a job of 10^9 points that all fail stays small, and ends', () => {
    const pen = started({ end: 1e9, exposure: 'task', options: { maxAttempts: 1, tolerate: '100%', taskSize: 1e6 } });
    for (let task = 0; task < 1_000; task++) {
      pen.fail(pen.grant(1e6), 1e6 * task, 1e6 * (task + 1), 'down');
      if (pen.job().state === 'paused') pen.control('resume');
    }
    expect(pen.job()).toMatchObject({ state: 'failed', failedPoints: 1e9 });
    expect(pen.job().failed).toHaveLength(1);
    expect(pen.table.snapshot().length).toBeLessThan(1_000);
  });

  test('and so does one whose failures have nothing in common', () => {
    const pen = started({ end: 4 * FAILED_RANGES_MAX, options: { maxAttempts: 1, tolerate: '100%' } });
    for (let i = 0; i < 4 * FAILED_RANGES_MAX && pen.job().state !== 'paused'; i++) {
      const epoch = pen.grant(1);
      if (i % 2 === 0) pen.complete(epoch);
      else pen.fail(epoch, i, i + 1, `error ${i}`);
    }
    expect(pen.job().failed).toHaveLength(FAILED_RANGES_MAX);
    expect(pen.job()).toMatchObject({ state: 'paused', reason: 'it has 1000 failed ranges that cannot be merged' });
  });
});

describe('a retry', () => {
  function failed(): Pen {
    const pen = started({ options: { maxAttempts: 1 } });
    pen.fail(pen.grant(10), 0, 10);
    pen.complete(pen.grant(50));
    pen.fail(pen.grant(40), 60, 80);
    pen.complete(pen.grant(40));
    expect(pen.job()).toMatchObject({ state: 'failed', run: 1, failedPoints: 30 });
    return pen;
  }
  const retry = (pen: Pen, range: { start: number; end: number } | null = null, uncertain = false) =>
    pen.apply({ kind: 'retry-job', id: jobId(1), range, uncertain });

  test('runs only what failed, as the next run of a job that had finished', () => {
    const pen = failed();
    expect(retry(pen)).toEqual({ kind: 'ok' });
    expect(pen.last).toEqual([{ kind: 'job-state', job: jobId(1), state: 'running', reason: null }]);
    expect(pen.job()).toMatchObject({ state: 'running', run: 2, failed: [], finishedAt: null, coveredPoints: 70 });
    expect(pen.job().returned).toMatchObject([
      { start: 0, end: 10, touched: 10, attempts: 0 },
      { start: 60, end: 80, touched: 80, attempts: 0 },
    ]);
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
    pen.complete(pen.grant(50));
    pen.complete(pen.grant(50));
    expect(pen.job()).toMatchObject({ state: 'done', run: 2, coveredPoints: 100, reexecutedPoints: 30 });
    expect(pen.last.at(-1)).toEqual({ kind: 'job-finished', job: jobId(1), run: 2, state: 'done' });
  });

  test('of a range takes only the failed points inside it', () => {
    const pen = failed();
    retry(pen, { start: 5, end: 65 });
    expect(pen.job().failed.map(({ start, end }) => [start, end])).toEqual([
      [0, 5],
      [65, 80],
    ]);
    expect(pen.job().returned.map(({ start, end }) => [start, end])).toEqual([
      [5, 10],
      [60, 65],
    ]);
  });

  test('lets a paused job go on', () => {
    const pen = started({ options: { maxAttempts: 1, tolerate: 0 } });
    pen.fail(pen.grant(10), 0, 1);
    expect(pen.job().state).toBe('paused');
    retry(pen);
    expect(pen.job()).toMatchObject({ state: 'running', run: 1, failedPoints: 0 });
  });

  test('is refused when there is nothing to run again', () => {
    const pen = started();
    expect(retry(pen)).toMatchObject({
      kind: 'refused',
      code: 'WRONG_STATE',
      detail: expect.stringContaining('nothing'),
    });
    expect(pen.apply({ kind: 'retry-job', id: jobId(9), range: null, uncertain: false })).toMatchObject({
      code: 'JOB_NOT_FOUND',
    });
    pen.fail(pen.grant(100), 0, 0);
    pen.control('cancel');
    expect(retry(pen)).toMatchObject({ code: 'WRONG_STATE', detail: expect.stringContaining('cancelled') });
  });
});
