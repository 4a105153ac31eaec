/**
 * Pace: how fast a job goes, and so how large its next task should be.
 *
 * A task should take about TASK_TARGET_MS on its worker: grants then cost little and the tail is short. The first task
 * is small because nothing is known; after that the size follows a moving average of the worker's own speed, may grow
 * by TASK_GROWTH_MAX at a time, and near the end no task takes more than half of its slot's share of what is left.
 *
 * Pure: time is an argument (monotonic milliseconds). In the leader's memory only; a new leader learns anew.
 */
import { SHRINK_STUCK_MS, TASK_GROWTH_MAX, TASK_SIZE_FIRST, TASK_SIZE_MAX, TASK_TARGET_MS } from '../base/limits.ts';
import type { Epoch, JobId, NodeId, Point } from '../base/types.ts';
import type { Task } from '../ranges/types.ts';

/** Weight of the newest task in the average; 0.4 follows a change of load within five tasks. */
const NEWEST = 0.4;
/** The job's speed is averaged over about this long. */
const RATE_WINDOW_MS = 5_000;
/** A task worth less than this may cost more to grant and to start (a program: some 100 ms) than to run. */
const TASK_FLOOR_MS = 1_000;

interface WorkerPace {
  /** Points a millisecond. */
  speed: number;
  lastSize: number;
  /** Tasks in a row that were too small to tell anything. */
  scraps: number;
}

interface Begun {
  readonly at: number;
  readonly from: Point;
  readonly size: number;
  /** When it last came further. */
  readonly movedAt: number;
}

/** So many small tasks in a row are no end of a range any more: there are more workers, or less for each. */
const SCRAPS_MAX = 4;

/** Exponentially decaying count of points, whose quotient with the window is a rate. */
interface Meter {
  points: number;
  at: number;
  readonly since: number;
}

export class Pace {
  readonly #workers = new Map<JobId, Map<NodeId, WorkerPace>>();
  readonly #meters = new Map<JobId, Meter>();
  readonly #begun = new Map<Epoch, Begun>();

  /** A task was granted, or is taken over from another leader at this cursor. */
  granted({ epoch, cursor, end }: Pick<Task, 'epoch' | 'cursor' | 'end'>, now: number): void {
    this.#begun.set(epoch, { at: now, from: cursor, size: end - cursor, movedAt: now });
  }

  /** A task has another end now. */
  shrunk({ epoch, end }: Pick<Task, 'epoch' | 'end'>): void {
    const begun = this.#begun.get(epoch);
    if (begun !== undefined) this.#begun.set(epoch, { ...begun, size: Math.max(0, end - begun.from) });
  }

  /** Milliseconds that a task will still take; infinite where it stands still, null while nothing can be said. */
  left({ epoch, job, worker, cursor, end }: Omit<Task, 'claimed'>, now: number): number | null {
    const begun = this.#begun.get(epoch);
    if (begun === undefined) return null;
    const elapsed = now - begun.at;
    if (cursor > begun.from) return ((end - cursor) * elapsed) / (cursor - begun.from);
    if (elapsed >= SHRINK_STUCK_MS) return Number.POSITIVE_INFINITY;
    const pace = this.#workers.get(job)?.get(worker);
    return pace === undefined ? null : (end - cursor) / pace.speed;
  }

  /** A task came further: points of it were acknowledged, or it has a checkpoint more. */
  cameFurther(epoch: Epoch, now: number): void {
    const begun = this.#begun.get(epoch);
    if (begun !== undefined) this.#begun.set(epoch, { ...begun, movedAt: now });
  }

  /** Milliseconds since a task last came further, or was granted; 0 for one that nothing is known of. */
  still(epoch: Epoch, now: number): number {
    return now - (this.#begun.get(epoch)?.movedAt ?? now);
  }

  /** Points of a job were acknowledged. */
  moved(job: JobId, points: number, now: number): void {
    const meter = this.#meters.get(job) ?? { points: 0, at: now, since: now };
    meter.points = decayed(meter, now) + points;
    meter.at = now;
    this.#meters.set(job, meter);
  }

  /** A task ended. Only one that was completed says how fast its worker is. */
  ended(job: JobId, worker: NodeId, epoch: Epoch, completed: boolean, now: number): void {
    const begun = this.#begun.get(epoch);
    this.#begun.delete(epoch);
    if (begun === undefined || begun.size === 0 || !completed) return;
    const paces = this.#workers.get(job) ?? new Map<NodeId, WorkerPace>();
    this.#workers.set(job, paces);
    const speed = begun.size / Math.max(1, now - begun.at);
    const known = paces.get(worker);
    // A scrap from the end of the range tells of the cost of starting, not of speed; many in a row are the new rule.
    if (known !== undefined && begun.size < known.lastSize / 2 && ++known.scraps < SCRAPS_MAX) return;
    paces.set(worker, {
      speed: known === undefined ? speed : NEWEST * speed + (1 - NEWEST) * known.speed,
      lastSize: begun.size,
      scraps: 0,
    });
  }

  forgetJob(job: JobId): void {
    this.#workers.delete(job);
    this.#meters.delete(job);
  }

  forgetWorker(worker: NodeId): void {
    for (const paces of this.#workers.values()) paces.delete(worker);
  }

  /**
   * Points for the next task. `remaining` is what nobody works on yet; `slots` are those that could work on this job.
   */
  size(job: JobId, worker: NodeId, remaining: number, slots: number): number {
    const pace = this.#workers.get(job)?.get(worker);
    if (pace === undefined) return Math.max(1, Math.min(TASK_SIZE_FIRST, Math.ceil(remaining / (2 * slots))));
    const wanted = Math.min(pace.speed * TASK_TARGET_MS, pace.lastSize * TASK_GROWTH_MAX, TASK_SIZE_MAX);
    const fair = Math.max(Math.ceil(remaining / (2 * Math.max(1, slots))), pace.speed * TASK_FLOOR_MS);
    return Math.max(1, Math.floor(Math.min(wanted, fair)));
  }

  /** Points a second over the last seconds; 0 when nothing was measured. */
  rate(job: JobId, now: number): number {
    const meter = this.#meters.get(job);
    if (meter === undefined) return 0;
    // A young meter has not yet seen a whole window: divide by what it has seen.
    const seen = RATE_WINDOW_MS * (1 - Math.exp(-(now - meter.since) / RATE_WINDOW_MS));
    return seen < 1 ? 0 : (decayed(meter, now) / seen) * 1_000;
  }
}

function decayed(meter: Meter, now: number): number {
  return meter.points * Math.exp(-(now - meter.at) / RATE_WINDOW_MS);
}
