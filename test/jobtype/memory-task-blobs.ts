/**
 * Blobs of a node in memory, for job hosts: what was kept can be read, and keeping can be held up, and be made to fail.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { RecordBatch } from 'apache-arrow';
import { PolarisError } from '../../src/base/errors.ts';
import type { Handle } from '../../src/base/handle.ts';
import type { TaskBlobs } from '../../src/daemon/env.ts';
import { readArrowFile, writeArrowFile } from '../../src/data/arrow-file.ts';
import { writeArrowStream } from '../../src/data/arrow-stream.ts';
import { schemaHash } from '../../src/data/schema.ts';
import { bytesOf, sourceOf } from '../../src/data/sources.ts';

export class MemoryTaskBlobs implements TaskBlobs {
  readonly #blobs = new Map<string, Uint8Array>();
  /** What the next calls of keep fail with. */
  readonly failures: Error[] = [];
  /** How often keep was called. */
  keeps = 0;
  /** Keeps that have begun wait for it. */
  gate: Promise<void> = Promise.resolve();
  #keepWaiters: (() => void)[] = [];

  async keep(path: string, signal: AbortSignal): ReturnType<TaskBlobs['keep']> {
    this.keeps += 1;
    for (const wake of this.#keepWaiters.splice(0)) wake();
    await this.gate;
    signal.throwIfAborted();
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    return { handle: await this.put(readFileSync(path)), stamp: 7 };
  }

  /** Resolves once keep was called so often. */
  async kept(times: number): Promise<void> {
    while (this.keeps < times) await new Promise<void>((resolve) => this.#keepWaiters.push(resolve));
  }

  async *rows(handle: Handle, start: number, end: number): AsyncGenerator<Uint8Array> {
    const file = await readArrowFile(this.#range(handle), handle.bytes);
    yield* writeArrowStream(file.batches(start, end));
  }

  async open(handle: Handle): ReturnType<TaskBlobs['open']> {
    return { bytes: handle.bytes, read: () => sourceOf(this.#bytes(handle)) };
  }

  async put(bytes: Uint8Array): Promise<Handle> {
    const file = await readArrowFile((start, end) => sourceOf(bytes.subarray(start, end)), bytes.byteLength);
    for await (const batch of file.batches()) void batch;
    const hash = createHash('sha256').update(bytes).digest('hex');
    this.#blobs.set(hash, bytes);
    return { hash, bytes: bytes.byteLength, rows: file.rows, schema: schemaHash(file.schema) };
  }

  async store(...batches: RecordBatch[]): Promise<Handle> {
    return this.put(await bytesOf(writeArrowFile(sourceOf(...batches))));
  }

  async read(handle: Handle): Promise<RecordBatch[]> {
    const file = await readArrowFile(this.#range(handle), handle.bytes);
    const batches: RecordBatch[] = [];
    for await (const batch of file.batches()) batches.push(batch);
    return batches;
  }

  #range(handle: Handle) {
    const bytes = this.#bytes(handle);
    return (start: number, end: number) => sourceOf(bytes.subarray(start, end));
  }

  #bytes({ hash }: Handle): Uint8Array {
    const bytes = this.#blobs.get(hash);
    if (bytes === undefined) throw new PolarisError('BLOB_MISSING', hash);
    return bytes;
  }
}
