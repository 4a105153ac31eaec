import { Decimal, Field, Float64, Int64, Map_, Struct, Timestamp, TimeUnit, Utf8 } from 'apache-arrow';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { INFER_ROWS_MAX } from '../../src/base/limits.ts';
import type { GivenTypes } from '../../src/data/cells.ts';
import { readJsonLines } from '../../src/data/json-in.ts';
import { writeJsonLines } from '../../src/data/json-out.ts';
import { describeSchema } from '../../src/data/schema.ts';
import type { Value } from '../../src/data/values.ts';
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
  const batches = await collect(readJsonLines(inPieces(Buffer.from(text), size), types));
  return { schema: describeSchema(batches[0]!.schema), values: await valuesOfAll(batchesOf(...batches)) };
}

const written = async ({ batch }: Table) => Buffer.from(await bytesOfAll(writeJsonLines(batchesOf(batch)))).toString();

describe('JSON lines in', () => {
  test('keys are columns, in the order in which they are seen; what is missing is null', async () => {
    const text = '{"b":1,"a":"x"}\n\n{"a":null,"c":[1,null,2.5]}\r\n{"d":{"e":true,"f":{"g":[]}}}';
    expect(await read(text)).toEqual({
      schema: 'b: int64, a: utf8, c: list<float64>, d: struct<e: bool, f: struct<g: list<utf8>>>',
      values: [
        [1n, null, null],
        ['x', null, null],
        [null, [1, null, 2.5], null],
        [null, null, { e: true, f: { g: [] } }],
      ],
    });
  });

  test('integers keep all their digits, as numbers and as texts beside numbers', async () => {
    expect(await read('{"n":12345678901234567}\n{"n":"9223372036854775807"}\n{"n":-1}\n')).toEqual({
      schema: 'n: int64',
      values: [[12_345_678_901_234_567n, 9_223_372_036_854_775_807n, -1n]],
    });
    expect(await read('{"n":"12345678901234567"}\n')).toEqual({ schema: 'n: utf8', values: [['12345678901234567']] });
    expect(await read('{"n":{"m":[12345678901234567]},"t":"1234567890123456789"}')).toMatchObject({
      values: [[{ m: [12_345_678_901_234_567n] }], ['1234567890123456789']],
    });
    expect(await read('{"n":18446744073709551615}')).toEqual({ schema: 'n: utf8', values: [['18446744073709551615']] });
  });

  test('floats have their names beside numbers', async () => {
    expect(await read('{"x":1.5}\n{"x":"NaN"}\n{"x":"-Infinity"}\n{"x":-0}\n{"x":2}\n')).toEqual({
      schema: 'x: float64',
      values: [[1.5, Number.NaN, -Infinity, -0, 2]],
    });
    expect((await read('{"x":"NaN"}\n')).schema).toBe('x: utf8');
  });

  test('given types are kept', async () => {
    const types = { a: 'utf8', b: 'float64', z: 'bool' } as const;
    expect(await read('{"a":1,"b":1}\n{"a":{"x":[12345678901234567]},"b":"2.5"}\n', types)).toEqual({
      schema: 'a: utf8, b: float64, z: bool',
      values: [
        ['1', '{"x":[12345678901234567]}'],
        [1, 2.5],
        [null, null],
      ],
    });
  });

  test('a column may be called anything', async () => {
    const { values } = await read('{"__proto__":1,"constructor":{"__proto__":"x"},"":true}\n{"toString":2}\n');
    expect(values).toEqual([
      [1n, null],
      [{ ['__proto__']: 'x' }, null],
      [true, null],
      [null, 2n],
    ]);
  });

  const hint = (name: string) => `give the type with types: { "${name}": 'utf8' }`;
  test.each([
    ['{"a":1}\n{"a":\n', 'Line 2 is no JSON: "{\\"a\\":".'],
    ['\n[1]\n', 'Line 2 is no object, so it has no columns: "[1]".'],
    ['7', 'Line 1 is no object, so it has no columns: "7".'],
    ['{"a":1}\n{"a":"x"}\n', `Line 2, column "a": the value is text where rows before it have int; ${hint('a')}.`],
    [
      '{"a":{"b":1}}\n{"a":{"b":[]}}\n',
      `Line 2, column "a": the value is a list where rows before it have int; ${hint('a')}.`,
    ],
    [
      `{"a":${'['.repeat(40)}${']'.repeat(40)}}`,
      `Line 1, column "a": the value lies deeper than 32 values; ${hint('a')}.`,
    ],
  ])('%j is refused with its place', async (text, detail) => {
    await expect(read(text)).rejects.toMatchObject({ code: 'BAD_DATA', detail });
  });

  test('a later value that does not fit, and a later key, name their place', async () => {
    const rows = '{"n":1,"s":{"a":1}}\n'.repeat(INFER_ROWS_MAX);
    const at = `Line ${INFER_ROWS_MAX + 1}`;
    await expect(read(`${rows}{"n":1.5}\n`, {}, 4096)).rejects.toMatchObject({
      detail: `${at}, column "n": the value is 1.5, which is no int64; ${hint('n')}.`,
    });
    await expect(read(`${rows}{"m":1}\n`, {}, 4096)).rejects.toMatchObject({
      detail: `${at}, column "m": the value has "m", which the first rows have not; ${hint('m')}.`,
    });
    await expect(read(`${rows}{"s":{"b":1}}\n`, {}, 4096)).rejects.toMatchObject({
      detail: `${at}, column "s": the value has "b", which the first rows have not; ${hint('s')}.`,
    });
    expect((await read(`${rows}{"m":1}\n`, { m: 'int64' }, 4096)).schema).toBe(
      'n: int64, s: struct<a: int64>, m: int64',
    );
  });

  test('nesting without end is refused, whatever types are given', async () => {
    const deep = `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    await expect(read(deep, {}, 1 << 16)).rejects.toMatchObject({ code: 'BAD_DATA' });
    await expect(read(deep, { a: 'utf8' }, 1 << 16)).rejects.toMatchObject({ code: 'BAD_DATA' });
    const objects = `{"a":${'{"x":'.repeat(100_000)}12345678901234567${'}'.repeat(100_000)}}`;
    await expect(read(objects, { a: 'utf8' }, 1 << 16)).rejects.toMatchObject({ code: 'BAD_DATA' });
  });
});

describe('JSON lines out', () => {
  test('every type has its JSON', async () => {
    const entries = new Struct([new Field('key', new Utf8(), false), new Field('value', new Float64(), true)]);
    const table = tableOf({
      n: { type: new Int64(), values: [2n ** 53n - 1n, 2n ** 53n, null] },
      f: { type: new Float64(), values: [Infinity, -0, 1e300] },
      t: { type: new Timestamp(TimeUnit.MICROSECOND, null), values: [0n, null, -62_135_596_800_000_001n] },
      d: { type: new Decimal(0, 5, 128), values: [-7n, null, 0n] },
      m: { type: new Map_(new Field('entries', entries, false) as never), values: [[['k"', 1.5]] as Value, [], null] },
    });
    expect(await written(table)).toBe(
      [
        '{"n":9007199254740991,"f":"Infinity","t":"1970-01-01T00:00:00.000000","d":"-7","m":[{"key":"k\\"","value":1.5}]}',
        '{"n":"9007199254740992","f":-0,"t":null,"d":null,"m":[]}',
        '{"n":null,"f":1e+300,"t":"0000-12-31T23:59:59.999999","d":"0","m":null}',
        '',
      ].join('\n'),
    );
  });

  test('texts, integers, floats, booleans, lists and structs of them come back', async () => {
    const { utf8, int64, float64, bool } = LEAVES as Required<typeof LEAVES>;
    const kinds = { utf8: utf8!, int64: int64!, float64: float64!, bool: bool! };
    await fc.assert(
      fc.asyncProperty(tables(kinds), async (table) => {
        const bytes = await bytesOfAll(writeJsonLines(batchesOf(table.batch)));
        const types = { utf8: 'utf8', int64: 'int64', float64: 'float64', bool: 'bool' } as const;
        expect(await valuesOfAll(readJsonLines(inPieces(bytes), types))).toEqual(table.values);
      }),
      { seed: SEED, numRuns: 100 },
    );
    const nested = '{"l":[[1],null,[]],"s":{"a":["x",null],"b":{"c":true}}}\n{"l":null,"s":null}\n';
    const batches = await collect(readJsonLines(inPieces(Buffer.from(nested))));
    expect(Buffer.from(await bytesOfAll(writeJsonLines(batchesOf(...batches)))).toString()).toBe(nested);
  });

  test('documented losses: what JSON has no type for comes back as text or number', async () => {
    const table = tableOf({
      t: { type: new Timestamp(TimeUnit.SECOND, 'UTC'), values: [0n] },
      f: { type: new Float64(), values: [1] },
    });
    expect(await read(await written(table))).toEqual({
      schema: 't: utf8, f: int64',
      values: [['1970-01-01T00:00:00Z'], [1n]],
    });
  });
});
