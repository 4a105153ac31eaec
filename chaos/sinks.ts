/**
 * Sinks: where the lines of a chaos run go, and how they are read back.
 *
 * A sink is opened once for a whole session of runs; each run writes under a name of its own. Reading asks the server
 * itself, never Polaris.
 */
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PolarisError } from '../src/base/errors.ts';
import type { SinkKind } from './row.ts';
import { postgresBinDir, redisServerPath, startPostgres, startRedis } from './servers.ts';

export interface Sink {
  readonly kind: SinkKind;
  /** What `append` wants as its metadata.sink, for the run of this name (letters, digits and low lines). */
  address(name: string): string;
  /** The lines of a run, in the order in which they were written where the sink keeps one. */
  read(name: string): Promise<readonly string[]>;
  close(): Promise<void>;
}

/** Why there is no such sink on this machine; null when there can be one. */
export function sinkRefusal(kind: SinkKind): string | null {
  if (kind === 'file') return null;
  if (kind === 'postgres') return postgresBinDir() === null ? 'there is no PostgreSQL that could be run here' : null;
  return redisServerPath() === null ? 'there is no redis-server in the PATH' : null;
}

export async function openSink(kind: SinkKind, dir: string): Promise<Sink> {
  const refusal = sinkRefusal(kind);
  if (refusal !== null) throw new PolarisError('USAGE', `--sink ${kind}: ${refusal}`);
  mkdirSync(dir, { recursive: true });
  switch (kind) {
    case 'file':
      return fileSink(dir);
    case 'redis':
    case 'fenced-redis':
      return redisSink(kind, dir);
    case 'postgres':
      return postgresSink(dir);
  }
}

function fileSink(dir: string): Sink {
  const pathOf = (name: string): string => join(dir, `${name}.lines`);
  return {
    kind: 'file',
    address(name) {
      closeSync(openSync(pathOf(name), 'a'));
      return `file:${pathOf(name)}`;
    },
    async read(name) {
      return existsSync(pathOf(name)) ? whole(readFileSync(pathOf(name), 'utf8').split('\n')) : [];
    },
    async close() {},
  };
}

async function redisSink(kind: 'redis' | 'fenced-redis', dir: string): Promise<Sink> {
  const server = await startRedis(dir);
  return {
    kind,
    address: (name) => `${kind}://127.0.0.1:${server.port}/0?list=${name}`,
    async read(name) {
      const { Redis } = await import('ioredis');
      const redis = new Redis({ host: '127.0.0.1', port: server.port });
      try {
        return whole(await redis.lrange(name, 0, -1));
      } finally {
        redis.disconnect();
      }
    },
    close: () => server.stop(),
  };
}

async function postgresSink(dir: string): Promise<Sink> {
  const server = await startPostgres(dir);
  return {
    kind: 'postgres',
    address: (name) => `${server.url}?table=${name}`,
    async read(name) {
      const { Client } = (await import('pg')).default;
      const client = new Client({ connectionString: server.url });
      await client.connect();
      try {
        // A run that wrote nothing has made no table.
        const there = await client.query('SELECT to_regclass($1) AS name', [`"${name}"`]);
        if (there.rows[0]?.name === null) return [];
        const { rows } = await client.query<{ readonly line: string }>(`SELECT line FROM "${name}"`);
        return whole(rows.map(({ line }) => line));
      } finally {
        await client.end();
      }
    },
    close: () => server.stop(),
  };
}

function whole(lines: readonly string[]): string[] {
  return lines.filter((line) => line.trim() !== '');
}
