/**
 * A worker that dies is found out at once, and pays with at most a window of points; one that is only hard to reach pays
 * nothing.
 */
import { expect, test } from 'vitest';
import { CuttableProxy } from './cuttable-proxy.ts';
import { epochsOf, LONG_TTL, openScene, prepareScene, report, underWay, voters, worker } from './harness.ts';
import { expectBoundedRepeats, expectExactlyOnce, repeated } from './lines.ts';

const COMMIT_EVERY = 10;
const POINTS = 900;

test('kill -9 of a worker: its tasks go to others at once, and only points beyond its last commit run again', async () => {
  // Sessions outlive the test, so that nothing but proof of death can end one.
  const scene = await openScene(voters(2), LONG_TTL);
  const { cluster } = scene;
  const leader = await cluster.leader();
  const victim = cluster.ids.find((id) => id !== leader) ?? leader;
  const options = { commitEvery: COMMIT_EVERY, taskSize: 150 };
  const { id } = await scene.submit({
    name: 'append',
    start: 0,
    end: POINTS,
    metadata: scene.sink('out', 10),
    options,
  });
  const before = await scene.untilRanges(
    id,
    'two tasks of the victim',
    (ranges) => underWay(ranges, victim).length === 2,
  );

  const killedAt = Date.now();
  await cluster.signal(victim, 'SIGKILL');
  const regranted = await scene.untilRanges(id, 'no lease of the dead', ({ tasks }) => {
    return tasks.every((task) => task.worker !== victim);
  });
  report(`the dead worker's leases ended after ${Date.now() - killedAt} ms`);
  expect(epochsOf(regranted.tasks)).not.toEqual([]);
  await scene.logged(leader, 'the proof of death', (record) => {
    return record.msg === 'worker-expiring' && record['worker'] === victim && /refused/.test(String(record['reason']));
  });

  expect((await scene.finished(id)).state).toBe('done');
  const verify = await scene.verify(id);
  expect(verify).toMatchObject({ covered: true, missing: [], failed: [] });
  const lines = scene.lines('out');
  const lost = underWay(before, victim);
  expectBoundedRepeats(lines, { end: POINTS, verify, lost: epochsOf(lost), commitEvery: COMMIT_EVERY });
  for (const { epoch, cursor } of lost) {
    const again = repeated(lines).filter((line) => line.epoch === epoch);
    // Cursors only grow, so what was committed when we looked was committed when the worker died.
    expect(again.every((line) => line.point >= cursor)).toBe(true);
  }
  report(`${repeated(lines).length} points ran again, of ${lost.length * COMMIT_EVERY} that might have`);
});

test('a broken connection to a live worker ends no lease', async () => {
  const proxy = await CuttableProxy.open();
  try {
    const nodes = [{ id: 'n1', role: 'voter', slots: 0, advertise: proxy.address } as const, worker('w1', 2)];
    const scene = await prepareScene(nodes, LONG_TTL);
    proxy.target = scene.cluster.address('n1');
    scene.cluster.start();
    const options = { commitEvery: COMMIT_EVERY, taskSize: 200 };
    const submission = { name: 'append', start: 0, end: 400, metadata: scene.sink('out', 10), options };
    await scene.cluster.leader();
    const { id } = await scene.submit(submission);
    const before = await scene.untilRanges(id, 'two tasks under way', (ranges) => underWay(ranges, 'w1').length === 2);

    proxy.cut();
    // With a back-off that doubles from 50 ms, the sixth try is far beyond the half second that proves a death.
    await scene.cluster.until('six tries to connect again', async () => (proxy.refused >= 6 ? true : null));
    const cut = (await scene.cluster.request('n1', 'GET', `/v1/jobs/${id}/ranges`)).body as typeof before;
    expect(epochsOf(cut.tasks)).toEqual(epochsOf(before.tasks));
    proxy.restore();

    expect((await scene.finished(id)).state).toBe('done');
    expect(await scene.verify(id)).toMatchObject({ covered: true, missing: [], reexecuted: [] });
    const lines = scene.lines('out');
    expectExactlyOnce(lines, 400);
    expect([...new Set(lines.map((line) => line.epoch))].sort()).toEqual(epochsOf(before.tasks).sort());
    expect(scene.log('w1').filter((record) => record.msg === 'joined')).toHaveLength(1);
  } finally {
    await proxy.close();
  }
});
