/**
 * Table frames: many tables as one body. Each is a line of JSON, its head, and behind the line the bytes that the head counts:
 *
 *     {"name": "monday", "bytes": 1234}⏎ … 1,234 bytes … {"name": "tuesday", "bytes": 99}⏎ … 99 bytes …
 *
 * Nothing stands between them, so a shell can make it with printf and cat. Because the length comes first, a table that is
 * refused is passed over without being understood, and the one behind it is found all the same.
 *
 * Invariants: one chunk and one head are held, however long the body · a head or a body that is cut off is an error, never
 * the end.
 */
import { z } from 'zod';
import { PolarisError } from '../base/errors.ts';
import { BLOB_BYTES_MAX, TABLE_HEAD_BYTES_MAX, TABLES_PER_REQUEST_MAX } from '../base/limits.ts';
import type { ByteSource } from '../data/sources.ts';
import { parseJsonBody } from './json-body.ts';
import { parse } from './schema.ts';

const LINE_FEED = 10;

const frameSchema = z.looseObject({
  bytes: z.number('must be the number of bytes behind the line').int().min(0).max(BLOB_BYTES_MAX),
});

/** What is said of a table; of it all but `bytes` is still to be judged. */
export type TableHead = z.infer<typeof frameSchema>;

export class TableFrames {
  readonly #chunks: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array(0);
  /** Of the table whose head was given last. */
  #bytesLeft = 0;
  #count = 0;
  /** Of all tables so far, as their heads count them. */
  #bytes = 0;

  constructor(source: ByteSource) {
    this.#chunks = source[Symbol.asyncIterator]();
  }

  /**
   * The head of the next table, past what nobody took of the one before; null where the body ends.
   *
   * @throws PolarisError BAD_DATA, BAD_JSON, BAD_REQUEST, BODY_TOO_LARGE: where the next table begins, nobody can tell then
   */
  async next(): Promise<TableHead | null> {
    for await (const _ of this.table()) {
      // Passed over.
    }
    const line = await this.#line();
    if (line === null) return null;
    this.#count += 1;
    if (this.#count > TABLES_PER_REQUEST_MAX) {
      throw new PolarisError(
        'BODY_TOO_LARGE',
        `a body may have ${TABLES_PER_REQUEST_MAX} tables; send the rest in another`,
      );
    }
    const head = parse(frameSchema, parseJsonBody(line), `the head of table ${this.#count}`);
    this.#bytes += head.bytes;
    if (this.#bytes > BLOB_BYTES_MAX) {
      throw new PolarisError('BODY_TOO_LARGE', `the tables of a body may have ${BLOB_BYTES_MAX} bytes together`);
    }
    this.#bytesLeft = head.bytes;
    return head;
  }

  /** The bytes of the table whose head was given last. @throws PolarisError BAD_DATA when it is cut off */
  async *table(): ByteSource {
    while (this.#bytesLeft > 0) {
      if (!(await this.#fill())) {
        const missing = `the body ends ${this.#bytesLeft} bytes before the end of table ${this.#count}`;
        throw new PolarisError('BAD_DATA', missing);
      }
      const piece = this.#cut(Math.min(this.#rest.length, this.#bytesLeft));
      this.#bytesLeft -= piece.length;
      yield piece;
    }
  }

  /** Null where there is nothing more. */
  async #line(): Promise<Uint8Array | null> {
    const pieces: Uint8Array[] = [];
    let length = 0;
    while (await this.#fill()) {
      const end = this.#rest.indexOf(LINE_FEED);
      const piece = this.#cut(end < 0 ? this.#rest.length : end + 1);
      length += piece.length;
      if (length > TABLE_HEAD_BYTES_MAX) {
        const detail = `the head of table ${this.#count + 1} is no line of at most ${TABLE_HEAD_BYTES_MAX} bytes`;
        throw new PolarisError('BAD_DATA', detail);
      }
      pieces.push(piece);
      if (end >= 0) return Buffer.concat(pieces);
    }
    if (length === 0) return null;
    throw new PolarisError('BAD_DATA', `the body ends within the head of table ${this.#count + 1}`);
  }

  /** False where there is nothing more. */
  async #fill(): Promise<boolean> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#chunks.next();
      if (done === true) return false;
      this.#rest = value;
    }
    return true;
  }

  #cut(bytes: number): Uint8Array {
    const piece = this.#rest.subarray(0, bytes);
    this.#rest = this.#rest.subarray(bytes);
    return piece;
  }
}
