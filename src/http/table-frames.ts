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
import { ByteReader, type ByteSource } from '../data/sources.ts';
import { parseJsonBody } from './json-body.ts';
import { parse } from './schema.ts';

const LINE_FEED = 10;

const frameSchema = z.looseObject({
  bytes: z.number('must be the number of bytes behind the line').int().min(0).max(BLOB_BYTES_MAX),
});

/** What is said of a table; of it all but `bytes` is still to be judged. */
export type TableHead = z.infer<typeof frameSchema>;

export class TableFrames {
  readonly #reader: ByteReader;
  /** Of the table whose head was given last. */
  #bytesLeft = 0;
  #count = 0;
  /** Of all tables so far, as their heads count them. */
  #bytes = 0;

  constructor(source: ByteSource) {
    this.#reader = new ByteReader(source);
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
      const piece = await this.#reader.piece(this.#bytesLeft);
      if (piece === null) {
        const missing = `the body ends ${this.#bytesLeft} bytes before the end of table ${this.#count}`;
        throw new PolarisError('BAD_DATA', missing);
      }
      this.#bytesLeft -= piece.length;
      yield piece;
    }
  }

  /** Null where there is nothing more. */
  async #line(): Promise<Uint8Array | null> {
    const line = await this.#reader.through(LINE_FEED, TABLE_HEAD_BYTES_MAX);
    if (line.length === 0) return null;
    if (line.at(-1) === LINE_FEED) return line;
    const place = `the head of table ${this.#count + 1}`;
    if (line.length < TABLE_HEAD_BYTES_MAX) throw new PolarisError('BAD_DATA', `the body ends within ${place}`);
    throw new PolarisError('BAD_DATA', `${place} is no line of at most ${TABLE_HEAD_BYTES_MAX} bytes`);
  }
}
