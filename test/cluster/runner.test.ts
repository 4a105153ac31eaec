/**
 * Workers that are no nodes, before a cluster of real processes: the Python worker of the guide as it stands there, and
 * the runner of the SDK.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Table } from 'apache-arrow';
import { afterEach, expect, test } from 'vitest';
import type { PolarisError } from '../../src/base/errors.ts';
import { PolarisClient } from '../../src/client/client.ts';
import { runner } from '../../src/client/runner.ts';
import type { Work } from '../../src/client/runner-attempt.ts';
import { pythonRefusal, pythonWorkers } from '../support/python-worker.ts';
import { openScene, report, type Scene, underWay, voters } from './harness.ts';
import { expectBoundedRepeats, expectExactlyOnce, repeated } from './lines.ts';

const refusal = pythonRefusal();
if (refusal !== null) report(`skipped: ${refusal}`);
/** A change of leader on a busy machine must not cost a live runner its session. */
const TTL = ['--session-ttl-ms', '10000'];
const COMMIT_EVERY = 20;

const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) await killed(child);
});

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

/** The program of the guide, word for word, as another process. */
function startPython(scene: Scene, name: string): ChildProcess {
  const program = join(scene.dir, 'worker.py');
  writeFileSync(program, pythonWorkers().rows);
  const urls = scene.cluster.ids.map((id) => scene.cluster.url(id)).join(',');
  const child = spawn('python3', [program, urls, name], { stdio: ['ignore', 'inherit', 'inherit'] });
  children.push(child);
  return child;
}

function rowsOf(table: Table): unknown[] {
  return table.toArray().map((row: { toJSON(): unknown }) => row.toJSON());
}

async function joined(scene: Scene, ...names: readonly string[]): Promise<void> {
  await scene.cluster.until(`sessions of ${names.join(', ')}`, async () => {
    const [first = ''] = scene.cluster.ids;
    const answer = await scene.cluster.request(first, 'GET', '/v1/workers').catch(() => null);
    const { workers = [] } = (answer?.body ?? {}) as { workers?: readonly { readonly id: string }[] };
    return names.every((name) => workers.some(({ id }) => id === `@${name}`)) || null;
  });
}

test.skipIf(refusal !== null)(
  `two workers in Python: kill -9 of one, then of the leader, and every point is worked${refusal === null ? '' : ` (${refusal})`}`,
  async () => {
    const scene = await openScene(voters(0), TTL);
    const { cluster } = scene;
    const victim = startPython(scene, 'py-1');
    startPython(scene, 'py-2');
    await joined(scene, 'py-1', 'py-2');
    const points = 2_000;
    const options = { commitEvery: COMMIT_EVERY, taskSize: 500 };
    const metadata = { sink: join(scene.dir, 'out') };
    const client = new PolarisClient({ urls: cluster.ids.map((node) => cluster.url(node)) });
    const words = Array.from({ length: points }, (_, at) => `line ${at}`);
    await client.datasets.put('lines', Buffer.from(words.join('\n')), { contentType: 'text/plain' });
    const { id } = await client.submit({ name: 'shout', input: 'lines', metadata, options });
    const followed = client.results.load(id, { follow: true });
    const before = await scene.untilRanges(id, 'tasks of both under way', (ranges) => {
      return underWay(ranges, '@py-1').length === 1 && underWay(ranges, '@py-2').length === 1;
    });

    await killed(victim);
    const leader = await cluster.leader();
    await cluster.signal(leader, 'SIGKILL');
    expect((await scene.finished(id)).state).toBe('done');

    const verify = await scene.verify(id);
    expect(verify).toMatchObject({ covered: true, missing: [], failed: [], uncertain: [] });
    const lines = scene.lines('out');
    const lost = underWay(before, '@py-1').map(({ epoch }) => epoch);
    expectBoundedRepeats(lines, { end: points, verify, lost, commitEvery: COMMIT_EVERY });
    report(`${repeated(lines).length} points ran again, of ${COMMIT_EVERY} that might have`);

    // What a point made is there once, however often it ran.
    const expected = words.map((word, at) => ({ point: BigInt(at), text: word.toUpperCase() }));
    expect(rowsOf(await client.results.load(id))).toEqual(expected);
    const outcome = await followed.then(rowsOf, (thrown: PolarisError) => thrown.code);
    // Its node may have been the one that was killed; then it broke off, and was not taken for whole.
    expect([expected, 'TRANSFER_BROKEN']).toContainEqual(outcome);
  },
);

test('a runner of the SDK lives through two changes of the leader, and works every point once', async () => {
  const scene = await openScene(voters(0), TTL);
  const { cluster } = scene;
  const out = join(scene.dir, 'out');
  const control = new AbortController();
  const leaders: string[] = [];
  const work: Work = async (task) => {
    for await (const point of task.points()) {
      appendFileSync(out, `${Date.now()}\t${point}\t${task.epoch}\t${task.worker}\n`);
      if (point !== 100 && point !== 400) continue;
      const leader = await cluster.leader();
      leaders.push(leader);
      await cluster.signal(leader, 'SIGKILL');
      cluster.start(leader);
    }
  };
  const urls = cluster.ids.map((id) => cluster.url(id));
  const ended = runner({
    urls,
    worker: 'sdk',
    types: { words: work },
    slots: 2,
    signal: control.signal,
    log: () => {},
  });
  await joined(scene, 'sdk');
  const options = { commitEvery: COMMIT_EVERY, taskSize: 150, delivery: 'at-most-once' };
  const { id } = await scene.submit({ name: 'words', start: 0, end: 600, options });
  expect((await scene.finished(id)).state).toBe('done');
  control.abort();
  expect(await ended).toBe(4);
  expect(leaders).toHaveLength(2);
  expect(await scene.verify(id)).toMatchObject({ covered: true, missing: [], uncertain: [], reexecuted: [] });
  expectExactlyOnce(scene.lines('out'), 600);
});
