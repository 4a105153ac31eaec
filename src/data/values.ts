/**
 * Values: a column as plain JavaScript, exactly.
 *
 * The getters of apache-arrow turn every timestamp into a float of milliseconds and every 64-bit date into a Date; a
 * nanosecond is lost there without a word. Whatever leaves the columnar world (CSV, JSON, Parquet) therefore comes
 * through here: 64-bit things are bigints in the unit of their type, decimals are the bigint before the scale.
 *
 * Invariant: `dataOf(type, valuesOf(data))` holds the same values as `data`, for every type that we carry.
 */
import type { Data, DataType, FixedSizeBinary, FixedSizeList, RecordBatch } from 'apache-arrow';
import { isBitSet } from './bits.ts';
import { bitsOf, elementOf, kindOf } from './column-type.ts';
import { locateIn } from './plain.ts';

/** A list is an array, a struct an object without prototype, a map an array of pairs of key and value. */
export type Value = null | boolean | number | bigint | string | Uint8Array | readonly Value[] | StructValue;
export interface StructValue {
  readonly [name: string]: Value;
}

type ReadAt = (index: number) => Value;

/** The columns of a batch, each as its values. */
export function batchValues(batch: RecordBatch): Value[][] {
  return batch.data.children.map(valuesOf);
}

export function valuesOf(data: Data): Value[] {
  const read = reader(data);
  return Array.from({ length: data.length }, (_, index) => read(index));
}

/** A function from the index in this slice to the value there. */
export function reader(data: Data): ReadAt {
  const read = validReader(data);
  return data.nullCount > 0 ? (index) => (data.getValid(index) ? read(index) : null) : read;
}

function validReader(data: Data): ReadAt {
  const values = data.values as ArrayLike<number | bigint>;
  switch (kindOf(data.type)) {
    case 'bool':
      return (index) => isBitSet(data.values, data.offset + index);
    case 'float':
      return bitsOf(data.type) === 16 ? (index) => halfToNumber(values[index] as number) : (index) => values[index]!;
    case 'int':
    case 'date':
    case 'time':
    case 'timestamp':
    case 'duration':
      return (index) => values[index]!;
    case 'decimal':
      return decimalReader(data);
    case 'utf8':
      return textReader(data);
    case 'binary':
      return bytesReader(data);
    case 'fixed-binary':
      return (index) => fixedBytes(data, index);
    case 'dictionary':
      return dictionaryReader(data);
    case 'null':
      return () => null;
    default:
      return nestedReader(data);
  }
}

function fixedBytes(data: Data, index: number): Uint8Array {
  const width = (data.type as FixedSizeBinary).byteWidth;
  return data.values.subarray(index * width, (index + 1) * width);
}

function bytesReader({ values, valueOffsets }: Data): (index: number) => Uint8Array {
  return (index) => values.subarray(Number(valueOffsets[index]), Number(valueOffsets[index + 1]));
}

function textReader({ values, valueOffsets }: Data): ReadAt {
  const text = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  return (index) => text.toString('utf8', Number(valueOffsets[index]), Number(valueOffsets[index + 1]));
}

/** Two's complement in 32-bit words, the lowest first. */
function decimalReader({ type, values }: Data): ReadAt {
  const words = bitsOf(type) / 32;
  return (index) => {
    let value = 0n;
    for (let word = words - 1; word >= 0; word--) value = (value << 32n) | BigInt(values[index * words + word]);
    return BigInt.asIntN(words * 32, value);
  };
}

function dictionaryReader(data: Data): ReadAt {
  const chunks = data.dictionary?.data ?? [];
  const readers = chunks.map(reader);
  const locate = locateIn(chunks);
  return (index) => {
    const { chunk, at } = locate(Number(data.values[index]));
    return readers[chunk]!(at);
  };
}

function nestedReader(data: Data): ReadAt {
  const { type, children, valueOffsets } = data;
  if (kindOf(type) === 'struct') {
    const names = (type.children ?? []).map((field) => field.name);
    const readers = children.map(reader);
    return (index) => structOf(names, (at) => readers[at]!(index));
  }
  const read = reader(children[0]!);
  const size = kindOf(type) === 'fixed-list' ? (type as FixedSizeList).listSize : null;
  const start = (index: number) => (size === null ? Number(valueOffsets[index]) : index * size);
  const list = (index: number) => {
    const first = start(index);
    return Array.from({ length: start(index + 1) - first }, (_, at) => read(first + at));
  };
  if (kindOf(type) !== 'map') return list;
  const [key, value] = (elementOf(type).type as DataType).children!.map((field) => field.name);
  return (index) => list(index).map((entry) => [(entry as StructValue)[key!]!, (entry as StructValue)[value!]!]);
}

/** Without a prototype, a column may be called `__proto__` and is still only a column. */
export function structOf(names: readonly string[], valueAt: (index: number) => Value): StructValue {
  const struct: Record<string, Value> = Object.create(null);
  names.forEach((name, index) => {
    struct[name] = valueAt(index);
  });
  return struct;
}

/** IEEE 754 binary16. */
export function halfToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 0) return sign * 2 ** -24 * fraction;
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN;
  return sign * 2 ** (exponent - 25) * (1024 + fraction);
}
