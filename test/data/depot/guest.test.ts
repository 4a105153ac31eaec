/** A node that keeps nothing: voters keep for it, and it reads from them. */
import { afterEach, describe, expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { BLOB_PIECE_BYTES } from '../../../src/base/limits.ts';
import { SILENT } from '../../../src/base/log.ts';
import type { Address } from '../../../src/base/types.ts';
import { Depot } from '../../../src/data/depot/depot.ts';
import { Guest } from '../../../src/data/depot/guest.ts';
import { type BlobPeers, createBlobPeers } from '../../../src/data/depot/peers.ts';
import { PieceCache } from '../../../src/store/blobs/cache.ts';
import { MemoryBlobs, openMemoryBlobs } from '../../../src/store/blobs/memory.ts';
import { chunksOf, content, gather, hashOf } from '../../store/blobs/content.ts';
import { DataCluster } from './cluster.ts';

const BYTES = 3_000_000;
const CONTENT = content(7, BYTES);
const HASH = hashOf(CONTENT);

let opened: { readonly cluster: DataCluster; readonly peers: BlobPeers } | null = null;

async function open(count: number) {
  const cluster = await DataCluster.open(count);
  const peers = createBlobPeers(() => cluster.id);
  opened = { cluster, peers };
  const store = openMemoryBlobs(new MemoryBlobs());
  const api = {
    id: 'w1',
    status: () => cluster.node(0).status(),
    read: () => expect.unreachable('a worker has no table'),
  };
  const cache = new PieceCache({ bytesMax: 8 * BLOB_PIECE_BYTES });
  const depot = new Depot({ api, store, peers, cache, log: SILENT, replicas: null, place: 'local' });
  const voters = (): Address[] => cluster.nodes.map(({ address }) => address);
  return { cluster, guest: new Guest({ depot, peers, voters }) };
}

afterEach(async () => {
  opened?.peers.close();
  await opened?.cluster.close();
  opened = null;
});

describe('a guest', () => {
  test('has its bytes on a majority of the voters when it is answered, and reads them back', async () => {
    const { cluster, guest } = await open(3);
    cluster.pen.submit();
    const kept = await guest.keep(chunksOf(CONTENT), BYTES);
    expect(kept).toEqual({ hash: HASH, bytes: BYTES, stamp: cluster.pen.table.appliedIndex });
    expect(await cluster.holders(HASH)).toHaveLength(2);
    const read = await gather((await guest.open(HASH)).read());
    expect(read.equals(CONTENT)).toBe(true);
  });

  test('has what lies somewhere kept again, with a newer stamp, and says when it is gone', async () => {
    const { cluster, guest } = await open(3);
    await guest.keep(chunksOf(CONTENT), BYTES);
    cluster.pen.apply({ kind: 'condemn', hashes: [HASH] });
    expect(await guest.keepAgain(HASH)).toBe(cluster.pen.table.appliedIndex);
    await expect(guest.keepAgain(hashOf(content(8, 10)))).rejects.toMatchObject({ code: 'BLOB_CONDEMNED' });
  });

  test('goes to another voter after one that cannot be reached', async () => {
    const { cluster, guest } = await open(3);
    await cluster.node(0).down();
    await expect(guest.keep(chunksOf(CONTENT), BYTES)).rejects.toMatchObject({ code: 'UNREACHABLE' });
    expect((await guest.keep(chunksOf(CONTENT), BYTES)).hash).toBe(HASH);
    expect(await cluster.holders(HASH)).toEqual([1, 2]);
  });

  test('keeps nothing that is larger than it may be, and says so', async () => {
    const { cluster, guest } = await open(1);
    await expect(guest.keep(chunksOf(CONTENT), BYTES - 1)).rejects.toMatchObject({ code: 'BLOB_TOO_LARGE' });
    expect(await cluster.holders(HASH)).toEqual([]);
  });

  test('a source that breaks leaves nothing', async () => {
    const { cluster, guest } = await open(1);
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield CONTENT.subarray(0, 100_000);
      throw new Error('the disk went away');
    }
    await expect(guest.keep(broken(), BYTES)).rejects.toMatchObject({ code: 'UNREACHABLE' });
    expect(await cluster.holders(hashOf(CONTENT.subarray(0, 100_000)))).toEqual([]);
  });

  test('without a voter that is known it says so', async () => {
    const { peers } = must((await open(1)) && opened, 'opened');
    const depot = { open: () => expect.unreachable(), isStamped: () => expect.unreachable() };
    const guest = new Guest({ depot, peers, voters: () => [] });
    await expect(guest.keep(chunksOf(CONTENT), BYTES)).rejects.toMatchObject({ code: 'NO_LEADER' });
  });
});
