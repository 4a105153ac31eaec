/**
 * Ledger: what a Master collects and what it makes of it, as files between its thread and its node.
 *
 * The node lays an output down as an Arrow file, and takes states and results away as such; the thread reads and writes one
 * batch at a time. A file between two processes is back-pressure that costs nothing: nobody waits in the other's memory.
 */
import { open } from 'node:fs/promises';
import type { RecordBatch } from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import { BLOB_BYTES_MAX } from '../base/limits.ts';
import { MASTER_STATE_BYTES_MAX } from '../base/limits-masters.ts';
import { type ArrowFile, readArrowFile, writeArrowFile } from '../data/arrow-file.ts';
import type { BatchSource } from '../data/sources.ts';
import { rangesOf, writeAll } from '../data/spool.ts';
import { eachBatch } from './each-batch.ts';
import type { CollectedTask, CollectingJob, Master } from './master.ts';

/** Called after each step that the Master took: one that moves has not hung. */
export type Moved = () => void;

export async function restoreState(master: Master, path: string): Promise<void> {
  await withFile(path, async (file) => {
    const batches: RecordBatch[] = [];
    for await (const batch of file.batches()) batches.push(batch);
    await master.restore?.(batches);
  });
}

/** An output without rows is one that nothing has to be told of. */
export async function collectOutput(master: Master, path: string, task: CollectedTask, moved: Moved): Promise<void> {
  await withFile(path, async (file) => {
    for await (const batch of file.batches()) {
      if (batch.numRows > 0) await master.collect?.(batch, task);
      moved();
    }
  });
}

/** Whether there is a state. @throws PolarisError BLOB_TOO_LARGE, BAD_SCHEMA */
export async function saveState(master: Master, path: string, moved: Moved): Promise<boolean> {
  return write(path, eachBatch(await master.state?.()), MASTER_STATE_BYTES_MAX, moved);
}

/** Whether there is a result. @throws PolarisError BAD_SCHEMA, BLOB_TOO_LARGE */
export async function writeResult(master: Master, path: string, job: CollectingJob, moved: Moved): Promise<boolean> {
  const given = (await master.finish?.(job)) ?? [];
  return write(path, eachBatch(given), BLOB_BYTES_MAX, moved);
}

async function withFile(path: string, use: (file: ArrowFile) => Promise<void>): Promise<void> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    await use(await readArrowFile(rangesOf(handle), size));
  } finally {
    await handle.close();
  }
}

/**
 * Whether there was anything to write. The file must not exist. It is no data of ours yet: the node reads it, and keeps what it
 * finds good.
 */
async function write(
  path: string,
  given: AsyncIterable<RecordBatch>,
  bytesMax: number,
  moved: Moved,
): Promise<boolean> {
  const batches = await begun(given);
  if (batches === null) return false;
  const handle = await open(path, 'wx', 0o600);
  try {
    let bytes = 0;
    for await (const piece of writeArrowFile(batches)) {
      bytes += piece.byteLength;
      if (bytes > bytesMax) throw new PolarisError('BLOB_TOO_LARGE', `it has more than ${bytesMax} bytes`);
      await writeAll(handle, piece);
      moved();
    }
    return true;
  } finally {
    await handle.close();
  }
}

/** The same batches; null where there are none, and so nobody knows the columns. */
async function begun(given: AsyncIterable<RecordBatch>): Promise<BatchSource | null> {
  const batches = given[Symbol.asyncIterator]();
  const first = await batches.next();
  if (first.done === true) return null;
  async function* all(): BatchSource {
    yield (first as IteratorYieldResult<RecordBatch>).value;
    yield* { [Symbol.asyncIterator]: () => batches };
  }
  return all();
}
