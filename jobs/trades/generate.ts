/**
 * trades: orders of a made-up market, drawn from a seed, so that a whole day of trade is a range of integers.
 *
 * A point is one second and one batch. What is in it depends on the seed and the point alone: whoever asks, in whatever
 * order, gets the same bytes, and so a job over many workers can be compared with one loop on one machine. Orders arrive
 * late, as real ones do: their event times lie up to OUT_OF_ORDER_MS_MAX before their second. Some of them are bad.
 */
import { Field, Int32, Int64, type RecordBatch, Schema, TimestampMillisecond, Utf8 } from 'apache-arrow';
import { must } from '../../src/base/assert.ts';
import { createPrng, type Prng } from '../../src/base/prng.ts';
import { buildBatch, type Cell } from '../../src/data/windows/columns.ts';
import { OUT_OF_ORDER_MS_MAX, POINT_MS } from './turnover.ts';

export const PRODUCTS: readonly string[] = Array.from(
  { length: 20 },
  (_, at) => `product-${String(at).padStart(2, '0')}`,
);
export const CURRENCIES = ['EUR', 'USD', 'GBP', 'JPY', 'CHF'] as const;
export const REGIONS = ['africa', 'america', 'asia', 'europe'] as const;
export const ORDERS_MIN = 300;
export const ORDERS_MAX = 500;
/** 2026-01-01T00:00Z */
export const EPOCH_MS = 1_767_225_600_000;

const BAD_SHARE = 0.02;
const QUANTITY_MAX = 100;
const PRICE_MINOR_MAX = 100_000;

/** Orders as they arrive. Any column but the id may lack its value. */
export const ORDER_SCHEMA = new Schema([
  new Field('order', new Int64(), false),
  new Field('at', new TimestampMillisecond('UTC'), true),
  new Field('product', new Utf8(), true),
  new Field('region', new Utf8(), true),
  new Field('currency', new Utf8(), true),
  new Field('quantity', new Int32(), true),
  /** For one piece, in the smallest unit of the currency. */
  new Field('price_minor', new Int64(), true),
]);

/** The orders of one point: ORDERS_MIN to ORDERS_MAX of them. */
export function generateOrders(seed: number, point: number): RecordBatch {
  const prng = prngOf(seed, point);
  const count = prng.integer(ORDERS_MIN, ORDERS_MAX + 1);
  const columns: Cell[][] = ORDER_SCHEMA.fields.map(() => []);
  for (let at = 0; at < count; at++) {
    const order = generateOrder(prng, point, at);
    for (const [column, cell] of order.entries()) columns[column]?.push(cell);
  }
  return buildBatch(ORDER_SCHEMA, columns, count);
}

function generateOrder(prng: Prng, point: number, at: number): Cell[] {
  const time = EPOCH_MS + point * POINT_MS + prng.integer(0, POINT_MS) - prng.integer(0, OUT_OF_ORDER_MS_MAX + 1);
  const order: Cell[] = [
    BigInt(point) * 1_000n + BigInt(at),
    BigInt(time),
    draw(prng, PRODUCTS),
    draw(prng, REGIONS),
    draw(prng, CURRENCIES),
    prng.integer(1, QUANTITY_MAX + 1),
    BigInt(prng.integer(1, PRICE_MINOR_MAX + 1)),
  ];
  return prng.chance(BAD_SHARE) ? spoil(prng, order) : order;
}

/** One of the ways in which an order is bad. */
function spoil(prng: Prng, order: Cell[]): Cell[] {
  const faults: readonly [column: number, cell: Cell][] = [
    [1, null],
    [2, null],
    [2, ''],
    [3, 'atlantis'],
    [4, 'ZZZ'],
    [5, 0],
    [5, -1],
    [6, null],
  ];
  const [column, cell] = draw(prng, faults);
  return order.with(column, cell);
}

function draw<T>(prng: Prng, among: readonly T[]): T {
  return must(among[prng.integer(0, among.length)], 'a draw is one of them');
}

/** A generator of the point's own, so that no point depends on those before it. */
function prngOf(seed: number, point: number): Prng {
  const high = Math.floor(point / 2 ** 32);
  return createPrng(seed ^ Math.imul(point | 0, 0x9e3779b1) ^ Math.imul(high, 0x85ebca6b));
}
