/**
 * Task blobs: what job hosts leave and find, in the blobs of the cluster.
 *
 * A file from a job host is read as if a stranger had sent it, batch by batch, and what is stored is written anew from what
 * was read: so a blob that has a handle is an Arrow file that every node can read. Arrow is loaded with the first batch.
 */
import { constants, type FileHandle, open } from 'node:fs/promises';
import { PolarisError } from '../base/errors.ts';
import type { Handle } from '../base/handle.ts';
import { BLOB_BYTES_MAX } from '../base/limits.ts';
import type { TaskBlobs } from '../daemon/env.ts';
import type { Depot } from './depot/depot.ts';
import { openPatiently } from './patience.ts';
import type { BatchSource } from './sources.ts';
import { rangesOf } from './spool.ts';

export function createTaskBlobs(depot: Pick<Depot, 'keep' | 'open'>): TaskBlobs {
  return {
    keep: (path, signal) => keep(depot, path, signal),
    rows: (handle, start, end, signal) => rows(depot, handle, { start, end }, signal),
    async open({ hash }) {
      const { bytes, read } = await depot.open(hash);
      return { bytes, read: () => read() };
    },
  };
}

async function keep(depot: Pick<Depot, 'keep'>, path: string, signal: AbortSignal): ReturnType<TaskBlobs['keep']> {
  const [{ readArrowFile, writeArrowFile }, { schemaHash }] = await Promise.all([
    import('./arrow-file.ts'),
    import('./schema.ts'),
  ]);
  // A link that job code put there is not followed.
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const arrow = await readArrowFile(rangesOf(file), await sizeOf(file));
    const writing = writeArrowFile(until(signal, arrow.batches()));
    const { hash, bytes, stamp } = await depot.keep(writing, BLOB_BYTES_MAX);
    const { schema, rows: count } = writing.result();
    return { handle: { hash, bytes, rows: count, schema: schemaHash(schema) }, stamp };
  } finally {
    await file.close();
  }
}

/** @throws PolarisError BAD_DATA for rows that the blob does not have */
async function* rows(
  depot: Pick<Depot, 'open'>,
  handle: Handle,
  { start, end }: { readonly start: number; readonly end: number },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const [{ readArrowFile }, { writeArrowStream }] = await Promise.all([
    import('./arrow-file.ts'),
    import('./arrow-stream.ts'),
  ]);
  const blob = await openPatiently(depot, handle.hash, signal);
  const file = await readArrowFile((from, to) => blob.read({ start: from, end: to }), blob.bytes);
  if (start < 0 || end < start || end > file.rows) {
    throw new PolarisError('BAD_DATA', `rows ${start} to ${end} are asked for, of batches with ${file.rows} rows`);
  }
  yield* writeArrowStream(file.batches(start, end));
}

async function* until(signal: AbortSignal, batches: BatchSource): BatchSource {
  for await (const batch of batches) {
    signal.throwIfAborted();
    yield batch;
  }
}

async function sizeOf(file: FileHandle): Promise<number> {
  const stat = await file.stat();
  if (!stat.isFile()) throw new PolarisError('BAD_ARROW', 'What a task emitted is no file.');
  return stat.size;
}
