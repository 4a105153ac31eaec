/**
 * The job types with data that come with Polaris, on a real node without peers: each gives what one loop gives. The market is
 * the one that folding.test.ts has on three voters.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { tableFromIPC } from 'apache-arrow';
import { expect, test } from 'vitest';
import { ask, STREAM } from './dataset-clients.ts';
import { openScene, type Scene, type Submission, voters } from './harness.ts';
import { expectedTurnover, MARKET, turnoverIn } from './market.ts';

const BASE = fileURLToPath(new URL('../../src/base/', import.meta.url));

async function put({ cluster }: Scene, name: string, csv: string): Promise<void> {
  await cluster.until(`dataset ${name}`, async () => {
    const init = { method: 'PUT', headers: { 'content-type': 'text/csv' }, body: csv };
    return (await ask(`${cluster.url('n1')}/v1/datasets/${name}`, init)).status === 200 ? true : null;
  });
}

/** Its result, when it is done. */
async function resultOf(scene: Scene, submission: Submission, accept: string): Promise<Buffer> {
  const { id } = await scene.submit(submission);
  expect(await scene.finished(id)).toMatchObject({ state: 'done' });
  const { status, bytes } = await ask(`${scene.cluster.url('n1')}/v1/jobs/${id}/result`, { headers: { accept } });
  expect(status).toBe(200);
  return Buffer.from(bytes);
}

async function rowsOf(scene: Scene, submission: Submission): Promise<Record<string, unknown>[]> {
  return tableFromIPC(await resultOf(scene, submission, STREAM))
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

  const trades = await resultOf(scene, { ...MARKET, options: { taskSize: 40 } }, 'text/csv');
  const [, ...lines] = trades.toString().trim().split(/\r?\n/);
  expect(turnoverIn(lines)).toEqual(expectedTurnover());
});
