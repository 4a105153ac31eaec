import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type RedisServer, redisServerPath, startRedis } from '../../chaos/servers.ts';
import { must } from '../../src/base/assert.ts';
import { RedisSink } from '../../src/sinks/redis.ts';
import { testSink } from './conformance.ts';
import type { SinkUnderTest } from './foreman.ts';

const absent = redisServerPath() === null;

describe.skipIf(absent)(`in Redis${absent ? ' (there is no redis-server here)' : ''}`, () => {
  const dir = mkdtempSync(join(tmpdir(), 'polaris-redis-'));
  let server: RedisServer | null = null;
  let client: Redis | null = null;
  let jobs = 0;

  beforeAll(async () => {
    server = await startRedis(dir);
    client = new Redis(server.port, '127.0.0.1');
  });

  afterAll(async () => {
    client?.disconnect();
    await server?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  function redis(): Redis {
    return must(client, 'the server is up');
  }

  function nextJob(): string {
    jobs += 1;
    return `job-${jobs}`;
  }

  async function make(): Promise<SinkUnderTest> {
    const job = nextJob();
    return {
      sink: new RedisSink({ redis: redis(), job, command: 'RPUSH', key: `{${job}}:lines` }),
      effects: () => redis().lrange(`{${job}}:lines`, 0, -1),
      segments: () => redis().zcard(`polaris:{${job}}:ends`),
      finishedSegmentsMax: 1,
    };
  }

  testSink(() => ({ make, runs: 100 }));

  test('SADD and HSET are effects too, and a hash has a field for each point, in full', async () => {
    const [members, fields] = [nextJob(), nextJob()];
    const start = Number.MAX_SAFE_INTEGER - 2;
    const range = { start, end: start + 2 };
    const epoch = Number.MAX_SAFE_INTEGER;
    const set = new RedisSink({ redis: redis(), job: members, command: 'SADD', key: 'members' });
    await (await set.open(range, epoch)).pushMany(start, ['a', 'b']);
    expect((await redis().smembers('members')).sort()).toEqual(['a', 'b']);
    const hash = new RedisSink({ redis: redis(), job: fields, command: 'HSET', key: 'fields' });
    await (await hash.open(range, epoch)).pushMany(start, ['a', 'b']);
    expect(await redis().hgetall('fields')).toEqual({ '9007199254740989': 'a', '9007199254740990': 'b' });
    expect((await hash.open({ start: start - 1, end: start + 2 }, epoch)).done).toEqual([range]);
  });

  test('an effect that Redis refuses moves no cursor', async () => {
    const job = nextJob();
    await redis().set('no list', 'text');
    const wrong = await new RedisSink({ redis: redis(), job, command: 'RPUSH', key: 'no list' }).open(
      { start: 0, end: 2 },
      1,
    );
    await expect(wrong.push(0, '0')).rejects.toThrow(/WRONGTYPE/);
    const right = await new RedisSink({ redis: redis(), job, command: 'RPUSH', key: 'a list' }).open(
      { start: 0, end: 2 },
      1,
    );
    expect(right.done).toEqual([]);
    expect(await right.push(0, '0')).toBe('pushed');
  });

  test('a Redis that has lost its scripts is given them again', async () => {
    const { sink } = await make();
    await sink.open({ start: 0, end: 1 }, 1);
    await redis().script('FLUSH');
    expect((await sink.open({ start: 0, end: 1 }, 1)).done).toEqual([]);
  });

  test('a job whose name would tear the hash tag is refused', () => {
    const options = { redis: redis(), command: 'RPUSH', key: 'k' } as const;
    for (const job of ['', 'a}b', 'a b', 'x'.repeat(201)]) {
      expect(() => new RedisSink({ ...options, job })).toThrow(/BAD_OPTION/);
    }
  });
});
