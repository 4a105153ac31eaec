/**
 * A poison point among many: it is found by halving, fails alone, and after the repair a retry runs it and nothing else.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openScene, report, voters } from './harness.ts';

const POINTS = 1_000_000;
const POISON = 654_321;

test('of a million points one fails alone, the others are covered, and a retry finishes the job', async () => {
  const scene = await openScene(voters(2));
  const repaired = join(scene.dir, 'repaired');
  const attempts = join(scene.dir, 'attempts');
  const script = [
    `echo "$POLARIS_START $POLARIS_END" >> "$0"`,
    `[ -e "$1" ] || [ ${POISON} -lt "$POLARIS_START" ] || [ ${POISON} -ge "$POLARIS_END" ] || { echo "no row ${POISON}" >&2; exit 7; }`,
  ].join('\n');
  const { id } = await scene.submit({
    name: 'exec',
    start: 0,
    end: POINTS,
    metadata: { command: ['sh', '-c', script, attempts, repaired] },
    options: { taskSize: POINTS / 2 },
  });

  const failed = await scene.finished(id);
  expect(failed).toMatchObject({ state: 'failed', run: 1, progress: { done: POINTS - 1, failed: 1 } });
  const count = () => readFileSync(attempts, 'utf8').split('\n').length - 1;
  const before = count();
  report(`${before} attempts for two tasks`);
  expect(before - 2).toBeLessThanOrEqual(60);
  const { stdout } = await scene.polaris(['job', 'failures', id, '-o', 'json']);
  expect(JSON.parse(stdout).failed).toMatchObject([
    { start: POISON, end: POISON + 1, error: `exit 7: no row ${POISON}`, attempts: 3 },
  ]);
  expect((await scene.polaris(['job', 'verify', id])).exit).toBe(3);

  writeFileSync(repaired, '');
  expect(existsSync(repaired)).toBe(true);
  expect(await scene.polaris(['job', 'retry', id, '--range', `${POISON}:${POINTS}`])).toMatchObject({ exit: 0 });
  expect(await scene.finished(id)).toMatchObject({ state: 'done', run: 2, progress: { done: POINTS, failed: 0 } });
  expect(count()).toBe(before + 1);
  expect(readFileSync(attempts, 'utf8').trimEnd().split('\n').at(-1)).toBe(`${POISON} ${POISON + 1}`);
  expect((await scene.polaris(['job', 'verify', id])).exit).toBe(0);
  expect((await scene.polaris(['job', 'retry', id])).stderr).toMatch(/^polaris: WRONG_STATE: .*nothing/);
});
