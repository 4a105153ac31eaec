/**
 * Each batch: what a Master hands over as Arrow, in whatever shape and size it came to hand, one batch at a time.
 *
 * A Master writes down all that it knows at once, most easily as one table, so what it gives is cut here and not refused.
 * Tables and batches can be iterated too, by row, so what has a schema is taken for one of them.
 */
import type { RecordBatch, Schema } from 'apache-arrow';
import { BATCH_ROWS } from '../base/limits.ts';
import { emptyBatch } from '../data/build.ts';
import { cutBatch, sliceRows } from '../data/cut.ts';
import { plainBatch } from '../data/plain.ts';
import { batchesIn } from './given-batches.ts';

/** @throws PolarisError BAD_SCHEMA, BATCH_TOO_LARGE for a single row, and what the iteration throws */
export async function* eachBatch(given: unknown): AsyncGenerator<RecordBatch> {
  if (!isMany(given)) yield* piecesOf(given);
  else for await (const item of given) yield* piecesOf(item);
}

/** A table without rows may have no batch, and still says its columns. */
function* piecesOf(given: unknown): Generator<RecordBatch> {
  const batches = batchesIn(given);
  if (batches.length === 0) yield emptyBatch((given as { readonly schema: Schema }).schema);
  for (const batch of batches) yield* piecesOfBatch(batch);
}

/** Dictionaries are decoded some rows at a time: the whole may be far larger decoded than it is. */
function* piecesOfBatch(batch: RecordBatch): Generator<RecordBatch> {
  let start = 0;
  do {
    const end = Math.min(start + BATCH_ROWS, batch.numRows);
    yield* cutBatch(plainBatch(sliceRows(batch, start, end)));
    start = end;
  } while (start < batch.numRows);
}

function isMany(value: unknown): value is Iterable<unknown> | AsyncIterable<unknown> {
  if (typeof value !== 'object' || value === null || 'schema' in value) return false;
  return Symbol.asyncIterator in value || Symbol.iterator in value;
}
