/**
 * Sessions of runners at the counter of a leader whose log commits when the test says so.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { RUNNERS_MAX } from '../../src/base/limits.ts';
import { runnerId } from '../../src/base/runner-id.ts';
import { encodeCommand } from '../../src/ranges/codec.ts';
import { Office, TTL } from './office.ts';
import { answerOf, codeOf, WHO, wordsFor } from './runner-words.ts';

let office: Office;
beforeEach(() => {
  office = new Office();
  office.lead();
});

const { ask, join, claim, report, work } = wordsFor(() => office);

describe('a session', () => {
  test('begins with a join, and its number is the incarnation that the table has', () => {
    const session = join();
    expect(office.pen.table.worker(WHO)).toMatchObject({ incarnation: session, slots: 1, address: 'http' });
  });

  test('is begun anew by who names the former, which ends it', () => {
    const former = join();
    const session = join({ replaces: former });
    expect(session).toBeGreaterThan(former);
    expect(codeOf(claim(former))).toBe('SESSION_ENDED');
  });

  test('is not ended by a join that was delivered twice, however late', () => {
    const former = join();
    const session = join({ replaces: former });
    expect(join({ replaces: former })).toBe(session);
    expect(join()).toBe(session);
    expect(answerOf(claim(session, { waitMs: 0 })).session).toBe(session);
  });

  test('is one, though its join comes twice before the log has taken it', () => {
    const questions = [1, 2].map(() => {
      return ask({ kind: 'join', worker: WHO, instanceId: 'i', slots: 1, offers: [], replaces: null });
    });
    expect(office.run()).toEqual(['worker-join']);
    expect(new Set(questions.map((question) => answerOf(question).session)).size).toBe(1);
  });

  test('that the log took while no quorum was heard is told as soon as one is', () => {
    const question = ask({ kind: 'join', worker: WHO, instanceId: 'i', slots: 1, offers: [], replaces: null });
    office.fresh = false;
    office.run();
    office.pass(20);
    expect(question.result).toBeNull();
    office.fresh = true;
    office.pass(20);
    expect(answerOf(question).session).toBe(office.incarnation(WHO));
  });

  test('that the log does not take is to be asked for again', () => {
    office.full = true;
    const question = ask({ kind: 'join', worker: WHO, instanceId: 'i', slots: 1, offers: [], replaces: null });
    office.run();
    expect(codeOf(question)).toBe('OVERLOADED');
    office.full = false;
    expect(join()).toBeGreaterThan(0);
  });

  test('is not to be had by another instance while it lives', () => {
    const session = join();
    const question = ask({ kind: 'join', worker: WHO, instanceId: 'other', slots: 1, offers: [], replaces: null });
    expect(codeOf(question)).toBe('INSTANCE_MISMATCH');
    expect(codeOf(claim(session, { instanceId: 'other' }))).toBe('INSTANCE_MISMATCH');
    expect(office.proposed).toEqual([]);
  });

  test('ends after a TTL of silence, and every lease with it', () => {
    office.submit({ options: { taskSize: 20 } });
    const session = join();
    const { epoch } = work(session);
    for (let passed = 0; passed <= TTL; passed += 100) {
      office.pass(100);
      office.run();
    }
    expect(codeOf(report(session, epoch, { cursor: 5 }))).toBe('SESSION_ENDED');
    expect(office.pen.job()).toMatchObject({ coveredPoints: 0, tasks: [] });
  });

  test('lives on under a new leader, which has never heard of it', () => {
    office.submit({ options: { taskSize: 20 } });
    const session = join();
    const { epoch } = work(session);
    office.lead();
    const question = report(session, epoch, { cursor: 5, epochs: [epoch] });
    office.run();
    expect(answerOf(question)).toMatchObject({
      session,
      task: { epoch, cursor: 5, limit: 15, state: 'live' },
      stop: [],
    });
  });

  test('is not spoken of by a leader that may have been deposed', () => {
    const session = join();
    office.fresh = false;
    expect(codeOf(claim(session))).toBe('NO_LEADER');
    expect(codeOf(claim(session + 99))).toBe('NO_LEADER');
  });

  test('that was suspected is answered only after Heard is committed', () => {
    const session = join();
    claim(session, { waitMs: 0 });
    office.pass(TTL / 4 + 1);
    expect(office.commit()).toEqual(['worker-suspect']);
    const question = claim(session, { waitMs: 0 });
    office.pass(20);
    expect(question.result).toBeNull();
    office.run();
    expect(answerOf(question).session).toBe(session);
  });

  test('whose answer could not be given is given it as soon as a quorum is heard again', () => {
    const session = join();
    let looks = 0;
    // Fresh when it asks, and no more when it is to be answered.
    Object.defineProperty(office, 'fresh', { configurable: true, get: () => looks++ === 0 });
    const question = claim(session, { waitMs: 0 });
    office.pass(20);
    expect(question.result).toBeNull();
    Object.defineProperty(office, 'fresh', { value: true });
    office.pass(20);
    office.pass(20);
    expect(answerOf(question).session).toBe(session);
  });

  test('of a thousand that come and go leaves nothing behind', () => {
    for (let number = 0; number < 1_000; number++) join({ worker: runnerId(`r${number}`) });
    expect([...office.pen.table.workers()]).toHaveLength(1_000);
    for (let passed = 0; passed <= TTL; passed += TTL / 8) {
      office.pass(TTL / 8);
      office.run();
    }
    expect([...office.pen.table.workers()]).toEqual([]);
    expect(codeOf(claim(1, { worker: runnerId('r1') }))).toBe('SESSION_ENDED');
  });

  test(`is one of ${RUNNERS_MAX} at most, so that nodes always find room`, () => {
    for (let number = 0; number < RUNNERS_MAX; number++) {
      const worker = runnerId(`r${number}`);
      const base = { kind: 'worker-join', at: 1, instanceId: `i-${worker}`, address: 'http', slots: 1 } as const;
      office.pen.table.apply(office.pen.table.appliedIndex + 1, encodeCommand({ ...base, worker, offers: [] }));
    }
    office.lead();
    const question = ask({ kind: 'join', worker: WHO, instanceId: 'i', slots: 1, offers: [], replaces: null });
    expect(codeOf(question)).toBe('OVERLOADED');
    office.join(1, { worker: 'w9' });
    office.commit();
    expect(office.pen.table.worker('w9')).toBeDefined();
  }, 60_000);
});
