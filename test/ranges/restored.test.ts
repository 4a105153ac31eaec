/** A restored table: what it keeps of the old one, and what it must not. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { RESTORE_INDEX_GAP } from '../../src/base/limits.ts';
import type { Range } from '../../src/base/types.ts';
import { encodeCommand } from '../../src/ranges/codec.ts';
import { isFinished } from '../../src/ranges/course.ts';
import { IntervalSet } from '../../src/ranges/interval-set.ts';
import { checkTable } from '../../src/ranges/invariants.ts';
import { restoredIndex, restoreTable } from '../../src/ranges/restored.ts';
import { JobTable } from '../../src/ranges/table.ts';
import type { JobView, Table } from '../../src/ranges/types.ts';
import { ClusterModel, type Move } from './cluster-model.ts';
import { jobId, Pen } from './fixtures.ts';

const AT = 5_000;

function restore(table: Table): JobTable {
  const restored = new JobTable();
  restored.restore(restoredIndex(table.appliedIndex), restoreTable(table.appliedIndex, table.snapshot(), AT));
  checkTable(restored);
  return restored;
}

function jobOf(table: Table, id = jobId(1)): JobView {
  const job = table.job(id);
  if (job === undefined) throw new Error(`there is no job ${id}`);
  return job;
}

describe('a restored table', () => {
  test('gives back what lost workers held, touched as far as they were allowed to begin', () => {
    const pen = new Pen();
    pen.submit();
    pen.join();
    const epoch = pen.grant(40);
    pen.grant(20);
    pen.progress(epoch, 5);
    const restored = restore(pen.table);
    const job = jobOf(restored);
    expect(job).toMatchObject({ state: 'paused', reason: 'restored', frontier: 60, tasks: [] });
    expect(job.covered).toEqual([{ start: 0, end: 5 }]);
    // Ten points beyond the cursor, as `commitEvery` says, for each of the two.
    expect(job.returned.map(({ start, end, touched }) => [start, end, touched])).toEqual([
      [5, 40, 15],
      [40, 60, 50],
    ]);
    expect([...restored.workers()]).toEqual([]);
    expect(restored.everOffered('mail')).toBe(true);
  });

  test('grants only epochs that the old cluster can never have given, and only after a resume', () => {
    const pen = new Pen();
    pen.submit();
    pen.join();
    pen.grant(40);
    const old = pen.table.appliedIndex;
    const restored = restore(pen.table);
    let index: number = restored.appliedIndex;
    const apply = (command: Parameters<typeof encodeCommand>[0]) =>
      restored.apply(++index, encodeCommand(command)).outcome;
    const offers = [{ name: 'mail', hash: 'h' }];
    const join = { worker: 'w1', instanceId: 'other', address: 'h:1', slots: 1, offers };
    expect(apply({ kind: 'worker-join', at: AT, ...join })).toMatchObject({ kind: 'joined' });
    const grant = {
      kind: 'grant',
      at: AT,
      job: jobId(1),
      worker: 'w1',
      incarnation: index,
      size: 9,
      retry: null,
    } as const;
    expect(apply(grant)).toEqual({ kind: 'nothing' });
    expect(apply({ kind: 'control-job', at: AT, id: jobId(1), action: 'resume' })).toEqual({ kind: 'ok' });
    expect(apply(grant)).toEqual({ kind: 'granted', epoch: index });
    expect(index).toBeGreaterThan(old + RESTORE_INDEX_GAP);
    expect(jobOf(restored).reexecuted).toEqual([{ start: 0, end: 9, times: 1, workers: ['w1'] }]);
  });

  test('is over with a job of which only the last word of its worker was missing', () => {
    const pen = new Pen();
    pen.submit();
    pen.submit({ id: jobId(2) });
    pen.join();
    pen.progress(pen.grant(100), 100);
    pen.complete(pen.grant(100, { job: jobId(2) }));
    expect(pen.job().state).toBe('running');
    const restored = restore(pen.table);
    expect(jobOf(restored)).toMatchObject({ state: 'done', finishedAt: AT });
    expect(jobOf(restored, jobId(2))).toEqual({ ...pen.job(jobId(2)) });
  });

  test('pauses also what was paused for another reason, and what never began', () => {
    const pen = new Pen();
    pen.submit();
    pen.submit({ id: jobId(2) });
    pen.control('pause');
    const restored = restore(pen.table);
    expect(jobOf(restored)).toMatchObject({ state: 'paused', reason: 'restored' });
    expect(jobOf(restored, jobId(2))).toMatchObject({ state: 'paused', reason: 'restored', startedAt: null });
  });

  test('can be backed up and restored again', () => {
    const pen = new Pen();
    pen.submit();
    pen.join();
    pen.grant(40);
    const once = restore(pen.table);
    const twice = restore(once);
    expect(twice.appliedIndex - once.appliedIndex).toBe(RESTORE_INDEX_GAP);
    expect({ ...jobOf(twice) }).toEqual({ ...jobOf(once) });
  });
});

describe('a restored table, refused', () => {
  test('bytes that are no table, and a table from the future of its index', () => {
    const pen = new Pen();
    pen.submit();
    pen.join();
    pen.grant(40);
    const bytes = pen.table.snapshot();
    expect(() => restoreTable(9, bytes.subarray(1), AT)).toThrow(PolarisError);
    expect(() => restoreTable(pen.table.appliedIndex - 1, bytes, AT)).toThrow('contradicts itself');
  });

  test('an index behind which there is no room for new epochs', () => {
    expect(() => restoredIndex(Number.MAX_SAFE_INTEGER - RESTORE_INDEX_GAP)).toThrow('no room');
    expect(restoredIndex(Number.MAX_SAFE_INTEGER - 2 * RESTORE_INDEX_GAP)).toBeGreaterThan(0);
  });
});

describe('a restored table, whatever happened before', () => {
  const KINDS = [
    ...['submit', 'control', 'join', 'expire', 'suspect', 'grant', 'grant', 'grant', 'retry', 'run', 'run'],
    ...['progress', 'progress', 'complete', 'fail', 'release'],
  ] as const;
  const choice = fc.nat({ max: 999 });
  const move = fc.record({ kind: fc.constantFrom(...(KINDS as readonly Move['kind'][])), one: choice, two: choice });
  const opening: readonly Move[] = [0, 1, 2].flatMap((one) => [
    { kind: 'submit', one, two: one },
    { kind: 'join', one, two: 1 },
  ]);

  function play(moves: readonly Move[]): ClusterModel {
    const model = new ClusterModel();
    for (const one of [...opening, ...moves]) model.move(one);
    return model;
  }

  const isIn = (job: JobView, range: Range) =>
    job.uncertain.some(({ start, end }) => start === range.start && end === range.end);

  test('covers the same points and what was claimed, tiles every job and leaves finished jobs alone', () => {
    fc.assert(
      fc.property(fc.array(move, { minLength: 5, maxLength: 80 }), (moves) => {
        const { table } = play(moves);
        // `checkTable` in `restore` has laid out and measured the pieces of every job.
        const restored = restore(table);
        expect([...restored.jobs()].map((job) => job.spec.id)).toEqual([...table.jobs()].map((job) => job.spec.id));
        for (const job of restored.jobs()) {
          const old = jobOf(table, job.spec.id);
          // What was claimed under a lease of the old cluster is uncertain in the new one.
          const newlyUncertain = job.uncertain.filter((range) => !isIn(old, range));
          const claimed = newlyUncertain.map(({ start, end }) => ({ start, end }));
          expect(job.covered).toEqual(IntervalSet.from([...old.covered, ...claimed]).ranges);
          expect(job.failed).toEqual(old.failed);
          expect(job.frontier).toBe(old.frontier);
          if (isFinished(old.state)) expect({ ...job }).toEqual({ ...old });
          else if (!isFinished(job.state))
            expect(job).toMatchObject({ state: 'paused', reason: 'restored', tasks: [] });
        }
        expect(restored.appliedIndex).toBeGreaterThanOrEqual(table.appliedIndex + RESTORE_INDEX_GAP);
      }),
      { numRuns: 60 },
    );
  });

  test('counts as touched every point that truly ran and is not covered', () => {
    let ran = 0;
    fc.assert(
      fc.property(fc.array(move, { minLength: 5, maxLength: 80 }), (moves) => {
        const model = play(moves);
        const restored = restore(model.table);
        for (const job of restored.jobs()) {
          const runs = model.runs.get(job.spec.id) ?? [];
          for (const { start, end, touched } of job.returned) {
            for (let point = start; point < end; point++) {
              if ((runs[point] ?? 0) === 0) continue;
              ran++;
              expect(point, `point ${point} of ${job.spec.id} ran`).toBeLessThan(touched);
            }
          }
        }
      }),
      { numRuns: 60, seed: 11 },
    );
    // The moves do lead to points that ran in vain.
    expect(ran).toBeGreaterThan(20);
  });
});
