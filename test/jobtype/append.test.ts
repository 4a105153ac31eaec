import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  type PostgresServer,
  postgresBinDir,
  type RedisServer,
  redisServerPath,
  startPostgres,
  startRedis,
} from '../../chaos/servers.ts';
import { must } from '../../src/base/assert.ts';
import { type Bench, openBench, testTypes } from './harness.ts';

const POINTS = 10;

/**
 * An attempt that is ended in its pause behind the first point, with nothing committed, and then another one of the whole
 * task: the first point is asked for twice.
 */
async function lostAndDoneAgain(bench: Bench, sink: string): Promise<void> {
  const lost = bench.run('append', { end: POINTS, metadata: { sink, intervalMs: 3_600_000 } });
  await bench.when((happening) => (happening.kind === 'progress' && happening.begun === 1 ? true : null));
  bench.executor.abort(lost);
  await bench.ending(lost);
  const heir = bench.run('append', { end: POINTS, metadata: { sink } });
  expect(await bench.ending(heir)).toMatchObject({ ending: 'complete', cursor: POINTS });
}

function pointsOf(lines: readonly string[]): number[] {
  return lines.map((line) => Number(line.split('\t')[1]));
}

describe('append to a file', () => {
  it('writes one line a point, in order', async () => {
    const bench = await openBench({ commit: true });
    const file = join(bench.dataDir, 'lines');
    const epoch = bench.run('append', { end: 1_000, metadata: { sink: `file:${file}` } });
    expect(await bench.ending(epoch)).toMatchObject({ ending: 'complete', cursor: 1_000 });
    const lines = readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'));
    expect(lines.map((line) => Number(line[1]))).toEqual(Array.from({ length: 1_000 }, (_, point) => point));
    expect(new Set(lines.map(([, , ...rest]) => rest.join()))).toEqual(new Set([`${epoch},n1`]));
    expect(Number(lines[0]?.[0])).toBeGreaterThan(Date.UTC(2020));
  });

  it('a release in the pause between two points counts the line that is written, and no more', async () => {
    const bench = await openBench({ commit: true });
    const file = join(bench.dataDir, 'lines');
    const epoch = bench.run('append', { metadata: { sink: `file:${file}`, intervalMs: 3_600_000 } });
    await bench.when((happening) => (happening.kind === 'progress' && happening.begun === 1 ? true : null));
    bench.executor.release(epoch);
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 1, begun: 1, ending: 'release', error: '' });
    expect(readFileSync(file, 'utf8').match(/\n/g)).toHaveLength(1);
  });

  it('a line is acknowledged before the pause behind it, but at most once', async () => {
    const bench = await openBench({ commit: true });
    const metadata = { sink: `file:${join(bench.dataDir, 'lines')}`, intervalMs: 3_600_000 };
    const early = bench.run('append', { metadata });
    expect(await bench.progressed(early, 1)).toBe(1);
    bench.executor.release(early);
    await bench.ending(early);
    const claiming = bench.run('append', { metadata, delivery: 'at-most-once' });
    bench.commit(claiming, 0, 10);
    const seen = await bench.when((happening) =>
      happening.kind === 'progress' && happening.epoch === claiming && happening.begun === 1 ? happening.cursor : null,
    );
    expect(seen).toBe(0);
    bench.executor.release(claiming);
  });

  it('a file that cannot be opened fails the task', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('append', { metadata: { sink: 'file:/nonexistent/file' } });
    const error = expect.stringContaining('ENOENT');
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 0, begun: 0, ending: 'fail', error });
  });
});

const noRedis = redisServerPath() === null;

describe.skipIf(noRedis)(`append to Redis${noRedis ? ' (there is no redis-server here)' : ''}`, () => {
  const dir = mkdtempSync(join(tmpdir(), 'polaris-append-'));
  let server: RedisServer | null = null;
  let client: Redis | null = null;

  beforeAll(async () => {
    server = await startRedis(dir);
    client = new Redis(server.port, '127.0.0.1', { db: 5 });
  });

  afterAll(async () => {
    client?.disconnect();
    await server?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  function redis(): Redis {
    return must(client, 'the server is up');
  }

  function address(list: string): string {
    return `redis://127.0.0.1:${server?.port}/5?list=${encodeURIComponent(list)}`;
  }

  it('selects the database and pushes one line a point', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('append', { end: 3, metadata: { sink: address('the list') } });
    expect(await bench.ending(epoch)).toMatchObject({ ending: 'complete', cursor: 3 });
    const lines = await redis().lrange('the list', 0, -1);
    expect(pointsOf(lines)).toEqual([0, 1, 2]);
    expect(lines[2]).toMatch(/^\d+\t2\t1\tn1\n$/);
  });

  it('a point is acknowledged only after its reply', async () => {
    const bench = await openBench({ commit: true });
    await redis().client('PAUSE', 600_000, 'WRITE');
    try {
      const epoch = bench.run('append', { end: 5, metadata: { sink: address('paused') } });
      await bench.when((happening) => (happening.kind === 'progress' && happening.begun === 1 ? true : null));
      bench.executor.abort(epoch);
      expect(await bench.ending(epoch)).toMatchObject({ cursor: 0, begun: 1, ending: 'release' });
    } finally {
      await redis().client('UNPAUSE');
    }
  });

  it.each(['', 'fenced-'])('an error reply fails the task with its text: %sredis', async (fence) => {
    const bench = await openBench({ commit: true });
    await redis().set('no list', 'text');
    const epoch = bench.run('append', { metadata: { sink: `${fence}${address('no list')}` } });
    const error = expect.stringContaining('WRONGTYPE Operation against a key holding the wrong kind of value');
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 0, begun: 1, ending: 'fail', error });
  });

  it('a Redis that nobody runs fails the task before its first point', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('append', { metadata: { sink: 'redis://127.0.0.1:1/0?list=l' } });
    const error = expect.stringContaining('Redis at 127.0.0.1:1 cannot be reached');
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 0, begun: 0, ending: 'fail', error });
  });

  it('without a fence, a point whose commit was lost stands there twice; with one, once', async () => {
    const bench = await openBench({ commit: false });
    await lostAndDoneAgain(bench, address('plain'));
    await lostAndDoneAgain(await openBench({ commit: false }), `fenced-${address('fenced')}`);
    const all = Array.from({ length: POINTS }, (_, point) => point);
    expect(pointsOf(await redis().lrange('plain', 0, -1))).toEqual([0, ...all]);
    expect(pointsOf(await redis().lrange('fenced', 0, -1))).toEqual(all);
  });
});

const noPostgres = postgresBinDir() === null;

describe.skipIf(noPostgres)(
  `append to PostgreSQL${noPostgres ? ' (there is none that could be run here)' : ''}`,
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'polaris-append-'));
    let server: PostgresServer | null = null;

    beforeAll(async () => {
      server = await startPostgres(dir);
    });

    afterAll(async () => {
      await server?.stop();
      rmSync(dir, { recursive: true, force: true });
    });

    it('inserts one row a point into a table that it makes, also when the commit was lost', async () => {
      const { url } = must(server, 'the server is up');
      await lostAndDoneAgain(await openBench({ commit: false }), `${url}?table=Lines`);
      const client = new Client(url);
      await client.connect();
      const { rows } = await client.query('SELECT job, point, line FROM "Lines" ORDER BY point');
      await client.end();
      expect(rows.map(({ point }) => Number(point))).toEqual(Array.from({ length: POINTS }, (_, point) => point));
      expect(rows[9]).toMatchObject({ job: 'append-job', line: expect.stringMatching(/^\d+\t9\t2\tn1\n$/) });
    });

    it('a PostgreSQL that nobody runs fails the task before its first point', async () => {
      const bench = await openBench({ commit: true });
      const epoch = bench.run('append', { metadata: { sink: 'postgres://127.0.0.1:1/db?table=t' } });
      const error = expect.stringContaining('ECONNREFUSED');
      expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 0, begun: 0, ending: 'fail', error });
    });
  },
);

describe('the schemas of the bundled types', () => {
  it.each([
    ['append', { sink: 'file:/tmp/x' }, true],
    ['append', { sink: 'redis://localhost:6379/0?list=lines', intervalMs: 100 }, true],
    ['append', { sink: 'redis://[::1]?list=lines' }, true],
    ['append', { sink: 'fenced-redis://localhost:6379/0?list=lines' }, true],
    ['append', { sink: 'postgres://polaris@localhost:5432/db?table=lines' }, true],
    ['append', { sink: 'postgres://localhost/db?table=lines' }, true],
    ['append', { sink: 'postgres://polaris:secret@localhost/db?table=lines' }, false],
    ['append', { sink: 'postgres://localhost/db?table=a"b' }, false],
    ['append', { sink: 'fenced-file:/tmp/x' }, false],
    ['append', {}, false],
    ['append', { sink: 'file:' }, false],
    ['append', { sink: 'http://localhost/' }, false],
    ['append', { sink: 'redis://localhost/0' }, false],
    ['append', { sink: 'redis://user:secret@localhost/0?list=l' }, false],
    ['append', { sink: 'file:/tmp/x', intervalMs: -1 }, false],
    ['append', { sink: 'file:/tmp/x', interval: 1 }, false],
    ['exec', { command: ['true'] }, true],
    ['exec', { command: ['a', '{start}'], cwd: '/', env: { A: 'b' } }, true],
    ['exec', {}, false],
    ['exec', { command: [] }, false],
    ['exec', { command: 'true' }, false],
    ['exec', { command: ['true'], env: { A: 1 } }, false],
  ])('%s %j: %s', async (name, metadata, taken) => {
    const schema = must((await testTypes()).get(name)?.info.metadataSchema, 'a bundled type has a schema');
    expect(new Ajv().validate(schema, metadata)).toBe(taken);
  });

  it.each([
    ['file:/tmp/x', false],
    ['redis://localhost?list=l', false],
    ['fenced-redis://localhost?list=l', true],
    ['postgres://localhost/db?table=t', true],
  ])('append keeps exactly-once with %s: %s', async (sink, kept) => {
    const { deliveries, deliveriesWhen } = must((await testTypes()).get('append')?.info, 'append is bundled');
    expect(deliveries).not.toContain('exactly-once');
    const schema = must(deliveriesWhen?.['exactly-once'], 'append has a condition');
    expect(new Ajv().validate(schema, { sink })).toBe(kept);
  });
});
