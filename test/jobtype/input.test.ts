/**
 * What tasks are given to read: which rows, from where, and what happens to a reading that is given up.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Int32, Table, Utf8, vectorFromArray } from 'apache-arrow';
import { expect, test } from 'vitest';
import type { Handle } from '../../src/base/handle.ts';
import { type Bench, openBench } from './harness.ts';
import { MemoryTaskBlobs } from './memory-task-blobs.ts';

/** A bench with an input in which row p has the value 100 + p. */
async function open(rows: number): Promise<{ bench: Bench; blobs: MemoryTaskBlobs; input: Handle }> {
  const blobs = new MemoryTaskBlobs();
  const values = vectorFromArray(
    Array.from({ length: rows }, (_, row) => 100 + row),
    new Int32(),
  );
  const { batches } = new Table({ value: values });
  return { bench: await openBench({ commit: true, blobs }), blobs, input: await blobs.store(...batches) };
}

test('rows come with their points, and commits move on', async () => {
  const { bench, input } = await open(20);
  const epoch = bench.run('reads', { input, start: 5, end: 12, commitEvery: 2, metadata: { by: 'rows' } });
  expect(await bench.ending(epoch)).toMatchObject({ ending: 'complete', cursor: 12 });
  await bench.line('reached the end');
  const rows = [5, 6, 7, 8, 9, 10, 11].map((point) => `${point}=${100 + point}`);
  expect(bench.lines()).toEqual([...rows, 'reached the end']);
});

test('a task that was begun before goes on at its cursor', async () => {
  const { bench, input } = await open(20);
  for (const by of ['rows', 'batches', 'input']) {
    const epoch = bench.run('reads', { input, start: 5, end: 10, cursor: 8, claimed: 8, metadata: { by } });
    expect(await bench.ending(epoch)).toMatchObject({ ending: 'complete', cursor: 10 });
  }
  expect(bench.lines().filter((line) => line !== 'reached the end')).toEqual([
    '8=108',
    '9=109',
    '8-10: 108 109',
    '108 109',
  ]);
});

test('batches come in pieces of commitEvery points', async () => {
  const { bench, input } = await open(20);
  const epoch = bench.run('reads', { input, end: 8, commitEvery: 3, metadata: { by: 'batches' } });
  await bench.ending(epoch);
  await bench.line('reached the end');
  expect(bench.lines()).toEqual(['0-3: 100 101 102', '3-6: 103 104 105', '6-8: 106 107', 'reached the end']);
});

test('a loop that is left and one that follows share the points', async () => {
  const { bench, input } = await open(10);
  const epoch = bench.run('reads', { input, end: 4, metadata: { by: 'first' } });
  expect(await bench.ending(epoch)).toMatchObject({ ending: 'complete', error: '' });
  await bench.line('reached the end');
  expect(bench.lines()).toEqual(['0=100', '1=101', '2=102', '3=103', 'reached the end']);
});

test('a task that became shorter reads no rows of what was given to others', async () => {
  const { bench, input } = await open(1_000);
  const epoch = bench.run('reads', { input, end: 1_000, commitEvery: 10, metadata: { by: 'sum' } });
  const end = await new Promise<number>((resolve) => bench.executor.keep(epoch, resolve));
  const { ending, cursor } = await bench.ending(epoch);
  expect({ ending, cursor }).toEqual({ ending: 'complete', cursor: end });
  const sum = (end * (end - 1)) / 2 + 100 * end;
  await bench.line(`${end} rows, ${sum}`);
});

test('an input of many pieces is read whole, with two of them on the disk at most', async () => {
  const blobs = new MemoryTaskBlobs();
  const rows = 60_000;
  const value = vectorFromArray(
    Array.from({ length: rows }, (_, row) => row % 7),
    new Int32(),
  );
  const text = vectorFromArray(
    Array.from({ length: rows }, () => 'x'.repeat(250)),
    new Utf8(),
  );
  const input = await blobs.store(...new Table({ value, text }).batches);
  const bench = await openBench({ commit: true, blobs });
  const epoch = bench.run('reads', { input, end: rows, commitEvery: 5_000, metadata: { by: 'sum' } });
  const spool = join(bench.dataDir, 'tasks', String(epoch));
  let most = 0;
  const ending = bench.ending(epoch);
  let isOver = false;
  void ending.then(() => {
    isOver = true;
  });
  while (!isOver) {
    if (existsSync(spool)) most = Math.max(most, filesIn(spool));
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await ending).toMatchObject({ ending: 'complete', cursor: rows });
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(2);
  const sum = Array.from({ length: rows }, (_, row) => row % 7).reduce((total, each) => total + each, 0);
  await bench.line(`${rows} rows, ${sum}`);
  while (existsSync(spool)) await new Promise((resolve) => setImmediate(resolve));
});

test('what cannot be read is an error that says why', async () => {
  const { bench, blobs, input } = await open(10);
  const failure = async (fields: object, by = 'rows'): Promise<string> => {
    const epoch = bench.run('reads', { ...fields, metadata: { by } });
    const ending = await bench.ending(epoch);
    expect(ending.ending).toBe('fail');
    return ending.error;
  };
  expect(await failure({ input: null })).toBe(
    'BAD_OPTION: the job has no input: name a dataset for it at submit, or plan one',
  );
  expect(await failure({ input: { ...input, hash: '0'.repeat(64) } })).toMatch(/^BLOB_MISSING/);
  expect(await failure({ input }, 'many')).toMatch(/^BAD_OPTION: a task may read 8 times side by side/);
  expect(await failure({ input: await blobs.put(Buffer.from('no arrow')).catch(() => input), end: 11 })).toMatch(/./);
});

test('a task that is told to stop while it waits for rows ends without an error', async () => {
  const { bench, blobs, input } = await open(10);
  const held = { ...blobs, rows: () => never() };
  const waiting = await openBench({ commit: true, blobs: Object.assign(Object.create(blobs), held) });
  const epoch = waiting.run('reads', { input, metadata: { by: 'rows' } });
  await waiting.when((happening) => (happening.kind === 'host-started' ? true : null));
  waiting.executor.release(epoch);
  expect(await waiting.ending(epoch)).toMatchObject({ ending: 'release', cursor: 0 });
  await bench.close();
});

async function* never(): AsyncGenerator<Uint8Array> {
  await new Promise(() => {});
}

function filesIn(folder: string): number {
  try {
    return readdirSync(folder).length;
  } catch {
    return 0;
  }
}
