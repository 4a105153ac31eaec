/** What the engine answers, against the same worked out by hand in JavaScript; and the types that it reads. */
import {
  Binary,
  Bool,
  type DataType,
  DateDay,
  DateMillisecond,
  Decimal,
  DurationSecond,
  Field,
  FixedSizeBinary,
  Float16,
  Float32,
  Int8,
  Int64,
  List,
  Map_,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  TimeMillisecond,
  TimestampMicrosecond,
  Uint64,
  Utf8,
  vectorFromArray,
} from 'apache-arrow';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { createPrng } from '../../src/base/prng.ts';
import { PolarisClient } from '../../src/client/client.ts';
import { describeSchema } from '../../src/data/schema.ts';
import { QueryCluster } from './cluster.ts';

let cluster: QueryCluster;
let client: PolarisClient;
beforeAll(async () => {
  cluster = await QueryCluster.open(1);
  client = new PolarisClient({ urls: cluster.urls });
  await client.store(
    tableOf(TRADES, { id: new Int64(), region: new Utf8(), product: new Utf8(), amount: new Int64() }),
    { name: 'trades' },
  );
  await client.store(tableOf(REGIONS, { region: new Utf8(), boss: new Utf8() }), { name: 'regions' });
});
afterAll(() => cluster.close());

type Row = Readonly<Record<string, unknown>>;

function tableOf(rows: readonly Row[], types: Readonly<Record<string, DataType>>): Table {
  const fields = Object.entries(types).map(([name, type]) => new Field(name, type, true));
  const children = fields.map(({ name, type }) =>
    must(
      vectorFromArray(
        rows.map((row) => row[name]),
        type,
      ).data[0],
      'a column',
    ),
  );
  const schema = new Schema(fields);
  return new Table([
    new RecordBatch(schema, makeData({ type: new Struct(fields), length: rows.length, nullCount: 0, children })),
  ]);
}

const prng = createPrng(7);
const pick = <T>(items: readonly T[]): T => items[Math.floor(prng.next() * items.length)] as T;
const TRADES = Array.from({ length: 500 }, (_, at) => ({
  id: BigInt(at) + 9_007_199_254_740_000n,
  region: pick(['north', 'south', 'east', null]),
  product: pick(['apple', 'pear', 'nut']),
  amount: pick([null, 1n, 2n, 3n, 5n, 8n]),
}));
const REGIONS = [
  { region: 'north', boss: 'Ann' },
  { region: 'south', boss: null },
  { region: 'west', boss: 'Bo' },
  { region: null, boss: 'nobody' },
];

async function ask(sql: string): Promise<unknown[]> {
  const table = await client.query(sql);
  return table.toArray().map((row: { toJSON(): unknown }) => row.toJSON());
}

const sumOf = (rows: readonly { readonly amount: bigint | null }[]) =>
  rows.reduce((sum, { amount }) => sum + (amount ?? 0n), 0n);
const by = <T>(rows: readonly T[], key: (row: T) => string | null): Map<string | null, T[]> => {
  const groups = new Map<string | null, T[]>();
  for (const row of rows) groups.set(key(row), [...(groups.get(key(row)) ?? []), row]);
  return groups;
};

describe('as worked out by hand', () => {
  test('filters, with the three values of NULL', async () => {
    const kept = TRADES.filter(
      ({ amount, region }) => amount !== null && amount > 2n && region !== null && region !== 'north',
    );
    expect(await ask("SELECT * FROM trades WHERE amount > 2 AND region <> 'north' ORDER BY id")).toEqual(kept);
    const none = TRADES.filter(({ region }) => region === null).map(({ id }) => ({ id }));
    expect(await ask('SELECT id FROM trades WHERE region IS NULL ORDER BY id')).toEqual(none);
    expect(await ask('SELECT id FROM trades WHERE region = NULL')).toEqual([]);
  });

  test('groups', async () => {
    const expected = [...by(TRADES, ({ region }) => region)]
      .map(([region, rows]) => {
        const amounts = rows.flatMap(({ amount }) => amount ?? []);
        const sorted = [...amounts].sort((a, b) => Number(a - b));
        const [least, most] = [sorted[0], sorted.at(-1)];
        const mean = Number(sumOf(rows)) / amounts.length;
        return { region, n: rows.length, c: amounts.length, s: sumOf(rows), least, most, mean };
      })
      .sort((one, other) => one.n - other.n || String(one.region).localeCompare(String(other.region)));
    const found = await ask(
      'SELECT region, count(*) AS n, count(amount) AS c, sum(amount) AS s, min(amount) AS least, max(amount) AS most, avg(amount) AS mean FROM trades GROUP BY region',
    );
    const sorted = (found as typeof expected).sort(
      (one, other) => one.n - other.n || String(one.region).localeCompare(String(other.region)),
    );
    expect(sorted).toEqual(expected);
  });

  test('joins: NULLs meet nobody, and a left side without a right one stays', async () => {
    const bossOf = (region: string | null) => REGIONS.find((row) => region !== null && row.region === region);
    const inner = TRADES.filter(({ region }) => bossOf(region) !== undefined).map(({ id, region }) => ({
      id,
      boss: bossOf(region)?.boss ?? null,
    }));
    expect(await ask('SELECT t.id, r.boss FROM trades t JOIN regions r ON t.region = r.region ORDER BY t.id')).toEqual(
      inner,
    );
    const left = TRADES.map(({ id, region }) => ({ id, boss: bossOf(region)?.boss ?? null }));
    expect(
      await ask('SELECT t.id, r.boss FROM trades t LEFT JOIN regions r ON t.region = r.region ORDER BY t.id'),
    ).toEqual(left);
  });

  test('orders, cuts and drops doubles', async () => {
    const kinds = [...new Set(TRADES.map(({ product, region }) => JSON.stringify({ product, region })))].map((text) =>
      JSON.parse(text),
    );
    const order = (row: { product: string; region: string | null }) => `${row.product} ${row.region ?? '~'}`;
    const expected = kinds.sort((one, other) => (order(one) < order(other) ? -1 : 1)).slice(2, 7);
    expect(
      await ask('SELECT DISTINCT product, region FROM trades ORDER BY product, region NULLS LAST LIMIT 5 OFFSET 2'),
    ).toEqual(expected);
  });

  test('windows', async () => {
    const expected = TRADES.map(({ id, product }) => {
      const peers = TRADES.filter((other) => other.product === product);
      return { id, place: peers.filter((other) => other.id <= id).length, of: sumOf(peers) };
    });
    const sql =
      'SELECT id, row_number() OVER (PARTITION BY product ORDER BY id) AS place, sum(amount) OVER (PARTITION BY product) AS of FROM trades ORDER BY id';
    const found = (await ask(sql)) as { id: bigint; place: number | bigint; of: bigint }[];
    expect(found.map((row) => ({ ...row, place: Number(row.place) }))).toEqual(expected);
  });

  test('queries within queries, and sets of them', async () => {
    const known = new Set(REGIONS.map(({ region }) => region));
    const expected = TRADES.filter(({ region }) => region !== null && known.has(region)).length;
    const sql =
      'WITH big AS (SELECT * FROM trades) SELECT count(*) AS n FROM big WHERE region IN (SELECT region FROM regions WHERE region IS NOT NULL)';
    expect(await ask(sql)).toEqual([{ n: expected }]);
    const all = await ask('SELECT region FROM trades UNION SELECT region FROM regions');
    expect(new Set((all as { region: string | null }[]).map(({ region }) => region))).toEqual(
      new Set(['north', 'south', 'east', 'west', null]),
    );
  });
});

const item = (type: DataType) => new Field('item', type, true);
const MAP = new Map_(
  new Field(
    'entries',
    new Struct([new Field('key', new Utf8(), false), new Field('value', new Int8(), true)]),
    false,
  ) as never,
);
const words = (...numbers: number[]) =>
  Uint32Array.from([...numbers, ...Array.from({ length: 4 - numbers.length }, () => 0)]);

describe('a column of the type', () => {
  test.each<[string, DataType, unknown, string]>([
    ['bool', new Bool(), true, 'bool'],
    ['int8', new Int8(), -7, 'int8'],
    ['int64', new Int64(), 9_007_199_254_740_993n, 'int64'],
    ['uint64', new Uint64(), 18_446_744_073_709_551_615n, 'uint64'],
    ['float16', new Float16(), 1.5, 'float16'],
    ['float32', new Float32(), 0.5, 'float32'],
    ['utf8', new Utf8(), 'äö', 'utf8'],
    ['binary', new Binary(), Uint8Array.of(0, 255), 'binary'],
    ['fixed_size_binary', new FixedSizeBinary(2), Uint8Array.of(1, 2), 'binary'],
    ['date32', new DateDay(), 86_400_000, 'date32'],
    ['date64', new DateMillisecond(), 86_400_000, 'timestamp(ms)'],
    ['time32', new TimeMillisecond(), 5, 'time64(ns)'],
    ['timestamp', new TimestampMicrosecond('UTC'), 1_700_000_000_123, 'timestamp(us, UTC)'],
    ['duration', new DurationSecond(), 5n, 'duration(ms)'],
    ['decimal', new Decimal(2, 20, 128), words(12_345), 'decimal128(20, 2)'],
    ['list', new List(item(new Int64())), [1n, null], 'large_list<int64>'],
    ['struct', new Struct([new Field('a', new Utf8(), true)]), { a: 'x' }, 'struct<a: utf8>'],
  ])('%s passes with its NULLs', async (name, type, value, as) => {
    await client.store(tableOf([{ c: value }, { c: null }], { c: type }), { name });
    const table = await client.query(`SELECT c FROM "${name}" WHERE true`);
    expect(describeSchema(table.schema)).toBe(`c: ${as}`);
    const [found, missing] = [table.get(0)?.['c'], table.get(1)?.['c']];
    expect(missing).toBeNull();
    const plain = (given: unknown): unknown =>
      JSON.stringify(given, (_key, inner) => (typeof inner === 'bigint' ? String(inner) : inner));
    // Times of day and durations are counted in smaller units, and mean the same; a decimal is shown by its digits.
    const meant = new Map<string, unknown>(
      Object.entries({ time32: 5_000_000n, duration: 5_000n, decimal: '"12345"' }),
    );
    expect(plain(found)).toBe(plain(meant.get(name) ?? value));
  });

  test.each<[string, DataType, unknown]>([
    ['map', MAP, new Map([['a', 1]])],
    ['decimal256', new Decimal(2, 50, 256), new Uint32Array(8)],
    ['list of maps', new List(item(MAP)), null],
  ])('%s is refused by name', async (name, type, value) => {
    const dataset = name.replaceAll(' ', '-');
    await client.store(tableOf([{ c: value }], { c: type }), { name: dataset });
    await expect(client.query(`SELECT 1 AS one FROM "${dataset}"`)).rejects.toMatchObject({
      code: 'BAD_QUERY',
      detail: expect.stringMatching(/column c.* of type .*(map|decimal256)/),
    });
  });
});
