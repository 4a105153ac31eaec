/** What a query may ask for, and which datasets it reads: everything else is refused before any engine sees it. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PolarisError } from '../../src/base/errors.ts';
import { QUERY_DATASETS_MAX, QUERY_DEPTH_MAX, QUERY_SQL_CHARACTERS_MAX } from '../../src/base/limits-query.ts';
import { parseStatement } from '../../src/query/statement.ts';
import { type TokenKind, textOf, tokensOf } from '../../src/query/tokens.ts';

function refusalOf(sql: string): string {
  try {
    parseStatement(sql);
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: 'BAD_QUERY' });
    return (thrown as PolarisError).detail;
  }
  throw new Error(`this was taken: ${sql}`);
}

describe('the datasets of a query', () => {
  test.each<[string, string[]]>([
    ['SELECT 1', []],
    ['SELECT * FROM trades', ['trades']],
    ['select * from trades t join "order.items-2" as o on t.id = o.id', ['trades', 'order.items-2']],
    ['SELECT * FROM a, b CROSS JOIN c LEFT JOIN d USING (id)', ['a', 'b', 'c', 'd']],
    ['SELECT * FROM my.data.set AS m', ['my.data.set']],
    ['SELECT * FROM a UNION ALL SELECT * FROM b EXCEPT SELECT * FROM a', ['a', 'b']],
    ['(SELECT * FROM a) UNION (SELECT * FROM b)', ['a', 'b']],
    ['SELECT * FROM (SELECT x FROM a WHERE y IN (SELECT y FROM b)) s', ['a', 'b']],
    ['WITH a AS (SELECT * FROM b), c AS (SELECT * FROM a) SELECT * FROM c JOIN a ON true', ['b']],
    ['WITH a AS (SELECT * FROM a) SELECT * FROM a', ['a']],
    ['SELECT * FROM (WITH x AS (SELECT 1 AS one) SELECT * FROM x) AS s JOIN x ON true', ['x']],
    ['SELECT * FROM (a JOIN b ON a.id = b.id) JOIN c ON true', ['a', 'b', 'c']],
    ['SELECT EXTRACT(year FROM day), TRIM(both FROM word) FROM a', ['a']],
    ['SELECT * FROM a WHERE x IS NOT DISTINCT FROM y AND z IS DISTINCT FROM w', ['a']],
    ['SELECT \'FROM b\' AS "FROM c" -- FROM d\n FROM a /* JOIN e */', ['a']],
    ['SELECT x, y FROM a GROUP BY x, y ORDER BY x, y', ['a']],
  ])('%s', (sql, datasets) => {
    expect(parseStatement(sql).datasets).toEqual(datasets);
  });
});

describe('refused', () => {
  test.each([
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM READ_CSV ('/etc/passwd')",
    "SELECT * FROM scan_parquet('/etc/passwd') AS t",
    'SELECT * FROM "read_csv"(\'/etc/passwd\')',
    "SELECT * FROM main.read_csv('/etc/passwd')",
    "SELECT * FROM a JOIN read_ipc('/x') ON true",
    "SELECT * FROM a, read_json('/x')",
    "SELECT * FROM (read_csv('/x'))",
    "SELECT * FROM (SELECT * FROM read_csv('/x'))",
    "WITH x AS (SELECT * FROM read_csv('/x')) SELECT * FROM x",
    "SELECT (SELECT max(a) FROM read_csv('/x')) FROM a",
    "SELECT read_csv('/x') FROM a",
    'SELECT "read_csv"(\'/x\') FROM a',
    "SELECT * FROM a WHERE x IN (SELECT y FROM read_csv/**/('/x'))",
    "SELECT * FROM a AS read_csv('/x')",
    "SELECT * FROM 'a.csv'",
    "SELECT * FROM '/etc/passwd'",
    'SELECT * FROM unnest([1, 2])',
    'CREATE TABLE x AS SELECT * FROM a',
    'DROP TABLE a',
    'TRUNCATE TABLE a',
    'DELETE FROM a',
    'INSERT INTO a VALUES (1)',
    'UPDATE a SET x = 1',
    'SHOW TABLES',
    'EXPLAIN SELECT * FROM a',
    'TABLE a',
    'FROM a',
    "COPY a TO '/tmp/x'",
    'WITH x AS (DELETE FROM a) SELECT * FROM x',
    'WITH x AS (DROP TABLE a) SELECT * FROM x',
    'WITH RECURSIVE x AS (SELECT 1) SELECT * FROM x',
    'WITH x (a) AS (SELECT 1) SELECT * FROM x',
    'WITH x AS (SELECT 1) DROP TABLE a',
    'SELECT * FROM (DELETE FROM a)',
    'SELECT * INTO x FROM a',
    'SELECT 1; SELECT 2',
    'SELECT 1;;',
    '',
    ';',
    '-- nothing',
    'SELECT (1',
    'SELECT 1)',
    'SELECT [1)',
    'SELECT * FROM',
    'SELECT * FROM a.',
    "SELECT 'open",
    'SELECT "open',
    'SELECT ""',
    'SELECT /* open',
    'SELECT /* a /* b */ c */ 1',
    "SELECT E'\\'' FROM a",
    "SELECT N'x'",
    "SELECT X'41'",
    'SELECT $$x$$',
    'SELECT $a$x$a$',
    'SELECT `a` FROM a',
    'SELECT 1 # comment',
    'SELECT @a',
    'SELECT $1',
    "SELECT 'a\0b'",
    'SELECT 1a',
    'SELECT ünter FROM a',
    'SELECT \u0000',
  ])('%s', (sql) => {
    expect(refusalOf(sql)).not.toBe('');
  });

  test('the place is named', () => {
    expect(refusalOf("SELECT *\n  FROM read_csv('/x')")).toMatch(/^line 2, column 8: read_csv/);
    expect(refusalOf('SELECT `a`')).toMatch(/^line 1, column 8: /);
  });

  test('beyond the limits of length, depth and datasets, and not at them', () => {
    const padded = `SELECT 1${' '.repeat(QUERY_SQL_CHARACTERS_MAX - 8)}`;
    expect(parseStatement(padded).text).toBe('SELECT 1');
    expect(refusalOf(`${padded} `)).toContain('longer');
    const deep = (depth: number) => `SELECT ${'('.repeat(depth)}1${')'.repeat(depth)}`;
    expect(parseStatement(deep(QUERY_DEPTH_MAX)).datasets).toEqual([]);
    expect(refusalOf(deep(QUERY_DEPTH_MAX + 1))).toContain('deep');
    const many = (count: number) => `SELECT * FROM ${Array.from({ length: count }, (_, at) => `t${at}`).join(', ')}`;
    expect(parseStatement(many(QUERY_DATASETS_MAX)).datasets).toHaveLength(QUERY_DATASETS_MAX);
    expect(refusalOf(many(QUERY_DATASETS_MAX + 1))).toContain(String(QUERY_DATASETS_MAX));
  });
});

describe('the text for the engine', () => {
  test.each([
    ['select  a.b ,"x""y"  from  my.data  -- end', 'select a.b , "x""y" from "my.data"'],
    ["SELECT 'it''s' || '--' /* x */ FROM a;", "SELECT 'it''s' || '--' FROM \"a\""],
    ["SELECT U&'x'", "SELECT U & 'x'"],
    ['SELECT 1--1\n-1', 'SELECT 1 - 1'],
    ['SELECT - -1, 1.5e-3, .5, t.*', 'SELECT - - 1 , 1.5e-3 , .5 , t.*'],
    ['SELECT x::decimal(10,2)', 'SELECT x :: decimal ( 10 , 2 )'],
  ])('%s', (sql, text) => {
    expect(parseStatement(sql).text).toBe(text);
  });

  test('is cut into the same tokens again', () => {
    const word = fc.stringMatching(/^[A-Za-z_][A-Za-z0-9_]{0,5}$/);
    const quoted = fc.string({ minLength: 1, maxLength: 6 }).filter((text) => !text.includes('\0'));
    const token = fc.oneof(
      word.map((text) => ({ kind: 'word' as TokenKind, text })),
      quoted.map((text) => ({ kind: 'name' as TokenKind, text })),
      quoted.map((text) => ({ kind: 'text' as TokenKind, text })),
      fc.constantFrom('1', '2.5', '1e3').map((text) => ({ kind: 'number' as TokenKind, text })),
      fc
        .constantFrom('+', '-', '*', '/', ',', '(', ')', '<=', '::', '||')
        .map((text) => ({ kind: 'sign' as TokenKind, text })),
    );
    fc.assert(
      fc.property(fc.array(token, { maxLength: 12 }), (tokens) => {
        expect(tokensOf(textOf(tokens)).map(({ kind, text }) => ({ kind, text }))).toEqual(tokens);
      }),
    );
  });
});
