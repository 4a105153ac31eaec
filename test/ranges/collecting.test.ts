/** What a Master makes of the outputs of its job: each enters its state once, whoever leads, and its word ends the job. */
import { describe, expect, test } from 'vitest';
import type { Handle } from '../../src/base/handle.ts';
import { OUTPUTS_PER_JOB_MAX, OUTPUTS_PER_REPORT_MAX } from '../../src/base/limits.ts';
import { encodeCommand } from '../../src/ranges/codec.ts';
import { TOO_MANY_OUTPUTS } from '../../src/ranges/outputs.ts';
import { JobTable } from '../../src/ranges/table.ts';
import type { Command, Outcome } from '../../src/ranges/types.ts';
import { handleOf, jobId, Pen, type SpecChanges, specOf } from './fixtures.ts';

const COLLECTS = { overseen: true, collects: true } as const;

/** A job of 30 points of which three outputs are committed, and its lease. */
function collecting(changes: SpecChanges = {}): { pen: Pen; epoch: number } {
  const pen = new Pen();
  pen.submit({ end: 30, ...COLLECTS, ...changes });
  pen.join();
  const epoch = pen.grant(30);
  const outputs = [0, 10, 20].map((start) => ({ start, end: start + 5, handle: handleOf(start + 1), stamp: 0 }));
  pen.progress(epoch, 25, 25, outputs);
  return { pen, epoch };
}

function take(pen: Pen): number {
  expect(pen.apply({ kind: 'take-master', job: jobId(1) })).toEqual({ kind: 'taken', epoch: pen.table.appliedIndex });
  return pen.table.appliedIndex;
}

function fold(pen: Pen, epoch: number, outputs: readonly number[], state: Handle | null): Outcome {
  return pen.apply({ kind: 'fold', job: jobId(1), epoch, outputs, state, stamp: pen.table.appliedIndex });
}

function finish(pen: Pen, epoch: number, result: Handle | null = null): Outcome {
  return pen.apply({ kind: 'finish-master', job: jobId(1), epoch, result, stamp: pen.table.appliedIndex });
}

describe('a Master', () => {
  test('takes its job, and what a former one still had on its way is refused', () => {
    const { pen } = collecting();
    const former = take(pen);
    const present = take(pen);
    expect(fold(pen, former, [0], handleOf(90))).toMatchObject({ kind: 'refused', code: 'STALE_EPOCH' });
    expect(finish(pen, former)).toMatchObject({ code: 'STALE_EPOCH' });
    expect(pen.job().master).toEqual({ epoch: present, state: null, folded: 0 });
  });

  test('that fails pauses its job with the reason, and a former one pauses nothing', () => {
    const { pen } = collecting();
    const [former, epoch] = [take(pen), take(pen)];
    const fail = (by: number) =>
      pen.apply({ kind: 'master-failed', job: jobId(1), epoch: by, error: 'the ledger is full' });
    expect(fail(former)).toMatchObject({ code: 'STALE_EPOCH' });
    expect(pen.job().state).toBe('running');
    expect(fail(epoch)).toEqual({ kind: 'ok' });
    expect(pen.job()).toMatchObject({ state: 'paused', reason: 'its Master failed: the ledger is full' });
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
    pen.control('resume');
    expect(fold(pen, epoch, [0, 10, 20], handleOf(90))).toEqual({ kind: 'ok' });
  });

  test('folds outputs into a state: they go, it is held, and the one before it is let go, at once', () => {
    const { pen } = collecting();
    const epoch = take(pen);
    expect(fold(pen, epoch, [20, 0], handleOf(90))).toEqual({ kind: 'ok' });
    expect(pen.last).toEqual([{ kind: 'outputs-folded', job: jobId(1), count: 2 }]);
    expect(pen.job().outputs.map(({ start }) => start)).toEqual([10]);
    expect(fold(pen, epoch, [10], handleOf(91))).toEqual({ kind: 'ok' });
    expect(pen.job().master).toEqual({ epoch, state: handleOf(91), folded: 3 });
    expect([...pen.table.heldBlobs()]).toEqual([handleOf(91).hash]);
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
  });

  test('goes on from the state that the one before it left', () => {
    const { pen } = collecting();
    fold(pen, take(pen), [0], handleOf(90));
    const next = take(pen);
    expect(pen.job().master).toEqual({ epoch: next, state: handleOf(90), folded: 1 });
    expect(pen.table.isHeld(handleOf(90).hash)).toBe(true);
  });

  test.each([
    ['that are not there', [0, 7]],
    ['twice', [0, 0]],
  ])('cannot fold outputs %s, and nothing changes then', (_what, outputs) => {
    const { pen } = collecting();
    const epoch = take(pen);
    const before = pen.table.snapshot();
    expect(fold(pen, epoch, outputs, handleOf(90))).toMatchObject({ code: 'WRONG_STATE' });
    expect(pen.table.snapshot()).toEqual(before);
  });

  test('cannot fold into a state whose copies may have been deleted', () => {
    const { pen } = collecting();
    const epoch = take(pen);
    const stamp = pen.table.appliedIndex;
    pen.apply({ kind: 'condemn', hashes: [handleOf(90).hash] });
    const command = { kind: 'fold', job: jobId(1), epoch, outputs: [0], state: handleOf(90), stamp } as const;
    expect(pen.apply(command)).toMatchObject({ code: 'BLOB_CONDEMNED' });
    expect(pen.job().outputs).toHaveLength(3);
  });

  test('of a job that does not collect is none', () => {
    const { pen } = collecting({ collects: false });
    expect(pen.apply({ kind: 'take-master', job: jobId(1) })).toMatchObject({ code: 'WRONG_STATE' });
  });
});

describe('the end of a job that collects', () => {
  test('is the word of its Master, when everything is covered and folded', () => {
    const { pen, epoch: lease } = collecting();
    const epoch = take(pen);
    fold(pen, epoch, [0, 10, 20], handleOf(90));
    expect(finish(pen, epoch)).toMatchObject({ code: 'WRONG_STATE' });
    pen.complete(lease);
    expect(pen.job()).toMatchObject({ state: 'running', coveredPoints: 30 });
    expect(finish(pen, epoch, handleOf(99))).toEqual({ kind: 'ok' });
    expect(pen.last.map(({ kind }) => kind)).toEqual(['job-state', 'job-finished']);
    expect(pen.job()).toMatchObject({ state: 'done', result: handleOf(99) });
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
    expect(finish(pen, epoch)).toMatchObject({ code: 'WRONG_STATE' });
  });

  test('does not come while outputs are left', () => {
    const { pen, epoch: lease } = collecting();
    const epoch = take(pen);
    pen.complete(lease);
    expect(finish(pen, epoch, handleOf(99))).toMatchObject({ code: 'WRONG_STATE' });
    expect(pen.table.isHeld(handleOf(99).hash)).toBe(false);
  });

  test('is a failure where points failed, and its state is kept for the retry', () => {
    const { pen, epoch: lease } = collecting({ options: { maxAttempts: 1 } });
    const epoch = take(pen);
    fold(pen, epoch, [0, 10, 20], handleOf(90));
    pen.fail(lease, 29, 30);
    while (pen.job().returned.length > 0) pen.complete(pen.grant(30));
    expect(pen.job()).toMatchObject({ state: 'failed', master: { state: handleOf(90), folded: 3 } });
    expect(fold(pen, epoch, [], null)).toMatchObject({ code: 'WRONG_STATE' });
    pen.apply({ kind: 'retry-job', id: jobId(1), range: null, uncertain: false });
    pen.complete(pen.grant(30));
    expect(finish(pen, take(pen), handleOf(99))).toEqual({ kind: 'ok' });
    expect(pen.job()).toMatchObject({ state: 'done', run: 2 });
  });

  test('is a cancel also when only its Master was waited for', () => {
    const { pen, epoch: lease } = collecting();
    pen.complete(lease);
    pen.control('cancel');
    expect(pen.job().state).toBe('cancelled');
  });

  test('takes its result back when it is set to work again', () => {
    const { pen, epoch: lease } = collecting({ options: { delivery: 'at-most-once' } });
    const epoch = take(pen);
    pen.progress(lease, 25, 30);
    pen.expire();
    fold(pen, epoch, [0, 10, 20], handleOf(90));
    finish(pen, epoch, handleOf(99));
    expect(pen.job()).toMatchObject({ state: 'done', uncertainPoints: 5 });
    pen.apply({ kind: 'retry-job', id: jobId(1), range: null, uncertain: true });
    expect(pen.job()).toMatchObject({ state: 'running', result: null });
    expect(pen.table.isHeld(handleOf(99).hash)).toBe(false);
  });
});

test('a job that paused for its outputs goes on by itself when its Master has folded half of them', () => {
  const table = new JobTable();
  const apply = (command: Command) => table.apply(table.appliedIndex + 1, encodeCommand(command)).outcome;
  const job = jobId(1);
  apply({ kind: 'submit-job', at: 1, spec: specOf({ end: 2 * OUTPUTS_PER_JOB_MAX, ...COLLECTS }), stamp: null });
  const worker = { worker: 'w1', instanceId: 'i', address: 'h:1', slots: 9 };
  apply({ kind: 'worker-join', at: 1, ...worker, offers: [{ name: 'mail', hash: 'h' }] });
  apply({ kind: 'grant', at: 1, job, worker: 'w1', incarnation: 2, size: OUTPUTS_PER_JOB_MAX, retry: null });
  for (let from = 0; from < OUTPUTS_PER_JOB_MAX; from += OUTPUTS_PER_REPORT_MAX) {
    const places = Array.from({ length: OUTPUTS_PER_REPORT_MAX }, (_, at) => ({
      start: from + at,
      end: from + at + 1,
    }));
    const outputs = places.map((place) => ({ ...place, handle: handleOf(1), stamp: 3 }));
    const cursor = from + OUTPUTS_PER_REPORT_MAX;
    apply({ kind: 'progress', at: 1, cursors: [{ epoch: 3, cursor, claimed: cursor, outputs }] });
  }
  expect(table.job(job)).toMatchObject({ state: 'paused', reason: TOO_MANY_OUTPUTS });
  apply({ kind: 'take-master', at: 1, job });
  const epoch = table.appliedIndex;
  const half = OUTPUTS_PER_JOB_MAX / 2;
  const folds = (from: number, count: number) => {
    const outputs = Array.from({ length: count }, (_, at) => from + at);
    return apply({ kind: 'fold', at: 1, job, epoch, outputs, state: null, stamp: epoch });
  };
  for (let from = 0; from < half - 512; from += 512) folds(from, 512);
  expect(table.job(job)?.state).toBe('paused');
  folds(half - 512, 512);
  expect(table.job(job)).toMatchObject({ state: 'running', reason: null, master: { folded: half } });
});
