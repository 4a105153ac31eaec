/**
 * A real executor with real job hosts, over blobs in memory: what Masters are laid before, and what they write down.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type RecordBatch, type Table, tableFromArrays } from 'apache-arrow';
import { afterEach } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { PolarisError } from '../../src/base/errors.ts';
import type { Handle } from '../../src/base/handle.ts';
import { SILENT } from '../../src/base/log.ts';
import type { FoldEnding, FoldOrder, TaskBlobs } from '../../src/daemon/env.ts';
import { readArrowFile, writeArrowFile } from '../../src/data/arrow-file.ts';
import { schemaHash } from '../../src/data/schema.ts';
import { bytesOf, type RangeRead, sourceOf } from '../../src/data/sources.ts';
import { createExecutor } from '../../src/jobtype/executor.ts';
import type { LoadedTypes } from '../../src/jobtype/loader.ts';
import type { Output } from '../../src/ranges/types.ts';
import { makeDataDir, testTypes } from './harness.ts';
import { HOST_ENTRY } from './paths.ts';

function rangesOf(bytes: Uint8Array): RangeRead {
  return (start, end) => sourceOf(bytes.subarray(start, end));
}

/** Blobs of Arrow batches, in memory. */
export class MemoryBlobs implements TaskBlobs {
  readonly #bytes = new Map<string, Uint8Array>();
  #stamp = 0;
  /** What the next calls fail with, the first one first. */
  readonly failures: PolarisError[] = [];
  /** Blobs that were laid before a Master, by hash. */
  readonly opened: string[] = [];

  async keep(path: string): Promise<{ readonly handle: Handle; readonly stamp: number }> {
    this.#fail();
    const bytes = new Uint8Array(readFileSync(path));
    const file = await readArrowFile(rangesOf(bytes), bytes.byteLength);
    this.#stamp += 1;
    return { handle: this.put(bytes, file.rows, schemaHash(file.schema)), stamp: this.#stamp };
  }

  rows(): AsyncIterable<Uint8Array> {
    throw new Error('a Master is given whole outputs');
  }

  async open({ hash }: Handle): Promise<{ readonly bytes: number; read(): AsyncIterable<Uint8Array> }> {
    this.#fail();
    this.opened.push(hash);
    const bytes = must(this.#bytes.get(hash), 'a blob is opened that was kept');
    return { bytes: bytes.byteLength, read: () => sourceOf(bytes) };
  }

  put(bytes: Uint8Array, rows: number, schema: string): Handle {
    const hash = createHash('sha256').update(bytes).digest('hex');
    this.#bytes.set(hash, bytes);
    return { hash, bytes: bytes.byteLength, rows, schema };
  }

  async batches({ hash }: Handle): Promise<RecordBatch[]> {
    const bytes = must(this.#bytes.get(hash), 'a blob is read that was kept');
    const found: RecordBatch[] = [];
    for await (const batch of (await readArrowFile(rangesOf(bytes), bytes.byteLength)).batches()) found.push(batch);
    return found;
  }

  #fail(): void {
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
  }
}

const opened: FoldBench[] = [];

afterEach(async () => {
  for (const bench of opened.splice(0)) await bench.close();
});

export async function openFoldBench(types?: LoadedTypes): Promise<FoldBench> {
  const bench = new FoldBench(types ?? (await testTypes()));
  opened.push(bench);
  return bench;
}

export class FoldBench {
  readonly dataDir = makeDataDir();
  readonly blobs = new MemoryBlobs();
  readonly lines: string[] = [];
  readonly executor;
  hosts = 0;

  constructor(types: LoadedTypes) {
    const info = (fields: object, event: string) => {
      const { line } = fields as { line?: string };
      if (line !== undefined) this.lines.push(line);
      if (event === 'job host started') this.hosts += 1;
    };
    const { dataDir } = this;
    const log = { ...SILENT, info };
    this.executor = createExecutor({ types, slots: 2, dataDir, log, hostEntry: HOST_ENTRY, nodeId: 'n1' });
    this.executor.useBlobs(this.blobs);
  }

  /** An output of the points from here on, whose batches hold these numbers. */
  output(start: number, ...batches: readonly number[][]): Promise<Output> {
    return this.outputOf(start, ...batches.map((n) => tableFromArrays({ n: Int32Array.from(n) })));
  }

  async outputOf(start: number, ...tables: readonly Table[]): Promise<Output> {
    const writing = writeArrowFile(sourceOf(...tables.flatMap((table) => table.batches)));
    const bytes = await bytesOf(writing);
    const { schema, rows } = writing.result();
    return { start, end: start + 10, handle: this.blobs.put(bytes, rows, schemaHash(schema)) };
  }

  fold(changes: Partial<Omit<FoldOrder, 'metadata'>> & { readonly metadata?: object } = {}): Promise<FoldEnding> {
    const { metadata = {}, ...rest } = changes;
    const order: FoldOrder = {
      ...{ job: 'folding-job', name: 'folding', metadata: JSON.stringify(metadata), memoryMb: null, epoch: 7 },
      ...{ state: null, outputs: [] },
      ...rest,
    };
    return new Promise((resolve) => this.executor.fold(order, resolve));
  }

  /** `start:sum` of each output that went into a state or a result. */
  async ledger(handle: Handle): Promise<string[]> {
    const rows: string[] = [];
    for (const batch of await this.blobs.batches(handle)) {
      for (let row = 0; row < batch.numRows; row++) {
        rows.push(`${batch.getChild('start')?.get(row)}:${batch.getChild('sum')?.get(row)}`);
      }
    }
    return rows;
  }

  /** Files of orders that were not removed. */
  files(): readonly string[] {
    const directory = join(this.dataDir, 'folds');
    return existsSync(directory) ? readdirSync(directory) : [];
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.executor.stop(resolve));
    rmSync(this.dataDir, { recursive: true, force: true });
  }
}

export function folded(ending: FoldEnding): Handle {
  if (ending.kind !== 'folded' || ending.state === null) throw new Error(`it was to fold: ${JSON.stringify(ending)}`);
  return ending.state;
}

export function unkept(): PolarisError {
  return new PolarisError('TOO_FEW_COPIES', 'two of three are away');
}
