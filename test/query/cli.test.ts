/** polaris query: tables for a person, formats for a program, and plans. */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { tableFromArrays, tableFromIPC } from 'apache-arrow';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { QUERY_TABLE_ROWS_MAX } from '../../src/base/limits-query.ts';
import { PolarisClient } from '../../src/client/client.ts';
import { run } from '../cli/fake-io.ts';
import { QueryCluster } from './cluster.ts';

let cluster: QueryCluster;
let client: PolarisClient;
const directory = mkdtempSync(join(tmpdir(), 'polaris-query-cli-'));
beforeAll(async () => {
  cluster = await QueryCluster.open(1);
  client = new PolarisClient({ urls: cluster.urls });
  const id = BigInt64Array.from([1n, 2n, 9_007_199_254_740_993n]);
  await client.store(tableFromArrays({ id, region: ['north', 'south', 'north'] }), { name: 'trades' });
});
afterAll(async () => {
  rmSync(directory, { recursive: true });
  await cluster.close();
});

const query = (sql: string, ...words: string[]) => run(['query', sql, ...words], { client });
const GROUPS = 'SELECT region, count(*) AS n FROM trades GROUP BY region ORDER BY n';

test('a table is aligned, and is what a terminal gets', async () => {
  const expected = { exit: 0, stdout: 'REGION   N\nsouth    1\nnorth    2\n', stderr: '' };
  expect(await query(GROUPS, '-o', 'table')).toMatchObject(expected);
  expect(await run(['query', GROUPS], { client, tty: true })).toMatchObject({ stdout: expected.stdout });
  expect(await query('SELECT id FROM trades WHERE id < 0', '-o', 'table')).toMatchObject({ stdout: 'ID\n' });
});

test('JSON is one array, with every digit', async () => {
  const { stdout } = await query('SELECT id FROM trades ORDER BY id DESC LIMIT 2', '-o', 'json');
  expect(stdout).toBe('[\n{"id":"9007199254740993"},\n{"id":2}\n]\n');
  expect((await query('SELECT id FROM trades WHERE id < 0', '-o', 'json')).stdout).toBe('[\n]\n');
  const all = JSON.parse((await query('SELECT a.region FROM trades a CROSS JOIN trades b', '-o', 'json')).stdout);
  expect(all).toHaveLength(9);
});

test('a file has the format of its ending, and appears whole or not at all', async () => {
  const path = join(directory, 'a.arrow');
  expect(await query(GROUPS, path)).toMatchObject({ exit: 0, stdout: '' });
  expect(tableFromIPC(readFileSync(path)).numRows).toBe(2);
  const other = join(directory, 'b.csv');
  expect(await query('SELECT nope FROM trades', other)).toMatchObject({
    exit: 2,
    stderr: expect.stringContaining('BAD_QUERY'),
  });
  expect(existsSync(other)).toBe(false);
  expect((await query(GROUPS, '-o', 'csv')).stdout).toBe('region,n\nsouth,1\nnorth,2\n');
});

test('a long table is cut, and says so on stderr', async () => {
  await client.store(tableFromArrays({ id: Int32Array.from({ length: 3_000 }, (_, at) => at) }), { name: 'many' });
  const { stdout, stderr } = await query('SELECT id FROM many', '-o', 'table');
  expect(stdout.split('\n')).toHaveLength(QUERY_TABLE_ROWS_MAX + 2);
  expect(stderr).toContain(`${QUERY_TABLE_ROWS_MAX} of 3000 rows`);
});

test('- reads the SQL from stdin', async () => {
  const stdin = Readable.from([Buffer.from('SELECT count(*) AS n\n'), Buffer.from('FROM trades -- all of it\n')]);
  expect((await run(['query', '-', '-o', 'csv'], { client, stdin })).stdout).toBe('n\n3\n');
});

test('--job wants a query that falls apart', async () => {
  const whole = await query('SELECT median(id) AS m FROM trades', '--job');
  expect(whole).toMatchObject({ exit: 2, stdout: '', stderr: expect.stringMatching(/BAD_QUERY.*median/s) });
  expect(await query(GROUPS, '--job', '--plan')).toMatchObject({ exit: 2, stderr: expect.stringContaining('USAGE') });
});

test('--plan says what would run where', async () => {
  const planned = await query('SELECT region, avg(id) AS m FROM trades GROUP BY region', '--plan');
  expect(planned.exit).toBe(0);
  expect(planned.stdout).toMatch(/trades +1 +3 /);
  expect(planned.stdout).toMatch(/each range +SELECT region AS "k0"/);
  expect((await query('SELECT median(id) AS m FROM trades', '--plan')).stdout).toMatch(/as a whole.*median/);
  const json = JSON.parse((await query(GROUPS, '--plan', '-o', 'json')).stdout);
  expect(json).toMatchObject({
    datasets: [{ name: 'trades' }],
    plan: { kind: 'groups', dataset: 'trades' },
    reason: null,
  });
});
