/**
 * Arrow file: batches as one blob, of which any rows can be had without reading the rest.
 *
 * The footer says where each batch lies, but not how many rows it has; to find row 10^9, a reader would have to ask for
 * the header of every batch before it. Files that are written here say that too, in the metadata of their schema, which
 * other readers carry along and ignore. A file without it is opened all the same, header by header.
 *
 * Invariants: `batches(from, to)` gives the rows [from, to) exactly, and reads only batches that have some of them · a
 * batch lies behind the one before it, so no file is larger inside than outside · a batch with another number of rows
 * than the index says is an error, never a wrong slice.
 */
import { type RecordBatch, Schema } from 'apache-arrow';
import { assert } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { ARROW_FOOTER_BYTES_MAX, BATCH_BYTES_MAX, BATCH_ROWS_MAX } from '../base/limits.ts';
import { BatchReader } from './arrow-batch.ts';
import { type ArrowMessage, CONTINUATION, readMessage, requireMetadataBytes } from './arrow-message.ts';
import { readSchema } from './arrow-schema.ts';
import { ArrowWriting, joinSmall, parseRuns, ROWS_KEY } from './arrow-writing.ts';
import { emptyBatch } from './build.ts';
import { cutBatch, sliceRows } from './cut.ts';
import { FlatBuffer } from './flatbuffer.ts';
import { plainBatch } from './plain.ts';
import { requireSameSchema } from './schema.ts';
import { type BatchSource, ByteReader, type ByteSource, type RangeRead } from './sources.ts';

export interface ArrowFile {
  readonly schema: Schema;
  readonly rows: number;
  /** Rows of each batch, in order. */
  readonly rowsOfBatches: readonly number[];
  /** The rows [from, to), all of them when nothing is said. */
  batches(from?: number, to?: number): BatchSource;
}

export interface Written {
  readonly schema: Schema;
  readonly rows: number;
  readonly bytes: number;
}

/** The bytes of a file; what they were is known when the last one was taken. */
export interface ArrowFileWriting extends ByteSource {
  result(): Written;
}

/** Memory of one batch. Large buffers are given as they are, views of the batch that they belong to. */
export function writeArrowFile(batches: BatchSource): ArrowFileWriting {
  let written: Written | null = null;
  async function* write(): ByteSource {
    let writing: ArrowWriting | null = null;
    let schema = new Schema([]);
    let [rows, bytes] = [0, 0];
    const count = function* (chunks: readonly Uint8Array[]): Generator<Uint8Array> {
      for (const chunk of chunks) bytes += chunk.byteLength;
      yield* joinSmall(chunks);
    };
    for await (const given of batches) {
      const batch = plainBatch(given);
      if (writing === null) {
        schema = withoutIndex(batch.schema);
        writing = ArrowWriting.file(schema);
        yield* count(writing.start());
      } else requireSameSchema(schema, batch.schema);
      if (batch.numRows === 0) continue;
      rows += batch.numRows;
      for (const part of cutBatch(batch)) yield* count(writing.batch(part));
    }
    if (writing === null) throw new PolarisError('BAD_SCHEMA', 'There is no batch, so nobody knows the columns.');
    yield* count(writing.end());
    written = { schema, rows, bytes };
  }
  return {
    [Symbol.asyncIterator]: () => write()[Symbol.asyncIterator](),
    result: () => {
      assert(written !== null, 'a file is known when it was written to its end');
      return written;
    },
  };
}

/** An index that came with the data speaks of another file. */
function withoutIndex(schema: Schema): Schema {
  if (!schema.metadata.has(ROWS_KEY)) return schema;
  const metadata = new Map(schema.metadata);
  metadata.delete(ROWS_KEY);
  return new Schema(schema.fields, metadata);
}

const MAGIC = 'ARROW1';
/** Length of the footer, and the magic. */
const TRAILER_BYTES = 4 + MAGIC.length;
/** The magic, padded to eight bytes. */
const START_BYTES = 8;
/** Footers of all but very long files come with the first read. */
const TAIL_BYTES = 64 * 1024;
const FOOTER = { schema: 1, dictionaries: 2, batches: 3 } as const;
const BLOCK_BYTES = 24;

interface Block {
  readonly start: number;
  readonly metadataBytes: number;
  readonly bodyBytes: number;
}

export async function readArrowFile(read: RangeRead, bytes: number): Promise<ArrowFile> {
  const { footer, end } = await readFooter(read, bytes);
  const { root } = footer;
  const schemaTable = root.table(FOOTER.schema);
  if (schemaTable === null) throw footer.bad('it has no schema');
  const wire = readSchema(schemaTable);
  const schema = withoutIndex(wire.schema);
  const reader = new BatchReader({ schema, columns: wire.columns });
  for (const block of readBlocks(footer, FOOTER.dictionaries, end)) {
    const { message, body } = await readBlock(read, block);
    if (message.kind !== 'dictionary') throw message.header.buffer.bad('it is no dictionary');
    reader.readDictionary(message, body);
  }
  const blocks = readBlocks(footer, FOOTER.batches, end);
  const index = wire.schema.metadata.get(ROWS_KEY) ?? '-';
  const rowsOfBatches = parseRuns(index, blocks.length) ?? (await askRows(read, blocks));
  return new OpenFile({ read, reader, blocks, rowsOfBatches });
}

interface Opened {
  readonly read: RangeRead;
  readonly reader: BatchReader;
  readonly blocks: readonly Block[];
  readonly rowsOfBatches: readonly number[];
}

class OpenFile implements ArrowFile {
  readonly schema: Schema;
  readonly rows: number;
  readonly rowsOfBatches: readonly number[];
  readonly #opened: Opened;
  /** Row with which each batch begins, and the end. */
  readonly #starts: Float64Array;

  constructor(opened: Opened) {
    this.#opened = opened;
    this.rowsOfBatches = opened.rowsOfBatches;
    this.schema = opened.reader.wire.schema;
    this.#starts = new Float64Array(opened.blocks.length + 1);
    opened.rowsOfBatches.forEach((rows, at) => {
      this.#starts[at + 1] = this.#starts[at]! + rows;
    });
    this.rows = this.#starts.at(-1) ?? 0;
  }

  async *batches(from = 0, to = this.rows): BatchSource {
    assert(from >= 0 && from <= to && to <= this.rows, 'rows of a file are asked for that it has');
    let given = false;
    const first = from < to ? this.#batchOf(from) : this.#opened.blocks.length;
    for (let at = first; at < this.#opened.blocks.length && this.#starts[at]! < to; at++) {
      const start = this.#starts[at]!;
      const batch = await this.#readBatch(at);
      const slice = sliceRows(batch, Math.max(from - start, 0), Math.min(to - start, batch.numRows));
      if (slice.numRows === 0) continue;
      given = true;
      yield* cutBatch(slice);
    }
    if (!given) yield emptyBatch(this.schema);
  }

  /** The last batch that begins at or before this row. */
  #batchOf(row: number): number {
    let [low, high] = [0, this.#opened.blocks.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#starts[middle + 1]! <= row) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  async #readBatch(at: number): Promise<RecordBatch> {
    const { read, reader, blocks, rowsOfBatches } = this.#opened;
    const { message, body } = await readBlock(read, blocks[at]!);
    if (message.kind !== 'batch') throw message.header.buffer.bad('it is no batch');
    const batch = reader.readBatch(message, body);
    if (batch.numRows !== rowsOfBatches[at]) {
      throw message.header.buffer.bad(`it has ${batch.numRows} rows and the index says ${rowsOfBatches[at]}`);
    }
    return batch;
  }
}

async function readFooter(read: RangeRead, bytes: number): Promise<{ footer: FlatBuffer; end: number }> {
  const tail = await readRange(read, Math.max(0, bytes - TAIL_BYTES), bytes, 'The end of the file');
  const magic = Buffer.from(tail.buffer, tail.byteOffset, tail.byteLength).toString('latin1', tail.byteLength - 6);
  if (bytes < START_BYTES + TRAILER_BYTES || magic !== MAGIC) {
    throw new PolarisError('BAD_ARROW', `The file does not end with ${MAGIC}: it is no Arrow file, or is cut off.`);
  }
  const length = new DataView(tail.buffer, tail.byteOffset).getInt32(tail.byteLength - TRAILER_BYTES, true);
  const end = bytes - TRAILER_BYTES - length;
  if (length <= 0 || length > ARROW_FOOTER_BYTES_MAX || end < START_BYTES) {
    throw new PolarisError('BAD_ARROW', `The footer of the file claims ${length} bytes of ${bytes}.`);
  }
  const kept = tail.byteLength - TRAILER_BYTES - length;
  const footer =
    kept >= 0 ? tail.subarray(kept, kept + length) : await readRange(read, end, end + length, 'The footer');
  return { footer: new FlatBuffer(footer, 'The footer of the file'), end };
}

/** Where batches or dictionaries lie: behind each other, and before the footer. */
function readBlocks(footer: FlatBuffer, slot: number, end: number): Block[] {
  const { position, count } = footer.root.vector(slot, BLOCK_BYTES);
  let before = START_BYTES;
  return Array.from({ length: count }, (_, at) => {
    const block = position + at * BLOCK_BYTES;
    const start = footer.size(block);
    const metadataBytes = footer.view.getInt32(block + 8, true);
    const bodyBytes = footer.size(block + 16);
    requireMetadataBytes(metadataBytes, `Block ${at + 1} of the file`);
    if (bodyBytes > BATCH_BYTES_MAX) {
      throw new PolarisError(
        'BATCH_TOO_LARGE',
        `Block ${at + 1} has ${bodyBytes} bytes; ${BATCH_BYTES_MAX} are allowed.`,
      );
    }
    if (start < before || start + metadataBytes + bodyBytes > end) {
      throw footer.bad(`block ${at + 1} claims the bytes from ${start}, ${metadataBytes} and ${bodyBytes} of them`);
    }
    before = start + metadataBytes + bodyBytes;
    return { start, metadataBytes, bodyBytes };
  });
}

async function readBlock(read: RangeRead, block: Block): Promise<{ message: ArrowMessage; body: Uint8Array }> {
  const { start, metadataBytes, bodyBytes } = block;
  const what = `The message at byte ${start}`;
  const bytes = await readRange(read, start, start + metadataBytes + bodyBytes, what);
  const message = blockMessage(bytes.subarray(0, metadataBytes), what);
  if (message.bodyBytes !== bodyBytes) throw message.header.buffer.bad('its footer says another length of its body');
  return { message, body: bytes.subarray(metadataBytes) };
}

/** Behind its length, and since 2019 the mark before that. */
function blockMessage(bytes: Uint8Array, what: string): ArrowMessage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const prefix = bytes.byteLength >= 8 && view.getUint32(0, true) === CONTINUATION ? 8 : 4;
  const length = bytes.byteLength >= prefix ? view.getInt32(prefix - 4, true) : -1;
  if (length <= 0 || length > bytes.byteLength - prefix) {
    throw new PolarisError(
      'BAD_ARROW',
      `${what}: it claims ${length} bytes of metadata, ${bytes.byteLength} are there.`,
    );
  }
  return readMessage(bytes.subarray(prefix, prefix + length), what);
}

/** The rows of each batch from its own header: a read each, for files of other writers. */
async function askRows(read: RangeRead, blocks: readonly Block[]): Promise<number[]> {
  const rows: number[] = [];
  for (const { start, metadataBytes } of blocks) {
    const what = `The message at byte ${start}`;
    const { header, kind } = blockMessage(await readRange(read, start, start + metadataBytes, what), what);
    if (kind !== 'batch') throw header.buffer.bad('it is no batch');
    const length = header.size(0);
    if (length > BATCH_ROWS_MAX) throw header.buffer.bad(`it claims ${length} rows; ${BATCH_ROWS_MAX} are allowed`);
    rows.push(length);
  }
  return rows;
}

async function readRange(read: RangeRead, start: number, end: number, what: string): Promise<Uint8Array> {
  const reader = new ByteReader(read(start, end));
  try {
    const bytes = await reader.take(end - start);
    if (bytes.byteLength === end - start) return bytes;
    throw new PolarisError(
      'BAD_ARROW',
      `${what} is cut off: of bytes ${start} to ${end} only ${bytes.byteLength} came.`,
    );
  } finally {
    await reader.close();
  }
}
