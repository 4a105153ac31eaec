/**
 * A shelf in a directory: one file a copy, `<first three digits>/<name>`, written under `unfinished/` and then renamed.
 *
 * What the file system decides, it decides for all processes that have the directory open, also over a network that keeps
 * POSIX rename: that is why a directory may be shared by nodes. 4,096 folders, one level: a blob's folder is read to find
 * its name, which takes 0.3 ms with a million blobs (256 folders: 7 ms; a second level would make that 65,536 folders).
 *
 * Nothing outside the directory is ever read or written: names come from checked hashes only, symbolic links are refused
 * wherever one stands in the place of a folder or a file, and what is no regular file is no copy.
 *
 * Invariants: a name is given only to what was synced before · a name that was promised is synced into its folder.
 */
import type { BigIntStats } from 'node:fs';
import { constants, type FileHandle, lstat, mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { PolarisError } from '../../base/errors.ts';
import type { BlobHash } from '../../base/handle.ts';
import { BLOB_BYTES_MAX } from '../../base/limits.ts';
import type { LogIndex } from '../../base/types.ts';
import { codeOf, fileFailure, isGone, orGone } from './failures.ts';
import { FileDraft, OpenFile } from './file-copy.ts';
import { type Copy, copyOf, nameOf } from './names.ts';
import { damagedBlob, storedBytes } from './pieces.ts';
import type { Draft, OpenCopy, Shelf } from './shelf.ts';
import type { Unfinished } from './unfinished.ts';

/** A fifo in the place of a file would hold an open that waits; a symbolic link would lead it elsewhere. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
const SHARD_DIGITS = 3;
const SHARD = /^[0-9a-f]{3}$/;

export class FileShelf implements Shelf {
  readonly contentBytesMax = BLOB_BYTES_MAX;
  readonly #root: string;
  readonly #unfinished: Unfinished;
  /** Folders that are known to be there, durably. They are never removed. */
  readonly #shards = new Set<string>();

  /** @param root an absolute path without symbolic links. */
  constructor(root: string, unfinished: Unfinished) {
    this.#root = root;
    this.#unfinished = unfinished;
  }

  async copies(hash: BlobHash): Promise<Copy[]> {
    const prefix = `${hash}.`;
    const names = await this.#names(shardOf(hash));
    return names.flatMap((name) => (name.startsWith(prefix) ? (copyOf(name) ?? []) : []));
  }

  async *all(): AsyncGenerator<Copy> {
    const shards = await readdir(this.#root).catch((cause) => {
      throw fileFailure(`reading ${this.#root}`, cause);
    });
    for (const shard of shards.filter((name) => SHARD.test(name)).sort()) {
      const names = await this.#names(shard);
      for (const name of names.sort()) {
        const copy = copyOf(name);
        if (copy !== null && shardOf(copy.hash) === shard) yield copy;
      }
    }
  }

  move(copy: Copy, stamp: LogIndex): Promise<boolean> {
    return orGone(`renaming ${nameOf(copy)}`, rename(this.#path(copy), this.#path({ ...copy, stamp })));
  }

  remove(copy: Copy): Promise<boolean> {
    return orGone(`removing ${nameOf(copy)}`, unlink(this.#path(copy)));
  }

  async identify(copy: Copy): Promise<string | null> {
    return identityOf(this.#path(copy));
  }

  /**
   * No call removes a name only if it still means a certain file. So the file is taken aside, looked at there, and put
   * back if it is another one: a whole copy that was published in this very moment. A crash in between loses nothing
   * either, for the next open puts back what was taken aside.
   */
  async removeOnly(copy: Copy, identity: string): Promise<boolean> {
    const aside = this.#unfinished.asidePath(nameOf(copy));
    if (!(await orGone(`taking ${nameOf(copy)} aside`, rename(this.#path(copy), aside)))) return false;
    if ((await identityOf(aside)) === identity) return orGone(`removing ${nameOf(copy)}`, unlink(aside));
    await orGone(`putting ${nameOf(copy)} back`, rename(aside, this.#path(copy)));
    await this.settle(copy.hash);
    return false;
  }

  settle(hash: BlobHash): Promise<void> {
    return syncFolder(join(this.#root, shardOf(hash)));
  }

  async draft(): Promise<Draft> {
    const { path, file } = await this.#unfinished.create();
    return new FileDraft(path, file, async (copy) => {
      await this.#makeShard(shardOf(copy.hash));
      return this.#path(copy);
    });
  }

  async open(copy: Copy): Promise<OpenCopy | null> {
    let file: FileHandle;
    try {
      file = await open(this.#path(copy), READ_FLAGS);
    } catch (cause) {
      if (isGone(cause)) return null;
      if (codeOf(cause) === 'ELOOP')
        throw damagedBlob(copy.hash, 'it is a symbolic link, which is not followed', cause);
      throw fileFailure(`opening ${nameOf(copy)}`, cause);
    }
    try {
      const stats = await file.stat();
      if (!stats.isFile()) throw damagedBlob(copy.hash, 'it is no regular file');
      const expected = storedBytes(copy.bytes);
      if (stats.size !== expected) {
        throw damagedBlob(copy.hash, `it has ${stats.size} bytes on disk in place of ${expected}`);
      }
      return new OpenFile(file, copy);
    } catch (thrown) {
      await file.close();
      throw thrown;
    }
  }

  /** Gives back what a crash left half discarded. For `openFileBlobs`. */
  async putBack(aside: string, copy: Copy): Promise<void> {
    await this.#makeShard(shardOf(copy.hash));
    await orGone(`putting ${nameOf(copy)} back`, rename(aside, this.#path(copy)));
    await this.settle(copy.hash);
  }

  #path(copy: Copy): string {
    return join(this.#root, shardOf(copy.hash), nameOf(copy));
  }

  async #names(shard: string): Promise<string[]> {
    const path = join(this.#root, shard);
    try {
      await checkFolder(path);
      return await readdir(path);
    } catch (cause) {
      if (isGone(cause)) return [];
      throw fileFailure(`reading ${path}`, cause);
    }
  }

  async #makeShard(shard: string): Promise<void> {
    const path = join(this.#root, shard);
    if (!this.#shards.has(shard)) await makeFolder(path, this.#root);
    this.#shards.add(shard);
    // At every time: what was a folder when it was made may be a link by now.
    await checkFolder(path);
  }
}

function shardOf(hash: BlobHash): string {
  return hash.slice(0, SHARD_DIGITS);
}

/** Makes a folder, and its name survives a power cut, whoever made it. */
export async function makeFolder(path: string, parent: string): Promise<void> {
  await mkdir(path, { mode: 0o700 }).catch((cause) => {
    if (codeOf(cause) !== 'EEXIST') throw fileFailure(`making ${path}`, cause);
  });
  await checkFolder(path);
  await syncFolder(parent);
}

async function checkFolder(path: string): Promise<void> {
  const stats = await lstat(path);
  if (stats.isDirectory()) return;
  const what = stats.isSymbolicLink() ? 'a symbolic link, which is not followed' : 'no folder';
  throw new PolarisError('BLOB_STORE_FAILED', `${path} is ${what}`);
}

async function syncFolder(path: string): Promise<void> {
  try {
    const folder = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  } catch (cause) {
    throw fileFailure(`syncing ${path}`, cause);
  }
}

/** A file is the same if its inode is and nobody wrote to it: an inode that was freed may come back as another file. */
async function identityOf(path: string): Promise<string | null> {
  try {
    const stats: BigIntStats = await lstat(path, { bigint: true });
    return `${stats.dev}:${stats.ino}:${stats.mtimeNs}`;
  } catch (cause) {
    if (isGone(cause)) return null;
    throw fileFailure(`looking at ${path}`, cause);
  }
}
