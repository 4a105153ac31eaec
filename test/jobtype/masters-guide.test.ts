/**
 * The job type of docs/guides/masters.md, as it stands on the page.
 */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tableFromArrays } from 'apache-arrow';
import { expect, it } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { loadTypes } from '../../src/jobtype/loader.ts';
import { folded, openFoldBench } from './fold-bench.ts';
import { makeDataDir } from './harness.ts';
import { BUNDLED_DIR, DESCRIBER_ENTRY } from './paths.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The folder of job types that the page describes. */
function jobsOfPage(): string {
  const page = readFileSync(join(ROOT, 'docs/guides/masters.md'), 'utf8');
  const [, path, source] = must(/```js file=jobs\/(\S+)\n([\s\S]*?)```/.exec(page), 'the page has a job type');
  const directory = makeDataDir();
  const file = join(directory, must(path, 'it has a name'));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(join(directory, 'package.json'), '{"type":"module"}');
  writeFileSync(file, must(source, 'it has a source'));
  symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
  return directory;
}

it('counts orders: it plans, takes in counts, and another instance goes on and finishes', async () => {
  const types = await loadTypes({ bundledDir: BUNDLED_DIR, userDir: jobsOfPage(), describerEntry: DESCRIBER_ENTRY });
  expect(types.get('orders')?.info).toMatchObject({ overseen: true, plans: true, collects: 'as-committed' });
  const bench = await openFoldBench(types);
  const request = { job: 'orders-job', name: 'orders', metadata: '{"dataset":"march"}', memoryMb: null };
  const plan = await bench.executor.plan({ ...request, rows: async () => 3 });
  expect(plan).toEqual({ input: 'march', start: null, end: null });

  const output = (start: number, product: string[], count: number[]) =>
    bench.outputOf(start, tableFromArrays({ product, count: Float64Array.from(count) }));
  const order = { job: 'orders-job', name: 'orders' };
  const first = folded(await bench.fold({ ...order, outputs: [await output(0, ['tea', 'rice'], [2, 1])] }));
  const state = folded(
    await bench.fold({ ...order, epoch: 8, state: first, outputs: [await output(9, ['tea'], [3])] }),
  );
  const ending = await bench.fold({ ...order, epoch: 9, state, outputs: null });
  if (ending.kind !== 'finished' || ending.result === null) throw new Error(JSON.stringify(ending));
  const rows = (await bench.blobs.batches(ending.result)).flatMap((batch) => batch.toArray().map(String));
  expect(rows.map((row) => JSON.parse(row))).toEqual([
    { product: 'tea', count: 5 },
    { product: 'rice', count: 1 },
  ]);
});
