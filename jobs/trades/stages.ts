/**
 * trades: what becomes of an order, stage by stage, and the windows at the end.
 *
 * `validate` keeps what can be an order, `enrich` adds what it is worth in euros, and the windows add that up by product and
 * region, minute by minute. All of it is arithmetic on integers, so that nothing depends on an order of additions.
 */
import { Field, Int64, type RecordBatch, Schema } from 'apache-arrow';
import { must } from '../../src/base/assert.ts';
import { buildBatch, type Cell, cellReader } from '../../src/data/windows/columns.ts';
import { CURRENCIES, ORDER_SCHEMA, REGIONS } from './generate.ts';

/** Millionths of a euro cent for one minor unit: a cent, a penny, a rappen, a yen. */
export const RATES: Readonly<Record<(typeof CURRENCIES)[number], bigint>> = {
  EUR: 1_000_000n,
  USD: 920_000n,
  GBP: 1_170_000n,
  JPY: 610_000n,
  CHF: 1_050_000n,
};

const MILLION = 1_000_000n;
const COLUMN = { at: 1, product: 2, region: 3, currency: 4, quantity: 5, price: 6 } as const;

export const VALID_SCHEMA = new Schema(ORDER_SCHEMA.fields.map(({ name, type }) => new Field(name, type, false)));
export const ENRICHED_SCHEMA = new Schema([...VALID_SCHEMA.fields, new Field('euro_cents', new Int64(), false)]);

/** Drops orders that lack something, or name what does not exist. */
export function validate(orders: RecordBatch): RecordBatch {
  const rows = rowsOf(orders).filter(isValid);
  return batchOf(VALID_SCHEMA, rows);
}

/** Adds the worth of each order in euro cents, half a cent and more rounded up. */
export function enrich(orders: RecordBatch): RecordBatch {
  const rows = rowsOf(orders).map((row) => {
    const currency = CURRENCIES.find((each) => each === row[COLUMN.currency]);
    const rate = RATES[must(currency, 'a valid order has a known currency')];
    const minor = BigInt(Number(row[COLUMN.quantity])) * BigInt(String(row[COLUMN.price]));
    return [...row, (minor * rate + MILLION / 2n) / MILLION];
  });
  return batchOf(ENRICHED_SCHEMA, rows);
}

function isValid(row: readonly Cell[]): boolean {
  if (row.includes(null) || row[COLUMN.product] === '') return false;
  const isKnown =
    REGIONS.some((each) => each === row[COLUMN.region]) && CURRENCIES.some((each) => each === row[COLUMN.currency]);
  return isKnown && Number(row[COLUMN.quantity]) > 0 && Number(row[COLUMN.price]) > 0;
}

function rowsOf(batch: RecordBatch): Cell[][] {
  const read = batch.schema.fields.map((_field, at) =>
    cellReader(must(batch.getChildAt(at), 'every field has a column')),
  );
  return Array.from({ length: batch.numRows }, (_, row) => read.map((cell) => cell(row)));
}

function batchOf(schema: Schema, rows: readonly (readonly Cell[])[]): RecordBatch {
  const columns = schema.fields.map((_field, at) => rows.map((row) => row[at] ?? null));
  return buildBatch(schema, columns, rows.length);
}
