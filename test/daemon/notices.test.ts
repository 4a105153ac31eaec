import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { PolarisError } from '../../src/base/errors.ts';
import { FINISHED_JOBS_AGE_MS } from '../../src/base/limits.ts';
import {
  NOTICE_RETRY_MS_MAX,
  NOTICE_TURNS_AFTER,
  NOTICES_AGAIN_MAX,
  NOTICES_ASKING_MAX,
} from '../../src/base/limits-masters.ts';
import { SILENT } from '../../src/base/log.ts';
import { createPrng } from '../../src/base/prng.ts';
import type { Done } from '../../src/daemon/api.ts';
import { Notices } from '../../src/daemon/notices.ts';
import type { Command, Outcome } from '../../src/ranges/types.ts';
import { jobId, Pen } from '../ranges/fixtures.ts';
import { answered, HandExecutor, HandProbe, HandTime } from './fakes.ts';

const onDone = 'http://crm/done';

/** A leader's notices over a table, whose log commits when the test says so. */
class Desk {
  readonly time = new HandTime();
  readonly probe = new HandProbe();
  readonly executor = new HandExecutor(['mail'], 'window', true);
  readonly pen = new Pen();
  readonly proposed: { readonly command: Command; readonly done: Done<Outcome> }[] = [];
  readonly warned: unknown[] = [];
  notices = this.lead();

  constructor() {
    this.pen.join();
  }

  /** The notices of a new leader, over the table as it stands. */
  lead(): Notices {
    const { time: clock, probe, executor, pen } = this;
    const propose = (command: Command, done: Done<Outcome>) => void this.proposed.push({ command, done });
    const log = { ...SILENT, warn: (fields: object, event: string) => void this.warned.push({ event, ...fields }) };
    this.notices = new Notices({
      ...{ table: pen.table, clock, prng: createPrng(1), probe, executor, log, propose },
      stamp: () => clock.now(),
    });
    for (const job of pen.table.jobs()) this.notices.follow(job);
    return this.notices;
  }

  /** A job that somebody wants to hear of, done. */
  finish(id = jobId(1), more: { readonly overseen?: boolean } = {}): void {
    this.pen.submit({ id, end: 10, options: { onDone }, ...more });
    this.pen.complete(this.pen.grant(10, { job: id }));
    this.notices.follow(this.pen.job(id));
  }

  pass(ms: number): number {
    const before = this.probe.asked.length;
    for (let left = ms; left > 0; left -= 20) {
      this.time.pass(Math.min(20, left));
      this.notices.tick();
    }
    return this.probe.asked.length - before;
  }

  /** So often the longest back-off, with one tick behind each; gives how often somebody was asked. */
  tryOn(times: number): number {
    const before = this.probe.asked.length + this.executor.overseen.length;
    for (let left = times; left > 0; left--) {
      this.time.pass(NOTICE_RETRY_MS_MAX);
      this.notices.tick();
    }
    return this.probe.asked.length + this.executor.overseen.length - before;
  }

  commit(): Command {
    const { command, done } = must(this.proposed.shift(), 'something was proposed');
    const outcome = this.pen.apply(command);
    done({ ok: true, value: outcome });
    for (const job of this.pen.table.jobs()) this.notices.follow(job);
    return command;
  }
}

test('the end of a job is told with its numbers and a key, and is struck off when somebody took it', () => {
  const desk = new Desk();
  desk.finish();
  desk.pass(20);
  const { what, request } = must(desk.probe.asked[0], 'it is told');
  expect(what).toBe(`POST ${onDone}`);
  expect(request?.headers).toEqual({ 'content-type': 'application/json', 'idempotency-key': `${jobId(1)}/1` });
  expect(JSON.parse(request?.body ?? '')).toEqual({
    job: jobId(1),
    name: 'mail',
    start: 0,
    end: 10,
    run: 1,
    state: 'done',
    progress: { total: 10, done: 10, failed: 0, uncertain: 0, reexecuted: 0 },
  });
  desk.probe.reply(answered(204));
  expect(desk.commit()).toMatchObject({ kind: 'job-notified', id: jobId(1), run: 1 });
  expect(desk.pen.job().untold).toEqual([]);
  expect(desk.pass(NOTICE_RETRY_MS_MAX)).toBe(0);
});

test('nobody is told of a job that nobody wanted to hear of, or that still runs', () => {
  const desk = new Desk();
  desk.pen.submit({ end: 10 });
  desk.pen.complete(desk.pen.grant(10));
  desk.pen.submit({ id: jobId(2), options: { onDone } });
  for (const job of desk.pen.table.jobs()) desk.notices.follow(job);
  expect(desk.pass(1_000)).toBe(0);
});

test('what was not taken is told again, ever more seldom, under the same key', () => {
  const desk = new Desk();
  desk.finish();
  desk.pass(20);
  const keys = new Set<string | undefined>();
  for (let tries = 1; tries <= 12; tries++) {
    keys.add(desk.probe.asked[0]?.request?.headers['idempotency-key']);
    desk.probe.reply(tries % 2 === 0 ? answered(500) : { kind: 'unreachable', why: 'ECONNREFUSED' });
    const from = desk.time.now();
    while (desk.pass(20) === 0);
    const full = Math.min(500 * 2 ** (tries - 1), NOTICE_RETRY_MS_MAX);
    expect(desk.time.now() - from).toBeGreaterThanOrEqual(full / 2);
    expect(desk.time.now() - from).toBeLessThanOrEqual(full + 20);
  }
  expect([...keys]).toEqual([`${jobId(1)}/1`]);
  expect(desk.proposed).toEqual([]);
});

test('it is told as long as its job is kept, and a warning names the job when that is over', () => {
  const desk = new Desk();
  desk.finish();
  desk.probe.answer = answered(404);
  desk.tryOn(1_000);
  expect(desk.warned).toHaveLength(1_000);
  expect(desk.proposed).toEqual([]);
  desk.pen.at += FINISHED_JOBS_AGE_MS + 1;
  desk.pen.submit({ id: jobId(2) });
  expect(desk.pen.last).toContainEqual({ kind: 'job-evicted', job: jobId(1) });
  desk.notices.forget(jobId(1));
  expect(desk.warned.at(-1)).toEqual({ event: 'notice-lost', job: jobId(1), run: 1, left: ['webhook'], tries: 1_000 });
  desk.tryOn(3);
  expect(desk.warned).toHaveLength(1_001);
});

test('a new leader goes on where the last one was lost, with the same key', () => {
  const desk = new Desk();
  desk.finish();
  desk.pass(20);
  desk.notices.close();
  const lost = must(desk.probe.asked.shift(), 'it was told');
  desk.lead();
  expect(desk.pass(20)).toBe(1);
  expect(desk.probe.asked[0]?.request).toEqual(lost.request);
  // What the former leader hears now is nobody's.
  lost.done(answered(200));
  expect(desk.proposed).toEqual([]);
});

test('what was taken is not told again because the log was slow or full', () => {
  const desk = new Desk();
  desk.finish();
  desk.pass(20);
  desk.probe.reply(answered(200));
  desk.proposed.shift()?.done({ ok: false, error: new PolarisError('OVERLOADED') });
  expect(desk.pass(2_000)).toBe(0);
  expect(desk.commit()).toMatchObject({ kind: 'job-notified', run: 1 });
});

test('no more are told at a time than the limit, and none is forgotten', () => {
  const desk = new Desk();
  const jobs = NOTICES_ASKING_MAX + 3;
  for (let number = 1; number <= jobs; number++) desk.finish(jobId(number));
  desk.pass(20);
  expect(desk.probe.asked).toHaveLength(NOTICES_ASKING_MAX);
  for (let turns = 0; turns < jobs; turns++) {
    desk.probe.reply(answered(200));
    desk.pass(20);
    desk.commit();
  }
  expect([...desk.pen.table.jobs()].every((job) => job.untold.length === 0)).toBe(true);
});

test('the Master of a job hears of its end before anybody else, and until it has taken it', () => {
  const desk = new Desk();
  desk.finish(jobId(1), { overseen: true });
  desk.pass(20);
  expect(desk.probe.asked).toEqual([]);
  const first = must(desk.executor.overseen.shift(), 'the Master is called');
  expect(first.call).toMatchObject({ kind: 'complete', name: 'mail', metadata: '{}' });
  expect(first.call.report).toMatchObject({ job: jobId(1), run: 1, state: 'done', progress: { done: 10 } });
  first.done('the Master threw');
  expect(desk.pass(20)).toBe(0);
  desk.pass(NOTICE_RETRY_MS_MAX);
  must(desk.executor.overseen.shift(), 'the Master is called again').done(null);
  expect(desk.pass(20)).toBe(1);
  desk.probe.reply(answered(200));
  expect(desk.commit()).toMatchObject({ kind: 'job-notified', run: 1 });
});

test('a leader that lacks the Master never strikes its notice off', () => {
  const desk = new Desk();
  desk.pen.submit({ name: 'index', overseen: true });
  desk.pen.control('cancel');
  desk.notices.follow(desk.pen.job());
  desk.tryOn(1_000);
  expect([desk.executor.overseen, desk.probe.asked, desk.proposed]).toEqual([[], [], []]);
  expect(desk.warned).toHaveLength(1_000);
  expect(desk.pen.job().untold).toEqual([{ run: 1, state: 'cancelled' }]);
});

test('a Master that never takes it does not keep it from the webhook, and is told on', () => {
  const desk = new Desk();
  desk.finish(jobId(1), { overseen: true });
  for (let tries = 1; tries <= NOTICE_TURNS_AFTER; tries++) {
    expect([desk.tryOn(1), desk.probe.asked]).toEqual([1, []]);
    must(desk.executor.overseen.shift(), 'the Master is called').done('it threw');
  }
  desk.tryOn(1);
  desk.probe.reply(answered(200));
  for (let tries = 1; tries <= 2 * NOTICE_TURNS_AFTER; tries++) {
    desk.tryOn(1);
    must(desk.executor.overseen.shift(), 'the Master is called again').done('it threw');
  }
  expect([desk.probe.asked, desk.proposed]).toEqual([[], []]);
  desk.tryOn(1);
  must(desk.executor.overseen.shift(), 'and again').done(null);
  expect(desk.commit()).toMatchObject({ kind: 'job-notified', run: 1 });
});

test('receivers that do not answer keep the news from nobody else, and each has its turn', () => {
  const desk = new Desk();
  const silent = 2 * NOTICES_AGAIN_MAX + 1;
  for (let number = 1; number <= silent; number++) desk.finish(jobId(number));
  const asked = new Set<string | undefined>();
  const refuse = () => {
    asked.add(desk.probe.asked[0]?.request?.headers['idempotency-key']);
    desk.probe.reply({ kind: 'unreachable', why: 'nobody answered in time' });
  };
  desk.tryOn(2);
  while (desk.probe.asked.length > 0) refuse();
  desk.tryOn(1);
  while (desk.probe.asked.length > 0) refuse();
  asked.clear();
  for (let rounds = 0; rounds < 3; rounds++) {
    expect(desk.tryOn(1)).toBe(NOTICES_AGAIN_MAX);
    desk.finish(jobId(silent + 1 + rounds));
    expect(desk.tryOn(1)).toBe(1);
    for (let each = 0; each <= NOTICES_AGAIN_MAX; each++) refuse();
  }
  expect(asked.size).toBe(silent + 3);
});

test('runs that ended one after the other are told one after the other, each as it ended', () => {
  const desk = new Desk();
  desk.pen.submit({ end: 10, options: { onDone, maxAttempts: 1 } });
  desk.pen.fail(desk.pen.grant(10), 0, 10);
  desk.pen.apply({ kind: 'retry-job', id: jobId(1), range: null, uncertain: false });
  desk.notices.follow(desk.pen.job());
  desk.pass(20);
  desk.pen.complete(desk.pen.grant(10));
  desk.notices.follow(desk.pen.job());
  const told = () => JSON.parse(desk.probe.asked[0]?.request?.body ?? '{}');
  expect(told()).toMatchObject({ run: 1, state: 'failed' });
  desk.probe.reply(answered(200));
  desk.commit();
  desk.pass(20);
  expect(told()).toMatchObject({ run: 2, state: 'done' });
});
