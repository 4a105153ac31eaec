/**
 * Nodes that keep blobs: each with a real HTTP server and a store of its own, over one table that stands for their log.
 */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance } from 'fastify';
import { must } from '../../../src/base/assert.ts';
import type { BlobPlace } from '../../../src/base/config.ts';
import { BLOB_PIECE_BYTES } from '../../../src/base/limits.ts';
import { SILENT } from '../../../src/base/log.ts';
import { createPrng } from '../../../src/base/prng.ts';
import type { Address } from '../../../src/base/types.ts';
import type { ClusterStatus } from '../../../src/daemon/api.ts';
import { Depot } from '../../../src/data/depot/depot.ts';
import { Keeper } from '../../../src/data/depot/keeper.ts';
import { type BlobPeers, createBlobPeers } from '../../../src/data/depot/peers.ts';
import { createHttpServer } from '../../../src/http/server.ts';
import type { QueryDesk } from '../../../src/query/desk.ts';
import { PieceCache } from '../../../src/store/blobs/cache.ts';
import { MemoryBlobs, openMemoryBlobs } from '../../../src/store/blobs/memory.ts';
import type { BlobStore } from '../../../src/store/blobs/types.ts';
import { FakeNode, listen } from '../../http/fake-node.ts';
import { Pen } from '../../ranges/fixtures.ts';

/** Of a blob that nothing refers to, in virtual ms. */
export const GRACE_MS = 1_000;
export const SCRUB_MS = 100;

/** Where all nodes of a cluster keep their blobs together. */
export interface SharedPlace {
  readonly place: 'directory' | 's3';
  open(owner: string): Promise<BlobStore>;
}

export class DataNode extends FakeNode {
  override address: Address = '127.0.0.1:1';
  /** Of its own, where no place is shared. */
  readonly disk = new MemoryBlobs();
  readonly store: BlobStore;
  readonly peers: BlobPeers = createBlobPeers(() => this.#cluster.id);
  readonly spoolDir = mkdtempSync(join(tmpdir(), 'polaris-spool-'));
  readonly depot: Depot;
  readonly keeper: Keeper;
  /** Only where queries are tested. */
  queries: QueryDesk | null = null;
  /** Whoever is down refuses connections. */
  app: FastifyInstance | null = null;
  readonly cache = new PieceCache({ bytesMax: 8 * BLOB_PIECE_BYTES });
  readonly #cluster: DataCluster;

  constructor(
    cluster: DataCluster,
    id: string,
    { replicas, shared }: { readonly replicas: number | null; readonly shared: BlobStore | null },
  ) {
    super(id, cluster.pen);
    this.#cluster = cluster;
    this.store = shared ?? openMemoryBlobs(this.disk);
    const common = { api: this, store: this.store, peers: this.peers, log: SILENT };
    this.depot = new Depot({ ...common, cache: this.cache, replicas, place: cluster.place });
    const clock = { now: () => cluster.now, wall: () => cluster.now };
    this.keeper = new Keeper({ ...common, depot: this.depot, clock, graceMs: GRACE_MS, scrubMs: SCRUB_MS });
  }

  /** Pieces that were fetched from others. */
  get fetched(): number {
    return this.cache.counts.misses;
  }

  override status(): ClusterStatus {
    const members = this.#cluster.nodes.map(({ id, address }, at) => {
      return { id, address, role: at === 0 ? ('leader' as const) : ('follower' as const), matchIndex: null };
    });
    return { ...super.status(), id: this.#cluster.id, members };
  }

  async up(): Promise<void> {
    const { store, depot, keeper, spoolDir, cache } = this;
    const data = { depot, spoolDir, cache, copies: { store, keeper } };
    const queries = this.queries === null ? {} : { queries: this.queries };
    this.app = createHttpServer({ api: this, log: SILENT, prng: createPrng(1), data, ...queries });
    this.address = await listen(this.app);
    if (this.leading) this.#cluster.setLeader(this);
  }

  async down(): Promise<void> {
    const closing = this.app?.close();
    // One without a request yet counts as busy to Node, and would be waited for.
    this.app?.server.closeAllConnections();
    await closing;
    this.app = null;
  }
}

export class DataCluster {
  /** Of its own: a port that one cluster gave back may be another's by now, in another process. */
  readonly id = randomUUID();
  readonly pen: Pen;
  readonly place: BlobPlace['kind'];
  readonly nodes: DataNode[] = [];
  now = 0;

  constructor(pen: Pen, place: BlobPlace['kind']) {
    this.pen = pen;
    this.place = place;
  }

  static async open(
    count: number,
    replicas: number | null = null,
    {
      pen = new Pen(),
      deskOf,
      shared = null,
    }: {
      readonly pen?: Pen;
      readonly deskOf?: (node: DataNode) => QueryDesk;
      readonly shared?: SharedPlace | null;
    } = {},
  ): Promise<DataCluster> {
    const cluster = new DataCluster(pen, shared?.place ?? 'local');
    for (let number = 1; number <= count; number++) {
      const id = `n${number}`;
      const node = new DataNode(cluster, id, { replicas, shared: (await shared?.open(id)) ?? null });
      node.queries = deskOf?.(node) ?? null;
      node.leading = number === 1;
      cluster.nodes.push(node);
    }
    for (const node of cluster.nodes) await node.up();
    return cluster;
  }

  node(at: number): DataNode {
    return must(this.nodes[at], 'a node');
  }

  setLeader(leader: DataNode): void {
    for (const node of this.nodes) node.leader = node === leader ? null : leader.address;
  }

  /** Nodes, by place, with a copy. */
  async holders(hash: string): Promise<number[]> {
    const stats = await Promise.all(this.nodes.map(({ store }) => store.stat(hash)));
    return stats.flatMap((stat, at) => (stat === null ? [] : [at]));
  }

  async close(): Promise<void> {
    for (const node of this.nodes) {
      await node.keeper.stop();
      node.peers.close();
      await node.down();
      rmSync(node.spoolDir, { recursive: true, force: true });
    }
  }
}
