/**
 * Turnstile: looks at the job table pass one after the other, and the node gets its turn in between.
 *
 * A list of a thousand jobs costs some milliseconds, and all reads of one Raft round are answered in the same turn of
 * the event loop: a few hundred of them at once would keep the leader from its heartbeats until it is deposed. So the
 * round itself only opens the door; the looks then queue here, and after each few milliseconds of them everything else
 * goes first.
 *
 * Invariants: looks run in the order they came · none runs whose asker has stopped waiting · the queue is bounded.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { PolarisError } from '../base/errors.ts';
import { LOOKS_TURN_MS, READ_WAIT_MS, READS_WAITING_MAX } from '../base/limits.ts';

interface Waiting {
  readonly since: number;
  /** Null: it waited too long. */
  readonly enter: (refusal: PolarisError | null) => void;
}

export class Turnstile {
  #waiting: Waiting[] = [];
  #turning = false;

  /** What `look` gives or throws. `look` does its work before it returns. @throws PolarisError OVERLOADED */
  run<T>(look: () => T | Promise<T>): Promise<T> {
    if (this.#waiting.length >= READS_WAITING_MAX) return Promise.reject(new PolarisError('OVERLOADED', TOO_MANY));
    return new Promise((resolve, reject) => {
      const enter = (refusal: PolarisError | null): void => {
        if (refusal !== null) return reject(refusal);
        try {
          resolve(look());
        } catch (thrown) {
          reject(thrown);
        }
      };
      this.#waiting.push({ since: performance.now(), enter });
      if (!this.#turning) void this.#turn();
    });
  }

  /** Cannot fail: whatever a look throws goes to its asker. */
  async #turn(): Promise<void> {
    this.#turning = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting;
      this.#waiting = batch.slice(this.#enterSome(batch));
      await nextTurn();
    }
    this.#turning = false;
  }

  /** How many of the batch were let in. */
  #enterSome(batch: readonly Waiting[]): number {
    const begunAt = performance.now();
    let count = 0;
    for (const { since, enter } of batch) {
      const now = performance.now();
      if (now - begunAt >= LOOKS_TURN_MS) break;
      enter(now - since > READ_WAIT_MS ? new PolarisError('OVERLOADED', TOO_MANY) : null);
      count++;
    }
    return count;
  }
}

const TOO_MANY = 'too many reads are waiting';
