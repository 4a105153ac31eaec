/**
 * Content that is larger than a node may become, and what a node needed at most while it passed through.
 *
 * A stream is written once, from a seed, and what comes back is held against it byte by byte (by their hash): batches of
 * this size go through Polaris as they are.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream, readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Field, FixedSizeBinary, Int64, Schema } from 'apache-arrow';
import { createPrng } from '../../src/base/prng.ts';
import { writeArrowStream } from '../../src/data/arrow-stream.ts';
import { batchOf, makeColumn } from '../../src/data/build.ts';
import type { BatchSource } from '../../src/data/sources.ts';

const MIB = 1024 * 1024;
/** Noise, which nothing can shorten, and the number of its row: a batch of them stays below BATCH_BYTES_TARGET. */
const NOISE_BYTES = 1_000;
const ROWS = 1_024;

async function* batches(mib: number): BatchSource {
  const noiseType = new FixedSizeBinary(NOISE_BYTES);
  const schema = new Schema([new Field('row', new Int64(), false), new Field('noise', noiseType, false)]);
  const prng = createPrng(mib);
  const noise = Uint32Array.from({ length: (ROWS * NOISE_BYTES) / 4 }, () => prng.integer(0, 2 ** 32));
  const count = Math.ceil((mib * MIB) / (ROWS * NOISE_BYTES));
  for (let number = 0; number < count; number++) {
    const rows = BigInt64Array.from({ length: ROWS }, (_, at) => BigInt(number * ROWS + at));
    // No two batches are alike, at the price of one number.
    noise[0] = number;
    yield batchOf(schema, [
      makeColumn({ type: new Int64(), length: ROWS, nullCount: 0, data: rows }),
      makeColumn({ type: noiseType, length: ROWS, nullCount: 0, data: new Uint8Array(noise.buffer) }),
    ]);
  }
}

/** Writes an Arrow stream of so many MiB. */
export async function writeLarge(path: string, mib: number): Promise<void> {
  await pipeline(Readable.from(writeArrowStream(batches(mib)), { objectMode: false }), createWriteStream(path));
}

export async function hashOfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: MIB })) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Most resident memory that a process ever had, in MiB, as the kernel counted it. */
export function peakMib(pid: number): number {
  const [, kib] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
  return Number(kib) / 1_024;
}
