/**
 * The cluster grows, shrinks and replaces its nodes while jobs run.
 */
import { expect, test } from 'vitest';
import type { NodeSpec } from '../../chaos/cluster.ts';
import { openScene, prepareScene, report, type Scene, voters } from './harness.ts';
import { missingAndForeign } from './lines.ts';

const POINTS = 2_000;

function joiner(id: string): NodeSpec {
  return { id, role: 'voter', slots: 1, joins: true };
}

/** Roles as the leader sees them, once they are as wanted: `n1 leader, n4 learner`, in any order. */
async function untilMembers(
  scene: Scene,
  what: string,
  wanted: (roles: Map<string, string>) => boolean,
): Promise<void> {
  const { cluster } = scene;
  await cluster.until(what, async () => {
    const status = await cluster.status(await cluster.leader());
    const roles = new Map(status?.members.map(({ id, role }) => [id, role]));
    return wanted(roles) ? roles : null;
  });
}

async function joined(scene: Scene, ...ids: readonly string[]): Promise<void> {
  for (const id of ids) scene.cluster.start(id);
  await untilMembers(scene, `${ids.join(' and ')} vote`, (roles) => {
    return ids.every((id) => roles.get(id) === 'follower' || roles.get(id) === 'leader');
  });
}

/** `polaris cluster …` through the nodes that run, again while it is told to try again. */
async function change(scene: Scene, ...args: readonly string[]): Promise<void> {
  const { cluster } = scene;
  await cluster.until(`polaris cluster ${args.join(' ')}`, async () => {
    const running = cluster.ids.filter((id) => cluster.running(id));
    const { exit, stderr } = await scene.polaris(['cluster', ...args], running);
    if (exit !== 0 && !/MEMBERSHIP_BUSY|NO_LEADER|OUTCOME_UNKNOWN/.test(stderr)) throw new Error(stderr);
    return exit === 0 ? true : null;
  });
}

/** What a node said last to whoever started it. */
function lastSentence(scene: Scene, id: string): string {
  const lines = scene.logText(id).split('\n');
  return lines.filter((line) => line.startsWith('polaris: ')).at(-1) ?? '';
}

async function removed(scene: Scene, id: string): Promise<void> {
  const ended = scene.cluster.ended(id);
  await change(scene, 'remove', id);
  expect(await ended).toEqual({ code: 4, signal: null });
  expect(lastSentence(scene, id)).toMatch(/^polaris: REMOVED: /);
}

/** An append job that is there while the members change; when it ends, the next one begins. */
class Busy {
  readonly #scene: Scene;
  readonly #ids: string[] = [];

  constructor(scene: Scene) {
    this.#scene = scene;
  }

  async keep(): Promise<void> {
    const last = this.#ids.at(-1);
    if (last !== undefined && (await this.#scene.job(last)).state !== 'done') return;
    const name = `out-${this.#ids.length}`;
    const metadata = this.#scene.sink(name, 5);
    const options = { commitEvery: 20 };
    this.#ids.push((await this.#scene.submit({ name: 'append', start: 0, end: POINTS, metadata, options })).id);
  }

  async expectAllDone(): Promise<void> {
    for (const [at, id] of this.#ids.entries()) {
      expect((await this.#scene.finished(id)).state).toBe('done');
      expect(await this.#scene.verify(id)).toMatchObject({ covered: true, missing: [], failed: [] });
      const lines = this.#scene.lines(`out-${at}`);
      expect(missingAndForeign(lines, POINTS)).toEqual([]);
      const times = lines.map((line) => line.at).sort((a, b) => a - b);
      const pauseMs = Math.max(...times.map((time, at) => time - (times[at - 1] ?? time)));
      report(`job ${at}: ${lines.length} lines for ${POINTS} points, longest pause ${pauseMs} ms`);
    }
  }
}

test('a cluster grows from one to three to five, loses its leader, and shrinks to three; no point is missing', async () => {
  const scene = await prepareScene([...voters(1, ['n1']), joiner('n2'), joiner('n3'), joiner('n4'), joiner('n5')]);
  const { cluster } = scene;
  cluster.start('n1');
  await cluster.leader();
  const busy = new Busy(scene);
  await busy.keep();
  await joined(scene, 'n2', 'n3');
  await busy.keep();
  await joined(scene, 'n4', 'n5');
  await busy.keep();
  await removed(scene, await cluster.leader());
  await busy.keep();
  const leader = await cluster.leader();
  const follower = cluster.ids.find((id) => cluster.running(id) && id !== leader) ?? '';
  await removed(scene, follower);
  await untilMembers(scene, 'three members', (roles) => roles.size === 3);
  await busy.expectAllDone();
});

test('a node that is lost for good is replaced by one with a new id; started again, it ends and says why', async () => {
  const scene = await prepareScene([...voters(1), joiner('n4')]);
  const { cluster } = scene;
  for (const id of ['n1', 'n2', 'n3']) cluster.start(id);
  await cluster.leader();
  const busy = new Busy(scene);
  await busy.keep();
  await cluster.signal('n3', 'SIGKILL');
  await joined(scene, 'n4');
  await change(scene, 'remove', 'n3');
  await untilMembers(scene, 'n1, n2 and n4', (roles) => [...roles.keys()].sort().join() === 'n1,n2,n4');
  cluster.start('n3');
  expect(await cluster.ended('n3')).toEqual({ code: 4, signal: null });
  expect(lastSentence(scene, 'n3')).toMatch(/^polaris: REMOVED: .*new id/);
  await busy.expectAllDone();
});

test('what would cost the quorum is refused with the reason, and nothing changes', async () => {
  const scene = await openScene(voters(1));
  const { cluster } = scene;
  const leader = await cluster.leader();
  const [living = '', silent = ''] = cluster.ids.filter((id) => id !== leader);
  await scene.logged(leader, `${silent} working`, ({ msg, worker }) => msg === 'worker-joined' && worker === silent);
  await cluster.signal(silent, 'SIGSTOP');
  // Its session ends long after the leader has taken it for dead.
  await scene.logged(leader, `the end of ${silent}`, ({ msg, worker }) => msg === 'worker-ended' && worker === silent);
  const refused = await scene.polaris(['cluster', 'remove', living], [leader]);
  expect(refused.exit).toBe(1);
  expect(refused.stderr).toContain('of the 2 voters that there would be, 1 answer and 2 are needed');

  await cluster.signal(living, 'SIGKILL');
  await cluster.until('a cluster without a leader', async () => {
    return (await cluster.status(leader))?.leader === null ? true : null;
  });
  expect((await cluster.request(leader, 'DELETE', `/v1/cluster/members/${living}`)).status).toBe(503);
  await cluster.signal(silent, 'SIGCONT');
  cluster.start(living);
  await cluster.leader();
  expect((await cluster.status(leader))?.members.map(({ id }) => id)).toEqual(['n1', 'n2', 'n3']);
});

/** More than a snapshot and its tail take (base/limits.ts). */
const ENTRIES = 12_500;
const CLIENTS = 48;

test('a follower that was away while the log was cut comes back by snapshot', async () => {
  const scene = await openScene(voters(0));
  const { cluster } = scene;
  const leader = await cluster.leader();
  const away = cluster.ids.find((id) => id !== leader) ?? '';
  const { id } = await scene.submit({ name: 'append', start: 0, end: 10, metadata: scene.sink('out') });
  await cluster.signal(away, 'SIGKILL');
  const startedAt = Date.now();
  const before = (await cluster.status(leader))?.commitIndex ?? 0;
  const write = async (at: number): Promise<void> => {
    for (let sent = at; sent < ENTRIES; sent += CLIENTS) {
      const { status } = await cluster.request(leader, 'POST', `/v1/jobs/${id}/${sent % 2 === 0 ? 'pause' : 'resume'}`);
      // What is in the wrong state is refused by its entry in the log.
      expect([200, 409]).toContain(status);
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, (_, at) => write(at)));
  const status = await cluster.status(leader);
  report(`${(status?.commitIndex ?? 0) - before} entries in ${Date.now() - startedAt} ms`);
  cluster.start(away);
  const { index } = await scene.logged(away, 'a snapshot', ({ msg }) => msg === 'snapshot-received');
  expect(Number(index)).toBeGreaterThan(before);
  await cluster.until(`${away} to catch up`, async () => {
    const [own, lead] = [await cluster.status(away), await cluster.status(leader)];
    return own !== null && own.appliedIndex === lead?.appliedIndex ? true : null;
  });
});
