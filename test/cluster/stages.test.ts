/**
 * A pipeline of four stages on real processes: kill -9 of its worker in every stage and at every boundary between two, and
 * what was finished does not run again.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ask } from './dataset-clients.ts';
import { JOBS_DIR, LONG_TTL, openScene, voters, worker } from './harness.ts';

const STAGES = [0, 1, 2, 3];
/** Two traps a stage: before its work, which is the boundary behind the stage before it, and behind its work. */
const POINTS = 2 * STAGES.length;

test('kill -9 in each of four stages and at each boundary runs nothing again that was finished', async () => {
  const nodes = [...voters(0), worker('w1', 1), worker('w2', 1)];
  const scene = await openScene(nodes, [...LONG_TTL, '--jobs', JOBS_DIR]);
  const { cluster, dir } = scene;
  const csv = ['n', ...Array.from({ length: POINTS }, (_, row) => String(row))].join('\n');
  await cluster.until('the dataset', async () => {
    const put = { method: 'PUT', headers: { 'content-type': 'text/csv' }, body: csv };
    return (await ask(`${cluster.url('n1')}/v1/datasets/numbers`, put)).status === 200 ? true : null;
  });
  const metadata = { file: join(dir, 'runs'), trap: join(dir, 'trap') };
  const options = { taskSize: 1 };
  const { id } = await scene.submit({ name: 'staging', input: 'numbers', metadata, options, start: 0, end: POINTS });

  const killed = new Set<number>();
  while (killed.size < POINTS) {
    const { start, worker: held } = await cluster.until('a range in its trap', async () => {
      const { tasks } = await scene.ranges(id);
      return tasks.find((task) => !killed.has(task.start) && existsSync(`${metadata.trap}-${task.start}`)) ?? null;
    });
    killed.add(start);
    await cluster.signal(held, 'SIGKILL');
    cluster.start(held);
  }

  expect((await scene.finished(id)).state).toBe('done');
  const runs = readFileSync(metadata.file, 'utf8').trim().split('\n');
  const ranOf = (point: number): number[] => {
    return STAGES.map((stage) => runs.filter((line) => line.startsWith(`${point} ${stage} `)).length);
  };
  // Only a stage that was killed behind its work, before anything was kept of it, runs again.
  const expected = (point: number): number[] => STAGES.map((stage) => (point === 2 * stage + 1 ? 2 : 1));
  const points = Array.from({ length: POINTS }, (_, point) => point);
  expect(points.map(ranOf)).toEqual(points.map(expected));
  const result = await ask(`${cluster.url('n2')}/v1/jobs/${id}/result`, { headers: { accept: 'text/csv' } });
  expect(new TextDecoder().decode(result.bytes).trim().split(/\r?\n/)).toEqual(['n', ...points.map(String)]);
});

test('another worker goes on behind the last checkpoint, wherever the policy put it', async () => {
  const scene = await openScene([...voters(0), worker('w1', 4), worker('w2', 4)], ['--jobs', JOBS_DIR]);
  const { cluster, dir } = scene;
  await cluster.signal('w2', 'SIGKILL');
  const csv = ['n', ...Array.from({ length: POINTS }, (_, row) => String(row))].join('\n');
  await scene.cluster.until('the dataset', async () => {
    const put = { method: 'PUT', headers: { 'content-type': 'text/csv' }, body: csv };
    return (await ask(`${cluster.url('n1')}/v1/datasets/numbers`, put)).status === 200 ? true : null;
  });
  // Point 3 is killed behind the work of stage 1, before anything is kept of it; point 4 behind that, before the work of stage 2.
  const cases = [
    { name: 'staging', point: 3, resumesAt: 1, ran: [0, 1] },
    { name: 'staging-in-pairs', point: 3, resumesAt: 0, ran: [0, 1] },
    { name: 'staging-in-pairs', point: 4, resumesAt: 2, ran: [0, 1] },
    { name: 'staging-at-once', point: 4, resumesAt: 0, ran: [0, 1] },
  ];
  const jobs: { readonly id: string; readonly file: string; readonly trap: string }[] = [];
  for (const [at, { name, point }] of cases.entries()) {
    const metadata = { file: join(dir, `runs-${at}`), trap: join(dir, `trap-${at}`) };
    const { id } = await scene.submit({ name, input: 'numbers', metadata, start: point, end: point + 1 });
    jobs.push({ id, file: metadata.file, trap: `${metadata.trap}-${point}` });
  }
  await cluster.until('all of them in their traps', async () => jobs.every(({ trap }) => existsSync(trap)) || null);
  await cluster.signal('w1', 'SIGKILL');
  cluster.start('w2');
  for (const [at, { name, point, resumesAt, ran }] of cases.entries()) {
    const { id, file } = jobs[at]!;
    expect((await scene.finished(id)).state).toBe('done');
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    const expected = [
      ...ran.map((stage) => `${point} ${stage} w1`),
      ...STAGES.filter((stage) => stage >= resumesAt).map((stage) => `${point} ${stage} w2`),
    ];
    expect(lines, name).toEqual(expected);
  }
});
