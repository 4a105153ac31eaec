/**
 * Datasets on real processes: registers that everybody sees alike, whoever is killed, paused or cut off, and content that
 * outlives crashes, the exchange of every node, and a disk that lies.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { ClusterStatus, NodeSpec } from '../../chaos/cluster.ts';
import { Links } from '../../chaos/links.ts';
import { must } from '../../src/base/assert.ts';
import { createPrng } from '../../src/base/prng.ts';
import type { DatasetJson } from '../../src/http/datasets.ts';
import { openFileBlobs } from '../../src/store/blobs/files.ts';
import { type RegisterAnswer, RegisterHistories, type RegisterQuestion } from '../sim/register-history.ts';
import { ask, countOf, DatasetClient, putDataset, versionOf } from './dataset-clients.ts';
import { openScene, prepareScene, report, type Scene, voters } from './harness.ts';

const CLIENTS = 4;
const NAMES = ['a', 'b'];
/** Writes that are answered before the next thing is done to the cluster. */
const WRITES_EACH = 10;
const PUTS = 200;
const LANES = 8;
/** So that a kill finds puts in the middle of their bytes, too. */
const ROWS_A_COUNT = 10;

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

interface Found {
  readonly name: string;
  readonly version: number;
  readonly rows: number;
}

/** Reads a dataset whole through one node, as soon as it serves. */
async function readThrough({ cluster }: Scene, id: string, name: string): Promise<Found> {
  return cluster.until(`dataset ${name} through ${id}`, async () => {
    const { status, headers, bytes } = await ask(`${cluster.url(id)}/v1/datasets/${name}`);
    return status === 200 ? { name, version: versionOf(headers), rows: countOf(bytes) } : null;
  });
}

async function rowsThrough(scene: Scene, id: string, name: string): Promise<number> {
  return (await readThrough(scene, id, name)).rows;
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

/** Three nodes that reach each other through links which can be cut. */
async function overLinks(run: (scene: Scene, links: Links) => Promise<void>): Promise<void> {
  const ids = ['n1', 'n2', 'n3'];
  let scene: Scene | null = null;
  const pidOf = (id: string): number | null => (scene?.cluster.running(id) ? scene.cluster.pid(id) : null);
  const links = await Links.open(ids, pidOf);
  try {
    scene = await prepareScene(voters(0, ids).map((spec) => ({ ...spec, advertise: links.address(spec.id) })));
    for (const id of ids) links.lead(id, scene.cluster.address(id));
    scene.cluster.start();
    await scene.cluster.leader();
    await run(scene, links);
  } finally {
    await scene?.cluster.stop();
    await links.close();
  }
}

/** Nothing comes or goes. */
function cutOff(links: Links, id: string): () => void {
  return links.impose((from, to) => (from === id || to === id ? { kind: 'drop' } : PASS));
}

test('registers: what any client is told of a dataset, through any node, happened in one order', async () => {
  await overLinks(async (scene, links) => {
    const { cluster } = scene;
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
    const lonely = await cluster.leader();
    const heal = cutOff(links, lonely);
    await crowd.goOn('while the leader is cut off');
    heal();
    const follower = otherThan(scene, lonely);
    await cluster.signal(follower, 'SIGSTOP');
    await crowd.goOn('while a follower is paused');
    await cluster.signal(follower, 'SIGCONT');
    await crowd.stop();
    const [client] = crowd.clients;
    for (const id of cluster.ids) {
      for (const name of NAMES) {
        await cluster.until(`a read of ${name} through ${id}`, async () => (await client?.read(id, name)) || null);
      }
    }
    const judged = crowd.histories.checkAll();
    report(`${crowd.total('operationCount')} operations, ${judged} of them in the histories, all explained`);
    expect(crowd.total('mistaken')).toBe(0);
    expect(judged).toBeGreaterThan(5 * WRITES_EACH);
  });
});

test('the same check finds a stale read: one that asked a follower which was cut off, and asked for no more', async () => {
  await overLinks(async (scene, links) => {
    const { cluster } = scene;
    const leader = await cluster.leader();
    const follower = otherThan(scene, leader);
    /** What the follower says of the dataset, once that is wanted. */
    const looked = async (consistency: string, wanted: (version: number) => boolean): Promise<RegisterAnswer> => {
      const path = `/v1/datasets/a/info?consistency=${consistency}`;
      return cluster.until(`a ${consistency} read through ${follower}`, async () => {
        const { status, bytes } = await ask(`${cluster.url(follower)}${path}`);
        if (status !== 200) return null;
        const { version, handle } = JSON.parse(new TextDecoder().decode(bytes)) as DatasetJson;
        return wanted(version) ? { kind: 'content', content: { version, value: String(handle.rows) } } : null;
      });
    };
    const histories = new RegisterHistories();
    const during = async (question: RegisterQuestion, run: () => Promise<RegisterAnswer | null>): Promise<number> => {
      const operation = histories.asked('a', question, performance.now());
      const answer = await run();
      // What was not answered stays in doubt.
      if (answer !== null) histories.answered(operation, answer, performance.now());
      return answer?.kind === 'put' ? answer.version : 0;
    };
    let rows = 0;
    const put = (): Promise<number> =>
      cluster.until('a put through the leader', async () => {
        rows += 1;
        const version = await during({ kind: 'put', value: String(rows), expected: null }, async () => {
          const { status, headers } = await putDataset(cluster.url(leader), 'a', rows);
          return status === 200 ? { kind: 'put', version: versionOf(headers) } : null;
        });
        return version === 0 ? null : version;
      });
    const first = await put();
    await looked('local', (version) => version >= first);
    const heal = cutOff(links, follower);
    const second = await put();
    const stale = await looked('local', (version) => version < second);
    heal();
    await during({ kind: 'read' }, () => looked('linearizable', (version) => version >= second));
    histories.checkAll();
    // The same history, had that read asked for what everybody gets who says nothing.
    await during({ kind: 'read' }, async () => stale);
    expect(() => histories.checkAll()).toThrow(/not linearizable: dataset a/);
  });
});

function otherThan({ cluster }: Scene, id: string): string {
  return must(
    cluster.ids.find((one) => one !== id),
    'another node',
  );
}

const PASS = { kind: 'pass', afterMs: 0 } as const;

// ---- content ------------------------------------------------------------------------------------------------------

/** What was put under each name, and the puts that were acknowledged, by their version. */
class Puts {
  readonly #begun = new Map<string, Set<number>>();
  readonly #acknowledged = new Map<string, Map<number, number>>();
  acknowledgedCount = 0;

  async put(url: string, name: string, count: number): Promise<void> {
    this.#begun.set(name, (this.#begun.get(name) ?? new Set()).add(count));
    // Whoever is not answered leaves it at that: what became of it must be all or nothing.
    const { status, headers } = await putDataset(url, name, count);
    if (status !== 200) return;
    this.acknowledgedCount += 1;
    const versions = this.#acknowledged.get(name) ?? new Map<number, number>();
    this.#acknowledged.set(name, versions.set(versionOf(headers), count));
  }

  /** The rows are those that were put as this version, which is none that came before an acknowledged one. */
  expectKept(found: readonly Found[]): void {
    const known = new Map(found.map((one) => [one.name, one]));
    for (const [name, versions] of this.#acknowledged) {
      const last = Math.max(...versions.keys());
      expect(known.get(name)?.version, `the version of ${name}`).toBeGreaterThanOrEqual(last);
    }
    for (const { name, version, rows } of found) {
      const told = this.#acknowledged.get(name)?.get(version);
      if (told !== undefined) expect(rows, `version ${version} of ${name}`).toBe(told);
      else expect(this.#begun.get(name), `version ${version} of ${name}`).toContain(rows);
    }
  }
}

/** Files that only a put that goes on may have: those of blobs that have no name yet, and of bodies that are not whole. */
function unfinished({ cluster }: Scene): string[] {
  return cluster.ids.flatMap((id) => {
    const folders = ['blobs/unfinished', 'spool'].map((folder) => join(cluster.dataDir(id), folder));
    return folders.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));
  });
}

test(`kill -9 of every node in the middle of ${PUTS} writes leaves no dangling name and nothing partial`, async () => {
  const scene = await openScene(voters(0));
  const { cluster } = scene;
  const puts = new Puts();
  const waiting = Array.from({ length: PUTS }, (_, at) => at + 1);
  const lane = async (number: number): Promise<void> => {
    for (let count = waiting.shift(); count !== undefined; count = waiting.shift()) {
      const id = must(cluster.ids[(number + count) % 3], 'a node');
      await puts.put(cluster.url(id), `d${count % (PUTS / 4)}`, count * ROWS_A_COUNT);
    }
  };
  const lanes = Array.from({ length: LANES }, (_, number) => lane(number));
  const leader = await cluster.leader();
  const strikes = [leader, ...cluster.ids.filter((id) => id !== leader)];
  for (const [at, id] of strikes.entries()) {
    const begun = ((at + 1) * PUTS) / 4;
    await cluster.until(`${begun} writes begun`, async () => (PUTS - waiting.length >= begun ? true : null));
    await cluster.signal(id, 'SIGKILL');
    cluster.start(id);
  }
  await Promise.all(lanes);
  await cluster.leader();
  const datasets = await listed(scene);
  report(`${puts.acknowledgedCount} of ${PUTS} writes acknowledged, ${datasets.length} names stand`);
  expect(puts.acknowledgedCount).toBeGreaterThan(0);
  const through = (at: number): string => must(cluster.ids[at % cluster.ids.length], 'a node');
  puts.expectKept(await Promise.all(datasets.map(({ name }, at) => readThrough(scene, through(at), name))));

  await cluster.stop();
  // Beside what the kills left: what they leave when they come at the worst moment.
  for (const id of cluster.ids) {
    writeFileSync(join(cluster.dataDir(id), 'spool', 'half-a-body'), 'PAR1');
    writeFileSync(join(cluster.dataDir(id), 'blobs/unfinished', `part.${id}.0123456789abcdef.1`), 'ARROW1');
  }
  const left = unfinished(scene);
  cluster.start();
  await cluster.leader();
  expect(unfinished(scene).filter((path) => left.includes(path))).toEqual([]);
  await cluster.stop();
  for (const id of cluster.ids) {
    const store = await openFileBlobs(join(cluster.dataDir(id), 'blobs'), { owner: id });
    for await (const { hash } of store.list()) expect(await store.scrub(hash)).toBe(true);
  }
});

test('each node in turn is replaced by an empty one, in order or after its disk was lost, and no dataset is', async () => {
  const newcomers = ['n4', 'n5', 'n6'].map((id): NodeSpec => ({ id, role: 'voter', slots: 0, joins: true }));
  const scene = await prepareScene([...voters(0), ...newcomers]);
  const { cluster } = scene;
  const old = ['n1', 'n2', 'n3'];
  for (const id of old) cluster.start(id);
  await cluster.leader();
  const counts = [3, 1_000, 20_000];
  for (const [at, count] of counts.entries()) {
    const through = must(old[at], 'a node');
    await cluster.until(`a put of ${count} rows through ${through}`, async () => {
      return (await putDataset(cluster.url(through), `d${count}`, count)).status === 200 ? true : null;
    });
    for (const id of old) expect(await rowsThrough(scene, id, `d${count}`)).toBe(count);
  }
  const hashes = (await listed(scene)).map(({ handle }) => handle.hash);
  for (const [at, id] of old.entries()) {
    // One leaves in order, of the others the disks are gone.
    if (at > 0) {
      await cluster.signal(id, 'SIGKILL');
      rmSync(cluster.dataDir(id), { recursive: true });
    }
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

/** Whoever runs is told that it was removed, and ends by itself. */
async function removed(scene: Scene, id: string): Promise<void> {
  const { cluster } = scene;
  const ended = cluster.running(id) ? cluster.ended(id) : null;
  await served(scene, `the removal of ${id}`, async (url) => {
    const { status, code } = await ask(`${url}/v1/cluster/members/${id}`, { method: 'DELETE' });
    if (status === 200) return true;
    if (status !== 0 && !AGAIN.has(code)) throw new Error(code);
    return null;
  });
  if (ended !== null) expect(await ended).toMatchObject({ code: 4 });
}

/** Refusals of a change of the membership that pass. */
const AGAIN: ReadonlySet<string> = new Set(['MEMBERSHIP_BUSY', 'NO_LEADER', 'OUTCOME_UNKNOWN', 'BLOBS_MOVING']);
