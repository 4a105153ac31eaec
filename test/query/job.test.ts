/** The two halves of the job type `query`, with tasks and a job that stand for those of the runtime. */
import { type RecordBatch, Table, tableFromArrays } from 'apache-arrow';
import { describe, expect, test } from 'vitest';
import { Query } from '../../jobs/query/client.ts';
import { QueryMaster } from '../../jobs/query/master.ts';
import type { QueryMetadata } from '../../jobs/query/metadata.ts';
import { must } from '../../src/base/assert.ts';
import type { PolarisError } from '../../src/base/errors.ts';
import type { BatchTask } from '../../src/jobtype/pipeline.ts';
import { gatherBatches } from '../../src/query/gather.ts';
import { planQuery } from '../../src/query/plan.ts';

const ROWS = 1_000;
const IDS = Int32Array.from({ length: ROWS }, (_, at) => at);
const TABLE = tableFromArrays({ id: IDS, region: Array.from(IDS, (id) => ['north', 'south', 'east'][id % 3] ?? '') });
const TYPES = new Map([
  ['id', 'int32'],
  ['region', 'utf8'],
]);

function metadataOf(sql: string): QueryMetadata {
  const { plan } = planQuery(sql, TYPES);
  const { dataset, partial, final } = must(plan, 'this query falls apart');
  return { dataset, partial, final };
}

/** What job code sees of a task over these rows, and what came of it. */
class FakeTask {
  readonly emitted: RecordBatch[] = [];
  readonly signal: AbortSignal;
  acknowledged = false;
  readonly metadata: QueryMetadata;
  readonly start: number;
  readonly end: number;

  constructor(metadata: QueryMetadata, start: number, end: number, signal = new AbortController().signal) {
    this.metadata = metadata;
    this.start = start;
    this.end = end;
    this.signal = signal;
  }

  async *input(): AsyncGenerator<RecordBatch> {
    // In pieces that have nothing to do with those of the query.
    for (let at = this.start; at < this.end; at += 70) {
      yield* TABLE.slice(at, Math.min(at + 70, this.end)).batches;
    }
  }

  async emit(batch: RecordBatch): Promise<void> {
    expect(this.acknowledged).toBe(false);
    this.emitted.push(batch);
  }

  async *chunks(): AsyncGenerator<readonly [number, number]> {
    this.acknowledged = true;
    yield [this.start, this.end];
  }

  async work(): Promise<void> {
    await new Query().work(this as object as BatchTask<QueryMetadata>);
  }
}

const rowsOf = (batches: readonly RecordBatch[]): unknown[] =>
  new Table(batches).toArray().map((row: { toJSON(): unknown }) => row.toJSON());

async function runJob(sql: string, cuts: readonly number[]): Promise<unknown[]> {
  const metadata = metadataOf(sql);
  const master = new QueryMaster();
  expect(await master.plan({ metadata })).toEqual({ input: 'trades' });
  for (const [at, start] of cuts.entries()) {
    const task = new FakeTask(metadata, start, cuts[at + 1] ?? ROWS);
    await task.work();
    expect(task.acknowledged).toBe(true);
    for (const batch of task.emitted) master.collect(batch);
  }
  return rowsOf(await master.finish());
}

describe('a job of the type query', () => {
  test.each([[[0]], [[0, 1, 2, 500]], [[0, 333, 666, 999]]])(
    'answers the same however its range is cut: %j',
    async (cuts) => {
      const groups =
        'SELECT region, count(*) AS n, sum(id) AS s, avg(id) AS m FROM trades GROUP BY region ORDER BY region';
      const of = (rest: number) => Array.from(IDS).filter((id) => id % 3 === rest);
      const rowOf = (region: string, ids: readonly number[]) => {
        const sum = ids.reduce((total, id) => total + id, 0);
        return { region, n: ids.length, s: sum, m: sum / ids.length };
      };
      expect(await runJob(groups, cuts)).toEqual([rowOf('east', of(2)), rowOf('north', of(0)), rowOf('south', of(1))]);
      expect(await runJob('SELECT id FROM trades WHERE id > 500 LIMIT 3', cuts)).toEqual([
        { id: 501 },
        { id: 502 },
        { id: 503 },
      ]);
    },
  );

  test('emits and acknowledges nothing once it must stop', async () => {
    const control = new AbortController();
    control.abort(new Error('stop'));
    const task = new FakeTask(metadataOf('SELECT id FROM trades'), 0, ROWS, control.signal);
    await expect(task.work()).rejects.toThrow('stop');
    expect([task.emitted.length, task.acknowledged]).toEqual([0, false]);
  });

  test('reads what it is given, whatever its metadata says', async () => {
    for (const partial of ["SELECT * FROM read_csv('/etc/passwd')", 'SELECT * FROM other', 'DROP TABLE part']) {
      const task = new FakeTask({ dataset: 'trades', partial, final: 'SELECT * FROM answers' }, 0, 10);
      await expect(task.work()).rejects.toMatchObject({ code: 'BAD_QUERY' } satisfies Partial<PolarisError>);
      expect(task.acknowledged).toBe(false);
    }
  });

  test('of no rows has no answer to ask', async () => {
    const master = new QueryMaster();
    await master.plan({ metadata: metadataOf('SELECT id FROM trades') });
    expect(await master.finish()).toEqual([]);
  });

  test('takes as many batches at a time as fit, and one that does not fit alone', async () => {
    const sizes: number[] = [];
    const [first] = TABLE.slice(0, 10).batches;
    const { byteLength } = must(first, 'a batch').data;
    const source = new FakeTask(metadataOf('SELECT id FROM trades'), 0, ROWS).input();
    for await (const batches of gatherBatches(source, 3 * byteLength)) sizes.push(batches.length);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(Math.ceil(ROWS / 70));
    expect(Math.min(...sizes)).toBeGreaterThan(0);
    const alone: number[] = [];
    const again = new FakeTask(metadataOf('SELECT id FROM trades'), 0, ROWS).input();
    for await (const batches of gatherBatches(again, 1)) alone.push(batches.length);
    expect(new Set(alone)).toEqual(new Set([1]));
  });
});
