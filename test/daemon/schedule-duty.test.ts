import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { PolarisError } from '../../src/base/errors.ts';
import { MISSED_TIMES_MAX } from '../../src/base/limits.ts';
import { SILENT } from '../../src/base/log.ts';
import type { Done } from '../../src/daemon/api.ts';
import { cronTimes, ScheduleDuty, scheduledId } from '../../src/daemon/schedule-duty.ts';
import type { Command, Outcome, Schedule } from '../../src/ranges/types.ts';
import { Pen, specOf } from '../ranges/fixtures.ts';

const START = Date.parse('2026-11-21T04:00:00Z');
const MINUTE = 60_000;

type Fire = Extract<Command, { kind: 'fire-schedule' }>;

/** A leader's schedules over a table, whose log commits when the test says so. */
class Office {
  readonly pen = new Pen();
  readonly proposed: { readonly command: Command; readonly done: Done<Outcome> }[] = [];
  now = START;
  duty = this.lead();

  lead(): ScheduleDuty {
    this.duty = new ScheduleDuty({
      table: this.pen.table,
      log: SILENT,
      stamp: () => this.now,
      propose: (command, done) => void this.proposed.push({ command, done }),
    });
    return this.duty;
  }

  put(cron: string, key = 'nightly'): void {
    const { id: _id, ...spec } = specOf();
    const times = cronTimes({ cron, timeZone: 'UTC' });
    if (times instanceof PolarisError) throw times;
    const schedule = { key, cron, timeZone: 'UTC', spec };
    this.pen.apply({ kind: 'put-schedule', at: this.now, schedule, nextAt: times.next(this.now) });
  }

  pass(ms: number): void {
    this.now += ms;
    this.duty.tick();
  }

  commit(): Fire {
    const { command, done } = must(this.proposed.shift(), 'something was proposed');
    done({ ok: true, value: this.pen.apply(command) });
    if (command.kind !== 'fire-schedule') throw new Error(command.kind);
    return command;
  }

  schedule(key = 'nightly'): Schedule {
    return must(
      [...this.pen.table.schedules()].find((one) => one.key === key),
      'it was put',
    );
  }
}

test('a job is submitted at its time, under an id that follows from key and time, and the next time is set', () => {
  const office = new Office();
  office.put('*/5 * * * *');
  office.pass(5 * MINUTE - 1);
  expect(office.proposed).toEqual([]);
  // The duty looks ten times a second.
  office.pass(100);
  const due = START + 5 * MINUTE;
  const id = scheduledId('nightly', due);
  expect(office.commit()).toMatchObject({ key: 'nightly', due, next: due + 5 * MINUTE, missed: 0, id });
  expect(office.pen.job(id).spec.name).toBe('mail');
  expect(office.schedule()).toMatchObject({ nextAt: due + 5 * MINUTE, lastJob: id, skipped: 0 });
});

test('a time is proposed once, however long the log takes, and again when the log could not take it', () => {
  const office = new Office();
  office.put('*/5 * * * *');
  office.pass(5 * MINUTE);
  office.pass(1_000);
  expect(office.proposed).toHaveLength(1);
  office.proposed.shift()?.done({ ok: false, error: new PolarisError('OVERLOADED') });
  office.pass(100);
  expect(office.proposed).toHaveLength(1);
});

test('two leaders that propose the same time make one job', () => {
  const office = new Office();
  office.put('*/5 * * * *');
  office.pass(5 * MINUTE);
  office.lead();
  office.pass(100);
  const [first, second] = [office.commit(), office.commit()];
  expect(second.id).toBe(first.id);
  expect([...office.pen.table.jobs()]).toHaveLength(1);
});

test('times that passed while nobody led are made up for once, and the others are counted', () => {
  const office = new Office();
  office.put('*/5 * * * *');
  office.now += 62 * MINUTE;
  office.lead().tick();
  expect(office.commit()).toMatchObject({ due: START + 5 * MINUTE, next: START + 65 * MINUTE, missed: 11 });
  expect(office.schedule().skipped).toBe(11);
  office.pass(100);
  expect(office.proposed).toEqual([]);
});

test('beyond a limit nobody counts, and the next time still lies ahead', () => {
  const office = new Office();
  office.put('* * * * * *');
  office.pass(30 * 24 * 60 * MINUTE);
  const { missed, next } = office.commit();
  expect(missed).toBe(MISSED_TIMES_MAX);
  expect(next).toBe(office.now + 1_000);
});

test('a time at which the last job is still at work is passed over', () => {
  const office = new Office();
  office.put('*/5 * * * *');
  office.pass(5 * MINUTE);
  office.commit();
  office.pass(5 * MINUTE);
  office.commit();
  expect([...office.pen.table.jobs()]).toHaveLength(1);
  expect(office.schedule().skipped).toBe(1);
});

test('keys do not disturb each other, and equal times of different keys are different jobs', () => {
  const office = new Office();
  office.put('*/5 * * * *', 'one');
  office.put('*/5 * * * *', 'two');
  office.pass(5 * MINUTE);
  expect(new Set([office.commit().id, office.commit().id]).size).toBe(2);
  expect([...office.pen.table.jobs()]).toHaveLength(2);
});

test('an id of a schedule is a UUIDv4 like any other', () => {
  expect(scheduledId('nightly', START)).toMatch(
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
  expect(scheduledId('nightly', START)).toBe(scheduledId('nightly', START));
  expect(scheduledId('nightl', START)).not.toBe(scheduledId('nightly', START));
});
