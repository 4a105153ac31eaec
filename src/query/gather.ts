/**
 * Gather: batches as many at a time as may be asked at once.
 */
import type { RecordBatch } from 'apache-arrow';
import { QUERY_TASK_BYTES_MAX } from '../base/limits-query.ts';
import type { BatchSource } from '../data/sources.ts';

/** No list is empty, and none has more bytes than that unless it is one batch. */
export async function* gatherBatches(
  source: BatchSource,
  bytesMax = QUERY_TASK_BYTES_MAX,
): AsyncGenerator<readonly RecordBatch[]> {
  let batches: RecordBatch[] = [];
  let bytes = 0;
  for await (const batch of source) {
    const { byteLength } = batch.data;
    if (batches.length > 0 && bytes + byteLength > bytesMax) {
      yield batches;
      [batches, bytes] = [[], 0];
    }
    batches.push(batch);
    bytes += byteLength;
  }
  if (batches.length > 0) yield batches;
}
