/**
 * Parquet types: which column of ours a column of Parquet is, and the other way round.
 *
 * Parquet has fewer types. What it lacks is written as the nearest one that loses no value: seconds as milliseconds, days
 * of 64 bits as days, durations as integers, and each with the loss of its name only. Time zones become UTC.
 */
import {
  Binary,
  Bool,
  type DataType,
  DateDay,
  Decimal,
  Field,
  FixedSizeBinary,
  Float16,
  Float32,
  Float64,
  Int8,
  Int16,
  Int32,
  Int64,
  Null,
  Time,
  Timestamp,
  TimeUnit,
  Uint8,
  Uint16,
  Uint32,
  Uint64,
  Utf8,
} from 'apache-arrow';
import type { SchemaElement } from 'hyparquet';
import { PolarisError } from '../base/errors.ts';
import { bitsOf, elementOf, kindOf, nameText, typeText, type Unit, unitOf } from './column-type.ts';
import { halfToNumber, type StructValue, type Value } from './values.ts';

/** One value of a page, as it is stored. */
export type Stored = number | bigint | boolean | Uint8Array;

export interface LeafType {
  readonly type: DataType;
  /** From the stored value to ours. */
  readonly read: (stored: Stored) => Value;
}

const same = (stored: Stored): Value => stored;

/** The type of a column without children; `null` where it is none that we carry. */
export function leafType(element: SchemaElement): LeafType | null {
  const { type, converted_type: converted, logical_type: logical } = element;
  if (logical?.type === 'NULL') return { type: new Null(), read: () => null };
  if (converted === 'DECIMAL' || logical?.type === 'DECIMAL') return decimalLeaf(element);
  switch (type) {
    case 'BOOLEAN':
      return { type: new Bool(), read: same };
    case 'INT32':
      return int32Leaf(element);
    case 'INT64':
      return int64Leaf(element);
    case 'INT96':
      return { type: new Timestamp(TimeUnit.NANOSECOND, null), read: (stored) => julianNanos(stored as bigint) };
    case 'FLOAT':
      return { type: new Float32(), read: same };
    case 'DOUBLE':
      return { type: new Float64(), read: same };
    case 'BYTE_ARRAY': {
      const isText = /^(UTF8|ENUM|JSON)$/.test(converted ?? '') || /^(STRING|ENUM|JSON)$/.test(logical?.type ?? '');
      return { type: isText ? new Utf8() : new Binary(), read: same };
    }
    case 'FIXED_LEN_BYTE_ARRAY':
      return fixedLeaf(element);
    default:
      return null;
  }
}

const SMALL_INTS: Readonly<Record<string, () => DataType>> = {
  INT_8: () => new Int8(),
  INT_16: () => new Int16(),
  UINT_8: () => new Uint8(),
  UINT_16: () => new Uint16(),
  UINT_32: () => new Uint32(),
};

function int32Leaf({ converted_type: converted, logical_type: logical }: SchemaElement): LeafType {
  if (converted === 'DATE' || logical?.type === 'DATE') return { type: new DateDay(), read: same };
  if (converted === 'TIME_MILLIS' || logical?.type === 'TIME') {
    return { type: new Time(TimeUnit.MILLISECOND, 32), read: same };
  }
  const name =
    logical?.type === 'INTEGER' ? `${logical.isSigned ? '' : 'U'}INT_${logical.bitWidth}` : (converted ?? '');
  const make = SMALL_INTS[name];
  if (make === undefined) return { type: new Int32(), read: same };
  return { type: make(), read: name === 'UINT_32' ? (stored) => (stored as number) >>> 0 : same };
}

const TIME_UNITS = { MILLIS: TimeUnit.MILLISECOND, MICROS: TimeUnit.MICROSECOND, NANOS: TimeUnit.NANOSECOND } as const;

function int64Leaf({ converted_type: converted, logical_type: logical }: SchemaElement): LeafType {
  if (logical?.type === 'TIMESTAMP') {
    return { type: new Timestamp(TIME_UNITS[logical.unit], logical.isAdjustedToUTC ? 'UTC' : null), read: same };
  }
  if (logical?.type === 'TIME') {
    return { type: new Time(logical.unit === 'NANOS' ? TimeUnit.NANOSECOND : TimeUnit.MICROSECOND, 64), read: same };
  }
  if (converted === 'TIME_MICROS') return { type: new Time(TimeUnit.MICROSECOND, 64), read: same };
  if (converted === 'TIMESTAMP_MILLIS') return { type: new Timestamp(TimeUnit.MILLISECOND, 'UTC'), read: same };
  if (converted === 'TIMESTAMP_MICROS') return { type: new Timestamp(TimeUnit.MICROSECOND, 'UTC'), read: same };
  const unsigned = converted === 'UINT_64' || (logical?.type === 'INTEGER' && !logical.isSigned);
  if (unsigned) return { type: new Uint64(), read: (stored) => BigInt.asUintN(64, stored as bigint) };
  return { type: new Int64(), read: same };
}

function fixedLeaf({ type_length: width = 0, logical_type: logical }: SchemaElement): LeafType | null {
  if (logical?.type === 'FLOAT16' && width === 2) {
    return {
      type: new Float16(),
      read: (stored) => halfToNumber((stored as Uint8Array)[0]! | ((stored as Uint8Array)[1]! << 8)),
    };
  }
  return width >= 1 && width <= FIXED_BYTES_MAX ? { type: new FixedSizeBinary(width), read: same } : null;
}

const FIXED_BYTES_MAX = 2 ** 20;
const DECIMAL_DIGITS_MAX = 76;

function decimalLeaf({ logical_type: logical, ...element }: SchemaElement): LeafType | null {
  const own = logical?.type === 'DECIMAL' ? logical : element;
  const [precision, scale] = [own.precision ?? 0, own.scale ?? 0];
  if (precision < 1 || precision > DECIMAL_DIGITS_MAX || scale < 0 || scale > precision) return null;
  const bits = precision <= 38 ? 128 : 256;
  return { type: new Decimal(scale, precision, bits), read: (stored) => bigEndian(stored, bits) };
}

function bigEndian(stored: Stored, bits: number): bigint {
  if (!(stored instanceof Uint8Array)) return BigInt(stored);
  const hex = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength).toString('hex');
  return BigInt.asIntN(bits, BigInt.asIntN(stored.byteLength * 8, BigInt(`0x${hex || '0'}`)));
}

const DAY_NANOS = 86_400_000_000_000n;
/** Day of Julian's count on which 1970 began. */
const EPOCH_JULIAN_DAY = 2_440_588n;

/** 64 bits of nanoseconds since midnight below 32 bits of days. */
function julianNanos(stored: bigint): bigint {
  return BigInt.asIntN(64, ((stored >> 64n) - EPOCH_JULIAN_DAY) * DAY_NANOS + BigInt.asUintN(64, stored));
}

/** The elements of one of our columns, parents before children, and the way of its values there. */
export interface WrittenColumn {
  readonly elements: readonly SchemaElement[];
  readonly write: (value: Value) => Value;
}

const asIs = (value: Value): Value => value;

export function writtenColumn({ name, type, nullable }: Field): WrittenColumn {
  const base = { name, repetition_type: nullable ? 'OPTIONAL' : 'REQUIRED' } as const;
  const children = (type.children ?? []) as Field[];
  switch (kindOf(type)) {
    case 'list':
    case 'fixed-list': {
      const element = writtenColumn(renamed(elementOf(type), 'element'));
      const group: SchemaElement = { ...base, converted_type: 'LIST', logical_type: { type: 'LIST' }, num_children: 1 };
      const list: SchemaElement = { name: 'list', repetition_type: 'REPEATED', num_children: 1 };
      return { elements: [group, list, ...element.elements], write: listOf(element.write) };
    }
    case 'map': {
      const [key, value] = elementOf(type).type.children as Field[];
      const [keys, values] = [
        writtenColumn(new Field('key', key!.type, false)),
        writtenColumn(renamed(value!, 'value')),
      ];
      const group: SchemaElement = { ...base, converted_type: 'MAP', logical_type: { type: 'MAP' }, num_children: 1 };
      const entry: SchemaElement = { name: 'key_value', repetition_type: 'REPEATED', num_children: 2 };
      const pair = ([one, other]: readonly Value[]): Value => ({
        key: keys.write(one!),
        value: orNull(values.write)(other!),
      });
      return {
        elements: [group, entry, ...keys.elements, ...values.elements],
        write: (pairs) => (pairs as readonly Value[][]).map(pair),
      };
    }
    case 'struct': {
      if (children.length === 0) throw notInParquet(name, type);
      const fields = children.map((child) => ({ name: child.name, ...writtenColumn(child) }));
      const write = (struct: Value): Value => {
        const written: Record<string, Value> = Object.create(null);
        for (const field of fields) written[field.name] = orNull(field.write)((struct as StructValue)[field.name]!);
        return written;
      };
      return {
        elements: [{ ...base, num_children: children.length }, ...fields.flatMap((field) => field.elements)],
        write,
      };
    }
    default: {
      const { write = asIs, ...element } = writtenLeaf(name, type);
      return { elements: [{ ...base, ...element }], write };
    }
  }
}

function renamed({ type, nullable }: Field, name: string): Field {
  return new Field(name, type, nullable);
}

export function orNull(write: (value: Value) => Value): (value: Value) => Value {
  return (value) => (value === null || value === undefined ? null : write(value));
}

function listOf(write: (value: Value) => Value): (value: Value) => Value {
  return (value) => (value as readonly Value[]).map(orNull(write));
}

function notInParquet(name: string, type: DataType): PolarisError {
  return new PolarisError('BAD_SCHEMA', `Column ${nameText(name)} is ${typeText(type)}, which Parquet cannot hold.`);
}

type WrittenLeaf = Omit<SchemaElement, 'name'> & { write?: (value: Value) => Value };

function writtenLeaf(name: string, type: DataType): WrittenLeaf {
  switch (kindOf(type)) {
    case 'null':
      return { type: 'INT32', logical_type: { type: 'NULL' } };
    case 'bool':
      return { type: 'BOOLEAN' };
    case 'int':
      return writtenInt(type);
    case 'float':
      return writtenFloat(bitsOf(type));
    case 'decimal': {
      const { precision, scale } = type as Decimal;
      if (scale < 0 || scale > precision) throw notInParquet(name, type);
      const logical = { type: 'DECIMAL', precision, scale } as const;
      const width = bitsOf(type) / 8;
      return {
        type: 'FIXED_LEN_BYTE_ARRAY',
        type_length: width,
        converted_type: 'DECIMAL',
        precision,
        scale,
        logical_type: logical,
      };
    }
    case 'date':
      return bitsOf(type) === 32 ? DATE : { ...DATE, write: (ms) => Math.floor(Number(ms) / DAY_MS) };
    case 'time':
      return writtenTime(unitOf(type));
    case 'timestamp':
      return writtenTimestamp(unitOf(type), Boolean((type as Timestamp).timezone));
    case 'duration':
      return { type: 'INT64' };
    case 'utf8':
      return { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } };
    case 'binary':
      return { type: 'BYTE_ARRAY' };
    case 'fixed-binary':
      return { type: 'FIXED_LEN_BYTE_ARRAY', type_length: (type as FixedSizeBinary).byteWidth };
    default:
      throw notInParquet(name, type);
  }
}

const DAY_MS = 86_400_000;
const DATE = { type: 'INT32', converted_type: 'DATE', logical_type: { type: 'DATE' } } as const;

function writtenInt(type: DataType): WrittenLeaf {
  const text = typeText(type);
  const stored = bitsOf(type) === 64 ? 'INT64' : 'INT32';
  if (text === 'int32' || text === 'int64') return { type: stored };
  const isSigned = text.startsWith('int');
  const converted = `${isSigned ? 'INT' : 'UINT'}_${bitsOf(type)}` as NonNullable<SchemaElement['converted_type']>;
  return {
    type: stored,
    converted_type: converted,
    logical_type: { type: 'INTEGER', bitWidth: bitsOf(type), isSigned },
  };
}

function writtenFloat(bits: number): WrittenLeaf {
  if (bits === 16) return { type: 'FIXED_LEN_BYTE_ARRAY', type_length: 2, logical_type: { type: 'FLOAT16' } };
  return { type: bits === 32 ? 'FLOAT' : 'DOUBLE' };
}

function writtenTime(unit: Unit): WrittenLeaf {
  const logical = (named: 'MILLIS' | 'MICROS' | 'NANOS') =>
    ({ type: 'TIME', isAdjustedToUTC: false, unit: named }) as const;
  switch (unit) {
    case 's':
      return { ...writtenTime('ms'), write: (seconds) => (seconds as number) * 1_000 };
    case 'ms':
      return { type: 'INT32', converted_type: 'TIME_MILLIS', logical_type: logical('MILLIS') };
    case 'us':
      return { type: 'INT64', converted_type: 'TIME_MICROS', logical_type: logical('MICROS') };
    case 'ns':
      return { type: 'INT64', logical_type: logical('NANOS') };
  }
}

function writtenTimestamp(unit: Unit, isAdjustedToUTC: boolean): WrittenLeaf {
  const named = { s: 'MILLIS', ms: 'MILLIS', us: 'MICROS', ns: 'NANOS' } as const;
  const logical_type = { type: 'TIMESTAMP', isAdjustedToUTC, unit: named[unit] } as const;
  return { type: 'INT64', logical_type, ...(unit === 's' ? { write: (seconds) => (seconds as bigint) * 1_000n } : {}) };
}
