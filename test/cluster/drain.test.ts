/**
 * SIGTERM: a node gives back what it holds, to the point.
 */
import { expect, test } from 'vitest';
import { LONG_TTL, openScene, report, underWay, voters } from './harness.ts';
import { expectExactlyOnce } from './lines.ts';

const POINTS = 1_200;

test('SIGTERM of a follower and then of the leader: both exit with 0, and no point runs twice', async () => {
  const scene = await openScene(voters(2), LONG_TTL);
  const { cluster } = scene;
  const options = { commitEvery: 50, taskSize: 150 };
  const { id } = await scene.submit({
    name: 'append',
    start: 0,
    end: POINTS,
    metadata: scene.sink('out', 10),
    options,
  });
  const leader = await cluster.leader();
  const follower = cluster.ids.find((node) => node !== leader) ?? leader;

  for (const node of [follower, leader]) {
    await scene.untilRanges(id, `two tasks of ${node}`, (ranges) => underWay(ranges, node).length === 2);
    const toldAt = Date.now();
    const ended = cluster.ended(node);
    await cluster.signal(node, 'SIGTERM');
    expect(await ended).toEqual({ code: 0, signal: null });
    report(`${node} ended ${Date.now() - toldAt} ms after SIGTERM`);
    if (node === follower) {
      const left = await scene.ranges(id);
      expect(left.tasks.filter((task) => task.worker === node)).toEqual([]);
      cluster.start(node);
    }
  }

  expect((await scene.finished(id)).state).toBe('done');
  expect(await scene.verify(id)).toMatchObject({ covered: true, missing: [], failed: [], reexecuted: [] });
  expectExactlyOnce(scene.lines('out'), POINTS);
});
