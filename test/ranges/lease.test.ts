import { describe, expect, test } from 'vitest';
import { ERROR_TEXT_MAX } from '../../src/base/limits.ts';
import { encodeCommand } from '../../src/ranges/codec.ts';
import { jobId, Pen, type SpecChanges } from './fixtures.ts';

/** A job of [0, 100) with a commit window of 10, and one worker. */
function started(changes: SpecChanges = {}): Pen {
  const pen = new Pen();
  pen.join();
  pen.submit(changes);
  return pen;
}

describe('a job from end to end', () => {
  test('is pending, running after its first grant, and done when its last task completes', () => {
    const pen = started();
    const first = pen.grant(60);
    expect(pen.last).toEqual([
      { kind: 'task-granted', job: jobId(1), epoch: first, worker: 'w1' },
      { kind: 'job-state', job: jobId(1), state: 'running', reason: null },
    ]);
    expect(pen.job()).toMatchObject({ state: 'running', startedAt: pen.at, frontier: 60 });
    const second = pen.grant(60);
    expect(pen.table.task(second)).toMatchObject({ start: 60, end: 100, cursor: 60, attempts: 0 });
    expect(pen.tryGrant(60)).toEqual({ kind: 'nothing' });
    pen.at += 5;
    pen.complete(first);
    expect(pen.job()).toMatchObject({ state: 'running', finishedAt: null });
    pen.complete(second);
    expect(pen.job()).toMatchObject({
      state: 'done',
      covered: [{ start: 0, end: 100 }],
      finishedAt: pen.at,
      tasks: [],
    });
    expect(pen.last).toEqual([
      { kind: 'task-progressed', job: jobId(1), epoch: second, worker: 'w1', from: 60, to: 100 },
      { kind: 'task-ended', job: jobId(1), epoch: second, worker: 'w1', how: 'completed', rest: null },
      { kind: 'job-state', job: jobId(1), state: 'done', reason: null },
      { kind: 'job-finished', job: jobId(1), run: 1, state: 'done' },
    ]);
  });

  test('works at both ends of the safe integers', () => {
    const edges = [
      { start: Number.MIN_SAFE_INTEGER, end: -1 },
      { start: 1, end: Number.MAX_SAFE_INTEGER },
    ];
    for (const edge of edges) {
      const pen = started({ ...edge, options: { commitEvery: 1_000_000 } });
      const first = pen.grant(5);
      expect(pen.table.task(first)?.end).toBe(edge.start + 5);
      const second = pen.grant(Number.MAX_SAFE_INTEGER);
      expect(pen.table.task(second)?.end).toBe(edge.end);
      pen.progress(second, edge.end - 3);
      pen.expire();
      expect(pen.job().returned.at(-1)).toMatchObject({ start: edge.end - 3, touched: edge.end });
      pen.join();
      while (pen.job().state !== 'done') pen.complete(pen.grant(Number.MAX_SAFE_INTEGER));
      expect(pen.job().covered).toEqual([edge]);
    }
  });
});

describe('progress', () => {
  test('covers exactly from the old cursor to the reported one', () => {
    const pen = started();
    const epoch = pen.grant(50);
    expect(pen.progress(epoch, 20)).toEqual({ kind: 'progressed', stale: [] });
    expect(pen.last).toEqual([{ kind: 'task-progressed', job: jobId(1), epoch, worker: 'w1', from: 0, to: 20 }]);
    expect(pen.table.task(epoch)).toMatchObject({ start: 0, cursor: 20, end: 50 });
    expect(pen.job().covered).toEqual([{ start: 0, end: 20 }]);
  });

  test('that goes back says nothing, and is not stale', () => {
    const pen = started();
    const epoch = pen.grant(50);
    pen.progress(epoch, 20);
    for (const cursor of [20, 10, -5]) {
      expect(pen.progress(epoch, cursor)).toEqual({ kind: 'progressed', stale: [] });
      expect(pen.last).toEqual([]);
    }
    expect(pen.job().coveredPoints).toBe(20);
  });

  test('is judged epoch by epoch: stale ones are named, the others count', () => {
    const pen = started();
    const [gone, beyond, live] = [pen.grant(10), pen.grant(10), pen.grant(10)];
    pen.complete(gone);
    const cursors = [
      { epoch: gone, cursor: 10, claimed: 10, outputs: [] },
      { epoch: beyond, cursor: 21, claimed: 21, outputs: [] },
      { epoch: live, cursor: 25, claimed: 25, outputs: [] },
      { epoch: 999, cursor: 1, claimed: 1, outputs: [] },
    ];
    expect(pen.apply({ kind: 'progress', cursors })).toEqual({ kind: 'progressed', stale: [gone, beyond, 999] });
    expect(pen.job().covered).toEqual([
      { start: 0, end: 10 },
      { start: 20, end: 25 },
    ]);
    expect(pen.table.task(beyond)?.cursor).toBe(10);
  });

  test('up to the end does not end the task', () => {
    const pen = started();
    const epoch = pen.grant(100);
    pen.progress(epoch, 100);
    expect(pen.table.task(epoch)).toMatchObject({ cursor: 100, end: 100 });
    expect(pen.job().state).toBe('running');
    pen.expire();
    expect(pen.last).toContainEqual(expect.objectContaining({ kind: 'task-ended', how: 'expired', rest: null }));
    expect(pen.job().state).toBe('done');
  });
});

describe('the end of a lease', () => {
  test('complete short of the end is progress plus release', () => {
    const pen = started();
    const epoch = pen.grant(50);
    expect(pen.apply({ kind: 'complete', outputs: [], epoch, cursor: 30, begun: 35 })).toEqual({ kind: 'ok' });
    expect(pen.last.at(-1)).toMatchObject({ kind: 'task-ended', how: 'released', rest: { start: 30, end: 50 } });
    expect(pen.job().returned).toEqual([{ start: 30, end: 50, touched: 35, attempts: 0, error: '', checkpoint: null }]);
    expect(pen.job().coveredPoints).toBe(30);
  });

  test('with a cursor from before the committed one counts the committed one', () => {
    const pen = started();
    const epoch = pen.grant(50);
    pen.progress(epoch, 40);
    pen.release(epoch, 10, 20);
    expect(pen.job().returned).toEqual([{ start: 40, end: 50, touched: 40, attempts: 0, error: '', checkpoint: null }]);
    expect(pen.job().coveredPoints).toBe(40);
  });

  test('an epoch is never accepted after it, whatever ended it', () => {
    const ends: ((pen: Pen, epoch: number) => unknown)[] = [
      (pen, epoch) => pen.complete(epoch),
      (pen, epoch) => pen.fail(epoch, 0, 1),
      (pen, epoch) => pen.release(epoch, 0, 0),
      (pen) => pen.expire(),
      (pen) => pen.control('cancel'),
    ];
    for (const end of ends) {
      const pen = started();
      const epoch = pen.grant(50);
      end(pen, epoch);
      expect(pen.table.task(epoch)).toBeUndefined();
      const before = pen.table.snapshot();
      const late = { epoch, cursor: 50, begun: 50 };
      const stale = { kind: 'refused', code: 'STALE_EPOCH' };
      expect(pen.apply({ kind: 'complete', outputs: [], ...late })).toMatchObject(stale);
      expect(pen.apply({ kind: 'fail', outputs: [], ...late, error: '' })).toMatchObject(stale);
      expect(pen.apply({ kind: 'release', outputs: [], ...late })).toMatchObject(stale);
      expect(pen.progress(epoch, 50)).toEqual({ kind: 'progressed', stale: [epoch] });
      expect(pen.table.snapshot()).toEqual(before);
    }
  });

  test('beyond the end of the task is refused, and the task goes on', () => {
    const pen = started();
    const epoch = pen.grant(50);
    const refused = pen.apply({ kind: 'complete', outputs: [], epoch, cursor: 51, begun: 51 });
    expect(refused).toMatchObject({ kind: 'refused', code: 'STALE_EPOCH' });
    expect(pen.table.task(epoch)).toMatchObject({ cursor: 0 });
  });

  test('of a lost worker exposes one commit window, or the whole task where its type begins it at once', () => {
    const touchedAfterLoss = (exposure: 'window' | 'task', cursor: number) => {
      const pen = started({ exposure });
      pen.progress(pen.grant(50), cursor);
      pen.expire();
      return pen.job().returned[0]?.touched;
    };
    expect(touchedAfterLoss('window', 20)).toBe(30);
    expect(touchedAfterLoss('window', 45)).toBe(50);
    expect(touchedAfterLoss('task', 20)).toBe(50);
  });

  test('from a live worker exposes what it says it began, held to its task', () => {
    const touchedAfter = (begun: number, exposure: 'window' | 'task' = 'window') => {
      const pen = started({ exposure });
      pen.release(pen.grant(50), 20, begun);
      return pen.job().returned[0]?.touched;
    };
    expect(touchedAfter(23)).toBe(23);
    expect(touchedAfter(23, 'task')).toBe(23);
    expect(touchedAfter(5)).toBe(20);
    expect(touchedAfter(500)).toBe(50);
  });
});

describe('a grant', () => {
  test('takes what came back before it moves the frontier, and only as much as asked for', () => {
    const pen = started();
    const epoch = pen.grant(30);
    pen.grant(30);
    pen.release(epoch, 10, 15);
    expect(pen.table.task(pen.grant(8))).toMatchObject({ start: 10, end: 18 });
    expect(pen.job().returned).toEqual([{ start: 18, end: 30, touched: 18, attempts: 0, error: '', checkpoint: null }]);
    expect(pen.table.task(pen.grant(50))).toMatchObject({ start: 18, end: 30 });
    expect(pen.table.task(pen.grant(5))).toMatchObject({ start: 60, end: 65 });
  });

  test('goes only to a current worker that offers the type, of a job that is there', () => {
    const pen = started();
    pen.join('w2', ['hash']);
    expect(pen.tryGrant(1, { worker: 'w2' })).toEqual({ kind: 'nothing' });
    expect(pen.tryGrant(1, { worker: 'w3' })).toEqual({ kind: 'nothing' });
    expect(pen.tryGrant(1, { job: jobId(2) })).toEqual({ kind: 'nothing' });
    expect(pen.table.worker('w2')?.epochs).toEqual([]);
  });

  test('without a retry leaves failed ranges alone, and with one takes its range whole', () => {
    const pen = started();
    pen.fail(pen.grant(30), 0, 5);
    expect(pen.table.task(pen.grant(50))).toMatchObject({ start: 5, end: 30, attempts: 0 });
    expect(pen.table.task(pen.grant(10))).toMatchObject({ start: 30, end: 40, attempts: 0 });
    expect(pen.tryGrant(1, { retry: 5 })).toEqual({ kind: 'nothing' });
    expect(pen.table.task(pen.grant(1, { retry: 0 }))).toMatchObject({ start: 0, end: 5, attempts: 1 });
    expect(pen.tryGrant(1, { retry: 0 })).toEqual({ kind: 'nothing' });
  });

  test('with a retry never takes a range that did not fail', () => {
    const pen = started();
    pen.release(pen.grant(30), 0, 0);
    expect(pen.tryGrant(1, { retry: 0 })).toEqual({ kind: 'nothing' });
  });
});

describe('a failure', () => {
  test('is tried again as it is until its attempts are used up, and then has failed', () => {
    const pen = started({ options: { maxAttempts: 3 } });
    pen.fail(pen.grant(50), 10, 11, 'first');
    expect(pen.job().returned).toEqual([
      { start: 10, end: 11, touched: 11, attempts: 1, error: 'first', checkpoint: null },
      { start: 11, end: 50, touched: 11, attempts: 0, error: '', checkpoint: null },
    ]);
    pen.fail(pen.grant(1, { retry: 10 }), 10, 11, 'second');
    expect(pen.job().returned[0]).toEqual({
      start: 10,
      end: 11,
      touched: 11,
      attempts: 2,
      error: 'second',
      checkpoint: null,
    });
    pen.fail(pen.grant(1, { retry: 10 }), 10, 11, 'third');
    const failed = { start: 10, end: 11, error: 'third', attempts: 3, worker: 'w1', at: pen.at };
    expect(pen.job().failed).toEqual([failed]);
    const range = { start: 10, end: 11 };
    expect(pen.last).toContainEqual({ kind: 'range-failed', job: jobId(1), range, error: 'third' });
    pen.complete(pen.grant(50));
    pen.complete(pen.grant(50));
    expect(pen.job()).toMatchObject({ state: 'failed', reason: '1 points failed', failedPoints: 1, coveredPoints: 99 });
  });

  test('behind points that were acknowledged since is the first of its points', () => {
    const pen = started({ options: { maxAttempts: 2 } });
    pen.fail(pen.grant(50), 0, 10);
    pen.fail(pen.grant(1, { retry: 0 }), 4, 6);
    expect(pen.job().returned[0]).toMatchObject({ start: 4, end: 6, attempts: 1 });
  });

  test('of a worker that is lost is none: attempts and error stay as they were', () => {
    const pen = started();
    pen.fail(pen.grant(50), 0, 50, 'first');
    pen.grant(1, { retry: 0 });
    pen.expire();
    expect(pen.job().returned).toEqual([
      { start: 0, end: 50, touched: 10, attempts: 1, error: 'first', checkpoint: null },
    ]);
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
  });

  test('survives a restore in the middle of its retry with its error', () => {
    const pen = started();
    pen.fail(pen.grant(50), 0, 50, 'first');
    pen.grant(1, { retry: 0 });
    const copy = pen.restored();
    const { at } = pen;
    const expire = encodeCommand({ kind: 'worker-expire', at, worker: 'w1', incarnation: 1, reason: 'silence' });
    copy.apply(copy.appliedIndex + 1, expire);
    expect(copy.job(jobId(1))?.returned).toMatchObject([{ start: 0, end: 50, attempts: 1, error: 'first' }]);
  });

  test('at the last point leaves nothing to retry', () => {
    const pen = started();
    pen.fail(pen.grant(100), 100, 100);
    expect(pen.last).toContainEqual(expect.objectContaining({ kind: 'task-ended', how: 'failed', rest: null }));
    expect(pen.job()).toMatchObject({ state: 'done', failed: [] });
  });

  test('keeps no more of its error than the limit', () => {
    const pen = started();
    pen.fail(pen.grant(10), 0, 1, 'x'.repeat(5_000));
    expect(pen.job().returned[0]?.error).toHaveLength(ERROR_TEXT_MAX);
  });

  test('with the error of its neighbours makes one range of them', () => {
    const pen = started({ options: { maxAttempts: 1 } });
    const [left, middle, right, other] = [pen.grant(10), pen.grant(10), pen.grant(10), pen.grant(10)];
    pen.fail(left, 0, 10, 'same');
    pen.fail(right, 20, 30, 'same');
    pen.fail(other, 30, 40, 'different');
    expect(pen.job().failed).toHaveLength(3);
    pen.fail(middle, 10, 20, 'same');
    expect(pen.job().failed.map(({ start, end, error }) => [start, end, error])).toEqual([
      [0, 30, 'same'],
      [30, 40, 'different'],
    ]);
  });
});

describe('points that may have run before', () => {
  test('are counted when they are granted again, and not before', () => {
    const pen = started();
    pen.progress(pen.grant(50), 20);
    pen.expire();
    expect(pen.job()).toMatchObject({ reexecuted: [], reexecutedPoints: 0 });
    pen.join();
    // Only the part that is granted: [20, 30) was exposed, [20, 24) is given out.
    pen.grant(4);
    expect(pen.job().reexecuted).toEqual([{ start: 20, end: 24, times: 1, workers: ['w1'] }]);
    expect(pen.job().returned).toMatchObject([{ start: 24, end: 50, touched: 30 }]);
    pen.grant(50);
    expect(pen.job().reexecuted).toEqual([{ start: 20, end: 30, times: 1, workers: ['w1'] }]);
    expect(pen.job().reexecutedPoints).toBe(10);
  });

  test('are counted once for each time', () => {
    const pen = started();
    for (let i = 0; i < 3; i++) {
      pen.grant(50);
      pen.expire();
      pen.join();
    }
    pen.progress(pen.grant(50), 5);
    pen.expire();
    pen.join();
    pen.grant(50);
    expect(pen.job().reexecuted).toEqual([
      { start: 0, end: 5, times: 3, workers: ['w1'] },
      { start: 5, end: 10, times: 4, workers: ['w1'] },
      { start: 10, end: 15, times: 1, workers: ['w1'] },
    ]);
    expect(pen.job().reexecutedPoints).toBe(15 + 20 + 5);
  });

  test('are none where the worker let go before it began', () => {
    const pen = started();
    pen.release(pen.grant(50), 20, 20);
    pen.grant(50);
    expect(pen.job().reexecutedPoints).toBe(0);
  });

  test('are not overstated when ranges that came back melt together', () => {
    const pen = started();
    const [left, right, third] = [pen.grant(20), pen.grant(20), pen.grant(20)];
    pen.release(left, 0, 5);
    pen.release(right, 20, 25);
    // Melting these two would say that [5, 20) may have run.
    expect(pen.job().returned.map(({ start, end, touched }) => [start, end, touched])).toEqual([
      [0, 20, 5],
      [20, 40, 25],
    ]);
    pen.release(third, 40, 40);
    expect(pen.job().returned.map(({ start, end, touched }) => [start, end, touched])).toEqual([
      [0, 20, 5],
      [20, 60, 25],
    ]);
  });
});
