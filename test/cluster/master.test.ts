/**
 * The Master hears of the end of its job from whoever leads: also when the leader that finished the job is killed before
 * the Master has taken it.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { JOBS_DIR, openScene, voters } from './harness.ts';

interface Told {
  readonly key: string;
  readonly state: string;
  readonly done: number;
  readonly pid: number;
}

test('kill -9 of the leader while a Master refuses the end of a run: the next leader tells it, under the same key', async () => {
  const scene = await openScene(voters(1), ['--jobs', JOBS_DIR]);
  const { cluster } = scene;
  const [file, gate] = [join(scene.dir, 'told'), join(scene.dir, 'gate')];
  const told = (): Told[] =>
    existsSync(file)
      ? readFileSync(file, 'utf8')
          .split('\n')
          .filter((line) => line !== '')
          .map((line) => JSON.parse(line))
      : [];
  const { id } = await scene.submit({ name: 'telling', start: 0, end: 50, metadata: { file, gate } });
  expect((await scene.finished(id)).state).toBe('done');
  await cluster.until('the Master is told', async () => (told().length > 0 ? true : null));
  const [first] = told();

  await cluster.signal(await cluster.leader(), 'SIGKILL');
  await cluster.until('another Master is told', async () =>
    told().some(({ pid }) => pid !== first?.pid) ? true : null,
  );
  writeFileSync(gate, '');
  await cluster.until('the notice is struck off', async () => {
    const leader = await cluster.leader();
    const taken = scene.log(leader).some((record) => record.msg === 'notice-taken' && record['job'] === id);
    return taken ? true : null;
  });
  expect(new Set(told().map(({ key }) => key))).toEqual(new Set([`${id}/1`]));
  expect(told().every(({ state, done }) => state === 'done' && done === 50)).toBe(true);
});
