/** A worker-role node over HTTP: it has no table and keeps nothing, and serves datasets, results and inputs like any other. */
import { EventEmitter } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tableFromIPC } from 'apache-arrow';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { BLOB_PIECE_BYTES } from '../../src/base/limits.ts';
import { SILENT } from '../../src/base/log.ts';
import { createPrng } from '../../src/base/prng.ts';
import { RESULTS_RELAYED_MAX } from '../../src/base/result-limits.ts';
import { PolarisClient } from '../../src/client/client.ts';
import type { ClusterStatus, Consistency, Done } from '../../src/daemon/api.ts';
import { Depot } from '../../src/data/depot/depot.ts';
import { Guest } from '../../src/data/depot/guest.ts';
import { type BlobPeers, createBlobPeers } from '../../src/data/depot/peers.ts';
import type { CacheJson } from '../../src/http/cache.ts';
import { Relays } from '../../src/http/result-relay.ts';
import { createHttpServer } from '../../src/http/server.ts';
import type { Table } from '../../src/ranges/types.ts';
import { PieceCache } from '../../src/store/blobs/cache.ts';
import { MemoryBlobs, openMemoryBlobs } from '../../src/store/blobs/memory.ts';
import { DataCluster } from '../data/depot/cluster.ts';
import { ResultJob } from '../data/results.ts';
import { FakeNode, listen } from './fake-node.ts';

/** It knows the voters, and no table. */
class WorkerNode extends FakeNode {
  override leading = false;
  readonly #cluster: DataCluster;

  constructor(cluster: DataCluster) {
    super('w1');
    this.#cluster = cluster;
    this.leader = cluster.node(0).address;
  }

  override status(): ClusterStatus {
    return this.#cluster.node(0).status();
  }

  override read<T>(_consistency: Consistency, _look: (table: Table) => T, done: Done<T>): void {
    done({ ok: false, error: new PolarisError('NO_LEADER') });
  }
}

let cluster: DataCluster;
let peers: BlobPeers;
let app: FastifyInstance;
let url: string;
let spoolDir: string;

beforeEach(async () => {
  spoolDir = mkdtempSync(join(tmpdir(), 'polaris-worker-'));
  cluster = await DataCluster.open(3);
  peers = createBlobPeers(() => cluster.id);
  const api = new WorkerNode(cluster);
  const cache = new PieceCache({ bytesMax: 8 * BLOB_PIECE_BYTES });
  const store = openMemoryBlobs(new MemoryBlobs());
  const nothing = new Depot({ api, store, peers, cache, log: SILENT, replicas: null, place: 'local' });
  const depot = new Guest({ depot: nothing, peers, voters: () => cluster.nodes.map(({ address }) => address) });
  const data = { depot, spoolDir, cache, copies: null };
  app = createHttpServer({ api, log: SILENT, prng: createPrng(1), data });
  url = `http://${await listen(app)}`;
});

afterEach(async () => {
  await app.close();
  peers.close();
  await cluster.close();
  rmSync(spoolDir, { recursive: true, force: true });
});

async function codeOf(answer: Response): Promise<unknown[]> {
  return [answer.status, ((await answer.json()) as { code: string; detail: string }).code];
}

describe('a dataset through a worker', () => {
  const put = () =>
    fetch(`${url}/v1/datasets/words`, {
      method: 'PUT',
      body: 'word\none\ntwo\n',
      headers: { 'content-type': 'text/csv' },
    });

  test('is kept by voters, named by the leader, and read by anybody', async () => {
    const { handle, version } = (await (await put()).json()) as { handle: { hash: string }; version: number };
    expect(await cluster.holders(handle.hash)).toHaveLength(2);
    for (const from of [url, ...cluster.nodes.map(({ address }) => `http://${address}`)]) {
      const answer = await fetch(`${from}/v1/datasets/words`, { headers: { accept: 'text/csv' } });
      expect([answer.headers.get('etag'), await answer.text()]).toEqual([`"${version}"`, 'word\none\ntwo\n']);
    }
    const client = new PolarisClient({ urls: [url] });
    expect((await client.datasets.list()).map(({ name }) => name)).toEqual(['words']);
    expect(await client.datasets.pin('words')).toMatchObject({ pinned: true });
    await client.datasets.drop('words');
    expect(await codeOf(await fetch(`${url}/v1/datasets/words`))).toEqual([404, 'NOT_FOUND']);
  });

  test('that is read twice comes from the cache of the worker, which counts it', async () => {
    await put();
    const read = async () => (await fetch(`${url}/v1/datasets/words`)).arrayBuffer();
    const counts = async () => (await (await fetch(`${url}/v1/cache`)).json()) as CacheJson;
    await read();
    const first = await counts();
    expect(first).toMatchObject({ misses: 1, pieces: 1 });
    await read();
    const again = await counts();
    expect(again).toEqual({ ...first, hits: again.hits, hitRate: again.hits / (again.hits + again.misses) });
    expect(again.hits).toBeGreaterThan(first.hits);
  });

  test('of which the copies were condemned on the way is kept again, and named', async () => {
    const leader = cluster.node(0);
    const change = leader.changeData.bind(leader);
    leader.changeData = (wanted, done) => {
      leader.changeData = change;
      if (wanted.kind === 'put-dataset') cluster.pen.apply({ kind: 'condemn', hashes: [wanted.handle.hash] });
      change(wanted, done);
    };
    expect((await put()).status).toBe(200);
    expect([...cluster.pen.table.datasets()].map(({ name }) => name)).toEqual(['words']);
  });
});

describe('a result through a worker', () => {
  const numbers = (count: number) => Array.from({ length: count }, (_, at) => at);

  test('is what the leader gives, with all that it says of it', async () => {
    const job = new ResultJob(cluster);
    const ask = (query = '') => fetch(`${url}/v1/jobs/${job.id}/result${query}`);
    expect(await codeOf(await ask())).toEqual([404, 'NO_RESULT']);
    await job.emit(0, 60, 1);
    await job.emit(60, 100, 2);
    job.set({ state: 'done' });
    for (const query of ['', '?follow', '?consistency=local']) {
      const answer = await ask(query);
      expect(answer.headers.get('content-type')).toBe('application/vnd.apache.arrow.stream');
      expect([...(tableFromIPC(await answer.arrayBuffer()).getChild('n') ?? [])]).toEqual(numbers(100));
    }
    const head = await fetch(`${url}/v1/jobs/${job.id}/result`, { method: 'HEAD' });
    const told = ['job', 'state', 'complete', 'rows', 'ranges'].map((name) => head.headers.get(`polaris-${name}`));
    expect(told).toEqual([job.id, 'done', 'true', '100', '0:100']);
    expect(await (await ask('/info?consistency=local')).json()).toMatchObject({ complete: true, rows: 100 });
    expect(await codeOf(await ask('?follow=yes'))).toEqual([400, 'BAD_REQUEST']);
  });

  test('that breaks off at the leader breaks off here, and nobody takes it for whole', async () => {
    const job = new ResultJob(cluster);
    await job.emit(0, 50);
    const answer = await fetch(`${url}/v1/jobs/${job.id}/result?follow`);
    job.set({ state: 'cancelled' });
    await expect(answer.arrayBuffer()).rejects.toThrow();
  });
});

test('so many results go through a worker at a time, each counted out with its connection', async () => {
  const relays = new Relays({ api: new FakeNode(), log: SILENT, prng: createPrng(1) });
  const request = { headers: {} } as FastifyRequest;
  const through = (raw: EventEmitter): Promise<FastifyReply> => {
    const reply = { raw } as unknown as FastifyReply;
    return relays.answer(request, reply, { follow: false, handle: async () => reply });
  };
  const connections = Array.from({ length: RESULTS_RELAYED_MAX }, () => new EventEmitter());
  for (const raw of connections) await through(raw);
  await expect(through(new EventEmitter())).rejects.toMatchObject({ code: 'OVERLOADED' });
  connections[0]?.emit('close');
  await through(new EventEmitter());
  await expect(through(new EventEmitter())).rejects.toMatchObject({ code: 'OVERLOADED' });
});
