/**
 * What points emit: when it is told, what it covers, and what is left of it when something goes wrong.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import type { Epoch, Point } from '../../src/base/types.ts';
import type { StampedOutput } from '../../src/ranges/types.ts';
import { type Bench, openBench } from './harness.ts';
import { MemoryTaskBlobs } from './memory-task-blobs.ts';

async function open(): Promise<{ bench: Bench; blobs: MemoryTaskBlobs }> {
  const blobs = new MemoryTaskBlobs();
  return { bench: await openBench({ commit: true, blobs }), blobs };
}

/** All that was told of an attempt, in order, with how far the cursor was then. */
function told(bench: Bench, epoch: Epoch): { readonly outputs: StampedOutput[]; readonly cursor: Point } {
  const outputs: StampedOutput[] = [];
  let reached = 0;
  for (const happening of bench.happenings) {
    if (happening.kind !== 'progress' && happening.kind !== 'ended') continue;
    if (happening.epoch !== epoch) continue;
    const { cursor } = happening;
    // The rules of ExecutorHandler.
    for (const output of happening.outputs) {
      expect(output.start).toBeGreaterThanOrEqual(outputs.at(-1)?.end ?? 0);
      expect(output.end).toBeGreaterThan(output.start);
      expect(output.end).toBeLessThanOrEqual(cursor);
      outputs.push(output);
    }
    expect(cursor).toBeGreaterThanOrEqual(reached);
    reached = cursor;
  }
  return { outputs, cursor: reached };
}

async function pointsIn(blobs: MemoryTaskBlobs, outputs: readonly StampedOutput[]): Promise<number[]> {
  const points: number[] = [];
  for (const { handle } of outputs) {
    for (const batch of await blobs.read(handle)) points.push(...[...batch.getChild('point')!].map(Number));
  }
  return points;
}

function range(start: number, end: number): number[] {
  return Array.from({ length: end - start }, (_, at) => start + at);
}

test('what points emit is told once, in order, with the cursor that covers it', async () => {
  const { bench, blobs } = await open();
  const epoch = bench.run('emits', { end: 25, commitEvery: 10 });
  expect(await bench.fullEnding(epoch)).toMatchObject({ ending: 'complete', cursor: 25 });
  const { outputs } = told(bench, epoch);
  expect(outputs.map(({ start, end }) => [start, end])).toEqual([
    [0, 10],
    [10, 20],
    [20, 25],
  ]);
  expect(await pointsIn(blobs, outputs)).toEqual(range(0, 25));
});

test('points that emit nothing are in no output', async () => {
  const { bench, blobs } = await open();
  const epoch = bench.run('emits', { metadata: { skip: [0, 1, 4, 8, 9] } });
  await bench.fullEnding(epoch);
  const { outputs } = told(bench, epoch);
  expect(outputs.map(({ start, end }) => [start, end])).toEqual([[2, 8]]);
  expect(await pointsIn(blobs, outputs)).toEqual([2, 3, 5, 6, 7]);
});

test('a task that emits nothing has no output and no folder', async () => {
  const { bench, blobs } = await open();
  const epoch = bench.run('emits', { metadata: { skip: range(0, 10), emitAt: { 5: 'empty' } } });
  expect(await bench.fullEnding(epoch)).toMatchObject({ ending: 'complete', cursor: 10, outputs: [] });
  expect(blobs.keeps).toBe(0);
});

test('an emit that nobody awaits counts with its own point all the same', async () => {
  const { bench, blobs } = await open();
  const epoch = bench.run('emits', { metadata: { awaits: false } });
  await bench.fullEnding(epoch);
  expect(await pointsIn(blobs, told(bench, epoch).outputs)).toEqual(range(0, 10));
});

test('a table gives all its batches, and a batch without rows gives nothing', async () => {
  const { bench, blobs } = await open();
  const epoch = bench.run('emits', { end: 3, metadata: { emitAt: { 1: 'table', 2: 'empty' } } });
  await bench.fullEnding(epoch);
  expect(await pointsIn(blobs, told(bench, epoch).outputs)).toEqual([0, 1, 1, 1, 1, 2, 2]);
});

test('no cursor passes a point whose batches are not kept', async () => {
  const { bench, blobs } = await open();
  let openGate = () => {};
  blobs.gate = new Promise<void>((resolve) => {
    openGate = resolve;
  });
  const epoch = bench.run('emits', { commitEvery: 5, metadata: { skip: [0, 1] } });
  // The window stands: the third point to the fifth are sealed, and wait to be kept.
  await blobs.kept(1);
  await bench.progressed(epoch, 2);
  expect(told(bench, epoch)).toEqual({ outputs: [], cursor: 2 });
  openGate();
  await bench.fullEnding(epoch);
  expect(await pointsIn(blobs, told(bench, epoch).outputs)).toEqual(range(2, 10));
});

test('a point that throws leaves nothing of what it emitted, and those before it all', async () => {
  const { bench, blobs } = await open();
  for (const throwAt of [0, 1, 4, 5, 9]) {
    const epoch = bench.run('emits', { commitEvery: 5, metadata: { throwAt } });
    expect(await bench.fullEnding(epoch)).toMatchObject({
      ending: 'fail',
      cursor: throwAt,
      error: `thrown at ${throwAt}`,
    });
    expect(await pointsIn(blobs, told(bench, epoch).outputs)).toEqual(range(0, throwAt));
  }
});

test('code that ends its thread or its host leaves what was told before, and nothing else', async () => {
  const { bench, blobs } = await open();
  for (const at of [0, 3, 5, 9]) {
    for (const how of ['exitAt', 'killAt', 'rejectAt']) {
      const epoch = bench.run('emits', {
        commitEvery: 3,
        metadata: { [how]: at, hangAt: how === 'rejectAt' ? at : -1 },
      });
      const ending = await bench.fullEnding(epoch);
      expect(ending).toMatchObject({ ending: 'fail' });
      expect(ending.cursor).toBeLessThanOrEqual(at);
      expect(ending.begun).toBeGreaterThan(at);
      const { outputs, cursor } = told(bench, epoch);
      expect(cursor).toBe(ending.cursor);
      expect(await pointsIn(blobs, outputs)).toEqual(range(0, cursor));
    }
  }
});

test('an abort while a segment is being kept leaves it out', async () => {
  const { bench, blobs } = await open();
  blobs.gate = new Promise<void>(() => {});
  const epoch = bench.run('emits', {});
  await blobs.kept(1);
  bench.executor.abort(epoch);
  expect(await bench.fullEnding(epoch)).toMatchObject({ ending: 'release', cursor: 0, outputs: [] });
});

test('a release waits for what is being kept', async () => {
  const { bench, blobs } = await open();
  const epoch = bench.run('emits', { metadata: { hangAt: 4 } });
  await bench.progressed(epoch, 0);
  bench.executor.release(epoch);
  const ending = await bench.fullEnding(epoch);
  expect(ending).toMatchObject({ ending: 'release' });
  expect(await pointsIn(blobs, told(bench, epoch).outputs)).toEqual(range(0, ending.cursor));
});

test('a copy that cannot be made just now is tried again, and what is no Arrow fails the task', async () => {
  const { bench, blobs } = await open();
  blobs.failures.push(new PolarisError('TOO_FEW_COPIES', 'one of two'), new PolarisError('NO_LEADER'));
  const first = bench.run('emits', {});
  expect(await bench.fullEnding(first)).toMatchObject({ ending: 'complete', cursor: 10 });
  expect(blobs.keeps).toBe(3);
  blobs.failures.push(new PolarisError('BAD_ARROW', 'no footer'));
  const second = bench.run('emits', { commitEvery: 5 });
  expect(await bench.fullEnding(second)).toMatchObject({
    ending: 'fail',
    cursor: 0,
    error: expect.stringMatching(/what it emitted cannot be kept: .*no footer/),
    outputs: [],
  });
});

test('other columns, what is no batch, and a batch without a point are errors that say so', async () => {
  const { bench } = await open();
  const wrong = async (how: string): Promise<string> => {
    const epoch = bench.run('emits', { metadata: { emitAt: { 2: how } } });
    const { ending, cursor, error } = await bench.fullEnding(epoch);
    expect({ ending, cursor }).toEqual({ ending: 'fail', cursor: how === 'acknowledged' ? 3 : 2 });
    return error;
  };
  expect(await wrong('text')).toMatch(/^BAD_SCHEMA: All batches need the same columns: column 1 is point: int32/);
  expect(await wrong('nothing')).toBe('BAD_SCHEMA: a RecordBatch or a Table of apache-arrow is needed, not null');
  expect(await wrong('object')).toMatch(/needed, not an object of Object$/);
  expect(await wrong('acknowledged')).toMatch(/^BAD_OPTION: emit\(\) belongs to a point/);
});

test('an emit that failed and is mended by another one spoils nothing', async () => {
  const { bench, blobs } = await open();
  const epoch = bench.run('emits', { end: 3, metadata: { skip: [1], emitAt: { 1: 'caught' } } });
  expect(await bench.fullEnding(epoch)).toMatchObject({ ending: 'complete' });
  expect(await pointsIn(blobs, told(bench, epoch).outputs)).toEqual([0, 1, 2]);
});

test('at most once and exactly once emit just as well', async () => {
  const { bench, blobs } = await open();
  for (const delivery of ['at-most-once', 'exactly-once'] as const) {
    const epoch = bench.run('emits', { delivery, claimed: 10, end: 10 });
    expect(await bench.fullEnding(epoch)).toMatchObject({ ending: 'complete', cursor: 10 });
    expect(await pointsIn(blobs, told(bench, epoch).outputs)).toEqual(range(0, 10));
  }
});

test('64 MiB of output go their way in segments, and none of them stays on the disk', async () => {
  const { bench, blobs } = await open();
  const epoch = bench.run('emits', { end: 64, commitEvery: 1_000, metadata: { size: 1 << 20 } });
  expect(await bench.fullEnding(epoch)).toMatchObject({ ending: 'complete', cursor: 64 });
  const { outputs } = told(bench, epoch);
  expect(outputs.length).toBe(8);
  expect(await pointsIn(blobs, outputs)).toEqual(range(0, 64));
  await gone(join(bench.dataDir, 'tasks', String(epoch)));
});

async function gone(path: string): Promise<void> {
  while (existsSync(path)) await new Promise((resolve) => setImmediate(resolve));
}
