/** How far a pipeline has come with a range: it stays with the whole range until the range is covered or given up. */
import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import type { Outcome } from '../../src/ranges/types.ts';
import { handleOf, jobId, Pen, type SpecChanges } from './fixtures.ts';

function begun(changes: SpecChanges = {}, size = 50): { pen: Pen; epoch: number } {
  const pen = new Pen();
  pen.submit({ end: 50, exposure: 'task', ...changes });
  pen.join();
  return { pen, epoch: pen.grant(size) };
}

/** The checkpoint behind a stage, in a blob of its own. */
function checkpointOf(stage: number, fingerprint = 'code') {
  return { stage, fingerprint, handle: handleOf(700 + stage) };
}

function reach(pen: Pen, epoch: number, stage: number, fingerprint = 'code'): Outcome {
  const checkpoint = checkpointOf(stage, fingerprint);
  return pen.apply({ kind: 'checkpoint', epoch, checkpoint, stamp: pen.table.appliedIndex });
}

function held(pen: Pen): string[] {
  return [...pen.table.heldBlobs()];
}

describe('a checkpoint', () => {
  test('is held by its lease, and the next stage takes its place', () => {
    const { pen, epoch } = begun();
    expect(reach(pen, epoch, 0)).toEqual({ kind: 'ok' });
    expect(pen.last).toEqual([{ kind: 'task-checkpointed', job: jobId(1), epoch, worker: 'w1', stage: 0 }]);
    reach(pen, epoch, 1);
    expect(held(pen)).toEqual([handleOf(701).hash]);
    expect(reach(pen, epoch, 0)).toEqual({ kind: 'nothing' });
    expect(pen.table.task(epoch)?.checkpoint).toEqual(checkpointOf(1));
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
  });

  test('of other code begins anew at any stage', () => {
    const { pen, epoch } = begun();
    reach(pen, epoch, 3);
    expect(reach(pen, epoch, 0, 'other code')).toEqual({ kind: 'ok' });
    expect(held(pen)).toEqual([handleOf(700).hash]);
  });

  test('goes with its range from worker to worker, whole, however little is asked for', () => {
    const { pen, epoch } = begun();
    reach(pen, epoch, 2);
    pen.expire();
    expect(pen.job().returned).toMatchObject([{ start: 0, end: 50, checkpoint: checkpointOf(2) }]);
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
    pen.join('w2');
    const next = pen.grant(1, { worker: 'w2' });
    expect(pen.table.task(next)).toMatchObject({ start: 0, end: 50, checkpoint: checkpointOf(2) });
    expect(pen.table.referencesTo(handleOf(702).hash)).toBe(1);
  });

  test('keeps its range from melting with a neighbour', () => {
    const { pen, epoch } = begun({}, 20);
    const second = pen.grant(20);
    reach(pen, epoch, 0);
    pen.release(epoch, 0, 0);
    pen.release(second, 20, 20);
    expect(pen.job().returned.map(({ start, end }) => [start, end])).toEqual([
      [0, 20],
      [20, 40],
    ]);
  });

  test('keeps its range from being cut by a shrink', () => {
    const { pen, epoch } = begun({ exposure: 'window' });
    reach(pen, epoch, 0);
    expect(pen.apply({ kind: 'shrink', epoch, end: 20 })).toEqual({ kind: 'ok' });
    expect(pen.table.task(epoch)?.end).toBe(50);
  });

  test('keeps its range from being halved: attempts count on the whole, and the last one fails the whole', () => {
    const { pen, epoch } = begun({ options: { maxAttempts: 2 } });
    reach(pen, epoch, 0);
    pen.fail(epoch, 0, 30);
    const [back] = pen.job().returned;
    expect(back).toMatchObject({ start: 0, end: 50, attempts: 1, checkpoint: checkpointOf(0) });
    const again = pen.grant(1, { retry: 0 });
    pen.fail(again, 0, 30, 'boom');
    expect(pen.job()).toMatchObject({ state: 'failed', failed: [{ start: 0, end: 50, attempts: 2 }] });
    expect(held(pen)).toEqual([]);
  });

  test('is let go with the first point that is covered, and none comes after it', () => {
    const { pen, epoch } = begun();
    reach(pen, epoch, 0);
    pen.progress(epoch, 10);
    expect(held(pen)).toEqual([]);
    expect(reach(pen, epoch, 1)).toEqual({ kind: 'nothing' });
    pen.expire();
    expect(pen.job().returned).toMatchObject([{ start: 10, end: 50, checkpoint: null }]);
  });

  test.each(['leased', 'returned'])('is let go when its job is cancelled while its range is %s', (where) => {
    const { pen, epoch } = begun();
    reach(pen, epoch, 0);
    if (where === 'returned') pen.expire();
    pen.control('cancel');
    expect(held(pen)).toEqual([]);
  });

  test('whose copies may have been deleted is refused, and its lease lives until its worker ends it', () => {
    const { pen, epoch } = begun();
    const stamp = pen.table.appliedIndex;
    pen.apply({ kind: 'condemn', hashes: [handleOf(700).hash] });
    const outcome = pen.apply({ kind: 'checkpoint', epoch, checkpoint: checkpointOf(0), stamp });
    expect(outcome).toMatchObject({ kind: 'refused', code: 'BLOB_CONDEMNED' });
    expect(pen.table.task(epoch)?.checkpoint).toBeNull();
  });

  test('of a lease that has ended is refused', () => {
    const { pen, epoch } = begun();
    pen.expire();
    expect(reach(pen, epoch, 0)).toMatchObject({ code: 'STALE_EPOCH' });
    expect(held(pen)).toEqual([]);
  });

  test('that came back stays with a range of a restored table', () => {
    const { pen, epoch } = begun();
    reach(pen, epoch, 1);
    pen.expire();
    const job = must(pen.restored().job(jobId(1)), 'the job was restored');
    expect(job.returned).toEqual(pen.job().returned);
  });
});
