/** Queries from end to end: nodes with real sockets, engines that are processes, and clients that go away. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Table, tableFromArrays } from 'apache-arrow';
import { afterEach, describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { PolarisError } from '../../src/base/errors.ts';
import { QUERIES_OPEN_MAX } from '../../src/base/limits-query.ts';
import { PolarisClient } from '../../src/client/client.ts';
import { bytesOf } from '../../src/data/sources.ts';
import { QueryCluster, type QueryClusterOptions } from './cluster.ts';

let cluster: QueryCluster;
let client: PolarisClient;
afterEach(() => cluster.close());

async function open(count = 1, options: QueryClusterOptions = {}): Promise<void> {
  cluster = await QueryCluster.open(count, options);
  client = new PolarisClient({ urls: cluster.urls });
}

const TRADES = {
  id: BigInt64Array.from([1n, 2n, 3n, 9_007_199_254_740_993n]),
  region: ['north', 'south', 'north', null],
  amount: Float64Array.from([10, 20, 30, 40]),
};

const put = (name: string, columns: Parameters<typeof tableFromArrays>[0] = TRADES) =>
  client.store(tableFromArrays(columns), { name });

const rowsOf = (table: Table): unknown[] => table.toArray().map((row: { toJSON(): unknown }) => row.toJSON());
const ask = async (sql: string): Promise<unknown[]> => rowsOf(await client.query(sql));

async function errorOf(promise: Promise<unknown>): Promise<PolarisError> {
  const thrown = await promise.then(
    () => new Error('nothing was thrown'),
    (cause: unknown) => cause,
  );
  if (thrown instanceof PolarisError) return thrown;
  throw thrown;
}

/** Takes minutes where nobody ends it: each row with each row of each row. */
const ENDLESS = 'SELECT sum(a.id * b.id + c.id) AS s FROM many a CROSS JOIN many b CROSS JOIN many c';
const putMany = () => put('many', { id: BigInt64Array.from({ length: 20_000 }, (_, at) => BigInt(at)) });
/** Of all nodes: nothing of a query is left on the disk. */
const leftovers = () => cluster.data.nodes.flatMap(({ spoolDir }) => readdirSync(spoolDir));

describe('an answer', () => {
  test('is the same from every node, with the versions that were read', async () => {
    await open(3);
    await put('trades');
    const { version } = await put('trades');
    for (const url of cluster.urls) {
      const one = new PolarisClient({ urls: [url] });
      const { rows, versions, contentType, body } = await one.queries.get('SELECT id FROM trades WHERE amount > 15');
      expect({ rows, contentType, versions: [...versions] }).toEqual({
        ...{ rows: 3, contentType: 'application/vnd.apache.arrow.stream' },
        versions: [['trades', version]],
      });
      await bytesOf(body);
    }
  });

  test('has 64-bit integers to the last digit, NULLs, and groups', async () => {
    await open();
    await put('trades');
    expect(await ask('SELECT id FROM trades WHERE id = 9007199254740993')).toEqual([{ id: 9_007_199_254_740_993n }]);
    expect(await ask('SELECT region, sum(amount) AS total FROM trades GROUP BY region ORDER BY total, region')).toEqual(
      [
        { region: 'south', total: 20 },
        { region: 'north', total: 40 },
        { region: null, total: 40 },
      ],
    );
    expect(await ask('SELECT id FROM trades WHERE amount > 1000')).toEqual([]);
    expect(await ask('SELECT 1 + 1 AS two')).toEqual([{ two: 2 }]);
  });

  test('streams batch by batch, and comes in every format of datasets', async () => {
    await open();
    await put('many', { id: Int32Array.from({ length: 300_000 }, (_, at) => at) });
    let rows = 0;
    let batches = 0;
    for await (const batch of client.queryStream('SELECT id FROM many WHERE id % 2 = 0')) {
      [rows, batches] = [rows + batch.numRows, batches + 1];
    }
    expect({ rows, several: batches > 1 }).toEqual({ rows: 150_000, several: true });
    const sql = 'SELECT id FROM many ORDER BY id DESC LIMIT 2';
    const bytes = async (accept: string) =>
      Buffer.from(await bytesOf((await client.queries.get(sql, { accept })).body));
    expect((await bytes('text/csv')).toString()).toBe('id\n299999\n299998\n');
    expect((await bytes('application/x-ndjson')).toString()).toBe('{"id":299999}\n{"id":299998}\n');
    expect((await bytes('application/vnd.apache.parquet')).subarray(0, 4).toString()).toBe('PAR1');
    expect(await errorOf(client.queries.get(sql, { accept: 'image/png' }))).toMatchObject({ code: 'NOT_ACCEPTABLE' });
  });

  test('reads all its datasets at one moment, whatever is put while it waits', async () => {
    await open(2);
    const first = await put('left', { id: Int32Array.from([1]) });
    const second = await put('right', { id: Int32Array.from([1]) });
    const { versions, body } = await client.queries.get('SELECT l.id FROM "left" l JOIN "right" r ON l.id = r.id');
    await put('left', { id: Int32Array.from([2]) });
    expect([...versions]).toEqual([
      ['left', first.version],
      ['right', second.version],
    ]);
    expect((await bytesOf(body)).length).toBeGreaterThan(0);
  });

  test('takes names with dots and dashes, quoted or not where the grammar lets them', async () => {
    await open();
    await put('a.b-c_2');
    await put('my.data');
    expect(await ask('SELECT count(*) AS n FROM "a.b-c_2"')).toEqual([{ n: 4 }]);
    expect(await ask('SELECT count(*) AS n FROM my.data AS d WHERE d.id = 1')).toEqual([{ n: 1 }]);
    expect(await ask('SELECT "a.b-c_2".region FROM "a.b-c_2" WHERE id = 1')).toEqual([{ region: 'north' }]);
  });

  test('leaves nothing on the disk, read to its end or not', async () => {
    await open();
    await put('trades');
    await ask('SELECT * FROM trades');
    await (await client.queries.get('SELECT * FROM trades')).cancel();
    await errorOf(client.query('SELECT nope FROM trades'));
    await expect.poll(leftovers).toEqual([]);
    expect(must(cluster.desks[0], 'a desk').open).toBe(0);
  });
});

describe('a refusal', () => {
  test('of a name that nothing has says so, with its neighbours', async () => {
    await open(2);
    await put('trades');
    await put('trades-2026');
    await put('words');
    const error = await errorOf(client.query('SELECT * FROM trade'));
    expect(error).toMatchObject({ code: 'NOT_FOUND' });
    expect(error.detail).toBe('there is no dataset "trade"; there are "trades", "trades-2026"');
    expect((await errorOf(client.query('SELECT * FROM zzz'))).detail).toBe('there is no dataset "zzz"');
    expect((await errorOf(client.query('SELECT * FROM "../../etc"'))).code).toBe('NOT_FOUND');
  });

  test('of a column has the word of the engine and the columns that there are', async () => {
    await open();
    await put('trades');
    const error = await errorOf(client.query('SELECT amont FROM trades'));
    expect(error).toMatchObject({ code: 'BAD_QUERY' });
    expect(error.detail).toMatch(/unable to find column "amont".*id.*region.*amount/);
    const where = await errorOf(client.query('SELECT id FROM trades WHERE amont > 1'));
    expect(where.detail).toMatch(/"amont".*id.*region.*amount/);
    expect(where.detail).not.toContain('Resolved plan');
    expect((await errorOf(client.query('SELECT id id id FROM trades'))).detail).toMatch(/parser error/);
    expect((await errorOf(client.query('SELECT cast(region AS bigint) AS x FROM trades'))).detail).toMatch(
      /conversion/,
    );
  });

  test('comes for whatever opens a file, and no file is opened', async () => {
    await open();
    await put('trades');
    const secret = join(tmpdir(), `polaris-secret-${process.pid}.csv`);
    writeFileSync(secret, 'secret\n1\n');
    for (const sql of [
      `SELECT * FROM read_csv('${secret}')`,
      `SELECT * FROM '${secret}'`,
      `SELECT * FROM "${secret}"`,
    ]) {
      expect(['BAD_QUERY', 'NOT_FOUND']).toContain((await errorOf(client.query(sql))).code);
    }
    const target = `${secret}.out`;
    expect((await errorOf(client.query(`COPY trades TO '${target}'`))).code).toBe('BAD_QUERY');
    expect(existsSync(target)).toBe(false);
  });

  test('of a body that is none names the field', async () => {
    await open();
    const post = (body: string) =>
      fetch(`${cluster.urls[0]}/v1/query`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    for (const body of ['{}', '{"sql": 1}', '{"sql": ""}', '{"sql": "SELECT 1", "x": 1}', '[]', 'null', 'x']) {
      expect((await post(body)).status).toBe(400);
    }
  });
});

describe('a plan', () => {
  test('says what would run where, by the types that the dataset has, and runs nothing', async () => {
    await open(2);
    await put('trades');
    const found = await client.queries.explain('SELECT region, avg(amount) AS m FROM trades GROUP BY region');
    expect(found).toMatchObject({ datasets: [{ name: 'trades', version: 1, rows: 4 }], reason: null });
    expect(found.plan).toMatchObject({ kind: 'groups', dataset: 'trades' });
    const whole = await client.queries.explain('SELECT avg(region) AS m FROM trades');
    expect(whole).toMatchObject({ plan: null, reason: expect.stringContaining('avg') });
    expect((await errorOf(client.queries.explain('SELECT * FROM nothing'))).code).toBe('NOT_FOUND');
    expect((await errorOf(client.queries.explain('DROP TABLE trades'))).code).toBe('BAD_QUERY');
  });
});

describe('a process', () => {
  test('that is killed is a 503, and the next query works', async () => {
    const pids: number[] = [];
    await open(1, { started: (pid) => pids.push(pid) });
    await putMany();
    const lost = errorOf(client.query(ENDLESS));
    await expect.poll(() => pids).toHaveLength(1);
    process.kill(must(pids[0], 'a process'), 'SIGKILL');
    expect(await lost).toMatchObject({ code: 'QUERY_LOST', row: { status: 503 } });
    expect(await ask('SELECT count(*) AS n FROM many')).toEqual([{ n: 20_000 }]);
  });

  test('ends when nobody waits for its answer any more, and when the node stops', async () => {
    const pids: number[] = [];
    await open(1, { started: (pid) => pids.push(pid) });
    await putMany();
    const control = new AbortController();
    const gone = client.query(ENDLESS, { signal: control.signal }).catch((thrown: unknown) => thrown);
    await expect.poll(() => pids).toHaveLength(1);
    control.abort(new Error('enough'));
    expect(await gone).toMatchObject({ message: 'enough' });
    const isAlive = (pid: number | undefined) => existsSync(`/proc/${pid}/cwd`);
    await expect.poll(() => isAlive(pids[0])).toBe(false);
    const stopped = errorOf(new PolarisClient({ urls: cluster.urls, timeoutMs: 1 }).query(ENDLESS));
    await expect.poll(() => pids).toHaveLength(2);
    await must(cluster.desks[0], 'a desk').stop();
    expect(isAlive(pids[1])).toBe(false);
    // The client would ask again, and hears the same for as long as it does.
    await cluster.data.node(0).down();
    expect(['STOPPING', 'UNREACHABLE']).toContain((await stopped).code);
    expect(leftovers()).toEqual([]);
  });

  test('that takes too long, too much memory or writes too much is ended, and says so', async () => {
    const limits = { memoryMb: 2_048, resultBytes: 1_000_000, ms: 120_000 };
    await open(1, { limits });
    await putMany();
    const large = await errorOf(client.query('SELECT a.id FROM many a CROSS JOIN many b'));
    expect(large).toMatchObject({ code: 'QUERY_TOO_LARGE', row: { status: 413 } });
    expect(large.detail).toContain('1000000 bytes');
    await cluster.close();
    await open(1, { limits: { ...limits, memoryMb: 300 } });
    await putMany();
    const greedy = await errorOf(
      client.query('SELECT count(DISTINCT a.id * 20000 + b.id) AS n FROM many a CROSS JOIN many b'),
    );
    expect(greedy).toMatchObject({ code: 'QUERY_TOO_LARGE' });
    expect(greedy.detail).toContain('300 MB');
    await cluster.close();
    await open(1, { limits: { ...limits, ms: 1_000 }, inputBytesMax: 200_000 });
    await putMany();
    expect(await errorOf(client.query(ENDLESS))).toMatchObject({ code: 'TIMED_OUT', row: { status: 504 } });
    await put('large', { id: BigInt64Array.from({ length: 30_000 }, (_, at) => BigInt(at)) });
    expect((await errorOf(client.query('SELECT * FROM large'))).detail).toContain('may read 200000');
    expect(leftovers()).toEqual([]);
  });

  test('is one of few: others wait, and beyond that are to come again', async () => {
    const pids: number[] = [];
    await open(1, { started: (pid) => pids.push(pid) });
    await putMany();
    const control = new AbortController();
    const desk = must(cluster.desks[0], 'a desk');
    const open_ = Array.from({ length: QUERIES_OPEN_MAX }, () =>
      client.query(ENDLESS, { signal: control.signal }).catch(() => null),
    );
    await expect.poll(() => desk.open).toBe(QUERIES_OPEN_MAX);
    await expect.poll(() => pids).toHaveLength(2);
    const one = await fetch(`${cluster.urls[0]}/v1/query`, {
      ...{ method: 'POST', body: '{"sql": "SELECT 1"}', headers: { 'content-type': 'application/json' } },
    });
    expect([one.status, ((await one.json()) as { code: string }).code]).toEqual([503, 'OVERLOADED']);
    control.abort();
    await Promise.all(open_);
    expect(await ask('SELECT count(*) AS n FROM many')).toEqual([{ n: 20_000 }]);
    expect(pids.length).toBe(3);
  });
});
