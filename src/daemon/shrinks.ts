/**
 * Shrinks: at the end of a job, the far half of its slowest task for a slot that stands idle.
 *
 * When a job has nothing left to grant while some slot could work on it, the leader asks the worker of the task that will
 * take longest which end it would keep. The worker answers with an end behind everything it has begun and hands out
 * nothing beyond it from that moment on; then the leader commits that end, and the rest is granted like any other range.
 * No point is ever leased twice for it. An answer that is lost costs nothing: the task ends early, and its end says so.
 *
 * Left alone are programs (they have begun their whole task), tasks with a checkpoint (it is of all their points), jobs with a rate (they would pay twice for the same points)
 * and whatever is nearly over.
 */
import {
  SHRINK_AGAIN_MS,
  SHRINK_EVERY_MS,
  SHRINK_LEFT_MS_MIN,
  SHRINK_POINTS_MIN,
  SHRINKS_ASKED_MAX,
} from '../base/limits.ts';
import type { Epoch, NodeId, Point } from '../base/types.ts';
import type { JobView, Table, Task } from '../ranges/types.ts';
import type { Pace } from './pace.ts';

export interface ShrinksOptions {
  readonly table: Pick<Table, 'jobs' | 'task'>;
  readonly pace: Pick<Pace, 'left'>;
  /** Whether the job could be given one more task, if only there were something to give. */
  readonly wantsMore: (job: JobView) => boolean;
}

export class Shrinks {
  readonly #options: ShrinksOptions;
  /** Tasks that were asked, and until when they are left alone. */
  readonly #asked = new Map<Epoch, number>();
  /** Ends that are proposed and not applied. */
  readonly #underWay = new Set<Epoch>();
  #nextLookAt = 0;

  constructor(options: ShrinksOptions) {
    this.#options = options;
  }

  /** The tasks to ask now: one of a job at most. */
  plan(now: number): Task[] {
    if (now < this.#nextLookAt) return [];
    this.#nextLookAt = now + SHRINK_EVERY_MS;
    for (const [epoch, until] of this.#asked) if (until <= now) this.#asked.delete(epoch);
    const chosen: Task[] = [];
    for (const job of this.#options.table.jobs()) {
      if (this.#asked.size >= SHRINKS_ASKED_MAX) break;
      if (!isAtItsEnd(job) || !this.#options.wantsMore(job)) continue;
      const slowest = this.#slowest(job, now);
      if (slowest === null) continue;
      this.#asked.set(slowest.epoch, now + SHRINK_AGAIN_MS);
      chosen.push(slowest);
    }
    return chosen;
  }

  /** Whether the end that a worker says it keeps is to be committed. */
  offered(worker: NodeId, epoch: Epoch, end: Point): boolean {
    const task = this.#options.table.task(epoch);
    if (task === undefined || task.worker !== worker || this.#underWay.has(epoch)) return false;
    // One that keeps everything is not asked again for a while.
    if (end < task.cursor || end >= task.end) return false;
    this.#underWay.add(epoch);
    return true;
  }

  /** A task gave something up, and may be asked for more. */
  shrunk(epoch: Epoch): void {
    this.#asked.delete(epoch);
  }

  /** The command with the end was applied, or is lost. */
  settled(epoch: Epoch): void {
    this.#underWay.delete(epoch);
  }

  #slowest(job: JobView, now: number): Task | null {
    let slowest: Task | null = null;
    let longest = SHRINK_LEFT_MS_MIN;
    for (const task of job.tasks) {
      const points = task.end - Math.max(task.cursor, task.claimed);
      if (points < SHRINK_POINTS_MIN || task.checkpoint !== null) continue;
      if (this.#asked.has(task.epoch) || this.#underWay.has(task.epoch)) continue;
      const left = this.#options.pace.left(task, now);
      if (left === null || left < longest) continue;
      // Of two that stand still, the one with more to give.
      if (left === longest && slowest !== null && points <= slowest.end - slowest.cursor) continue;
      longest = left;
      slowest = task;
    }
    return slowest;
  }
}

/** Everything is granted, and what failed waits for its time. */
function isAtItsEnd({ spec, state, controls, frontier, returned, tasks }: JobView): boolean {
  if (state !== 'running' || tasks.length === 0 || frontier < spec.end) return false;
  if (spec.exposure === 'task' || controls.pointsPerSecond !== null) return false;
  return returned.every((range) => range.attempts > 0);
}
