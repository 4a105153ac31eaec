import { describe, expect, test } from 'vitest';
import {
  FAILED_RANGES_MAX,
  METADATA_BYTES_MAX,
  METADATA_TOTAL_BYTES_MAX,
  OPEN_RANGES_MAX,
  RETURNED_RANGES_MAX,
  SNAPSHOT_BYTES_MAX,
  WORKERS_MAX,
} from '../../src/base/limits.ts';
import { encodeCommand } from '../../src/ranges/codec.ts';
import { checkJob, checkTable } from '../../src/ranges/invariants.ts';
import { JobTable } from '../../src/ranges/table.ts';
import type { Command, Outcome } from '../../src/ranges/types.ts';
import { jobId, MAIL, type SpecChanges, specOf } from './fixtures.ts';

/** As fixtures.ts has it, but without a full check after each of very many commands. */
class LongPen {
  readonly table = new JobTable();

  constructor(changes: SpecChanges) {
    this.apply({ kind: 'submit-job', stamp: null, at: 1, spec: specOf(changes) });
    this.join('w1');
  }

  apply(command: Command): Outcome {
    return this.table.apply(this.table.appliedIndex + 1, encodeCommand(command)).outcome;
  }

  join(worker: string): Outcome {
    const offers = [{ name: MAIL, hash: 'h' }];
    return this.apply({ kind: 'worker-join', at: 1, worker, instanceId: worker, address: 'h:1', slots: 9, offers });
  }

  grant(size: number): number {
    const incarnation = this.table.worker('w1')!.incarnation;
    const outcome = this.apply({ kind: 'grant', at: 1, job: jobId(1), worker: 'w1', incarnation, size, retry: null });
    expect(outcome.kind).toBe('granted');
    return this.table.appliedIndex;
  }

  release(epoch: number, begun = 0): void {
    const { cursor } = this.table.task(epoch)!;
    this.apply({ kind: 'release', outputs: [], at: 1, epoch, cursor, begun: cursor + begun });
  }

  get job() {
    return this.table.job(jobId(1))!;
  }
}

/** A thousand grants of ten points, most of them half done, then the worker is lost. */
function encodedAfterALoss(end: number): number {
  const pen = new LongPen({ end });
  for (let i = 0; i < 1_000; i++) {
    const epoch = pen.grant(10);
    const { start } = pen.table.task(epoch)!;
    const cursor = start + (i % 10);
    if (i % 3 === 0) pen.apply({ kind: 'complete', outputs: [], at: 1, epoch, cursor: start + 10, begun: start + 10 });
    else pen.apply({ kind: 'progress', at: 1, cursors: [{ epoch, cursor, claimed: cursor, outputs: [] }] });
  }
  const { incarnation } = pen.table.worker('w1')!;
  pen.apply({ kind: 'worker-expire', at: 1, worker: 'w1', incarnation, reason: 'silence' });
  checkTable(pen.table);
  expect(pen.job.returned.length).toBeGreaterThan(100);
  return pen.table.snapshot().length;
}

describe('the cost of a job', () => {
  test('after 1,000 grants and a lost worker is within 1 KiB the same over 10^6 and over 10^15 points', () => {
    const short = encodedAfterALoss(1e6);
    const long = encodedAfterALoss(1e15);
    expect(Math.abs(long - short)).toBeLessThan(1_024);
  });

  test('of a huge job that runs to its end without a hole is one range', () => {
    const pen = new LongPen({ end: 1e15 });
    const sizes = new Set<number>();
    for (let i = 0; i < 500; i++) {
      const epoch = pen.grant(2e12);
      const { end } = pen.table.task(epoch)!;
      pen.apply({ kind: 'complete', outputs: [], at: 1, epoch, cursor: end, begun: end });
      if (i > 0) sizes.add(pen.job.covered.length);
    }
    expect(pen.job.state).toBe('done');
    expect([...sizes]).toEqual([1]);
    expect(pen.table.snapshot().length).toBeLessThan(512);
  });
});

describe('the limits of a job', () => {
  test('returned ranges at their limit stop the frontier until some are granted again', () => {
    const pen = new LongPen({ end: 1e9 });
    const epochs = Array.from({ length: RETURNED_RANGES_MAX + 1 }, () => pen.grant(10));
    for (const epoch of epochs) pen.release(epoch, 1);
    checkJob(pen.job);
    expect(pen.job.returned).toHaveLength(RETURNED_RANGES_MAX + 1);
    const frontier = pen.job.frontier;
    for (const cursor of [0, 10]) expect(pen.table.task(pen.grant(10))?.cursor).toBe(cursor);
    expect(pen.job.frontier).toBe(frontier);
    expect(pen.job.returned).toHaveLength(RETURNED_RANGES_MAX - 1);
  });

  test('a crowded job gives whole ranges, and so its open ranges stay bounded', () => {
    const pen = new LongPen({ end: 1e9 });
    pen.release(pen.grant(1e9));
    for (let i = 1; i < OPEN_RANGES_MAX; i++) pen.grant(1);
    expect(pen.job.returned).toHaveLength(1);
    const last = pen.table.task(pen.grant(1))!;
    expect(last.end).toBe(1e9);
    checkTable(pen.table);
    expect(pen.job.tasks).toHaveLength(OPEN_RANGES_MAX);
  });

  test('torn into too many failed ranges it is paused with the reason, and loses no point', () => {
    const pen = new LongPen({ end: 1e6, options: { maxAttempts: 1 } });
    for (let i = 0; i <= FAILED_RANGES_MAX; i++) {
      const bad = pen.grant(1);
      const good = pen.grant(1);
      const { start, end } = pen.table.task(good)!;
      pen.apply({ kind: 'complete', outputs: [], at: 1, epoch: good, cursor: end, begun: end });
      pen.apply({ kind: 'fail', outputs: [], at: 1, epoch: bad, cursor: start - 1, begun: start, error: 'boom' });
    }
    checkTable(pen.table);
    expect(pen.job.failed).toHaveLength(FAILED_RANGES_MAX);
    expect(pen.job).toMatchObject({ state: 'paused', reason: expect.stringContaining('failed ranges') });
    const { frontier } = pen.job;
    expect(pen.job.returned).toEqual([
      { start: frontier - 2, end: frontier - 1, touched: frontier - 1, attempts: 1, error: 'boom', checkpoint: null },
    ]);
  });
});

describe('the limits of the table', () => {
  test('metadata of finished jobs makes room for new ones, that of open jobs does not', () => {
    const pen = new LongPen({});
    const metadata = `{"a":"${'x'.repeat(METADATA_BYTES_MAX - 8)}"}`;
    const submit = (number: number) =>
      pen.apply({ kind: 'submit-job', stamp: null, at: 1, spec: specOf({ id: jobId(number), metadata }) });
    const count = Math.floor((METADATA_TOTAL_BYTES_MAX - 2) / METADATA_BYTES_MAX);
    for (let i = 0; i < count; i++) expect(submit(100 + i).kind).toBe('created');
    expect(submit(99)).toMatchObject({ kind: 'refused', code: 'TOO_MANY_JOBS' });
    for (const number of [103, 102]) pen.apply({ kind: 'control-job', at: 1, id: jobId(number), action: 'cancel' });
    expect(submit(99).kind).toBe('created');
    expect(pen.table.job(jobId(103))).toBeUndefined();
    expect(pen.table.job(jobId(102))?.state).toBe('cancelled');
    expect(pen.table.snapshot().length).toBeLessThan(SNAPSHOT_BYTES_MAX / 2);
  });

  test('a worker beyond the limit is refused until another leaves', () => {
    const pen = new LongPen({});
    for (let i = 2; i <= WORKERS_MAX; i++) pen.join(`w${i}`);
    expect(pen.join('late')).toMatchObject({ kind: 'refused', code: 'OVERLOADED' });
    expect(pen.join('w7')).toMatchObject({ kind: 'joined' });
    const { incarnation } = pen.table.worker('w7')!;
    pen.apply({ kind: 'worker-expire', at: 1, worker: 'w7', incarnation, reason: 'silence' });
    expect(pen.join('late')).toMatchObject({ kind: 'joined' });
  });
});
