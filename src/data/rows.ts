/**
 * Rows: what formats of text give before it is a batch.
 *
 * Types have to be known before the first batch is made, and are inferred from the first rows; so the first chunk of
 * rows is small and the others are as large as a batch should be.
 */
import { BATCH_BYTES_TARGET, BATCH_ROWS, INFER_ROWS_MAX } from '../base/limits.ts';

export interface Row<T> {
  /** Line on which it begins. */
  readonly line: number;
  readonly row: T;
  /** What it takes in memory, about. */
  readonly bytes: number;
}

/** The same rows, as many at a time as make a batch; no chunk is empty. */
export async function* chunksOf<T>(source: AsyncIterable<Row<T>[]>): AsyncGenerator<Row<T>[]> {
  let chunk: Row<T>[] = [];
  let bytes = 0;
  let rowsMax = INFER_ROWS_MAX;
  for await (const rows of source) {
    for (const row of rows) {
      if (chunk.length === rowsMax || (chunk.length > 0 && bytes + row.bytes > BATCH_BYTES_TARGET)) {
        yield chunk;
        [chunk, bytes, rowsMax] = [[], 0, BATCH_ROWS];
      }
      chunk.push(row);
      bytes += row.bytes;
    }
  }
  if (chunk.length > 0) yield chunk;
}
