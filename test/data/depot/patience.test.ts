/** Who reads for a task waits for copies that cannot be reached, and for no others. */
import { afterEach, expect, test } from 'vitest';
import { SILENT } from '../../../src/base/log.ts';
import type { ClusterStatus } from '../../../src/daemon/api.ts';
import { Depot } from '../../../src/data/depot/depot.ts';
import { createBlobPeers } from '../../../src/data/depot/peers.ts';
import { openPatiently } from '../../../src/data/patience.ts';
import { MemoryBlobs, openMemoryBlobs } from '../../../src/store/blobs/memory.ts';
import { chunksOf, content, gather, hashOf } from '../../store/blobs/content.ts';
import { DataCluster, type DataNode } from './cluster.ts';

const BYTES = 3_000_000;
const CONTENT = content(7, BYTES);
const HASH = hashOf(CONTENT);
const NEVER = new AbortController().signal;

const closing: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A worker, which holds nothing, beside voters of which those named have the blob. */
async function open(holders: readonly number[]) {
  const cluster = await DataCluster.open(3);
  closing.push(() => cluster.close());
  for (const at of holders) await cluster.node(at).store.put(chunksOf(CONTENT), { maxBytes: BYTES, stamp: 0 });
  const known: { members: ClusterStatus['members'] | null } = { members: null };
  const peers = createBlobPeers(() => cluster.id);
  closing.push(async () => peers.close());
  const status = (): ClusterStatus => {
    const told = cluster.node(0).status();
    return { ...told, members: known.members ?? told.members };
  };
  const api = { id: 'w1', status, read: () => expect.unreachable('a worker has no table') };
  const cache = { piece: (_hash: string, _index: number, load: () => Promise<Uint8Array>) => load() };
  const store = openMemoryBlobs(new MemoryBlobs());
  const depot = new Depot({ api, store, peers, cache, log: SILENT, replicas: null, place: 'local' });
  return { cluster, depot, known };
}

/** The node comes up again once it was asked so often in vain. */
function upAfterTries(node: DataNode, depot: Depot, tries: number): Pick<Depot, 'open'> & { failures: string[] } {
  const failures: string[] = [];
  const failed = async (thrown: unknown): Promise<never> => {
    failures.push((thrown as { readonly code: string }).code);
    if (failures.length === tries) await node.up();
    throw thrown;
  };
  return {
    failures,
    open: async (hash) => {
      const { bytes, read } = await depot.open(hash).catch(failed);
      return {
        bytes,
        read: async function* (range) {
          try {
            yield* read(range);
          } catch (thrown) {
            await failed(thrown);
          }
        },
      };
    },
  };
}

test('while the one that has it is away it is waited for', async () => {
  const { cluster, depot } = await open([1]);
  await cluster.node(1).down();
  const patient = upAfterTries(cluster.node(1), depot, 2);
  const blob = await openPatiently(patient, HASH, NEVER);
  expect(patient.failures).toEqual(['UNREACHABLE', 'UNREACHABLE']);
  expect((await gather(blob.read())).equals(CONTENT)).toBe(true);
});

test('a reading goes on where it stopped when its last holder comes back', async () => {
  const { cluster, depot } = await open([1]);
  const patient = upAfterTries(cluster.node(1), depot, 1);
  const { read } = await openPatiently(patient, HASH, NEVER);
  const chunks: Uint8Array[] = [];
  for await (const chunk of read({ start: 10, end: BYTES - 10 })) {
    chunks.push(chunk);
    if (chunks.length === 1) await cluster.node(1).down();
  }
  expect(patient.failures).toEqual(['UNREACHABLE']);
  expect(Buffer.concat(chunks).equals(CONTENT.subarray(10, BYTES - 10))).toBe(true);
});

test('a blob that no node has is missing at once', async () => {
  const { depot } = await open([]);
  await expect(openPatiently(depot, HASH, NEVER)).rejects.toMatchObject({ code: 'BLOB_MISSING' });
});

test('a worker that knows of no voter yet has looked nowhere', async () => {
  const { depot, known } = await open([1]);
  known.members = [];
  await expect(depot.open(HASH)).rejects.toMatchObject({ code: 'UNREACHABLE' });
  const opening = openPatiently(depot, HASH, NEVER);
  known.members = null;
  expect((await opening).bytes).toBe(BYTES);
});

test('nobody waits for a task that is over', async () => {
  const { cluster, depot } = await open([1]);
  for (const node of cluster.nodes) await node.down();
  const task = new AbortController();
  const opening = openPatiently(depot, HASH, task.signal);
  task.abort();
  await expect(opening).rejects.toThrow();
});
