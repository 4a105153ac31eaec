/**
 * Cut: batches of a size that a task, a thread and a socket can each hold.
 *
 * Batches come in the size that their writer found convenient: a row at a time, or a whole table. What is larger than
 * a target is cut into slices, which share the memory of the whole; nothing is copied. What is smaller stays as it is.
 *
 * Invariant: the slices of a batch, in order, are its rows, each once.
 */
import type { Data, FixedSizeBinary, FixedSizeList, RecordBatch } from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import { BATCH_BYTES_MAX, BATCH_BYTES_TARGET, BATCH_ROWS } from '../base/limits.ts';
import { bitsOf, kindOf } from './column-type.ts';

/** Bytes that the rows of this slice take, whatever else lies in the same memory. */
export function batchBytes(batch: RecordBatch): number {
  return batch.data.children.reduce((bytes, data) => bytes + dataBytes(data), 0);
}

function dataBytes(data: Data): number {
  const { type, length, children, valueOffsets } = data;
  const validity = data.nullCount > 0 ? (length + 7) >> 3 : 0;
  switch (kindOf(type)) {
    case 'null':
      return 0;
    case 'bool':
      return validity + ((length + 7) >> 3);
    case 'utf8':
    case 'binary':
      return validity + valueOffsets.byteLength + spanOf(data).length;
    case 'list':
    case 'map': {
      const { start, length: elements } = spanOf(data);
      return validity + valueOffsets.byteLength + dataBytes(children[0]!.slice(start, elements));
    }
    case 'fixed-list':
      return validity + dataBytes(children[0]!.slice(0, length * (type as FixedSizeList).listSize));
    case 'struct':
      return validity + children.reduce((bytes, child) => bytes + dataBytes(child), 0);
    case 'fixed-binary':
      return validity + length * (type as FixedSizeBinary).byteWidth;
    default:
      return validity + (length * bitsOf(type)) / 8;
  }
}

function spanOf({ length, valueOffsets }: Data): { start: number; length: number } {
  const start = Number(valueOffsets[0] ?? 0);
  return { start, length: Number(valueOffsets[length] ?? start) - start };
}

/** Slices of at most BATCH_ROWS rows, and about BATCH_BYTES_TARGET where the rows are of about one size. */
export function* cutBatch(batch: RecordBatch): Generator<RecordBatch> {
  const bytes = batchBytes(batch);
  const rows = batch.numRows;
  const rowsByBytes = Math.floor((rows * BATCH_BYTES_TARGET) / Math.max(bytes, 1));
  const step = Math.max(1, Math.min(BATCH_ROWS, rowsByBytes));
  if (rows <= step) {
    requireBatchSize(bytes);
    yield batch;
    return;
  }
  for (let start = 0; start < rows; start += step) {
    const slice = sliceRows(batch, start, Math.min(rows, start + step));
    requireBatchSize(batchBytes(slice));
    yield slice;
  }
}

function requireBatchSize(bytes: number): void {
  if (bytes <= BATCH_BYTES_MAX) return;
  throw new PolarisError(
    'BATCH_TOO_LARGE',
    `A record batch has ${bytes} bytes; at most ${BATCH_BYTES_MAX} are allowed.`,
  );
}

/** The rows [start, end), in the same memory. */
export function sliceRows(batch: RecordBatch, start: number, end: number): RecordBatch {
  return start === 0 && end === batch.numRows ? batch : batch.slice(start, end);
}
