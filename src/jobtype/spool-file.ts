/**
 * SpoolFile: an Arrow file that grows batch by batch on the disk, and that can be cut back to where it was.
 *
 * Written in plain calls: the thread that writes has nothing else to do, and what was written is where it belongs before the
 * next line of job code runs. Not synced: a file that a crash took is one that nobody was told of.
 */
import { closeSync, ftruncateSync, mkdirSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { RecordBatch, Schema } from 'apache-arrow';
import { ArrowWriting, joinSmall, type WritingMark } from '../data/arrow-writing.ts';
import { cutBatch } from '../data/cut.ts';

/** How far a file was written. */
export interface SpoolMark {
  readonly bytes: number;
  readonly writing: WritingMark;
}

export class SpoolFile {
  readonly #path: string;
  readonly #file: number;
  readonly #writing: ArrowWriting;
  #bytes = 0;

  /** The file must not exist, and its folder need not. */
  constructor(path: string, schema: Schema) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    this.#path = path;
    this.#file = openSync(path, 'wx', 0o600);
    this.#writing = ArrowWriting.file(schema);
    this.#write(this.#writing.start());
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Of the schema of the file, and plain. */
  add(batch: RecordBatch): void {
    for (const part of cutBatch(batch)) this.#write(this.#writing.batch(part));
  }

  mark(): SpoolMark {
    return { bytes: this.#bytes, writing: this.#writing.mark() };
  }

  rewind({ bytes, writing }: SpoolMark): void {
    ftruncateSync(this.#file, bytes);
    this.#writing.rewind(writing);
    this.#bytes = bytes;
  }

  /** Makes it whole. */
  end(): void {
    this.#write(this.#writing.end());
    closeSync(this.#file);
  }

  discard(): void {
    closeSync(this.#file);
    unlinkSync(this.#path);
  }

  #write(chunks: readonly Uint8Array[]): void {
    for (const chunk of joinSmall(chunks)) {
      // By the position: after a rewind the file goes on where it was cut.
      for (let at = 0; at < chunk.byteLength; ) {
        const written = writeSync(this.#file, chunk, at, chunk.byteLength - at, this.#bytes);
        at += written;
        this.#bytes += written;
      }
    }
  }
}
