/**
 * Floods: code that logs, acknowledges or commits in a loop, and programs that tell of every point, cost a node messages by
 * the points and the seconds, never by the calls.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { JOB_LOG_LINES_PER_SECOND } from '../../src/base/limits.ts';
import { Cell } from '../../src/jobtype/cell.ts';
import { runProgram } from '../../src/jobtype/program.ts';
import type { AttemptEnding } from '../../src/jobtype/protocol.ts';
import { RunningTask } from '../../src/jobtype/task.ts';
import { fillOptions } from '../../src/ranges/options.ts';
import { openBench } from './harness.ts';

test('lines of task.log beyond the rate are dropped in their thread, and counted when the attempt ends at the latest', async () => {
  const lines = 100_000;
  const bench = await openBench({ commit: true });
  const epoch = bench.run('misbehave', { metadata: { at: 4, how: 'chat', lines } });
  expect(await bench.ending(epoch)).toMatchObject({ ending: 'complete', cursor: 10 });
  const dropped = bench.lines().flatMap((line) => /^\((\d+) lines dropped/.exec(line)?.[1] ?? []);
  const passed = bench.lines().filter((line) => /^line \d+$/.test(line)).length;
  expect(passed + dropped.reduce((sum, count) => sum + Number(count), 0)).toBe(lines);
  // Each second that dropped some said so, and one may have dropped none.
  expect(dropped).not.toEqual([]);
  expect(passed).toBeLessThanOrEqual(JOB_LOG_LINES_PER_SECOND * (dropped.length + 1));
});

test('a program that tells of every point is heard at once only each half commitEvery', async () => {
  const [end, commitEvery] = [2_000, 100];
  const dir = mkdtempSync(join(tmpdir(), 'polaris-floods-'));
  // Each line by a write of its own, so that they cannot be heard together.
  const script = 'point=0; while [ $point -lt $POLARIS_END ]; do point=$((point + 1)); echo $point >&3; done';
  let nudges = 0;
  const ending = await new Promise<AttemptEnding>((ended, stuck) => {
    const order = { epoch: 1, job: 'job', name: 'exec', start: 0, end, cursor: 0, claimed: 0, attempts: 0 };
    const metadata = JSON.stringify({ command: ['sh', '-c', script] });
    const events = { nudge: () => void nudges++, line: () => {}, data: () => {}, ended, stuck };
    runProgram(
      { ...order, metadata, options: fillOptions({ commitEvery }), input: null, checkpoint: null },
      dir,
      events,
    );
  });
  rmSync(dir, { recursive: true, force: true });
  expect(ending).toMatchObject({ ending: 'complete', cursor: end });
  expect(nudges).toBeGreaterThan(0);
  expect(nudges).toBeLessThanOrEqual(end / (commitEvery / 2));
});

test.each([
  ['acknowledge()', (task: RunningTask) => task.acknowledge()],
  ['commit()', (task: RunningTask) => task.commit()],
])('a loop of %s without a new point asks its host for nothing more', async (_name, call) => {
  const end = 10;
  const cell = Cell.create(0, end, end, Number.POSITIVE_INFINITY);
  let nudges = 0;
  const task: RunningTask = new RunningTask({
    order: {
      ...{ epoch: 1, job: 'job', start: 0, end, cursor: 0, attempts: 0, metadata: '{}' },
      options: { delivery: 'at-least-once', commitEvery: 1 },
    },
    ...{ cell, worker: 'w1', log: () => {}, data: null, codeHash: 'code', isWhole: false },
    nudge: () => {
      nudges += 1;
      // As a leader would, in a later turn.
      setImmediate(() => {
        cell.commit(cell.cursor, end);
        task.wake();
      });
    },
  });
  for await (const _point of task.points()) for (let times = 0; times < 10_000; times += 1) await call(task);
  // At commitEvery 1 a point is told when it is acknowledged, and once more where its commit is waited for.
  expect(nudges).toBeLessThanOrEqual(2 * end);
  expect(cell.cursor).toBe(end);
});
