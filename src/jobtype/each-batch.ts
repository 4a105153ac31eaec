/**
 * Each batch: what a Master hands over as Arrow, in whatever shape it came to hand, one batch at a time.
 *
 * Tables and batches can be iterated too, by row, so what has a schema is taken for one of them.
 */
import type { RecordBatch, Schema } from 'apache-arrow';
import { emptyBatch } from '../data/build.ts';
import { givenBatches } from './given-batches.ts';

/** @throws PolarisError BAD_SCHEMA, BATCH_TOO_LARGE, and what the iteration throws */
export async function* eachBatch(given: unknown): AsyncGenerator<RecordBatch> {
  if (!isMany(given)) yield* batchesOf(given);
  else for await (const item of given) yield* batchesOf(item);
}

/** A table without rows may have no batch, and still says its columns. */
function batchesOf(given: unknown): readonly RecordBatch[] {
  const batches = givenBatches(given);
  return batches.length > 0 ? batches : [emptyBatch((given as { readonly schema: Schema }).schema)];
}

function isMany(value: unknown): value is Iterable<unknown> | AsyncIterable<unknown> {
  if (typeof value !== 'object' || value === null || 'schema' in value) return false;
  return Symbol.asyncIterator in value || Symbol.iterator in value;
}
