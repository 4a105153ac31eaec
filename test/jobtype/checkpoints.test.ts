/**
 * Pipelines on real hosts: a host is killed at every boundary, and what was finished is not run again.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Int32, Table, vectorFromArray } from 'apache-arrow';
import { expect, test } from 'vitest';
import type { Handle } from '../../src/base/handle.ts';
import type { Epoch } from '../../src/base/types.ts';
import type { StageCheckpoint } from '../../src/ranges/types.ts';
import { type Bench, openBench } from './harness.ts';
import { MemoryTaskBlobs } from './memory-task-blobs.ts';

const STAGES = [0, 1, 2, 3];
const VALUES = [1, 2, 3, 4, 5, 6];
const EXPECTED = VALUES.map((value) => STAGES.reduce((result, stage) => result * 3 + stage, value));

interface Scene {
  readonly bench: Bench;
  readonly blobs: MemoryTaskBlobs;
  readonly input: Handle;
  readonly file: string;
}

async function open(): Promise<Scene> {
  const blobs = new MemoryTaskBlobs();
  const bench = await openBench({ commit: true, blobs });
  const input = await blobs.store(...new Table({ value: vectorFromArray(VALUES, new Int32()) }).batches);
  const file = join(bench.dataDir, 'runs');
  writeFileSync(file, '');
  return { bench, blobs, input, file };
}

/** How often each stage ran since this was asked last. */
function runs({ file }: Scene): number[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  writeFileSync(file, '');
  return STAGES.map((stage) => lines.filter((line) => line === String(stage)).length);
}

function run({ bench, input, file }: Scene, metadata: object, checkpoint: StageCheckpoint | null = null): Epoch {
  return bench.run('staged', { input, end: 6, commitEvery: 2, checkpoint, metadata: { file, ...metadata } });
}

/** The last one that was told of an attempt. */
function lastCheckpoint({ bench }: Scene, epoch: Epoch): StageCheckpoint | null {
  const [last] = bench.happenings
    .flatMap((happening) =>
      happening.kind === 'checkpoint' && happening.epoch === epoch ? [happening.checkpoint] : [],
    )
    .slice(-1);
  return last ?? null;
}

async function emitted(scene: Scene, epoch: Epoch): Promise<number[]> {
  return (await emittedColumns(scene, epoch)).flatMap((values) => [...values]);
}

async function emittedColumns(scene: Scene, epoch: Epoch): Promise<Int32Array[]> {
  const ending = await scene.bench.fullEnding(epoch);
  expect(ending).toMatchObject({ ending: 'complete', cursor: 6 });
  const outputs = scene.bench.happenings.flatMap((happening) =>
    (happening.kind === 'progress' || happening.kind === 'ended') && happening.epoch === epoch ? happening.outputs : [],
  );
  expect(outputs.map(({ start, end }) => [start, end])).toEqual([[0, 6]]);
  const batches = await Promise.all(outputs.map(({ handle }) => scene.blobs.read(handle)));
  return batches.flat().map((batch) => batch.getChild('value')!.toArray());
}

test('a pipeline runs every stage once, over a range that is larger than its window', async () => {
  const scene = await open();
  const epoch = run(scene, {});
  expect(await emitted(scene, epoch)).toEqual(EXPECTED);
  expect(runs(scene)).toEqual([1, 1, 1, 1]);
  expect(lastCheckpoint(scene, epoch)?.stage).toBe(3);
});

test('killed at any boundary, the next attempt goes on behind the last checkpoint', async () => {
  const scene = await open();
  for (const stage of STAGES) {
    for (const when of ['before', 'after']) {
      const first = run(scene, { killIn: { stage, when } });
      expect(await scene.bench.fullEnding(first)).toMatchObject({ ending: 'fail', cursor: 0, begun: 6, outputs: [] });
      expect(runs(scene)).toEqual(STAGES.map((each) => (each < stage || (each === stage && when === 'after') ? 1 : 0)));
      const checkpoint = lastCheckpoint(scene, first);
      expect(checkpoint?.stage ?? -1).toBe(stage - 1);
      const second = run(scene, {}, checkpoint);
      expect(await emitted(scene, second)).toEqual(EXPECTED);
      expect(runs(scene)).toEqual(STAGES.map((each) => (each < stage ? 0 : 1)));
    }
  }
});

test('with all stages behind it, only what came out is emitted', async () => {
  const scene = await open();
  const first = run(scene, {});
  await scene.bench.fullEnding(first);
  runs(scene);
  const second = run(scene, {}, lastCheckpoint(scene, first));
  expect(await emitted(scene, second)).toEqual(EXPECTED);
  expect(runs(scene)).toEqual([0, 0, 0, 0]);
});

test('a checkpoint of other code is not gone on from', async () => {
  const scene = await open();
  const first = run(scene, { killIn: { stage: 2, when: 'before' } });
  await scene.bench.fullEnding(first);
  const checkpoint = lastCheckpoint(scene, first);
  runs(scene);
  const second = run(scene, {}, checkpoint === null ? null : { ...checkpoint, fingerprint: 'of other code' });
  expect(await emitted(scene, second)).toEqual(EXPECTED);
  expect(runs(scene)).toEqual([1, 1, 1, 1]);
  await scene.bench.line(/the checkpoint behind stage 2 is of other code; the range begins anew/);
});

test('a stage begins only when the checkpoint in front of it is committed', async () => {
  const blobs = new MemoryTaskBlobs();
  const bench = await openBench({ commit: false, blobs });
  const input = await blobs.store(...new Table({ value: vectorFromArray(VALUES, new Int32()) }).batches);
  const file = join(bench.dataDir, 'runs');
  writeFileSync(file, '');
  const scene = { bench, blobs, input, file };
  const epoch = run(scene, {});
  await bench.when((happening) => (happening.kind === 'checkpoint' ? true : null));
  expect(runs(scene)).toEqual([1, 0, 0, 0]);
  bench.executor.abort(epoch);
  expect(await bench.fullEnding(epoch)).toMatchObject({ ending: 'release', cursor: 0 });
  expect(runs(scene)).toEqual([0, 0, 0, 0]);
});

test('its task keeps its whole range when it is asked for the far half', async () => {
  const scene = await open();
  const epoch = run(scene, { wait: 1 });
  await scene.bench.when((happening) => (happening.kind === 'checkpoint' ? true : null));
  expect(await new Promise<number>((resolve) => scene.bench.executor.keep(epoch, resolve))).toBe(6);
});

test('a stage that lets nothing through gives a checkpoint without rows, and a task without outputs', async () => {
  const scene = await open();
  const first = run(scene, { drop: 1, killIn: { stage: 3, when: 'before' } });
  expect(await scene.bench.fullEnding(first)).toMatchObject({ ending: 'complete', cursor: 6, outputs: [] });
  expect(runs(scene)).toEqual([1, 1, 0, 0]);
  expect(lastCheckpoint(scene, first)).toMatchObject({ stage: 3, handle: { rows: 0 } });
  const second = run(scene, {}, lastCheckpoint(scene, first));
  expect(await scene.bench.fullEnding(second)).toMatchObject({ ending: 'complete', cursor: 6, outputs: [] });
});

test('a checkpoint and an output of more than 64 MiB go their way', async () => {
  const opened = await open();
  const halves = [VALUES.slice(0, 3), VALUES.slice(3)].flatMap((values) => {
    return new Table({ value: vectorFromArray(values, new Int32()) }).batches;
  });
  const scene = { ...opened, input: await opened.blobs.store(...halves) };
  // Four bytes for each row: just over 64 MiB, in two batches.
  const times = 2_796_416;
  const first = run(scene, { grow: { stage: 2, times }, killIn: { stage: 3, when: 'before' } });
  await scene.bench.fullEnding(first);
  const checkpoint = lastCheckpoint(scene, first);
  expect(checkpoint?.handle.bytes).toBeGreaterThan(64 * 1024 * 1024);
  expect(checkpoint?.handle.rows).toBe(6 * times);
  runs(scene);
  const second = run(scene, {}, checkpoint);
  const columns = await emittedColumns(scene, second);
  expect(columns.reduce((rows, values) => rows + values.length, 0)).toBe(6 * times);
  expect(columns.every((values) => values.every((value) => value === 3))).toBe(true);
});
