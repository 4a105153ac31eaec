/**
 * DeadlineTimer: calls when the monotonic clock of the machine reaches a time that keeps moving on.
 *
 * CLOCK_MONOTONIC is one clock for all processes of a machine, so that a time set by the node means the same in a host,
 * also while the node itself is stopped.
 */
import { TIMER_MS_MAX } from '../base/limits.ts';

const NANOSECONDS_PER_MS = 1e6;

/** As `Clock.now`. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / NANOSECONDS_PER_MS;
}

export class DeadlineTimer {
  readonly #reached: () => void;
  #at = Number.POSITIVE_INFINITY;
  #timer: NodeJS.Timeout | null = null;

  constructor(reached: () => void) {
    this.#reached = reached;
  }

  /** Monotonic milliseconds; `Infinity` is never. */
  move(at: number): void {
    this.#at = at;
    this.cancel();
    if (at !== Number.POSITIVE_INFINITY) this.#arm();
  }

  cancel(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #arm(): void {
    const delayMs = Math.min(Math.max(0, Math.ceil(this.#at - monotonicMs())), TIMER_MS_MAX);
    this.#timer = setTimeout(() => {
      if (monotonicMs() >= this.#at) this.#reached();
      else this.#arm();
    }, delayMs);
    this.#timer.unref();
  }
}
