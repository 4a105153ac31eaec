/**
 * At most once: workers die with kill -9, again and again, and no point takes effect twice. What Polaris cannot know it
 * lists, and every point that is missing is on that list.
 */
import { expect, test } from 'vitest';
import { LONG_TTL, openScene, report, voters, worker } from './harness.ts';
import { missingAndForeign, repeated } from './lines.ts';

const POINTS = 600;
const KILLS = 5;

test('kill -9 of workers: nothing twice, at most one point a kill uncertain, and whatever is missing is listed', async () => {
  const workers = ['w1', 'w2'];
  const scene = await openScene([...voters(0), ...workers.map((id) => worker(id, 1))], LONG_TTL);
  const { cluster } = scene;
  const options = { delivery: 'at-most-once', commitEvery: 1, taskSize: 50 };
  const { id } = await scene.submit({
    name: 'append',
    start: 0,
    end: POINTS,
    metadata: scene.sink('out', 5),
    options,
  });
  for (let kill = 0; kill < KILLS; kill++) {
    const victim = workers[kill % workers.length] ?? '';
    const goal = (kill + 1) * (POINTS / (KILLS + 2));
    await scene.untilRanges(id, `work of ${victim}, ${goal} points done`, ({ done, tasks }) => {
      const points = done.reduce((sum, [start, end]) => sum + (end - start), 0);
      return points >= goal && tasks.some((task) => task.worker === victim && task.cursor > task.start);
    });
    await cluster.signal(victim, 'SIGKILL');
    await scene.untilRanges(id, `no lease of ${victim}`, ({ tasks }) => tasks.every((task) => task.worker !== victim));
    cluster.start(victim);
  }

  expect((await scene.finished(id)).state).toBe('done');
  const verify = await scene.verify(id);
  const uncertain = verify.uncertain.flatMap(([start, end]) =>
    Array.from({ length: end - start }, (_, at) => start + at),
  );
  const lines = scene.lines('out');
  const missing = missingAndForeign(lines, POINTS);
  report(`${KILLS} kills: ${uncertain.length} points uncertain, ${missing.length} of them missing`);
  expect(repeated(lines)).toEqual([]);
  expect(uncertain.length).toBeLessThanOrEqual(KILLS);
  expect(missing.filter((point) => !uncertain.includes(point))).toEqual([]);
  expect(verify).toMatchObject({ covered: true, missing: [], failed: [], reexecuted: [] });
  expect((await scene.polaris(['job', 'verify', id])).exit).toBe(uncertain.length === 0 ? 0 : 3);
  const failures = await scene.polaris(['job', 'failures', id, '-o', 'csv']);
  expect(failures.stdout.split('\r\n').filter((row) => row.startsWith('uncertain,'))).toHaveLength(
    verify.uncertain.length,
  );
});
