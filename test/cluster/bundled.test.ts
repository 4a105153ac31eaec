/**
 * The job types with data that come with Polaris, on a real node: each gives what one loop gives.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { tableFromIPC } from 'apache-arrow';
import { expect, test } from 'vitest';
import { naiveTurnover } from '../../jobs/trades/naive.ts';
import { ask, STREAM } from './dataset-clients.ts';
import { openScene, type Scene, type Submission, voters } from './harness.ts';

const BASE = fileURLToPath(new URL('../../src/base/', import.meta.url));
const SEED = 11;
const SECONDS = 130;

async function put({ cluster }: Scene, name: string, csv: string): Promise<void> {
  await cluster.until(`dataset ${name}`, async () => {
    const init = { method: 'PUT', headers: { 'content-type': 'text/csv' }, body: csv };
    return (await ask(`${cluster.url('n1')}/v1/datasets/${name}`, init)).status === 200 ? true : null;
  });
}

/** Its result, when it is done. */
async function rowsOf(scene: Scene, submission: Submission): Promise<Record<string, unknown>[]> {
  const { id } = await scene.submit(submission);
  expect(await scene.finished(id)).toMatchObject({ state: 'done' });
  const { status, bytes } = await ask(`${scene.cluster.url('n1')}/v1/jobs/${id}/result`, {
    headers: { accept: STREAM },
  });
  expect(status).toBe(200);
  return tableFromIPC(bytes)
    .toArray()
    .map((row) => ({ ...row.toJSON() }));
}

test('hash-files, csv-clean and trades give what one loop gives', async () => {
  const scene = await openScene(voters(2, ['n1']));

  const files = readdirSync(BASE).map((name) => `${BASE}${name}`);
  await put(scene, 'manifest', ['path', ...files].join('\n'));
  const hashed = await rowsOf(scene, { name: 'hash-files', metadata: { dataset: 'manifest' } });
  const contents = files.map((path) => ({ path, content: readFileSync(path) }));
  expect(hashed).toEqual(
    contents.map(({ path, content }) => ({
      ...{ path, bytes: BigInt(content.length), sha256: createHash('sha256').update(content).digest('hex') },
    })),
  );

  await put(scene, 'people', 'name,email\n Ada ,ADA@X.ORG\nNobody,\n Bob,bob@y.org \n');
  const metadata = { dataset: 'people', required: ['email'], lower: ['email'] };
  expect(await rowsOf(scene, { name: 'csv-clean', metadata })).toEqual([
    { name: 'Ada', email: 'ada@x.org' },
    { name: 'Bob', email: 'bob@y.org' },
  ]);

  const trades = { name: 'trades', start: 0, end: SECONDS, metadata: { seed: SEED }, options: { taskSize: 40 } };
  const turnover = (await rowsOf(scene, trades)).map(
    ({ window_start: start, product, region, orders, pieces, euro_cents: euroCents, largest }) => ({
      ...{ windowStart: Number(start), product, region, orders: Number(orders), pieces: Number(pieces) },
      ...{ euroCents, largest },
    }),
  );
  const textOf = (one: { product: unknown; region: unknown }) => `${one.product}/${one.region}`;
  turnover.sort((one, other) => one.windowStart - other.windowStart || (textOf(one) < textOf(other) ? -1 : 1));
  expect(turnover).toEqual(naiveTurnover(SEED, 0, SECONDS));
});
