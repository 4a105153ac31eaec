/**
 * Throttles: which jobs their hooks hold just now, and when each hook is asked again.
 *
 * Only the leader asks, and it trusts nobody's memory: under a new leader, and after each pause, a job with a hook is
 * held until the hook has said go. While it says go it is asked every interval; while it says hold, ever more seldom,
 * with jitter, so that a system that is unwell is not asked to death by all its jobs together.
 *
 * A hold keeps new grants back, and gives back what can be given back for nothing (tasks that take point after point);
 * a program that runs is left to end.
 */
import { THROTTLE_HOLD_MS_MAX, THROTTLES_ASKING_MAX } from '../base/limits.ts';
import type { Prng } from '../base/prng.ts';
import type { JobId } from '../base/types.ts';
import type { JobView, Throttle } from '../ranges/types.ts';
import type { Clock } from './env.ts';
import { askHook, type Hold } from './hook.ts';
import type { Probe } from './probe.ts';

const NOT_ASKED = 'its hook has not answered yet';

interface Watch {
  readonly job: JobId;
  readonly hook: Throttle;
  hold: Hold;
  /** Times in a row that it said hold. */
  holds: number;
  askAt: number;
  asking: boolean;
}

export interface ThrottlesOptions {
  readonly clock: Clock;
  readonly prng: Prng;
  readonly probe: Probe;
  /** Its hook says go again, or says hold for the first time. */
  readonly changed: (job: JobId) => void;
}

export class Throttles {
  readonly #options: ThrottlesOptions;
  readonly #watches = new Map<JobId, Watch>();
  #asking = 0;

  constructor(options: ThrottlesOptions) {
    this.#options = options;
  }

  /** Takes notice of a job and of what became of it. */
  follow({ spec, state }: JobView): void {
    const { id: job, options } = spec;
    if (options.throttle === null) return;
    if (state !== 'pending' && state !== 'running') this.#watches.delete(job);
    else if (!this.#watches.has(job)) {
      const hook = options.throttle;
      this.#watches.set(job, { job, hook, hold: NOT_ASKED, holds: 0, askAt: 0, asking: false });
    }
  }

  forget(job: JobId): void {
    this.#watches.delete(job);
  }

  /** Why a job is held; null when it is not. */
  hold(job: JobId): Hold {
    const hold = this.#watches.get(job)?.hold ?? null;
    return hold === null ? null : `held by the throttle: ${hold}`;
  }

  /** Asks whom it is time to ask. A job that may not be granted anyway (`isIdle`) is not asked about. */
  tick(isIdle: (job: JobId) => boolean): void {
    if (this.#watches.size === 0) return;
    const now = this.#options.clock.now();
    for (const watch of this.#watches.values()) {
      if (this.#asking >= THROTTLES_ASKING_MAX) return;
      if (watch.asking || now < watch.askAt || isIdle(watch.job)) continue;
      // Behind the others, so that none is forgotten over the limit.
      this.#watches.delete(watch.job);
      this.#watches.set(watch.job, watch);
      this.#ask(watch);
    }
  }

  close(): void {
    this.#watches.clear();
  }

  #ask(watch: Watch): void {
    watch.asking = true;
    this.#asking++;
    askHook(this.#options.probe, watch.job, watch.hook, (hold) => {
      this.#asking--;
      watch.asking = false;
      if (this.#watches.get(watch.job) === watch) this.#answered(watch, hold);
    });
  }

  #answered(watch: Watch, hold: Hold): void {
    const { clock, changed } = this.#options;
    const wasHeld = watch.hold !== null;
    watch.hold = hold;
    watch.holds = hold === null ? 0 : watch.holds + 1;
    watch.askAt = clock.now() + this.#patience(watch);
    if (hold === null ? wasHeld : watch.holds === 1) changed(watch.job);
  }

  #patience({ hook: { intervalMs }, holds }: Watch): number {
    if (holds === 0) return intervalMs;
    const full = Math.min(intervalMs * 2 ** (holds - 1), Math.max(intervalMs, THROTTLE_HOLD_MS_MAX));
    return full / 2 + (this.#options.prng.next() * full) / 2;
  }
}
