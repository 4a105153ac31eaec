/**
 * Bytes of strangers: whatever they are, they become batches of a sound schema, or an error that says so.
 */
import {
  type Bool,
  Dictionary,
  Field,
  Int8,
  Int32,
  Interval,
  IntervalUnit,
  List,
  makeData,
  RecordBatch,
  RecordBatchStreamWriter,
  Schema,
  Struct,
  Table,
  tableToIPC,
  Uint8,
  Utf8,
  Utf8View,
  Vector,
  vectorFromArray,
} from 'apache-arrow';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { ARROW_METADATA_BYTES_MAX, BATCH_BYTES_MAX, COLUMNS_MAX } from '../../src/base/limits.ts';
import { readArrowFile, writeArrowFile } from '../../src/data/arrow-file.ts';
import { readArrowStream, writeArrowStream } from '../../src/data/arrow-stream.ts';
import { batchBytes } from '../../src/data/cut.ts';
import { checkSchema } from '../../src/data/schema.ts';
import type { BatchSource } from '../../src/data/sources.ts';
import { batchValues } from '../../src/data/values.ts';
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

const CODES = ['BAD_ARROW', 'BAD_SCHEMA', 'BATCH_TOO_LARGE', 'BAD_DATA'];

/** Reads all there is; every value too, since a wrong offset shows only where it is followed. */
async function outcome(source: () => Promise<BatchSource> | BatchSource): Promise<string> {
  try {
    let bytes = 0;
    for await (const batch of await source()) {
      checkSchema(batch.schema);
      for (const column of batchValues(batch)) expect(column.length).toBe(batch.numRows);
      bytes += batchBytes(batch);
    }
    expect(bytes).toBeLessThan(1 << 20);
    return 'read';
  } catch (error) {
    if (!(error instanceof PolarisError)) throw error;
    expect(CODES).toContain(error.code);
    return error.code;
  }
}

const readStream = (bytes: Uint8Array) => outcome(() => readArrowStream(inPieces(bytes, 1 << 12)));
const readFile = (bytes: Uint8Array) =>
  outcome(async () => (await readArrowFile(rangesOf(bytes).read, bytes.byteLength)).batches());

/** All types in one stream and one file, and a dictionary and views as other writers send them. */
async function samples(): Promise<{ streams: Uint8Array[]; files: Uint8Array[] }> {
  const [table] = fc.sample(tables(KINDS, { minRows: 12 }), { seed: SEED, numRuns: 1 });
  const words = vectorFromArray(['x', null, 'yy', 'x', ''], new Dictionary(new Utf8(), new Int8()));
  const views = vectorFromArray(['short', null, 'longer than twelve bytes', ''], new Utf8View());
  const others = [new Table({ words }), new Table({ views })];
  return {
    streams: [
      await bytesOfAll(writeArrowStream(batchesOf(table!.batch))),
      ...others.map((other) => tableToIPC(other, 'stream')),
    ],
    files: [
      await bytesOfAll(writeArrowFile(batchesOf(table!.batch, table!.batch))),
      ...others.map((other) => tableToIPC(other, 'file')),
    ],
  };
}

describe('random damage', () => {
  test('a stream or file with flipped bits is read or refused, and nothing else', async () => {
    const { streams, files } = await samples();
    const outcomes: Record<string, number> = {};
    const flips = fc.array(
      fc.tuple(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), fc.integer({ min: 1, max: 255 })),
      {
        minLength: 1,
        maxLength: 4,
      },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...streams.map((_, at) => at)),
        fc.boolean(),
        flips,
        async (which, asFile, drawn) => {
          const bytes = (asFile ? files : streams)[which]!.slice();
          // Metadata is where damage matters: half of the flips fall into the first or last part.
          drawn.forEach(([where, flip], at) => {
            const span = at % 2 === 0 ? bytes.length : Math.min(bytes.length, 4096);
            const start = asFile && at % 2 === 1 ? bytes.length - span : 0;
            bytes[start + Math.floor(where * span)]! ^= flip;
          });
          const seen = await (asFile ? readFile(bytes) : readStream(bytes));
          outcomes[seen] = (outcomes[seen] ?? 0) + 1;
        },
      ),
      { seed: SEED, numRuns: 800 },
    );
    // The damage must be deep enough to be found, and shallow enough to get somewhere.
    expect(outcomes['BAD_ARROW']).toBeGreaterThan(100);
    expect(outcomes['read']).toBeGreaterThan(100);
  });

  test('a stream or file that is cut off anywhere is refused', async () => {
    const { streams, files } = await samples();
    for (const stream of streams) {
      for (let end = 0; end < stream.length; end += 1 + (stream.length >> 9)) {
        expect(await readStream(stream.subarray(0, end))).toBe('BAD_ARROW');
      }
    }
    for (const file of files) {
      for (let end = 0; end < file.length; end += 1 + (file.length >> 9)) {
        expect(await readFile(file.subarray(0, end))).not.toBe('read');
      }
    }
  });

  test('noise is refused', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 400 }), async (noise) => {
        const ended = noise.length >= 8 && noise.subarray(0, 8).every((byte, at) => byte === (at < 4 ? 0xff : 0));
        if (!ended) expect(await readStream(noise)).not.toBe('read');
        expect(await readFile(noise)).not.toBe('read');
      }),
      { seed: SEED, numRuns: 300 },
    );
  });
});

/** A batch of one column whose buffers say what they like: made of parts that apache-arrow does not look at. */
function forged(type: Utf8 | List | Bool | Int32, parts: object): RecordBatch {
  const data = makeData({ type, nullCount: 0, ...parts } as never);
  const schema = new Schema([new Field('x', type, true)]);
  const { length } = parts as { length: number };
  return new RecordBatch(schema, makeData({ type: new Struct(schema.fields), length, nullCount: 0, children: [data] }));
}

function streamOf(batch: RecordBatch): Uint8Array {
  const writer = new RecordBatchStreamWriter();
  writer.write(batch);
  writer.finish();
  return writer.toUint8Array(true);
}

/** The last place where these 64-bit numbers stand in a row. */
function placeOf(bytes: Uint8Array, ...numbers: bigint[]): number {
  const wanted = Buffer.from(new BigInt64Array(numbers).buffer);
  const place = Buffer.from(bytes).lastIndexOf(wanted);
  expect(place).toBeGreaterThan(0);
  return place;
}

describe('lies', () => {
  const text = (values: (string | null)[]) => tableOf({ x: { type: new Utf8(), values } }).batch;

  test.each([
    ['2^40 bytes', 2n ** 40n, 'BATCH_TOO_LARGE'],
    ['a negative length', -8n, 'BAD_ARROW'],
    ['one byte over the limit', BigInt(BATCH_BYTES_MAX) + 1n, 'BATCH_TOO_LARGE'],
    ['more than came', 1n << 20n, 'BAD_ARROW'],
  ])('a body that claims %s is refused', async (_, claimed, code) => {
    const bytes = streamOf(text(['abc', 'def']));
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    // Its body has 16 bytes of offsets and 8 of text.
    view.setBigInt64(placeOf(bytes, 24n), claimed, true);
    expect(await readStream(bytes)).toBe(code);
  });

  test('a message that claims more metadata than is allowed is refused before it is waited for', async () => {
    const bytes = new Uint8Array(new Uint32Array([0xffff_ffff, ARROW_METADATA_BYTES_MAX + 1]).buffer);
    async function* endless() {
      yield bytes;
      throw new Error('more was asked for');
    }
    await expect(collect(readArrowStream(endless()))).rejects.toMatchObject({ code: 'BAD_ARROW' });
  });

  test.each([
    ['run backwards', [0, 5, 3], 'run backwards'],
    ['run outside', [0, 3, 600], 'run to 600 of'],
    ['begin below zero', [-4, 3, 6], 'run backwards'],
  ])('offsets that %s are refused', async (_, offsets, said) => {
    const bytes = streamOf(text(['abc', 'def']));
    const at = Buffer.from(bytes).lastIndexOf(Buffer.from(new Int32Array([0, 3, 6]).buffer));
    bytes.set(new Uint8Array(new Int32Array(offsets).buffer), at);
    await expect(collect(readArrowStream(inPieces(bytes)))).rejects.toMatchObject({
      code: 'BAD_ARROW',
      detail: expect.stringMatching(new RegExp(`^Message 2 at byte \\d+: the offsets of column x ${said}`)),
    });
  });

  test('a buffer outside its body is refused', async () => {
    const bytes = streamOf(text(['abc', 'def']));
    new DataView(bytes.buffer, bytes.byteOffset).setBigInt64(placeOf(bytes, 16n, 8n), 20n, true);
    await expect(collect(readArrowStream(inPieces(bytes)))).rejects.toMatchObject({
      code: 'BAD_ARROW',
      detail: expect.stringContaining('a buffer of column x ends at 28, its body at 24'),
    });
  });

  test('text that is no UTF-8 is refused with its row; under a null it does not matter', async () => {
    const made = forged(new Utf8(), {
      length: 2,
      valueOffsets: new Int32Array([0, 2, 4]),
      data: Uint8Array.of(0x61, 0xc3, 0xa4, 0x62),
    });
    await expect(collect(readArrowStream(inPieces(streamOf(made))))).rejects.toMatchObject({
      code: 'BAD_ARROW',
      detail: expect.stringContaining('row 1 of column x is not UTF-8'),
    });
    const hidden = forged(new Utf8(), {
      length: 2,
      nullCount: 1,
      nullBitmap: Uint8Array.of(0b01),
      valueOffsets: new Int32Array([0, 1, 3]),
      data: Uint8Array.of(0x61, 0xff, 0xff),
    });
    expect(await valuesOfAll(readArrowStream(inPieces(streamOf(hidden))))).toEqual([['a', null]]);
  });

  test('an index outside its dictionary is refused', async () => {
    const type = new Dictionary(new Utf8(), new Uint8());
    const dictionary = vectorFromArray(['a', 'b'], new Utf8());
    const data = makeData({ type, length: 3, nullCount: 0, data: Uint8Array.of(0, 2, 1), dictionary });
    const bytes = tableToIPC(new Table({ x: new Vector([data]) }), 'stream');
    await expect(collect(readArrowStream(inPieces(bytes)))).rejects.toMatchObject({
      code: 'BAD_ARROW',
      detail: expect.stringContaining('row 2 of column x is value 2 of a dictionary of 2'),
    });
  });

  test('a dictionary that would decode to more than a batch may have is refused', async () => {
    const type = new Dictionary(new Utf8(), new Uint8());
    const dictionary = vectorFromArray(['a'.repeat(1 << 20)], new Utf8());
    const length = 1_000;
    const data = makeData({ type, length, nullCount: 0, data: new Uint8Array(length), dictionary });
    const bytes = tableToIPC(new Table({ x: new Vector([data]) }), 'stream');
    await expect(collect(readArrowStream(inPieces(bytes, 1 << 16)))).rejects.toMatchObject({ code: 'BATCH_TOO_LARGE' });
  });

  test('more behind the end of a stream is refused, not dropped', async () => {
    const bytes = await bytesOfAll(writeArrowStream(batchesOf(text(['a']))));
    await expect(collect(readArrowStream(inPieces(Buffer.concat([bytes, Buffer.from('x')]))))).rejects.toMatchObject({
      code: 'BAD_ARROW',
      detail: `There is more behind the end of the stream, at byte ${bytes.byteLength}.`,
    });
  });

  test('an index of rows that lies about its file is an error, not a wrong slice', async () => {
    const batch = text(['a', 'b', 'c']);
    const bytes = await bytesOfAll(writeArrowFile(batchesOf(batch, batch)));
    const at = Buffer.from(bytes).lastIndexOf('3*2');
    bytes[at] = '4'.charCodeAt(0);
    const file = await readArrowFile(rangesOf(bytes).read, bytes.byteLength);
    await expect(collect(file.batches(4, 6))).rejects.toMatchObject({ code: 'BAD_ARROW' });
  });

  test('batches that share their bytes are refused: a small file would be large inside', async () => {
    const bytes = await bytesOfAll(writeArrowFile(batchesOf(text(['a']), text(['b']))));
    const [block] = [Buffer.from(bytes).lastIndexOf(Buffer.from(new BigInt64Array([8n]).buffer))];
    bytes.set(bytes.subarray(block, block + 24), block + 24);
    await expect(readArrowFile(rangesOf(bytes).read, bytes.byteLength)).rejects.toMatchObject({ code: 'BAD_ARROW' });
  });
});

describe('schemas', () => {
  const empty = (fields: Field[]) => tableToIPC(new Table(new Schema(fields)), 'stream');

  test('a type that is not carried is refused with its column', async () => {
    const fields = [
      new Field('a', new Int32(), true),
      new Field('how long', new Interval(IntervalUnit.DAY_TIME), true),
    ];
    await expect(collect(readArrowStream(inPieces(empty(fields))))).rejects.toMatchObject({
      code: 'BAD_SCHEMA',
      detail: 'Column "how long" is of the Arrow type interval, which is not carried.',
    });
  });

  test('two columns of one name are refused, and so are too many', async () => {
    const twice = [new Field('a', new Int32(), true), new Field('a', new Utf8(), true)];
    await expect(collect(readArrowStream(inPieces(empty(twice))))).rejects.toMatchObject({
      code: 'BAD_SCHEMA',
      detail: 'There are two columns a.',
    });
    const columns = (count: number) => Array.from({ length: count }, (_, at) => new Field(`c${at}`, new Int32(), true));
    expect(await readStream(empty(columns(COLUMNS_MAX)))).toBe('read');
    expect(await readStream(empty(columns(COLUMNS_MAX + 1)))).toBe('BAD_SCHEMA');
  });

  test('lists may lie inside each other, to a depth', async () => {
    const deep = (depth: number): Field =>
      Array.from({ length: depth }).reduce<Field>(
        (field) => new Field('item', new List(field), true),
        new Field('x', new Int32(), true),
      );
    expect(await readStream(empty([deep(31)]))).toBe('read');
    expect(await readStream(empty([deep(32)]))).toBe('BAD_SCHEMA');
  });
});
