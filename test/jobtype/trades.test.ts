/**
 * The trades: the same from the same seed, and the stages and windows together give what one loop gives.
 */
import { createHash } from 'node:crypto';
import type { RecordBatch } from 'apache-arrow';
import { describe, expect, test } from 'vitest';
import {
  CURRENCIES,
  EPOCH_MS,
  generateOrders,
  ORDERS_MAX,
  ORDERS_MIN,
  PRODUCTS,
  REGIONS,
} from '../../jobs/trades/generate.ts';
import { naiveTurnover, type Turnover } from '../../jobs/trades/naive.ts';
import { ENRICHED_SCHEMA, enrich, validate } from '../../jobs/trades/stages.ts';
import { OUT_OF_ORDER_MS_MAX, POINT_MS, TURNOVER } from '../../jobs/trades/turnover.ts';
import { createPartialWindows, createWindows } from '../../src/data/windows/windows.ts';
import { pipeline } from '../../src/jobtype/pipeline.ts';
import { bytesOf } from '../data/windows/rows.ts';
import { RangeTwin } from './stage-twin.ts';

const SEED = 42;
const POINTS = 75;
const batches = Array.from({ length: POINTS }, (_, point) => generateOrders(SEED, point));
const orders = batches.flatMap((batch) => batch.toArray().map((row) => row.toJSON()));

/** What was told last of every window, in the shape of the naive result. */
function lastTold(told: readonly RecordBatch[]): Turnover[] {
  const last = new Map<string, Turnover>();
  for (const row of told.flatMap((batch) => batch.toArray().map((each) => each.toJSON()))) {
    const { window_start: start, product, region, orders, pieces, euro_cents: euroCents, largest, mean } = row;
    expect(mean).toBeCloseTo(Number(euroCents) / Number(orders), 6);
    const windowStart = Number(start);
    const total = { windowStart, product, region, orders: Number(orders), pieces: Number(pieces), euroCents, largest };
    last.set(`${windowStart}/${product}/${region}`, total);
  }
  const texts = ({ product, region }: Turnover) => `${product}/${region}`;
  return [...last.values()].sort(
    (one, other) => one.windowStart - other.windowStart || (texts(one) < texts(other) ? -1 : 1),
  );
}

describe('orders', () => {
  test('are the same bytes for the same seed and point, whatever was asked before', () => {
    expect(bytesOf(generateOrders(SEED, 7))).toBe(bytesOf(batches[7]!));
    expect(bytesOf(generateOrders(SEED + 1, 7))).not.toBe(bytesOf(batches[7]!));
    expect(bytesOf(generateOrders(SEED, 8))).not.toBe(bytesOf(batches[7]!));
    const far = 2 ** 40;
    expect(bytesOf(generateOrders(SEED, far))).toBe(bytesOf(generateOrders(SEED, far)));
    expect(bytesOf(generateOrders(SEED, far))).not.toBe(bytesOf(generateOrders(SEED, far + 2 ** 32)));
  });

  test('never change from one version to the next', () => {
    const hash = createHash('sha256');
    for (const batch of batches.slice(0, 10)) {
      for (const row of batch.toArray()) hash.update(`${Object.values(row.toJSON()).join()}\n`);
    }
    expect(hash.digest('hex')).toBe('13bc31e40bc51f441052ce58cb8eacbee80096d77da4ac78b5e1e6f82076f460');
  });

  test('come in batches of 300 to 500, of all products, currencies and regions', () => {
    const sizes = batches.map((batch) => batch.numRows);
    expect(Math.min(...sizes)).toBeGreaterThanOrEqual(ORDERS_MIN);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(ORDERS_MAX);
    expect(new Set(sizes).size).toBeGreaterThan(50);
    const valid = batches.map(validate).flatMap((batch) => batch.toArray().map((row) => row.toJSON()));
    expect(new Set(valid.map(({ product }) => product))).toEqual(new Set(PRODUCTS));
    expect(new Set(valid.map(({ currency }) => currency))).toEqual(new Set(CURRENCIES));
    expect(new Set(valid.map(({ region }) => region))).toEqual(new Set(REGIONS));
  });

  test('have ids of their own, and times that lie out of order, but no further than the bound', () => {
    expect(new Set(orders.map(({ order }) => order)).size).toBe(orders.length);
    let latest = 0;
    let outOfOrder = 0;
    const distances: number[] = [];
    for (const [point, batch] of batches.entries()) {
      for (const { at } of batch.toArray().map((row) => row.toJSON())) {
        if (at === null) continue;
        distances.push(Number(at) - EPOCH_MS - point * POINT_MS);
        if (at < latest) outOfOrder++;
        latest = Math.max(latest, at);
      }
    }
    expect(distances.every((since) => since >= -OUT_OF_ORDER_MS_MAX && since < POINT_MS)).toBe(true);
    expect(distances.some((since) => since < 0.99 * -OUT_OF_ORDER_MS_MAX)).toBe(true);
    expect(outOfOrder).toBeGreaterThan(orders.length / 2);
  });

  test('are bad now and then', () => {
    const dropped = orders.length - batches.reduce((count, batch) => count + validate(batch).numRows, 0);
    expect(dropped).toBeGreaterThan(orders.length / 100);
    expect(dropped).toBeLessThan(orders.length / 25);
  });
});

describe('turnover', () => {
  const expected = naiveTurnover(SEED, 0, POINTS);

  test('through pipeline and windows is that of one loop, and no order is too late', async () => {
    const range = new RangeTwin(batches);
    const type = pipeline('trades').stage('validate', validate).stage('enrich', enrich, { output: ENRICHED_SCHEMA });
    await new type().work(range.task(null));
    const windows = createWindows(TURNOVER, ENRICHED_SCHEMA);
    const told: RecordBatch[] = [];
    for (const batch of range.committed ?? []) {
      windows.add(batch);
      told.push(windows.advance());
    }
    told.push(windows.close());
    expect(windows.counts.late).toBe(0);
    expect(told.some((batch) => batch.toArray().some((row) => row.toJSON()['late']))).toBe(true);
    expect(lastTold(told)).toEqual(expected);
    expect(expected.length).toBeGreaterThan(2 * PRODUCTS.length * REGIONS.length);
  });

  test('of parts that were added up elsewhere is the same, byte by byte', () => {
    const enriched = batches.map((batch) => enrich(validate(batch)));
    const whole = createWindows(TURNOVER, ENRICHED_SCHEMA);
    const merged = createWindows(TURNOVER, ENRICHED_SCHEMA);
    for (let from = 0; from < POINTS; from += 20) {
      const partial = createPartialWindows(TURNOVER, ENRICHED_SCHEMA);
      for (const batch of enriched.slice(from, from + 20)) {
        whole.add(batch);
        partial.add(batch);
      }
      merged.merge(partial.save());
      expect(bytesOf(merged.advance())).toBe(bytesOf(whole.advance()));
    }
    expect(bytesOf(merged.close())).toBe(bytesOf(whole.close()));
  });
});
