/**
 * Oversight: tells the Master of a job how the job gets on, on the leader alone.
 *
 * A Master hears of progress at most once in MASTER_PROGRESS_MS, one call at a time, and only while something moves: what
 * happened meanwhile is in the next report. A call that fails is not repeated, for the next one says more. The end of a
 * run is another matter, and goes through notices.ts.
 */
import { MASTER_CALLS_MAX, MASTER_PROGRESS_MS } from '../base/limits-masters.ts';
import type { Logger } from '../base/log.ts';
import type { JobId } from '../base/types.ts';
import { isFinished } from '../ranges/course.ts';
import type { JobView, Table } from '../ranges/types.ts';
import type { Clock, Executor } from './env.ts';
import { isOverseenBy, masterCall } from './job-report.ts';

interface Watch {
  readonly job: JobId;
  moved: boolean;
  busy: boolean;
  nextAt: number;
}

export interface OversightOptions {
  readonly table: Pick<Table, 'job'>;
  readonly clock: Clock;
  readonly executor: Pick<Executor, 'types' | 'oversee'>;
  readonly log: Logger;
}

export class Oversight {
  readonly #options: OversightOptions;
  /** Of jobs whose type has a Master that this node has. */
  readonly #watches = new Map<JobId, Watch>();
  #calling = 0;

  constructor(options: OversightOptions) {
    this.#options = options;
  }

  /** Something of a job changed. */
  moved(job: JobId): void {
    const watch = this.#watches.get(job);
    if (watch !== undefined) watch.moved = true;
  }

  /** Takes notice of a job and of what became of it. */
  follow({ spec, state }: JobView): void {
    if (!spec.overseen) return;
    if (isFinished(state)) this.#watches.delete(spec.id);
    else if (this.#watches.has(spec.id)) this.moved(spec.id);
    else if (isOverseenBy(this.#options.executor, spec.name)) {
      this.#watches.set(spec.id, { job: spec.id, moved: true, busy: false, nextAt: 0 });
    }
  }

  forget(job: JobId): void {
    this.#watches.delete(job);
  }

  tick(): void {
    if (this.#watches.size === 0) return;
    const now = this.#options.clock.now();
    for (const watch of this.#watches.values()) {
      if (this.#calling >= MASTER_CALLS_MAX) return;
      if (!watch.moved || watch.busy || now < watch.nextAt) continue;
      // Behind the others, so that none is forgotten over the limit.
      this.#watches.delete(watch.job);
      this.#watches.set(watch.job, watch);
      this.#tell(watch, now);
    }
  }

  close(): void {
    this.#watches.clear();
  }

  #tell(watch: Watch, now: number): void {
    const { table, executor, log } = this.#options;
    const job = table.job(watch.job);
    if (job === undefined) return;
    watch.moved = false;
    watch.busy = true;
    watch.nextAt = now + MASTER_PROGRESS_MS;
    this.#calling++;
    executor.oversee(masterCall('progress', job), (error) => {
      this.#calling--;
      watch.busy = false;
      if (error !== null) log.warn({ job: watch.job, why: error }, 'master-failed');
    });
  }
}
