import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { SCHEDULES_MAX, UNTOLD_RUNS_MAX } from '../../src/base/limits.ts';
import { fillOptions } from '../../src/ranges/options.ts';
import type { ScheduledSpec } from '../../src/ranges/types.ts';
import { jobId, Pen, type SpecChanges, specOf } from './fixtures.ts';

function started(changes: SpecChanges = {}): Pen {
  const pen = new Pen();
  pen.submit(changes);
  pen.join();
  return pen;
}

describe('controls', () => {
  test('begin as the options say, change while the job is open, and leave the spec alone', () => {
    const pen = started({ options: { priority: 3, maxConcurrency: 2 } });
    const { spec } = pen.job();
    expect(pen.job().controls).toEqual({
      ...{ priority: 3, weight: 1, maxConcurrency: 2, pointsPerSecond: null, tolerate: 1_000 },
    });
    const changes = { weight: 5, maxConcurrency: null, tolerate: '5%' } as const;
    expect(pen.apply({ kind: 'set-job', id: jobId(1), changes })).toEqual({ kind: 'ok' });
    expect(pen.job().controls).toEqual({
      ...{ priority: 3, weight: 5, maxConcurrency: null, pointsPerSecond: null, tolerate: '5%' },
    });
    expect(pen.job().spec).toEqual(spec);
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
    expect(pen.submit({ options: { priority: 3, maxConcurrency: 2 } })).toMatchObject({ kind: 'exists' });
  });

  test('of a finished job stay', () => {
    const pen = started();
    pen.control('cancel');
    expect(pen.apply({ kind: 'set-job', id: jobId(1), changes: { weight: 2 } })).toMatchObject({ code: 'WRONG_STATE' });
  });

  test('a larger tolerance holds from then on', () => {
    const pen = started({ options: { maxAttempts: 1, tolerate: 0 } });
    pen.complete(pen.grant(1));
    pen.apply({ kind: 'set-job', id: jobId(1), changes: { tolerate: 1 } });
    pen.fail(pen.grant(1), 1, 2);
    expect(pen.job().state).toBe('running');
    pen.fail(pen.grant(1), 2, 3);
    expect(pen.job()).toMatchObject({ state: 'paused', reason: expect.stringContaining('(1)') });
  });
});

describe('a shrink', () => {
  const shrink = (pen: Pen, epoch: number, end: number) => pen.apply({ kind: 'shrink', epoch, end });

  test('gives back the far end, untouched, for others to take', () => {
    const pen = started();
    const epoch = pen.grant(100);
    pen.progress(epoch, 10);
    expect(shrink(pen, epoch, 50)).toEqual({ kind: 'ok' });
    expect(pen.table.task(epoch)).toMatchObject({ cursor: 10, end: 50 });
    expect(pen.job().returned).toEqual([
      { start: 50, end: 100, touched: 50, attempts: 0, error: '', checkpoint: null },
    ]);
    expect(pen.last).toEqual([{ kind: 'task-shrunk', job: jobId(1), epoch, worker: 'w1', end: 50 }]);
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
    pen.complete(pen.grant(100));
    pen.complete(epoch);
    expect(pen.job()).toMatchObject({ state: 'done', reexecuted: [] });
  });

  test('never takes what is acknowledged or claimed', () => {
    const pen = started({ options: { delivery: 'at-most-once' } });
    const epoch = pen.grant(100);
    pen.progress(epoch, 10, 30);
    shrink(pen, epoch, 0);
    expect(pen.table.task(epoch)).toMatchObject({ end: 30 });
  });

  test('of a program changes nothing, nor does one that keeps everything', () => {
    const pen = started({ exposure: 'task' });
    const epoch = pen.grant(100);
    shrink(pen, epoch, 50);
    expect(pen.table.task(epoch)).toMatchObject({ end: 100 });
    const other = started();
    const whole = other.grant(100);
    shrink(other, whole, 100);
    expect(other.job().returned).toEqual([]);
  });

  test('of a lease that has ended is refused', () => {
    const pen = started();
    const epoch = pen.grant(100);
    pen.expire();
    expect(shrink(pen, epoch, 50)).toMatchObject({ kind: 'refused', code: 'STALE_EPOCH' });
  });
});

describe('the word that a run has ended', () => {
  const notified = (pen: Pen, run: number) => pen.apply({ kind: 'job-notified', id: jobId(1), run });

  test('is due for each run until somebody took it', () => {
    const pen = started({ options: { onDone: 'http://h/', maxAttempts: 1 } });
    expect(pen.job().untold).toEqual([]);
    pen.fail(pen.grant(100), 0, 0);
    expect(pen.job()).toMatchObject({ state: 'failed', untold: [{ run: 1, state: 'failed' }] });
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
    expect(notified(pen, 1)).toEqual({ kind: 'ok' });
    expect(pen.job().untold).toEqual([]);
    expect(notified(pen, 1)).toEqual({ kind: 'nothing' });
    pen.apply({ kind: 'retry-job', id: jobId(1), range: null, uncertain: false });
    pen.complete(pen.grant(100));
    expect(pen.job().untold).toEqual([{ run: 2, state: 'done' }]);
  });

  test('is due for every run, also where the next one ended before it was taken, and bounded', () => {
    const pen = started({ options: { onDone: 'http://h/', maxAttempts: 1 } });
    const retry = () => pen.apply({ kind: 'retry-job', id: jobId(1), range: null, uncertain: false });
    for (let run = 1; run <= UNTOLD_RUNS_MAX; run++) {
      pen.fail(pen.grant(100), 0, 0);
      if (run < UNTOLD_RUNS_MAX) expect(retry()).toEqual({ kind: 'ok' });
    }
    expect(pen.job().untold.map(({ run }) => run)).toEqual(Array.from({ length: UNTOLD_RUNS_MAX }, (_, at) => at + 1));
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
    expect(retry()).toMatchObject({ kind: 'refused', code: 'WRONG_STATE' });
    expect(notified(pen, 1)).toEqual({ kind: 'ok' });
    expect(retry()).toEqual({ kind: 'ok' });
  });

  test('is due to a Master that nobody asked for', () => {
    const pen = started({ overseen: true });
    pen.control('cancel');
    expect(pen.job().untold).toEqual([{ run: 1, state: 'cancelled' }]);
  });

  test('is due to nobody who did not ask', () => {
    const pen = started();
    pen.control('cancel');
    expect(pen.job().untold).toEqual([]);
  });
});

describe('a job that begins later', () => {
  test('is granted nothing before its time', () => {
    const pen = started({ options: { at: 5_000 } });
    pen.at = 4_999;
    expect(pen.tryGrant(10)).toEqual({ kind: 'nothing' });
    pen.at = 5_000;
    expect(pen.tryGrant(10)).toMatchObject({ kind: 'granted' });
  });

  function chained(): Pen {
    const pen = started();
    pen.submit({ id: jobId(2), options: { after: jobId(1) } });
    expect(pen.job(jobId(2))).toMatchObject({ state: 'pending', waitsFor: jobId(1) });
    expect(pen.tryGrant(10, { job: jobId(2) })).toEqual({ kind: 'nothing' });
    return pen;
  }

  test('after another one is granted once that is done', () => {
    const pen = chained();
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
    pen.complete(pen.grant(100));
    expect(pen.last).toContainEqual({ kind: 'job-state', job: jobId(2), state: 'pending', reason: null });
    expect(pen.job(jobId(2)).waitsFor).toBeNull();
    expect(pen.tryGrant(10, { job: jobId(2) })).toMatchObject({ kind: 'granted' });
  });

  test('after one that did not end well pauses and says so; a person may let it go on', () => {
    const pen = chained();
    pen.control('cancel');
    const reason = `job ${jobId(1)}, which it waits for, ended cancelled`;
    expect(pen.job(jobId(2))).toMatchObject({ state: 'paused', reason, waitsFor: jobId(1) });
    pen.control('resume', jobId(2));
    expect(pen.job(jobId(2))).toMatchObject({ state: 'pending', waitsFor: null });
    expect(pen.tryGrant(10, { job: jobId(2) })).toMatchObject({ kind: 'granted' });
  });

  test('after one that is over is judged at once', () => {
    const pen = started();
    pen.complete(pen.grant(100));
    pen.submit({ id: jobId(2), options: { after: jobId(1) } });
    expect(pen.job(jobId(2)).waitsFor).toBeNull();
    pen.submit({ id: jobId(3) });
    pen.control('cancel', jobId(3));
    pen.submit({ id: jobId(4), options: { after: jobId(3) } });
    expect(pen.job(jobId(4)).state).toBe('paused');
  });

  test('after one that nobody knows is refused', () => {
    const pen = new Pen();
    expect(pen.submit({ options: { after: jobId(9) } })).toMatchObject({ kind: 'refused', code: 'JOB_NOT_FOUND' });
    expect([...pen.table.jobs()]).toEqual([]);
  });

  test('waits on in a replica that was restored from a snapshot', () => {
    const pen = chained();
    const copy = pen.restored();
    pen.complete(pen.grant(100));
    expect(copy.job(jobId(2))?.waitsFor).toBe(jobId(1));
    const again = pen.restored();
    expect(again.job(jobId(2))?.waitsFor).toBeNull();
  });
});

describe('a schedule', () => {
  const { id: _, ...work } = specOf();
  const scheduled: ScheduledSpec = work;
  const put = (pen: Pen, key = 'nightly', nextAt: number | null = 2_000) => {
    const schedule = { key, cron: '* * * * *', timeZone: 'UTC', spec: scheduled };
    return pen.apply({ kind: 'put-schedule', schedule, nextAt });
  };
  const fire = (pen: Pen, number: number, due: number, next: number | null, missed = 0) =>
    pen.apply({ kind: 'fire-schedule', key: 'nightly', due, next, missed, id: jobId(number) });

  test('submits a job at each of its times, and a time that is fired twice makes one', () => {
    const pen = new Pen();
    put(pen);
    expect(fire(pen, 1, 2_000, 3_000)).toEqual({ kind: 'created', id: jobId(1) });
    expect(fire(pen, 1, 2_000, 3_000)).toEqual({ kind: 'nothing' });
    expect(pen.table.schedule('nightly')).toMatchObject({ nextAt: 3_000, lastJob: jobId(1), skipped: 0 });
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
  });

  test('skips a time while the last job is at work, and counts it with those that nobody saw', () => {
    const pen = new Pen();
    put(pen);
    fire(pen, 1, 2_000, 3_000);
    expect(fire(pen, 2, 3_000, 9_000, 4)).toEqual({ kind: 'nothing' });
    expect(pen.table.schedule('nightly')).toMatchObject({ nextAt: 9_000, lastJob: jobId(1), skipped: 5 });
    pen.control('cancel');
    expect(fire(pen, 2, 9_000, null)).toMatchObject({ kind: 'created' });
    expect(pen.table.schedule('nightly')).toMatchObject({ nextAt: null, lastJob: jobId(2) });
  });

  test('put anew still does not overlap what it submitted before', () => {
    const pen = new Pen();
    put(pen);
    fire(pen, 1, 2_000, 3_000);
    put(pen, 'nightly', 2_500);
    expect(fire(pen, 2, 2_500, 3_000)).toEqual({ kind: 'nothing' });
  });

  test('is dropped once, and its jobs stay', () => {
    const pen = new Pen();
    put(pen);
    fire(pen, 1, 2_000, 3_000);
    expect(pen.apply({ kind: 'drop-schedule', key: 'nightly' })).toEqual({ kind: 'ok' });
    expect(pen.apply({ kind: 'drop-schedule', key: 'nightly' })).toMatchObject({ code: 'NOT_FOUND' });
    expect(fire(pen, 2, 3_000, 4_000)).toEqual({ kind: 'nothing' });
    expect(must(pen.table.job(jobId(1)), 'its job stays').state).toBe('pending');
  });

  test('is one of a bounded number, in the order of keys', () => {
    const pen = new Pen();
    for (let i = SCHEDULES_MAX; i > 0; i--) put(pen, `k${1_000 + i}`);
    expect(put(pen, 'one-more')).toMatchObject({ kind: 'refused', code: 'OVERLOADED' });
    expect(put(pen, 'k1001')).toEqual({ kind: 'ok' });
    const keys = [...pen.table.schedules()].map(({ key }) => key);
    expect(keys).toEqual([...keys].sort());
  });
});

describe('options of control', () => {
  test.each([
    [{ priority: 101 }, 'priority'],
    [{ weight: 0 }, 'weight'],
    [{ pointsPerSecond: 0.5 }, 'pointsPerSecond'],
    [{ taskTimeoutMs: 1 }, 'taskTimeoutMs'],
    [{ after: 'abc' }, 'after'],
    [{ at: -1 }, 'at'],
    [{ onDone: 'ftp://h/' }, 'onDone'],
    [{ onDone: 'http://user:secret@h/' }, 'onDone'],
    [{ throttle: 'go' }, 'throttle'],
    [{ throttle: { kind: 'url', url: 'file:///etc/passwd' } }, 'throttle.url'],
    [{ throttle: { kind: 'url', url: 'http://user:secret@h/' } }, 'throttle.url'],
    [{ throttle: { kind: 'command', command: [] } }, 'throttle.command'],
    [{ throttle: { kind: 'command', command: ['x'], shell: true } }, 'throttle'],
    [{ throttle: { kind: 'prometheus', url: 'http://h/', query: 'up' } }, 'throttle.holdAbove'],
  ])('%j is refused by name', (options, name) => {
    expect(() => fillOptions(options)).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }));
    expect(() => fillOptions(options)).toThrow(name);
  });

  test('a throttle has its interval filled in and its fields in one order', () => {
    const { throttle } = fillOptions({ throttle: { url: 'http://h/', kind: 'url' } });
    expect(JSON.stringify(throttle)).toBe('{"kind":"url","url":"http://h/","intervalMs":5000}');
  });
});
