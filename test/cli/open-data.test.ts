/** What a node opens of batches by its settings: in each kind of place, and as a worker that keeps nothing. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { nodeProcessConfig, type Settings } from '../../src/base/config.ts';
import { SILENT } from '../../src/base/log.ts';
import { type NodeData, openNodeData } from '../../src/cli/open-data.ts';
import { FakeNode } from '../http/fake-node.ts';
import { Pen } from '../ranges/fixtures.ts';
import { BUCKET, keysIn, type S3Server, startS3 } from '../store/blobs/bucket.ts';
import { chunksOf, content, gather, hashOf } from '../store/blobs/content.ts';
import { filesIn } from '../store/blobs/directory.ts';

const CONTENT = content(61, 100_000);
const HASH = hashOf(CONTENT);
const WORKER = { role: 'worker', join: ['127.0.0.1:1'] } as const;

let bucket: S3Server;
let directory: string;
let pen: Pen;
const opened: NodeData[] = [];

beforeAll(async () => {
  bucket = await startS3();
  vi.stubEnv('AWS_ENDPOINT_URL', bucket.endpoint);
  vi.stubEnv('AWS_REGION', 'eu-west-3');
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'S3RVER');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'S3RVER');
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'polaris-open-data-'));
  pen = new Pen();
});
afterEach(async () => {
  for (const data of opened.splice(0)) await data.stop();
  rmSync(directory, { recursive: true });
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await bucket.close();
});

/** Nodes of one cluster that cannot reach each other: what they share, they share by the place alone. */
async function open(id: string, settings: Settings): Promise<NodeData> {
  const config = nodeProcessConfig({ id, dataDir: join(directory, id), ...settings }, { cores: 1 });
  const node = new FakeNode(id, pen);
  const unreachable = { id: 'other', address: '127.0.0.1:1', role: 'follower', matchIndex: null } as const;
  node.status = () => ({ ...FakeNode.prototype.status.call(node), members: [unreachable] });
  const data = await openNodeData({ config, log: SILENT, api: () => node });
  opened.push(data);
  return data;
}

async function readAll({ depot }: NodeData): Promise<boolean> {
  return (await gather((await depot.open(HASH)).read())).equals(CONTENT);
}

test.each(['dir', 's3'])(
  '--blobs %s is one place for all: what one node keeps, another one and a worker read',
  async (kind) => {
    const blobs = kind === 'dir' ? `dir:${join(directory, 'shared')}` : `s3://${BUCKET}/batches/`;
    const first = await open('n1', { blobs });
    expect(await first.depot.keep(chunksOf(CONTENT), CONTENT.length)).toMatchObject({ hash: HASH });
    const [second, worker] = [await open('n2', { blobs }), await open('w1', { blobs, ...WORKER })];
    for (const data of [second, worker]) expect(await readAll(data)).toBe(true);
    expect(worker.cache.counts.misses).toBe(kind === 'dir' ? 0 : 1);
    const places = kind === 'dir' ? await filesIn(join(directory, 'shared')) : await keysIn(bucket);
    expect(places.filter((path) => path.includes(HASH))).toHaveLength(1);
    if (kind === 's3') expect(places.every((key) => key.startsWith('batches/'))).toBe(true);
  },
);

test('requests to S3 are signed with the key and for the region of the environment', async () => {
  const signatures: string[] = [];
  bucket.fault = ({ headers }) => {
    signatures.push(headers.authorization ?? '');
    return false;
  };
  await open('n1', { blobs: `s3://${BUCKET}/signed/` });
  bucket.fault = null;
  expect(signatures.length).toBeGreaterThan(0);
  for (const text of signatures) expect(text).toMatch(/Credential=S3RVER\/\d{8}\/eu-west-3\/s3\//);
});

test('a node that is told nothing keeps batches in its data directory, and copies them to others', async () => {
  const data = await open('n1', {});
  const kept = data.depot.keep(chunksOf(CONTENT), CONTENT.length);
  await expect(kept).rejects.toMatchObject({ code: 'TOO_FEW_COPIES' });
  expect((await filesIn(join(directory, 'n1', 'blobs'))).filter((path) => path.includes(HASH))).toHaveLength(1);
});

test('a worker keeps nothing itself, and a voter does', async () => {
  expect((await open('w1', WORKER)).copies).toBeNull();
  expect((await open('n1', {})).copies).not.toBeNull();
});

test('the cache holds what it is told to', async () => {
  const blobs = `s3://${BUCKET}/cached/`;
  const long = content(62, 2_000_000);
  const { hash } = await (await open('n1', { blobs })).depot.keep(chunksOf(long), long.length);
  for (const [cacheMb, evictions] of [
    [1, 1],
    [2, 0],
  ] as const) {
    const { depot, cache } = await open(`n${cacheMb + 1}`, { blobs, cacheMb });
    expect((await gather((await depot.open(hash)).read())).equals(long)).toBe(true);
    expect(cache.counts).toMatchObject({ misses: 2, evictions });
  }
});

test('keys of S3 that are not in the environment are named', async () => {
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', '');
  const refused = open('n1', { blobs: `s3://${BUCKET}/` });
  await expect(refused).rejects.toMatchObject({
    code: 'USAGE',
    detail: expect.stringContaining('AWS_SECRET_ACCESS_KEY'),
  });
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'S3RVER');
});
