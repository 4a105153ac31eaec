/**
 * A fenced sink in PostgreSQL: the fence and the author's own SQL in one transaction.
 *
 * A push locks the rows of its segments and nothing else, so that the workers of a job do not wait for each other; an
 * `open` locks the job's row, and waits for the pushes that are under way within its range. Both take rows in the order of
 * their ends, and a done row is touched by `open` alone: nobody waits in a circle.
 *
 * Invariants: the effect is committed with the cursor or not at all · a segment is only ever pushed as it was read, else
 * it is read again.
 */
import type { Pool, PoolClient } from 'pg';
import { assert } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { SINK_PUSH_TRIES_MAX } from '../base/limits.ts';
import type { Epoch, JobId, Point, Range } from '../base/types.ts';
import { doneWithin, dropped, joined, openRange, pushPoints, type Segment, type Segments } from './fence.ts';
import { checkJob, type FenceStore, openTask } from './task.ts';
import type { FencedSink, FencedTask } from './types.ts';

export interface PointValue<V> {
  readonly point: Point;
  readonly value: V;
}

export interface PostgresSinkOptions<V> {
  /** Of pg. Stays the caller's: it is never ended here. */
  readonly pool: Pool;
  readonly job: JobId;
  /**
   * The effects of some points, by this client and no other, which is in a transaction. It is called anew when the
   * transaction is, and must neither end it nor do anything that a rollback does not take back.
   */
  readonly effect: (client: PoolClient, points: readonly PointValue<V>[]) => Promise<void>;
}

export class PostgresSink<V> implements FencedSink<V> {
  readonly #store: FenceStore<V>;

  constructor(options: PostgresSinkOptions<V>) {
    checkJob(options.job);
    this.#store = new PostgresFence(options);
  }

  /**
   * Makes the two tables of the fence where they are not there yet, in the first schema of the search path, and runs the
   * author's own statements with them, such as `CREATE TABLE IF NOT EXISTS`.
   */
  static async createTables(pool: Pool, ...statements: readonly string[]): Promise<void> {
    await transaction(pool, async (client) => {
      // IF NOT EXISTS alone lets two that come at once both try, and one fail.
      await client.query("SELECT pg_advisory_xact_lock(hashtext('polaris_fence'))");
      for (const statement of [TABLES, ...statements]) await client.query(statement);
    });
  }

  open(range: Range, epoch: Epoch): Promise<FencedTask<V>> {
    return openTask(this.#store, range, epoch);
  }

  drop(): Promise<void> {
    return this.#store.drop();
  }
}

const TABLES = `
  CREATE TABLE IF NOT EXISTS polaris_fence_job (
    job text PRIMARY KEY,
    newest bigint NOT NULL,
    floor bigint NOT NULL
  );
  CREATE TABLE IF NOT EXISTS polaris_fence_segment (
    job text NOT NULL REFERENCES polaris_fence_job,
    start_point bigint NOT NULL,
    cursor_point bigint NOT NULL,
    end_point bigint NOT NULL,
    epoch bigint NOT NULL,
    PRIMARY KEY (job, end_point),
    CHECK (start_point <= cursor_point AND cursor_point <= end_point AND start_point < end_point)
  )`;

const COLUMNS = 'start_point, cursor_point, end_point, epoch';

class PostgresFence<V> implements FenceStore<V> {
  readonly #options: PostgresSinkOptions<V>;

  constructor(options: PostgresSinkOptions<V>) {
    this.#options = options;
  }

  async open(range: Range, epoch: Epoch): Promise<readonly Range[]> {
    const { pool, job } = this.#options;
    return transaction(pool, async (client) => {
      await this.#lockJob(client, epoch);
      const held = await segmentsOf(client, 'job = $1 AND end_point > $2 AND start_point < $3', 'FOR UPDATE', [
        ...[job, range.start, range.end],
      ]);
      const opened = openRange(held, range, epoch);
      await this.#replace(client, held, opened);
      await client.query('UPDATE polaris_fence_job SET newest = greatest(newest, $2) WHERE job = $1', [job, epoch]);
      await this.#meltDone(client);
      return doneWithin(opened, range);
    });
  }

  /** Opens take turns from here on. The row of a new job is made by whoever comes first. */
  async #lockJob(client: PoolClient, epoch: Epoch): Promise<void> {
    const { job } = this.#options;
    await client.query('INSERT INTO polaris_fence_job VALUES ($1, 0, 0) ON CONFLICT DO NOTHING', [job]);
    const { rows } = await client.query('SELECT floor FROM polaris_fence_job WHERE job = $1 FOR UPDATE', [job]);
    const floor = Number(rows[0]?.floor);
    if (epoch <= floor) throw dropped(epoch, floor);
  }

  /** Done rows change no more by pushes, so they are melted without waiting for any: here, for a push has no lock on others. */
  async #meltDone(client: PoolClient): Promise<void> {
    const done = await segmentsOf(client, 'job = $1 AND cursor_point = end_point', '', [this.#options.job]);
    const melted = joined(done);
    if (melted.length < done.length) await this.#replace(client, done, melted);
  }

  async #replace(client: PoolClient, before: Segments, after: Segments): Promise<void> {
    const { job } = this.#options;
    const gone = before.filter((segment) => !after.some((other) => same(segment, other)));
    const made = after.filter((segment) => !before.some((other) => same(segment, other)));
    const text = 'DELETE FROM polaris_fence_segment WHERE job = $1 AND end_point = ANY($2::bigint[])';
    await client.query(text, [job, gone.map(({ end }) => end)]);
    await client.query(
      `INSERT INTO polaris_fence_segment (job, ${COLUMNS})
       SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])`,
      [
        ...[job, made.map(({ start }) => start), made.map(({ cursor }) => cursor)],
        ...[made.map(({ end }) => end), made.map(({ epoch }) => epoch)],
      ],
    );
  }

  async push(first: Point, values: readonly V[], epoch: Epoch): Promise<number> {
    const { pool } = this.#options;
    for (let tries = 1; tries <= SINK_PUSH_TRIES_MAX; tries++) {
      try {
        return await transaction(pool, (client) => this.#tryPush(client, first, values, epoch));
      } catch (thrown) {
        if (!(thrown instanceof SegmentMoved)) throw thrown;
      }
    }
    throw new PolarisError('OVERLOADED', `the segment of point ${first} was cut anew during each of the pushes`);
  }

  async #tryPush(client: PoolClient, first: Point, values: readonly V[], epoch: Epoch): Promise<number> {
    const { job, effect } = this.#options;
    const points = { start: first, end: first + values.length };
    const where = 'job = $1 AND end_point > $2 AND start_point < $3';
    const { fresh } = pushPoints(await segmentsOf(client, where, '', [job, points.start, points.end]), points, epoch);
    for (const { start, end } of fresh) {
      // Waits for an open that has the row, and then sees what that made of it.
      const moved = await client.query(
        `UPDATE polaris_fence_segment SET cursor_point = $4
         WHERE job = $1 AND epoch = $2 AND cursor_point = $3 AND end_point >= $4`,
        [job, epoch, start, end],
      );
      if (moved.rowCount === 0) throw new SegmentMoved();
      assert(moved.rowCount === 1, 'one segment has this cursor, and room beyond it');
    }
    const taken = fresh.flatMap(({ start, end }) =>
      values.slice(start - first, end - first).map((value, offset) => ({ point: start + offset, value })),
    );
    if (taken.length > 0) await effect(client, taken);
    return taken.length;
  }

  async drop(): Promise<void> {
    const { pool, job } = this.#options;
    await transaction(pool, async (client) => {
      await client.query('UPDATE polaris_fence_job SET floor = newest WHERE job = $1', [job]);
      await segmentsOf(client, 'job = $1', 'FOR UPDATE', [job]);
      await client.query('DELETE FROM polaris_fence_segment WHERE job = $1', [job]);
    });
  }
}

/** A segment is not what it was a moment before: all is taken back, and looked at again. */
class SegmentMoved extends Error {}

function same(left: Segment, right: Segment): boolean {
  const keys = ['start', 'cursor', 'end', 'epoch'] as const;
  return keys.every((key) => left[key] === right[key]);
}

/** Ordered by their ends, which is the order in which everybody locks them. */
async function segmentsOf(client: PoolClient, where: string, lock: string, values: unknown[]): Promise<Segments> {
  const text = `SELECT ${COLUMNS} FROM polaris_fence_segment WHERE ${where} ORDER BY end_point ${lock}`;
  const { rows } = await client.query<Readonly<Record<string, string>>>(text, values);
  return rows.map((row) => ({
    start: Number(row['start_point']),
    cursor: Number(row['cursor_point']),
    end: Number(row['end_point']),
    epoch: Number(row['epoch']),
  }));
}

/** READ COMMITTED by name, whatever the server's default: a statement that waited must see what it waited for. */
async function transaction<T>(pool: Pool, body: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query('BEGIN ISOLATION LEVEL READ COMMITTED');
    const result = await body(client);
    await client.query('COMMIT');
    return result;
  } catch (thrown) {
    await client.query('ROLLBACK').catch((error: Error) => {
      broken = error;
    });
    throw thrown;
  } finally {
    // A client whose transaction may still be open is of no use to the next.
    client.release(broken);
  }
}
