/**
 * trades: the job as a whole, cut anywhere and with a Master that is replaced, gives the turnover of one loop.
 */
import { expect, test } from 'vitest';
import { Trades, Turnover } from '../../jobs/trades/index.ts';
import { naiveTurnover } from '../../jobs/trades/naive.ts';
import { batchesOf, cutAt, emittedBy, rowsIn } from './task-twin.ts';

const SEED = 7;
const SECONDS = 150;

test('the turnover is that of one loop, with a Master that is replaced after every output', async () => {
  let master = new Turnover();
  for (const range of cutAt(0, SECONDS, 1, 59, 60, 100)) {
    for (const batch of await emittedBy(Trades, { ...range, metadata: { seed: SEED } })) await master.collect(batch);
    const successor = new Turnover();
    await successor.restore(await batchesOf(master.state()));
    master = successor;
  }
  const told = rowsIn(await batchesOf(master.finish()))
    .map(({ window_start: start, product, region, orders, pieces, euro_cents: euroCents, largest }) => ({
      ...{ windowStart: Number(start), product, region, orders: Number(orders), pieces: Number(pieces) },
      ...{ euroCents, largest },
    }))
    .sort((one, other) => one.windowStart - other.windowStart || (textOf(one) < textOf(other) ? -1 : 1));
  expect(told).toEqual(naiveTurnover(SEED, 0, SECONDS));
});

test('a job without a second of orders has a result without rows', async () => {
  expect(rowsIn(await batchesOf(new Turnover().finish()))).toEqual([]);
});

function textOf({ product, region }: { readonly product: unknown; readonly region: unknown }): string {
  return `${product}/${region}`;
}
