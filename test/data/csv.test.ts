import {
  Binary,
  Bool,
  DateDay,
  Decimal,
  Duration,
  Field,
  Float64,
  Int64,
  List,
  Struct,
  Timestamp,
  TimeUnit,
  Utf8,
} from 'apache-arrow';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { INFER_ROWS_MAX, LINE_BYTES_MAX } from '../../src/base/limits.ts';
import type { GivenTypes } from '../../src/data/cells.ts';
import { readCsv } from '../../src/data/csv-in.ts';
import { writeCsv } from '../../src/data/csv-out.ts';
import { describeSchema } from '../../src/data/schema.ts';
import { structOf } from '../../src/data/values.ts';
import {
  batchesOf,
  bytesOfAll,
  collect,
  inPieces,
  LEAVES,
  SEED,
  type Table,
  tableOf,
  tables,
  valuesOfAll,
} from './arbitrary.ts';

async function read(text: string, types?: GivenTypes, size = 5) {
  const batches = await collect(readCsv(inPieces(Buffer.from(text), size), types));
  return { schema: describeSchema(batches[0]!.schema), values: await valuesOfAll(batchesOf(...batches)) };
}

const written = async ({ batch }: Table) => Buffer.from(await bytesOfAll(writeCsv(batchesOf(batch)))).toString();

describe('CSV in', () => {
  test('types are inferred from the texts', async () => {
    expect(await read('i,f,b,t,zip,e\n1,1,true,x,007,\n-2,2.5,FALSE,y,1,\n,,,,,\n')).toEqual({
      schema: 'i: int64, f: float64, b: bool, t: utf8, zip: utf8, e: utf8',
      values: [
        [1n, -2n, null],
        [1, 2.5, null],
        [true, false, null],
        ['x', 'y', ''],
        ['007', '1', ''],
        ['', '', ''],
      ],
    });
  });

  test.each([
    ['9223372036854775807', 'int64'],
    ['-9223372036854775808', 'int64'],
    ['9223372036854775808', 'utf8'],
    ['-0', 'float64'],
    ['+1', 'utf8'],
    ['1e5', 'float64'],
    ['NaN', 'float64'],
    ['-inf', 'float64'],
    ['00.5', 'utf8'],
    ['0x10', 'utf8'],
    ['1_000', 'utf8'],
    ['yes', 'utf8'],
    [' 1', 'utf8'],
    ['2026-11-21', 'utf8'],
  ])('%s is a %s', async (cell, type) => {
    expect((await read(`x\n${cell}\n`)).schema).toBe(`x: ${type}`);
  });

  test('given types are kept', async () => {
    const types = { a: 'utf8', b: 'float64', c: 'int64' } as const;
    expect(await read('a,b,c\n1,2,+007\n', types)).toEqual({
      schema: 'a: utf8, b: float64, c: int64',
      values: [['1'], [2], [7n]],
    });
  });

  test('quotes hold commas, line ends, quotes and nothing', async () => {
    const text = 'a,"b ""c"""\r\n"1,2","x\r\ny"\r\n"","z""z"\r\n5" pipe,q\r\n';
    for (let size = 1; size < 12; size++) {
      expect(await read(text, {}, size)).toEqual({
        schema: 'a: utf8, "b \\"c\\"": utf8',
        values: [
          ['1,2', '', '5" pipe'],
          ['x\r\ny', 'z"z', 'q'],
        ],
      });
    }
  });

  test('the last line needs no end, and empty lines are no rows', async () => {
    expect((await read('a\n\n1\n\r\n2')).values).toEqual([[1n, 2n]]);
    expect((await read('a,b\n1,')).values).toEqual([[1n], ['']]);
    expect(await read('a,b')).toEqual({ schema: 'a: utf8, b: utf8', values: [[], []] });
    expect(await read('\ufeffa\n1')).toEqual({ schema: 'a: int64', values: [[1n]] });
  });

  test.each([
    ['', 'CSV needs a header line with the names of the columns.'],
    ['a,\n1,2\n', 'Line 1: column 2 of the header has no name.'],
    ['a,b\n1,2\n3\n', 'Line 3 has 1 cell and the header 2.'],
    ['a,b\n"1\n1",2\n3,4,5\n', 'Line 4 has 3 cells and the header 2.'],
    ['a,b\n1,"2\n\n', 'Line 2: a quote is opened in this row and never closed.'],
    [
      'a,b\n\n1,"2" 3\n',
      'Line 3: something stands behind the closing quote of a cell; quotes inside a cell are doubled.',
    ],
  ])('%j is refused with its place', async (text, detail) => {
    for (const size of [1, 3, 100])
      await expect(read(text, {}, size)).rejects.toMatchObject({ code: 'BAD_DATA', detail });
  });

  test('two columns of one name are refused, and types for columns that are not there', async () => {
    await expect(read('a,a\n1,2\n')).rejects.toMatchObject({ code: 'BAD_SCHEMA', detail: 'There are two columns a.' });
    await expect(read('a\n1\n', { b: 'int64' })).rejects.toMatchObject({ code: 'BAD_DATA' });
  });

  test('a later cell that does not fit names line, column and cell, and how to give the type', async () => {
    const text = `n,t\n${'1,x\n'.repeat(INFER_ROWS_MAX)}1.5,x\n`;
    await expect(read(text, {}, 4096)).rejects.toMatchObject({
      code: 'BAD_DATA',
      detail: `Line ${INFER_ROWS_MAX + 2}, column "n": "1.5" is no int64; give the type with types: { "n": 'utf8' }.`,
    });
    expect((await read(text, { n: 'float64' }, 4096)).schema).toBe('n: float64, t: utf8');
  });

  test('a row is refused when it is too long, also while its quote is open', async () => {
    const long = 'x'.repeat(LINE_BYTES_MAX);
    await expect(read(`a\n${long}x\n`, {}, 1 << 16)).rejects.toMatchObject({ code: 'BAD_DATA' });
    await expect(read(`a\n"${'x\n'.repeat(LINE_BYTES_MAX)}`, {}, 1 << 16)).rejects.toMatchObject({
      code: 'BAD_DATA',
      detail: expect.stringMatching(/^Line 2: .* perhaps a quote is never closed\.$/),
    });
  });

  test('text that is not UTF-8 is named', async () => {
    const bytes = Buffer.concat([Buffer.from('a\nb\n'), Buffer.of(0xff)]);
    await expect(collect(readCsv(inPieces(bytes)))).rejects.toMatchObject({ detail: 'Line 3 is not UTF-8.' });
  });
});

describe('CSV out', () => {
  test('every type has its text', async () => {
    const table = tableOf({
      'a,b': { type: new Utf8(), values: ['x', '', null, '"'] },
      f: { type: new Float64(), values: [1, -0, 1e21, Number.NaN] },
      i: { type: new Int64(), values: [2n ** 63n - 1n, null, 0n, -1n] },
      t: { type: new Timestamp(TimeUnit.NANOSECOND, 'UTC'), values: [1n, -1n, null, 1_700_000_000_123_456_789n] },
      d: { type: new DateDay(), values: [0, -1, 11_016, -719_528] },
      m: { type: new Decimal(2, 10, 128), values: [-5n, 12_345n, 0n, null] },
      y: { type: new Binary(), values: [Uint8Array.of(1, 2), Uint8Array.of(), null, null] },
      l: { type: new List(new Field('item', new Utf8(), true)), values: [['a', null], [], null, ['"']] },
      u: { type: new Duration(TimeUnit.MILLISECOND), values: [5n, null, null, null] },
    });
    expect(await written(table)).toBe(
      [
        '"a,b",f,i,t,d,m,y,l,u',
        'x,1.0,9223372036854775807,1970-01-01T00:00:00.000000001Z,1970-01-01,-0.05,AQI=,"[""a"",null]",5',
        '"",-0.0,,1969-12-31T23:59:59.999999999Z,1969-12-31,123.45,,[],',
        ',1e+21,0,,2000-02-29,0.00,,,',
        '"""",NaN,-1,2023-11-14T22:13:20.123456789Z,0000-01-01,,,"[""\\""""]",',
        '',
      ].join('\n'),
    );
  });

  test('texts, 64-bit integers, floats and booleans come back, but for null texts, which are empty', async () => {
    const { utf8, int64, float64, bool } = LEAVES as Required<typeof LEAVES>;
    const kinds = { utf8: utf8!, int64: int64!, float64: float64!, bool: bool! };
    await fc.assert(
      fc.asyncProperty(tables(kinds), async (table) => {
        const [texts, ...others] = table.values;
        const bytes = await bytesOfAll(writeCsv(batchesOf(table.batch)));
        const types = { utf8: 'utf8', int64: 'int64', float64: 'float64', bool: 'bool' } as const;
        const back = await valuesOfAll(readCsv(inPieces(bytes), types));
        expect(back).toEqual([texts!.map((text) => text ?? ''), ...others]);
      }),
      { seed: SEED, numRuns: 100 },
    );
  });

  test('what is inferred of floats and integers is what they were', async () => {
    const { int64, float64 } = LEAVES as Required<typeof LEAVES>;
    await fc.assert(
      fc.asyncProperty(tables({ i: int64!, f: float64! }, { minRows: 1 }), async (table) => {
        if (table.values.some((column) => column.every((value) => value === null))) return;
        const batches = await collect(readCsv(inPieces(await bytesOfAll(writeCsv(batchesOf(table.batch))))));
        expect(describeSchema(batches[0]!.schema)).toBe('i: int64, f: float64');
        expect(await valuesOfAll(batchesOf(...batches))).toEqual(table.values);
      }),
      { seed: SEED, numRuns: 100 },
    );
  });

  test('a row of one null is still a row', async () => {
    const table = tableOf({ x: { type: new Bool(), values: [null, true, null] } });
    const text = await written(table);
    expect(text).toBe('x\n""\ntrue\n""\n');
    expect((await read(text)).values).toEqual([[null, true, null]]);
  });

  test('structs are JSON in a cell', async () => {
    const type = new Struct([new Field('a', new Int64(), true), new Field('b', new Utf8(), true)]);
    const struct = structOf(['a', 'b'], (at) => [2n ** 60n, 'x'][at]!);
    expect(await written(tableOf({ s: { type, values: [struct] } }))).toBe(
      's\n"{""a"":""1152921504606846976"",""b"":""x""}"\n',
    );
  });
});
