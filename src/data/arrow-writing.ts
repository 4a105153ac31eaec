/**
 * Arrow writing: the encoder of apache-arrow, one batch at a time.
 *
 * Its writer fills a queue without a limit. Here it writes into a list that is emptied after each batch, so that at
 * most one encoded batch is in memory. Its chunks are views of the batch's own buffers, beside small headers.
 */
import {
  AsyncByteQueue,
  RecordBatch,
  RecordBatchFileWriter,
  RecordBatchStreamWriter,
  type RecordBatchWriter,
  Schema,
} from 'apache-arrow';
import { assert } from '../base/assert.ts';

/** Key under which a file says how many rows each of its batches has, which the format itself does not. */
export const ROWS_KEY = 'polaris.rows';

class Chunks extends AsyncByteQueue<Uint8Array> {
  #chunks: Uint8Array[] = [];

  override write(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
  }

  take(): Uint8Array[] {
    const taken = this.#chunks;
    this.#chunks = [];
    return taken;
  }
}

/** How far a file was written. */
export interface WritingMark {
  readonly position: number;
  readonly batches: number;
}

/** Writes the footer with one more entry in the metadata of the schema. */
class IndexedFileWriter extends RecordBatchFileWriter {
  rowsOfBatches: number[] = [];

  mark(): WritingMark {
    return { position: this._position, batches: this.rowsOfBatches.length };
  }

  rewind({ position, batches }: WritingMark): void {
    this._position = position;
    this._recordBatchBlocks.length = batches;
    this.rowsOfBatches.length = batches;
  }

  protected override _writeFooter(schema: Schema): this {
    const metadata = new Map(schema.metadata).set(ROWS_KEY, runsText(this.rowsOfBatches));
    return super._writeFooter(new Schema(schema.fields, metadata));
  }
}

export class ArrowWriting {
  readonly #chunks = new Chunks();
  readonly #writer: RecordBatchWriter;
  readonly #schema: Schema;

  constructor(writer: RecordBatchWriter, schema: Schema) {
    this.#writer = writer;
    this.#schema = schema;
    this.#writer.reset(this.#chunks, schema);
  }

  static stream(schema: Schema): ArrowWriting {
    return new ArrowWriting(new RecordBatchStreamWriter(), schema);
  }

  static file(schema: Schema): ArrowWriting {
    return new ArrowWriting(new IndexedFileWriter(), schema);
  }

  /** What is to be sent before the first batch. */
  start(): Uint8Array[] {
    return this.#chunks.take();
  }

  /** Of the same columns as the schema; its own schema may differ in metadata, or in what it calls elements of lists. */
  batch(batch: RecordBatch): Uint8Array[] {
    if (this.#writer instanceof IndexedFileWriter) this.#writer.rowsOfBatches.push(batch.numRows);
    // To apache-arrow such a batch is the end of this stream and the beginning of another.
    this.#writer.write(batch.schema === this.#schema ? batch : new RecordBatch(this.#schema, batch.data));
    return this.#chunks.take();
  }

  /** Of a file: where it would go on now. */
  mark(): WritingMark {
    assert(this.#writer instanceof IndexedFileWriter, 'a stream has gone its way and has no marks');
    return this.#writer.mark();
  }

  /** Forgets the batches behind the mark. The caller has cut the file there. */
  rewind(mark: WritingMark): void {
    assert(this.#writer instanceof IndexedFileWriter, 'a stream has gone its way and has no marks');
    this.#writer.rewind(mark);
  }

  end(): Uint8Array[] {
    this.#writer.finish();
    return this.#chunks.take();
  }
}

/** Most batches of a source have as many rows as the one before: `8192*1000 77` is a thousand and one of them. */
function runsText(counts: readonly number[]): string {
  const runs: { rows: number; times: number }[] = [];
  for (const rows of counts) {
    const last = runs.at(-1);
    if (last?.rows === rows) last.times++;
    else runs.push({ rows, times: 1 });
  }
  return runs.map(({ rows, times }) => (times === 1 ? `${rows}` : `${rows}*${times}`)).join(' ');
}

/** `null` where it is no such text, or does not speak of exactly so many batches. */
export function parseRuns(text: string, batches: number): number[] | null {
  const counts: number[] = [];
  for (const run of text === '' ? [] : text.split(' ')) {
    const match = /^(\d{1,9})(?:\*(\d{1,9}))?$/.exec(run);
    const times = Number(match?.[2] ?? 1);
    if (match === null || counts.length + times > batches) return null;
    for (let at = 0; at < times; at++) counts.push(Number(match[1]));
  }
  return counts.length === batches ? counts : null;
}

/** Chunks of fewer bytes travel together: a packet each would cost more than their copy. */
const JOIN_BYTES_MAX = 16 * 1024;

/** The same bytes, small neighbours joined by a copy, large ones as they are. */
export function* joinSmall(chunks: readonly Uint8Array[]): Generator<Uint8Array> {
  let small: Uint8Array[] = [];
  for (const chunk of chunks) {
    if (chunk.byteLength <= JOIN_BYTES_MAX) {
      small.push(chunk);
      continue;
    }
    if (small.length > 0) yield Buffer.concat(small);
    small = [];
    yield chunk;
  }
  if (small.length > 0) yield Buffer.concat(small);
}
