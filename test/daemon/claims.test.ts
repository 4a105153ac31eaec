import { describe, expect, test } from 'vitest';
import type { TaskOrder } from '../../src/wire/messages.ts';
import { MAIL, specOf } from '../ranges/fixtures.ts';
import { HandExecutor } from './fakes.ts';
import { BEAT, FENCE, orderOf, Shop, TICK } from './shop.ts';

describe('at most once', () => {
  const claiming = (epoch: number, changes: Partial<TaskOrder> = {}): TaskOrder => {
    const { options } = specOf({ options: { commitEvery: 10, delivery: 'at-most-once' } });
    return orderOf(epoch, { options, ...changes });
  };

  test('a task asks for its first claim at once, and is told what it may begin', () => {
    const shop = new Shop().join();
    shop.leases([claiming(101)]);
    expect(shop.take('report')).toMatchObject([{ reports: [{ epoch: 101, cursor: 0, claim: 10, ending: null }] }]);
    shop.reported({ epoch: 101, cursor: 0, claimed: 10, state: 'live' });
    expect(shop.executor.take()).toEqual(['run 101 at 0', 'committed 101 0, up to 10']);
    expect(shop.take('report')).toEqual([]);
  });

  test('each report asks for as many points as the window has, and never beyond the end', () => {
    const shop = new Shop().join();
    shop.leases([claiming(101, { end: 12 })]);
    shop.reported({ epoch: 101, cursor: 0, claimed: 10, state: 'live' });
    shop.executor.progress(101, 4, 5);
    shop.worker.flush();
    expect(shop.take('report')).toMatchObject([{ reports: [{ cursor: 4, begun: 5, claim: 12 }] }]);
  });

  test('a program claims its whole task', () => {
    const shop = new Shop({ executor: new HandExecutor([MAIL], 'task') }).join();
    shop.leases([claiming(101)]);
    expect(shop.take('report')).toMatchObject([{ reports: [{ claim: 100 }] }]);
  });

  test('what the deadline stops may have begun all that it had claimed, and nothing more', () => {
    const shop = new Shop().join();
    shop.leases([claiming(101)]);
    shop.reported({ epoch: 101, cursor: 0, claimed: 10, state: 'live' });
    shop.pass(FENCE + TICK);
    shop.executor.ended({ epoch: 101, cursor: 4, begun: 5, ending: 'fail', error: 'terminated' });
    shop.pass(3 * BEAT);
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ cursor: 4, begun: 10, ending: 'release' }]);
  });

  test('a task that is asked back claims no more', () => {
    const shop = new Shop().join();
    shop.leases([claiming(101)]);
    shop.reported({ epoch: 101, cursor: 0, claimed: 10, state: 'live' });
    shop.leases([claiming(101)], { release: [101] });
    shop.executor.progress(101, 5, 5);
    shop.worker.flush();
    expect(shop.take('report')).toMatchObject([{ reports: [{ cursor: 5, claim: 10 }] }]);
  });
});
