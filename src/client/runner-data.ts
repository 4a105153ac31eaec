/**
 * RunnerData: the batches of one task in the hands of a runner.
 *
 * Rows come over HTTP as they are asked for, and a reading that breaks goes on behind the last row that came. What points
 * emit is held here until they are done, for they may still fail; then it is sent as one output with the report that
 * brings the cursor behind them, so that it is visible with their commit, and never without.
 *
 * Invariants: what is sent belongs to points that were acknowledged, all of them · outputs ascend and do not overlap · all
 * batches of a task have the same columns · a call that throws has taken nothing.
 */
import type { RecordBatch, Schema } from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import { RUNNER_EMIT_BYTES_MAX, RUNNER_SEAL_BYTES } from '../base/result-limits.ts';
import type { Point, Range } from '../base/types.ts';
import type { TaskJson } from '../http/tasks.ts';
import type { CheckpointStore } from '../jobtype/pipeline.ts';
import type { TaskData } from '../jobtype/task-data.ts';

/** What some points made, to be sent as often as it takes. */
export interface MadeOutput extends Range {
  /** An Arrow stream, from its beginning. */
  readonly source: () => AsyncIterable<Uint8Array>;
}

export interface RunnerDataOptions {
  readonly order: Pick<TaskJson, 'job' | 'input'>;
  readonly signal: AbortSignal;
  /** An Arrow stream of the rows from here to before there, on a line that may break. */
  readonly read: (from: Point, to: Point, signal: AbortSignal) => Promise<AsyncIterable<Uint8Array>>;
  /** There is so much that it should be sent. */
  readonly due: () => void;
}

/** What one piece at work emitted. */
interface Emitted {
  readonly work: Range;
  readonly batches: RecordBatch[];
  bytes: number;
}

export class RunnerData implements TaskData {
  readonly #options: RunnerDataOptions;
  #schema: Schema | null = null;
  /** In the order of the points. */
  #emitted: Emitted[] = [];
  /** Everything below is acknowledged. */
  #good: Point = Number.MIN_SAFE_INTEGER;
  #wakeUps: (() => void)[] = [];
  #isOver = false;

  constructor(options: RunnerDataOptions) {
    this.#options = options;
  }

  get checkpoint(): CheckpointStore {
    throw new PolarisError('BAD_OPTION', 'a runner makes no checkpoints: run pipelines on nodes');
  }

  rows(start: Point, end: Point): AsyncIterable<RecordBatch> {
    if (this.#options.order.input !== null) return this.#read(start, end);
    throw new PolarisError(
      'BAD_OPTION',
      `job ${this.#options.order.job} has no input: name a dataset for it at submit`,
    );
  }

  async emit(given: unknown, work: Range): Promise<void> {
    const [{ givenBatches }, { requireSameSchema }, { batchBytes }] = await Promise.all([
      import('../jobtype/given-batches.ts'),
      import('../data/schema.ts'),
      import('../data/cut.ts'),
    ]);
    if (this.#isOver) throw new PolarisError('WRONG_STATE', 'the task has ended: it emits nothing more');
    const batches = givenBatches(given);
    const schema = this.#schema ?? batches[0]?.schema ?? null;
    if (schema === null) return;
    for (const batch of batches) requireSameSchema(schema, batch.schema);
    this.#schema = schema;
    const filled = batches.filter(({ numRows }) => numRows > 0);
    if (filled.length === 0) return;
    const emitted = this.#emittedFor(work);
    const bytes = filled.reduce((sum, batch) => sum + batchBytes(batch), emitted.bytes);
    if (bytes > RUNNER_EMIT_BYTES_MAX) {
      throw new PolarisError('BLOB_TOO_LARGE', `one point, or one piece, may emit ${RUNNER_EMIT_BYTES_MAX} bytes`);
    }
    if (emitted.bytes === 0) this.#emitted.push(emitted);
    emitted.batches.push(...filled);
    emitted.bytes = bytes;
    await this.#room();
  }

  acknowledged(cursor: Point): void {
    this.#good = cursor;
  }

  /** Every report takes along what there is. */
  seal(): void {}

  close(): void {
    this.#isOver = true;
    this.#emitted = this.#emitted.filter(({ work }) => work.end <= this.#good);
  }

  wake(): void {
    const wakeUps = this.#wakeUps;
    this.#wakeUps = [];
    for (const wakeUp of wakeUps) wakeUp();
  }

  /** What the points below the cursor made and was not taken yet; null where they made nothing. */
  take(cursor: Point): MadeOutput | null {
    const taken = this.#emitted.filter(({ work }) => work.end <= cursor);
    const [first, last] = [taken[0], taken.at(-1)];
    if (first === undefined || last === undefined) return null;
    this.#emitted = this.#emitted.filter(({ work }) => work.end > cursor);
    const batches = taken.flatMap((one) => one.batches);
    return { start: first.work.start, end: last.work.end, source: () => streamOf(batches) };
  }

  #emittedFor(work: Range): Emitted {
    const last = this.#emitted.at(-1);
    return last !== undefined && last.work.start === work.start ? last : { work, batches: [], bytes: 0 };
  }

  /** Waits while too much is ready and not sent. What the point at work makes is never ready, so that it cannot wait for itself. */
  async #room(): Promise<void> {
    const { signal, due } = this.#options;
    while (!signal.aborted && this.#readyBytes() > RUNNER_SEAL_BYTES) {
      const roomed = new Promise<void>((resolve) => this.#wakeUps.push(resolve));
      due();
      await roomed;
    }
  }

  #readyBytes(): number {
    return this.#emitted.reduce((sum, { work, bytes }) => (work.end <= this.#good ? sum + bytes : sum), 0);
  }

  async *#read(start: Point, end: Point): AsyncGenerator<RecordBatch> {
    const { read, signal } = this.#options;
    const { readArrowStream } = await import('../data/arrow-stream.ts');
    let next = start;
    while (next < end) {
      const before: Point = next;
      try {
        for await (const batch of readArrowStream(await read(next, end, signal))) {
          if (batch.numRows === 0) continue;
          next += batch.numRows;
          yield batch;
        }
      } catch (thrown) {
        signal.throwIfAborted();
        const isBroken = thrown instanceof PolarisError && thrown.row.retry;
        // A line that breaks before each first row would be tried for ever.
        if (!isBroken || next === before) throw thrown;
      }
    }
  }
}

async function* streamOf(batches: readonly RecordBatch[]): AsyncGenerator<Uint8Array> {
  const { writeArrowStream } = await import('../data/arrow-stream.ts');
  yield* writeArrowStream(
    (async function* () {
      yield* batches;
    })(),
  );
}
