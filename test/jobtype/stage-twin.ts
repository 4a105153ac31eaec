/**
 * A host for pipelines in memory: input, output and checkpoints of one range, attempt after attempt, and crashes on order.
 *
 * A crash is a throw that nobody catches before the attempt is over; what the store holds by then is what a disk would.
 */
import { RecordBatch, RecordBatchReader, RecordBatchStreamWriter } from 'apache-arrow';
import type { Range } from '../../src/base/types.ts';
import type { BatchTask, Checkpoint, CheckpointStore } from '../../src/jobtype/pipeline.ts';

export class Crash extends Error {}

/** Where the next attempt dies. `batch` counts from 0. */
export type CrashPoint =
  | { readonly at: 'stage'; readonly stage: number; readonly batch: number }
  | { readonly at: 'before-save' | 'after-save'; readonly stage: number }
  | { readonly at: 'in-save'; readonly stage: number; readonly batch: number }
  | { readonly at: 'emit'; readonly batch: number }
  | { readonly at: 'acknowledge' };

interface Kept {
  readonly stage: number;
  readonly fingerprint: string;
  readonly batches: readonly Uint8Array[];
}

export class RangeTwin {
  readonly #input: readonly RecordBatch[];
  /** Durable. */
  #kept: Kept | null = null;
  /** Visible once the points are committed. */
  committed: readonly RecordBatch[] | null = null;
  codeHash = 'code-1';
  readonly log: string[] = [];
  readonly saves: number[] = [];
  readonly abort = new AbortController();
  /** Most batches that were on their way between input and a durable place at a time. */
  inFlightMax = 0;
  #inFlight = 0;

  constructor(input: readonly RecordBatch[]) {
    this.#input = input;
  }

  get checkpointStage(): number | null {
    return this.#kept?.stage ?? null;
  }

  forgetCheckpoint(): void {
    this.#kept = null;
  }

  /** A task of the range `[0, 10)`, handed out in one. */
  task(crash: CrashPoint | null): BatchTask {
    const emitted: RecordBatch[] = [];
    const store = this.#store(crash);
    return {
      job: '00000000-0000-4000-8000-000000000000',
      start: 0,
      end: 10,
      epoch: 7,
      attempts: 0,
      delivery: 'at-least-once',
      worker: 'w1',
      metadata: {},
      codeHash: this.codeHash,
      signal: this.abort.signal,
      checkpoint: store,
      headers: () => ({}),
      log: (line) => this.log.push(line),
      points: () => unused(),
      chunks: (size) => this.#chunks(size, crash, emitted),
      acknowledge: () => {},
      commit: async () => {},
      input: () => this.#entering(this.#input),
      rows: () => unused(),
      batches: () => unused(),
      emit: async (batch) => {
        if (!(batch instanceof RecordBatch)) throw new Error('a pipeline emits batches');
        if (crash?.at === 'emit' && crash.batch === emitted.length) throw new Crash();
        emitted.push(batch);
        this.#inFlight--;
      },
    };
  }

  #store(crash: CrashPoint | null): CheckpointStore {
    return {
      load: async (): Promise<Checkpoint | null> => {
        const kept = this.#kept;
        if (kept === null) return null;
        const { stage, fingerprint } = kept;
        return { stage, fingerprint, batches: this.#entering(kept.batches.map(read)) };
      },
      save: async (stage, fingerprint, batches) => {
        if (crash?.at === 'before-save' && crash.stage === stage) throw new Crash();
        const written: Uint8Array[] = [];
        for await (const batch of batches) {
          if (crash?.at === 'in-save' && crash.stage === stage && crash.batch === written.length) throw new Crash();
          written.push(RecordBatchStreamWriter.writeAll([batch]).toUint8Array(true));
          this.#inFlight--;
        }
        this.#kept = { stage, fingerprint, batches: written };
        this.saves.push(stage);
        if (crash?.at === 'after-save' && crash.stage === stage) throw new Crash();
      },
    };
  }

  async *#entering(batches: readonly RecordBatch[]): AsyncGenerator<RecordBatch> {
    for (const batch of batches) {
      this.#inFlight++;
      this.inFlightMax = Math.max(this.inFlightMax, this.#inFlight);
      yield batch;
    }
  }

  async *#chunks(size: number, crash: CrashPoint | null, emitted: readonly RecordBatch[]): AsyncGenerator<Range> {
    yield { start: 0, end: Math.min(size, 10) };
    if (crash?.at === 'acknowledge') throw new Crash();
    this.committed = emitted;
  }
}

function read(bytes: Uint8Array): RecordBatch {
  const [batch] = RecordBatchReader.from(bytes);
  if (batch === undefined) throw new Error('a stream of one batch has one');
  return batch;
}

function unused(): never {
  throw new Error('a pipeline takes its points as pieces');
}
