/**
 * Admission: how many queries are open on a node, and how many of them run.
 *
 * A query that waits costs little, one that runs a core and a lot of memory, one that is being read its disk. So there are
 * two numbers: beyond the one the next waits, beyond the other it is to come again.
 *
 * Invariants: at most `running` run, in the order in which they came · whoever goes away gives back what he had.
 */
import { PolarisError } from '../base/errors.ts';

export class Admission {
  readonly #limits: { readonly open: number; readonly running: number };
  readonly #waiting: (() => void)[] = [];
  #open = 0;
  #running = 0;

  constructor(limits: { readonly open: number; readonly running: number }) {
    this.#limits = limits;
  }

  get open(): number {
    return this.#open;
  }

  /** To be followed by `leave`. @throws PolarisError OVERLOADED */
  enter(): void {
    if (this.#open >= this.#limits.open) {
      throw new PolarisError('OVERLOADED', `${this.#open} queries are open on this node; ask again, or ask another`);
    }
    this.#open += 1;
  }

  leave(): void {
    this.#open -= 1;
  }

  /** Runs it when its turn has come. @throws what it throws, and the reason of the signal when that comes first */
  async run<T>(signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    await this.#turn(signal);
    try {
      return await run();
    } finally {
      this.#running -= 1;
      this.#waiting.shift()?.();
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        signal.removeEventListener('abort', giveUp);
        this.#running += 1;
        resolve();
      };
      const giveUp = (): void => {
        const at = this.#waiting.indexOf(begin);
        if (at >= 0) this.#waiting.splice(at, 1);
        reject(signal.reason);
      };
      if (signal.aborted) reject(signal.reason);
      else if (this.#running < this.#limits.running) begin();
      else {
        this.#waiting.push(begin);
        signal.addEventListener('abort', giveUp, { once: true });
      }
    });
  }
}
