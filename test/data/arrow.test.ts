import {
  BinaryView,
  type Data,
  Dictionary,
  Field,
  Int32,
  List,
  makeData,
  Null,
  RecordBatch,
  RecordBatchReader,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  Table,
  tableFromArrays,
  tableFromIPC,
  tableToIPC,
  Utf8,
  Utf8View,
  Vector,
  vectorFromArray,
} from 'apache-arrow';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BATCH_ROWS } from '../../src/base/limits.ts';
import { readArrowFile, writeArrowFile } from '../../src/data/arrow-file.ts';
import { readArrowStream, writeArrowStream } from '../../src/data/arrow-stream.ts';
import { batchOf, dataOf } from '../../src/data/build.ts';
import { sliceRows } from '../../src/data/cut.ts';
import { writeJsonLines } from '../../src/data/json-out.ts';
import { describeSchema, sameSchema } from '../../src/data/schema.ts';
import { sourceOf } from '../../src/data/sources.ts';
import { batchValues, type Value } from '../../src/data/values.ts';
import {
  batchesOf,
  bytesOfAll,
  collect,
  inPieces,
  KINDS,
  rangesOf,
  SEED,
  tableOf,
  tables,
  valuesOfAll,
} from './arbitrary.ts';

const PROPERTY = { seed: SEED, numRuns: 30 };

async function fileOf(...batches: RecordBatch[]): Promise<Uint8Array> {
  return bytesOfAll(writeArrowFile(batchesOf(...batches)));
}

describe('values', () => {
  test('a column holds the values that it was built of, for every type', () => {
    fc.assert(
      fc.property(tables(KINDS), ({ batch, values }) => {
        expect(batchValues(batch)).toEqual(values);
      }),
      PROPERTY,
    );
  });
});

describe('a pause', () => {
  const schema = new Schema([new Field('n', new Int32())]);
  const batch = (...values: number[]) => batchOf(schema, [dataOf(new Int32(), values)]);

  test('is a batch without rows, which every reader passes over unless it wants to know of it', async () => {
    const written = writeArrowStream(batchesOf(batch(1), batch(), batch(2)), undefined, { keepsEmpty: true });
    const bytes = await bytesOfAll(written);
    expect(tableFromIPC(bytes).numRows).toBe(2);
    const rowsWith = async (keepsEmpty: boolean) => {
      const batches = await collect(readArrowStream(sourceOf(bytes), { keepsEmpty }));
      return batches.map(({ numRows }) => numRows);
    };
    expect([await rowsWith(false), await rowsWith(true)]).toEqual([
      [1, 1],
      [1, 0, 1],
    ]);
  });

  test('lets the rows of a text format go out', async () => {
    let isLast = false;
    const lines = writeJsonLines(
      (async function* () {
        yield batch(1);
        yield batch();
        isLast = true;
        yield batch(2);
      })(),
    )[Symbol.asyncIterator]();
    expect(Buffer.from((await lines.next()).value).toString()).toBe('{"n":1}\n');
    expect(isLast).toBe(false);
    expect(Buffer.from((await lines.next()).value).toString()).toBe('{"n":2}\n');
  });
});

describe('stream', () => {
  test('every type goes through a stream unchanged, in pieces of any size', async () => {
    await fc.assert(
      fc.asyncProperty(tables(KINDS), fc.integer({ min: 1, max: 100 }), async ({ batch, values, schema }, size) => {
        const bytes = await bytesOfAll(writeArrowStream(batchesOf(batch)));
        const batches = await collect(readArrowStream(inPieces(bytes, size)));
        expect(await valuesOfAll(batchesOf(...batches))).toEqual(values);
        expect(sameSchema(batches[0]!.schema, schema)).toBe(true);
      }),
      PROPERTY,
    );
  });

  test('a slice is written as what it shows, not as what it lies in', async () => {
    await fc.assert(
      fc.asyncProperty(tables(KINDS, { minRows: 1 }), fc.nat(), fc.nat(), async ({ batch, values }, one, other) => {
        const [start, end] = [one % (batch.numRows + 1), other % (batch.numRows + 1)].sort((a, b) => a - b) as [
          number,
          number,
        ];
        const slice = sliceRows(batch, start, end);
        const sliced = values.map((column) => column.slice(start, end));
        expect(batchValues(slice)).toEqual(sliced);
        const bytes = await bytesOfAll(writeArrowStream(batchesOf(slice)));
        expect(await valuesOfAll(readArrowStream(inPieces(bytes)))).toEqual(sliced);
      }),
      PROPERTY,
    );
  });

  test('apache-arrow reads what is written here', async () => {
    await fc.assert(
      fc.asyncProperty(tables(KINDS), async ({ batch, values }) => {
        const bytes = await bytesOfAll(writeArrowStream(batchesOf(batch)));
        const read = [...RecordBatchReader.from(bytes)];
        if (batch.numRows > 0) expect(batchValues(read[0]!)).toEqual(values);
      }),
      PROPERTY,
    );
  });
});

describe('file', () => {
  test('every type goes through a file unchanged', async () => {
    await fc.assert(
      fc.asyncProperty(tables(KINDS), async ({ batch, values, schema }) => {
        const writing = writeArrowFile(batchesOf(batch));
        const bytes = await bytesOfAll(writing);
        expect(writing.result()).toMatchObject({ rows: batch.numRows, bytes: bytes.byteLength });
        const file = await readArrowFile(rangesOf(bytes).read, bytes.byteLength);
        expect(file.rows).toBe(batch.numRows);
        expect(sameSchema(file.schema, schema)).toBe(true);
        expect(await valuesOfAll(file.batches())).toEqual(values);
        expect(tableFromIPC(bytes).numRows).toBe(batch.numRows);
      }),
      PROPERTY,
    );
  });

  test('any rows of a file are had exactly, and only batches that have some of them are read', async () => {
    const numbers = (start: number, rows: number): RecordBatch =>
      tableOf({ n: { type: new Int32(), values: Array.from({ length: rows }, (_, at) => start + at) } }).batch;
    const sizes = [5, 1, 0, 7, 20, 3];
    const starts = sizes.map((_, at) => sizes.slice(0, at).reduce((sum, size) => sum + size, 0));
    const rows = starts.at(-1)! + sizes.at(-1)!;
    const batches = sizes.map((size, at) => numbers(starts[at]!, size));
    const bytes = await fileOf(...batches);
    for (let from = 0; from <= rows; from++) {
      for (let to = from; to <= rows; to++) {
        const { read, ranges } = rangesOf(bytes);
        const file = await readArrowFile(read, bytes.byteLength);
        ranges.length = 0;
        const expected: Value[] = Array.from({ length: to - from }, (_, at) => from + at);
        expect(await valuesOfAll(file.batches(from, to))).toEqual([expected]);
        const touched = sizes.filter(
          (size, at) => from < to && starts[at]! < to && starts[at]! + size > from && size > 0,
        );
        expect(ranges.length).toBe(touched.length);
      }
    }
  });

  test('a file of another writer is opened batch by batch', async () => {
    const one = tableOf({ n: { type: new Int32(), values: [1, 2, null] } });
    const table = tableFromIPC(await fileOf(one.batch, one.batch));
    table.schema.metadata.clear();
    const bytes = tableToIPC(table, 'file');
    const file = await readArrowFile(rangesOf(bytes).read, bytes.byteLength);
    expect(file.rowsOfBatches).toEqual([3, 3]);
    expect(await valuesOfAll(file.batches(2, 5))).toEqual([[null, 1, 2]]);
  });

  test('a batch that is too long is cut, and the index knows', async () => {
    const rows = 3 * BATCH_ROWS + 5;
    const { batch } = tableOf({ n: { type: new Int32(), values: Array.from({ length: rows }, (_, at) => at) } });
    const bytes = await fileOf(batch);
    const file = await readArrowFile(rangesOf(bytes).read, bytes.byteLength);
    expect(file.rowsOfBatches).toEqual([BATCH_ROWS, BATCH_ROWS, BATCH_ROWS, 5]);
    expect(await valuesOfAll(file.batches(rows - 2))).toEqual([[rows - 2, rows - 1]]);
  });

  test('an empty table that apache-arrow made of arrays is written as one of its columns', async () => {
    const { batches } = tableFromArrays({ n: Int32Array.from([]) });
    expect(tableFromIPC(await bytesOfAll(writeArrowStream(batchesOf(...batches)))).schema.fields.map(String)).toEqual([
      'n: Int32',
    ]);
  });

  test('no batches at all have no columns, which is an error; an empty batch has', async () => {
    await expect(fileOf()).rejects.toMatchObject({ code: 'BAD_SCHEMA' });
    const bytes = await fileOf(tableOf({ n: { type: new Int32(), values: [] } }).batch);
    const file = await readArrowFile(rangesOf(bytes).read, bytes.byteLength);
    expect([file.rows, describeSchema(file.schema)]).toEqual([0, 'n: int32']);
    expect(await valuesOfAll(file.batches())).toEqual([[]]);
  });

  test('batches of other columns are refused, with the column', async () => {
    const one = tableOf({ a: { type: new Int32(), values: [1] } }).batch;
    const other = tableOf({ a: { type: new Utf8(), values: ['1'] } }).batch;
    await expect(fileOf(one, other)).rejects.toMatchObject({
      code: 'BAD_SCHEMA',
      detail: 'All batches need the same columns: column 1 is a: int32 in the first batch and a: utf8 in a later one.',
    });
  });
});

describe('dictionaries and views', () => {
  test('a dictionary column is a column of its values, written and read', async () => {
    const words: Value[] = ['x', null, 'y', 'x', '', 'y'];
    const vector = vectorFromArray(words as string[]);
    const schema = new Schema([new Field('word', vector.type, true)]);
    expect(vector.type).toBeInstanceOf(Dictionary);
    const table = tableFromIPC(tableToIPC(new Table(schema, { word: vector }), 'stream'));
    const [dictionary] = table.batches;
    for (const batch of [dictionary!, sliceRows(dictionary!, 1, 5)]) {
      const own = batch === dictionary ? words : words.slice(1, 5);
      expect(
        await valuesOfAll(readArrowStream(inPieces(await bytesOfAll(writeArrowStream(batchesOf(batch)))))),
      ).toEqual([own]);
    }
    for (const form of ['stream', 'file'] as const) {
      const bytes = tableToIPC(table, form);
      const source =
        form === 'stream'
          ? readArrowStream(inPieces(bytes))
          : (await readArrowFile(rangesOf(bytes).read, bytes.byteLength)).batches();
      const batches = await collect(source);
      expect(batches[0]!.schema.toString()).toBe('Schema<{ 0: word: Utf8 }>');
      expect(await valuesOfAll(batchesOf(...batches))).toEqual([words]);
    }
  });

  test('a dictionary grows by deltas and is replaced, and each batch has the words of its time', async () => {
    const type = new Dictionary(new Utf8(), new Int32());
    const schema = new Schema([new Field('word', type, true)]);
    const a = vectorFromArray(['a', 'b'], new Utf8());
    const c = vectorFromArray(['c'], new Utf8());
    const batch = (indices: number[], ...dictionaries: Vector[]): RecordBatch => {
      const dictionary = new Vector(dictionaries.flatMap((vector) => vector.data));
      const data = makeData({ type, length: indices.length, nullCount: 0, data: Int32Array.from(indices), dictionary });
      const struct = makeData({
        type: new Struct(schema.fields),
        length: indices.length,
        nullCount: 0,
        children: [data],
      });
      return new RecordBatch(schema, struct);
    };
    const writer = new RecordBatchStreamWriter();
    for (const written of [batch([1, 0], a), batch([2, 0], a, c), batch([0, 0], c)]) writer.write(written);
    writer.finish();
    const read = readArrowStream(inPieces(writer.toUint8Array(true)));
    expect(await valuesOfAll(read)).toEqual([['b', 'a', 'c', 'a', 'c', 'c']]);
  });

  test('views are read as the texts and bytes that they show', async () => {
    const texts = ['short', null, 'longer than twelve bytes', '', 'exactly12byt', 'and thirteen!'];
    const bytes = texts.map((text) => (text === null ? null : new Uint8Array(Buffer.from(text))));
    const views = new Table({ t: vectorFromArray(texts, new Utf8View()), b: vectorFromArray(bytes, new BinaryView()) });
    for (const form of ['stream', 'file'] as const) {
      const written = tableToIPC(views, form);
      const source =
        form === 'stream'
          ? readArrowStream(inPieces(written))
          : (await readArrowFile(rangesOf(written).read, written.byteLength)).batches();
      const batches = await collect(source);
      expect(describeSchema(batches[0]!.schema)).toBe('t: utf8, b: binary');
      expect(await valuesOfAll(batchesOf(...batches))).toEqual([texts, bytes]);
    }
    // And written by job code that has them in its hands.
    expect(await valuesOfAll(readArrowStream(writeArrowStream(batchesOf(views.batches[0]!))))).toEqual([texts, bytes]);
  });
});

describe('what is carried beside the values', () => {
  test('metadata of schema and fields, and a column of nothing but nulls', async () => {
    const field = new Field('n', new Null(), true, new Map([['unit', 'none']]));
    const schema = new Schema([field, new Field('x', new Int32(), true)], new Map([['source', 'here']]));
    const batch = batchOf(schema, [dataOf(new Null(), [null, null]), dataOf(new Int32(), [1, 2])]);
    const bytes = await fileOf(batch);
    const file = await readArrowFile(rangesOf(bytes).read, bytes.byteLength);
    expect([...file.schema.metadata]).toEqual([['source', 'here']]);
    expect([...file.schema.fields[0]!.metadata]).toEqual([['unit', 'none']]);
    for (const source of [file.batches(), readArrowStream(writeArrowStream(batchesOf(batch)))]) {
      expect(await valuesOfAll(source)).toEqual([
        [null, null],
        [1, 2],
      ]);
    }
  });

  test('what goes through a file comes out byte for byte: its index of rows stays in it', async () => {
    const { batch } = tableOf({ n: { type: new Int32(), values: [1, 2, 3] } });
    const stream = await bytesOfAll(writeArrowStream(batchesOf(batch, batch)));
    const bytes = await bytesOfAll(writeArrowFile(readArrowStream(inPieces(stream))));
    const file = await readArrowFile(rangesOf(bytes).read, bytes.byteLength);
    expect(Buffer.from(stream).equals(await bytesOfAll(writeArrowStream(file.batches())))).toBe(true);
  });

  test('lists that call their elements differently are lists of one type', async () => {
    const list = (name: string) =>
      tableOf({ l: { type: new List(new Field(name, new Int32(), true)), values: [[1]] } }).batch;
    const bytes = await fileOf(list('item'), list('element'));
    const file = await readArrowFile(rangesOf(bytes).read, bytes.byteLength);
    expect(await valuesOfAll(file.batches())).toEqual([[[1], [1]]]);
  });
});

describe('memory of buffers', () => {
  // Above what is joined with its neighbours, below what is cut.
  const numbers = Int32Array.from({ length: 8_000 }, (_, at) => at);
  const batch = batchOf(new Schema([new Field('n', new Int32(), false)]), [
    makeData({ type: new Int32(), length: numbers.length, nullCount: 0, data: numbers }),
  ]);
  const memoryOf = ({ data }: RecordBatch) => (data.children[0] as Data<Int32>).values.buffer;

  test('goes into a file as it is', async () => {
    const chunks = await collect(writeArrowFile(batchesOf(batch)));
    expect(chunks.some((chunk) => chunk.buffer === numbers.buffer)).toBe(true);
  });

  test('comes out of a file, and out of a stream, as part of the piece that it was in', async () => {
    const file = await bytesOfAll(writeArrowFile(batchesOf(batch)));
    const pieces: ArrayBufferLike[] = [];
    async function* read(start: number, end: number) {
      const piece = file.slice(start, end);
      pieces.push(piece.buffer);
      yield piece;
    }
    const [filed] = await collect((await readArrowFile(read, file.byteLength)).batches());
    expect(pieces).toContain(memoryOf(filed!));

    const stream = await bytesOfAll(writeArrowStream(batchesOf(batch)));
    const [streamed] = await collect(readArrowStream(sourceOf(stream)));
    expect(memoryOf(streamed!)).toBe(stream.buffer);
  });

  test('is the same in a slice', () => {
    expect(memoryOf(sliceRows(batch, 100, 200))).toBe(numbers.buffer);
  });
});
