/**
 * Leader waiters: requests that wait a moment for a leader to be there, each answered exactly once.
 */
import type { Timers } from './env.ts';

export class LeaderWaiters {
  readonly #timers: Timers;
  readonly #waiting = new Set<(found: boolean) => void>();

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Calls back with true as soon as there is one; after `waitMs` with what `isThere` says then. */
  add(waitMs: number, isThere: () => boolean, done: (found: boolean) => void): void {
    if (isThere()) return done(true);
    const answer = (found: boolean) => {
      timer.cancel();
      this.#waiting.delete(answer);
      done(found);
    };
    const timer = this.#timers.after(waitMs, () => answer(isThere()));
    this.#waiting.add(answer);
  }

  /** There is a leader, or never will be for this node. */
  answer(found: boolean): void {
    for (const waiter of [...this.#waiting]) waiter(found);
  }
}
