/**
 * Unfinished: the folder in which a file waits for its name, and in which a damaged copy is looked at for the last time.
 *
 * `part.<owner>.<life>.<n>` is being written, `aside.<owner>.<life>.<n>.<name>` was taken aside. A process that died left
 * both; the next open by the same owner removes the parts and puts the others back. In a shared directory the files of
 * other owners are theirs, but one that nobody wrote to for a day has no owner any more. Its age is read off the file
 * system's own clock, that of a file made for the purpose: clocks of nodes differ.
 *
 * The life is drawn at each open. A process that was given up and still runs may find its file gone, but it can never
 * give its name for a blob to a file that its successor is writing.
 */
import { randomBytes } from 'node:crypto';
import { constants, type FileHandle, lstat, open, readdir, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { BLOB_UNFINISHED_MS_MAX } from '../../base/limits.ts';
import type { NodeId } from '../../base/types.ts';
import { fileFailure, isGone, orGone } from './failures.ts';
import { type Copy, copyOf } from './names.ts';

const WRITE_FLAGS = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const PART = /^part\.(.+)\.[0-9a-f]{16}\.[0-9]+$/;
const ASIDE = /^aside\.(.+)\.[0-9a-f]{16}\.[0-9]+\.([0-9a-f]{64}\.[0-9]+\.[0-9]+)$/;

/** What lies there, read off its name. */
interface Leftover {
  readonly path: string;
  readonly owner: NodeId;
  /** Null for a part; else the copy that was taken aside. */
  readonly copy: Copy | null;
}

export interface TakenAside {
  readonly path: string;
  readonly copy: Copy;
}

export class Unfinished {
  readonly #folder: string;
  readonly #owner: NodeId;
  readonly #life = newLife();
  #made = 0;

  constructor(folder: string, owner: NodeId) {
    this.#folder = folder;
    this.#owner = owner;
  }

  async create(): Promise<{ readonly path: string; readonly file: FileHandle }> {
    const path = join(this.#folder, `part.${this.#next()}`);
    try {
      return { path, file: await open(path, WRITE_FLAGS, 0o600) };
    } catch (cause) {
      throw fileFailure(`making ${path}`, cause);
    }
  }

  asidePath(name: string): string {
    return join(this.#folder, `aside.${this.#next()}.${name}`);
  }

  /** Removes what a former life left unfinished. @returns what it took aside, to be put back. */
  async clear(): Promise<TakenAside[]> {
    try {
      const all = (await readdir(this.#folder)).flatMap((name) => leftover(this.#folder, name) ?? []);
      const aside = await removeParts(all.filter(({ owner }) => owner === this.#owner));
      const others = all.filter(({ owner }) => owner !== this.#owner);
      return others.length === 0 ? aside : [...aside, ...(await removeParts(await this.#forsaken(others)))];
    } catch (cause) {
      throw fileFailure(`clearing ${this.#folder}`, cause);
    }
  }

  async #forsaken(others: readonly Leftover[]): Promise<Leftover[]> {
    const { path, file } = await this.create();
    const now = (await file.stat()).mtimeMs;
    await file.close();
    await unlink(path);
    const forsaken: Leftover[] = [];
    for (const each of others) {
      const writtenAt = await writtenMs(each.path);
      if (writtenAt !== null && now - writtenAt > BLOB_UNFINISHED_MS_MAX) forsaken.push(each);
    }
    return forsaken;
  }

  /** Owner, life and number: no other file has ever had them. */
  #next(): string {
    this.#made += 1;
    return `${this.#owner}.${this.#life}.${this.#made}`;
  }
}

/** One life of an owner. */
export function newLife(): string {
  return randomBytes(8).toString('hex');
}

/** Whose part it is, if the name is that of a part. */
export function partOwner(name: string): NodeId | null {
  return PART.exec(name)?.[1] ?? null;
}

function leftover(folder: string, name: string): Leftover | null {
  const path = join(folder, name);
  const [, owner, aside = ''] = ASIDE.exec(name) ?? PART.exec(name) ?? [];
  return owner === undefined ? null : { path, owner, copy: copyOf(aside) };
}

async function removeParts(leftovers: readonly Leftover[]): Promise<TakenAside[]> {
  const aside: TakenAside[] = [];
  for (const { path, copy } of leftovers) {
    if (copy === null) await orGone(`removing ${path}`, unlink(path));
    else aside.push({ path, copy });
  }
  return aside;
}

/** Null when it is gone. */
async function writtenMs(path: string): Promise<number | null> {
  try {
    return (await lstat(path)).mtimeMs;
  } catch (cause) {
    if (isGone(cause)) return null;
    throw cause;
  }
}
