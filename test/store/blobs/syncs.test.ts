/**
 * Syncs: what a power cut would take with it, seen through the order of the calls that a store makes of the file system.
 */
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BLOB_PIECE_BYTES, BLOB_UNSYNCED_BYTES_MAX } from '../../../src/base/limits.ts';
import type { BlobStore } from '../../../src/store/blobs/types.ts';
import { chunksOf, content, hashOf } from './content.ts';
import { directoryHarness, fileOf } from './directory.ts';

const calls = vi.hoisted(() => ({ made: [] as string[] }));

vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>();
  const noted = (file: FileHandle, path: string, name: 'sync' | 'datasync' | 'appendFile') => {
    const call = file[name].bind(file) as (...args: unknown[]) => Promise<void>;
    file[name] = async (...args: unknown[]) => {
      await call(...args);
      calls.made.push(`${name} ${path}`);
    };
  };
  const open: typeof real.open = async (path, ...rest) => {
    const file = await real.open(path, ...rest);
    for (const name of ['sync', 'datasync', 'appendFile'] as const) noted(file, String(path), name);
    return file;
  };
  const rename: typeof real.rename = async (from, to) => {
    await real.rename(from, to);
    calls.made.push(`rename ${from} ${to}`);
  };
  return { ...real, open, rename };
});

const BLOB = content(95, 1_000);
const HASH = hashOf(BLOB);

let harness: Awaited<ReturnType<typeof directoryHarness>>;
let store: BlobStore;
beforeEach(async () => {
  harness = await directoryHarness();
  store = await harness.open();
  calls.made = [];
});
afterEach(() => harness.dispose());

/** What was done, to what: the last words of the paths are enough. */
function made(): string[] {
  return calls.made.map((call) => {
    const [name, from = '', to] = call.split(' ');
    return to === undefined ? `${name} ${basename(from).slice(0, 4)}` : `${name} to ${basename(dirname(to))}`;
  });
}

const SHARD = HASH.slice(0, 3);

test('a blob is synced, then named, then its name is synced, and then it is acknowledged', async () => {
  await store.put(chunksOf(BLOB), { stamp: 1, maxBytes: BLOB.length });
  // The folder is new: it is synced into the directory before anything is named in it.
  const written = ['appendFile part', 'appendFile part', 'datasync part'];
  expect(made()).toEqual([...written, 'sync blob', `rename to ${SHARD}`, `sync ${SHARD}`]);
});

test('a long blob is synced on its way, so that the disk never has much of it to do at once', async () => {
  const bytes = 2 * BLOB_UNSYNCED_BYTES_MAX + 1;
  const pieces = BLOB_UNSYNCED_BYTES_MAX / BLOB_PIECE_BYTES;
  await store.put(chunksOf(content(96, bytes), BLOB_PIECE_BYTES), { stamp: 1, maxBytes: bytes });
  const part = [...Array<string>(pieces).fill('appendFile part'), 'datasync part'];
  // The rest of the content, the digests, and then as always.
  const rest = ['appendFile part', 'appendFile part', 'datasync part'];
  expect(made().slice(0, 2 * part.length + rest.length)).toEqual([...part, ...part, ...rest]);
});

test('a new stamp is synced before it is promised, and also when another process gave it', async () => {
  await store.put(chunksOf(BLOB), { stamp: 1, maxBytes: BLOB.length });
  calls.made = [];
  await store.restamp(HASH, 2);
  expect(made()).toEqual([`rename to ${SHARD}`, `sync ${SHARD}`]);
  calls.made = [];
  await store.restamp(HASH, 2);
  expect(made()).toEqual([`sync ${SHARD}`]);
  expect(basename(await fileOf(harness.directory, HASH))).toBe(`${HASH}.${BLOB.length}.2`);
});
