/**
 * Collecting: what the Master of a job has made of its outputs.
 *
 * A Master runs on whoever leads, and leaders change. So its state is a blob, and one entry drops the outputs that were
 * folded and puts the state that holds them: each output enters the state exactly once, though the code that folds it may
 * run again. Whoever leads takes the job by an entry first; what a former leader still had on its way is refused by epoch.
 *
 * Invariants: epochs only grow · state and result hold their blobs · a result stands from `finish` to the next retry.
 */
import { assert } from '../base/assert.ts';
import type { Handle } from '../base/handle.ts';
import { ERROR_TEXT_MAX } from '../base/limits.ts';
import type { LogIndex } from '../base/types.ts';
import type { Blobs } from './blobs.ts';
import { clipText } from './text.ts';
import type { MasterView } from './types.ts';

export class Collecting {
  readonly #blobs: Blobs;
  #master: MasterView | null = null;
  #result: Handle | null = null;

  constructor(blobs: Blobs) {
    this.#blobs = blobs;
  }

  get master(): MasterView | null {
    return this.#master;
  }

  get result(): Handle | null {
    return this.#result;
  }

  take(epoch: LogIndex): void {
    assert(epoch > (this.#master?.epoch ?? 0), 'the epochs of a Master grow');
    this.#master = Object.freeze({ state: null, folded: 0, ...this.#master, epoch });
  }

  /** Whether this is the last one that took the job. */
  isMaster(epoch: LogIndex): boolean {
    return this.#master?.epoch === epoch;
  }

  /** So many outputs more are in this state. */
  fold(count: number, state: Handle | null): void {
    const { epoch, folded, state: former } = this.#known();
    this.#replace(former, state);
    this.#master = Object.freeze({ epoch, state, folded: folded + count });
  }

  setResult(result: Handle | null): void {
    this.#replace(this.#result, result);
    this.#result = result;
  }

  /** As a snapshot had it; whoever restores the job holds the blobs. */
  restore(master: MasterView | null, result: Handle | null): void {
    this.#master = master;
    this.#result = result;
  }

  /** Held before the former is released: they may be the same. */
  #replace(former: Handle | null, next: Handle | null): void {
    if (next !== null) this.#blobs.hold(next.hash);
    if (former !== null) this.#blobs.release(former.hash);
  }

  #known(): MasterView {
    assert(this.#master !== null, 'only a Master that took the job folds');
    return this.#master;
  }
}

/** Why a job is paused whose Master did something wrong. */
export function masterComplaint(error: string): string {
  return clipText(`its Master failed: ${error}`, ERROR_TEXT_MAX);
}
