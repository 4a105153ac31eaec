/**
 * One copy as a file: while it is written, and while it is read.
 *
 * A file that is open stays what it was whatever happens to its name, so a reader needs nothing but the handle.
 *
 * A long one is synced on its way, though nobody relies on it yet: the log of the node lies on the same disk, and its syncs
 * wait for whatever the disk has before them.
 */
import { type FileHandle, rename, unlink } from 'node:fs/promises';
import { BLOB_UNSYNCED_BYTES_MAX } from '../../base/limits.ts';
import { codeOf, fileFailure } from './failures.ts';
import { type Copy, nameOf } from './names.ts';
import { damagedBlob } from './pieces.ts';
import type { Draft, OpenCopy } from './shelf.ts';

export class FileDraft implements Draft {
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #placeOf: (copy: Copy) => Promise<string>;
  #state: 'open' | 'closed' | 'done' = 'open';
  #unsyncedBytes = 0;

  constructor(path: string, file: FileHandle, placeOf: (copy: Copy) => Promise<string>) {
    this.#path = path;
    this.#file = file;
    this.#placeOf = placeOf;
  }

  async append(bytes: Uint8Array): Promise<void> {
    try {
      await this.#file.appendFile(bytes);
      this.#unsyncedBytes += bytes.length;
      if (this.#unsyncedBytes < BLOB_UNSYNCED_BYTES_MAX) return;
      await this.#file.datasync();
      this.#unsyncedBytes = 0;
    } catch (cause) {
      throw fileFailure('writing a blob', cause);
    }
  }

  async publish(copy: Copy): Promise<void> {
    try {
      await this.#file.datasync();
      await this.#close();
      await rename(this.#path, await this.#placeOf(copy));
      this.#state = 'done';
    } catch (cause) {
      throw fileFailure(`storing ${nameOf(copy)}`, cause);
    }
  }

  async abandon(): Promise<void> {
    if (this.#state === 'done') return;
    // It has no name that counts: what cannot be removed now goes at the next open.
    await this.#close().catch(() => {});
    await unlink(this.#path).catch(() => {});
    this.#state = 'done';
  }

  async #close(): Promise<void> {
    if (this.#state !== 'open') return;
    this.#state = 'closed';
    await this.#file.close();
  }
}

export class OpenFile implements OpenCopy {
  readonly #file: FileHandle;
  readonly #copy: Copy;

  constructor(file: FileHandle, copy: Copy) {
    this.#file = file;
    this.#copy = copy;
  }

  async read(start: number, end: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(end - start);
    try {
      for (let at = 0; at < bytes.length; ) {
        const { bytesRead } = await this.#file.read(bytes, at, bytes.length - at, start + at);
        if (bytesRead === 0) return bytes.subarray(0, at);
        at += bytesRead;
      }
      return bytes;
    } catch (cause) {
      // A sector that cannot be read is damage like a flipped bit: a replica has it.
      const { hash } = this.#copy;
      if (codeOf(cause) === 'EIO') throw damagedBlob(hash, `bytes ${start} to ${end} cannot be read`, cause);
      throw fileFailure(`reading ${nameOf(this.#copy)}`, cause);
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}
