/**
 * A node under a name that is bound to another disk, or from another cluster, is turned away and says why.
 */
import { cpSync, rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openScene, prepareScene, type Scene, voters } from './harness.ts';
import { expectExactlyOnce } from './lines.ts';

async function expectTwoGoOn(scene: Scene, name: string): Promise<void> {
  const { id } = await scene.submit({ name: 'append', start: 0, end: 100, metadata: scene.sink(name) });
  expect((await scene.finished(id)).state).toBe('done');
  expectExactlyOnce(scene.lines(name), 100);
}

/** Lines of a node's stderr that are meant for a person. */
function sentences(scene: Scene, id: string): string[] {
  return scene
    .logText(id)
    .split('\n')
    .filter((line) => line.startsWith('polaris: '));
}

test('a node whose data directory was wiped ends with code 4 and says "join under a new id"; the others go on', async () => {
  const scene = await openScene(voters(1));
  const { cluster } = scene;
  await cluster.signal('n3', 'SIGKILL');
  rmSync(cluster.dataDir('n3'), { recursive: true });
  cluster.start('n3');
  expect(await cluster.ended('n3')).toEqual({ code: 4, signal: null });
  expect(sentences(scene, 'n3').join()).toMatch(/INSTANCE_MISMATCH.*join under a new id/);
  await expectTwoGoOn(scene, 'out');
});

test('a node of another cluster is refused with a clear error on both sides; the others go on', async () => {
  const scene = await openScene(voters(1));
  const { cluster } = scene;
  const foreign = await prepareScene(voters(1, ['n3']));
  foreign.cluster.start();
  await foreign.cluster.leader();
  const foreignId = (await foreign.cluster.status('n3'))?.id;
  await foreign.cluster.signal('n3', 'SIGTERM');

  await cluster.signal('n3', 'SIGKILL');
  rmSync(cluster.dataDir('n3'), { recursive: true });
  cpSync(foreign.cluster.dataDir('n3'), cluster.dataDir('n3'), { recursive: true });
  cluster.start('n3');
  expect(await cluster.ended('n3')).toEqual({ code: 4, signal: null });
  const own = (await cluster.status('n1'))?.id;
  expect(own).not.toBe(foreignId);
  expect(sentences(scene, 'n3').join()).toMatch(/CLUSTER_MISMATCH/);
  for (const id of ['n1', 'n2']) {
    await scene.logged(id, 'the refusal', (record) => {
      const text = JSON.stringify(record);
      return text.includes('CLUSTER_MISMATCH') && text.includes(String(foreignId));
    });
  }
  await expectTwoGoOn(scene, 'out');
});
