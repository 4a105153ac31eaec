/** Blobs over several nodes: what is named is on enough disks, what is read is right, and what is lost is made again. */
import { afterEach, describe, expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import type { Handle } from '../../../src/base/handle.ts';
import { BLOB_PIECE_BYTES, CONDEMNED_PER_ENTRY_MAX, CONDEMNED_PER_ROUND_MAX } from '../../../src/base/limits.ts';
import { chunksOf, content, gather, hashOf } from '../../store/blobs/content.ts';
import { DataCluster, type DataNode, GRACE_MS, SCRUB_MS } from './cluster.ts';

const BYTES = 2 * BLOB_PIECE_BYTES + 5;
const CONTENT = content(1, BYTES);
const HASH = hashOf(CONTENT);

let opened: DataCluster | null = null;

async function open(count: number, replicas: number | null = null): Promise<DataCluster> {
  opened = await DataCluster.open(count, replicas);
  return opened;
}

afterEach(async () => {
  await opened?.close();
  opened = null;
});

function keep(node: DataNode, bytes: Uint8Array = CONTENT) {
  return node.depot.keep(chunksOf(bytes), 2 ** 40);
}

async function readAll(node: DataNode, hash = HASH): Promise<Buffer> {
  return gather((await node.depot.open(hash)).read());
}

function handleOf(hash: string, bytes = BYTES): Handle {
  return { hash, bytes, rows: 1, schema: '0123456789abcdef' };
}

/** Compared as bytes: two MiB as two lists of numbers take seconds. */
function same(bytes: Buffer, expected: Buffer): void {
  expect(bytes.equals(expected)).toBe(true);
}

/** Has the log refer to a blob. */
function name(cluster: DataCluster, dataset: string, hash = HASH, ttlMs: number | null = null): void {
  const { pen } = cluster;
  pen.at = cluster.now;
  const plain = { expected: null, ttlMs, pinned: false, stamp: pen.table.appliedIndex };
  expect(pen.apply({ kind: 'put-dataset', name: dataset, handle: handleOf(hash), ...plain }).kind).toBe('put');
}

describe('a blob that is kept', () => {
  test('is on a majority of the voters when it can be named, and any node reads it', async () => {
    const cluster = await open(3);
    cluster.pen.submit();
    const kept = await keep(cluster.node(1));
    expect(kept).toEqual({ hash: HASH, bytes: BYTES, stamp: cluster.pen.table.appliedIndex });
    const holders = await cluster.holders(HASH);
    expect(holders).toHaveLength(2);
    expect(holders).toContain(1);
    for (const node of cluster.nodes) same(await readAll(node), CONTENT);
    expect(cluster.nodes.map(({ fetched }) => fetched).sort()).toEqual([0, 0, 3]);
  });

  test('goes to another voter when one is down, and to none when too few are up', async () => {
    const cluster = await open(3);
    await cluster.node(2).down();
    await keep(cluster.node(0));
    expect(await cluster.holders(HASH)).toEqual([0, 1]);
    await cluster.node(1).down();
    const other = content(2, 10);
    await expect(keep(cluster.node(0), other)).rejects.toMatchObject({
      ...{ code: 'TOO_FEW_COPIES', detail: expect.stringContaining('1 of 2 copies') },
    });
  });

  test('has as many copies as `replicas` says, and no more than there are voters', async () => {
    const cluster = await open(3, 9);
    await keep(cluster.node(0));
    expect(await cluster.holders(HASH)).toEqual([0, 1, 2]);
  });

  test('is sent nowhere twice, and its stamp is the smallest of the copies', async () => {
    const cluster = await open(2);
    await keep(cluster.node(0));
    cluster.pen.submit();
    expect(await keep(cluster.node(1))).toMatchObject({ stamp: 1 });
    expect(await cluster.node(0).store.stat(HASH)).toMatchObject({ stamp: 1 });
  });

  test('is empty, or many pieces, and any range of it can be read from afar', async () => {
    const cluster = await open(2, 1);
    const empty = await keep(cluster.node(0), new Uint8Array(0));
    same(await readAll(cluster.node(1), empty.hash), Buffer.alloc(0));
    await keep(cluster.node(0));
    const blob = await cluster.node(1).depot.open(HASH);
    for (const [start, end] of [
      [0, 1],
      [BLOB_PIECE_BYTES - 1, BLOB_PIECE_BYTES + 1],
      [5, 2 * BLOB_PIECE_BYTES + 3],
      [BYTES - 1, BYTES],
    ] as const) {
      same(await gather(blob.read({ start, end })), CONTENT.subarray(start, end));
    }
    await expect(gather(blob.read({ start: 0, end: BYTES + 1 }))).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });

  test('that nobody has is missing, and the answer says so', async () => {
    const cluster = await open(3);
    await expect(readAll(cluster.node(0))).rejects.toMatchObject({ code: 'BLOB_MISSING' });
  });
});

describe('damage', () => {
  const flip = (at: number) => (stored: Buffer) => {
    stored[at] = (stored[at] ?? 0) ^ 1;
    return stored;
  };

  test('of the own copy is made good from another, in the middle of a read, and no wrong byte comes out', async () => {
    const cluster = await open(3, 3);
    await keep(cluster.node(0));
    cluster.node(0).disk.damage(HASH, flip(BLOB_PIECE_BYTES + 7));
    same(await readAll(cluster.node(0)), CONTENT);
    // The first piece came from its own disk.
    expect(cluster.node(0).fetched).toBe(2);
  });

  test('of every copy but one is no hindrance, and of all of them an error', async () => {
    const cluster = await open(3, 3);
    await keep(cluster.node(0));
    cluster.node(0).disk.damage(HASH, flip(0));
    cluster.node(1).disk.damage(HASH, flip(2 * BLOB_PIECE_BYTES));
    same(await readAll(cluster.node(0)), CONTENT);
    // Another one, of which nothing is in a cache.
    const { hash } = await keep(cluster.node(0), content(4, BYTES));
    for (const [at, place] of [0, 2 * BLOB_PIECE_BYTES, BYTES + 1].entries()) {
      cluster.node(at).disk.damage(hash, flip(place));
    }
    await expect(readAll(cluster.node(0), hash)).rejects.toMatchObject({
      code: expect.stringMatching(/BLOB_(MISSING|DAMAGED)/),
    });
  });

  test('is found by reading one copy after the other, and mended from another node', async () => {
    const cluster = await open(3, 3);
    await keep(cluster.node(0));
    const other = await keep(cluster.node(0), content(3, 100));
    name(cluster, 'a');
    name(cluster, 'b', other.hash);
    cluster.node(0).disk.damage(HASH, flip(9));
    cluster.node(0).disk.damage(other.hash, flip(9));
    const rounds = [];
    for (let round = 0; round < 3; round++) {
      rounds.push(await cluster.node(0).keeper.round());
      cluster.now += SCRUB_MS;
    }
    expect(rounds.map(({ pulled }) => pulled)).toEqual([1, 1, 0]);
    same(await gather(cluster.node(0).store.read(HASH)), CONTENT);
  });
});

describe('a keeper', () => {
  test('fetches what the log refers to and its node lacks, so that nodes can be replaced by empty ones in turn', async () => {
    const cluster = await open(3);
    const [first, second] = await Promise.all([keep(cluster.node(0)), keep(cluster.node(0), content(2, 3_000_000))]);
    name(cluster, 'a', first.hash);
    name(cluster, 'b', second.hash);
    expect((await cluster.node(2).keeper.lacking()).length + (await cluster.node(1).keeper.lacking()).length).toBe(2);
    for (const node of cluster.nodes) await node.keeper.round();
    for (const at of [0, 1, 2]) {
      for (const { hash } of [first, second]) await cluster.node(at).store.deleteBelow(hash, 2 ** 40);
      expect(await cluster.node(at).keeper.round()).toMatchObject({ pulled: 2 });
    }
    for (const node of cluster.nodes) {
      expect(await node.keeper.lacking()).toEqual([]);
      same(await gather(node.store.read(second.hash)), content(2, 3_000_000));
    }
  });

  test('leaves alone what is about to be named, and has condemned and deletes what nobody ever names', async () => {
    const cluster = await open(3, 3);
    await keep(cluster.node(0));
    expect(await cluster.node(1).keeper.round()).toMatchObject({ condemned: 0, deleted: 0 });
    cluster.now += GRACE_MS - 1;
    expect(await cluster.node(1).keeper.round()).toMatchObject({ condemned: 0, deleted: 0 });
    cluster.now += 1;
    // A node that does not lead asks the one that does.
    expect(await cluster.node(1).keeper.round()).toMatchObject({ condemned: 1, deleted: 0 });
    for (const node of cluster.nodes) expect(await node.keeper.round()).toMatchObject({ deleted: 1 });
    expect(await cluster.holders(HASH)).toEqual([]);
  });

  test('puts up as much as a round takes, more than one entry of the log, and the rest in the next', async () => {
    const cluster = await open(1);
    const { store, keeper } = cluster.node(0);
    const count = CONDEMNED_PER_ROUND_MAX + 1;
    for (let at = 0; at < count; at++) await store.put(chunksOf(content(at, 8)), { stamp: 0, maxBytes: 8 });
    await keeper.round();
    cluster.now += GRACE_MS;
    const before = cluster.pen.table.appliedIndex;
    expect(await keeper.round()).toMatchObject({ condemned: CONDEMNED_PER_ROUND_MAX, deleted: 0 });
    const entries = CONDEMNED_PER_ROUND_MAX / CONDEMNED_PER_ENTRY_MAX;
    expect(cluster.pen.table.appliedIndex - before).toBe(entries);
    expect(await keeper.round()).toMatchObject({ condemned: 1, deleted: CONDEMNED_PER_ROUND_MAX });
    expect(await keeper.round()).toMatchObject({ condemned: 0, deleted: 1 });
    expect(await store.usage()).toEqual({ blobs: 0, bytes: 0 });
  });

  test('walks along its copies instead of asking for each', async () => {
    const cluster = await open(1);
    const { store, keeper } = cluster.node(0);
    const { hash } = await keep(cluster.node(0));
    name(cluster, 'a', hash);
    const asked: string[] = [];
    const stat = store.stat.bind(store);
    store.stat = (one) => {
      asked.push(one);
      return stat(one);
    };
    expect([await keeper.lacking(), asked]).toEqual([[], []]);
    // A walk may pass by what is stamped anew meanwhile: of what it did not see, the store is asked.
    store.list = async function* () {};
    expect([await keeper.lacking(), asked]).toEqual([[], [hash]]);
  });

  test('keeps what was named in time, and lets it go when its name is dropped', async () => {
    const cluster = await open(3, 3);
    await keep(cluster.node(0));
    await cluster.node(0).keeper.round();
    name(cluster, 'a');
    cluster.now += GRACE_MS;
    expect(await cluster.node(0).keeper.round()).toMatchObject({ condemned: 0 });
    cluster.pen.apply({ kind: 'drop-dataset', name: 'a', expected: null });
    await cluster.node(0).keeper.round();
    cluster.now += GRACE_MS;
    expect(await cluster.node(0).keeper.round()).toMatchObject({ condemned: 1 });
    expect(await cluster.node(0).keeper.round()).toMatchObject({ deleted: 1 });
  });

  test('deletes no copy that was stored again after the blob was condemned', async () => {
    const cluster = await open(2, 2);
    await keep(cluster.node(0));
    cluster.pen.apply({ kind: 'condemn', hashes: [HASH] });
    const again = await keep(cluster.node(1));
    expect(again.stamp).toBe(cluster.pen.table.appliedIndex);
    for (const node of cluster.nodes) expect(await node.keeper.round()).toMatchObject({ deleted: 0 });
    name(cluster, 'a');
    same(await readAll(cluster.node(0)), CONTENT);
  });

  test('leaves alone what is still on its way to others, and names it though it was condemned meanwhile', async () => {
    const cluster = await open(3, 3);
    const [sender, slow] = [cluster.node(0), cluster.node(1)];
    // All nodes clear up while the second copy is being made: as if a grace had passed on a slow line.
    const takeIn = slow.store.put.bind(slow.store);
    slow.store.put = async (source, options) => {
      const made = await takeIn(source, options);
      cluster.now += GRACE_MS;
      cluster.pen.apply({ kind: 'condemn', hashes: [HASH] });
      expect(await sender.keeper.round()).toMatchObject({ deleted: 0, condemned: 0 });
      return made;
    };
    const { stamp } = await keep(sender);
    expect(cluster.pen.table.mayDeleteBlob(HASH, stamp)).toBe(true);
    slow.store.put = takeIn;
    expect(await sender.depot.keepAgain(HASH)).toBe(cluster.pen.table.appliedIndex);
    // Nobody is storing it any more, and what nobody names goes in the end.
    cluster.now += GRACE_MS;
    await sender.keeper.round();
    cluster.now += GRACE_MS;
    expect(await sender.keeper.round()).toMatchObject({ condemned: 1 });
  });

  test('of the leader drops datasets whose time has come, but no pinned ones', async () => {
    const cluster = await open(2, 2);
    await keep(cluster.node(0));
    name(cluster, 'short', HASH, 500);
    name(cluster, 'pinned', HASH, 500);
    cluster.pen.apply({ kind: 'pin-dataset', name: 'pinned', pinned: true });
    cluster.now += 499;
    expect(await cluster.node(0).keeper.round()).toMatchObject({ dropped: 0 });
    cluster.now += 1;
    expect(await cluster.node(1).keeper.round()).toMatchObject({ dropped: 0 });
    expect(await cluster.node(0).keeper.round()).toMatchObject({ dropped: 1 });
    expect([...cluster.pen.table.datasets()].map(({ name: left }) => left)).toEqual(['pinned']);
  });
});

test('a stamp is that of a copy that can be seen, and of none while one that may have it cannot be', async () => {
  const cluster = await open(3);
  cluster.pen.submit();
  await cluster.node(2).store.put(chunksOf(CONTENT), { stamp: 3, maxBytes: BYTES });
  await cluster.node(0).store.put(chunksOf(CONTENT), { stamp: 1, maxBytes: BYTES });
  const { depot } = cluster.node(0);
  const isStamped = (stamp: number) => depot.isStamped(HASH, stamp);
  expect(await Promise.all([0, 1, 3, 4].map(isStamped))).toEqual([true, true, true, false]);
  await cluster.node(2).down();
  expect(await isStamped(1)).toBe(true);
  await expect(isStamped(2)).rejects.toMatchObject({ code: 'TOO_FEW_COPIES' });
});

describe('a member that is to be removed', () => {
  test('stays until a majority of those that would be left hold everything', async () => {
    const cluster = await open(3);
    const leader = cluster.node(0).keeper;
    expect(await leader.hindrance('n3')).toBeNull();
    const { hash } = await keep(cluster.node(0));
    name(cluster, 'a', hash);
    const [, other = 0] = await cluster.holders(hash);
    const without = cluster.node(3 - other);
    // Of the two that would be left one has a copy, and that is no majority of two.
    expect(await leader.hindrance(cluster.node(other).id)).toMatch(/^1 of the 2 voters/);
    expect(await leader.hindrance(without.id)).toBeNull();
    const { address } = cluster.node(0);
    const remove = (query: string) =>
      fetch(`http://${address}/v1/cluster/members/${cluster.node(other).id}${query}`, { method: 'DELETE' });
    const refused = await remove('');
    expect([refused.status, await refused.json()]).toMatchObject([503, { code: 'BLOBS_MOVING' }]);
    expect(cluster.node(0).memberRequests).toEqual([]);
    await without.keeper.round();
    expect((await remove('')).status).toBe(200);
    await without.down();
    expect((await remove('')).status).toBe(503);
    expect((await remove('?force=true')).status).toBe(200);
    expect(cluster.node(0).memberRequests).toHaveLength(2);
  });
});

test('hours of churn, compressed, keep the disks under a bound', async () => {
  const cluster = await open(3, 3);
  const bytes = 100_000;
  let most = 0;
  // A dataset that is put anew and an upload that is never named, ten times in each of twenty graces: at 10 min, three hours.
  for (let put = 0; put < 200; put++) {
    const named = await keep(cluster.node(put % 3), content(2 * put, bytes));
    name(cluster, 'latest', named.hash);
    await keep(cluster.node(put % 3), content(2 * put + 1, bytes));
    cluster.now += GRACE_MS / 10;
    for (const node of cluster.nodes) await node.keeper.round();
    most = Math.max(most, must((await cluster.node(0).store.usage()).bytes, 'counted'));
  }
  // What is live, and what came within the grace and the rounds that it takes to be condemned and deleted.
  expect(most).toBeLessThanOrEqual(30 * bytes);
  same(await readAll(cluster.node(2), hashOf(content(398, bytes))), content(398, bytes));
});

test('/data is for the nodes of this cluster alone, and names nothing but blobs', async () => {
  const cluster = await open(2);
  const app = must(cluster.node(0).app, 'it is up');
  const headers = { 'polaris-cluster': 'c2000000-0000-4000-8000-000000000000' };
  for (const url of [`/data/blobs/${HASH}`, `/data/blobs/${HASH}/digests`, '/data/standing']) {
    expect((await app.inject({ url })).json()).toMatchObject({ code: 'CLUSTER_MISMATCH' });
    expect((await app.inject({ url, headers })).json()).toMatchObject({ code: 'CLUSTER_MISMATCH' });
  }
  const own = { 'polaris-cluster': must(cluster.node(0).status().id, 'it is formed') };
  for (const path of ['..%2f..%2fetc', '%00', 'A'.repeat(64), 'a'.repeat(63)]) {
    expect((await app.inject({ url: `/data/blobs/${path}`, headers: own })).statusCode).toBe(400);
  }
  const wrong = { method: 'PUT', url: `/data/blobs/${HASH}`, headers: own, payload: Buffer.from('other') } as const;
  expect((await app.inject(wrong)).json()).toMatchObject({ code: 'BLOB_DAMAGED' });
  expect(await cluster.holders(HASH)).toEqual([]);
});
