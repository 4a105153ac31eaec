/** Histories of a dataset that can have happened, and such that cannot. */
import { describe, expect, it } from 'vitest';
import {
  type RegisterAnswer,
  type RegisterOperation,
  type RegisterQuestion,
  unexplainedOfRegister,
} from './register-history.ts';

type Times = readonly [askedAt: number, answeredAt: number];

function op(question: RegisterQuestion, [askedAt, answeredAt]: Times, answer: RegisterAnswer): RegisterOperation {
  return { question, askedAt, answeredAt, answer };
}

function open(question: RegisterQuestion, askedAt: number): RegisterOperation {
  return { question, askedAt, answeredAt: Number.POSITIVE_INFINITY, answer: null };
}

function putting(value: string, expected: number | null = null): RegisterQuestion {
  return { kind: 'put', value, expected };
}

function put(times: Times, value: string, version: number, expected: number | null = null): RegisterOperation {
  return op(putting(value, expected), times, { kind: 'put', version });
}

function conflict(times: Times, expected: number): RegisterOperation {
  return op(putting('refused', expected), times, { kind: 'conflict' });
}

function read(times: Times, version: number, value: string): RegisterOperation {
  return op({ kind: 'read' }, times, { kind: 'content', content: { version, value } });
}

function readNothing(times: Times): RegisterOperation {
  return op({ kind: 'read' }, times, { kind: 'content', content: null });
}

function drop(times: Times, answer: RegisterAnswer['kind'] & ('done' | 'not-found' | 'conflict')): RegisterOperation {
  return op({ kind: 'drop', expected: answer === 'conflict' ? 1 : null }, times, { kind: answer });
}

const first = put([0, 1], 'a', 5);

describe('the history of a dataset is linearizable', () => {
  it('when reads show what was put last, and nothing after a drop', () => {
    const history = [readNothing([0, 0.5]), put([1, 2], 'a', 5), read([3, 4], 5, 'a'), put([5, 6], 'b', 9, 5)];
    expect(
      unexplainedOfRegister([...history, read([7, 8], 9, 'b'), drop([9, 10], 'done'), readNothing([11, 12])]),
    ).toBeNull();
  });

  it('when a read that overlaps a put shows the old content or the new one', () => {
    expect(unexplainedOfRegister([first, put([2, 10], 'b', 9), read([3, 4], 5, 'a'), read([5, 6], 9, 'b')])).toBeNull();
  });

  it('when a put without an answer takes place long after it was asked, or never', () => {
    const doubt = open(putting('b'), 2);
    expect(unexplainedOfRegister([first, doubt, read([3, 4], 5, 'a'), read([5, 6], 8, 'b')])).toBeNull();
    expect(unexplainedOfRegister([first, doubt, read([3, 4], 5, 'a'), put([5, 6], 'c', 9, 5)])).toBeNull();
  });

  it('when a put without an answer, which nobody saw, explains a conflict', () => {
    expect(unexplainedOfRegister([first, open(putting('b'), 2), conflict([3, 4], 5)])).toBeNull();
  });

  it('when one put without an answer builds on another', () => {
    const doubts = [open(putting('b', 5), 2), open(putting('c', 8), 3)];
    expect(unexplainedOfRegister([first, ...doubts, read([4, 5], 9, 'c')])).toBe(null);
    const told = put([4, 5], 'd', 9, 8);
    expect(unexplainedOfRegister([first, open(putting('b', 5), 2), told, read([6, 7], 9, 'd')])).toBeNull();
  });

  it('when a drop without an answer explains that there is nothing, and that a name is free', () => {
    const doubt = open({ kind: 'drop', expected: 5 }, 2);
    expect(unexplainedOfRegister([first, doubt, readNothing([3, 4])])).toBeNull();
    expect(unexplainedOfRegister([first, doubt, put([3, 4], 'b', 7, 0), drop([5, 6], 'done')])).toBeNull();
    expect(unexplainedOfRegister([first, doubt, drop([3, 4], 'not-found')])).toBeNull();
  });

  it('when of two puts from one version one is refused', () => {
    expect(
      unexplainedOfRegister([first, put([2, 9], 'b', 7, 5), conflict([3, 10], 5), read([11, 12], 7, 'b')]),
    ).toBeNull();
  });

  it('when many operations have no answer', () => {
    const doubts = [...Array(60).keys()].map((at) =>
      open(at % 3 === 0 ? { kind: 'drop', expected: null } : putting(`v${at}`), at),
    );
    const reads = [read([70, 71], 8, 'v4'), readNothing([72, 73]), read([74, 75], 20, 'v7'), read([76, 77], 30, 'v4')];
    expect(unexplainedOfRegister([...doubts, ...reads.slice(0, 3), conflict([80, 81], 20)])).toBeNull();
    // The same content comes again only from one who puts it again.
    expect(unexplainedOfRegister([...doubts, ...reads])).toBe(reads[3]);
  });
});

describe('the history of a dataset is not linearizable', () => {
  it('when an update is lost', () => {
    const lost = read([4, 5], 5, 'a');
    expect(unexplainedOfRegister([first, put([2, 3], 'b', 9), lost])).toBe(lost);
  });

  it('when of two reads in a row the second shows the older content', () => {
    const stale = read([5, 6], 5, 'a');
    expect(unexplainedOfRegister([first, put([2, 10], 'b', 9), read([3, 4], 9, 'b'), stale])).toBe(stale);
  });

  it('when a read shows what nobody put', () => {
    const phantom = read([2, 3], 5, 'z');
    expect(unexplainedOfRegister([first, phantom])).toBe(phantom);
    const early = read([2, 3], 9, 'b');
    expect(unexplainedOfRegister([first, early, put([4, 5], 'b', 9)])).toBe(early);
    const other = read([2, 3], 6, 'a');
    expect(unexplainedOfRegister([first, other])).toBe(other);
  });

  it('when two puts from one expected version succeed', () => {
    const second = put([4, 5], 'c', 9, 5);
    expect(unexplainedOfRegister([first, put([2, 3], 'b', 7, 5), second])).toBe(second);
    const both = [first, put([2, 9], 'b', 7, 5), put([2, 10], 'c', 9, 5)];
    expect(unexplainedOfRegister(both)).not.toBeNull();
  });

  it('when a put is told the version of another', () => {
    const same = put([4, 5], 'c', 7);
    expect(unexplainedOfRegister([first, put([2, 3], 'b', 7), same])).toBe(same);
  });

  it('when a version comes that is older than one before', () => {
    const older = put([4, 5], 'c', 6);
    expect(unexplainedOfRegister([first, put([2, 3], 'b', 7), older])).toBe(older);
  });

  it('when a conflict is told and nobody can have changed the version', () => {
    const refused = conflict([2, 3], 5);
    expect(unexplainedOfRegister([first, refused])).toBe(refused);
    const free = op(putting('b', 0), [2, 3], { kind: 'conflict' });
    expect(unexplainedOfRegister([free])).toBe(free);
  });

  it('when what was dropped is there again, or is dropped twice', () => {
    const back = read([4, 5], 5, 'a');
    expect(unexplainedOfRegister([first, drop([2, 3], 'done'), back])).toBe(back);
    const again = drop([4, 5], 'done');
    expect(unexplainedOfRegister([first, drop([2, 3], 'done'), again])).toBe(again);
  });

  it('when there is nothing though nobody dropped it', () => {
    const nothing = readNothing([2, 3]);
    expect(unexplainedOfRegister([first, nothing])).toBe(nothing);
    const pin = op({ kind: 'pin' }, [2, 3], { kind: 'not-found' });
    expect(unexplainedOfRegister([first, pin])).toBe(pin);
  });

  it('when one put without an answer would have to take place twice', () => {
    const twice = read([6, 7], 9, 'b');
    const history = [first, open(putting('b'), 2), read([3, 4], 7, 'b'), put([4.5, 5], 'c', 8), twice];
    expect(unexplainedOfRegister(history)).toBe(twice);
  });
});
