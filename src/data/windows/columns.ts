/**
 * Columns: cells out of Arrow batches, and Arrow batches out of cells.
 *
 * Apache Arrow's own getters turn timestamps into milliseconds and lose what is finer, so times and numbers are read from
 * the buffers. What is written is canonical: a slot without a value is zero, NaN has one pattern of bits, and buffers are
 * as long as their rows, so that equal cells give equal bytes.
 */
import { Data, DataType, DateUnit, RecordBatch, type Schema, Struct, TimeUnit, type Vector } from 'apache-arrow';
import { must } from '../../base/assert.ts';
import { PolarisError } from '../../base/errors.ts';
import { EVENT_TIME_MS_MAX } from '../../base/limits.ts';

/** Integers of 64 bits, timestamps and dates in milliseconds are bigints, in the unit of their column. */
export type Cell = null | boolean | number | bigint | string;
export type ReadCell = (row: number) => Cell;

const DAY_MS = 86_400_000;

/** The type of the values: whether they stand in a dictionary is no difference. */
export function plainType(type: DataType): DataType {
  return DataType.isDictionary(type) ? type.dictionary : type;
}

export function isIntegerType(type: DataType): boolean {
  return DataType.isInt(type);
}

/** Floats of 32 and 64 bits; those of 16 are no numbers in JavaScript. */
export function isFloatType(type: DataType): boolean {
  return DataType.isFloat(type) && (type.ArrayType === Float32Array || type.ArrayType === Float64Array);
}

export function isTimeType(type: DataType): boolean {
  return isMomentType(type) || isIntegerType(type) || isFloatType(type);
}

/** Floats are left out: 0.1 + 0.2 makes a poor key, and NaN none. */
export function isKeyType(type: DataType): boolean {
  return DataType.isUtf8(type) || DataType.isBool(type) || isIntegerType(type) || isMomentType(type);
}

/** Types whose values have a smallest and a largest. */
export function isOrderedType(type: DataType): boolean {
  return isTimeType(type);
}

function isMomentType(type: DataType): boolean {
  return DataType.isTimestamp(type) || DataType.isDate(type);
}

/** @throws PolarisError BAD_WINDOWS when the batch has no such column of this type. */
export function columnOf(batch: RecordBatch, name: string, type: DataType): Vector {
  const column = batch.getChild(name);
  if (column === null) throw new PolarisError('BAD_WINDOWS', `a batch has no column "${name}"`);
  const found = plainType(column.type);
  if (String(found) === String(type)) return column;
  throw new PolarisError('BAD_WINDOWS', `column "${name}" of a batch is ${found} and should be ${type}`);
}

export function cellReader(column: Vector): ReadCell {
  const { type } = column;
  if (DataType.isUtf8(type) || DataType.isBool(type) || DataType.isDictionary(type)) return getReader(column);
  const data = must(column.data[0], 'the column of a batch is one piece');
  const values: ArrayLike<number | bigint> = data.values;
  return (row) => (data.getValid(row) ? must(values[row], 'every row has a value') : null);
}

function getReader(column: Vector): ReadCell {
  const type = plainType(column.type);
  if (DataType.isUtf8(type) || DataType.isBool(type) || isIntegerType(type)) return (row) => column.get(row);
  throw new PolarisError('BAD_WINDOWS', `a dictionary of ${type} is not supported`);
}

/** Of a column of any type: 1 where it has a value. */
export function presenceReader(column: Vector): ReadCell {
  const data = must(column.data[0], 'the column of a batch is one piece');
  if (DataType.isNull(column.type)) return () => null;
  return (row) => (data.getValid(row) ? 1 : null);
}

/** Reads the millisecond that a row falls into; NaN where it has no time, or one that no calendar reaches. */
export function timeReader(column: Vector): (row: number) => number {
  const read = cellReader(column);
  const toMs = millisecondsOf(column.type);
  return (row) => {
    const cell = read(row);
    if (typeof cell !== 'number' && typeof cell !== 'bigint') return Number.NaN;
    const time = toMs(cell);
    return Math.abs(time) <= EVENT_TIME_MS_MAX ? time : Number.NaN;
  };
}

function millisecondsOf(type: DataType): (cell: number | bigint) => number {
  if (DataType.isDate(type)) return type.unit === DateUnit.DAY ? (cell) => Number(cell) * DAY_MS : Number;
  if (!DataType.isTimestamp(type)) return (cell) => Math.floor(Number(cell));
  switch (type.unit) {
    case TimeUnit.SECOND:
      return (cell) => Number(cell) * 1_000;
    case TimeUnit.MILLISECOND:
      return Number;
    case TimeUnit.MICROSECOND:
      return (cell) => floorDivide(BigInt(cell), 1_000n);
    case TimeUnit.NANOSECOND:
      return (cell) => floorDivide(BigInt(cell), 1_000_000n);
  }
}

/** Towards the past, also before 1970. */
function floorDivide(value: bigint, by: bigint): number {
  const quotient = value / by;
  return Number(value < 0n && quotient * by !== value ? quotient - 1n : quotient);
}

/** One batch of the schema; `columns` are its cells, column by column. */
export function buildBatch(schema: Schema, columns: readonly (readonly Cell[])[], rows: number): RecordBatch {
  const children = schema.fields.map((field, at) =>
    buildColumn(field.type, must(columns[at], 'every field has cells')),
  );
  return new RecordBatch(schema, new Data(new Struct(schema.fields), 0, rows, 0, undefined, children));
}

function buildColumn(type: DataType, cells: readonly Cell[]): Data {
  const bitmap = new Uint8Array(Math.ceil(cells.length / 8));
  let nulls = 0;
  cells.forEach((cell, row) => {
    if (cell === null) nulls++;
    else setBit(bitmap, row);
  });
  const valid = nulls === 0 ? {} : { 2: bitmap };
  if (DataType.isUtf8(type)) return new Data(type, 0, cells.length, nulls, { ...textBuffers(cells), ...valid });
  const values = DataType.isBool(type) ? bits(cells) : numbers(type, cells);
  return new Data(type, 0, cells.length, nulls, { 1: values, ...valid });
}

function textBuffers(cells: readonly Cell[]): { readonly 0: Int32Array; readonly 1: Uint8Array } {
  const texts = cells.map((cell) => Buffer.from(typeof cell === 'string' ? cell : ''));
  const offsets = new Int32Array(cells.length + 1);
  texts.forEach((text, row) => {
    offsets[row + 1] = (offsets[row] ?? 0) + text.length;
  });
  return { 0: offsets, 1: new Uint8Array(Buffer.concat(texts)) };
}

function bits(cells: readonly Cell[]): Uint8Array {
  const bitmap = new Uint8Array(Math.ceil(cells.length / 8));
  cells.forEach((cell, row) => {
    if (cell === true) setBit(bitmap, row);
  });
  return bitmap;
}

function numbers(type: DataType, cells: readonly Cell[]): ArrayLike<number | bigint> {
  const values = new type.ArrayType(cells.length);
  const wide = values instanceof BigInt64Array || values instanceof BigUint64Array;
  cells.forEach((cell, row) => {
    if (typeof cell !== 'number' && typeof cell !== 'bigint') return;
    // A NaN that was read may carry other bits than this one.
    values[row] = wide ? BigInt(cell) : Number.isNaN(cell) ? Number.NaN : Number(cell);
  });
  return values;
}

function setBit(bitmap: Uint8Array, row: number): void {
  bitmap[row >> 3] = (bitmap[row >> 3] ?? 0) | (1 << (row & 7));
}
