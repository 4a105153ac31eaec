/**
 * Job code that exits, kills, loops and hoards, on nodes that work for somebody else at the same time.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { JOBS_DIR, openScene, report, voters, worker } from './harness.ts';
import { expectExactlyOnce } from './lines.ts';

const MAX_ATTEMPTS = 2;
/** CPU time of half a second, at 100 ticks a second: more than a thread needs to start. */
const LOOPING_TICKS = 50;

/** What a person reads about each of them. */
const READABLE = {
  exiting: /process\.exit\(7\)/,
  killing: /job host was killed by SIGKILL/,
  hoarding: /memory|MB|MiB/i,
  looping: /taskTimeoutMs of 500 ms/,
} as const;
/** For the one that would never end; the others need no bound. */
const TIMEOUTS: { readonly [name: string]: number } = { looping: 500 };

test('code that exits, kills its process, hoards memory or outlasts its time costs attempts of its own job alone', async () => {
  const scene = await openScene(voters(2), ['--jobs', JOBS_DIR, '--session-ttl-ms', '60000']);
  const { cluster } = scene;
  const pids = cluster.ids.map((id) => cluster.pid(id));
  const good = await scene.submit({
    ...{ name: 'append', start: 0, end: 600, metadata: scene.sink('out', 10) },
    options: { taskSize: 100 },
  });
  const options = { taskSize: 2, maxAttempts: MAX_ATTEMPTS };
  const bad = [];
  for (const name of Object.keys(READABLE)) {
    const taskTimeoutMs = TIMEOUTS[name] ?? null;
    bad.push(await scene.submit({ name, start: 0, end: 2, options: { ...options, taskTimeoutMs } }));
  }

  for (const { id, name } of bad) {
    const job = await scene.finished(id);
    expect([name, job.state, job.progress.failed]).toEqual([name, 'failed', 2]);
    const { failed } = await scene.ranges(id);
    expect(failed.map(({ start, end, attempts }) => [start, end, attempts])).toEqual([[0, 2, MAX_ATTEMPTS]]);
    const error = failed[0]?.error ?? '';
    expect(error).toMatch(READABLE[name as keyof typeof READABLE]);
    report(`${name}: ${error}`);
    expect((await scene.polaris(['job', 'verify', id])).exit).toBe(3);
  }

  expect((await scene.finished(good.id)).state).toBe('done');
  expect(await scene.verify(good.id)).toMatchObject({ covered: true, missing: [], failed: [], reexecuted: [] });
  expectExactlyOnce(scene.lines('out'), 600);
  expect(cluster.ids.map((id) => cluster.pid(id))).toEqual(pids);
});

test('an endless loop ends by cancel: its thread is gone, and the slot is free for another job', async () => {
  const nodes = [...voters(0, ['n1']), worker('w1', 1)];
  const scene = await openScene(nodes, ['--jobs', JOBS_DIR, '--session-ttl-ms', '60000']);
  const { cluster } = scene;
  const pids = cluster.ids.map((id) => cluster.pid(id));
  const loop = await scene.submit({ name: 'looping', start: 0, end: 10 });
  await scene.untilRanges(loop.id, 'a task that loops', ({ tasks }) => tasks.length === 1);
  const host = Number((await scene.logged('w1', 'its job host', isHostOf(loop.id)))['pid']);
  const thread = await cluster.until('the thread that loops', async () => loopingThread(host));
  // With the one slot taken, this job has to wait.
  const next = await scene.submit({ name: 'append', start: 0, end: 50, metadata: scene.sink('out') });

  await scene.cancel(loop.id);
  expect((await scene.finished(next.id)).state).toBe('done');
  expectExactlyOnce(scene.lines('out'), 50);
  expect(threadsOf(host)).not.toContain(thread);
  expect(await scene.job(loop.id)).toMatchObject({ state: 'cancelled', progress: { done: 0, leased: 0 } });
  await cluster.until('an idle worker', async () => {
    const workers = (await cluster.status('n1'))?.workers;
    return workers?.every(({ busy }) => busy === 0) ? true : null;
  });
  expect(cluster.ids.map((id) => cluster.pid(id))).toEqual(pids);
});

function isHostOf(job: string): (record: { readonly [field: string]: unknown }) => boolean {
  return (record) => record['msg'] === 'job host started' && record['jobId'] === job;
}

/** Thread ids of a process; none when it is gone. */
function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}

/** The thread of a process, other than its main one, that uses the CPU as only a loop does. */
function loopingThread(pid: number): string | null {
  const found = threadsOf(pid).find((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    // utime is the 14th field of proc(5); the second is a name in parentheses, which may have spaces.
    const utime = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[11]);
    return thread !== String(pid) && utime >= LOOPING_TICKS;
  });
  return found ?? null;
}
