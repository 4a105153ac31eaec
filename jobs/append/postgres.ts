/**
 * A PostgreSQL table behind a fence: one row a line, inserted in the transaction that moves the cursor.
 *
 * The table has no unique key on purpose: were a point ever to take effect twice, it would stand there twice.
 */
import { Pool } from 'pg';
import { SINK_REPLY_MS } from '../../src/base/limits.ts';
import { PostgresSink } from '../../src/sinks/postgres.ts';
import { fencedPoints } from '../../src/sinks/task.ts';
import type { AppendSink, AppendTask } from './sink.ts';

/** `postgres://USER@HOST:PORT/DB?table=NAME` */
export async function openTable(task: AppendTask, address: string): Promise<AppendSink> {
  const url = new URL(address);
  const table = url.searchParams.get('table');
  if (table === null || !/^[A-Za-z_][A-Za-z0-9_]{0,62}$/.test(table)) {
    throw new Error(`the sink ${address} is not postgres://USER@HOST:PORT/DB?table=NAME`);
  }
  url.search = '';
  const connectionString = url.href;
  const pool = new Pool({
    connectionString,
    max: 1,
    connectionTimeoutMillis: SINK_REPLY_MS,
    query_timeout: SINK_REPLY_MS,
  });
  // A connection that breaks while nobody uses it is made anew by the next push.
  pool.on('error', () => {});
  const sink = new PostgresSink<string>({
    pool,
    job: task.job,
    effect: async (client, points) => {
      const text = `INSERT INTO "${table}" SELECT $1, * FROM unnest($2::bigint[], $3::text[])`;
      await client.query(text, [task.job, points.map(({ point }) => point), points.map(({ value }) => value)]);
    },
  });
  try {
    await PostgresSink.createTables(pool, `CREATE TABLE IF NOT EXISTS "${table}" (job text, point bigint, line text)`);
    const opened = await sink.open(task, task.epoch);
    return {
      points: fencedPoints(task, opened),
      append: async (point, line) => {
        await opened.push(point, line);
      },
      close: () => pool.end(),
    };
  } catch (thrown) {
    await pool.end();
    throw thrown;
  }
}
