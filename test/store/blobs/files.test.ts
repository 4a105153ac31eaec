/** Blobs in a directory: the shared suite, and what a real file system can hold against them. */
import { spawnSync } from 'node:child_process';
import { mkdir, readdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { mountRefusal, mountSmall, unmount } from '../../../chaos/disk-faults.ts';
import { must } from '../../../src/base/assert.ts';
import { BLOB_UNFINISHED_MS_MAX, BLOB_PIECE_BYTES as PIECE } from '../../../src/base/limits.ts';
import { FileShelf } from '../../../src/store/blobs/file-shelf.ts';
import { openFileBlobs } from '../../../src/store/blobs/files.ts';
import { nameOf } from '../../../src/store/blobs/names.ts';
import { storedBytes } from '../../../src/store/blobs/pieces.ts';
import type { BlobStore } from '../../../src/store/blobs/types.ts';
import { Unfinished } from '../../../src/store/blobs/unfinished.ts';
import { blobSuite } from './conformance.ts';
import { chunksOf, content, gather, hashOf } from './content.ts';
import { directoryHarness, fileOf, filesIn } from './directory.ts';

blobSuite({ name: 'blobs in a directory', create: directoryHarness });

const BLOB = content(80, PIECE + 5);
const HASH = hashOf(BLOB);
const LIFE = 'ab'.repeat(8);

let harness: Awaited<ReturnType<typeof directoryHarness>>;
let store: BlobStore;
let directory: string;
beforeEach(async () => {
  harness = await directoryHarness();
  directory = harness.directory;
  store = await harness.open();
});
afterEach(() => harness.dispose());

function put(into: BlobStore, blob: Buffer = BLOB, stamp = 1): Promise<{ hash: string; bytes: number }> {
  return into.put(chunksOf(blob), { stamp, maxBytes: blob.length });
}

describe('what lies in a directory', () => {
  test('a copy is one file, named by hash, length and stamp, with the digests behind the content', async () => {
    await put(store, BLOB, 42);
    expect(await filesIn(directory)).toEqual([`${HASH.slice(0, 3)}/${HASH}.${BLOB.length}.42`]);
    const stored = await readFile(await fileOf(directory, HASH));
    expect(stored.length).toBe(storedBytes(BLOB.length));
    expect(stored.subarray(0, BLOB.length).equals(BLOB)).toBe(true);
  });

  test('what is no copy is neither listed nor touched', async () => {
    await put(store);
    const shard = join(directory, HASH.slice(0, 3));
    const strangers = [
      join(directory, 'readme'),
      join(shard, '.DS_Store'),
      join(shard, `${HASH}.5`),
      join(shard, `${HASH}.05.1`),
      join(shard, `${HASH}.5.9999999999999999`),
      join(shard, `${HASH.slice(0, 63)}g.5.1`),
      join(directory, 'unfinished', 'not ours'),
    ];
    for (const path of strangers) await writeFile(path, 'x');
    // A whole copy in the folder of another hash is found by no name.
    await mkdir(join(directory, 'zzz'));
    await writeFile(join(directory, 'zzz', nameOf({ hash: HASH, bytes: 1, stamp: 9 })), 'x');
    const next = await harness.open();
    expect(await next.usage()).toEqual({ blobs: 1, bytes: BLOB.length });
    expect(await next.stat(HASH)).toEqual({ bytes: BLOB.length, stamp: 1 });
    for (const path of strangers) expect(await readFile(path, 'utf8')).toBe('x');
  });

  test('of two copies that a crash left the newer counts, and the list removes the older', async () => {
    await put(store, BLOB, 3);
    const path = await fileOf(directory, HASH);
    await writeFile(join(dirname(path), nameOf({ hash: HASH, bytes: BLOB.length, stamp: 2 })), await readFile(path));
    expect(await store.stat(HASH)).toEqual({ bytes: BLOB.length, stamp: 3 });
    expect(await store.usage()).toEqual({ blobs: 1, bytes: BLOB.length });
    expect(await fileOf(directory, HASH)).toBe(path);
    await writeFile(join(dirname(path), nameOf({ hash: HASH, bytes: BLOB.length, stamp: 2 })), await readFile(path));
    expect(await store.deleteBelow(HASH, 4)).toBe(true);
    expect(await filesIn(directory)).toEqual([]);
  });

  test('an open clears what its owner left, what others left a day ago, and nothing else', async () => {
    const unfinished = join(directory, 'unfinished');
    const leave = async (name: string, ageMs = 0) => {
      const path = join(unfinished, name);
      await writeFile(path, 'half');
      const writtenAt = new Date(Date.now() - ageMs);
      await utimes(path, writtenAt, writtenAt);
    };
    await leave(`part.n1.${LIFE}.1`);
    await leave(`part.n1.${LIFE}.77`, 2 * BLOB_UNFINISHED_MS_MAX);
    await leave(`part.n1.x.${LIFE}.1`);
    await leave(`part.n2.${LIFE}.1`, BLOB_UNFINISHED_MS_MAX / 2);
    await leave(`part.n2.${LIFE}.2`, BLOB_UNFINISHED_MS_MAX + 60_000);
    await harness.open('n1');
    expect((await readdir(unfinished)).sort()).toEqual([`part.n1.x.${LIFE}.1`, `part.n2.${LIFE}.1`]);
    await harness.open('n1.x');
    await harness.open('n2');
    expect(await readdir(unfinished)).toEqual([]);
  });

  test('a copy that was taken aside when the process died is put back', async () => {
    await put(store, BLOB, 6);
    const path = await fileOf(directory, HASH);
    const name = nameOf({ hash: HASH, bytes: BLOB.length, stamp: 6 });
    await rename(path, join(directory, 'unfinished', `aside.n1.${LIFE}.1.${name}`));
    expect(await store.stat(HASH)).toBeNull();
    await harness.open('n2');
    expect(await store.stat(HASH)).toBeNull();
    await harness.open('n1');
    expect(await store.scrub(HASH)).toBe(true);
    expect(await fileOf(directory, HASH)).toBe(path);
  });

  test('an owner that is no name of a node is refused', async () => {
    for (const owner of ['', 'a/b', '../x', 'a\0', 'x'.repeat(65)]) {
      await expect(openFileBlobs(directory, { owner })).rejects.toMatchObject({ code: 'BAD_REQUEST' });
    }
    for (const owner of ['.', '..']) await put(await openFileBlobs(directory, { owner }));
    expect(await harness.leftovers()).toEqual([]);
  });
});

describe('a damaged copy that somebody mends while it is discarded', () => {
  test('is not removed: what lies there by then is another file', async () => {
    const shelf = new FileShelf(directory, new Unfinished(join(directory, 'unfinished'), 'n1'));
    const copy = { hash: HASH, bytes: BLOB.length, stamp: 1 };
    await put(store);
    const damaged = must(await shelf.identify(copy), 'there is a copy');
    await put(store);
    expect(await shelf.removeOnly(copy, damaged)).toBe(false);
    expect(await store.scrub(HASH)).toBe(true);
    expect(await harness.leftovers()).toEqual([]);
    const mended = must(await shelf.identify(copy), 'there is a copy');
    expect(await shelf.removeOnly(copy, mended)).toBe(true);
    expect(await shelf.removeOnly(copy, mended)).toBe(false);
    expect(await filesIn(directory)).toEqual([]);
  });
});

describe('what is no file or no folder', () => {
  let outside: string;
  beforeEach(async () => {
    outside = join(dirname(directory), 'outside');
    await mkdir(outside);
    await put(store);
  });

  test('a symbolic link in the place of a copy is not followed, and said', async () => {
    const path = await fileOf(directory, HASH);
    const target = join(outside, 'target');
    await rename(path, target);
    await symlink(target, path);
    for (const ask of [() => gather(store.read(HASH)), () => store.scrub(HASH), () => store.digests(HASH)]) {
      await expect(ask()).rejects.toMatchObject({ code: 'BLOB_DAMAGED', detail: expect.stringContaining('symbolic') });
    }
    expect(await store.discard(HASH)).toBe(true);
    await symlink(target, path);
    await put(store);
    expect(await store.scrub(HASH)).toBe(true);
    expect(await readdir(outside)).toEqual(['target']);
    expect((await readFile(target)).length).toBe(storedBytes(BLOB.length));
  });

  test('a symbolic link in the place of a folder is not followed, and said', async () => {
    const shard = dirname(await fileOf(directory, HASH));
    await rename(shard, join(outside, 'shard'));
    await symlink(join(outside, 'shard'), shard);
    const expected = { code: 'BLOB_STORE_FAILED', detail: expect.stringContaining('symbolic') };
    for (const each of [store, await harness.open()]) {
      await expect(put(each)).rejects.toMatchObject(expected);
      await expect(each.stat(HASH)).rejects.toMatchObject(expected);
      await expect(gather(each.read(HASH))).rejects.toMatchObject(expected);
      await expect(each.deleteBelow(HASH, 9)).rejects.toMatchObject(expected);
    }
    expect(await readdir(join(outside, 'shard'))).toHaveLength(1);
    expect((await readdir(join(directory, 'unfinished'))).length).toBe(0);
  });

  test('a symbolic link in the place of the folder of unfinished files is refused at open', async () => {
    await rm(join(directory, 'unfinished'), { recursive: true });
    await symlink(outside, join(directory, 'unfinished'));
    await writeFile(join(outside, `part.n1.${LIFE}.1`), 'not yours');
    await expect(harness.open()).rejects.toMatchObject({ code: 'BLOB_STORE_FAILED' });
    expect(await readdir(outside)).toHaveLength(1);
  });

  test('the directory itself may be a symbolic link, for that is the choice of whoever runs the node', async () => {
    const link = join(dirname(directory), 'link');
    await symlink(directory, link);
    expect(await (await openFileBlobs(link, { owner: 'n1' })).scrub(HASH)).toBe(true);
  });

  test('a fifo or a folder in the place of a copy holds nobody up', async () => {
    const path = await fileOf(directory, HASH);
    await rm(path);
    expect(spawnSync('mkfifo', [path]).status).toBe(0);
    await expect(store.scrub(HASH)).rejects.toMatchObject({ code: 'BLOB_DAMAGED' });
    expect(await store.discard(HASH)).toBe(true);
    await mkdir(path);
    await expect(store.scrub(HASH)).rejects.toMatchObject({ code: 'BLOB_DAMAGED' });
  });

  test('a place where no directory can be made fails clearly', async () => {
    const file = join(outside, 'file');
    await writeFile(file, '');
    await expect(openFileBlobs(join(file, 'blobs'), { owner: 'n1' })).rejects.toMatchObject({
      code: 'BLOB_STORE_FAILED',
    });
  });
});

describe('a full disk', () => {
  const refusal = mountRefusal();

  test.skipIf(refusal !== null)(
    `is said, leaves nothing, and is over once there is room [${refusal ?? 'tmpfs'}]`,
    async () => {
      const place = join(dirname(directory), 'small');
      mountSmall(place, 4_096);
      try {
        const small = await openFileBlobs(join(place, 'blobs'), { owner: 'n1' });
        const first = await put(small, content(81, PIECE));
        const large = content(82, 5 * PIECE);
        const refused = put(small, large);
        await expect(refused).rejects.toMatchObject({ code: 'BLOB_STORE_FULL', row: { retry: true } });
        expect(await filesIn(place)).toHaveLength(1);
        expect(await small.scrub(first.hash)).toBe(true);
        expect(await small.deleteBelow(first.hash, 2)).toBe(true);
        const fits = await put(small, large.subarray(0, 3 * PIECE));
        expect(await small.scrub(fits.hash)).toBe(true);
      } finally {
        unmount(place);
      }
    },
  );
});
