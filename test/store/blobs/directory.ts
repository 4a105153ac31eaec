/** A directory of blobs for the tests: the harness of the suite, and eyes of their own for what lies in it. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFileBlobs } from '../../../src/store/blobs/files.ts';
import { copyOf } from '../../../src/store/blobs/names.ts';
import type { BlobHarness } from './conformance.ts';

/** Every path below the directory that is no folder, relative to it, sorted. */
export async function filesIn(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();
}

/** The one file of a blob. */
export async function fileOf(directory: string, hash: string): Promise<string> {
  const files = (await filesIn(directory)).filter((path) => path.startsWith(`${hash.slice(0, 3)}/${hash}.`));
  if (files.length !== 1) throw new Error(`blob ${hash} has ${files.length} files`);
  return join(directory, files[0] ?? '');
}

export async function directoryHarness(): Promise<BlobHarness & { readonly directory: string }> {
  const top = await mkdtemp(join(tmpdir(), 'polaris-blobs-'));
  const directory = join(top, 'blobs');
  return {
    directory,
    open: (owner = 'n1') => openFileBlobs(directory, { owner }),
    damage: async (hash, change) => {
      const path = await fileOf(directory, hash);
      await writeFile(path, change(await readFile(path)));
    },
    leftovers: async () => {
      const files = await filesIn(top);
      const isCopy = (path: string) => {
        const copy = copyOf(path.slice('blobs/abc/'.length));
        return copy !== null && path.startsWith(`blobs/${copy.hash.slice(0, 3)}/`);
      };
      return files.filter((path) => !isCopy(path));
    },
    readersHoldOn: true,
    dispose: () => rm(top, { recursive: true, force: true }),
  };
}
