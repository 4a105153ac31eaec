/**
 * A cluster that is lost as a whole comes back from its backup: as another cluster, with every acknowledged point kept
 * and with epochs that the old one never gave.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { RESTORE_INDEX_GAP } from '../../src/base/limits.ts';
import { openScene, prepareScene, report, type Scene, voters } from './harness.ts';
import { missingAndForeign, repeated } from './lines.ts';

const POINTS = 600;
const COMMIT_EVERY = 10;

/** A node on a data directory that is there already, and one that joins it. */
async function sceneOnBackup(file: string): Promise<{ readonly scene: Scene; readonly index: number }> {
  const scene = await prepareScene([...voters(2, ['n1']), { id: 'n2', role: 'voter', slots: 0, joins: true }]);
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
  const old = await openScene(voters(1));
  const file = join(old.dir, 'backup');
  const options = { commitEvery: COMMIT_EVERY, taskSize: 60 };
  const metadata = old.sink('out', 10);
  const { id } = await old.submit({ name: 'append', start: 0, end: POINTS, metadata, options });
  const small = { name: 'append', start: 0, end: 5, metadata: old.sink('small') };
  const finished = await old.finished((await old.submit(small)).id);
  const covered = (ranges: readonly (readonly [number, number])[]) =>
    ranges.reduce((points, [start, end]) => points + end - start, 0);
  await old.untilRanges(id, 'a third of the job', ({ done }) => covered(done) >= POINTS / 3);

  // Through a node that need not lead, as users do.
  const backup = await old.polaris(['cluster', 'backup', file, '-o', 'json']);
  expect([backup.exit, backup.stderr]).toEqual([0, '']);
  const { index } = JSON.parse(backup.stdout) as { readonly index: number };
  for (const node of old.cluster.ids) await old.cluster.signal(node, 'SIGKILL');
  const before = old.lines('out');
  const oldEpochs = new Set(before.map((line) => line.epoch));

  const { scene, index: first } = await sceneOnBackup(file);
  expect(first).toBe(index + RESTORE_INDEX_GAP);
  scene.cluster.start('n1');
  await scene.cluster.leader();
  const paused = await scene.job(id);
  expect(paused).toMatchObject({ state: 'paused', reason: 'restored' });
  expect(paused.progress.done).toBeGreaterThanOrEqual(POINTS / 3);
  expect(await scene.job(finished.id)).toEqual(finished);

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
  expect(missingAndForeign(lines, POINTS)).toEqual([]);
  const after = lines.slice(before.length);
  expect(after.filter((line) => oldEpochs.has(line.epoch) || line.epoch <= first)).toEqual([]);
  // What was acknowledged before the backup never runs again.
  const kept = paused.progress.done;
  expect(new Set(after.map((line) => line.point)).size).toBe(POINTS - kept);
  report(`${kept} points were kept, ${repeated(lines).length} ran again`);
});
