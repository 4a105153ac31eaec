/**
 * Each batch: what the code of an author hands over as Arrow, in whatever shape it came to hand, one batch at a time.
 *
 * Read by shape and not by `instanceof`, for a folder of job types may resolve another copy of apache-arrow. Tables and
 * batches are iterable too, by row, so they are looked for before anything that can be iterated.
 */
import type { RecordBatch, Table } from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import { emptyBatch } from '../data/build.ts';

/** `who` names the author's method in an error. @throws PolarisError BAD_DATA, and what the iteration throws */
export async function* eachBatch(given: unknown, who: string): AsyncGenerator<RecordBatch> {
  if (isBatch(given) || isTable(given)) return yield* batchesIn(given);
  if (!isIterable(given)) throw new PolarisError('BAD_DATA', `${who} gave no Arrow batches, but ${shown(given)}`);
  for await (const item of given) {
    if (!isBatch(item) && !isTable(item)) {
      throw new PolarisError('BAD_DATA', `${who} gave something among its batches that is none: ${shown(item)}`);
    }
    yield* batchesIn(item);
  }
}

/** At least one, so that the columns are known. */
function batchesIn(given: RecordBatch | Table): readonly RecordBatch[] {
  if (isBatch(given)) return [given];
  return given.batches.length > 0 ? given.batches : [emptyBatch(given.schema)];
}

function isBatch(value: unknown): value is RecordBatch {
  return isObject(value) && typeof value['numRows'] === 'number' && 'schema' in value && !('batches' in value);
}

function isTable(value: unknown): value is Table {
  return isObject(value) && Array.isArray(value['batches']) && 'schema' in value;
}

function isIterable(value: unknown): value is Iterable<unknown> | AsyncIterable<unknown> {
  return isObject(value) && (Symbol.asyncIterator in value || Symbol.iterator in value);
}

function isObject(value: unknown): value is Readonly<Record<PropertyKey, unknown>> {
  return typeof value === 'object' && value !== null;
}

function shown(value: unknown): string {
  return isObject(value) ? `an object of ${value.constructor?.name ?? 'no class'}` : String(value);
}
