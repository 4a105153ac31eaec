/**
 * TaskData: the batches of one task, on the thread's side. Everything below it that knows Arrow is loaded with the first
 * batch: a job type that has none pays nothing for it.
 */
import type { RecordBatch } from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import type { Point, Range } from '../base/types.ts';
import type { Cell } from './cell.ts';
import type { Checkpoints } from './checkpoints.ts';
import type { DataAnswer, DataRequest, ReadingSource } from './data-words.ts';
import type { Emitter } from './emitter.ts';
import { Intake } from './intake.ts';
import type { Checkpoint, CheckpointStore } from './pipeline.ts';
import type { FoundCheckpoint } from './stages.ts';

/** What a running task needs of whoever carries its batches. */
export interface TaskData {
  readonly checkpoint: CheckpointStore;
  /** Rows [start, end) of the input of the job. */
  rows(start: Point, end: Point): AsyncIterable<RecordBatch>;
  /** Resolves when there is room for more. What it rejects with, it has not taken. */
  emit(given: unknown, work: Range): Promise<void>;
  /** What was emitted for points below the cursor is good. */
  acknowledged(cursor: Point): void;
  /** The task waits for a commit: what is good is to be on its way. */
  seal(): void;
  /** No more comes: what is not good goes. */
  close(): void;
  /** It is to stop. */
  wake(): void;
}

export interface ThreadDataOptions {
  readonly hasInput: boolean;
  readonly checkpoint: FoundCheckpoint | null;
  readonly spool: string;
  readonly cell: Cell;
  readonly ask: (request: DataRequest) => void;
  readonly signal: AbortSignal;
}

export class ThreadData implements TaskData, CheckpointStore {
  readonly #options: ThreadDataOptions;
  readonly #intake: Intake;
  #emitter: Emitter | null = null;
  #checkpoints: Checkpoints | null = null;

  constructor(options: ThreadDataOptions) {
    this.#options = options;
    this.#intake = new Intake(options);
  }

  get checkpoint(): CheckpointStore {
    return this;
  }

  rows(start: Point, end: Point): AsyncIterable<RecordBatch> {
    if (!this.#options.hasInput) {
      throw new PolarisError('BAD_OPTION', 'the job has no input: name a dataset for it at submit, or plan one');
    }
    return this.#read({ of: 'input', start, end });
  }

  async emit(given: unknown, work: Range): Promise<void> {
    if (this.#emitter === null) {
      const { Emitter } = await import('./emitter.ts');
      const { spool, cell, ask } = this.#options;
      this.#emitter ??= new Emitter({ spool, cell, sealed: (segment) => ask({ kind: 'sealed', ...segment }) });
    }
    const emitter = this.#emitter;
    emitter.write(given, work);
    while (emitter.isFull && !this.#options.signal.aborted) await emitter.room();
  }

  acknowledged(cursor: Point): void {
    this.#emitter?.acknowledged(cursor);
  }

  seal(): void {
    this.#emitter?.seal();
  }

  close(): void {
    this.#emitter?.close();
  }

  wake(): void {
    this.#emitter?.wake();
  }

  async load(): Promise<Checkpoint | null> {
    return (await this.#store()).load();
  }

  async save(stage: number, fingerprint: string, batches: AsyncIterable<RecordBatch>): Promise<void> {
    await (await this.#store()).save(stage, fingerprint, batches);
  }

  /** From the node. */
  answer(answer: DataAnswer): void {
    if (answer.kind === 'kept') this.#emitter?.kept(answer.segment);
    else if (answer.kind === 'checkpointed') this.#checkpoints?.committed(answer.stage);
    else this.#intake.arrived(answer);
  }

  async #store(): Promise<Checkpoints> {
    const { Checkpoints } = await import('./checkpoints.ts');
    const { spool, checkpoint, ask, signal } = this.#options;
    this.#checkpoints ??= new Checkpoints({
      ...{ spool, signal, found: checkpoint },
      made: (made) => ask({ kind: 'checkpoint', ...made }),
      read: () => this.#read({ of: 'checkpoint' }),
    });
    return this.#checkpoints;
  }

  async *#read(source: ReadingSource): AsyncGenerator<RecordBatch> {
    const { readArrowStream } = await import('../data/arrow-stream.ts');
    for await (const batch of readArrowStream(this.#intake.bytes(source))) if (batch.numRows > 0) yield batch;
  }
}
