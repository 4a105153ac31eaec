/**
 * hash-files: a row for every file of the manifest, and a clear word about one that cannot be read.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type RecordBatch, tableFromArrays } from 'apache-arrow';
import { expect, test } from 'vitest';
import { HashFiles } from '../../jobs/hash-files/index.ts';
import { emittedBy, rowsIn } from './task-twin.ts';

const METADATA = { dataset: 'manifest' };

test('every file has its length and its hash, as sha256sum says them', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'polaris-hash-'));
  try {
    const paths = [0, 1, 70_000, 3].map((bytes, at) => {
      const path = join(folder, `file ${at}`);
      writeFileSync(path, Buffer.alloc(bytes, at));
      return path;
    });
    const input = tableFromArrays({ path: paths }).batches;
    const emitted = await emittedBy(HashFiles, { start: 0, end: 4, metadata: METADATA, input });
    const expected = paths.map((path) => ({
      path,
      bytes: BigInt(statSync(path).size),
      sha256: execFileSync('sha256sum', [path], { encoding: 'utf8' }).slice(0, 64),
    }));
    expect(rowsIn(emitted)).toEqual(expected);
    expect(emitted.length).toBe(4);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a file that is not there fails with its name, and a manifest without paths says what it lacks', async () => {
  const missing = tableFromArrays({ path: ['/no/such/file'] }).batches;
  const work = (input: readonly RecordBatch[]) => emittedBy(HashFiles, { start: 0, end: 1, metadata: METADATA, input });
  await expect(work(missing)).rejects.toThrow(/no such file or directory.*\/no\/such\/file/);
  await expect(work(tableFromArrays({ name: ['one'] }).batches)).rejects.toThrow(/a column "path"/);
});
