/**
 * Exactly once: workers and leaders die with kill -9 in the middle of a job whose sink is fenced, and the sink has every
 * point, each of them one time.
 */
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expect, test } from 'vitest';
import { redisServerPath, startRedis } from '../../chaos/servers.ts';
import { must } from '../../src/base/assert.ts';
import { LONG_TTL, openScene, report, type Scene, voters, worker } from './harness.ts';
import { expectExactlyOnce, type Line } from './lines.ts';

const POINTS = 3_000;
const KILLS = 4;
const WORKERS = ['w1', 'w2'];

const absent = redisServerPath() === null;
const why = absent ? ' (there is no redis-server here)' : '';
if (absent) report('skipped: there is no redis-server here');

test.skipIf(absent)(`kill -9 of workers and of leaders: every point is in the list exactly once${why}`, async () => {
  // A session outlives the test, and so a lost worker is given up only when it is back under a new incarnation.
  const scene = await openScene([...voters(0), ...WORKERS.map((id) => worker(id, 1))], LONG_TTL);
  const server = await startRedis(join(scene.dir, 'redis'));
  const redis = new Redis(server.port, '127.0.0.1');
  try {
    const { id } = await scene.submit({
      name: 'append',
      start: 0,
      end: POINTS,
      metadata: { sink: `fenced-redis://127.0.0.1:${server.port}/0?list=lines`, intervalMs: 2 },
      options: { delivery: 'exactly-once', commitEvery: 50, taskSize: 200 },
    });
    for (let kill = 0; kill < KILLS; kill++) await killOnTheWay(scene, id, kill);

    expect((await scene.finished(id)).state).toBe('done');
    const lines = (await redis.lrange('lines', 0, -1)).map(lineOf);
    expectExactlyOnce(lines, POINTS);
    const verify = await scene.verify(id);
    const again = verify.reexecuted.reduce((sum, { start, end }) => sum + (end - start), 0);
    report(`${KILLS} workers and ${KILLS} leaders killed: ${again} points were handed out again`);
    // Without these the fence would have had nothing to do.
    expect(again).toBeGreaterThan(0);
    expect(verify).toMatchObject({ covered: true, missing: [], failed: [], uncertain: [] });
    expect(verify.claim).toMatch(/^0 duplicates/);
    expect((await scene.polaris(['job', 'verify', id])).exit).toBe(0);
    // Nothing is left open: what is kept of a finished job is one segment.
    expect(await redis.zcard(`polaris:{${id}}:ends`)).toBe(1);
  } finally {
    redis.disconnect();
    await server.stop();
  }
});

test('a sink without a fence is no place for exactly-once, and the refusal says which is', async () => {
  const scene = await openScene(voters(1, ['n1']));
  const wanted = ['job', 'submit', 'append', '--start', '0', '--end', '10', '--delivery', 'exactly-once'];
  const refused = await scene.polaris([...wanted, '--metadata', JSON.stringify(scene.sink('out'))]);
  expect(refused.exit).toBe(2);
  expect(refused.stderr).toMatch(/BAD_OPTION: .*append.* keeps exactly-once only for some metadata: metadata\.sink/);
});

/** A worker in the midst of a task, whichever it is, and the leader right behind it; both come back. */
async function killOnTheWay(scene: Scene, id: string, kill: number): Promise<void> {
  const { cluster } = scene;
  const goal = ((kill + 1) * POINTS) / (KILLS + 2);
  const seen = await scene.untilRanges(id, `a task on its way, ${goal} points done`, ({ done, tasks }) => {
    const points = done.reduce((sum, [start, end]) => sum + (end - start), 0);
    return points >= goal && tasks.some(isOnItsWay);
  });
  const victim = must(seen.tasks.find(isOnItsWay), 'one was just seen').worker;
  const leader = await cluster.leader();
  await Promise.all([cluster.signal(victim, 'SIGKILL'), cluster.signal(leader, 'SIGKILL')]);
  cluster.start(leader);
  cluster.start(victim);
}

function isOnItsWay({ cursor, start }: { readonly cursor: number; readonly start: number }): boolean {
  return cursor > start;
}

function lineOf(text: string): Line {
  const [at, point, epoch, name = ''] = text.trimEnd().split('\t');
  return { at: Number(at), point: Number(point), epoch: Number(epoch), worker: name };
}
