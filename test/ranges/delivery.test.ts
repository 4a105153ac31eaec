import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { UNCERTAIN_RANGES_MAX } from '../../src/base/limits.ts';
import { decodeTable, encodeTable } from '../../src/ranges/snapshot.ts';
import { jobId, Pen, type SpecChanges } from './fixtures.ts';

/** The table after many leases that each left every second point uncertain, without the entries that it took. */
function withUncertain(pen: Pen, count: number): void {
  const image = decodeTable(pen.table.snapshot());
  const job = must(image.jobs[0], 'a job was submitted');
  const uncertain = Array.from({ length: count }, (_, at) => {
    return { start: 2 * at, end: 2 * at + 1, epoch: 1, worker: 'w1', at: pen.at };
  });
  const covered = [{ start: 0, end: 2 * count }];
  const begun = { state: 'running', startedAt: pen.at, frontier: 2 * count } as const;
  const jobs = [{ ...job, ...begun, uncertain, covered }];
  pen.table.restore(pen.table.appliedIndex, encodeTable({ ...image, jobs }));
}

/** A job whose points must never run twice. */
function claiming(changes: SpecChanges = {}): Pen {
  const pen = new Pen();
  pen.submit({ ...changes, options: { delivery: 'at-most-once', ...changes.options } });
  pen.join();
  return pen;
}

describe('at most once', () => {
  test('a lease claims nothing before it says so, and a claim never goes back', () => {
    const pen = claiming();
    const epoch = pen.grant(50);
    expect(pen.table.task(epoch)).toMatchObject({ cursor: 0, claimed: 0 });
    pen.progress(epoch, 0, 10);
    expect(pen.table.task(epoch)).toMatchObject({ cursor: 0, claimed: 10 });
    pen.progress(epoch, 4, 5);
    expect(pen.table.task(epoch)).toMatchObject({ cursor: 4, claimed: 10 });
    pen.progress(epoch, 12, 12);
    expect(pen.table.task(epoch)).toMatchObject({ cursor: 12, claimed: 12 });
    expect(pen.progress(epoch, 12, 51)).toEqual({ kind: 'progressed', stale: [epoch] });
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
  });

  test('what a lost worker had claimed is uncertain, covered, and never granted again', () => {
    const pen = claiming();
    const epoch = pen.grant(50);
    pen.progress(epoch, 20, 30);
    pen.expire();
    expect(pen.job()).toMatchObject({ coveredPoints: 30, uncertainPoints: 10 });
    expect(pen.job().uncertain).toEqual([{ start: 20, end: 30, epoch, worker: 'w1', at: pen.at }]);
    expect(pen.job().returned).toEqual([{ start: 30, end: 50, touched: 30, attempts: 0, error: '', checkpoint: null }]);
    pen.join();
    expect(pen.table.task(pen.grant(100))).toMatchObject({ start: 30, end: 50 });
    expect(pen.job().reexecuted).toEqual([]);
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
  });

  test('a failure leaves what was begun uncertain, and the claimed rest as if nothing had been', () => {
    const pen = claiming();
    const epoch = pen.grant(50);
    pen.progress(epoch, 0, 10);
    pen.fail(epoch, 4, 5, 'connection reset');
    expect(pen.job().uncertain).toMatchObject([{ start: 4, end: 5 }]);
    expect(pen.job().returned).toEqual([{ start: 5, end: 50, touched: 5, attempts: 0, error: '', checkpoint: null }]);
    expect(pen.job().failed).toEqual([]);
    expect(pen.last).toContainEqual({
      kind: 'range-uncertain',
      job: jobId(1),
      range: { start: 4, end: 5 },
      worker: 'w1',
    });
  });

  test('a job with more uncertain ranges than a person can look through pauses and says so', () => {
    const pen = claiming({ end: 1e6, options: { tolerate: '100%' } });
    withUncertain(pen, UNCERTAIN_RANGES_MAX - 1);
    const leaveOne = () => {
      const epoch = pen.grant(2);
      const { start } = must(pen.table.task(epoch), 'it was granted');
      pen.progress(epoch, start, start + 1);
      pen.fail(epoch, start, start + 1, 'connection reset');
    };
    leaveOne();
    expect(pen.job()).toMatchObject({ state: 'running', uncertain: { length: UNCERTAIN_RANGES_MAX } });
    leaveOne();
    expect(pen.job()).toMatchObject({ state: 'paused', reason: 'it has 10001 uncertain ranges' });
    expect(pen.tryGrant(1)).toEqual({ kind: 'nothing' });
  });

  test('a release between two points leaves nothing uncertain', () => {
    const pen = claiming();
    const epoch = pen.grant(50);
    pen.progress(epoch, 0, 10);
    pen.release(epoch, 7, 7);
    expect(pen.job()).toMatchObject({ coveredPoints: 7, uncertain: [] });
    expect(pen.job().returned).toMatchObject([{ start: 7, end: 50 }]);
  });

  test('a cancel leaves what is claimed uncertain', () => {
    const pen = claiming();
    pen.progress(pen.grant(50), 3, 8);
    pen.control('cancel');
    expect(pen.job()).toMatchObject({ state: 'cancelled', coveredPoints: 8, uncertainPoints: 5 });
  });

  test('a cancel that leaves all that was open uncertain is a cancel, and pauses nothing', () => {
    const pen = claiming({ options: { tolerate: 0 } });
    pen.progress(pen.grant(100), 40, 100);
    pen.control('cancel');
    expect(pen.job()).toMatchObject({ state: 'cancelled', coveredPoints: 100, uncertainPoints: 60 });
    expect(pen.last.filter((event) => event.kind === 'job-state')).toEqual([
      { kind: 'job-state', job: jobId(1), state: 'cancelled', reason: null },
    ]);
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
  });

  test('a job is done with uncertain points, and only a retry that asks for them runs them again', () => {
    const pen = claiming();
    const epoch = pen.grant(100);
    pen.progress(epoch, 98, 100);
    pen.expire();
    expect(pen.job()).toMatchObject({ state: 'done', coveredPoints: 100, uncertainPoints: 2 });
    const retry = (uncertain: boolean) =>
      pen.apply({ kind: 'retry-job', id: jobId(1), range: { start: 0, end: 99 }, uncertain });
    expect(retry(false)).toMatchObject({ kind: 'refused', code: 'WRONG_STATE' });
    expect(retry(true)).toEqual({ kind: 'ok' });
    expect(pen.job()).toMatchObject({ state: 'running', run: 2, coveredPoints: 99, uncertainPoints: 1 });
    expect(pen.job().returned).toMatchObject([{ start: 98, end: 99, touched: 99 }]);
    pen.join();
    const again = pen.grant(1);
    pen.progress(again, 98, 99);
    pen.complete(again);
    expect(pen.job()).toMatchObject({ state: 'done', uncertainPoints: 1, reexecutedPoints: 1 });
  });

  test('uncertain points count against what a job tolerates', () => {
    const pen = claiming({ options: { tolerate: 1 } });
    for (const point of [0, 1]) {
      const epoch = pen.grant(1);
      pen.progress(epoch, point, point + 1);
      pen.fail(epoch, point, point + 1);
    }
    expect(pen.job()).toMatchObject({
      state: 'paused',
      reason: '0 points failed and 2 are uncertain, more than it tolerates (1)',
    });
  });
});

test('without claims a report of one changes nothing', () => {
  const pen = new Pen();
  pen.submit();
  pen.join();
  const epoch = pen.grant(50);
  pen.progress(epoch, 5, 20);
  expect(pen.table.task(epoch)).toMatchObject({ cursor: 5, claimed: 5 });
});
