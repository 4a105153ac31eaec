import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Int64, Utf8 } from 'apache-arrow';
import { describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { INFLATE_BYTES_FREE } from '../../src/base/limits.ts';
import { FORMATS, formatFor, formatNamed, formatOf, formatOfPath } from '../../src/data/formats.ts';
import { decoded, gunzip } from '../../src/data/inflate.ts';
import type { ByteSource } from '../../src/data/sources.ts';
import { batchesOf, bytesOfAll, collect, inPieces, tableOf, valuesOfAll } from './arbitrary.ts';

const name = (find: () => { name: string }) => {
  try {
    return find().name;
  } catch (error) {
    if (error instanceof PolarisError) return error.code;
    throw error;
  }
};

describe('media types', () => {
  test.each([
    ['text/csv', 'csv'],
    ['Text/CSV; Charset="UTF-8"; header=present', 'csv'],
    ['text/csv; charset=latin1', 'UNSUPPORTED_MEDIA_TYPE'],
    ['application/x-ndjson', 'jsonl'],
    ['application/vnd.apache.arrow.file', 'arrow-file'],
    ['application/json', 'UNSUPPORTED_MEDIA_TYPE'],
    ['', 'UNSUPPORTED_MEDIA_TYPE'],
    [undefined, 'UNSUPPORTED_MEDIA_TYPE'],
  ])('a body of %s is %s', (contentType, expected) => {
    expect(name(() => formatOf(contentType))).toBe(expected);
  });

  test.each([
    [undefined, 'arrow'],
    ['*/*', 'arrow'],
    ['text/csv', 'csv'],
    ['text/*', 'csv'],
    ['text/plain', 'NOT_ACCEPTABLE'],
    ['text/plain, */*;q=0.1', 'arrow'],
    ['text/csv;q=0.5, application/vnd.apache.parquet', 'parquet'],
    ['application/jsonl;q=0.4, text/csv;q=0.3, application/*;q=0', 'jsonl'],
    ['*/*, application/vnd.apache.arrow.stream;q=0', 'arrow-file'],
    ['text/csv;q=0', 'NOT_ACCEPTABLE'],
    ['text/csv;q=nonsense', 'csv'],
    ['x'.repeat(2_000), 'NOT_ACCEPTABLE'],
  ])('for %s the answer is %s', (accept, expected) => {
    expect(name(() => formatFor(accept))).toBe(expected);
  });

  test('a refusal names what there is', () => {
    expect(() => formatOf('image/png')).toThrow(
      'A body of "image/png" is not read; send one of application/vnd.apache.arrow.stream, ' +
        'application/vnd.apache.arrow.file, text/csv, application/x-ndjson, application/vnd.apache.parquet, text/plain.',
    );
    expect(() => formatFor('image/png')).toThrow('there are application/vnd.apache.arrow.stream, ');
  });

  test('files say by their names what they are', () => {
    expect(
      ['a.csv', 'b.ARROW', 'c.arrows', 'd.jsonl', 'e.parquet', 'f.txt', 'g'].map((path) => formatOfPath(path)?.name),
    ).toEqual(['csv', 'arrow-file', 'arrow', 'jsonl', 'parquet', 'text', undefined]);
    expect(formatNamed('csv')?.name).toBe('csv');
    expect(formatNamed('xml')).toBeUndefined();
  });
});

describe('every format', () => {
  const table = tableOf({
    t: { type: new Utf8(), values: ['a', 'ü', ''] },
    n: { type: new Int64(), values: [1n, null, -3n] },
  });

  test('what one writes it reads, and its spool is gone afterwards', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'polaris-formats-'));
    const options = { spoolPath: join(folder, 'spool'), spoolBytesMax: 1 << 20 };
    try {
      for (const format of FORMATS) {
        if (format.write === null) continue;
        const bytes = await bytesOfAll(format.write(batchesOf(table.batch)));
        expect(await valuesOfAll(format.read(inPieces(bytes), options)), format.name).toEqual(table.values);
        expect(await readdir(folder)).toEqual([]);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('a source that fails fails the reader with its own error, and a writer pulls no further than it is read', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'polaris-formats-'));
    try {
      for (const format of FORMATS) {
        const bytes =
          format.write === null ? Buffer.from('a\nb\n') : await bytesOfAll(format.write(batchesOf(table.batch)));
        const broken = new Error('the line is cut');
        async function* source(): ByteSource {
          yield bytes.subarray(0, bytes.byteLength >> 1);
          throw broken;
        }
        const options = { spoolPath: join(folder, 'spool'), spoolBytesMax: 1 << 20 };
        await expect(collect(format.read(source(), options)), format.name).rejects.toBe(broken);
        expect(await readdir(folder)).toEqual([]);
      }
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  test('no writer takes a second batch before its first bytes are taken, but for a row group of Parquet', async () => {
    for (const { name: format, write } of FORMATS) {
      if (write === null || format === 'parquet') continue;
      let given = 0;
      async function* batches() {
        for (;;) {
          given++;
          yield tableOf({ t: { type: new Utf8(), values: Array(2_000).fill('x'.repeat(50)) } }).batch;
        }
      }
      const writing = write(batches())[Symbol.asyncIterator]();
      await writing.next();
      expect(given, format).toBe(1);
      await writing.return?.();
    }
  });
});

describe('gzip', () => {
  test('a body comes out as it went in; other encodings are refused', async () => {
    const body = Buffer.from('a,b\n1,2\n'.repeat(10_000));
    const packed = gzipSync(body);
    expect(Buffer.from(await bytesOfAll(decoded(inPieces(packed), 'gzip', body.length)))).toEqual(body);
    expect(Buffer.from(await bytesOfAll(decoded(inPieces(body), undefined, 0)))).toEqual(body);
    expect(() => decoded(inPieces(body), 'br', 1)).toThrow(PolarisError);
  });

  test('it may become as large as the limit, and no larger', async () => {
    const packed = gzipSync(Buffer.alloc(1_000, 'x'));
    expect((await bytesOfAll(gunzip(inPieces(packed), 1_000))).byteLength).toBe(1_000);
    await expect(bytesOfAll(gunzip(inPieces(packed), 999))).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' });
  });

  test('a bomb is found out while it is small', async () => {
    const bomb = gzipSync(Buffer.alloc(64 << 20));
    let seen = 0;
    const explode = async () => {
      for await (const piece of gunzip(inPieces(bomb, 1 << 10), Number.MAX_SAFE_INTEGER)) seen += piece.byteLength;
    };
    await expect(explode()).rejects.toMatchObject({ code: 'BAD_DATA' });
    expect(seen).toBeLessThanOrEqual(INFLATE_BYTES_FREE + (1 << 20));
  });

  test('what is no gzip, or is cut off, is refused; a source that fails keeps its error', async () => {
    const packed = gzipSync(Buffer.from('hello'));
    await expect(bytesOfAll(gunzip(inPieces(Buffer.from('hello')), 10))).rejects.toMatchObject({ code: 'BAD_DATA' });
    await expect(bytesOfAll(gunzip(inPieces(packed.subarray(0, -5)), 10))).rejects.toMatchObject({ code: 'BAD_DATA' });
    const broken = new Error('the line is cut');
    async function* source(): ByteSource {
      yield packed.subarray(0, 8);
      throw broken;
    }
    await expect(bytesOfAll(gunzip(source(), 10))).rejects.toBe(broken);
  });
});

describe('memory', () => {
  /** MiB at the peak: some 100 are Node, the loader of TypeScript and the libraries; a copy of what passes would be 256 and more. */
  const MIB_MAX = 300;

  test.each([
    ['512 MiB of text', 'text', 512],
    ['512 MiB of Arrow', 'arrow', 500],
    ['256 MiB of CSV', 'csv', 256],
    ['256 MiB of JSON lines', 'jsonl', 256],
    ['256 MiB into Parquet and out of it', 'parquet', 256],
  ])('%s take less than 300 MiB on their way', async (_, way, mibMin) => {
    const folder = await mkdtemp(join(tmpdir(), 'polaris-formats-'));
    try {
      const args = ['--import', 'tsx', join(import.meta.dirname, 'memory-child.ts'), way, join(folder, 'spool')];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      const [output, [code]] = await Promise.all([bytesOfAll(child.stdout), once(child, 'exit')]);
      expect(code).toBe(0);
      const { peakMib, bytes } = JSON.parse(Buffer.from(output).toString());
      expect(bytes / 2 ** 20).toBeGreaterThan(mibMin);
      expect(peakMib).toBeGreaterThan(20);
      expect(peakMib).toBeLessThan(MIB_MAX);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
