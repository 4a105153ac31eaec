/** Arbitrary schemas and batches of every type that is carried, with the edges of each. */
import {
  Binary,
  Bool,
  type DataType,
  DateDay,
  DateMillisecond,
  Decimal,
  Duration,
  Field,
  FixedSizeBinary,
  FixedSizeList,
  Float16,
  Float32,
  Float64,
  Int8,
  Int16,
  Int32,
  Int64,
  LargeBinary,
  LargeList,
  LargeUtf8,
  List,
  Map_,
  type RecordBatch,
  Schema,
  Struct,
  Time,
  Timestamp,
  TimeUnit,
  Uint8,
  Uint16,
  Uint32,
  Uint64,
  Utf8,
} from 'apache-arrow';
import fc from 'fast-check';
import { batchOf, dataOf } from '../../src/data/build.ts';
import type { BatchSource, ByteSource } from '../../src/data/sources.ts';
import { batchValues, halfToNumber, type Value } from '../../src/data/values.ts';

/** Every property runs on the same inputs each time; FC_SEED tries others. */
export const SEED = Number(process.env['FC_SEED'] ?? 20_261_121);

interface Kind {
  readonly type: DataType;
  readonly value: fc.Arbitrary<Value>;
}

const int = (type: DataType, min: number, max: number): Kind => ({
  type,
  value: fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, max, 0)),
});
const big = (type: DataType, bits = 64, signed = true): Kind => {
  const [min, max] = signed ? [-(2n ** BigInt(bits - 1)), 2n ** BigInt(bits - 1) - 1n] : [0n, 2n ** BigInt(bits) - 1n];
  return { type, value: fc.oneof(fc.bigInt({ min, max }), fc.constantFrom(min, max, 0n, 2n ** 53n + 1n)) };
};
const float = (type: DataType, value: fc.Arbitrary<number>): Kind => ({
  type,
  value: fc.oneof(value, fc.constantFrom(-0, 0, Number.NaN, Infinity, -Infinity)),
});
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '',
    ' ',
    'a,b',
    '"',
    'line\nline',
    'line\r\nline',
    '\u0000',
    '😀',
    'ﬀ',
    'null',
    '0',
    '__proto__',
    '-',
  ),
);
const bytes = fc.uint8Array({ maxLength: 12 });
/** Years 1 to 9999, so that every unit but nanoseconds has a date. */
const micros = { min: -62_135_596_800_000_000n, max: 253_402_300_799_999_999n };
const time = (type: DataType, per: bigint): Kind => ({
  type,
  value: fc.bigInt({ min: micros.min, max: micros.max }).map((drawn) => (drawn * per) / 1_000_000n),
});

export const LEAVES: Readonly<Record<string, Kind>> = {
  bool: { type: new Bool(), value: fc.boolean() },
  int8: int(new Int8(), -128, 127),
  int16: int(new Int16(), -32_768, 32_767),
  int32: int(new Int32(), -(2 ** 31), 2 ** 31 - 1),
  int64: big(new Int64()),
  uint8: int(new Uint8(), 0, 255),
  uint16: int(new Uint16(), 0, 65_535),
  uint32: int(new Uint32(), 0, 2 ** 32 - 1),
  uint64: big(new Uint64(), 64, false),
  float16: float(new Float16(), fc.integer({ min: 0, max: 0x7bff }).map(halfToNumber)),
  float32: float(new Float32(), fc.float()),
  float64: float(new Float64(), fc.double()),
  decimal128: { type: new Decimal(4, 38, 128), value: fc.bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n }) },
  decimal256: { type: new Decimal(0, 76, 256), value: fc.bigInt({ min: -(10n ** 76n) + 1n, max: 10n ** 76n - 1n }) },
  date32: int(new DateDay(), -719_162, 2_932_896),
  date64: {
    type: new DateMillisecond(),
    value: fc.integer({ min: -719_162, max: 2_932_896 }).map((d) => BigInt(d) * 86_400_000n),
  },
  time32s: int(new Time(TimeUnit.SECOND, 32), 0, 86_399),
  time32ms: int(new Time(TimeUnit.MILLISECOND, 32), 0, 86_399_999),
  time64us: { type: new Time(TimeUnit.MICROSECOND, 64), value: fc.bigInt({ min: 0n, max: 86_399_999_999n }) },
  time64ns: { type: new Time(TimeUnit.NANOSECOND, 64), value: fc.bigInt({ min: 0n, max: 86_399_999_999_999n }) },
  timestamp_s: time(new Timestamp(TimeUnit.SECOND, null), 1n),
  timestamp_ms: time(new Timestamp(TimeUnit.MILLISECOND, 'UTC'), 1_000n),
  timestamp_us: time(new Timestamp(TimeUnit.MICROSECOND, 'Europe/Berlin'), 1_000_000n),
  timestamp_ns: big(new Timestamp(TimeUnit.NANOSECOND, null)),
  duration: big(new Duration(TimeUnit.MICROSECOND)),
  utf8: { type: new Utf8(), value: text },
  large_utf8: { type: new LargeUtf8(), value: text },
  binary: { type: new Binary(), value: bytes },
  large_binary: { type: new LargeBinary(), value: bytes },
  fixed_binary: { type: new FixedSizeBinary(3), value: fc.uint8Array({ minLength: 3, maxLength: 3 }) },
};

const nullable = (value: fc.Arbitrary<Value>): fc.Arbitrary<Value> => fc.option(value, { freq: 4, nil: null });

function nested(leaf: Kind, name: string): Record<string, Kind> {
  const item = new Field('item', leaf.type, true);
  const inner = new List(item);
  const list = fc.array(nullable(leaf.value), { maxLength: 4 });
  const struct = new Struct([new Field('a', leaf.type, true), new Field('b c', new List(item), true)]);
  const structs = fc.record({ a: nullable(leaf.value), 'b c': nullable(list) });
  const entries = new Struct([new Field('key', new Utf8(), false), new Field('value', leaf.type, true)]);
  const map = new Map_(new Field('entries', entries, false) as Field<Struct>);
  const pairs = fc.uniqueArray(fc.tuple(text, nullable(leaf.value)), { maxLength: 4, selector: ([key]) => key });
  return {
    [`list_${name}`]: { type: inner, value: list },
    [`large_list_${name}`]: { type: new LargeList(item), value: list },
    [`fixed_list_${name}`]: {
      type: new FixedSizeList(2, item),
      value: fc.tuple(nullable(leaf.value), nullable(leaf.value)),
    },
    [`struct_${name}`]: { type: struct, value: structs },
    [`map_${name}`]: { type: map, value: pairs as unknown as fc.Arbitrary<Value> },
    [`lists_${name}`]: {
      type: new List(new Field('item', inner, true)),
      value: fc.array(nullable(list), { maxLength: 3 }),
    },
    [`structs_${name}`]: {
      type: new List(new Field('item', struct, true)),
      value: fc.array(nullable(structs), { maxLength: 3 }),
    },
  };
}

export const NESTED: Readonly<Record<string, Kind>> = {
  ...nested(LEAVES['utf8']!, 'utf8'),
  ...nested(LEAVES['int64']!, 'int64'),
  ...nested(LEAVES['bool']!, 'bool'),
};
export const KINDS: Readonly<Record<string, Kind>> = { ...LEAVES, ...NESTED };

export interface Table {
  readonly schema: Schema;
  /** Column by column. */
  readonly values: readonly Value[][];
  readonly batch: RecordBatch;
  /** For a counterexample: the values, since the types of apache-arrow cannot be printed. */
  readonly [fc.toStringMethod]: () => string;
}

export function tableOf(
  columns: Readonly<Record<string, { type: DataType; values: readonly Value[]; nullable?: boolean }>>,
): Table {
  const named = Object.entries(columns);
  const schema = new Schema(named.map(([name, { type, nullable: nulls = true }]) => new Field(name, type, nulls)));
  const values = named.map(([, column]) => [...column.values]);
  const data = values.map((column, at) => dataOf(schema.fields[at]!.type, column));
  const print = () => named.map(([name], at) => `${name}: ${fc.stringify(values[at])}`).join('\n');
  return { schema, values, batch: batchOf(schema, data), [fc.toStringMethod]: print };
}

/** One column of each kind, of so many rows. */
export function tables(kinds: Readonly<Record<string, Kind>>, { maxRows = 20, minRows = 0 } = {}): fc.Arbitrary<Table> {
  return fc
    .integer({ min: minRows, max: maxRows })
    .chain((rows) =>
      fc
        .tuple(
          ...Object.values(kinds).map(({ value }) =>
            fc
              .oneof(fc.constant(true), fc.constant(false))
              .chain((nulls) =>
                fc.tuple(
                  fc.constant(nulls),
                  fc.array(nulls ? nullable(value) : value, { minLength: rows, maxLength: rows }),
                ),
              ),
          ),
        )
        .map((drawn) =>
          tableOf(
            Object.fromEntries(
              Object.entries(kinds).map(([name, { type }], at) => [
                name,
                { type, nullable: drawn[at]![0], values: drawn[at]![1] },
              ]),
            ),
          ),
        ),
    );
}

export async function collect<T>(source: AsyncIterable<T>): Promise<T[]> {
  const items: T[] = [];
  for await (const item of source) items.push(item);
  return items;
}

/** The columns of all batches, one after the other. */
export async function valuesOfAll(source: BatchSource): Promise<Value[][]> {
  const batches = await collect(source);
  return batches
    .slice(1)
    .reduce(
      (columns, batch) => columns.map((column, at) => column.concat(batchValues(batch)[at]!)),
      batchValues(batches[0]!),
    );
}

export async function bytesOfAll(source: ByteSource): Promise<Uint8Array> {
  return new Uint8Array(Buffer.concat(await collect(source)));
}

/** The same bytes in pieces of sizes that fit nothing. */
export async function* inPieces(bytes: Uint8Array, size = 7): ByteSource {
  for (let start = 0; start < bytes.byteLength; start += size) yield bytes.subarray(start, start + size);
}

export async function* batchesOf(...batches: RecordBatch[]): BatchSource {
  yield* batches;
}

/** Reads ranges of bytes in memory, and says which. */
export function rangesOf(bytes: Uint8Array): {
  read: (start: number, end: number) => ByteSource;
  ranges: [number, number][];
} {
  const ranges: [number, number][] = [];
  return {
    ranges,
    read: (start, end) => {
      ranges.push([start, end]);
      return inPieces(bytes.subarray(start, end), 1 << 16);
    },
  };
}
