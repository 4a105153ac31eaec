import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, postgresBinDir, startPostgres } from '../../chaos/servers.ts';
import { must } from '../../src/base/assert.ts';
import { PostgresSink } from '../../src/sinks/postgres.ts';
import { testSink } from './conformance.ts';
import { POINTS, type SinkUnderTest } from './foreman.ts';

const absent = postgresBinDir() === null;

describe.skipIf(absent)(`in PostgreSQL${absent ? ' (there is none that could be run here)' : ''}`, () => {
  const dir = mkdtempSync(join(tmpdir(), 'polaris-postgres-'));
  let server: PostgresServer | null = null;
  let opened: Pool | null = null;
  let jobs = 0;

  beforeAll(async () => {
    server = await startPostgres(dir);
    opened = new Pool({ connectionString: server.url, max: 5 });
    await Promise.all([PostgresSink.createTables(opened), PostgresSink.createTables(opened)]);
    await opened.query('CREATE TABLE effects (job text NOT NULL, value text NOT NULL)');
  });

  afterAll(async () => {
    await opened?.end();
    await server?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  function pool(): Pool {
    return must(opened, 'the server is up');
  }

  function nextJob(): string {
    jobs += 1;
    return `job-${jobs}`;
  }

  function sinkOf(job: string): PostgresSink<string> {
    return new PostgresSink({
      pool: pool(),
      job,
      effect: async (client, points) => {
        const values = points.map(({ value }) => value);
        await client.query('INSERT INTO effects SELECT $1, unnest($2::text[])', [job, values]);
      },
    });
  }

  async function effectsOf(job: string): Promise<readonly string[]> {
    const { rows } = await pool().query('SELECT value FROM effects WHERE job = $1', [job]);
    return rows.map(({ value }) => value);
  }

  async function make(): Promise<SinkUnderTest> {
    const job = nextJob();
    return {
      sink: sinkOf(job),
      effects: () => effectsOf(job),
      segments: async () => {
        const text = 'SELECT count(*) AS count FROM polaris_fence_segment WHERE job = $1';
        return Number((await pool().query(text, [job])).rows[0]?.count);
      },
      // Whatever was finished since the last open is melted by the next one.
      finishedSegmentsMax: POINTS,
    };
  }

  testSink(() => ({ make, runs: 25 }));

  test('an effect that fails takes the cursor back with it', async () => {
    const job = nextJob();
    let broken = true;
    const sink = new PostgresSink<string>({
      pool: pool(),
      job,
      effect: async (client, points) => {
        await client.query('INSERT INTO effects VALUES ($1, $2)', [job, String(points[0]?.point)]);
        if (broken) throw new Error('the author threw');
      },
    });
    const task = await sink.open({ start: 0, end: 2 }, 1);
    await expect(task.push(0, '')).rejects.toThrow('the author threw');
    expect(await effectsOf(job)).toEqual([]);
    broken = false;
    expect(await task.push(0, '')).toBe('pushed');
    expect(await effectsOf(job)).toEqual(['0']);
  });

  test('an open waits for a push that is under way in its range, and counts it', async () => {
    const job = nextJob();
    const begun = gate();
    const goOn = gate();
    const slow = new PostgresSink<string>({
      pool: pool(),
      job,
      effect: async () => {
        begun.open();
        await goOn.passed;
      },
    });
    const older = await slow.open({ start: 0, end: 4 }, 1);
    const pushing = older.push(0, '0');
    await begun.passed;
    const opening = sinkOf(job).open({ start: 0, end: 2 }, 2);
    await waitsForLock();
    goOn.open();
    expect(await pushing).toBe('pushed');
    expect((await opening).done).toEqual([{ start: 0, end: 1 }]);
  });

  test('opens take turns: one that waited for that of a newer lease in its range is refused', async () => {
    const job = nextJob();
    await sinkOf(job).open({ start: 0, end: 2 }, 1);
    const client = await pool().connect();
    try {
      // An open that has the row of the job, has written its segment and has not committed yet.
      await client.query('BEGIN');
      await client.query('SELECT 1 FROM polaris_fence_job WHERE job = $1 FOR UPDATE', [job]);
      await client.query('INSERT INTO polaris_fence_segment VALUES ($1, 2, 2, 6, 3)', [job]);
      const refused = expect(sinkOf(job).open({ start: 2, end: 4 }, 2)).rejects.toMatchObject({ code: 'STALE_EPOCH' });
      await waitsForLock();
      await client.query('COMMIT');
      await refused;
    } finally {
      client.release();
    }
  });

  test('a push that waited for the open of a newer lease is refused', async () => {
    const job = nextJob();
    const older = await sinkOf(job).open({ start: 0, end: 4 }, 1);
    const client = await pool().connect();
    try {
      // An open that has the row and has not committed yet.
      await client.query('BEGIN');
      await client.query('UPDATE polaris_fence_segment SET epoch = 2 WHERE job = $1', [job]);
      const pushing = older.push(0, '0');
      const refused = expect(pushing).rejects.toMatchObject({ code: 'STALE_EPOCH' });
      await waitsForLock();
      await client.query('COMMIT');
      await refused;
    } finally {
      client.release();
    }
    expect(await effectsOf(job)).toEqual([]);
  });

  test('pushes of two workers of one job do not wait for each other', async () => {
    const job = nextJob();
    const begun = gate();
    const goOn = gate();
    const slow = new PostgresSink<string>({
      pool: pool(),
      job,
      effect: async () => {
        begun.open();
        await goOn.passed;
      },
    });
    const left = await slow.open({ start: 0, end: 2 }, 1);
    const right = await sinkOf(job).open({ start: 2, end: 4 }, 2);
    const pushing = left.push(0, '0');
    await begun.passed;
    expect(await right.push(2, '2')).toBe('pushed');
    // Nor does a new task of the neighbourhood.
    expect((await sinkOf(job).open({ start: 4, end: 6 }, 3)).done).toEqual([]);
    goOn.open();
    expect(await pushing).toBe('pushed');
  });

  test('the recipe with a unique key: a repeated point leaves one row', async () => {
    await pool().query('CREATE TABLE mail (job text, point bigint, body text, PRIMARY KEY (job, point))');
    const insert = 'INSERT INTO mail VALUES ($1, $2, $3) ON CONFLICT DO NOTHING';
    for (let times = 0; times < 2; times++) await pool().query(insert, ['job', 7, `try ${times}`]);
    expect((await pool().query('SELECT body FROM mail')).rows).toEqual([{ body: 'try 0' }]);
  });

  /** Resolves once some session of the server waits for a lock of another. */
  async function waitsForLock(): Promise<void> {
    for (;;) {
      const text = "SELECT count(*) AS count FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
      if (Number((await pool().query(text)).rows[0]?.count) > 0) return;
    }
  }
});

function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open = () => {};
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open: () => open() };
}
