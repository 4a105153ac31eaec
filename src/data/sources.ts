/**
 * Sources: bytes and batches on their way, one piece at a time, pulled by whoever reads.
 *
 * Everything in this folder is an async iterable from one of these to the other. Back-pressure is then no mechanism of
 * its own: what is not asked for is not made. An iteration that is given up ends its source through `return`.
 *
 * Convention: a source of batches gives at least one batch, an empty one where there are no rows, so that its schema
 * is always known.
 */
import type { RecordBatch } from 'apache-arrow';
import { assert } from '../base/assert.ts';

export type ByteSource = AsyncIterable<Uint8Array>;
export type BatchSource = AsyncIterable<RecordBatch>;

/** The bytes [start, end) of something that is kept elsewhere. */
export type RangeRead = (start: number, end: number) => ByteSource;

/** What is aligned to this is aligned to every number that Arrow knows. */
const ALIGNMENT = 8;

/** Takes bytes from pieces of any size: exactly so many, or as they lie, or through the next end of a line. */
export class ByteReader {
  readonly #pieces: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);
  #taken = 0;

  constructor(source: ByteSource) {
    this.#pieces = source[Symbol.asyncIterator]();
  }

  /** Bytes taken so far. */
  get taken(): number {
    return this.#taken;
  }

  /**
   * The next bytes, fewer only where the source ends. They are a view of what came where that is whole and aligned, and
   * otherwise copied once, into memory of their own: sockets cut where they like, and columns need to lie in one piece.
   */
  async take(bytes: number): Promise<Uint8Array> {
    assert(Number.isSafeInteger(bytes) && bytes >= 0, 'a number of bytes is taken');
    if (this.#rest.byteLength === 0 && bytes > 0) await this.#next();
    if (this.#rest.byteLength >= bytes && this.#rest.byteOffset % ALIGNMENT === 0) return this.#cut(bytes);
    // Memory that is not written to is not used: a claim that is not kept costs nothing.
    const whole = Buffer.allocUnsafeSlow(bytes);
    let filled = 0;
    while (filled < bytes) {
      if (this.#rest.byteLength === 0 && !(await this.#next())) break;
      const piece = this.#cut(Math.min(bytes - filled, this.#rest.byteLength));
      whole.set(piece, filled);
      filled += piece.byteLength;
    }
    return new Uint8Array(whole.buffer, 0, filled);
  }

  /** The next bytes as they lie, `most` of them or fewer; null where the source ends. */
  async piece(most: number): Promise<Uint8Array | null> {
    if (this.#rest.byteLength === 0 && !(await this.#next())) return null;
    return this.#cut(Math.min(most, this.#rest.byteLength));
  }

  /** The next bytes through the first that is `end`, but `most` of them, and fewer where the source ends before it. */
  async through(end: number, most: number): Promise<Uint8Array> {
    const pieces: Uint8Array[] = [];
    for (let left = most; left > 0 && (this.#rest.byteLength > 0 || (await this.#next())); ) {
      const at = this.#rest.indexOf(end);
      const piece = this.#cut(Math.min(left, at < 0 ? this.#rest.byteLength : at + 1));
      pieces.push(piece);
      left -= piece.byteLength;
      if (piece.at(-1) === end) break;
    }
    return Buffer.concat(pieces);
  }

  async #next(): Promise<boolean> {
    while (this.#rest.byteLength === 0) {
      const { done, value } = await this.#pieces.next();
      if (done === true) return false;
      this.#rest = value;
    }
    return true;
  }

  #cut(bytes: number): Uint8Array {
    const piece = this.#rest.subarray(0, bytes);
    this.#rest = this.#rest.subarray(bytes);
    this.#taken += bytes;
    return piece;
  }

  /** Ends the source, whether or not it was read to its end. */
  async close(): Promise<void> {
    await this.#pieces.return?.();
  }
}

/** All bytes of a source that is known to be small. */
export async function bytesOf(source: ByteSource): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece);
  return pieces.length === 1 ? pieces[0]! : new Uint8Array(Buffer.concat(pieces));
}

/** A few things as a source. */
export async function* sourceOf<T>(...items: T[]): AsyncGenerator<T> {
  yield* items;
}
