/**
 * Masters that take in what points emitted, on real processes: each output is in the result once, and in order where that
 * is asked for, though the host of the Master and the leader are killed while they are at it.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { PolarisClient } from '../../src/client/client.ts';
import { countsOfText } from './folding-words.ts';
import { JOBS_DIR, openScene, report, type Scene, voters } from './harness.ts';
import { expectedTurnover, MARKET, turnoverIn } from './market.ts';

const POINTS = 600;
const ROWS = 3_000;

/** The rows of a result as CSV, without the names of the columns, as soon as some node serves it. */
async function resultOf({ cluster }: Scene, id: string): Promise<string[]> {
  return cluster.until(`the result of job ${id}`, async () => {
    for (const node of cluster.ids.filter((one) => cluster.running(one))) {
      const url = `${cluster.url(node)}/v1/jobs/${id}/result`;
      const response = await fetch(url, { headers: { accept: 'text/csv' } }).catch(() => null);
      if (response?.status === 200) return (await response.text()).trim().split(/\r?\n/).slice(1);
      await response?.body?.cancel();
    }
    return null;
  });
}

/** Folds of a job that nodes have logged, in all their lives. */
function foldsOf(scene: Scene, node: string, job: string): number {
  return scene.log(node).filter((record) => record.msg === 'outputs-folded' && record['job'] === job).length;
}

/** Kills whoever leads, once the log holds some folds of each job and all of them are still at work. */
async function killLeaderAmidst(scene: Scene, ...jobs: readonly string[]): Promise<void> {
  const { cluster } = scene;
  const leader = await cluster.until('a leader that folds', async () => {
    const leads = await cluster.leader();
    return jobs.every((job) => foldsOf(scene, leads, job) >= 2) ? leads : null;
  });
  for (const job of jobs) expect((await scene.job(job)).state).toBe('running');
  await cluster.signal(leader, 'SIGKILL');
}

/** Takes away the bound that kept a job at work until its leader was killed. */
async function hurry({ cluster }: Scene, job: string): Promise<void> {
  const client = new PolarisClient({ urls: cluster.ids.map((node) => cluster.url(node)) });
  await cluster.until(`job ${job} is not held back`, () =>
    client.set(job, { pointsPerSecond: null }).catch(() => null),
  );
}

test('in order: kill -9 of the Master’s host between collect and fold, and of the leader in the middle', async () => {
  const scene = await openScene(voters(1), ['--jobs', JOBS_DIR]);
  const trap = join(scene.dir, 'trap');
  const metadata = { intervalMs: 40, trap, trapFrom: 100 };
  const options = { commitEvery: 10, commitIntervalMs: 50 };
  const { id } = await scene.submit({ name: 'tallying', start: 0, end: POINTS, metadata, options });
  await scene.cluster.until('the trap is sprung', async () => (existsSync(trap) ? true : null));
  await killLeaderAmidst(scene, id);
  expect((await scene.finished(id)).state).toBe('done');
  const points = (await resultOf(scene, id)).map(Number);
  expect(points).toEqual(Array.from({ length: POINTS }, (_, point) => point));
  for (const node of scene.cluster.ids) report(`${node}: ${foldsOf(scene, node, id)} folds seen`);
});

test('wordcount of a dataset that its Master planned, and the windows of trades, with the leader killed, equal those of one process', async () => {
  // All nodes keep their blobs in one place.
  const shared = mkdtempSync(join(tmpdir(), 'polaris-shared-'));
  onTestFinished(() => rmSync(shared, { recursive: true, force: true }));
  const scene = await openScene(voters(1), ['--blobs', `dir:${shared}`]);
  const { cluster } = scene;
  const text = Array.from(
    { length: ROWS },
    (_, row) => `The ${row % 7} words, of row-${row % 31}; "the" END ${row}!`,
  ).join('\n');
  await cluster.until('the dataset is put', async () => {
    const url = `${cluster.url(await cluster.leader())}/v1/datasets/books`;
    const put = { method: 'PUT', headers: { 'content-type': 'text/plain' }, body: text };
    const response = await fetch(url, put).catch(() => null);
    await response?.body?.cancel();
    return response?.status === 200 || response?.status === 201 ? true : null;
  });
  const metadata = { dataset: 'books', column: 'line' };
  const options = { commitEvery: 25, commitIntervalMs: 50, taskSize: 100, pointsPerSecond: 100 };
  const job = await scene.submit({ name: 'wordcount', metadata, options });
  expect(job).toMatchObject({ start: 0, end: ROWS });
  const trades = await scene.submit({ ...MARKET, options: { taskSize: 10, pointsPerSecond: 5 } });
  await killLeaderAmidst(scene, job.id, trades.id);
  for (const { id } of [job, trades]) await hurry(scene, id);
  expect((await scene.finished(job.id)).state).toBe('done');
  expect(readdirSync(shared).filter((name) => /^[0-9a-f]{3}$/.test(name)).length).toBeGreaterThan(0);
  expect(cluster.ids.filter((id) => existsSync(join(cluster.dataDir(id), 'blobs')))).toEqual([]);
  const counted = (await resultOf(scene, job.id)).sort();
  expect(counted).toEqual(countsOfText(text));
  // Whoever led next went on with windows that were open, and others that were told.
  expect((await scene.finished(trades.id)).state).toBe('done');
  expect(turnoverIn(await resultOf(scene, trades.id))).toEqual(expectedTurnover());
  // The same rows once more, asked in SQL on all workers.
  const sql = "SELECT count(*) AS n, max(line) AS last FROM books WHERE line LIKE '%row-7%'";
  const asked = await scene.polaris(['query', sql, '--job', '-o', 'csv']);
  const lines = text.split('\n').filter((line) => line.includes('row-7'));
  expect([asked.exit, asked.stdout]).toEqual([
    0,
    `n,last\n${lines.length},"${lines.sort().at(-1)?.replaceAll('"', '""')}"\n`,
  ]);
});
