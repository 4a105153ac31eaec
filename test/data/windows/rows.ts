/**
 * Rows for the tests of windows, as plain objects and as batches that Apache Arrow's own builders make.
 */

import {
  Field,
  Float64,
  Int32,
  Int64,
  makeData,
  RecordBatch,
  RecordBatchReader,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  TimestampMillisecond,
  Utf8,
  vectorFromArray,
} from 'apache-arrow';
import fc from 'fast-check';
import { type Aggregate, session, sliding, tumbling, type WindowsSpec } from '../../../src/data/windows/spec.ts';

export interface TestRow {
  readonly at: number | null;
  readonly product: string | null;
  readonly shop: number | null;
  readonly amount: bigint | null;
  readonly price: number | null;
}

export const SCHEMA = new Schema([
  new Field('at', new TimestampMillisecond('UTC'), true),
  new Field('product', new Utf8(), true),
  new Field('shop', new Int32(), true),
  new Field('amount', new Int64(), true),
  new Field('price', new Float64(), true),
]);

export function batchOf(rows: readonly TestRow[]): RecordBatch {
  const children = SCHEMA.fields.map(({ name, type }) => {
    const cells = rows.map((row) => row[name as keyof TestRow]);
    const [data] = vectorFromArray(cells, type).data;
    return data ?? makeData({ type, length: 0 });
  });
  return new RecordBatch(SCHEMA, makeData({ type: new Struct(SCHEMA.fields), length: rows.length, children }));
}

/** What travels: two batches are equal if and only if these bytes are. */
export function bytesOf(batch: RecordBatch): string {
  return Buffer.from(RecordBatchStreamWriter.writeAll([batch]).toUint8Array(true)).toString('base64');
}

/** The batch after it went through bytes. */
export function travelled(batch: RecordBatch): RecordBatch {
  const [read] = RecordBatchReader.from(RecordBatchStreamWriter.writeAll([batch]).toUint8Array(true));
  if (read === undefined) throw new Error('a stream of one batch has one');
  return read;
}

export const AGGREGATES: readonly Aggregate[] = [
  { fn: 'count', as: 'rows' },
  { fn: 'count', column: 'amount', as: 'amounts' },
  { fn: 'sum', column: 'amount', as: 'amount' },
  { fn: 'mean', column: 'amount', as: 'amount_mean' },
  { fn: 'sum', column: 'price', as: 'price' },
  { fn: 'min', column: 'price', as: 'lowest' },
  { fn: 'max', column: 'price', as: 'highest' },
  { fn: 'mean', column: 'price', as: 'price_mean' },
  { fn: 'max', column: 'at', as: 'latest' },
];

const nullable = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { freq: 12, nil: null });

const times = fc.oneof(
  { weight: 200, arbitrary: fc.integer({ min: -30, max: 30 }) },
  { weight: 1, arbitrary: fc.constantFrom(-8_640_000_000_000_000, 8_640_000_000_000_000, 5_000_000, -5_000_000) },
);

export const arbitraryRow: fc.Arbitrary<TestRow> = fc.record({
  at: nullable(times),
  product: nullable(fc.constantFrom('', 'a', 'b', 'ä', '😀')),
  shop: nullable(fc.integer({ min: -1, max: 1 })),
  amount: nullable(fc.oneof(fc.bigInt({ min: -9n, max: 9n }), fc.bigInt({ min: -(2n ** 58n), max: 2n ** 58n }))),
  price: nullable(
    fc.oneof(
      { weight: 8, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }) },
      { weight: 8, arbitrary: fc.integer({ min: -500, max: 500 }).map((cents) => cents / 100) },
      { weight: 1, arbitrary: fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0) },
    ),
  ),
});

/** Time goes on from row to row, more or less: a little out of order, very much so, or backwards. */
export const arbitraryRows: fc.Arbitrary<TestRow[]> = fc
  .tuple(fc.array(arbitraryRow, { maxLength: 40 }), fc.constantFrom(0, 1, 3, 9, -2))
  .map(([rows, drift]) =>
    rows.map((row, index) => {
      const isNear = row.at !== null && Math.abs(row.at) < 1_000;
      return isNear ? { ...row, at: Number(row.at) + drift * index } : row;
    }),
  );

const size = fc.integer({ min: 1, max: 25 });
const offset = fc.integer({ min: -30, max: 30 });

export const arbitrarySpec: fc.Arbitrary<WindowsSpec> = fc.record({
  time: fc.constant('at'),
  keys: fc.constantFrom<readonly string[]>([], ['product'], ['product', 'shop']),
  window: fc.oneof(
    fc.tuple(size, offset).map(([sizeMs, offsetMs]) => tumbling(sizeMs, offsetMs)),
    fc.tuple(size, size, offset).map(([sizeMs, slideMs, offsetMs]) => sliding(sizeMs, slideMs, offsetMs)),
    size.map((gapMs) => session(gapMs)),
  ),
  aggregates: fc.constant(AGGREGATES),
  allowedLatenessMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 80 })),
  late: fc.constantFrom('drop' as const, 'side' as const, 'fire' as const),
});

/** The rows cut anywhere: some pieces are empty. */
export function cut(rows: readonly TestRow[], places: readonly number[]): TestRow[][] {
  const ends = [...places.map((place) => place % (rows.length + 1)), rows.length].sort((left, right) => left - right);
  return ends.map((end, at) => rows.slice(at === 0 ? 0 : ends[at - 1], end));
}
