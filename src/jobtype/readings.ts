/**
 * Readings: what a task reads, on the node's side: blobs become pieces on the disk, one for each time it is asked.
 *
 * Invariant: a reading has at most two pieces on the disk, the one that is read and the next.
 */
import { type FileHandle, mkdir, open, rm } from 'node:fs/promises';
import { errorText, PolarisError } from '../base/errors.ts';
import { INPUT_PIECE_BYTES, READINGS_MAX } from '../base/limits.ts';
import type { DataAnswer, ReadingSource } from './data-words.ts';
import { pieceFile } from './spool-files.ts';

interface Reading {
  readonly bytes: AsyncIterator<Uint8Array>;
  piece: number;
  isBusy: boolean;
}

export interface ReadingsOptions {
  readonly spool: string;
  /** An Arrow stream. */
  readonly open: (source: ReadingSource) => AsyncIterable<Uint8Array>;
  readonly answer: (answer: DataAnswer) => void;
}

export class Readings {
  readonly #options: ReadingsOptions;
  readonly #readings = new Map<number, Reading>();
  #isOver = false;

  constructor(options: ReadingsOptions) {
    this.#options = options;
  }

  /** Writes the next piece and tells of it. Never rejects. */
  async read(number: number, source: ReadingSource): Promise<void> {
    try {
      const reading = this.#readings.get(number) ?? this.#begin(number, source);
      // Whoever asks before it was answered gets one answer.
      if (reading.isBusy) return;
      reading.isBusy = true;
      const piece = ++reading.piece;
      const isLast = await this.#write(number, reading);
      reading.isBusy = false;
      if (!this.#isOver) this.#options.answer({ kind: 'piece', reading: number, piece, isLast });
    } catch (thrown) {
      const code = thrown instanceof PolarisError ? thrown.code : 'BLOB_STORE_FAILED';
      const detail = thrown instanceof PolarisError ? thrown.detail : errorText(thrown);
      if (!this.#isOver) this.#options.answer({ kind: 'unreadable', reading: number, code, detail });
    }
  }

  async close(number: number): Promise<void> {
    const reading = this.#readings.get(number);
    if (reading === undefined) return;
    this.#readings.delete(number);
    await reading.bytes.return?.().catch(() => {});
    // One that was written and never fetched.
    await rm(pieceFile(this.#options.spool, number, reading.piece), { force: true });
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all([...this.#readings.keys()].map((number) => this.close(number)));
  }

  #begin(number: number, source: ReadingSource): Reading {
    if (this.#readings.size === READINGS_MAX) {
      throw new PolarisError(
        'BAD_OPTION',
        `a task may read ${READINGS_MAX} times side by side: end some of its iterations`,
      );
    }
    const bytes = this.#options.open(source)[Symbol.asyncIterator]();
    const reading = { bytes, piece: 0, isBusy: false };
    this.#readings.set(number, reading);
    return reading;
  }

  /** Whether it was the last. */
  async #write(number: number, { bytes, piece }: Reading): Promise<boolean> {
    const { spool } = this.#options;
    await mkdir(spool, { recursive: true, mode: 0o700 });
    const file = await open(pieceFile(spool, number, piece), 'wx', 0o600);
    try {
      for (let written = 0; written < INPUT_PIECE_BYTES; ) {
        const { value, done } = await bytes.next();
        if (done === true) return true;
        await writeAll(file, value);
        written += value.byteLength;
      }
      return false;
    } finally {
      await file.close();
    }
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.byteLength; ) at += (await file.write(bytes, at)).bytesWritten;
}
