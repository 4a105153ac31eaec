/**
 * The guide on jobs with data: its job types run as they stand on the page.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Table, Utf8, vectorFromArray } from 'apache-arrow';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Epoch } from '../../src/base/types.ts';
import { loadTypes } from '../../src/jobtype/loader.ts';
import { Bench } from './harness.ts';
import { MemoryTaskBlobs } from './memory-task-blobs.ts';
import { BUNDLED_DIR, DESCRIBER_ENTRY } from './paths.ts';

const GUIDE = new URL('../../docs/guides/data-jobs.md', import.meta.url);
const LINES = [' one line', 'and another one ', 'x'];
let userDir: string;
let bench: Bench | null = null;

beforeEach(() => {
  // Within the package, so that its own name and apache-arrow are found.
  userDir = mkdtempSync(join(BUNDLED_DIR, '..', 'guide-'));
});
afterEach(async () => {
  await bench?.close();
  bench = null;
  rmSync(userDir, { recursive: true, force: true });
});

/** The job types of the page, in a folder each. */
function extract(): string[] {
  const blocks = readFileSync(GUIDE, 'utf8').matchAll(/```js\n\/\/ jobs\/([a-z]+)\/index\.js\n(.*?)```/gs);
  return [...blocks].map(([, name = '', code = '']) => {
    mkdirSync(join(userDir, name));
    writeFileSync(join(userDir, name, 'index.js'), code);
    return name;
  });
}

test('lengths and slugs give what the guide says', async () => {
  expect(extract()).toEqual(['lengths', 'slugs']);
  const blobs = new MemoryTaskBlobs();
  const types = await loadTypes({ bundledDir: BUNDLED_DIR, userDir, describerEntry: DESCRIBER_ENTRY });
  expect(types.get('slugs')).toMatchObject({ kind: 'pipeline', info: { exposure: 'task' } });
  bench = new Bench(types, true, 2, blobs);
  const input = await blobs.store(...new Table({ line: vectorFromArray(LINES, new Utf8()) }).batches);
  const rows = async (epoch: Epoch) => {
    const ending = await bench!.fullEnding(epoch);
    expect(ending).toMatchObject({ ending: 'complete', cursor: 3 });
    const told = bench!.happenings.flatMap((happening) =>
      happening.kind === 'progress' && happening.epoch === epoch ? happening.outputs : [],
    );
    const batches = await Promise.all([...told, ...ending.outputs].map(({ handle }) => blobs.read(handle)));
    return batches.flat().flatMap((batch) => batch.toArray().map((row) => ({ ...row.toJSON() })));
  };
  expect(await rows(bench.run('lengths', { input, end: 3, commitEvery: 2 }))).toEqual(
    LINES.map((line, row) => ({ row, length: line.length })),
  );
  expect(await rows(bench.run('slugs', { input, end: 3 }))).toEqual([
    { line: 'one-line' },
    { line: 'and-another-one' },
    { line: 'x' },
  ]);
});
