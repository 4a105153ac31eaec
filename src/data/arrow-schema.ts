/**
 * Arrow schema: from the flatbuffer of a stranger to the columns that we carry.
 *
 * A column on the wire has a type and a layout: `utf8` may come as offsets and bytes, as views, or as indices into a
 * dictionary. `WireColumn` keeps both, so that the batches that follow can be read; the `Schema` has only the types.
 * Slots and codes are those of Schema.fbs of the Arrow format, version V4 or V5 (they differ for unions only).
 */
import {
  Binary,
  Bool,
  type DataType,
  Date_,
  Decimal,
  Dictionary,
  Duration,
  Field,
  FixedSizeBinary,
  FixedSizeList,
  Float,
  type Int,
  Int8,
  Int16,
  Int32,
  Int64,
  LargeBinary,
  LargeList,
  LargeUtf8,
  List,
  Map_,
  Null,
  Schema,
  Struct,
  Time,
  Timestamp,
  Uint8,
  Uint16,
  Uint32,
  Uint64,
  Utf8,
} from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import { COLUMNS_MAX, SCHEMA_DEPTH_MAX } from '../base/limits.ts';
import { nameText } from './column-type.ts';
import type { FlatTable } from './flatbuffer.ts';
import { plainSchema } from './schema.ts';

export interface WireColumn {
  /** With the plain type. */
  readonly field: Field;
  readonly path: string;
  readonly layout: 'plain' | 'view' | 'dictionary';
  /** Of a dictionary column: which dictionary, and the type of the indices into it. */
  readonly dictionary: { readonly id: bigint; readonly indices: Int } | null;
  readonly children: readonly WireColumn[];
}

export interface WireSchema {
  readonly schema: Schema;
  readonly columns: readonly WireColumn[];
}

/** Slots of the tables. */
const SCHEMA = { endianness: 0, fields: 1, metadata: 2 } as const;
const FIELD = { name: 0, nullable: 1, typeCode: 2, type: 3, dictionary: 4, children: 5, metadata: 6 } as const;
const ENCODING = { id: 0, indices: 1 } as const;

/** What is read so far of one schema: tables may be shared in a flatbuffer, so their number has to be bounded here. */
interface Reading {
  columns: number;
}

export function readSchema(table: FlatTable): WireSchema {
  if (table.short(SCHEMA.endianness) !== 0) throw table.buffer.bad('it is big-endian, which is not read');
  const reading: Reading = { columns: 0 };
  const columns = readFields(table, SCHEMA.fields, { path: '', depth: 1, reading });
  const schema = new Schema(
    columns.map((column) => column.field),
    readMetadata(table, SCHEMA.metadata),
  );
  return { schema: plainSchema(schema), columns };
}

interface Place {
  readonly path: string;
  readonly depth: number;
  readonly reading: Reading;
}

function readFields(table: FlatTable, slot: number, place: Place): WireColumn[] {
  const columns: WireColumn[] = [];
  for (const child of table.tables(slot)) columns.push(readField(child, place));
  return columns;
}

function readField(table: FlatTable, { path, depth, reading }: Place): WireColumn {
  reading.columns++;
  if (reading.columns > COLUMNS_MAX || depth > SCHEMA_DEPTH_MAX) {
    const limits = `${COLUMNS_MAX} columns, ${SCHEMA_DEPTH_MAX} of them inside each other`;
    throw new PolarisError('BAD_SCHEMA', `A schema may have ${limits}.`);
  }
  const name = table.text(FIELD.name) ?? '';
  const own = path === '' ? nameText(name) : `${path}.${nameText(name)}`;
  const children = readFields(table, FIELD.children, { path: own, depth: depth + 1, reading });
  const code = table.byte(FIELD.typeCode);
  const parameters = table.table(FIELD.type);
  const type = parameters === null ? null : readType(code, parameters, children);
  if (type === null) {
    const called = TYPE_NAMES[code] ?? `number ${code}`;
    throw new PolarisError('BAD_SCHEMA', `Column ${own} is of the Arrow type ${called}, which is not carried.`);
  }
  const dictionary = readEncoding(table);
  const field = new Field(name, type, table.flag(FIELD.nullable), readMetadata(table, FIELD.metadata));
  // Whether this type may stand in a dictionary is judged where all schemas are judged.
  if (dictionary !== null) plainSchema(new Schema([new Field(own, new Dictionary(type, new Int32()), true)]));
  const isView = code === VIEW_CODES.utf8 || code === VIEW_CODES.binary;
  const layout = dictionary !== null ? 'dictionary' : isView ? 'view' : 'plain';
  return { field, path: own, layout, dictionary, children };
}

function readEncoding(field: FlatTable): WireColumn['dictionary'] {
  const encoding = field.table(FIELD.dictionary);
  if (encoding === null) return null;
  const indices = encoding.table(ENCODING.indices);
  const type = indices === null ? new Int32() : readInt(indices);
  if (type === null) throw field.buffer.bad('the indices of a dictionary have no known width');
  return { id: encoding.id(ENCODING.id), indices: type };
}

export function readMetadata(table: FlatTable, slot: number): Map<string, string> {
  const metadata = new Map<string, string>();
  for (const pair of table.tables(slot)) metadata.set(pair.text(0) ?? '', pair.text(1) ?? '');
  return metadata;
}

const VIEW_CODES = { binary: 23, utf8: 24 } as const;
const TYPE_NAMES: Readonly<Record<number, string>> = {
  0: 'none',
  11: 'interval',
  14: 'union',
  22: 'run-end-encoded',
  25: 'list view',
  26: 'large list view',
};

/** Type codes of the format, in its order; `null` where the parameters make no type that we carry. */
function readType(code: number, table: FlatTable, children: readonly WireColumn[]): DataType | null {
  const [child] = children;
  switch (code) {
    case 1:
      return new Null();
    case 2:
      return readInt(table);
    case 3:
      return within(table.short(0), 0, 2, (precision) => new Float(precision));
    case 4:
    case VIEW_CODES.binary:
      return new Binary();
    case 5:
    case VIEW_CODES.utf8:
      return new Utf8();
    case 6:
      return new Bool();
    case 7:
      return readDecimal(table);
    case 8:
      return within(table.short(0, 1), 0, 1, (unit) => new Date_(unit));
    case 9:
      return readTime(table);
    case 10:
      return within(table.short(0), 0, 3, (unit) => new Timestamp(unit, table.text(1)));
    case 12:
      return child === undefined ? null : new List(child.field);
    case 13:
      return new Struct(children.map((column) => column.field));
    case 15:
      return within(table.int(0), 1, FIXED_SIZE_MAX, (width) => new FixedSizeBinary(width));
    case 16:
      return child === undefined
        ? null
        : within(table.int(0), 1, FIXED_SIZE_MAX, (n) => new FixedSizeList(n, child.field));
    case 17:
      return readMap(table, child);
    case 18:
      return within(table.short(0, 1), 0, 3, (unit) => new Duration(unit));
    case 19:
      return new LargeBinary();
    case 20:
      return new LargeUtf8();
    case 21:
      return child === undefined ? null : new LargeList(child.field);
    default:
      return null;
  }
}

/** Far above any sensible width; small enough that widths times rows stay exact. */
const FIXED_SIZE_MAX = 2 ** 24;

function within<T>(value: number, least: number, most: number, make: (value: number) => T): T | null {
  return value >= least && value <= most ? make(value) : null;
}

function readInt(table: FlatTable): Int | null {
  const signed = table.flag(1);
  switch (table.int(0)) {
    case 8:
      return signed ? new Int8() : new Uint8();
    case 16:
      return signed ? new Int16() : new Uint16();
    case 32:
      return signed ? new Int32() : new Uint32();
    case 64:
      return signed ? new Int64() : new Uint64();
    default:
      return null;
  }
}

function readDecimal(table: FlatTable): DataType | null {
  const bits = table.int(2, 128);
  const [precision, scale] = [table.int(0), table.int(1)];
  const precisionMax = bits === 128 ? 38 : 76;
  if ((bits !== 128 && bits !== 256) || precision < 1 || precision > precisionMax) return null;
  return Math.abs(scale) <= precisionMax ? new Decimal(scale, precision, bits) : null;
}

/** Seconds and milliseconds have 32 bits, microseconds and nanoseconds 64. */
function readTime(table: FlatTable): DataType | null {
  const unit = table.short(0, 1);
  const bits = table.int(1, 32);
  if (unit < 0 || unit > 3 || bits !== (unit < 2 ? 32 : 64)) return null;
  return new Time(unit, bits as 32 | 64);
}

function readMap(table: FlatTable, entries: WireColumn | undefined): DataType | null {
  if (!(entries?.field.type instanceof Struct) || entries.children.length !== 2) return null;
  return new Map_(entries.field, table.flag(0));
}
