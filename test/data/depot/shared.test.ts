/** Blobs in one place for all nodes, a directory or a bucket: stored once, at hand everywhere, and deleted once. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { BLOB_PIECE_BYTES } from '../../../src/base/limits.ts';
import { SILENT } from '../../../src/base/log.ts';
import { Depot } from '../../../src/data/depot/depot.ts';
import { Guest } from '../../../src/data/depot/guest.ts';
import type { Round } from '../../../src/data/depot/keeper.ts';
import { PieceCache } from '../../../src/store/blobs/cache.ts';
import { openFileBlobs } from '../../../src/store/blobs/files.ts';
import { openS3Blobs } from '../../../src/store/blobs/s3.ts';
import { keysIn, placeOf, type S3Server, startS3 } from '../../store/blobs/bucket.ts';
import { chunksOf, content, gather, hashOf } from '../../store/blobs/content.ts';
import { filesIn } from '../../store/blobs/directory.ts';
import { DataCluster, type DataNode, GRACE_MS, type SharedPlace } from './cluster.ts';

const BYTES = BLOB_PIECE_BYTES + 5;
const CONTENT = content(31, BYTES);
const HASH = hashOf(CONTENT);

let directory: string;
let bucket: S3Server;
let folders = 0;
let opened: DataCluster | null = null;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'polaris-shared-'));
  bucket = await startS3();
});

afterEach(async () => {
  await opened?.close();
  opened = null;
});

afterAll(async () => {
  await bucket.close();
  await rm(directory, { recursive: true });
});

interface Scene {
  readonly cluster: DataCluster;
  readonly guest: Guest;
  /** Of the guest. */
  readonly cache: PieceCache;
  /** Whole copies, whoever made them. */
  copies(): Promise<string[]>;
}

/** Three voters and a worker over one place. */
async function open(place: SharedPlace['place']): Promise<Scene> {
  folders += 1;
  const prefix = `${folders}`;
  const openStore = (owner: string) =>
    place === 's3'
      ? openS3Blobs(placeOf(bucket, { owner, prefix: `${prefix}/` }))
      : openFileBlobs(join(directory, prefix), { owner });
  const cluster = await DataCluster.open(3, null, { shared: { place, open: openStore } });
  opened = cluster;
  const { peers } = cluster.node(0);
  const api = {
    id: 'w1',
    status: () => cluster.node(0).status(),
    read: () => expect.unreachable('a worker has no table'),
  };
  const cache = new PieceCache({ bytesMax: 8 * BLOB_PIECE_BYTES });
  const depot = new Depot({ api, store: await openStore('w1'), peers, cache, log: SILENT, replicas: null, place });
  const guest = new Guest({ depot, peers, voters: () => cluster.nodes.map(({ address }) => address) });
  const all = () => (place === 's3' ? keysIn(bucket) : filesIn(directory));
  const isCopy = (path: string) => path.startsWith(`${prefix}/`) && path.includes(HASH);
  return { cluster, guest, cache, copies: async () => (await all()).filter(isCopy) };
}

function keep(node: DataNode) {
  return node.depot.keep(chunksOf(CONTENT), BYTES);
}

async function readAll(from: Pick<Depot, 'open'>): Promise<boolean> {
  return (await gather((await from.open(HASH)).read())).equals(CONTENT);
}

describe.each(['directory', 's3'] as const)('in a shared %s', (place) => {
  test('a blob is stored once and needs no other node; whoever comes up reads it there, a guest too', async () => {
    const { cluster, guest, copies } = await open(place);
    const [first, ...others] = [cluster.node(0), cluster.node(1), cluster.node(2)] as const;
    for (const node of others) await node.down();
    cluster.pen.submit();
    expect(await keep(first)).toEqual({ hash: HASH, bytes: BYTES, stamp: cluster.pen.table.appliedIndex });
    expect(await copies()).toHaveLength(1);
    for (const reader of [...others.map(({ depot }) => depot), guest]) expect(await readAll(reader)).toBe(true);
  });

  test('what a guest has a voter keep is stored once, and at hand', async () => {
    const { guest, copies } = await open(place);
    expect((await guest.keep(chunksOf(CONTENT), BYTES)).hash).toBe(HASH);
    expect(await copies()).toHaveLength(1);
    expect(await readAll(guest)).toBe(true);
  });

  test('garbage is condemned once and deleted once, and nothing is fetched from node to node', async () => {
    const { cluster, copies } = await open(place);
    await keep(cluster.node(0));
    const round = async () => {
      const rounds: Round[] = [];
      for (const { keeper } of cluster.nodes) rounds.push(await keeper.round());
      const sum = (field: 'pulled' | 'deleted' | 'condemned') =>
        rounds.reduce((total, { [field]: count }) => total + count, 0);
      return [sum('pulled'), sum('condemned'), sum('deleted')];
    };
    expect(await round()).toEqual([0, 0, 0]);
    expect(await copies()).toHaveLength(1);
    cluster.now += GRACE_MS;
    expect([await round(), await round()]).toEqual([
      [0, 1, 1],
      [0, 0, 0],
    ]);
    expect(await copies()).toEqual([]);
  });
});

test('what a bucket gave is in the cache of the node that read it: the next read asks the bucket for no byte', async () => {
  const { cluster, guest, cache } = await open('s3');
  await keep(cluster.node(0));
  let ranges = 0;
  bucket.fault = ({ headers }) => {
    if (headers.range !== undefined) ranges += 1;
    return false;
  };
  try {
    for (const reader of [{ depot: guest, cache }, cluster.node(1)]) {
      ranges = 0;
      expect(await readAll(reader.depot)).toBe(true);
      expect(reader.cache.counts).toEqual({ hits: 0, misses: 2, evictions: 0, pieces: 2, bytes: BYTES });
      // The digests, and then all pieces in one go.
      expect(ranges).toBe(2);
      expect(await readAll(reader.depot)).toBe(true);
      expect(reader.cache.counts).toMatchObject({ hits: 2, misses: 2 });
      expect(ranges).toBe(2);
    }
  } finally {
    bucket.fault = null;
  }
});

test('what lies in a shared directory is in no cache: the system has it in memory', async () => {
  const { cluster } = await open('directory');
  await keep(cluster.node(0));
  expect(await readAll(cluster.node(1).depot)).toBe(true);
  expect(cluster.node(1).cache.counts).toMatchObject({ hits: 0, misses: 0, bytes: 0 });
});
