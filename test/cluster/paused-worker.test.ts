/**
 * A worker that was stopped and wakes after its leases went to others: the worst kind, for it believes that it holds them.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { epochsOf, openScene, report, underWay, voters, worker } from './harness.ts';
import { expectBoundedRepeats, repeated } from './lines.ts';

/** A task is eight seconds of work, all of it within the window: nothing but its deadline can stop a thread in time. */
const TASK_SIZE = 800;
const INTERVAL_MS = 10;
const POINTS = 3 * TASK_SIZE;
/** A third of it lies between the end of the paused worker's thread and the end of its lease. */
const SESSION_TTL_MS = 6_000;

test('a paused worker stops its thread before its lease is given away, and is not believed when it wakes', async () => {
  const nodes = [...voters(0), worker('paused', 1), worker('other', 1)];
  const scene = await openScene(nodes, ['--session-ttl-ms', String(SESSION_TTL_MS)]);
  const { cluster } = scene;
  const options = { commitEvery: TASK_SIZE, taskSize: TASK_SIZE };
  const { id } = await scene.submit({
    name: 'append',
    start: 0,
    end: POINTS,
    metadata: scene.sink('out', INTERVAL_MS),
    options,
  });
  const before = await scene.untilRanges(
    id,
    'a task of the worker',
    (ranges) => underWay(ranges, 'paused').length === 1,
  );
  const lost = underWay(before, 'paused');
  const lostEpochs = epochsOf(lost);

  const pausedAt = Date.now();
  await cluster.signal('paused', 'SIGSTOP');
  // Only the node: its job hosts are processes of their own, and run on.
  const hosts = readdirSync(join(cluster.dataDir('paused'), 'hosts'));
  expect(hosts).not.toEqual([]);
  await scene.untilRanges(id, 'other leases', ({ tasks }) => tasks.every(({ epoch }) => !lostEpochs.includes(epoch)));
  const regrantedAt = Date.now();
  report(`re-granted ${regrantedAt - pausedAt} ms after the pause began`);

  // A thread that was not stopped would write as many lines meanwhile.
  await cluster.until('fifty more lines of the other worker', async () => {
    const since = scene.lines('out').filter((line) => line.worker === 'other' && line.at > regrantedAt);
    return since.length >= 50 ? true : null;
  });

  await cluster.signal('paused', 'SIGCONT');
  const rejoined = await cluster.until('the worker to join again', async () => {
    return scene.log('paused').filter((record) => record.msg === 'joined').length === 2 ? true : null;
  });
  expect(rejoined).toBe(true);
  await cluster.until('the end of the job', async () => {
    // As long as it runs, none of the old leases may come back to life.
    expect(epochsOf((await scene.ranges(id)).tasks).filter((epoch) => lostEpochs.includes(epoch))).toEqual([]);
    return (await scene.job(id)).state === 'done' ? true : null;
  });

  const verify = await scene.verify(id);
  expect(verify).toMatchObject({ covered: true, missing: [], failed: [] });
  const lines = scene.lines('out');
  expectBoundedRepeats(lines, { end: POINTS, verify, lost: lostEpochs, commitEvery: TASK_SIZE });
  const stale = lines.filter((line) => lostEpochs.includes(line.epoch));
  const last = Math.max(...stale.map((line) => line.at));
  expect(last).toBeLessThan(regrantedAt);
  // It went on beyond the pause of its node, or nothing was shown.
  expect(last).toBeGreaterThan(pausedAt);
  report(`its last line came ${last - pausedAt} ms after the pause, ${regrantedAt - last} ms before its lease ended`);
  for (const { point, epoch } of repeated(lines)) {
    const order = lines.filter((line) => line.point === point).map((line) => line.epoch);
    expect(order.indexOf(epoch), `point ${point} was written by its old lease first`).toBe(0);
  }
  expect(lines.some((line) => line.worker === 'paused' && line.at > regrantedAt)).toBe(true);
});
