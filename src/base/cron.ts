/**
 * Cron: when a schedule is due next, told from its text. The one place that reads such a text.
 *
 * Five fields (minute, hour, day, month, weekday) or six (a second before them), in the time zone that is named. The
 * library is asked for dates only and runs nothing itself: whoever asks brings the time, and what comes back is a number.
 *
 * Invariant: a due time lies strictly behind the time that was asked from.
 */
import { Cron } from 'croner';
import { assert } from './assert.ts';
import { errorText, PolarisError } from './errors.ts';
import { CRON_LENGTH_MAX, TIME_ZONE_LENGTH_MAX } from './limits.ts';

export interface CronTimes {
  /** The first due time after this one, both in epoch ms; null when there is none any more. */
  next(after: number): number | null;
}

/** @throws PolarisError BAD_OPTION with the field that cannot be read */
export function parseCron(text: string, timeZone: string): CronTimes {
  if (text.length > CRON_LENGTH_MAX || timeZone.length > TIME_ZONE_LENGTH_MAX) {
    throw new PolarisError(
      'BAD_OPTION',
      `a cron text has at most ${CRON_LENGTH_MAX} characters and a time zone ${TIME_ZONE_LENGTH_MAX}`,
    );
  }
  const cron = parsed(text, timeZone);
  return {
    next(after) {
      const due = cron.nextRun(new Date(after))?.getTime() ?? null;
      assert(due === null || due > after, 'a due time lies behind the time that was asked from');
      return due;
    },
  };
}

function parsed(text: string, timeZone: string): Cron {
  // The library takes a date in place of a text, too, which would be due once: that is what --at is for.
  const fields = text.trim().split(/\s+/).length;
  if (!text.startsWith('@') && fields !== 5 && fields !== 6) {
    throw new PolarisError('BAD_OPTION', `"${text}" is no cron text: it has ${fields} fields and needs five or six`);
  }
  let cron: Cron;
  let first: Date | null;
  try {
    cron = new Cron(text, { mode: '5-or-6-parts', timezone: timeZone, paused: true });
    // An unknown time zone is found out by using it.
    first = cron.nextRun(new Date(0));
  } catch (cause) {
    throw new PolarisError('BAD_OPTION', `"${text}" in ${timeZone} is no cron text: ${errorText(cause)}`, { cause });
  }
  if (first === null) throw new PolarisError('BAD_OPTION', `"${text}" in ${timeZone} is never due`);
  return cron;
}
