/**
 * Build: a column from plain JavaScript values, the way back of `values.ts`.
 *
 * The builders of apache-arrow take timestamps as floats of milliseconds, so they cannot be used where exactness is
 * the point. A column is built in one go from the values of a batch: sizes are known before memory is asked for, and
 * nothing is ever grown.
 *
 * The values are those that `values.ts` gives for the type; callers convert first. `undefined` counts as null.
 */
import {
  type Data,
  type DataType,
  type Field,
  type FixedSizeBinary,
  type FixedSizeList,
  makeData,
  RecordBatch,
  type Schema,
  Struct,
} from 'apache-arrow';
import { assert, InvariantError } from '../base/assert.ts';
import { setBit } from './bits.ts';
import { bitsOf, elementOf, isLarge, kindOf } from './column-type.ts';
import type { StructValue, Value } from './values.ts';

type Values = readonly (Value | undefined)[];
/** What `makeData` takes; its own type is a union over all types that TypeScript cannot follow. */
interface Parts {
  readonly type: DataType;
  readonly length: number;
  readonly nullCount: number;
  readonly nullBitmap?: Uint8Array;
  readonly data?: ArrayBufferView;
  readonly valueOffsets?: Int32Array | BigInt64Array;
  readonly child?: Data;
  readonly children?: Data[];
}

export function makeColumn(parts: Parts): Data {
  // apache-arrow ignores a bitmap that stands beside a null count of zero, and counts for itself where it is -1.
  return (makeData as unknown as (parts: Parts) => Data)(parts);
}

/** A batch of these columns; they must be of one length. */
export function batchOf(schema: Schema, columns: Data[], length = columns[0]?.length ?? 0): RecordBatch {
  assert(columns.length === schema.fields.length, 'a batch has the columns of its schema');
  assert(
    columns.every((column) => column.length === length),
    'the columns of a batch are of one length',
  );
  const struct = makeColumn({ type: new Struct(schema.fields), length, nullCount: 0, children: columns });
  return new RecordBatch(schema, struct as Data<Struct>);
}

export function emptyBatch(schema: Schema): RecordBatch {
  return batchOf(
    schema,
    schema.fields.map((field) => dataOf(field.type, [])),
    0,
  );
}

export function dataOf(type: DataType, values: Values): Data {
  const kind = kindOf(type);
  const base = { type, length: values.length, ...validityOf(values) };
  switch (kind) {
    case 'null':
      return makeColumn({ type, length: values.length, nullCount: values.length });
    case 'bool':
      return makeColumn({ ...base, data: bitsWhere(values, (value) => value === true) });
    case 'int':
    case 'float':
    case 'date':
    case 'time':
    case 'timestamp':
    case 'duration':
      return makeColumn({ ...base, data: numbers(type, values) });
    case 'decimal':
      return makeColumn({ ...base, data: decimals(bitsOf(type) / 32, values) });
    case 'utf8':
    case 'binary':
      return makeColumn({ ...base, ...byteStrings(type, values) });
    case 'fixed-binary':
      return makeColumn({ ...base, data: fixedBytes((type as FixedSizeBinary).byteWidth, values) });
    case 'list':
    case 'map':
      return listColumn(base, values);
    case 'fixed-list':
      return makeColumn({ ...base, child: fixedElements(type as FixedSizeList, values) });
    case 'struct':
      return makeColumn({ ...base, children: structColumns(type.children as Field[], values) });
    default:
      throw new InvariantError(`columns are built of plain types only, not of ${type}`);
  }
}

function validityOf(values: Values): { nullCount: number; nullBitmap?: Uint8Array } {
  let nullCount = 0;
  for (const value of values) if (value === null || value === undefined) nullCount++;
  if (nullCount === 0) return { nullCount };
  return { nullCount, nullBitmap: bitsWhere(values, (value) => value !== null && value !== undefined) };
}

function bitsWhere(values: Values, isSet: (value: Value | undefined) => boolean): Uint8Array {
  const bits = new Uint8Array((values.length + 7) >> 3);
  for (let at = 0; at < values.length; at++) if (isSet(values[at])) setBit(bits, at);
  return bits;
}

function numbers(type: DataType, values: Values): ArrayBufferView {
  const array = new (type.ArrayType as new (length: number) => Record<number, unknown> & ArrayBufferView)(
    values.length,
  );
  const half = kindOf(type) === 'float' && bitsOf(type) === 16;
  for (let at = 0; at < values.length; at++) {
    const value = values[at];
    if (value === null || value === undefined) continue;
    array[at] = half ? numberToHalf(value as number) : value;
  }
  return array;
}

function decimals(words: number, values: Values): Uint32Array {
  const array = new Uint32Array(values.length * words);
  for (let at = 0; at < values.length; at++) {
    let rest = (values[at] ?? 0n) as bigint;
    for (let word = 0; word < words; word++) {
      array[at * words + word] = Number(rest & 0xffff_ffffn);
      rest >>= 32n;
    }
  }
  return array;
}

function offsetsFor(type: DataType, length: number): Int32Array | BigInt64Array {
  return isLarge(type) ? new BigInt64Array(length + 1) : new Int32Array(length + 1);
}

function setOffset(offsets: Int32Array | BigInt64Array, at: number, offset: number): void {
  if (offsets instanceof BigInt64Array) offsets[at] = BigInt(offset);
  else offsets[at] = offset;
}

function byteStrings(type: DataType, values: Values): Pick<Parts, 'data' | 'valueOffsets'> {
  const valueOffsets = offsetsFor(type, values.length);
  let bytes = 0;
  values.forEach((value, at) => {
    bytes += typeof value === 'string' ? Buffer.byteLength(value) : ((value as Uint8Array | null)?.length ?? 0);
    setOffset(valueOffsets, at + 1, bytes);
  });
  const data = Buffer.allocUnsafeSlow(bytes);
  let end = 0;
  for (const value of values) {
    if (typeof value === 'string') end += data.write(value, end);
    else if (value) {
      data.set(value as Uint8Array, end);
      end += (value as Uint8Array).length;
    }
  }
  assert(end === bytes, 'a text takes as many bytes as it was measured');
  return { valueOffsets, data: new Uint8Array(data.buffer, data.byteOffset, bytes) };
}

function fixedBytes(width: number, values: Values): Uint8Array {
  const data = new Uint8Array(values.length * width);
  values.forEach((value, at) => {
    if (value) data.set((value as Uint8Array).subarray(0, width), at * width);
  });
  return data;
}

function listColumn(base: Parts, values: Values): Data {
  const valueOffsets = offsetsFor(base.type, values.length);
  const elements: Value[] = [];
  const map = kindOf(base.type) === 'map';
  const element = elementOf(base.type).type as DataType;
  const [key, entry] = map ? (element.children as Field[]).map((field) => field.name) : [];
  values.forEach((value, at) => {
    for (const item of (value ?? []) as readonly Value[]) {
      elements.push(map ? { [key!]: (item as Value[])[0]!, [entry!]: (item as Value[])[1]! } : item);
    }
    setOffset(valueOffsets, at + 1, elements.length);
  });
  return makeColumn({ ...base, valueOffsets, child: dataOf(element, elements) });
}

/** A list that is null still has room for its elements. */
function fixedElements(type: FixedSizeList, values: Values): Data {
  const elements = values.flatMap((value) =>
    Array.from({ length: type.listSize }, (_, at) => (value as readonly Value[] | null)?.[at] ?? null),
  );
  return dataOf(elementOf(type).type, elements);
}

function structColumns(fields: readonly Field[], values: Values): Data[] {
  return fields.map((field) =>
    dataOf(
      field.type,
      values.map((value) => (value === null || value === undefined ? null : (value as StructValue)[field.name])),
    ),
  );
}

/** To the nearest binary16, ties to even. */
function numberToHalf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(value)) return 0x7e00;
  if (size >= 65_520) return sign | 0x7c00;
  // Below 2^-14 the steps stay 2^-24 wide; above, there are 1,024 of them between two powers of two.
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 1)));
  const steps = roundToEven(size / 2 ** (exponent - 10));
  // Carries need no care: 2,048 steps of one exponent are 1,024 of the next, which is what the sum of the bits says.
  return sign | (size === 0 ? 0 : ((exponent + 14) << 10) + steps);
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
