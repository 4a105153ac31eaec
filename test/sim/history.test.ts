/** Histories that can have happened, and such that cannot. */
import { describe, expect, it } from 'vitest';
import type { JobState } from '../../src/ranges/types.ts';
import { type Answer, type Operation, type Question, unexplained } from './history.ts';

const DONE: Answer = { kind: 'done' };

function op(question: Question, askedAt: number, answeredAt: number, answer: Answer | null): Operation {
  return { question, askedAt, answeredAt, answer };
}

function read(askedAt: number, answeredAt: number, state: JobState | null): Operation {
  return op('read', askedAt, answeredAt, { kind: 'state', state });
}

function open(question: Question, askedAt: number): Operation {
  return op(question, askedAt, Number.POSITIVE_INFINITY, null);
}

const submitted = op('submit', 0, 1, DONE);

describe('a history is linearizable', () => {
  it('when reads follow what was written and what the cluster does by itself', () => {
    expect(unexplained([submitted, read(2, 3, 'pending'), read(4, 5, 'running'), read(6, 7, 'done')])).toBeNull();
  });

  it('when a read that overlaps a write shows the old state or the new one', () => {
    const pause = op('pause', 2, 10, DONE);
    expect(unexplained([submitted, pause, read(3, 4, 'running'), read(5, 6, 'paused')])).toBeNull();
  });

  it('when a submit without an answer took place long after it was asked', () => {
    expect(unexplained([open('submit', 0), read(5, 6, null), read(7, 8, 'pending')])).toBeNull();
  });

  it('when a pause without an answer comes after a resume that was asked later', () => {
    const resume = op('resume', 5, 6, DONE);
    expect(unexplained([submitted, open('pause', 2), resume, read(7, 8, 'paused'), read(9, 10, 'paused')])).toBeNull();
  });

  it('when a refusal names a state that the job can have been in', () => {
    expect(unexplained([submitted, op('cancel', 2, 9, DONE), op('pause', 3, 4, { kind: 'wrong-state' })])).toBeNull();
  });

  it('when many operations have no answer', () => {
    const doubts = [...Array(30).keys()].map((at) => open(at % 2 === 0 ? 'pause' : 'resume', at));
    expect(unexplained([submitted, ...doubts, read(40, 41, 'paused'), read(42, 43, 'done')])).toBeNull();
  });

  it('when a job that fared badly paused by itself', () => {
    const history = [submitted, read(2, 3, 'paused'), op('resume', 4, 5, DONE), read(6, 7, 'running')];
    expect(unexplained(history, true)).toBeNull();
    expect(unexplained(history, false)).toBe(history[1]);
  });

  it('when a retry sets a failed job to work again', () => {
    const history = [submitted, read(2, 3, 'failed'), op('retry', 4, 5, DONE), read(6, 7, 'running')];
    expect(unexplained(history)).toBeNull();
    expect(unexplained(history.filter(({ question }) => question !== 'retry'))).toBe(history[3]);
  });
});

describe('a history is not linearizable', () => {
  it('when a read does not show an acknowledged submit', () => {
    const stale = read(2, 3, null);
    expect(unexplained([submitted, stale])).toBe(stale);
  });

  it('when a read shows a job that nobody had asked for yet', () => {
    const phantom = read(2, 3, 'pending');
    expect(unexplained([phantom, op('submit', 4, 5, DONE)])).toBe(phantom);
  });

  it('when of two reads in a row the second shows the older state', () => {
    const pause = op('pause', 2, 10, DONE);
    const back = read(5, 6, 'running');
    expect(unexplained([submitted, pause, read(3, 4, 'paused'), back])).toBe(back);
  });

  it('when a job goes on that was finished', () => {
    const back = read(4, 5, 'running');
    expect(unexplained([submitted, read(2, 3, 'done'), back])).toBe(back);
  });

  it('when a job is resumed that nobody resumed', () => {
    const back = read(4, 5, 'running');
    expect(unexplained([submitted, op('pause', 2, 3, DONE), back])).toBe(back);
  });

  it('when a refusal names a state that the job was never in', () => {
    const refused = op('pause', 2, 3, { kind: 'wrong-state' });
    const later = read(4, 5, 'paused');
    expect(unexplained([submitted, op('pause', 1, 1.5, DONE), refused, later])).toBe(later);
  });

  it('when one operation without an answer would have to take place twice', () => {
    const resumes = [op('resume', 4, 5, DONE), op('resume', 8, 9, DONE)];
    const again = read(10, 11, 'paused');
    const history = [submitted, open('pause', 2), read(3, 3.5, 'paused'), ...resumes, read(6, 7, 'running'), again];
    expect(unexplained(history)).toBe(again);
  });
});
