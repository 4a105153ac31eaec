/**
 * A cluster that is lost as a whole comes back from its backup: as another cluster, with every acknowledged point kept
 * and with epochs that the old one never gave.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { RESTORE_INDEX_GAP } from '../../src/base/limits.ts';
import { LONG_TTL, openScene, prepareScene, report, type Scene, voters, worker } from './harness.ts';
import { expectBoundedRepeats, repeated } from './lines.ts';

const POINTS = 1_000;
const COMMIT_EVERY = 10;

/** A node on a data directory that is there already, and one that joins it. */
async function sceneOnBackup(file: string): Promise<{ readonly scene: Scene; readonly index: number }> {
  const scene = await prepareScene([...voters(4, ['n1']), { id: 'n2', role: 'voter', slots: 0, joins: true }]);
  const { cluster } = scene;
  const place = ['--id', 'n1', '--data-dir', cluster.dataDir('n1'), '--listen', cluster.address('n1')];
  const restored = await scene.polaris(['cluster', 'restore', file, ...place, '-o', 'json']);
  expect(restored.stderr).toMatch('polaris job resume');
  expect(restored.exit).toBe(0);
  const again = await scene.polaris(['cluster', 'restore', file, ...place]);
  expect([again.exit, again.stdout]).toEqual([1, '']);
  expect(again.stderr).toMatch('DATA_DIR_NOT_EMPTY');
  return { scene, index: (JSON.parse(restored.stdout) as { readonly index: number }).index };
}

test('a half-done job, backed up, with its whole cluster lost, is restored, resumed and done', async () => {
  const nodes = [...voters(0), worker('w1', 2)];
  const old = await openScene(nodes, LONG_TTL);
  const small = { name: 'append', start: 0, end: 5, metadata: old.sink('small') };
  const finished = await old.finished((await old.submit(small)).id);
  const options = { commitEvery: COMMIT_EVERY, taskSize: 100 };
  const { id } = await old.submit({ name: 'append', start: 0, end: POINTS, metadata: old.sink('out', 20), options });
  await old.untilRanges(id, 'some of the job', ({ done }) => covered(done) >= POINTS / 10);
  // The worker stands still in the midst of its tasks, and its session outlives the test: the backup has live leases.
  await old.cluster.signal('w1', 'SIGSTOP');

  const backup = await old.polaris(['cluster', 'backup', file(old), '-o', 'json'], ['n1', 'n2', 'n3']);
  expect([backup.exit, backup.stderr]).toEqual([0, '']);
  const { index } = JSON.parse(backup.stdout) as { readonly index: number };
  const lost = (await old.ranges(id)).tasks.map((task) => task.epoch);
  expect(lost).toHaveLength(2);
  for (const node of old.cluster.ids) await old.cluster.signal(node, 'SIGKILL');

  const { scene, index: first } = await sceneOnBackup(file(old));
  expect(first).toBe(index + RESTORE_INDEX_GAP);
  scene.cluster.start('n1');
  await scene.cluster.leader();
  const paused = await scene.job(id);
  expect(paused).toMatchObject({ state: 'paused', reason: 'restored' });
  expect(await scene.job(finished.id)).toEqual(finished);
  expect(await scene.verify(finished.id)).toMatchObject({ covered: true });

  // One more voter, which knows nothing but where the first one listens.
  scene.cluster.start('n2');
  await scene.cluster.until('n2 votes', async () => {
    const status = await scene.cluster.status('n1');
    return status?.members.some((member) => member.id === 'n2' && member.role === 'follower') === true ? true : null;
  });
  expect((await scene.polaris(['job', 'resume', id], ['n1'])).exit).toBe(0);
  expect((await scene.finished(id)).state).toBe('done');

  const verify = await scene.verify(id);
  expect(verify).toMatchObject({ covered: true, missing: [], failed: [] });
  const lines = old.lines('out');
  // Nothing happened between the backup and the end of the old cluster, so the bound holds as for any lost worker.
  expectBoundedRepeats(lines, { end: POINTS, verify, lost, commitEvery: COMMIT_EVERY });
  const fresh = lines.filter((line) => line.epoch > first);
  expect(lines.filter((line) => line.epoch > index && line.epoch <= first)).toEqual([]);
  expect(new Set(fresh.map((line) => line.point)).size).toBe(POINTS - paused.progress.done);
  report(`${paused.progress.done} points were kept, ${repeated(lines).length} ran again`);
});

function file(scene: Scene): string {
  return join(scene.dir, 'backup');
}

function covered(ranges: readonly (readonly [number, number])[]): number {
  return ranges.reduce((points, [start, end]) => points + end - start, 0);
}
