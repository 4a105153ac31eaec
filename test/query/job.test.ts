/** The two halves of the job type `query`, with tasks in memory and a job that stands for that of the runtime. */
import { type RecordBatch, Table, tableFromArrays } from 'apache-arrow';
import { describe, expect, test } from 'vitest';
import { Query } from '../../jobs/query/client.ts';
import { QueryMaster } from '../../jobs/query/master.ts';
import type { QueryMetadata } from '../../jobs/query/metadata.ts';
import { must } from '../../src/base/assert.ts';
import type { PolarisError } from '../../src/base/errors.ts';
import { gatherBatches } from '../../src/query/gather.ts';
import { planQuery } from '../../src/query/plan.ts';
import { emittedBy } from '../jobs/task-twin.ts';

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

/** In pieces that have nothing to do with those of the query. */
const PIECES = Array.from(
  { length: Math.ceil(ROWS / 70) },
  (_, at) => TABLE.slice(70 * at, 70 * (at + 1)).batches,
).flat();

/** What a task of these rows emits. */
function answersOf(metadata: QueryMetadata, start: number, end: number): Promise<RecordBatch[]> {
  return emittedBy(Query, { start, end, metadata, input: PIECES });
}

async function* input(): AsyncGenerator<RecordBatch> {
  yield* PIECES;
}

const rowsOf = (batches: readonly RecordBatch[]): unknown[] =>
  new Table(batches).toArray().map((row: { toJSON(): unknown }) => row.toJSON());

async function runJob(sql: string, cuts: readonly number[]): Promise<unknown[]> {
  const metadata = metadataOf(sql);
  let master = new QueryMaster();
  expect(await master.plan({ metadata })).toEqual({ input: 'trades' });
  for (const [at, start] of cuts.entries()) {
    for (const batch of await answersOf(metadata, start, cuts[at + 1] ?? ROWS)) master.collect(batch);
    // Whoever leads next goes on from the state.
    const state = master.state();
    master = new QueryMaster();
    master.restore(state);
  }
  return rowsOf((await master.finish({ metadata })) ?? []);
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

  test('asks nothing once it must stop', async () => {
    const metadata = metadataOf('SELECT id FROM trades');
    const stopped = emittedBy(Query, { start: 0, end: ROWS, metadata, input: PIECES, stopped: true });
    await expect(stopped).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('reads what it is given, whatever its metadata says', async () => {
    for (const partial of ["SELECT * FROM read_csv('/etc/passwd')", 'SELECT * FROM other', 'DROP TABLE part']) {
      const answers = answersOf({ dataset: 'trades', partial, final: 'SELECT * FROM answers' }, 0, 10);
      await expect(answers).rejects.toMatchObject({ code: 'BAD_QUERY' } satisfies Partial<PolarisError>);
    }
  });

  test('of no rows has no answer to ask', async () => {
    const master = new QueryMaster();
    expect(await master.finish({ metadata: metadataOf('SELECT id FROM trades') })).toBeNull();
  });

  test('takes as many batches at a time as fit, and one that does not fit alone', async () => {
    const sizes: number[] = [];
    const [first] = TABLE.slice(0, 10).batches;
    const { byteLength } = must(first, 'a batch').data;
    for await (const batches of gatherBatches(input(), 3 * byteLength)) sizes.push(batches.length);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(PIECES.length);
    expect(Math.min(...sizes)).toBeGreaterThan(0);
    const alone: number[] = [];
    for await (const batches of gatherBatches(input(), 1)) alone.push(batches.length);
    expect(new Set(alone)).toEqual(new Set([1]));
  });
});
