/**
 * Jobs with data on real processes: what points emit is in the result once, whoever is killed, on nodes that keep blobs and on
 * one that keeps none, and serves them all the same.
 */
import { tableFromIPC } from 'apache-arrow';
import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import type { CacheJson } from '../../src/http/cache.ts';
import { ask, STREAM } from './dataset-clients.ts';
import { JOBS_DIR, LONG_TTL, openScene, type Scene, underWay, voters, worker } from './harness.ts';

const POINTS = 400;

/** Puts the numbers 0, 3, 6, … as a dataset of one column. */
async function putNumbers({ cluster }: Scene): Promise<void> {
  const csv = ['n', ...Array.from({ length: POINTS }, (_, row) => String(row * 3))].join('\n');
  await cluster.until('the numbers', async () => {
    const url = `${cluster.url('n1')}/v1/datasets/numbers`;
    const reply = await ask(url, { method: 'PUT', headers: { 'content-type': 'text/csv' }, body: csv });
    return reply.status === 200 ? reply : null;
  });
}

interface Square {
  readonly point: number;
  readonly square: number;
}

async function resultOf({ cluster }: Scene, id: string, node: string): Promise<Square[]> {
  const bytes = await cluster.until(`the result through ${node}`, async () => {
    // Without a limit of time: many small blobs are read, by a node that may be slow.
    const reply = await fetch(`${cluster.url(node)}/v1/jobs/${id}/result`, { headers: { accept: STREAM } });
    if (reply.status === 503) return null;
    const content = new Uint8Array(await reply.arrayBuffer());
    if (reply.status !== 200) throw new Error(`${reply.status}: ${new TextDecoder().decode(content)}`);
    return content;
  });
  return tableFromIPC(bytes)
    .toArray()
    .map(({ point, square }) => ({ point: Number(point), square: Number(square) }));
}

test('a worker and a voter are killed on the way, and the result is that of one process', async () => {
  const scene = await openScene([...voters(1), worker('w1', 2)], [...LONG_TTL, '--jobs', JOBS_DIR]);
  const { cluster } = scene;
  await putNumbers(scene);
  const leader = await cluster.leader();
  const victim = must(
    ['n1', 'n2', 'n3'].find((id) => id !== leader),
    'a voter that does not lead',
  );
  const { id } = await scene.submit({
    name: 'squaring',
    input: 'numbers',
    start: 0,
    end: POINTS,
    metadata: { intervalMs: 10 },
    options: { commitEvery: 10, taskSize: 60 },
  });
  for (const lost of ['w1', victim]) {
    await scene.untilRanges(id, `work under way on ${lost}`, (ranges) => underWay(ranges, lost).length > 0);
    await cluster.signal(lost, 'SIGKILL');
  }
  expect((await scene.finished(id)).state).toBe('done');
  expect(await scene.verify(id)).toMatchObject({ covered: true, missing: [], failed: [] });
  const expected = Array.from({ length: POINTS }, (_, point) => ({ point, square: (3 * point) ** 2 }));
  for (const node of cluster.ids.filter((one) => cluster.running(one))) {
    expect(await resultOf(scene, id, node)).toEqual(expected);
  }
  cluster.start('w1');
  for (const hits of [false, true]) {
    const { bytes } = await cluster.until('the numbers through the worker', async () => {
      const reply = await ask(`${cluster.url('w1')}/v1/datasets/numbers`);
      return reply.status === 200 ? reply : null;
    });
    expect(tableFromIPC(bytes).numRows).toBe(POINTS);
    const counts = JSON.parse(
      new TextDecoder().decode((await ask(`${cluster.url('w1')}/v1/cache`)).bytes),
    ) as CacheJson;
    if (hits) expect(counts.hits).toBeGreaterThan(0);
    expect(counts).toMatchObject({ misses: 1, pieces: 1 });
  }
  expect(await resultOf(scene, id, 'w1')).toEqual(expected);
});
