/**
 * What a worker asks to begin before it begins it, what it gives up of a task, and how it rests.
 */
import { describe, expect, test } from 'vitest';
import type { TaskOrder } from '../../src/wire/messages.ts';
import { MAIL, specOf } from '../ranges/fixtures.ts';
import { HandExecutor } from './fakes.ts';
import { BEAT, FENCE, orderOf, Shop, TICK } from './shop.ts';

const { options } = specOf({ options: { commitEvery: 10, delivery: 'at-most-once' } });

function once(epoch: number, changes: Partial<TaskOrder> = {}): TaskOrder {
  return orderOf(epoch, { options, ...changes });
}

describe('an at-most-once task', () => {
  test('asks for its first stretch at once, and is told when that is committed', () => {
    const shop = new Shop().join();
    shop.leases([once(101)]);
    expect(shop.executor.take()).toEqual(['run 101 at 0']);
    expect(shop.take('report')).toMatchObject([{ reports: [{ epoch: 101, cursor: 0, begun: 0, claimed: 10 }] }]);
    shop.reported({ epoch: 101, cursor: 0, claimed: 10, state: 'live' });
    expect(shop.executor.take()).toEqual(['committed 101 0, up to 10']);
  });

  test('asks for the next stretch with each report of its headway, and never beyond its end', () => {
    const shop = new Shop().join();
    shop.leases([once(101, { end: 15 })]);
    shop.reported({ epoch: 101, cursor: 0, claimed: 10, state: 'live' });
    shop.executor.progress(101, 4, 5);
    shop.worker.flush();
    expect(shop.take('report')).toMatchObject([{ reports: [{ cursor: 4, begun: 5, claimed: 14 }] }]);
    shop.reported({ epoch: 101, cursor: 4, claimed: 14, state: 'live' });
    shop.executor.progress(101, 8);
    shop.worker.flush();
    expect(shop.take('report')).toMatchObject([{ reports: [{ cursor: 8, claimed: 15 }] }]);
  });

  test('asks again when the answer is lost', () => {
    const shop = new Shop().join();
    shop.leases([once(101)]);
    shop.take('report');
    shop.pass(4 * BEAT);
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ claimed: 10 }]);
  });

  test('that waits for a slot claims nothing, and neither does one that is asked back', () => {
    const shop = new Shop({ slots: 1 }).join();
    const orders = [once(101), once(102)];
    shop.leases(orders);
    expect(shop.take('report').flatMap(({ reports }) => reports.map(({ epoch }) => epoch))).toEqual([101]);
    shop.reported({ epoch: 101, cursor: 0, claimed: 10, state: 'live' });
    shop.leases(orders, { release: [101] });
    shop.executor.progress(101, 5);
    shop.worker.flush();
    expect(shop.take('report')).toMatchObject([{ reports: [{ epoch: 101, cursor: 5, claimed: 10 }] }]);
  });

  test('that was stopped at the deadline may have begun what is committed as claimed, and nothing else', () => {
    const shop = new Shop().join();
    shop.turn();
    shop.answer([once(101)]);
    shop.reported({ epoch: 101, cursor: 0, claimed: 10, state: 'live' });
    shop.executor.progress(101, 4, 5);
    shop.pass(FENCE + TICK);
    shop.executor.ended({ epoch: 101, cursor: 4, begun: 5, ending: 'fail', error: 'terminated' });
    shop.pass(3 * BEAT);
    // It wanted to claim up to 14, and nobody has said that it may.
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ cursor: 4, begun: 10, ending: 'release' }]);
  });

  test('that begins everything at once claims everything first', () => {
    const shop = new Shop({ executor: new HandExecutor([MAIL], 'task') }).join();
    shop.leases([once(101)]);
    expect(shop.take('report')).toMatchObject([{ reports: [{ claimed: 100 }] }]);
  });

  test('that was claimed under an earlier answer goes on from there', () => {
    const shop = new Shop().join();
    shop.leases([once(101, { cursor: 20, claimed: 30 })]);
    expect(shop.take('report')).toEqual([]);
    shop.executor.progress(101, 25);
    shop.worker.flush();
    expect(shop.take('report')).toMatchObject([{ reports: [{ cursor: 25, claimed: 35 }] }]);
  });
});

test('another task claims nothing', () => {
  const shop = new Shop().join();
  shop.leases([orderOf(101)]);
  shop.executor.progress(101, 3, 7);
  shop.worker.flush();
  expect(shop.take('report')).toMatchObject([{ reports: [{ cursor: 3, begun: 7, claimed: 3 }] }]);
});

describe('a task that is to be shrunk', () => {
  test('says which end it keeps, when its code has said so', () => {
    const shop = new Shop().join();
    const orders = [orderOf(101)];
    shop.leases(orders);
    shop.leases(orders, { shrink: [101] });
    expect(shop.executor.take()).toEqual(['run 101 at 0', 'keep 101']);
    expect(shop.take('keep')).toEqual([]);
    shop.executor.keeps.get(101)?.(60);
    expect(shop.take('keep')).toEqual([{ type: 'keep', incarnation: 50, offers: [{ epoch: 101, end: 60 }] }]);
  });

  test('claims nothing beyond the end that it keeps', () => {
    const shop = new Shop().join();
    shop.leases([once(101)]);
    shop.leases([once(101)], { shrink: [101] });
    shop.executor.keeps.get(101)?.(12);
    shop.reported({ epoch: 101, cursor: 0, claimed: 10, state: 'live' });
    shop.executor.progress(101, 8);
    shop.worker.flush();
    expect(shop.take('report').at(-1)).toMatchObject({ reports: [{ cursor: 8, claimed: 12 }] });
  });

  test('claims nothing beyond the end that is committed', () => {
    const shop = new Shop().join();
    shop.leases([once(101)]);
    shop.reported({ epoch: 101, cursor: 0, claimed: 10, end: 13, state: 'live' });
    shop.executor.progress(101, 8);
    shop.worker.flush();
    expect(shop.take('report').at(-1)).toMatchObject({ reports: [{ cursor: 8, claimed: 13 }] });
  });

  test('is not asked while it waits or stops, and an answer that comes too late is not passed on', () => {
    const shop = new Shop({ slots: 1 }).join();
    const orders = [orderOf(101), orderOf(102)];
    shop.leases(orders, { shrink: [102] });
    expect(shop.executor.take()).toEqual(['run 101 at 0']);
    shop.leases(orders, { shrink: [101] });
    shop.leases([orderOf(102)]);
    shop.executor.keeps.get(101)?.(50);
    expect(shop.take('keep')).toEqual([]);
    shop.executor.take();
    shop.executor.ended({ epoch: 101, ending: 'release' });
    shop.leases([orderOf(102)], { release: [102] });
    shop.leases([orderOf(102)], { shrink: [102] });
    expect(shop.executor.take()).toEqual(['run 102 at 0', 'release 102']);
  });
});

describe('a rest that the leader asks for', () => {
  test('gives everything back and takes nothing, and the session goes on', () => {
    const shop = new Shop().join();
    shop.leases([orderOf(101)]);
    shop.sent.length = 0;
    shop.leases([orderOf(101), orderOf(102)], { drain: true });
    expect(shop.executor.take()).toEqual(['run 101 at 0', 'release 101']);
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ epoch: 102, ending: 'release' }]);
    shop.turn();
    expect(shop.take('keep-alive')).toMatchObject([{ draining: true }]);
    shop.pass(2 * BEAT);
    expect(shop.take('keep-alive').map(({ draining }) => draining)).toContain(true);
  });

  test('ends when an answer to a keep-alive that said so says the opposite', () => {
    const shop = new Shop().join();
    shop.turn();
    const before = shop.take('keep-alive').at(-1)?.sequence ?? 0;
    shop.leases([], { drain: true });
    // A push, and an answer to what was said before: both are of a leader that may not have heard of it.
    shop.leases([], { drain: false });
    shop.leases([], { drain: false, sequence: before });
    shop.turn();
    expect(shop.take('keep-alive')).toMatchObject([{ draining: true }]);
    shop.leases([], { drain: false, sequence: before + 1 });
    shop.turn();
    expect(shop.take('keep-alive')).toMatchObject([{ draining: false }]);
    shop.leases([orderOf(130)], { appliedIndex: 130 });
    expect(shop.executor.take()).toEqual(['run 130 at 0']);
  });

  test('outlives the session', () => {
    const shop = new Shop().join();
    shop.leases([], { drain: true });
    shop.say({ type: 'ended', incarnation: 50 });
    shop.join();
    shop.turn();
    expect(shop.take('keep-alive').at(-1)).toMatchObject({ draining: true });
    shop.leases([orderOf(130)], { appliedIndex: 130 });
    expect(shop.executor.take()).toEqual([]);
  });
});
