/**
 * All processes end at once, as in a power cut, and start again: what was acknowledged is there.
 */
import { expect, test } from 'vitest';
import type { JobJson } from '../../src/http/job-json.ts';
import { openScene, report, type Scene, type Submission, voters } from './harness.ts';
import { byPoint, missingAndForeign, repeated } from './lines.ts';

const COMMIT_EVERY = 10;
const POINTS = 900;

test('kill -9 of all nodes in the middle of a job loses nothing acknowledged and runs nothing committed again', async () => {
  const scene = await openScene(voters(2));
  const { cluster } = scene;
  const options = { commitEvery: COMMIT_EVERY, taskSize: 100 };
  const { id } = await scene.submit({ name: 'append', start: 0, end: POINTS, metadata: scene.sink('out', 5), options });
  const submitting = submitUntilRefused(scene);
  const before = await scene.untilRanges(id, 'a third of the points', ({ done }) => pointsOf(done) >= POINTS / 3);

  await Promise.all(cluster.ids.map((node) => cluster.signal(node, 'SIGKILL')));
  const acknowledged = await submitting;
  const linesBefore = scene.lines('out');
  const startedAt = Date.now();
  cluster.start();
  const leader = await cluster.leader();
  report(`${leader} leads ${Date.now() - startedAt} ms after the start`);

  const resumed = await scene.ranges(id);
  for (const [start, end] of before.done) {
    expect(resumed.done.some((range) => range[0] <= start && end <= range[1])).toBe(true);
  }
  expect(acknowledged.length).toBeGreaterThan(0);
  for (const job of acknowledged) {
    const { name, start, end, metadata, options: filled } = job;
    expect(await scene.job(job.id)).toMatchObject({ id: job.id, name, start, end, metadata, options: filled });
  }
  report(`${acknowledged.length} submits were acknowledged before the cut, and all of them are there`);

  expect((await scene.finished(id)).state).toBe('done');
  const verify = await scene.verify(id);
  expect(verify).toMatchObject({ covered: true, missing: [], failed: [] });
  const lines = scene.lines('out');
  expect(missingAndForeign(lines, POINTS)).toEqual([]);
  const points = byPoint(lines);
  for (const [start, end] of before.done) {
    for (let point = start; point < end; point++) expect(points.get(point)).toHaveLength(1);
  }
  const again = repeated(lines);
  expect(again.every((line) => linesBefore.some((old) => old.point === line.point && old.epoch === line.epoch))).toBe(
    true,
  );
  for (const epoch of new Set(again.map((line) => line.epoch))) {
    expect(again.filter((line) => line.epoch === epoch).length).toBeLessThanOrEqual(COMMIT_EVERY);
  }
  for (const line of again) {
    expect(verify.reexecuted.some(({ start, end }) => start <= line.point && line.point < end)).toBe(true);
  }
  report(`${again.length} points ran again`);
});

/** Submits small jobs one after the other until no node answers any more, and gives those that were answered with 201. */
async function submitUntilRefused(scene: Scene): Promise<JobJson[]> {
  const created: JobJson[] = [];
  for (let number = 0; number < 500; number++) {
    const node = scene.cluster.ids[number % scene.cluster.ids.length] ?? 'n1';
    const submission: Submission = {
      name: 'append',
      start: number,
      end: number + 1,
      metadata: scene.sink('small'),
      options: { commitEvery: 1 + number },
    };
    const answer = await scene.cluster.request(node, 'POST', '/v1/jobs', submission).catch(() => null);
    if (answer === null) return created;
    if (answer.status === 201) created.push(answer.body as JobJson);
  }
  return created;
}

function pointsOf(ranges: readonly (readonly [number, number])[]): number {
  return ranges.reduce((sum, [start, end]) => sum + (end - start), 0);
}
