/**
 * Runners at the counter of a leader whose log commits when the test says so: their tasks.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { runnerId } from '../../src/base/runner-id.ts';
import type { RunnerAnswer } from '../../src/daemon/runner-api.ts';
import { jobId } from '../ranges/fixtures.ts';
import { Office, TTL } from './office.ts';
import { answerOf, codeOf, WHO, wordsFor } from './runner-words.ts';

let office: Office;
beforeEach(() => {
  office = new Office();
  office.lead();
});

const { join, claim, report, work } = wordsFor(() => office);

describe('a claim', () => {
  test('waits for work, and is answered in the turn in which it is granted', () => {
    const session = join();
    const question = claim(session);
    office.run();
    expect(question.result).toBeNull();
    office.submit({ options: { taskSize: 20 } });
    office.run();
    const { orders } = answerOf(question);
    expect(orders).toMatchObject([{ job: jobId(1), start: 0, end: 20, cursor: 0 }]);
  });

  test('waits no longer than a silent worker is expected to take a task', () => {
    const session = join();
    const question = claim(session);
    office.pass((TTL * 3) / 10 - 1);
    expect(question.result).toBeNull();
    office.pass(1);
    expect(answerOf(question)).toMatchObject({ orders: [], stop: [], drain: false });
  });

  test('that waits for nothing is answered at once', () => {
    expect(answerOf(claim(join(), { waitMs: 0 })).orders).toEqual([]);
  });

  test('nothing is granted to a runner that does not wait', () => {
    const session = join();
    answerOf(claim(session, { waitMs: 0 }));
    office.submit();
    expect(office.run()).toEqual([]);
    expect(work(session)).toMatchObject({ start: 0 });
  });

  test('nothing is granted to one that has gone away', () => {
    const session = join();
    const question = claim(session);
    office.run();
    question.takeBack();
    office.submit();
    expect(office.run()).toEqual([]);
    expect(question.result).toBeNull();
  });

  test('what was granted to one that was going is told to its next claim', () => {
    const session = join();
    const question = claim(session);
    office.submit({ options: { taskSize: 20 } });
    office.leader.flush();
    question.takeBack();
    office.run();
    expect(office.pen.job().tasks).toHaveLength(1);
    expect(answerOf(claim(session)).orders).toMatchObject([{ start: 0, end: 20 }]);
  });

  test('gives no more tasks than it asks for, nor than there are slots', () => {
    office.submit({ options: { taskSize: 5 } });
    const session = join({ slots: 3 });
    const two = claim(session, { tasksMax: 2 });
    office.run();
    const epochs = answerOf(two).orders.map(({ epoch }) => epoch);
    expect(epochs).toHaveLength(2);
    const rest = claim(session, { epochs, tasksMax: 9 });
    office.run();
    expect(answerOf(rest).orders).toHaveLength(1);
    const none = claim(session, { epochs, tasksMax: 0, waitMs: 0 });
    office.run();
    expect(office.pen.job().tasks).toHaveLength(3);
    // The third was not among those that it named, so it is told again.
    expect(answerOf(none).orders).toHaveLength(1);
  });

  test('names what is over of that which the runner holds', () => {
    office.submit({ options: { taskSize: 20 } });
    const session = join();
    const { epoch } = work(session);
    const waiting = claim(session, { epochs: [epoch] });
    office.control('cancel');
    office.run();
    expect(answerOf(waiting).stop).toEqual([epoch]);
  });

  test('ends when a newer one of its session comes, so that no task is given twice', () => {
    const session = join();
    const former = claim(session);
    const newer = claim(session);
    expect(answerOf(former).orders).toEqual([]);
    office.submit({ options: { taskSize: 20 } });
    office.run();
    expect(answerOf(newer).orders).toHaveLength(1);
  });

  test('goes on waiting while its session says that it lives', () => {
    const session = join();
    const waiting = claim(session);
    expect(answerOf(claim(session, { tasksMax: 0, waitMs: 0 })).orders).toEqual([]);
    expect(waiting.result).toBeNull();
    office.submit({ options: { taskSize: 20 } });
    office.run();
    expect(answerOf(waiting).orders).toHaveLength(1);
  });

  test('ends when leadership is lost', () => {
    const question = claim(join());
    office.lead();
    expect(codeOf(question)).toBe('OUTCOME_UNKNOWN');
  });

  test('of exactly-once work gives a runner nothing: only the code of a node has promised it', () => {
    office.submit({ options: { delivery: 'exactly-once' } });
    const waiting = claim(join());
    office.run();
    expect(waiting.result).toBeNull();
    expect(office.pen.job().tasks).toEqual([]);
  });
});

describe('progress', () => {
  test('is answered when it is committed, and moves the limit on', () => {
    office.submit({ options: { taskSize: 50 } });
    const session = join();
    const { epoch } = work(session);
    const question = report(session, epoch, { cursor: 10 });
    office.leader.flush();
    expect(question.result).toBeNull();
    office.run();
    expect(answerOf(question).task).toEqual({
      epoch,
      cursor: 10,
      claimed: 10,
      end: 50,
      state: 'live',
      limit: 20,
      checkpoint: null,
    });
    expect(office.pen.job().coveredPoints).toBe(10);
  });

  test('of several tasks at once goes on one after the other, and each is answered', () => {
    office.submit({ options: { taskSize: 20 } });
    const session = join({ slots: 2 });
    const orders = claim(session);
    office.run();
    const [one, two] = answerOf(orders).orders.map(({ epoch }) => epoch) as [number, number];
    const questions = [report(session, one, { cursor: 1 }), report(session, two, { cursor: 22 })];
    questions.push(report(session, one, { cursor: 2 }));
    office.run();
    expect(questions.map((question) => answerOf(question).task?.cursor)).toEqual([1, 22, 2]);
  });

  test('that a leader passed over is said to it again', () => {
    office.submit({ options: { taskSize: 20 } });
    const session = join();
    const { epoch } = work(session);
    // The leader wants to end the session, and then its log does not take that.
    for (let passed = 0; passed < TTL; passed += TTL / 8) office.pass(TTL / 8);
    const ending = office.proposed.pop();
    expect(ending?.command.kind).toBe('worker-expire');
    const question = report(session, epoch, { cursor: 5 });
    office.run();
    ending?.done({ ok: false, error: new PolarisError('OVERLOADED') });
    for (let passed = 0; passed < TTL / 2; passed += TTL / 40) {
      claim(session, { tasksMax: 0, waitMs: 0 });
      office.pass(TTL / 40);
      office.run();
    }
    expect(answerOf(question).task).toMatchObject({ cursor: 5, state: 'live' });
  });

  test('that says nothing new is a keep-alive and no entry', () => {
    office.submit({ options: { taskSize: 20 } });
    const session = join();
    const { epoch } = work(session);
    for (let passed = 0; passed < 3 * TTL; passed += 100) {
      office.pass(100);
      const question = report(session, epoch, { epochs: [epoch] });
      expect(office.run()).toEqual([]);
      expect(answerOf(question)).toMatchObject({ task: { state: 'live' }, stop: [] });
    }
  });

  test('that goes back is answered with what is committed', () => {
    office.submit({ options: { taskSize: 20 } });
    const session = join();
    const { epoch } = work(session);
    report(session, epoch, { cursor: 7 });
    office.run();
    const question = report(session, epoch, { cursor: 3 });
    office.run();
    expect(answerOf(question).task).toMatchObject({ cursor: 7, limit: 17 });
    expect(office.pen.job().coveredPoints).toBe(7);
  });

  test.each([
    ['beyond the limit', { cursor: 11 }, /point 10/],
    ['begun beyond the limit', { cursor: 5, begun: 11 }, /point 10/],
    ['outside of the task', { cursor: 51 }, /outside/],
    ['before the task', { cursor: -1 }, /outside/],
    ['begun before the cursor', { cursor: 5, begun: 4 }, /before the cursor/],
    ['claimed before the cursor', { cursor: 5, claimed: 4 }, /claimed/],
    ['claimed beyond the end', { cursor: 5, claimed: 51 }, /claimed/],
    ['an end that it cannot keep', { cursor: 5, keep: 4 }, /keep/],
  ] as const)('%s is refused, and changes nothing', (_what, changes, words) => {
    office.submit({ options: { taskSize: 50 } });
    const session = join();
    const { epoch } = work(session);
    const { result } = report(session, epoch, changes);
    expect(result).toMatchObject({ ok: false, error: { code: 'BAD_REQUEST', detail: expect.stringMatching(words) } });
    expect(office.run()).toEqual([]);
  });

  test('of the task of another runner is stale, and harms nobody', () => {
    office.submit({ options: { taskSize: 20 } });
    const session = join();
    const { epoch } = work(session);
    const thief = runnerId('thief');
    const theirs = join({ worker: thief });
    for (const ending of [null, 'complete', 'fail', 'release'] as const) {
      const question = report(theirs, epoch, { worker: thief, cursor: 20, ending, keep: ending === null ? 1 : null });
      office.run();
      expect(codeOf(question)).toBe('STALE_EPOCH');
    }
    expect(office.pen.table.task(epoch)).toMatchObject({ worker: WHO, cursor: 0, end: 20 });
  });

  test('of an epoch that nobody has is stale', () => {
    const session = join();
    const question = report(session, 2 ** 40);
    office.run();
    expect(codeOf(question)).toBe('STALE_EPOCH');
  });

  test('at most once claims a window ahead before a point is begun', () => {
    office.submit({ options: { taskSize: 50, delivery: 'at-most-once' } });
    const session = join();
    const { epoch, claimed } = work(session);
    expect(claimed).toBe(0);
    expect(codeOf(report(session, epoch, { cursor: 1 }))).toBe('BAD_REQUEST');
    const first = report(session, epoch);
    office.run();
    expect(answerOf(first).task).toMatchObject({ cursor: 0, limit: 10 });
    const second = report(session, epoch, { cursor: 4 });
    office.run();
    expect(answerOf(second).task).toMatchObject({ cursor: 4, limit: 14 });
    const last = report(session, epoch, { cursor: 14, claimed: 14 });
    office.run();
    expect(answerOf(last).task).toMatchObject({ cursor: 14, limit: 14 });
  });
});

describe('an ending', () => {
  const granted = (): { session: number; epoch: number } => {
    office.submit({ end: 20, options: { taskSize: 20, commitEvery: 20 } });
    const session = join();
    return { session, epoch: work(session).epoch };
  };

  test('is answered when it is committed', () => {
    const { session, epoch } = granted();
    const question = report(session, epoch, { cursor: 20, ending: 'complete', epochs: [epoch] });
    expect(question.result).toBeNull();
    office.run();
    expect(answerOf(question)).toMatchObject({ task: { epoch, state: 'ended', cursor: 20 }, stop: [] });
    expect(office.pen.job().state).toBe('done');
  });

  test('that is said again, because its answer was lost, is answered the same', () => {
    const { session, epoch } = granted();
    report(session, epoch, { cursor: 20, ending: 'complete' });
    office.run();
    const again = report(session, epoch, { cursor: 20, ending: 'complete' });
    office.run();
    expect(answerOf(again).task).toMatchObject({ state: 'ended', cursor: 20 });
    const other = report(session, epoch, { cursor: 20, ending: 'release' });
    office.run();
    expect(codeOf(other)).toBe('STALE_EPOCH');
  });

  test('that comes in one message with progress of the same task is answered, and so is the progress', () => {
    const { session, epoch } = granted();
    const first = report(session, epoch, { cursor: 3 });
    const questions = [
      report(session, epoch, { cursor: 7 }),
      report(session, epoch, { cursor: 20, ending: 'complete' }),
    ];
    office.run();
    office.run();
    expect(answerOf(first).task?.cursor).toBe(3);
    expect(questions.map((question) => answerOf(question).task?.state)).toEqual(['ended', 'ended']);
  });

  test('that the log cannot take is to be sent again', () => {
    const { session, epoch } = granted();
    office.full = true;
    const question = report(session, epoch, { cursor: 20, ending: 'complete' });
    office.run();
    expect(codeOf(question)).toBe('OVERLOADED');
    office.full = false;
    const again = report(session, epoch, { cursor: 20, ending: 'complete' });
    office.run();
    expect(answerOf(again).task?.state).toBe('ended');
  });

  test('release leaves what was not begun untouched', () => {
    const { session, epoch } = granted();
    report(session, epoch, { cursor: 5, begun: 6, ending: 'release' });
    office.run();
    expect(office.pen.job().returned).toEqual([
      { start: 5, end: 20, touched: 6, attempts: 0, error: '', checkpoint: null },
    ]);
  });

  test('without a word of what was begun, everything may have been that was allowed', () => {
    office.submit({ options: { taskSize: 50 } });
    const session = join();
    const { epoch } = work(session);
    report(session, epoch, { cursor: 5, ending: 'release' });
    office.run();
    expect(office.pen.job().returned).toMatchObject([{ start: 5, end: 50, touched: 10 }]);
  });

  test('fail keeps the text of the error, and counts the attempt', () => {
    const { session, epoch } = granted();
    report(session, epoch, { cursor: 5, begun: 6, ending: 'fail', error: `boom ${'!'.repeat(9_999)}` });
    office.run();
    const [failed] = office.pen.job().returned;
    expect(failed).toMatchObject({ start: 5, end: 6, attempts: 1, error: expect.stringMatching(/^boom !/) });
    expect(failed?.error.length).toBeLessThanOrEqual(1_024);
  });
});

describe('what the leader wants back', () => {
  test('what nobody waited for is said with the next answer', () => {
    office.submit({ options: { taskSize: 20 } });
    const session = join();
    const { epoch } = work(session);
    office.control('pause');
    office.run();
    const next = report(session, epoch);
    office.run();
    expect(answerOf(next).release).toEqual([epoch]);
  });

  test('a pause reaches the claim that waits while it is made', () => {
    office.submit({ options: { taskSize: 20, maxConcurrency: 1 } });
    const session = join({ slots: 2 });
    const { epoch } = work(session);
    const waiting = claim(session, { epochs: [epoch] });
    expect(waiting.result).toBeNull();
    office.control('pause');
    office.run();
    expect(answerOf(waiting)).toMatchObject({ release: [epoch], stop: [] });
  });

  test('a drained runner is told to give back everything, and is drained when it says that it knows', () => {
    office.submit({ options: { taskSize: 20 } });
    const session = join({ slots: 2 });
    const { epoch } = work(session, { tasksMax: 1 });
    const drained: unknown[] = [];
    office.leader.rest(WHO, true, (result) => drained.push(result.ok));
    const told = claim(session, { epochs: [epoch], waitMs: 0 });
    office.run();
    expect(answerOf(told)).toMatchObject({ drain: true, release: [epoch] });
    expect(drained).toEqual([]);
    report(session, epoch, { cursor: 3, begun: 3, ending: 'release', draining: true });
    office.run();
    expect(drained).toEqual([true]);
    const idle = claim(session, { draining: true });
    office.run();
    expect(idle.result).toBeNull();
    expect(office.pen.job()).toMatchObject({ coveredPoints: 3, tasks: [] });
  });

  test('a task that is to be shrunk keeps what its runner says, and one that says nothing keeps everything', () => {
    office.submit({ end: 40, options: { taskSize: 40 } });
    const session = join();
    const { epoch } = work(session);
    const other = runnerId('idle');
    const theirs = join({ worker: other });
    const asked = (): RunnerAnswer => {
      for (let turns = 0; turns < 100; turns++) {
        office.pass(100);
        claim(theirs, { worker: other });
        office.run();
        const question = report(session, epoch, { epochs: [epoch] });
        office.run();
        if (answerOf(question).shrink.length > 0) return answerOf(question);
      }
      throw new Error('it was never asked');
    };
    expect(asked().shrink).toEqual([epoch]);
    // Ignored: nothing changes, and after a while it is asked again.
    expect(asked().shrink).toEqual([epoch]);
    expect(office.pen.table.task(epoch)?.end).toBe(40);
    report(session, epoch, { cursor: 0, keep: 20 });
    const waiting = claim(theirs, { worker: other });
    office.run();
    expect(office.pen.table.task(epoch)?.end).toBe(20);
    expect(answerOf(waiting).orders).toMatchObject([{ start: 20, end: 40 }]);
  });
});
