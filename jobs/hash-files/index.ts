/**
 * hash-files: path, length and SHA-256 of every file of a manifest, a dataset with a column `path`.
 *
 * A point is a row, and a row is a file that every worker can read. Whoever streams the result sees the first files while the
 * last are still being read.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Client, type TaskContext } from '../../src/jobtype/client.ts';
import { Master, type PlannedJob } from '../../src/jobtype/master.ts';

export interface HashFilesMetadata {
  /** The manifest. */
  readonly dataset: string;
}

export class HashFiles extends Client<HashFilesMetadata> {
  static override readonly metadata = {
    type: 'object',
    required: ['dataset'],
    additionalProperties: false,
    properties: { dataset: { type: 'string' } },
  };

  override async work(task: TaskContext<HashFilesMetadata>): Promise<void> {
    const { hashedBatch } = await import('./hashed.ts');
    for await (const { row } of task.rows()) {
      if (typeof row.path !== 'string') throw new Error('a manifest has a column "path" with a text in every row');
      await task.emit(hashedBatch({ path: row.path, ...(await hashFile(row.path, task.signal)) }));
    }
  }
}

export class Manifest extends Master<HashFilesMetadata> {
  override plan({ metadata }: PlannedJob<HashFilesMetadata>): { readonly input: string } {
    return { input: metadata.dataset };
  }
}

async function hashFile(path: string, signal: AbortSignal): Promise<{ bytes: bigint; sha256: string }> {
  const hash = createHash('sha256');
  let bytes = 0n;
  for await (const chunk of createReadStream(path, { signal })) {
    hash.update(chunk);
    bytes += BigInt(chunk.length);
  }
  return { bytes, sha256: hash.digest('hex') };
}
