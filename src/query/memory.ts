/**
 * Memory: a query over batches that are at hand, in a process that is a job's anyway. No node runs this: there, a query has a
 * process of its own.
 */
import type { RecordBatch } from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import { QUERY_TASK_BYTES_MAX } from '../base/limits-query.ts';
import { readArrowFile, writeArrowFile } from '../data/arrow-file.ts';
import { bytesOf } from '../data/sources.ts';
import { loadPolars, type Polars, refusalText, understand } from './polars.ts';
import { parseStatement } from './statement.ts';

/** A table that is asked for: batches of one schema, one at least. */
export interface MemoryTable {
  readonly name: string;
  readonly batches: readonly RecordBatch[];
}

/** @throws PolarisError BAD_QUERY, QUERY_TOO_LARGE, NO_QUERY_ENGINE */
export async function queryBatches(sql: string, { name, batches }: MemoryTable): Promise<readonly RecordBatch[]> {
  const { text, datasets } = parseStatement(sql);
  if (datasets.some((read) => read !== name)) throw new PolarisError('BAD_QUERY', `this query may read "${name}" only`);
  const bytes = batches.reduce((sum, { data }) => sum + data.byteLength, 0);
  if (bytes > QUERY_TASK_BYTES_MAX) {
    throw new PolarisError(
      'QUERY_TOO_LARGE',
      `${bytes} bytes are to be asked at once, and ${QUERY_TASK_BYTES_MAX} may be`,
    );
  }
  const polars = await loadPolars();
  const table = await bytesOf(writeArrowFile(eachOf(batches)));
  const answer = await run(polars, text, name, table);
  const file = await readArrowFile((start, end) => eachOf([answer.subarray(start, end)]), answer.byteLength);
  const given: RecordBatch[] = [];
  for await (const batch of file.batches()) given.push(batch);
  return given;
}

async function run(polars: Polars, text: string, name: string, table: Uint8Array): Promise<Uint8Array> {
  const frame = polars.readIPC(Buffer.from(table.buffer, table.byteOffset, table.byteLength)).lazy();
  try {
    const answer = await understand(polars, text, { [name]: frame }).collect();
    return new Uint8Array(answer.writeIPC());
  } catch (thrown) {
    throw new PolarisError('BAD_QUERY', refusalText(String((thrown as Error).message), frame.columns), {
      cause: thrown,
    });
  }
}

async function* eachOf<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}
