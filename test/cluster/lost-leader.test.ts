/**
 * The leader dies while others work: they go on, and nobody runs their points again.
 */
import { expect, test } from 'vitest';
import { epochsOf, LONG_TTL, openScene, report, underWay, voters } from './harness.ts';
import { expectBoundedRepeats, repeated } from './lines.ts';

const COMMIT_EVERY = 10;
const POINTS = 1_200;

test('kill -9 of the leader: tasks on other workers go on under their epochs and run no point again', async () => {
  const scene = await openScene(voters(2), LONG_TTL);
  const { cluster } = scene;
  const leader = await cluster.leader();
  const survivors = cluster.ids.filter((id) => id !== leader);
  const options = { commitEvery: COMMIT_EVERY, taskSize: 200 };
  const { id } = await scene.submit({
    name: 'append',
    start: 0,
    end: POINTS,
    metadata: scene.sink('out', 10),
    options,
  });
  const before = await scene.untilRanges(id, 'two tasks on each node', (ranges) => {
    return cluster.ids.every((node) => underWay(ranges, node).length === 2);
  });

  const killedAt = Date.now();
  await cluster.signal(leader, 'SIGKILL');
  const next = await cluster.leader();
  report(`${next} leads ${Date.now() - killedAt} ms after the kill`);
  expect((await scene.finished(id)).state).toBe('done');

  const verify = await scene.verify(id);
  expect(verify).toMatchObject({ covered: true, missing: [], failed: [] });
  const lines = scene.lines('out');
  const lost = epochsOf(underWay(before, leader));
  expectBoundedRepeats(lines, { end: POINTS, verify, lost, commitEvery: COMMIT_EVERY });
  for (const node of survivors) {
    for (const { epoch, start, end } of underWay(before, node)) {
      const own = lines.filter((line) => line.epoch === epoch);
      // Its one lease wrote its whole task, in order: it never stopped to begin anew.
      expect(own.map((line) => line.point)).toEqual(Array.from({ length: end - start }, (_, at) => start + at));
      expect(lines.filter((line) => line.point >= start && line.point < end)).toEqual(own);
    }
    expect(scene.log(node).filter((record) => record.msg === 'joined')).toHaveLength(1);
  }
  report(`${repeated(lines).length} points of the dead leader's own tasks ran again`);
});
