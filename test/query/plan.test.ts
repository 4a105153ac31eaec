/** Plans: what falls apart over rows gives the same as a whole, for every table and every cut. */
import {
  Field,
  Float64,
  Int32,
  Int64,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  Utf8,
  vectorFromArray,
} from 'apache-arrow';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { describeSchema } from '../../src/data/schema.ts';
import { queryBatches } from '../../src/query/memory.ts';
import { planQuery, TABLE_ANSWERS, TABLE_PART } from '../../src/query/plan.ts';

const TYPES = new Map([
  ['k', 'utf8'],
  ['g', 'int32'],
  ['x', 'int64'],
  ['f', 'float64'],
]);
const FIELDS = { k: new Utf8(), g: new Int32(), x: new Int64(), f: new Float64() };
const SCHEMA = new Schema(Object.entries(FIELDS).map(([name, type]) => new Field(name, type, true)));

interface Row {
  readonly k: string | null;
  readonly g: number | null;
  readonly x: bigint | null;
  readonly f: number | null;
}

function batchOf(rows: readonly Row[]): RecordBatch {
  const children = SCHEMA.fields.map(({ name, type }) => {
    const values = rows.map((row) => row[name as keyof Row]);
    return must(vectorFromArray([...values, null], type).slice(0, rows.length).data[0], 'a column');
  });
  return new RecordBatch(
    SCHEMA,
    makeData({ type: new Struct(SCHEMA.fields), length: rows.length, nullCount: 0, children }),
  );
}

const rowArbitrary: fc.Arbitrary<Row> = fc.record({
  k: fc.option(fc.constantFrom('a', 'b', 'ä', ''), { nil: null }),
  g: fc.option(fc.integer({ min: -2, max: 2 }), { nil: null }),
  x: fc.option(fc.bigInt({ min: -5n, max: 2n ** 40n }), { nil: null }),
  // Quarters: whatever the order of their sums, they are the same.
  f: fc.option(
    fc.integer({ min: -40, max: 40 }).map((value) => value / 4),
    { nil: null },
  ),
});

/** Columns with types, and rows in order. */
function contentOf(batches: readonly RecordBatch[]): { readonly columns: string; readonly rows: readonly string[] } {
  const rows = new Table(batches.filter(({ numRows }) => numRows > 0))
    .toArray()
    .map((row: { toJSON(): object }) =>
      JSON.stringify(Object.values(row.toJSON()), (_key, value) => (typeof value === 'bigint' ? `${value}n` : value)),
    );
  return { columns: describeSchema(must(batches[0], 'a batch').schema), rows };
}

function partsOf(rows: readonly Row[], cuts: readonly number[]): Row[][] {
  const places = [0, ...cuts.map((cut) => cut % (rows.length + 1)).sort((one, other) => one - other), rows.length];
  return places.slice(1).map((end, at) => rows.slice(places[at], end));
}

async function planned(sql: string, parts: readonly (readonly Row[])[]) {
  const { plan, reason } = planQuery(sql, TYPES);
  if (plan === null) throw new Error(`${sql}: ${reason}`);
  const answers: RecordBatch[] = [];
  for (const rows of parts)
    answers.push(...(await queryBatches(plan.partial, { name: TABLE_PART, batches: [batchOf(rows)] })));
  return contentOf(await queryBatches(plan.final, { name: TABLE_ANSWERS, batches: answers }));
}

const ORDERED = /ORDER BY/i;
const QUERIES = [
  'SELECT * FROM t',
  'SELECT k, x FROM t WHERE g > 0',
  "SELECT upper(k) AS u, x * 2 AS d, CASE WHEN g > 0 THEN 'p' ELSE 'n' END AS s FROM t WHERE k IS NOT NULL OR x IN (1, 2)",
  'SELECT t.k, t.x FROM t LIMIT 3',
  'SELECT q.x FROM t AS q LIMIT 2 OFFSET 2',
  'SELECT DISTINCT k, g FROM t',
  'SELECT DISTINCT k FROM t ORDER BY k NULLS LAST LIMIT 2',
  'SELECT * FROM t ORDER BY x, g, f, k',
  'SELECT x, k FROM t ORDER BY 1 DESC, 2 LIMIT 3',
  'SELECT count(*) FROM t',
  'SELECT count(*) AS n, count(x) AS c, sum(x) AS s, min(k) AS a, max(f) AS b, avg(x) AS m, avg(f) AS mf, avg(g) AS mg FROM t',
  'SELECT k, count(*) AS n FROM t GROUP BY k',
  'SELECT k, sum(x) FROM t GROUP BY k ORDER BY k',
  'SELECT k, g, sum(x) AS s, sum(g) AS sg, avg(f) AS m FROM t WHERE f > -5 GROUP BY k, g ORDER BY k, g',
  'SELECT upper(k) AS u, min(x) AS a, max(x) AS b FROM t GROUP BY upper(k) ORDER BY u',
  'SELECT k, sum(x) + count(*) * 2 AS v, abs(min(f)) AS w FROM t GROUP BY 1 ORDER BY k',
  'SELECT k, count(*) AS n FROM t GROUP BY k HAVING count(*) > 2 AND sum(g) >= 0 ORDER BY n, k',
  'SELECT g % 2 AS odd, sum(f) AS s FROM t GROUP BY g % 2 ORDER BY odd LIMIT 2 OFFSET 1',
  'SELECT max(x) AS m FROM t WHERE x > 1000000000000000',
  'SELECT sum(x * 2) AS s, sum(CASE WHEN g > 0 THEN 1 ELSE 0 END) AS p FROM t',
];

describe.each(QUERIES)('%s', (sql) => {
  test('planned over any cut of any table is what it is as a whole', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(rowArbitrary, { maxLength: 24 }),
        fc.array(fc.nat(24), { maxLength: 4 }),
        async (rows, cuts) => {
          const whole = contentOf(await queryBatches(sql, { name: 't', batches: [batchOf(rows)] }));
          const found = await planned(sql, partsOf(rows, cuts));
          const isOrdered = ORDERED.test(sql) || /LIMIT/.test(sql) || !/GROUP BY|DISTINCT/.test(sql);
          const arranged = (list: readonly string[]) => (isOrdered ? list : [...list].sort());
          expect({ columns: found.columns, rows: arranged(found.rows) }).toEqual({
            columns: whole.columns,
            rows: arranged(whole.rows),
          });
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe('as a whole', () => {
  test.each<[string, RegExp]>([
    ['SELECT 1 AS one', /no dataset/],
    ['SELECT * FROM t JOIN u ON t.k = u.k', /"t" and "u"/],
    ['SELECT a.k FROM t a JOIN t b ON a.k = b.k', /more than one dataset/],
    ['SELECT k FROM t UNION ALL SELECT k FROM t', /UNION/],
    ['WITH w AS (SELECT * FROM t) SELECT * FROM w', /WITH/],
    ['SELECT k FROM t WHERE x = (SELECT max(x) FROM t)', /query within/],
    ['SELECT k, row_number() OVER (ORDER BY x) AS n FROM t', /row_number|OVER/],
    ['SELECT sum(x) OVER (PARTITION BY k) AS n FROM t', /OVER/],
    ['SELECT k, count(DISTINCT x) AS n FROM t GROUP BY k', /DISTINCT/],
    ['SELECT k, median(x) AS n FROM t GROUP BY k', /median/],
    ['SELECT k, sum(x) / median(x) AS n FROM t GROUP BY k', /median/],
    ['SELECT median(x) AS n FROM t', /median/],
    ['SELECT first(x) AS n FROM t', /first/],
    ['SELECT k, avg(x + 1) AS n FROM t GROUP BY k', /avg/],
    ['SELECT avg(k) AS n FROM t', /avg/],
    ['SELECT k, sum(x) + 1 FROM t GROUP BY k', /AS/],
    ['SELECT k, x, sum(f) AS s FROM t GROUP BY k', /"x"/],
    ['SELECT upper(k) AS k2, sum(x) AS s FROM t GROUP BY k2', /"k2"/],
    ['SELECT k, sum(x) AS s FROM t GROUP BY k HAVING s > 1', /"s"/],
    ['SELECT k FROM t ORDER BY x', /ordered/],
    ['SELECT k, x FROM t ORDER BY x + 1', /ordered/],
    ['SELECT sum(x), min(x) FROM t', /one name/],
    ['SELECT 1 AS one FROM t', /no column/],
    ['SELECT DISTINCT ON (k) k, x FROM t', /DISTINCT ON/],
    ['SELECT k FROM t QUALIFY row_number() OVER (ORDER BY x) = 1', /QUALIFY/],
    ['SELECT unnest(x) AS y FROM t', /unnest/],
    ['SELECT k, count(*) AS n FROM t GROUP BY ALL', /GROUP/],
  ])('%s', (sql, reason) => {
    const found = planQuery(sql, TYPES);
    expect(found.plan).toBeNull();
    expect(found.reason).toMatch(reason);
  });
});
