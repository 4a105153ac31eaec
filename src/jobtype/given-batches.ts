/**
 * What job code hands over as batches, looked at before a byte of it is written.
 */
import type { RecordBatch } from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import { BATCH_BYTES_MAX } from '../base/limits.ts';
import { batchBytes } from '../data/cut.ts';
import { plainBatch } from '../data/plain.ts';

/** A table as far as we look at it: job code may have another copy of apache-arrow than we have. */
interface GivenTable {
  readonly batches: readonly RecordBatch[];
}

/**
 * The batches of a record batch or a table, plain and each within BATCH_BYTES_MAX.
 *
 * @throws PolarisError BAD_SCHEMA for what is neither, or cannot be carried; BATCH_TOO_LARGE
 */
export function givenBatches(given: unknown): readonly RecordBatch[] {
  return batchesIn(given).map((batch) => {
    const plain = plainBatch(batch);
    const bytes = batchBytes(plain);
    if (bytes <= BATCH_BYTES_MAX) return plain;
    throw new PolarisError('BATCH_TOO_LARGE', `the batch has ${bytes} bytes; ${BATCH_BYTES_MAX} are allowed: cut it`);
  });
}

/** The batches as they came, of whatever size. @throws PolarisError BAD_SCHEMA for what is neither batch nor table */
export function batchesIn(given: unknown): readonly RecordBatch[] {
  const batches = isTable(given) ? given.batches : [given];
  if (batches.every(isBatch)) return batches;
  throw new PolarisError('BAD_SCHEMA', `a RecordBatch or a Table of apache-arrow is needed, not ${wordFor(given)}`);
}

function isTable(given: unknown): given is GivenTable {
  return typeof given === 'object' && given !== null && 'batches' in given && Array.isArray(given.batches);
}

function isBatch(given: unknown): given is RecordBatch {
  if (typeof given !== 'object' || given === null) return false;
  const { schema, data, numRows } = given as Partial<RecordBatch>;
  return Array.isArray(schema?.fields) && Array.isArray(data?.children) && typeof numRows === 'number';
}

function wordFor(given: unknown): string {
  if (given === null || typeof given !== 'object') return String(given);
  return `an object of ${given.constructor?.name ?? 'no class'}`;
}
