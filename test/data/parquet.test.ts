import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import {
  DateMillisecond,
  Decimal,
  Duration,
  Field,
  Float64,
  Int32,
  Int64,
  Struct,
  Time,
  Timestamp,
  TimeUnit,
  Uint64,
  Utf8,
} from 'apache-arrow';
import fc from 'fast-check';
import { parquetMetadata, parquetReadObjects } from 'hyparquet';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { PARQUET_GROUP_ROWS } from '../../src/base/limits.ts';
import { unpackLz4, unpackSnappy } from '../../src/data/block-codecs.ts';
import { readParquet } from '../../src/data/parquet-in.ts';
import { writeParquet } from '../../src/data/parquet-out.ts';
import { decodeRuns } from '../../src/data/parquet-pages.ts';
import { describeSchema } from '../../src/data/schema.ts';
import { spool } from '../../src/data/spool.ts';
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

const write = (...batches: Parameters<typeof batchesOf>) => bytesOfAll(writeParquet(batchesOf(...batches)));
const read = (bytes: Uint8Array) => readParquet(rangesOf(bytes).read, bytes.byteLength);

async function outcome(bytes: Uint8Array): Promise<string> {
  try {
    for (const batch of await collect(read(bytes))) batchValues(batch);
    return 'read';
  } catch (error) {
    if (!(error instanceof PolarisError)) throw error;
    expect(['BAD_DATA', 'BAD_SCHEMA', 'BATCH_TOO_LARGE']).toContain(error.code);
    return error.code;
  }
}

describe('round trips', () => {
  /** The value as it comes back: what Parquet has no unit for has the next smaller one. */
  const back: Record<string, (value: Value) => Value> = {
    date64: (ms) => Number(ms) / 86_400_000,
    time32s: (seconds) => (seconds as number) * 1_000,
    timestamp_s: (seconds) => (seconds as bigint) * 1_000n,
  };

  test('every type goes through Parquet with its values', async () => {
    await fc.assert(
      fc.asyncProperty(tables(KINDS), async ({ batch, values, schema }) => {
        const expected = values.map((column, at) => {
          const change = back[schema.fields[at]!.name] ?? ((value: Value) => value);
          return column.map((value) => (value === null ? null : change(value)));
        });
        expect(await valuesOfAll(read(await write(batch)))).toEqual(expected);
      }),
      { seed: SEED, numRuns: 25 },
    );
  });

  test('documented losses: the names of some types, and of time zones', async () => {
    const table = tableOf({
      d: { type: new DateMillisecond(), values: [0n] },
      t: { type: new Time(TimeUnit.SECOND, 32), values: [1] },
      s: { type: new Timestamp(TimeUnit.SECOND, 'Europe/Berlin'), values: [1n] },
      n: { type: new Timestamp(TimeUnit.NANOSECOND, null), values: [1n] },
      u: { type: new Duration(TimeUnit.SECOND), values: [1n] },
      x: { type: new Decimal(2, 5, 128), values: [1n], nullable: false },
      y: { type: new Uint64(), values: [2n ** 64n - 1n] },
    });
    const [batch] = await collect(read(await write(table.batch)));
    expect(describeSchema(batch!.schema)).toBe(
      'd: date32, t: time32(ms), s: timestamp(ms, UTC), n: timestamp(ns), u: int64, x: decimal128(5, 2) not null, y: uint64',
    );
  });

  test('hyparquet reads what is written here', async () => {
    const type = new Struct([new Field('a', new Int32(), true)]);
    const { batch } = tableOf({ s: { type, values: [{ a: 1 }, null] }, t: { type: new Utf8(), values: ['ä', null] } });
    const file = await write(batch);
    const buffer = new Uint8Array(file).buffer;
    expect(await parquetReadObjects({ file: buffer })).toMatchObject([{ s: { a: 1 }, t: 'ä' }, { t: null }]);
  });

  test('row groups are sent as they fill', async () => {
    const rows = PARQUET_GROUP_ROWS + 100;
    const { batch } = tableOf({ n: { type: new Int32(), values: Array.from({ length: rows }, (_, at) => at) } });
    const pieces = await collect(writeParquet(batchesOf(batch)));
    expect(pieces.length).toBe(2);
    const bytes = new Uint8Array(Buffer.concat(pieces));
    expect(parquetMetadata(bytes).row_groups.map((group) => Number(group.num_rows))).toEqual([PARQUET_GROUP_ROWS, 100]);
    const [numbers] = await valuesOfAll(read(bytes));
    expect(numbers).toEqual(Array.from({ length: rows }, (_, at) => at));
  });

  test('an empty table keeps its columns', async () => {
    const bytes = await write(tableOf({ n: { type: new Int64(), values: [] } }).batch);
    const [batch] = await collect(read(bytes));
    expect([batch!.numRows, describeSchema(batch!.schema)]).toEqual([0, 'n: int64']);
  });

  test('what Parquet cannot hold is refused with its column', async () => {
    const { batch } = tableOf({ s: { type: new Struct([]), values: [{}] } });
    await expect(write(batch)).rejects.toMatchObject({
      code: 'BAD_SCHEMA',
      detail: 'Column s is struct<>, which Parquet cannot hold.',
    });
    const far = tableOf({ t: { type: new Timestamp(TimeUnit.SECOND, null), values: [2n ** 62n] } });
    await expect(write(far.batch)).rejects.toMatchObject({ code: 'BAD_DATA' });
  });
});

/** A frame of ZSTD that only stores: its size, and blocks of at most 128 KiB. */
function storedZstd(bytes: Uint8Array): Uint8Array {
  const head = Buffer.of(0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0, 0);
  head.writeUInt32LE(bytes.byteLength, 5);
  const blocks = [head];
  for (let start = 0; start < bytes.byteLength || start === 0; start += 1 << 17) {
    const block = bytes.subarray(start, start + (1 << 17));
    const last = start + block.byteLength >= bytes.byteLength ? 1 : 0;
    const size = Buffer.alloc(3);
    size.writeUIntLE(block.byteLength * 8 + last, 0, 3);
    blocks.push(size, Buffer.from(block));
  }
  return new Uint8Array(Buffer.concat(blocks));
}

/** LZ4 of literals alone. */
function storedLz4(bytes: Uint8Array): Uint8Array {
  const rest = bytes.byteLength - 15;
  const lengths = rest < 0 ? [] : [...Array(Math.floor(rest / 255)).fill(255), rest % 255];
  return new Uint8Array(Buffer.concat([Buffer.of(Math.min(15, bytes.byteLength) << 4, ...lengths), bytes]));
}

describe('files of other writers', () => {
  const numbers = Array.from({ length: 3_000 }, (_, at) => at * 7 - 50);
  const texts = numbers.map((number) => `row ${number}`);

  test.each(['SNAPPY', 'GZIP', 'BROTLI', 'ZSTD', 'LZ4_RAW', 'UNCOMPRESSED'] as const)(
    'pages in %s are read',
    async (codec) => {
      const bytes = new Uint8Array(
        parquetWriteBuffer({
          codec,
          compressors: { GZIP: gzipSync, BROTLI: brotliCompressSync, ZSTD: storedZstd, LZ4_RAW: storedLz4 },
          columnData: [
            { name: 'n', data: numbers, type: 'INT32' },
            { name: 't', data: texts, type: 'STRING' },
          ],
        }),
      );
      expect(await valuesOfAll(read(bytes))).toEqual([numbers, texts]);
    },
  );

  test.each([
    ['PLAIN', 'INT32', numbers],
    ['DELTA_BINARY_PACKED', 'INT32', numbers],
    ['DELTA_BINARY_PACKED', 'INT64', numbers.map(BigInt)],
    ['BYTE_STREAM_SPLIT', 'DOUBLE', numbers.map((number) => number / 3)],
    ['RLE_DICTIONARY', 'INT32', numbers.map((number) => Math.abs(number) % 50)],
    ['DELTA_LENGTH_BYTE_ARRAY', 'STRING', texts],
    ['DELTA_BYTE_ARRAY', 'STRING', texts],
    ['RLE', 'BOOLEAN', numbers.map((number) => number % 3 === 0)],
    ['PLAIN', 'BOOLEAN', numbers.map((number) => number % 3 === 0)],
  ] as const)('%s of %s is read', async (encoding, type, data) => {
    const nullable = (data as readonly Value[]).map((value, at) => (at % 5 === 0 ? null : value));
    const columnData = [
      { name: 'x', data: [...data] as never[], type, encoding, nullable: false },
      { name: 'y', data: nullable as never[], type, encoding },
    ];
    expect(await valuesOfAll(read(new Uint8Array(parquetWriteBuffer({ columnData }))))).toEqual([[...data], nullable]);
  });

  test('what is encrypted, or no Parquet, is refused', async () => {
    expect(await outcome(Buffer.from('PAR1....PARE'))).toBe('BAD_DATA');
    expect(await outcome(Buffer.from('no parquet at all'))).toBe('BAD_DATA');
    expect(await outcome(new Uint8Array(0))).toBe('BAD_DATA');
  });
});

describe('strangers', () => {
  test('a file with flipped bits is read or refused, and nothing else', async () => {
    const [table] = fc.sample(tables(KINDS, { minRows: 12 }), { seed: SEED, numRuns: 1 });
    const whole = await write(table!.batch);
    const footer = new DataView(whole.buffer, whole.byteOffset).getUint32(whole.byteLength - 8, true);
    const outcomes: Record<string, number> = {};
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.boolean(), fc.nat(), fc.integer({ min: 1, max: 255 })), { minLength: 1, maxLength: 3 }),
        async (flips) => {
          const bytes = whole.slice();
          for (const [inFooter, where, flip] of flips) {
            const data = whole.byteLength - footer - 8;
            bytes[inFooter ? data + (where % footer) : where % data]! ^= flip;
          }
          const seen = await outcome(bytes);
          outcomes[seen] = (outcomes[seen] ?? 0) + 1;
        },
      ),
      { seed: SEED, numRuns: 250 },
    );
    expect(outcomes['BAD_DATA']).toBeGreaterThan(50);
    expect(outcomes['read']).toBeGreaterThan(20);
  });

  test('a file that is cut off is refused', async () => {
    const bytes = await write(tableOf({ n: { type: new Float64(), values: [1, null, 3] } }).batch);
    for (let end = 0; end < bytes.length; end++) expect(await outcome(bytes.subarray(0, end))).toBe('BAD_DATA');
  });

  test('runs give as many numbers as are asked for, whatever they claim', () => {
    // A run of 2^27 - 1 fives.
    expect(decodeRuns(Uint8Array.of(0xfe, 0xff, 0xff, 0x7f, 5), { width: 3, count: 4 })).toEqual(
      new Uint32Array([5, 5, 5, 5]),
    );
    expect(() => decodeRuns(Uint8Array.of(0x03, 0xff), { width: 3, count: 8 })).toThrow('a run of numbers is cut off');
    expect(() => decodeRuns(new Uint8Array(100), { width: 1, count: 1 })).toThrow('a run of numbers is cut off');
    expect(() => decodeRuns(new Uint8Array(9).fill(0xff), { width: 1, count: 1 })).toThrow(
      'a run of numbers is cut off',
    );
  });

  test('a compressed page never becomes longer than it claims, and never goes round for ever', () => {
    const longMatch = Buffer.concat([Buffer.of(0x1f, 0x61, 1, 0), Buffer.alloc(1 << 20, 0xff), Buffer.of(0)]);
    expect(() => unpackLz4(longMatch, new Uint8Array(100))).toThrow('longer than it claims');
    const backwards = Uint8Array.of(4, 0xfc, 0xfa, 0xff, 0xff, 0xff, 0, 0, 0, 0);
    expect(() => unpackSnappy(backwards, new Uint8Array(100))).toThrow('cut off');
    expect(() => unpackSnappy(Uint8Array.of(4, 0x01, 0x01), new Uint8Array(4))).toThrow('repeats what was not there');
    expect(unpackLz4(Uint8Array.of(0x32, 0x61, 0x62, 0x63, 3, 0, 0x10, 0x64), new Uint8Array(10))).toEqual(
      new Uint8Array(Buffer.from('abcabcabcd')),
    );
  });

  test('lists of lists in the footer take no memory that their bytes do not', async () => {
    const lists = Buffer.concat(Array.from({ length: 30 }, () => Buffer.of(0xf9, 0x80, 0x80, 0x80, 0x0f)));
    const footer = Buffer.concat([Buffer.of(0x29), lists]);
    const length = Buffer.alloc(4);
    length.writeUInt32LE(footer.length);
    const bytes = Buffer.concat([Buffer.from('PAR1'), footer, length, Buffer.from('PAR1')]);
    await expect(collect(read(bytes))).rejects.toMatchObject({
      detail: expect.stringContaining('its metadata has a list of'),
    });
  });
});

describe('spool', () => {
  test('a body is kept up to its limit, read by ranges, and removed', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'polaris-spool-'));
    try {
      const body = Buffer.from('0123456789');
      const path = join(folder, 'body');
      {
        await using kept = await spool(inPieces(body, 3), path, 10);
        expect(kept.bytes).toBe(10);
        expect(Buffer.concat(await collect(kept.read(2, 7))).toString()).toBe('23456');
        expect(Buffer.concat(await collect(kept.read(8, 20))).toString()).toBe('89');
      }
      await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
      await expect(spool(inPieces(body, 3), path, 9)).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' });
      await expect(stat(path)).rejects.toMatchObject({ code: 'ENOENT' });
      await writeFile(path, 'mine');
      await expect(spool(inPieces(body, 3), path, 10)).rejects.toMatchObject({ code: 'EEXIST' });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
