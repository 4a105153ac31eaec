/**
 * Schedules: jobs that are submitted again and again. The leader reads the cron text and says which time is due and which
 * comes next; here stands what was agreed on, and whether the last job is still at work is judged by whoever owns the jobs.
 *
 * Invariants: at most SCHEDULES_MAX · walked in key order · `skipped` only grows while a schedule stands.
 */
import { assert } from '../base/assert.ts';
import { SCHEDULES_MAX } from '../base/limits.ts';
import type { JobId } from '../base/types.ts';
import type { Schedule, ScheduleSpec } from './types.ts';

export class Schedules {
  readonly #byKey = new Map<string, Schedule>();

  get(key: string): Schedule | undefined {
    return this.#byKey.get(key);
  }

  inOrder(): Schedule[] {
    return [...this.#byKey.values()].sort((left, right) => (left.key < right.key ? -1 : 1));
  }

  /** False when there is no room for one more. What the former one submitted last still keeps the next from overlapping. */
  put(spec: ScheduleSpec, nextAt: number | null): boolean {
    const former = this.#byKey.get(spec.key);
    if (former === undefined && this.#byKey.size >= SCHEDULES_MAX) return false;
    this.#byKey.set(spec.key, { ...spec, nextAt, lastJob: former?.lastJob ?? null, skipped: 0 });
    return true;
  }

  restore(schedule: Schedule): void {
    assert(!this.#byKey.has(schedule.key), 'a key stands for one schedule');
    this.#byKey.set(schedule.key, schedule);
  }

  drop(key: string): boolean {
    return this.#byKey.delete(key);
  }

  /** Its time has come and gone: with a job, or skipped. */
  passed(key: string, next: number | null, skipped: number, job: JobId | null): void {
    const schedule = this.#byKey.get(key);
    assert(schedule !== undefined, 'a schedule that was due is there');
    const total = Math.min(schedule.skipped + skipped, Number.MAX_SAFE_INTEGER);
    this.#byKey.set(key, { ...schedule, nextAt: next, skipped: total, lastJob: job ?? schedule.lastJob });
  }
}
