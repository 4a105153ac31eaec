/**
 * Text in: one row a line, in the column `line`.
 *
 * The lines are copied once, side by side into the memory of their batch; they never become strings.
 */
import { Field, Schema, Utf8 } from 'apache-arrow';
import { BATCH_BYTES_TARGET, BATCH_ROWS } from '../base/limits.ts';
import { batchOf, emptyBatch, makeColumn } from './build.ts';
import { readLines } from './lines.ts';
import type { BatchSource, ByteSource } from './sources.ts';

export const LINE_COLUMN = 'line';
const SCHEMA = new Schema([new Field(LINE_COLUMN, new Utf8(), false)]);

export async function* readText(source: ByteSource): BatchSource {
  const gathering = new Gathering();
  let given = false;
  for await (const { lines } of readLines(source)) {
    for (const line of lines) {
      if (gathering.isFull(line.byteLength)) {
        given = true;
        yield gathering.take();
      }
      gathering.add(line);
    }
  }
  if (gathering.rows > 0) yield gathering.take();
  else if (!given) yield emptyBatch(SCHEMA);
}

class Gathering {
  rows = 0;
  #offsets = new Int32Array(BATCH_ROWS + 1);
  #bytes: Uint8Array = new Uint8Array(64 * 1024);

  isFull(bytes: number): boolean {
    return this.rows === BATCH_ROWS || (this.rows > 0 && this.#offsets[this.rows]! + bytes > BATCH_BYTES_TARGET);
  }

  add(line: Uint8Array): void {
    const start = this.#offsets[this.rows]!;
    const end = start + line.byteLength;
    if (end > this.#bytes.byteLength) this.#grow(end);
    this.#bytes.set(line, start);
    this.rows++;
    this.#offsets[this.rows] = end;
  }

  #grow(bytes: number): void {
    const grown = new Uint8Array(Math.max(bytes, 2 * this.#bytes.byteLength));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }

  /** The batch owns the memory; the next one is likely to want as much. */
  take() {
    const { rows } = this;
    const valueOffsets = this.#offsets.subarray(0, rows + 1);
    const data = this.#bytes.subarray(0, valueOffsets[rows]);
    const column = makeColumn({ type: SCHEMA.fields[0]!.type, length: rows, nullCount: 0, valueOffsets, data });
    this.rows = 0;
    this.#offsets = new Int32Array(BATCH_ROWS + 1);
    this.#bytes = new Uint8Array(Math.max(64 * 1024, data.byteLength));
    return batchOf(SCHEMA, [column]);
  }
}
