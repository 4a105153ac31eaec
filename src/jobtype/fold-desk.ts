/**
 * FoldDesk: where a node has Masters take in what points emitted.
 *
 * An instance of a Master stays for the next order, which says from which state it is to go on: that of the log. Whenever
 * that is not the one that the instance has come to (another leader folded meanwhile, an order failed or was given up, the
 * host was ended), it is left behind, and another instance is made from the state of the log.
 *
 * Invariant: a state that is told of was made of exactly the state and the outputs of its order.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { JobId } from '../base/types.ts';
import type { FoldEnding, FoldOrder, TaskBlobs } from '../daemon/env.ts';
import { FoldWork, failureOf, type Seat, type Session } from './fold-work.ts';

export interface FoldDeskOptions {
  /** Of its own; what a former life left there goes with the first order. */
  readonly directory: string;
  readonly blobs: () => TaskBlobs;
  /** A seat in the job host of the order. */
  readonly seat: (order: FoldOrder) => Seat;
}

export class FoldDesk {
  readonly #options: FoldDeskOptions;
  /** Instances that wait for their next order. */
  readonly #sessions = new Map<JobId, Session>();
  #sessionCount = 0;
  #fileCount = 0;
  #isOpen = false;

  constructor(options: FoldDeskOptions) {
    this.#options = options;
  }

  /** `done` comes once, in a later turn, unless the order is given up with what this gives. */
  fold(order: FoldOrder, done: (ending: FoldEnding) => void): () => void {
    const given = new AbortController();
    void this.#carryOut(order, given.signal).then((ending) => {
      if (!given.signal.aborted) done(ending);
    });
    return () => given.abort();
  }

  async #carryOut(order: FoldOrder, signal: AbortSignal): Promise<FoldEnding> {
    const former = this.#sessions.get(order.job);
    // An instance that is at work is in no state that has a name.
    this.#sessions.delete(order.job);
    const seat = this.#options.seat(order);
    const file = () => this.#file();
    try {
      const work = new FoldWork({ order, seat, signal, file, blobs: this.#options.blobs() });
      const session = await work.session(former, ++this.#sessionCount);
      const ending = await work.carryOut(session);
      if (ending.kind === 'folded' && !signal.aborted) {
        this.#sessions.set(order.job, { ...session, state: ending.state });
      }
      return ending;
    } catch (thrown) {
      return failureOf(thrown);
    } finally {
      seat.leave();
    }
  }

  /** A name for a file that does not exist yet. */
  #file(): string {
    const { directory } = this.#options;
    if (!this.#isOpen) {
      rmSync(directory, { recursive: true, force: true });
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      this.#isOpen = true;
    }
    this.#fileCount += 1;
    return join(directory, `${this.#fileCount}.arrow`);
  }
}
