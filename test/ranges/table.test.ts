import { describe, expect, test } from 'vitest';
import { jobId, MAIL, Pen, specOf } from './fixtures.ts';

/** A job of [0, 100) with a commit window of 10, and one worker. */
function started(changes: Parameters<Pen['submit']>[0] = {}): Pen {
  const pen = new Pen();
  pen.join();
  pen.submit(changes);
  return pen;
}

describe('a job from end to end', () => {
  test('is pending, running after its first grant, and done when its last task completes', () => {
    const pen = started();
    expect(pen.job()).toMatchObject({ state: 'pending', startedAt: null });
    const first = pen.grant(60);
    expect(pen.job()).toMatchObject({ state: 'running', startedAt: pen.at, frontier: 60 });
    const second = pen.grant(60);
    expect(pen.table.task(second)).toMatchObject({ start: 60, end: 100 });
    expect(pen.tryGrant(60)).toEqual({ kind: 'nothing' });
    pen.complete(first);
    expect(pen.job().state).toBe('running');
    pen.complete(second);
    expect(pen.job()).toMatchObject({ state: 'done', covered: [{ start: 0, end: 100 }], finishedAt: pen.at, tasks: [] });
    expect(pen.last.at(-1)).toMatchObject({ kind: 'job-state', state: 'done' });
  });
});
