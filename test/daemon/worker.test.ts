import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { MAIL } from '../ranges/fixtures.ts';
import { HandExecutor } from './fakes.ts';
import { BEAT, FENCE, orderOf, Shop, TICK, TTL } from './shop.ts';

describe('joining', () => {
  test('is asked for again with the same nonce until it is answered', () => {
    const shop = new Shop();
    shop.pass(3 * BEAT);
    const nonces = shop.take('join').map((join) => join.nonce);
    expect(nonces.length).toBeGreaterThanOrEqual(3);
    expect(new Set(nonces).size).toBe(1);
    expect(shop.doubts).toBe(nonces.length - 1);
  });

  test('is asked for again soon, however long a session lasts', () => {
    const shop = new Shop({ ttlMs: 600_000 });
    shop.pass(1_100);
    expect(shop.take('join')).toHaveLength(3);
  });

  test('an answer to another attempt is none', () => {
    const shop = new Shop();
    shop.turn();
    const [join] = shop.take('join');
    shop.say({ type: 'joined', nonce: must(join, 'it asks').nonce + 1, incarnation: 50, sessionTtlMs: TTL });
    shop.turn();
    expect(shop.take('keep-alive')).toEqual([]);
  });

  test('a join answered late does not extend the deadline', () => {
    const shop = new Shop();
    shop.turn();
    const askedAt = shop.now;
    const [join] = shop.take('join');
    shop.pass(1_500);
    shop.say({ type: 'joined', nonce: must(join, 'it asks').nonce, incarnation: 50, sessionTtlMs: TTL });
    expect(shop.executor.deadlines).toEqual([askedAt + FENCE]);
  });

  test('a join answered after the deadline starts nothing before a keep-alive was answered', () => {
    const shop = new Shop();
    shop.turn();
    const [join] = shop.take('join');
    shop.pass(FENCE);
    shop.say({ type: 'joined', nonce: must(join, 'it asks').nonce, incarnation: 50, sessionTtlMs: TTL });
    shop.leases([orderOf(101)]);
    expect(shop.executor.take()).toEqual([]);
    shop.turn();
    shop.answer([orderOf(101)]);
    expect(shop.executor.take()).toEqual(['run 101 at 0']);
  });

  test('a refusal for another data directory ends the node, one for want of room does not', () => {
    const shop = new Shop();
    shop.turn();
    const { nonce } = must(shop.take('join')[0], 'it asks');
    shop.say({ type: 'join-refused', nonce, code: 'OVERLOADED', detail: 'full' });
    expect(shop.hand.fatal).toEqual([]);
    shop.pass(BEAT);
    const again = must(shop.take('join')[0], 'it asks again');
    expect(again.nonce).not.toBe(nonce);
    shop.say({ type: 'join-refused', nonce: again.nonce, code: 'INSTANCE_MISMATCH', detail: 'another' });
    expect(shop.hand.fatal).toMatchObject([{ code: 'INSTANCE_MISMATCH' }]);
  });

  test('waits until the attempts of the former session are over', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(101)]);
    shop.say({ type: 'ended', incarnation: 50 });
    expect(shop.executor.take()).toEqual(['run 101 at 0', 'abort 101']);
    shop.pass(2 * BEAT);
    expect(shop.take('join')).toEqual([]);
    shop.executor.ended({ epoch: 101, ending: 'release' });
    shop.turn();
    expect(shop.take('join')).toHaveLength(1);
    expect(shop.take('report')).toEqual([]);
  });
});

describe('keep-alives', () => {
  test('go out every tenth of the TTL and name the leases that are held', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(101), orderOf(102), orderOf(103)]);
    shop.pass(BEAT + TICK);
    const sent = shop.take('keep-alive');
    expect(sent.map((one) => one.sequence)).toEqual([1, 2]);
    expect(sent.at(-1)?.epochs).toEqual([101, 102, 103]);
  });

  test('do not name a lease that is lost, though its code is still being stopped', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(101)]);
    shop.leases([orderOf(102)]);
    expect(shop.executor.take()).toEqual(['run 101 at 0', 'abort 101', 'run 102 at 0']);
    shop.turn();
    expect(shop.take('keep-alive').at(-1)?.epochs).toEqual([102]);
  });

  test('that stay unanswered make the worker doubt its leader, but never one just named', () => {
    const shop = new Shop().join();
    shop.pass(2 * BEAT);
    expect(shop.doubts).toBe(0);
    shop.pass(BEAT);
    expect(shop.doubts).toBe(1);
    shop.worker.leaderChanged();
    shop.turn();
    expect(shop.doubts).toBe(1);
  });

  test('go out at once when another node leads', () => {
    const shop = new Shop().join();
    shop.turn();
    shop.answer();
    shop.worker.leaderChanged();
    shop.turn();
    expect(shop.take('keep-alive')).toHaveLength(1);
  });
});

describe('the deadline', () => {
  test('is two thirds of the TTL after the sending of the last keep-alive that was answered', () => {
    const shop = new Shop().join();
    shop.turn();
    const sentAt = shop.now;
    shop.pass(700);
    shop.answer();
    // Three went out meanwhile, and the newest was answered.
    expect(shop.executor.deadlines.at(-1)).toBe(sentAt + 600 + FENCE);
  });

  test('does not move with a push, a late answer or an answer to what was never sent', () => {
    const shop = new Shop().join();
    shop.turn();
    shop.answer();
    shop.pass(500);
    const moves = shop.executor.deadlines.length;
    shop.leases([]);
    shop.leases([], { sequence: 1 });
    shop.leases([], { sequence: 9_999 });
    expect(shop.executor.deadlines).toHaveLength(moves);
  });

  test('stops every task when it passes, and what was done is reported as a release', () => {
    const shop = new Shop({ slots: 1 }).join();
    shop.turn();
    shop.answer([orderOf(101), orderOf(102)]);
    shop.executor.progress(101, 4, 5);
    shop.pass(FENCE - TICK);
    expect(shop.executor.take()).toEqual(['run 101 at 0']);
    shop.pass(2 * TICK);
    expect(shop.executor.take()).toEqual(['abort 101']);
    shop.sent.length = 0;
    shop.executor.ended({ epoch: 101, cursor: 4, begun: 5, ending: 'fail', error: 'terminated' });
    shop.pass(3 * BEAT);
    // Nothing was committed: the code may have come as far as its window.
    expect(shop.take('report').at(-1)?.reports).toEqual([
      { epoch: 101, cursor: 4, begun: 10, claimed: 4, ending: 'release', error: '', outputs: [], checkpoint: null },
      { epoch: 102, cursor: 0, begun: 0, claimed: 0, ending: 'release', error: '', outputs: [], checkpoint: null },
    ]);
  });

  test('a program that was stopped by it may have begun its whole task', () => {
    const shop = new Shop({ executor: new HandExecutor([MAIL], 'task') }).join();
    shop.leases([orderOf(101)]);
    shop.pass(FENCE + TICK);
    shop.executor.ended({ epoch: 101, ending: 'fail', error: 'killed' });
    shop.pass(BEAT);
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ begun: 100, ending: 'release' }]);
  });

  test('what it stopped did not fail, though an answer came before its end was heard', () => {
    const shop = new Shop().join();
    shop.turn();
    shop.answer([orderOf(101)]);
    shop.pass(FENCE + TICK);
    expect(shop.executor.take()).toContain('abort 101');
    shop.answer([orderOf(101)]);
    shop.executor.ended({ epoch: 101, cursor: 4, begun: 5, ending: 'fail', error: 'terminated' });
    shop.pass(BEAT);
    expect(shop.take('report').at(-1)?.reports).toEqual([
      { epoch: 101, cursor: 4, begun: 10, claimed: 4, ending: 'release', error: '', outputs: [], checkpoint: null },
    ]);
  });

  test('what the executor stopped by itself while this process stood still did not fail either', () => {
    const shop = new Shop().join();
    shop.turn();
    shop.answer([orderOf(101)]);
    shop.hand.time.stall(FENCE);
    shop.executor.ended({ epoch: 101, cursor: 4, begun: 5, ending: 'fail', error: 'terminated' });
    shop.turn();
    expect(shop.take('report').at(-1)?.reports).toMatchObject([
      { begun: 10, ending: 'release', error: '', outputs: [], checkpoint: null },
    ]);
  });

  test('that has passed while this process stood still lets no late order start', () => {
    const shop = new Shop().join();
    shop.turn();
    shop.answer();
    shop.hand.time.stall(FENCE);
    shop.leases([orderOf(101)]);
    expect(shop.executor.take()).toEqual([]);
  });

  test('an answer that comes when even its own deadline has passed stops what runs', () => {
    const shop = new Shop().join();
    shop.turn();
    shop.answer([orderOf(101)]);
    shop.pass(BEAT);
    // The keep-alive was answered at once, but this process stood still before it could read that.
    shop.hand.time.stall(FENCE);
    shop.answer([orderOf(101), orderOf(102)]);
    expect(shop.executor.take()).toEqual(['run 101 at 0', 'abort 101']);
  });
});

describe('leases', () => {
  test('a doubled push runs a task once', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(101)]);
    shop.leases([orderOf(101)]);
    expect(shop.executor.take()).toEqual(['run 101 at 0']);
  });

  test('an epoch that ended is never run again, though the leader still lists it', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(101)]);
    shop.executor.ended({ epoch: 101, cursor: 100 });
    shop.worker.flush();
    shop.reported({ epoch: 101, cursor: 100, state: 'ended' });
    shop.executor.take();
    // A push that was under way when the ending was applied, with the index of before.
    shop.leases([orderOf(101)], { appliedIndex: 102 });
    expect(shop.executor.take()).toEqual([]);
    expect(shop.worker.busy).toBe(0);
  });

  test('what is late and speaks of an older table starts nothing and stops nothing', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(110)]);
    shop.executor.take();
    shop.leases([orderOf(101)], { appliedIndex: 105, epochs: [101] });
    expect(shop.executor.take()).toEqual([]);
  });

  test('a lease that is missing from a newer answer is aborted, and its end is not reported', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(101)]);
    shop.leases([]);
    expect(shop.executor.take()).toEqual(['run 101 at 0', 'abort 101']);
    shop.executor.ended({ epoch: 101, cursor: 100 });
    shop.pass(BEAT);
    expect(shop.take('report')).toEqual([]);
    expect(shop.worker.busy).toBe(0);
  });

  test('a lease newer than the answer is kept', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(110)], { appliedIndex: 110 });
    shop.leases([], { appliedIndex: 110, epochs: [110] });
    expect(shop.executor.take()).toEqual(['run 110 at 0']);
  });

  test('what waits for a slot starts when one is free, also while a lost task is being stopped', () => {
    const shop = new Shop({ slots: 1 }).join();
    shop.leases([orderOf(101), orderOf(102)]);
    expect(shop.executor.take()).toEqual(['run 101 at 0']);
    shop.leases([orderOf(102)]);
    expect(shop.executor.take()).toEqual(['abort 101']);
    shop.executor.ended({ epoch: 101, ending: 'release' });
    expect(shop.executor.take()).toEqual(['run 102 at 0']);
  });

  test('another incarnation’s words are nobody’s', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(101)], { incarnation: 49 });
    shop.say({ type: 'ended', incarnation: 49 });
    expect(shop.executor.take()).toEqual([]);
    shop.turn();
    expect(shop.take('keep-alive')).toHaveLength(1);
  });

  test('one that is asked back is released once: at its next point, or at once when it waits', () => {
    const shop = new Shop({ slots: 1 }).join();
    const orders = [orderOf(101), orderOf(102)];
    shop.leases(orders);
    shop.leases(orders, { release: [101, 102] });
    shop.leases(orders, { release: [101, 102] });
    expect(shop.executor.take()).toEqual(['run 101 at 0', 'release 101']);
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ epoch: 102, begun: 0, ending: 'release' }]);
  });
});

describe('reports', () => {
  test('one is on its way at a time; what happens meanwhile goes with the next', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(101)]);
    shop.executor.progress(101, 3);
    shop.worker.flush();
    shop.executor.progress(101, 5);
    shop.worker.flush();
    expect(shop.sent.filter((one) => one.type === 'report')).toMatchObject([{ reports: [{ cursor: 3 }] }]);
    shop.reported({ epoch: 101, cursor: 3, state: 'live' });
    expect(shop.take('report')).toMatchObject([{ reports: [{ cursor: 5 }] }]);
    expect(shop.executor.take()).toEqual(['run 101 at 0', 'committed 101 3, up to 13']);
  });

  test('that stay unanswered are said again', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(101)]);
    shop.executor.ended({ epoch: 101, cursor: 100 });
    shop.worker.flush();
    shop.take('report');
    shop.pass(4 * BEAT);
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ epoch: 101, cursor: 100, ending: 'complete' }]);
  });

  test('that the log could not take are said again at the next beat, not at once', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(101)]);
    shop.executor.progress(101, 3);
    shop.worker.flush();
    shop.reported({ epoch: 101, cursor: 0, state: 'live' });
    expect(shop.take('report')).toEqual([]);
    shop.pass(2 * BEAT);
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ cursor: 3 }]);
  });

  test('go to a new leader at once', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(101)]);
    shop.executor.progress(101, 3);
    shop.worker.flush();
    shop.take('report');
    shop.worker.leaderChanged();
    shop.worker.flush();
    expect(shop.take('report')).toMatchObject([{ reports: [{ cursor: 3 }] }]);
  });

  test('a stale lease is aborted; a settled one is forgotten', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(101), orderOf(102)]);
    shop.executor.progress(101, 3);
    shop.executor.ended({ epoch: 102, cursor: 100 });
    shop.worker.flush();
    shop.executor.take();
    shop.reported({ epoch: 101, cursor: 3, state: 'stale' }, { epoch: 102, cursor: 100, state: 'ended' });
    expect(shop.executor.take()).toEqual(['abort 101']);
    expect(shop.worker.busy).toBe(1);
  });

  test('a cursor never goes back', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(101)]);
    shop.executor.progress(101, 8);
    shop.executor.ended({ epoch: 101, cursor: 5, begun: 6, ending: 'release' });
    shop.worker.flush();
    expect(shop.take('report')).toMatchObject([{ reports: [{ cursor: 8, begun: 8, ending: 'release' }] }]);
  });
});

describe('draining', () => {
  test('gives everything back, says so, and is over when all is acknowledged', () => {
    const shop = new Shop({ slots: 1 }).join();
    shop.leases([orderOf(101), orderOf(102)]);
    let drained = 0;
    shop.worker.drain(() => {
      drained++;
    });
    shop.turn();
    expect(shop.executor.take()).toEqual(['run 101 at 0', 'release 101']);
    shop.answer([orderOf(101), orderOf(102)]);
    shop.executor.ended({ epoch: 101, cursor: 3, begun: 3, ending: 'release' });
    shop.reported({ epoch: 102, cursor: 0, state: 'ended' });
    expect(drained).toBe(0);
    shop.reported({ epoch: 101, cursor: 3, state: 'ended' });
    expect(drained).toBe(1);
    expect(shop.executor.take()).toEqual([]);
  });

  test('runs nothing that was granted before the leader knew', () => {
    const shop = new Shop().join();
    let drained = 0;
    shop.leases([orderOf(101)]);
    shop.worker.drain(() => {
      drained++;
    });
    shop.executor.take();
    shop.leases([orderOf(101), orderOf(103)]);
    expect(shop.executor.take()).toEqual([]);
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ epoch: 103, ending: 'release' }]);
    expect(drained).toBe(0);
  });

  test('is said before anything is given back, so that it is not granted to the same worker again', () => {
    const shop = new Shop({ slots: 1 }).join();
    shop.leases([orderOf(101), orderOf(102)]);
    shop.sent.length = 0;
    shop.worker.drain(() => {});
    shop.worker.flush();
    expect(shop.sent).toMatchObject([
      { type: 'keep-alive', draining: true },
      { type: 'report', reports: [{ epoch: 102, ending: 'release' }] },
    ]);
  });

  test('of a worker that holds nothing is over when the leader knows, and what was on its way until then goes back', () => {
    const shop = new Shop().join();
    let drained = 0;
    shop.worker.drain(() => {
      drained++;
    });
    shop.leases([]);
    expect(drained).toBe(0);
    shop.answer([orderOf(102)]);
    expect(shop.executor.take()).toEqual([]);
    expect(drained).toBe(0);
    shop.reported({ epoch: 102, cursor: 0, state: 'ended' });
    expect(drained).toBe(1);
  });

  test('of a worker without a session is over at once', () => {
    const shop = new Shop();
    let drained = 0;
    shop.worker.drain(() => {
      drained++;
    });
    expect(drained).toBe(1);
  });

  test('of an idle worker does not wait long for a leader that does not answer, and it does not join again', () => {
    const shop = new Shop().join();
    let drained = 0;
    shop.worker.drain(() => {
      drained++;
    });
    shop.pass(BEAT - TICK);
    expect(drained).toBe(0);
    shop.pass(TICK);
    expect(drained).toBe(1);
    shop.say({ type: 'ended', incarnation: 50 });
    shop.pass(2 * BEAT);
    expect(shop.take('join')).toEqual([]);
    expect(drained).toBe(1);
  });
});
