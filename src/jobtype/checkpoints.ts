/**
 * Checkpoints: what stands behind the stages of a pipeline task, on its way to the log and back.
 *
 * Invariant: a save resolves when its checkpoint is committed, and not before; until then the former one is what counts.
 */
import { Schema } from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import { OUTPUT_BYTES_MAX } from '../base/limits.ts';
import { batchBytes } from '../data/cut.ts';
import { requireSameSchema } from '../data/schema.ts';
import type { BatchSource } from '../data/sources.ts';
import type { MadeCheckpoint } from './data-words.ts';
import { givenBatches } from './given-batches.ts';
import type { Checkpoint, CheckpointStore } from './pipeline.ts';
import { SpoolFile } from './spool-file.ts';
import { checkpointFile } from './spool-files.ts';
import type { FoundCheckpoint } from './stages.ts';

export interface CheckpointsOptions {
  readonly spool: string;
  /** Of the order. */
  readonly found: FoundCheckpoint | null;
  /** A checkpoint lies whole on the disk. */
  readonly made: (checkpoint: MadeCheckpoint) => void;
  /** The rows of the last one that is committed. */
  readonly read: () => BatchSource;
  readonly signal: AbortSignal;
}

export class Checkpoints implements CheckpointStore {
  readonly #options: CheckpointsOptions;
  #found: FoundCheckpoint | null;
  #last = 0;
  #saving: { readonly stage: number; readonly done: () => void } | null = null;

  constructor(options: CheckpointsOptions) {
    this.#options = options;
    this.#found = options.found;
  }

  async load(): Promise<Checkpoint | null> {
    if (this.#found === null) return null;
    const { stage, fingerprint } = this.#found;
    return { stage, fingerprint, batches: this.#options.read() };
  }

  async save(stage: number, fingerprint: string, batches: BatchSource): Promise<void> {
    const { made, signal, spool } = this.#options;
    if (this.#saving !== null) throw new PolarisError('WRONG_STATE', 'one checkpoint of a task is saved at a time');
    const number = ++this.#last;
    await writeWhole(checkpointFile(spool, number), batches);
    signal.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      this.#saving = { stage, done: resolve };
      made({ number, stage, fingerprint });
    });
    this.#saving = null;
    this.#found = { stage, fingerprint };
  }

  /** From the node. */
  committed(stage: number): void {
    if (this.#saving !== null && stage >= this.#saving.stage) this.#saving.done();
  }
}

/** Without a batch nobody knows the columns, and none are needed: what is read back is nothing again. */
async function writeWhole(path: string, batches: BatchSource): Promise<void> {
  let file: SpoolFile | null = null;
  let schema: Schema | null = null;
  let bytes = 0;
  try {
    for await (const given of batches) {
      for (const batch of givenBatches(given)) {
        schema ??= batch.schema;
        requireSameSchema(schema, batch.schema);
        file ??= new SpoolFile(path, schema);
        bytes += batchBytes(batch);
        if (bytes > OUTPUT_BYTES_MAX) {
          throw new PolarisError('BLOB_TOO_LARGE', `a checkpoint may have ${OUTPUT_BYTES_MAX} bytes`);
        }
        if (batch.numRows > 0) file.add(batch);
      }
    }
    file ??= new SpoolFile(path, new Schema([]));
    file.end();
  } catch (thrown) {
    file?.discard();
    throw thrown;
  }
}
