/**
 * Plain: columns without dictionaries and views.
 *
 * A dictionary column is decoded when it comes in and when it goes out, wherever it stands. Carrying dictionaries would
 * save bytes, and would make a slice of a file depend on messages elsewhere in it; slices are what tasks are made of.
 * This is the one place where values are copied, because they have to lie side by side.
 */
import { type Data, type DataType, type FixedSizeBinary, RecordBatch, type Schema, Struct } from 'apache-arrow';
import { assert } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { BATCH_BYTES_MAX } from '../base/limits.ts';
import { isBitSet, setBit } from './bits.ts';
import { emptyBatch, makeColumn } from './build.ts';
import { bitsOf, isLarge, kindOf, plainType } from './column-type.ts';
import { plainSchema } from './schema.ts';

/** Bytes that decoding may still add to one batch. */
export interface Budget {
  bytes: number;
}

export function batchBudget(): Budget {
  return { bytes: BATCH_BYTES_MAX };
}

function spend(budget: Budget, bytes: number): void {
  budget.bytes -= bytes;
  if (budget.bytes >= 0) return;
  throw new PolarisError('BATCH_TOO_LARGE', `Decoded, a batch has more than ${BATCH_BYTES_MAX} bytes; cut it.`);
}

/** The batch with the schema of plain types; itself where nothing is to be done. */
export function plainBatch(batch: RecordBatch): RecordBatch {
  const schema: Schema = plainSchema(batch.schema);
  // The empty tables that apache-arrow makes of arrays have columns that are none.
  if (batch.numRows === 0) return emptyBatch(schema);
  const budget = batchBudget();
  const children = batch.data.children.map((data) => plainData(data, budget));
  if (children.every((data, at) => data === batch.data.children[at])) return batch;
  const { length } = batch.data;
  const struct = makeColumn({ type: new Struct(schema.fields), length, nullCount: 0, children });
  return new RecordBatch(schema, struct as Data<Struct>);
}

function plainData(data: Data, budget: Budget): Data {
  if (kindOf(data.type) === 'view') return decodeViews(data, budget);
  if (kindOf(data.type) === 'dictionary') {
    const chunks = (data.dictionary?.data ?? []).map((chunk) => plainData(chunk, budget));
    return gather(plainType(data.type), { indices: data, chunks, budget });
  }
  const children = data.children.map((child) => plainData(child, budget));
  if (children.every((child, at) => child === data.children[at])) return data;
  return data.clone(plainType(data.type), data.offset, data.length, -1, undefined, children);
}

/** Where in a row of chunks an index lies. */
export function locateIn(chunks: readonly Data[]): (index: number) => { chunk: number; at: number } {
  if (chunks.length === 1) return (at) => ({ chunk: 0, at });
  const ends: number[] = [];
  for (const chunk of chunks) ends.push((ends.at(-1) ?? 0) + chunk.length);
  return (index) => {
    let [chunk, last] = [0, ends.length - 1];
    while (chunk < last) {
      const middle = (chunk + last) >> 1;
      if (index < ends[middle]!) last = middle;
      else chunk = middle + 1;
    }
    return { chunk, at: index - (ends[chunk - 1] ?? 0) };
  };
}

interface Gathering {
  /** A column of integers; null where it is null. */
  readonly indices: Data;
  readonly chunks: readonly Data[];
  readonly budget: Budget;
}

/** The values at these indices, side by side. Indices that are not null must lie inside the chunks. */
export function gather(type: DataType, { indices, chunks, budget }: Gathering): Data {
  const locate = locateIn(chunks);
  const { length } = indices;
  const placeOf = (row: number) => {
    if (!indices.getValid(row)) return null;
    const { chunk, at } = locate(Number(indices.values[row]));
    return chunks[chunk]!.getValid(at) ? { data: chunks[chunk]!, at } : null;
  };
  switch (kindOf(type)) {
    case 'null':
      return makeColumn({ type, length, nullCount: length });
    case 'utf8':
    case 'binary':
      return gatherBytes(type, {
        length,
        budget,
        bytesAt: (row) => {
          const place = placeOf(row);
          if (place === null) return null;
          const { values, valueOffsets } = place.data;
          return values.subarray(Number(valueOffsets[place.at]), Number(valueOffsets[place.at + 1]));
        },
      });
    case 'bool':
      return gatherBits(type, { length, budget, placeOf });
    default:
      return gatherFixed(type, { length, budget, placeOf });
  }
}

interface Place {
  readonly data: Data;
  readonly at: number;
}

interface Places {
  readonly length: number;
  readonly budget: Budget;
  placeOf(row: number): Place | null;
}

function gatherBits(type: DataType, { length, budget, placeOf }: Places): Data {
  spend(budget, length / 4);
  const nullBitmap = new Uint8Array((length + 7) >> 3);
  const data = new Uint8Array((length + 7) >> 3);
  for (let row = 0; row < length; row++) {
    const place = placeOf(row);
    if (place === null) continue;
    setBit(nullBitmap, row);
    if (isBitSet(place.data.values, place.data.offset + place.at)) setBit(data, row);
  }
  return makeColumn({ type, length, nullCount: -1, nullBitmap, data });
}

/** Numbers, decimals and bytes of one width are all so many bytes a row. */
function gatherFixed(type: DataType, { length, budget, placeOf }: Places): Data {
  const width = kindOf(type) === 'fixed-binary' ? (type as FixedSizeBinary).byteWidth : bitsOf(type) / 8;
  spend(budget, length * width);
  const nullBitmap = new Uint8Array((length + 7) >> 3);
  const data = new Uint8Array(length * width);
  for (let row = 0; row < length; row++) {
    const place = placeOf(row);
    if (place === null) continue;
    setBit(nullBitmap, row);
    const { buffer, byteOffset } = place.data.values as Uint8Array;
    data.set(new Uint8Array(buffer, byteOffset + place.at * width, width), row * width);
  }
  const Numbers = type.ArrayType as new (buffer: ArrayBufferLike) => ArrayBufferView;
  return makeColumn({ type, length, nullCount: -1, nullBitmap, data: new Numbers(data.buffer) });
}

export interface ByteStrings {
  readonly length: number;
  readonly budget: Budget;
  bytesAt(index: number): Uint8Array | null;
}

/** Measured first, so that nothing is asked for that the budget does not hold. */
export function gatherBytes(type: DataType, { length, budget, bytesAt }: ByteStrings): Data {
  const sizes = new Float64Array(length);
  const nullBitmap = new Uint8Array((length + 7) >> 3);
  let total = 0;
  let nullCount = 0;
  for (let index = 0; index < length; index++) {
    const bytes = bytesAt(index);
    if (bytes === null) nullCount++;
    else setBit(nullBitmap, index);
    sizes[index] = bytes?.length ?? 0;
    total += sizes[index]!;
  }
  spend(budget, total + length * 8);
  const data = new Uint8Array(total);
  const valueOffsets = isLarge(type) ? new BigInt64Array(length + 1) : new Int32Array(length + 1);
  let end = 0;
  for (let index = 0; index < length; index++) {
    if (sizes[index] !== 0) data.set(bytesAt(index)!, end);
    end += sizes[index]!;
    if (valueOffsets instanceof BigInt64Array) valueOffsets[index + 1] = BigInt(end);
    else valueOffsets[index + 1] = end;
  }
  assert(end === total, 'what was measured was copied');
  return makeColumn({ type, length, nullCount, ...(nullCount > 0 ? { nullBitmap } : {}), data, valueOffsets });
}

const VIEW_BYTES = 16;
const VIEW_INLINE_BYTES = 12;

/** A view is a length, and either up to 12 bytes or the place of more: buffer and offset. All are checked before. */
function decodeViews(data: Data, budget: Budget): Data {
  const views = data.values as Uint8Array;
  const words = new DataView(views.buffer, views.byteOffset, views.byteLength);
  return gatherBytes(plainType(data.type), {
    length: data.length,
    budget,
    bytesAt: (index) => {
      if (!data.getValid(index)) return null;
      const start = index * VIEW_BYTES;
      const length = words.getInt32(start, true);
      if (length <= VIEW_INLINE_BYTES) return views.subarray(start + 4, start + 4 + length);
      const offset = words.getInt32(start + 12, true);
      return data.variadicBuffers[words.getInt32(start + 8, true)]!.subarray(offset, offset + length);
    },
  });
}
