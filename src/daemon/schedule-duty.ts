/**
 * Schedule duty: submits the job of a schedule when its time has come.
 *
 * The leader reads the cron text and its own stamps, and proposes numbers: which time was due, which is next, how many
 * were missed between while nobody led, and the id of the job, which follows from key and due time, so that a time that
 * is proposed twice makes one job. Whether the former job is still at work, and this time is skipped, is judged where the
 * command is applied.
 */
import { type CronTimes, parseCron } from '../base/cron.ts';
import { derivedId } from '../base/derived-id.ts';
import { PolarisError } from '../base/errors.ts';
import { MISSED_TIMES_MAX } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { JobId } from '../base/types.ts';
import type { Command, Outcome, Schedule, Table } from '../ranges/types.ts';
import type { Done } from './api.ts';

/** A time is kept to a tenth of a second: cron knows whole ones. */
const LOOK_EVERY_MS = 100;

export interface ScheduleDutyOptions {
  readonly table: Pick<Table, 'schedules'>;
  readonly log: Logger;
  readonly stamp: () => number;
  readonly propose: (command: Command, done: Done<Outcome>) => void;
}

export class ScheduleDuty {
  readonly #options: ScheduleDutyOptions;
  readonly #underWay = new Set<string>();
  #nextLookAt = 0;

  constructor(options: ScheduleDutyOptions) {
    this.#options = options;
  }

  tick(): void {
    const at = this.#options.stamp();
    if (at < this.#nextLookAt) return;
    this.#nextLookAt = at + LOOK_EVERY_MS;
    for (const schedule of this.#options.table.schedules()) {
      const { key, nextAt } = schedule;
      if (nextAt !== null && nextAt <= at && !this.#underWay.has(key)) this.#fire(schedule, nextAt, at);
    }
  }

  #fire(schedule: Schedule, due: number, at: number): void {
    const { log, propose } = this.#options;
    const { key } = schedule;
    const times = cronTimes(schedule);
    // It was read when it was put: only another version of the library could refuse it now.
    if (times instanceof PolarisError) return log.error({ key, detail: times.detail }, 'schedule-unreadable');
    const id = scheduledId(key, due);
    const following = timesAfter(times, due, at);
    log.info({ key, due, id, ...following }, 'schedule-due');
    this.#underWay.add(key);
    propose({ kind: 'fire-schedule', at, key, due, ...following, id }, () => void this.#underWay.delete(key));
  }
}

/** The times of a schedule, or what is wrong with its text. */
export function cronTimes({ cron, timeZone }: Pick<Schedule, 'cron' | 'timeZone'>): CronTimes | PolarisError {
  try {
    return parseCron(cron, timeZone);
  } catch (thrown) {
    if (thrown instanceof PolarisError) return thrown;
    throw thrown;
  }
}

/** The id of the job that a schedule submits for a due time. */
export function scheduledId(key: string, due: number): JobId {
  return derivedId('polaris schedule', `${key}\0${due}`);
}

/** When a schedule is due after `at`, and how many times between `due` and `at` nobody was there to see. */
function timesAfter(
  times: CronTimes,
  due: number,
  at: number,
): { readonly next: number | null; readonly missed: number } {
  let missed = 0;
  let next = times.next(due);
  while (next !== null && next <= at && missed < MISSED_TIMES_MAX) {
    missed++;
    next = times.next(next);
  }
  // Beyond the limit nobody counts, but the next time still lies ahead.
  return { next: next !== null && next <= at ? times.next(at) : next, missed };
}
