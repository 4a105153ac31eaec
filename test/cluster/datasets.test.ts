/**
 * Datasets on real processes: registers that everybody sees alike, whoever is killed, paused or cut off, and content that
 * outlives crashes, the exchange of every node, and a disk that lies.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ClusterStatus, NodeSpec } from '../../chaos/cluster.ts';
import { Links } from '../../chaos/links.ts';
import { must } from '../../src/base/assert.ts';
import { createPrng } from '../../src/base/prng.ts';
import type { DatasetJson } from '../../src/http/datasets.ts';
import { openFileBlobs } from '../../src/store/blobs/files.ts';
import { RegisterHistories } from '../sim/register-history.ts';
import { ask, countOf, DatasetClient, putDataset } from './dataset-clients.ts';
import { openScene, prepareScene, report, type Scene, voters } from './harness.ts';

const CLIENTS = 4;
const NAMES = ['a', 'b'];
/** Writes that are answered before the next thing is done to the cluster. */
const WRITES_EACH = 10;
const PUTS = 200;
const LANES = 8;

/** Asks running nodes until it is served. */
async function served<T>(scene: Scene, what: string, run: (url: string) => Promise<T | null>): Promise<T> {
  const { cluster } = scene;
  return cluster.until(what, async () => {
    for (const id of cluster.ids.filter((one) => cluster.running(one))) {
      const found = await run(cluster.url(id));
      if (found !== null) return found;
    }
    return null;
  });
}

/** Reads a dataset whole through one node, as soon as it serves, and gives the number of rows. */
async function rowsThrough({ cluster }: Scene, id: string, name: string): Promise<number> {
  return cluster.until(`dataset ${name} through ${id}`, async () => {
    const { status, bytes } = await ask(`${cluster.url(id)}/v1/datasets/${name}`);
    return status === 200 ? countOf(bytes) : null;
  });
}

async function listed(scene: Scene): Promise<DatasetJson[]> {
  return served(scene, 'the list of datasets', async (url) => {
    const { status, bytes } = await ask(`${url}/v1/datasets?limit=1000`);
    return status === 200
      ? (JSON.parse(new TextDecoder().decode(bytes)) as { datasets: DatasetJson[] }).datasets
      : null;
  });
}

/** Copies on the disk of a node, by the hash: files whose name begins with it. */
function copiesOf({ cluster }: Scene, id: string): Map<string, string> {
  const root = join(cluster.dataDir(id), 'blobs');
  const shards = readdirSync(root).filter((name) => /^[0-9a-f]{3}$/.test(name));
  const files = shards.flatMap((shard) => readdirSync(join(root, shard)).map((name) => join(root, shard, name)));
  return new Map(files.map((path) => [must(path.split('/').at(-1), 'a name').slice(0, 64), path]));
}

// ---- registers ----------------------------------------------------------------------------------------------------

class Crowd {
  readonly histories = new RegisterHistories();
  readonly clients: readonly DatasetClient[];
  readonly #scene: Scene;

  constructor(scene: Scene) {
    this.#scene = scene;
    const prng = createPrng(0xda7a);
    let count = 0;
    const nextCount = (): number => {
      count += 1;
      return count;
    };
    const shared = { cluster: scene.cluster, names: NAMES, histories: this.histories, nextCount };
    this.clients = Array.from({ length: CLIENTS }, () => new DatasetClient({ ...shared, prng: prng.fork() }));
    for (const client of this.clients) client.start();
  }

  total(field: 'writesAnswered' | 'operationCount' | 'mistaken'): number {
    return this.clients.reduce((sum, client) => sum + client[field], 0);
  }

  /** Resolves when so many more writes were answered. */
  async goOn(what: string): Promise<void> {
    const goal = this.total('writesAnswered') + WRITES_EACH;
    await this.#scene.cluster.until(`${WRITES_EACH} answered writes ${what}`, async () =>
      this.total('writesAnswered') >= goal ? true : null,
    );
  }

  async stop(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.stop()));
  }
}

test('registers: what any client is told of a dataset, through any node, happened in one order', async () => {
  const ids = ['n1', 'n2', 'n3'];
  let scene: Scene | null = null;
  const pidOf = (id: string): number | null => (scene?.cluster.running(id) ? scene.cluster.pid(id) : null);
  const links = await Links.open(ids, pidOf);
  try {
    scene = await prepareScene(voters(0, ids).map((spec) => ({ ...spec, advertise: links.address(spec.id) })));
    const { cluster } = scene;
    for (const id of ids) links.lead(id, cluster.address(id));
    cluster.start();
    await cluster.leader();
    const crowd = new Crowd(scene);
    await crowd.goOn('in peace');
    const leader = await cluster.leader();
    await cluster.signal(leader, 'SIGKILL');
    await crowd.goOn('without the leader');
    cluster.start(leader);
    const paused = await cluster.leader();
    await cluster.signal(paused, 'SIGSTOP');
    await crowd.goOn('while the leader is paused');
    await cluster.signal(paused, 'SIGCONT');
    const cutOff = await cluster.leader();
    const heal = links.impose((from, to) => (from === cutOff || to === cutOff ? { kind: 'drop' } : PASS));
    await crowd.goOn('while the leader is cut off');
    heal();
    const follower = must(
      ids.find((id) => id !== cutOff),
      'a follower',
    );
    await cluster.signal(follower, 'SIGSTOP');
    await crowd.goOn('while a follower is paused');
    await cluster.signal(follower, 'SIGCONT');
    await crowd.stop();
    const [client] = crowd.clients;
    for (const id of ids) {
      for (const name of NAMES) {
        await cluster.until(`a read of ${name} through ${id}`, async () => (await client?.read(id, name)) || null);
      }
    }
    const judged = crowd.histories.checkAll();
    report(`${crowd.total('operationCount')} operations, ${judged} of them in the histories, all explained`);
    expect(crowd.total('mistaken')).toBe(0);
    expect(judged).toBeGreaterThan(5 * WRITES_EACH);
  } finally {
    await scene?.cluster.stop();
    await links.close();
  }
});

const PASS = { kind: 'pass', afterMs: 0 } as const;

// ---- content ------------------------------------------------------------------------------------------------------

test(`kill -9 in the middle of ${PUTS} writes leaves no dangling name and no partial blob`, async () => {
  const scene = await openScene(voters(0));
  const { cluster } = scene;
  const acknowledged = new Map<string, number>();
  const waiting = Array.from({ length: PUTS }, (_, at) => at + 1);
  const lane = async (number: number): Promise<void> => {
    for (let count = waiting.shift(); count !== undefined; count = waiting.shift()) {
      const id = must(cluster.ids[(number + count) % 3], 'a node');
      const name = `d${count}`;
      // Whoever is not answered leaves it at that: what became of it must be all or nothing.
      const { status } = await putDataset(cluster.url(id), name, count);
      if (status === 200) acknowledged.set(name, count);
    }
  };
  const lanes = Array.from({ length: LANES }, (_, number) => lane(number));
  const strikes = [PUTS / 4, PUTS / 2, (3 * PUTS) / 4].map((left) => PUTS - left);
  for (const begun of strikes) {
    await cluster.until(`${begun} writes begun`, async () => (PUTS - waiting.length >= begun ? true : null));
    const leader = await cluster.leader();
    await cluster.signal(leader, 'SIGKILL');
    cluster.start(leader);
  }
  await Promise.all(lanes);
  await cluster.leader();
  const datasets = await listed(scene);
  report(`${acknowledged.size} of ${PUTS} writes acknowledged, ${datasets.length} names stand`);
  expect(acknowledged.size).toBeGreaterThan(0);
  const names = new Set(datasets.map(({ name }) => name));
  expect([...acknowledged.keys()].filter((name) => !names.has(name))).toEqual([]);
  const through = (at: number): string => must(cluster.ids[at % cluster.ids.length], 'a node');
  const rows = await Promise.all(datasets.map(({ name }, at) => rowsThrough(scene, through(at), name)));
  expect(rows).toEqual(datasets.map(({ name }) => Number(name.slice(1))));
  await cluster.stop();
  for (const id of cluster.ids) {
    const store = await openFileBlobs(join(cluster.dataDir(id), 'blobs'), { owner: id });
    for await (const { hash } of store.list()) expect(await store.scrub(hash)).toBe(true);
  }
});

test('each node in turn is replaced by an empty one, and no dataset is lost', async () => {
  const newcomers = ['n4', 'n5', 'n6'].map((id): NodeSpec => ({ id, role: 'voter', slots: 0, joins: true }));
  const scene = await prepareScene([...voters(0), ...newcomers]);
  const { cluster } = scene;
  const old = ['n1', 'n2', 'n3'];
  for (const id of old) cluster.start(id);
  await cluster.leader();
  const counts = [3, 1_000, 20_000];
  for (const count of counts) {
    await served(scene, `a put of ${count} rows`, async (url) => {
      return (await putDataset(url, `d${count}`, count)).status === 200 ? true : null;
    });
  }
  const hashes = (await listed(scene)).map(({ handle }) => handle.hash);
  for (const [at, id] of old.entries()) {
    const newcomer = must(newcomers[at], 'a newcomer').id;
    cluster.start(newcomer);
    await untilRoles(scene, `${newcomer} votes`, (roles) => ['follower', 'leader'].includes(roles.get(newcomer) ?? ''));
    await cluster.until(`${newcomer} has copies of all`, async () => {
      const copies = copiesOf(scene, newcomer);
      return hashes.every((hash) => copies.has(hash)) ? true : null;
    });
    await removed(scene, id);
  }
  for (const { id } of newcomers) {
    for (const count of counts) expect(await rowsThrough(scene, id, `d${count}`)).toBe(count);
  }
});

test('a flipped byte on the disk of one node is never served, and is mended by the read that finds it', async () => {
  const scene = await openScene(voters(0), ['--replicas', '3']);
  const count = 20_000;
  const { handle } = await served(scene, 'a put', async (url) => {
    const { status, bytes } = await putDataset(url, 'd', count);
    return status === 200 ? (JSON.parse(new TextDecoder().decode(bytes)) as DatasetJson) : null;
  });
  const path = must(copiesOf(scene, 'n2').get(handle.hash), 'a copy on every node');
  const sound = readFileSync(path);
  const spoilt = Buffer.from(sound);
  const middle = Math.floor(handle.bytes / 2);
  spoilt[middle] = (spoilt[middle] ?? 0) ^ 1;
  writeFileSync(path, spoilt);
  expect(await rowsThrough(scene, 'n2', 'd')).toBe(count);
  await scene.logged('n2', 'the damage', ({ msg, hash }) => msg === 'blob-damaged' && hash === handle.hash);
  await scene.logged('n2', 'the repair', ({ msg, hash }) => msg === 'blob-mended' && hash === handle.hash);
  const mended = must(copiesOf(scene, 'n2').get(handle.hash), 'a copy that was mended');
  expect(readFileSync(mended).equals(sound)).toBe(true);
});

async function untilRoles(scene: Scene, what: string, wanted: (roles: Map<string, string>) => boolean): Promise<void> {
  const { cluster } = scene;
  await cluster.until(what, async () => {
    const status: ClusterStatus | null = await cluster.status(await cluster.leader());
    const roles = new Map(status?.members.map(({ id, role }) => [id, role]));
    return wanted(roles) ? roles : null;
  });
}

/** It is told that it was removed, and ends by itself. */
async function removed(scene: Scene, id: string): Promise<void> {
  const { cluster } = scene;
  const ended = cluster.ended(id);
  await served(scene, `the removal of ${id}`, async (url) => {
    const { status, code } = await ask(`${url}/v1/cluster/members/${id}`, { method: 'DELETE' });
    if (status === 200) return true;
    if (status !== 0 && !['MEMBERSHIP_BUSY', 'NO_LEADER', 'OUTCOME_UNKNOWN'].includes(code)) throw new Error(code);
    return null;
  });
  expect(await ended).toMatchObject({ code: 4 });
}
