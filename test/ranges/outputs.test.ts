/** What points emitted: it comes with their coverage or not at all, once, in order, of one schema, and is held until it goes. */
import { describe, expect, test } from 'vitest';
import {
  FINISHED_JOBS_AGE_MS,
  OUTPUTS_HELD_MAX,
  OUTPUTS_PER_ENTRY_MAX,
  OUTPUTS_PER_JOB_MAX,
  OUTPUTS_PER_REPORT_MAX,
  OUTPUTS_TOTAL_MAX,
  SNAPSHOT_BYTES_MAX,
} from '../../src/base/limits.ts';
import { encodeCommand } from '../../src/ranges/codec.ts';
import { TOO_MANY_IN_ALL } from '../../src/ranges/outputs.ts';
import { JobTable } from '../../src/ranges/table.ts';
import type { Command, Outcome, StampedOutput } from '../../src/ranges/types.ts';
import { handleOf, jobId, Pen, type SpecChanges, specOf } from './fixtures.ts';

const OTHER_SCHEMA = 'ffffffffffffffff';

/** Output `number` of points [start, end), stored just now. */
function output(pen: Pen, start: number, end: number, number = start + 1): StampedOutput {
  return { start, end, handle: handleOf(number), stamp: pen.table.appliedIndex };
}

/** A job with a task of its first points. */
function begun(changes: SpecChanges = {}, size = 50): { pen: Pen; epoch: number } {
  const pen = new Pen();
  pen.submit(changes);
  pen.join();
  return { pen, epoch: pen.grant(size) };
}

function tell(pen: Pen, epoch: number, cursor: number, ...outputs: StampedOutput[]): Outcome {
  return pen.progress(epoch, cursor, cursor, outputs);
}

function placesOf(pen: Pen): [number, number][] {
  return pen.job().outputs.map(({ start, end }) => [start, end]);
}

const fine = { kind: 'progressed', stale: [] };

describe('outputs', () => {
  test('come with the cursor, in range order, and hold their blobs', () => {
    const { pen, epoch } = begun();
    const second = pen.grant(50);
    expect(tell(pen, second, 70, output(pen, 50, 60), output(pen, 65, 70))).toEqual(fine);
    expect(pen.last.at(-1)).toEqual({ kind: 'outputs-added', job: jobId(1), from: 50, count: 2 });
    expect(tell(pen, epoch, 20, output(pen, 0, 10), output(pen, 10, 12))).toEqual(fine);
    expect(placesOf(pen)).toEqual([
      [0, 10],
      [10, 12],
      [50, 60],
      [65, 70],
    ]);
    expect(pen.table.isHeld(handleOf(66).hash)).toBe(true);
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
    expect(pen.restored().job(jobId(1))?.outputs).toEqual(pen.job().outputs);
  });

  test('come with an ending, too, and points that emit nothing have none', () => {
    const { pen, epoch } = begun({ end: 50 });
    const outputs = [output(pen, 3, 4)];
    expect(pen.apply({ kind: 'complete', epoch, cursor: 50, begun: 50, outputs })).toEqual({ kind: 'ok' });
    expect(pen.job()).toMatchObject({ state: 'done', outputs: [{ start: 3, end: 4, handle: handleOf(4) }] });
  });

  test('that were committed already are repeats, and change nothing', () => {
    const { pen, epoch } = begun();
    tell(pen, epoch, 10, output(pen, 0, 10));
    const { outputs } = pen.job();
    expect(tell(pen, epoch, 20, output(pen, 0, 10, 99), output(pen, 10, 20))).toEqual(fine);
    expect(pen.job().outputs[0]).toEqual(outputs[0]);
    expect(pen.table.isHeld(handleOf(99).hash)).toBe(false);
    expect(tell(pen, epoch, 15, output(pen, 0, 10), output(pen, 12, 15))).toEqual(fine);
    expect(placesOf(pen)).toEqual([
      [0, 10],
      [10, 20],
    ]);
  });

  test.each([
    ['lies beyond the cursor', [[20, 31]]],
    ['reaches across the committed cursor', [[5, 20]]],
    [
      'comes before the one before it',
      [
        [20, 25],
        [15, 18],
      ],
    ],
    [
      'overlaps the one before it',
      [
        [20, 25],
        [24, 28],
      ],
    ],
    ['is empty', [[20, 20]]],
  ])('are refused, with the cursor, when one %s', (_what, places) => {
    const { pen, epoch } = begun();
    tell(pen, epoch, 10, output(pen, 0, 10));
    const outputs = places.map(([start = 0, end = 0]) => output(pen, start, end));
    const before = pen.table.snapshot();
    expect(tell(pen, epoch, 30, ...outputs)).toEqual({ kind: 'progressed', stale: [epoch] });
    expect(pen.table.snapshot()).toEqual(before);
  });

  test('of a lease that has ended leave nothing, and the next lease brings its own', () => {
    const { pen, epoch } = begun({ end: 50 });
    pen.expire();
    expect(tell(pen, epoch, 10, output(pen, 0, 10, 7))).toMatchObject({ stale: [epoch] });
    expect(pen.table.isHeld(handleOf(7).hash)).toBe(false);
    pen.join();
    const next = pen.grant(50);
    tell(pen, next, 10, output(pen, 0, 10, 8));
    expect(pen.job().outputs.map(({ handle }) => handle)).toEqual([handleOf(8)]);
  });

  test('go with their job when it is evicted', () => {
    const pen = new Pen();
    pen.apply({ kind: 'submit-job', spec: specOf({ end: 10, input: handleOf(500) }), stamp: 1 });
    pen.join();
    const epoch = pen.grant(10);
    tell(pen, epoch, 10, output(pen, 0, 10));
    pen.complete(epoch);
    expect([...pen.table.heldBlobs()]).toHaveLength(2);
    pen.at += FINISHED_JOBS_AGE_MS + 1;
    pen.submit({ id: jobId(2) });
    expect(pen.table.job(jobId(1))).toBeUndefined();
    expect([...pen.table.heldBlobs()]).toEqual([]);
  });

  test('whose copies may have been deleted are refused; the lease lives until its code has ended, and goes back then', () => {
    const { pen, epoch } = begun({ end: 50 });
    const lost = output(pen, 0, 10, 7);
    pen.apply({ kind: 'condemn', hashes: [handleOf(7).hash] });
    const before = pen.table.snapshot();
    expect(tell(pen, epoch, 10, lost)).toEqual({ kind: 'progressed', stale: [epoch], refused: [epoch] });
    expect(pen.table.snapshot()).toEqual(before);
    const ending = { epoch, cursor: 10, begun: 12, outputs: [lost] };
    expect(pen.apply({ kind: 'release', ...ending })).toMatchObject({ kind: 'refused', code: 'BLOB_CONDEMNED' });
    expect(pen.job().returned).toMatchObject([{ start: 0, end: 50, touched: 12, attempts: 0 }]);
    expect(pen.job()).toMatchObject({ coveredPoints: 0, outputs: [] });
    const again = pen.grant(50);
    const kept = { epoch: again, cursor: 10, begun: 10, outputs: [output(pen, 0, 10, 7)] };
    expect(pen.apply({ kind: 'release', ...kept })).toEqual({ kind: 'ok' });
    expect(pen.table.isHeld(handleOf(7).hash)).toBe(true);
  });
});

describe('the schema of a job', () => {
  test('is that of its first output, and another one fails its range with the names of both', () => {
    const { pen, epoch } = begun({ end: 50, options: { maxAttempts: 1 } });
    tell(pen, epoch, 10, output(pen, 3, 10));
    const other = { ...output(pen, 10, 20), handle: handleOf(9, OTHER_SCHEMA) };
    expect(tell(pen, epoch, 20, other)).toMatchObject({ stale: [epoch], refused: [epoch] });
    expect(pen.table.task(epoch)).toMatchObject({ cursor: 10 });
    const ending = { epoch, cursor: 20, begun: 20, outputs: [other] };
    expect(pen.apply({ kind: 'release', ...ending })).toMatchObject({ kind: 'refused', code: 'SCHEMA_CONFLICT' });
    expect(pen.last.map(({ kind }) => kind)).toContain('range-failed');
    const { failed, schema, state } = pen.job();
    expect(failed[0]?.error).toMatch(/points \[3, 10\) .* points \[10, 20\) of schema ffffffffffffffff/);
    expect(schema).toEqual({ start: 3, end: 10, schema: '0123456789abcdef' });
    expect(state).toBe('running');
    expect(pen.restored().job(jobId(1))?.schema).toEqual(schema);
  });

  test('is asked for within one report, too, and then nothing of it is kept', () => {
    const { pen, epoch } = begun({ end: 50 });
    const outputs = [output(pen, 0, 10), { ...output(pen, 10, 20), handle: handleOf(9, OTHER_SCHEMA) }];
    const ending = { epoch, cursor: 50, begun: 50, outputs };
    expect(pen.apply({ kind: 'complete', ...ending })).toMatchObject({ kind: 'refused', code: 'SCHEMA_CONFLICT' });
    expect(pen.job()).toMatchObject({ coveredPoints: 0, outputs: [], schema: null });
    expect(pen.job().returned).toMatchObject([{ start: 0, end: 50, attempts: 1 }]);
  });

  test('stays when all outputs are folded', () => {
    const { pen, epoch } = begun({ end: 50, overseen: true, collects: true });
    tell(pen, epoch, 10, output(pen, 0, 10));
    pen.apply({ kind: 'take-master', job: jobId(1) });
    const { appliedIndex } = pen.table;
    pen.apply({ kind: 'fold', job: jobId(1), epoch: appliedIndex, outputs: [0], state: null, stamp: appliedIndex });
    const other = { ...output(pen, 10, 20), handle: handleOf(9, OTHER_SCHEMA) };
    expect(tell(pen, epoch, 20, other)).toMatchObject({ stale: [epoch] });
  });
});

describe('too many outputs', () => {
  test('pause a job with a word on commitEvery; what is live may go on for a while, and not for ever', () => {
    const table = new JobTable();
    const apply = (command: Command) => table.apply(table.appliedIndex + 1, encodeCommand(command)).outcome;
    const points = OUTPUTS_HELD_MAX + OUTPUTS_PER_REPORT_MAX;
    apply({ kind: 'submit-job', at: 1, spec: specOf({ end: points }), stamp: null });
    const worker = { worker: 'w1', instanceId: 'i', address: 'h:1', slots: 9 };
    apply({ kind: 'worker-join', at: 1, ...worker, offers: [{ name: 'mail', hash: 'h' }] });
    apply({ kind: 'grant', at: 1, job: jobId(1), worker: 'w1', incarnation: 2, size: points, retry: null });
    const told = (cursor: number) => {
      const outputs = Array.from({ length: OUTPUTS_PER_REPORT_MAX }, (_, at) => {
        const start = cursor - OUTPUTS_PER_REPORT_MAX + at;
        return { start, end: start + 1, handle: handleOf(1), stamp: 3 };
      });
      return apply({ kind: 'progress', at: 1, cursors: [{ epoch: 3, cursor, claimed: cursor, outputs }] });
    };
    let cursor = 0;
    for (; cursor < OUTPUTS_PER_JOB_MAX; cursor += OUTPUTS_PER_REPORT_MAX) {
      expect(table.job(jobId(1))?.state).toBe('running');
      told(cursor + OUTPUTS_PER_REPORT_MAX);
    }
    expect(table.job(jobId(1))).toMatchObject({
      state: 'paused',
      reason: expect.stringContaining('raise commitEvery'),
    });
    for (; cursor < OUTPUTS_HELD_MAX; cursor += OUTPUTS_PER_REPORT_MAX) {
      expect(told(cursor + OUTPUTS_PER_REPORT_MAX)).toEqual(fine);
    }
    expect(told(points)).toMatchObject({ stale: [3] });
    expect(table.job(jobId(1))?.outputs).toHaveLength(OUTPUTS_HELD_MAX);
    const copy = new JobTable();
    copy.restore(table.appliedIndex, table.snapshot());
    expect(Buffer.compare(copy.snapshot(), table.snapshot())).toBe(0);
  });
});

describe('the input of a job', () => {
  test('is held while the job is in the table, and part of what was asked for', () => {
    const pen = new Pen();
    const input = handleOf(100);
    expect(pen.submit({ input })).toMatchObject({ kind: 'refused', code: 'BLOB_CONDEMNED' });
    expect(pen.apply({ kind: 'submit-job', spec: specOf({ input }), stamp: 1 })).toMatchObject({ kind: 'created' });
    expect(pen.table.isHeld(input.hash)).toBe(true);
    expect(pen.submit({ input: handleOf(101) })).toMatchObject({ code: 'SPEC_CONFLICT' });
    expect(pen.submit({ input, id: jobId(2) })).toMatchObject({ kind: 'created' });
    expect(pen.table.referencesTo(input.hash)).toBe(2);
    expect(pen.restored().referencesTo(input.hash)).toBe(2);
    expect(pen.submit({ input })).toMatchObject({ kind: 'exists' });
  });

  test('has a row for every point', () => {
    const submit = (changes: SpecChanges) => () => new Pen().submit({ input: handleOf(100), ...changes });
    expect(submit({ end: 101 })).toThrow(/points without a row/);
    expect(submit({ start: -1 })).toThrow(/points without a row/);
  });
});

describe('what it costs the log', () => {
  const FAR = Number.MAX_SAFE_INTEGER;
  const large = { ...handleOf(1), bytes: 64 * 1024 ** 3, rows: FAR };
  const sizeOf = (command: Command) => encodeCommand(command).length;

  test('an output at most 256 bytes, however much it stands for', () => {
    const one = { start: FAR - 2, end: FAR - 1, handle: large, stamp: FAR };
    const progress = (outputs: readonly StampedOutput[]) =>
      sizeOf({ kind: 'progress', at: FAR, cursors: [{ epoch: FAR, cursor: FAR, claimed: FAR, outputs }] });
    expect(progress([one, one]) - progress([one])).toBeLessThanOrEqual(256);
    expect(progress([one])).toBeLessThanOrEqual(256);
  });

  test('a checkpoint at most 256 bytes, its entry with it', () => {
    const checkpoint = { stage: 63, fingerprint: 'f'.repeat(64), handle: large };
    expect(sizeOf({ kind: 'checkpoint', at: FAR, epoch: FAR, checkpoint, stamp: FAR })).toBeLessThanOrEqual(256);
  });
});

describe('outputs of all jobs', () => {
  const EACH = 16_000;
  const table = new JobTable();
  const apply = (command: Command) => table.apply(table.appliedIndex + 1, encodeCommand(command)).outcome;
  const stateOf = (number: number) => table.job(jobId(number))?.state;

  /** A job that has emitted at each of its first points. */
  function emitting(number: number): number {
    const id = jobId(number);
    apply({ kind: 'submit-job', at: 1, spec: specOf({ id, end: EACH }), stamp: null });
    apply({ kind: 'grant', at: 1, job: id, worker: 'w1', incarnation: 1, size: EACH, retry: null });
    const epoch: number = table.appliedIndex;
    for (let from = 0; from < EACH && stateOf(number) === 'running'; from += OUTPUTS_PER_REPORT_MAX) {
      const outputs = Array.from({ length: Math.min(OUTPUTS_PER_REPORT_MAX, EACH - from) }, (_, at) => ({
        ...{ start: from + at, end: from + at + 1, handle: handleOf(1), stamp: 1 },
      }));
      const cursor = from + outputs.length;
      apply({ kind: 'progress', at: 1, cursors: [{ epoch, cursor, claimed: cursor, outputs }] });
    }
    return epoch;
  }

  function end(epoch: number): void {
    apply({ kind: 'complete', at: 1, epoch, cursor: EACH, begun: EACH, outputs: [] });
  }

  test('too many: the longest finished jobs go first, and when there is none, whoever adds more pauses', () => {
    apply({
      kind: 'worker-join',
      at: 1,
      worker: 'w1',
      instanceId: 'i',
      address: 'h:1',
      slots: 99,
      offers: [{ name: 'mail', hash: 'h' }],
    });
    for (const number of [1, 2, 3, 4]) end(emitting(number));
    for (const number of [5, 6, 7, 8]) emitting(number);
    expect([1, 2, 3, 4].map(stateOf)).toEqual(['done', 'done', 'done', 'done']);
    emitting(9);
    expect([1, 2, 5, 9].map(stateOf)).toEqual([undefined, 'done', 'running', 'running']);
    for (const number of [10, 11, 12]) emitting(number);
    expect([2, 3, 4, 12].map(stateOf)).toEqual([undefined, undefined, undefined, 'running']);
    const held = emitting(13);
    expect(table.job(jobId(13))).toMatchObject({ state: 'paused', reason: TOO_MANY_IN_ALL });
    const count = [...table.jobs()].reduce((sum, { outputs }) => sum + outputs.length, 0);
    expect(count).toBeGreaterThan(OUTPUTS_TOTAL_MAX);
    expect(count).toBeLessThan(OUTPUTS_TOTAL_MAX + 2 * OUTPUTS_PER_ENTRY_MAX);
    expect(table.snapshot().length).toBeLessThan(SNAPSHOT_BYTES_MAX / 4);
    // A table that was restored counts the same: with one job ended there is room again.
    const restored = new JobTable();
    restored.restore(table.appliedIndex, table.snapshot());
    expect(Buffer.compare(restored.snapshot(), table.snapshot())).toBe(0);
    apply({ kind: 'control-job', at: 1, id: jobId(5), action: 'cancel' });
    apply({ kind: 'control-job', at: 1, id: jobId(13), action: 'resume' });
    const { cursor } = table.task(held)!;
    const outputs = [{ start: cursor, end: cursor + 1, handle: handleOf(1), stamp: 1 }];
    apply({ kind: 'progress', at: 1, cursors: [{ epoch: held, cursor: cursor + 1, claimed: cursor + 1, outputs }] });
    expect([5, 13].map(stateOf)).toEqual([undefined, 'running']);
  });
});
