/** A worker and what its tasks make beside their cursors: it is said until it is committed, and never ahead of it. */
import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { OUTPUTS_PER_MESSAGE_MAX, OUTPUTS_PER_REPORT_MAX } from '../../src/base/limits.ts';
import type { StampedOutput } from '../../src/ranges/types.ts';
import { handleOf } from '../ranges/fixtures.ts';
import { BEAT, orderOf, Shop } from './shop.ts';

/** One for each point of [from, to). */
function outputsOf(from: number, to: number): StampedOutput[] {
  return Array.from({ length: to - from }, (_, at) => {
    return { start: from + at, end: from + at + 1, handle: handleOf(from + at), stamp: 7 };
  });
}

function checkpointOf(stage: number, fingerprint = 'code') {
  return { stage, fingerprint, handle: handleOf(900 + stage), stamp: 7 };
}

function working(end = 1_000, epochs: readonly number[] = [101]): Shop {
  const shop = new Shop({ slots: epochs.length }).join();
  shop.leases(epochs.map((epoch) => orderOf(epoch, { end })));
  shop.turn();
  shop.executor.take();
  shop.take('report');
  return shop;
}

function reach(shop: Shop, epoch: number, stage: number, fingerprint = 'code'): void {
  must(shop.executor.handler, 'the executor is started').checkpoint(epoch, checkpointOf(stage, fingerprint));
  shop.worker.flush();
}

describe('outputs', () => {
  test('are said with their cursor until it is committed', () => {
    const shop = working();
    const outputs = outputsOf(0, 4);
    shop.executor.progress(101, 4, 4, outputs);
    shop.worker.flush();
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ cursor: 4, outputs }]);
    shop.executor.progress(101, 5, 5, outputsOf(4, 5));
    shop.pass(3 * BEAT);
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ cursor: 5, outputs: outputsOf(0, 5) }]);
    shop.reported({ epoch: 101, cursor: 4, state: 'live' });
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ cursor: 5, outputs: outputsOf(4, 5) }]);
  });

  test('beyond what a report takes hold its cursor back, and the end of its task', () => {
    const shop = working();
    const count = OUTPUTS_PER_REPORT_MAX + 3;
    shop.executor.ended({ epoch: 101, cursor: 1_000, outputs: outputsOf(500, 500 + count) });
    shop.worker.flush();
    const cursor = 500 + OUTPUTS_PER_REPORT_MAX;
    const [report] = shop.take('report');
    expect(report?.reports).toMatchObject([{ cursor, ending: null, outputs: outputsOf(500, cursor) }]);
    shop.reported({ epoch: 101, cursor, state: 'live', end: 1_000 });
    expect(shop.take('report').at(-1)?.reports).toMatchObject([
      { cursor: 1_000, ending: 'complete', outputs: outputsOf(cursor, 500 + count) },
    ]);
  });

  test('beyond what a message takes wait with their task for the next one', () => {
    const epochs = Array.from({ length: OUTPUTS_PER_MESSAGE_MAX / OUTPUTS_PER_REPORT_MAX + 1 }, (_, at) => 101 + at);
    const shop = working(1_000, epochs);
    for (const epoch of epochs)
      shop.executor.ended({ epoch, cursor: 1_000, outputs: outputsOf(0, OUTPUTS_PER_REPORT_MAX) });
    shop.worker.flush();
    const [first] = shop.take('report');
    expect(first?.reports).toHaveLength(epochs.length - 1);
    shop.reported(...epochs.slice(0, -1).map((epoch) => ({ epoch, cursor: 1_000, state: 'ended' as const })));
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ epoch: epochs.at(-1), ending: 'complete' }]);
  });
});

describe('checkpoints', () => {
  test('are said until they are committed, and then the code hears of it once', () => {
    const shop = working();
    reach(shop, 101, 0);
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ checkpoint: checkpointOf(0) }]);
    shop.reported({ epoch: 101, cursor: 0, state: 'live' });
    shop.pass(3 * BEAT);
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ checkpoint: checkpointOf(0) }]);
    expect(shop.executor.take()).toEqual([]);
    shop.reported({ epoch: 101, cursor: 0, state: 'live', checkpoint: 0 });
    shop.reported({ epoch: 101, cursor: 0, state: 'live', checkpoint: 0 });
    expect(shop.executor.take()).toEqual(['checkpointed 101 0']);
  });

  test('are not taken for the ones that other code left behind the same stage', () => {
    const shop = new Shop().join();
    const { stamp: _, ...left } = checkpointOf(0, 'other code');
    shop.leases([orderOf(101, { checkpoint: left })]);
    shop.executor.progress(101, 0, 1);
    shop.turn();
    const sequence = shop.take('report').at(-1)?.sequence ?? 0;
    reach(shop, 101, 0);
    shop.executor.take();
    const result = { epoch: 101, cursor: 0, claimed: 0, end: 100, state: 'live', checkpoint: 0 } as const;
    shop.say({ type: 'reported', incarnation: 50, sequence, results: [result] });
    expect(shop.executor.take()).toEqual([]);
  });

  test('keep their task whole: nobody is asked which end it would keep', () => {
    const shop = working(100);
    reach(shop, 101, 0);
    shop.leases([orderOf(101)], { shrink: [101] });
    expect(shop.executor.take()).toEqual([]);
  });

  test('of a task that was cut are not said: others have some of its points', () => {
    const shop = working(100);
    shop.leases([orderOf(101)], { shrink: [101] });
    must(shop.executor.keeps.get(101), 'it is asked')(50);
    reach(shop, 101, 0);
    shop.pass(3 * BEAT);
    expect(shop.take('report').flatMap(({ reports }) => reports.filter((one) => one.checkpoint !== null))).toEqual([]);
  });
});

describe('a task whose outputs cannot be kept', () => {
  test('is stopped, and its lease is given back with them, when nothing of it runs any more', () => {
    const shop = working(100);
    shop.executor.progress(101, 4, 4, outputsOf(0, 4));
    shop.worker.flush();
    shop.reported({ epoch: 101, cursor: 0, state: 'refused' });
    expect(shop.executor.take()).toEqual(['abort 101']);
    shop.executor.ended({ epoch: 101, cursor: 4, begun: 5, ending: 'release', outputs: outputsOf(4, 5) });
    shop.worker.flush();
    expect(shop.take('report').at(-1)?.reports).toMatchObject([
      { cursor: 4, begun: 10, ending: 'release', outputs: outputsOf(0, 5) },
    ]);
    shop.reported({ epoch: 101, cursor: 0, state: 'stale' });
    expect(shop.worker.busy).toBe(0);
  });

  test('ends even when there are more of them than a report takes', () => {
    const shop = working();
    shop.executor.ended({ epoch: 101, cursor: 1_000, outputs: outputsOf(0, OUTPUTS_PER_REPORT_MAX + 1) });
    shop.worker.flush();
    shop.reported({ epoch: 101, cursor: 0, state: 'refused' });
    expect(shop.take('report').at(-1)?.reports).toMatchObject([{ cursor: OUTPUTS_PER_REPORT_MAX, ending: 'release' }]);
  });
});
