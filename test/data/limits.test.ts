/**
 * What bounds the bytes of strangers, each bound one below, exactly, and one above: the first two are read to their last row,
 * the third is an error of the documented code.
 */
import {
  Binary,
  Field,
  Int8,
  makeData,
  RecordBatch,
  RecordBatchFileWriter,
  RecordBatchStreamWriter,
  Schema,
  Struct,
} from 'apache-arrow';
import { describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { BATCH_BYTES_MAX, BATCH_ROWS_MAX, COLUMNS_MAX, LINE_BYTES_MAX } from '../../src/base/limits.ts';
import { readArrowFile } from '../../src/data/arrow-file.ts';
import { readArrowStream } from '../../src/data/arrow-stream.ts';
import { readCsv } from '../../src/data/csv-in.ts';
import { readJsonLines } from '../../src/data/json-in.ts';
import type { BatchSource, ByteSource } from '../../src/data/sources.ts';
import { readText } from '../../src/data/text-in.ts';
import { inPieces, rangesOf } from './arbitrary.ts';

const PIECE = 1 << 20;

interface Limit {
  readonly what: string;
  readonly max: number;
  /** From one size to the next, where not every size can be made. */
  readonly step?: number;
  /** Something of so much. */
  readonly read: (size: number) => Promise<BatchSource> | BatchSource;
  /** What is read of it. */
  readonly rows: (size: number) => number;
  readonly code: string;
}

/** Rows of no column: they are counted, and weigh nothing. */
function hollow(rows: number): RecordBatch {
  return new RecordBatch(new Schema([]), makeData({ type: new Struct([]), length: rows, children: [] }));
}

/** One row whose body has so many bytes, a multiple of eight: two offsets, and the rest. */
function heavy(bodyBytes: number): RecordBatch {
  const type = new Binary();
  const fields = [new Field('blob', type, false)];
  const data = new Uint8Array(bodyBytes - 8);
  const column = makeData({ type, length: 1, nullCount: 0, valueOffsets: Int32Array.of(0, data.length), data });
  return new RecordBatch(new Schema(fields), makeData({ type: new Struct(fields), length: 1, children: [column] }));
}

/** One row with so many columns. */
function wide(columns: number): RecordBatch {
  const fields = Array.from({ length: columns }, (_, at) => new Field(`c${at}`, new Int8(), false));
  const children = fields.map(() => makeData({ type: new Int8(), length: 1, nullCount: 0, data: Int8Array.of(1) }));
  return new RecordBatch(new Schema(fields), makeData({ type: new Struct(fields), length: 1, children }));
}

/** As others write them: our own writers cut what is large. */
const streamed = async (batch: RecordBatch) =>
  readArrowStream(inPieces(await RecordBatchStreamWriter.writeAll([batch]).toUint8Array(), PIECE));
const filed = async (batch: RecordBatch) => {
  const bytes = await RecordBatchFileWriter.writeAll([batch]).toUint8Array();
  return (await readArrowFile(rangesOf(bytes).read, bytes.byteLength)).batches();
};
const text = (content: string): ByteSource => inPieces(Buffer.from(content), PIECE);
const names = (count: number) => Array.from({ length: count }, (_, at) => `c${at}`);
const one = () => 1;

const LIMITS: readonly Limit[] = [
  {
    ...{ what: 'rows of a batch of an Arrow stream', max: BATCH_ROWS_MAX, rows: (size: number) => size },
    ...{ read: (size: number) => streamed(hollow(size)), code: 'BAD_ARROW' },
  },
  {
    ...{ what: 'rows of a batch of an Arrow file', max: BATCH_ROWS_MAX, rows: (size: number) => size },
    ...{ read: (size: number) => filed(hollow(size)), code: 'BAD_ARROW' },
  },
  {
    ...{ what: 'bytes of a batch of an Arrow stream', max: BATCH_BYTES_MAX, step: 8, rows: one },
    ...{ read: (size: number) => streamed(heavy(size)), code: 'BATCH_TOO_LARGE' },
  },
  {
    ...{ what: 'bytes of a batch of an Arrow file', max: BATCH_BYTES_MAX, step: 8, rows: one },
    ...{ read: (size: number) => filed(heavy(size)), code: 'BATCH_TOO_LARGE' },
  },
  {
    ...{ what: 'columns of an Arrow stream', max: COLUMNS_MAX, rows: one },
    ...{ read: (size: number) => streamed(wide(size)), code: 'BAD_SCHEMA' },
  },
  {
    ...{ what: 'columns of CSV', max: COLUMNS_MAX, rows: one, code: 'BAD_SCHEMA' },
    read: (size) => readCsv(text(`${names(size).join()}\n${names(size).join()}\n`)),
  },
  {
    ...{ what: 'columns of JSON lines', max: COLUMNS_MAX, rows: one, code: 'BAD_SCHEMA' },
    read: (size) => readJsonLines(text(`{${names(size).map((name) => `"${name}":1`)}}\n`)),
  },
  {
    ...{ what: 'bytes of a line of text', max: LINE_BYTES_MAX, rows: one, code: 'BAD_DATA' },
    read: (size) => readText(text(`${'x'.repeat(size)}\n`)),
  },
  {
    ...{ what: 'bytes of a row of CSV', max: LINE_BYTES_MAX, rows: one, code: 'BAD_DATA' },
    read: (size) => readCsv(text(`a,b\n1,${'x'.repeat(size - 2)}\n`)),
  },
  {
    ...{ what: 'bytes of a line of JSON', max: LINE_BYTES_MAX, rows: one, code: 'BAD_DATA' },
    read: (size) => readJsonLines(text(`{"a":"${'x'.repeat(size - 8)}"}\n`)),
  },
];

async function outcome({ read }: Limit, size: number): Promise<number | string> {
  try {
    let rows = 0;
    for await (const batch of await read(size)) rows += batch.numRows;
    return rows;
  } catch (error) {
    if (!(error instanceof PolarisError)) throw error;
    return error.code;
  }
}

describe('one below, exactly, and one above', () => {
  test.each(LIMITS)('$what: $max', async (limit) => {
    const { max, step = 1, rows, code } = limit;
    expect(await outcome(limit, max - step)).toBe(rows(max - step));
    expect(await outcome(limit, max)).toBe(rows(max));
    expect(await outcome(limit, max + step)).toBe(code);
  });
});
