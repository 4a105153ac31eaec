/**
 * Datasets: names for handles. Each is a register of its own: what was put last stands, and whoever names the version that
 * he saw changes nothing but that one.
 *
 * Invariants: at most DATASETS_MAX · every dataset holds its blob · a version is the index of the entry that made it, so it
 * never comes twice, also not after the name was dropped and put anew · walked in name order.
 */
import { assert } from '../base/assert.ts';
import type { Handle } from '../base/handle.ts';
import { DATASET_NAME_LENGTH_MAX, DATASETS_MAX } from '../base/limits.ts';
import type { LogIndex } from '../base/types.ts';
import type { Blobs } from './blobs.ts';

/** What a name stands for. */
export interface Dataset {
  readonly name: string;
  readonly handle: Handle;
  /** Index of the entry that put it. */
  readonly version: LogIndex;
  /** Epoch ms, of the leader. */
  readonly putAt: number;
  /** Dropped so long after it was put, unless it is pinned; null: kept until somebody drops it. */
  readonly ttlMs: number | null;
  readonly pinned: boolean;
}

/** What may be expected of a name: this version of it, or (0) that it stands for nothing; null: whatever it is. */
export type ExpectedVersion = LogIndex | null;

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** 1 to 128 of `A-Z a-z 0-9 . _ -`, beginning with a letter or a digit: safe in a path, a URL and a shell. */
export function isDatasetName(text: string): boolean {
  return text.length <= DATASET_NAME_LENGTH_MAX && NAME.test(text);
}

/** When it is to be dropped; null: never by itself. */
export function expiresAt({ putAt, ttlMs, pinned }: Dataset): number | null {
  return pinned || ttlMs === null ? null : putAt + ttlMs;
}

export class Datasets {
  readonly #byName = new Map<string, Dataset>();
  readonly #blobs: Blobs;

  constructor(blobs: Blobs) {
    this.#blobs = blobs;
  }

  get(name: string): Dataset | undefined {
    return this.#byName.get(name);
  }

  inOrder(): Dataset[] {
    return [...this.#byName.values()].sort((left, right) => (left.name < right.name ? -1 : 1));
  }

  /** Why the name is not as expected; null when it is. */
  conflict(name: string, expected: ExpectedVersion): string | null {
    const version = this.#byName.get(name)?.version ?? 0;
    if (expected === null || expected === version) return null;
    if (version === 0) return `there is no dataset "${name}", and version ${expected} of it was expected`;
    const wanted = expected === 0 ? 'none' : `version ${expected}`;
    return `dataset "${name}" is at version ${version}, and ${wanted} was expected`;
  }

  /** False when there is no room for one more name. */
  put(dataset: Dataset): boolean {
    const former = this.#byName.get(dataset.name);
    if (former === undefined && this.#byName.size >= DATASETS_MAX) return false;
    // Held before the former is released: they may be the same.
    this.#blobs.hold(dataset.handle.hash);
    if (former !== undefined) this.#blobs.release(former.handle.hash);
    this.#byName.set(dataset.name, dataset);
    return true;
  }

  restore(dataset: Dataset): void {
    assert(!this.#byName.has(dataset.name), 'a name stands for one handle');
    assert(this.put(dataset), 'a table has room for its datasets');
  }

  /** Gives what was dropped. */
  drop(name: string): Dataset | undefined {
    const former = this.#byName.get(name);
    if (former === undefined) return undefined;
    this.#blobs.release(former.handle.hash);
    this.#byName.delete(name);
    return former;
  }

  /** Gives it as it is then. It stays the version that it is: its content does not change. */
  pin(name: string, pinned: boolean): Dataset | undefined {
    const former = this.#byName.get(name);
    if (former === undefined) return undefined;
    const dataset = { ...former, pinned };
    this.#byName.set(name, dataset);
    return dataset;
  }
}
