/**
 * A poison point among many: it is found by halving, fails alone, and after the repair a retry runs it and nothing else.
 *
 * A program begins its whole task, and code that throws one point. Code that kills its host leaves nobody who could say what
 * was begun, so there the whole window is halved.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { LONG_TTL, openScene, report, type Scene, voters } from './harness.ts';

/** One type and no more: each that a node offers costs its start a process. */
const POISON_JOBS_DIR = fileURLToPath(new URL('./poison-jobs', import.meta.url));
const POINTS = 1_000_000;
const POISON = 654_321;

test('of a million points the poison ones fail alone, the others are covered, and a retry finishes the job', async () => {
  const scene = await openScene(voters(2), ['--jobs', POISON_JOBS_DIR, ...LONG_TTL]);
  await failsAloneInProgram(scene);
  await failAloneInPoints(scene);
});

async function failsAloneInProgram(scene: Scene): Promise<void> {
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
}

const COMMIT_EVERY = 2_000;
const MAX_ATTEMPTS = 2;
const TASK_SIZE = POINTS / 4;
const THROWING = 123_456;
/** In the first window of its task, where no commit could have shown that some of it is done. */
const KILLING = 2 * TASK_SIZE + 1_500;

async function failAloneInPoints(scene: Scene): Promise<void> {
  const ran = join(scene.dir, 'ran');
  const repaired = join(scene.dir, 'repaired points');
  const { id } = await scene.submit({
    ...{ name: 'poisoned', start: 0, end: POINTS },
    metadata: { ran, repaired, throwing: THROWING, killing: KILLING },
    // One task at a time: a host that is killed takes the neighbours of its task along.
    options: { taskSize: TASK_SIZE, commitEvery: COMMIT_EVERY, maxAttempts: MAX_ATTEMPTS, maxConcurrency: 1 },
  });

  const failed = await scene.finished(id);
  expect(failed).toMatchObject({ state: 'failed', run: 1, progress: { done: POINTS - 2, failed: 2 } });
  expect((await scene.ranges(id)).failed).toMatchObject([
    { start: THROWING, end: THROWING + 1, error: `no row ${THROWING}`, attempts: MAX_ATTEMPTS },
    { start: KILLING, end: KILLING + 1, error: 'job host was killed by SIGKILL', attempts: MAX_ATTEMPTS },
  ]);
  const attempts = attemptsIn(ran);
  // What threw is known to the point, so nothing else ran again.
  expect(executions(attempts, 0, TASK_SIZE)).toBe(TASK_SIZE + MAX_ATTEMPTS - 1);
  const kills = attempts.filter(({ behind }) => behind === KILLING + 1).length;
  const repeated = executions(attempts, 0, POINTS) - kills - MAX_ATTEMPTS - (POINTS - 2);
  report(`${kills} hosts killed, ${repeated} points of others repeated`);
  expect(repeated).toBeLessThanOrEqual(COMMIT_EVERY * (MAX_ATTEMPTS + 1));
  // No more than a window was to blame: what lay behind it in the task was never halved.
  const untouched = attempts.filter(({ first, behind }) => first > KILLING && behind === 3 * TASK_SIZE);
  expect(untouched).toHaveLength(1);
  expect(untouched[0]?.first).toBeLessThanOrEqual(KILLING + COMMIT_EVERY);

  writeFileSync(repaired, '');
  expect(await scene.polaris(['job', 'retry', id])).toMatchObject({ exit: 0 });
  expect(await scene.finished(id)).toMatchObject({ state: 'done', run: 2, progress: { done: POINTS, failed: 0 } });
  const again = attemptsIn(ran).slice(attempts.length);
  expect(again.sort((one, other) => one.first - other.first)).toEqual(
    [THROWING, KILLING].map((point) => ({ first: point, behind: point + 1 })),
  );
  expect((await scene.polaris(['job', 'verify', id])).exit).toBe(0);
}

interface Ran {
  readonly first: number;
  readonly behind: number;
}

function attemptsIn(path: string): Ran[] {
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  return lines.map((line) => {
    const [first, behind] = line.split(' ').map(Number);
    return { first: first ?? Number.NaN, behind: behind ?? Number.NaN };
  });
}

/** How often points of [start, end) were run, all together. */
function executions(attempts: readonly Ran[], start: number, end: number): number {
  const within = attempts.map(({ first, behind }) => Math.min(behind, end) - Math.max(first, start));
  return within.reduce((sum, points) => sum + Math.max(points, 0), 0);
}
