import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { PolarisError } from '../../src/base/errors.ts';
import { NOTICE_ATTEMPTS_MAX, NOTICE_RETRY_MS_MAX, NOTICES_ASKING_MAX } from '../../src/base/limits-masters.ts';
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
  notices = this.lead();

  constructor() {
    this.pen.join();
  }

  /** The notices of a new leader, over the table as it stands. */
  lead(): Notices {
    const { time: clock, probe, executor, pen } = this;
    const propose = (command: Command, done: Done<Outcome>) => void this.proposed.push({ command, done });
    this.notices = new Notices({
      ...{ table: pen.table, clock, prng: createPrng(1), probe, executor, log: SILENT, propose },
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
  expect(desk.commit()).toMatchObject({ kind: 'job-notified', id: jobId(1), run: 1, ok: true });
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

test('it is given up in the end, and the table is told that nobody took it', () => {
  const desk = new Desk();
  desk.finish();
  desk.probe.answer = answered(404);
  for (let tries = 0; tries < NOTICE_ATTEMPTS_MAX; tries++) {
    expect(desk.proposed).toEqual([]);
    desk.time.pass(NOTICE_RETRY_MS_MAX);
    desk.notices.tick();
  }
  expect(desk.commit()).toMatchObject({ kind: 'job-notified', ok: false });
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
  expect(desk.commit()).toMatchObject({ ok: true });
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
  expect(desk.commit()).toMatchObject({ kind: 'job-notified', run: 1, ok: true });
});

test('a leader that lacks the Master does not strike its notice off', () => {
  const desk = new Desk();
  desk.pen.submit({ name: 'index', overseen: true });
  desk.pen.control('cancel');
  desk.notices.follow(desk.pen.job());
  desk.pass(NOTICE_RETRY_MS_MAX);
  expect([desk.executor.overseen, desk.probe.asked, desk.proposed]).toEqual([[], [], []]);
  expect(desk.pen.job().untold).toEqual([{ run: 1, state: 'cancelled' }]);
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
