/**
 * Schedules: put as often as one likes, judged as a submit is judged, taken away without their jobs.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FakeNode, ID_1, listen, NEXT_AT, serverOf } from './fake-node.ts';

let node: FakeNode;
let app: ReturnType<typeof serverOf>;
beforeEach(() => {
  node = new FakeNode();
  app = serverOf(node);
});
afterEach(() => app.close());

const JOB = { name: 'mail', start: 0, end: 10, metadata: { b: 1, a: 2 }, options: { weight: 5 } };
const GOOD = { cron: '0 3 * * *', job: JOB };

const put = (key: string, payload: object) => app.inject({ method: 'PUT', url: `/v1/schedules/${key}`, payload });

test('a new one is 201, the same again 200, and another one in its place 200', async () => {
  const first = await put('nightly', GOOD);
  expect([first.statusCode, first.headers['location']]).toEqual([201, '/v1/schedules/nightly']);
  expect(first.json()).toMatchObject({
    ...{ key: 'nightly', cron: '0 3 * * *', timeZone: 'UTC', nextAt: '2026-01-02T03:00:00.000Z' },
    job: { name: 'mail', start: 0, end: 10, metadata: { a: 2, b: 1 }, options: { weight: 5, commitEvery: 100 } },
    ...{ lastJob: null, skipped: 0 },
  });
  expect((await put('nightly', GOOD)).statusCode).toBe(200);
  const other = await put('nightly', { ...GOOD, cron: '@weekly', timeZone: 'Europe/Berlin' });
  expect(other.json()).toMatchObject({ cron: '@weekly', timeZone: 'Europe/Berlin' });
  expect((await app.inject('/v1/schedules')).json().schedules).toHaveLength(1);
});

test('they are listed in the order of their keys, page by page, and shown one by one', async () => {
  for (const key of ['c', 'a', 'b']) await put(key, GOOD);
  const first = (await app.inject('/v1/schedules?limit=2')).json();
  expect(first.schedules.map(({ key }: { key: string }) => key)).toEqual(['a', 'b']);
  const second = (await app.inject(`/v1/schedules?limit=2&after=${first.next}`)).json();
  expect(second).toMatchObject({ schedules: [{ key: 'c' }], next: null });
  expect((await app.inject('/v1/schedules/c')).json()).toEqual(second.schedules[0]);
});

test('what it submitted is shown as its last job, and stays when it is taken away', async () => {
  await put('nightly', GOOD);
  node.pen.apply({ kind: 'fire-schedule', key: 'nightly', due: NEXT_AT, next: null, missed: 4, id: ID_1 });
  expect((await app.inject('/v1/schedules/nightly')).json()).toMatchObject({ lastJob: ID_1, nextAt: null, skipped: 4 });
  const dropped = await app.inject({ method: 'DELETE', url: '/v1/schedules/nightly' });
  expect(dropped.json()).toMatchObject({ key: 'nightly', lastJob: ID_1 });
  expect((await app.inject('/v1/schedules/nightly')).json()).toMatchObject({ code: 'NOT_FOUND' });
  expect((await app.inject(`/v1/jobs/${ID_1}`)).json()).toMatchObject({ id: ID_1, name: 'mail' });
  const again = await app.inject({ method: 'DELETE', url: '/v1/schedules/nightly' });
  expect(again.json()).toMatchObject({ code: 'NOT_FOUND', status: 404 });
});

test('a node that does not lead sends it on whole', async () => {
  const follower = new FakeNode('n2');
  const edge = serverOf(follower);
  Object.assign(follower, { leading: false, leader: await listen(app) });
  const response = await edge.inject({ method: 'PUT', url: '/v1/schedules/nightly', payload: GOOD });
  expect(response.statusCode).toBe(201);
  expect(node.pen.table.schedule('nightly')?.spec.metadata).toBe('{"a":2,"b":1}');
  expect((await edge.inject({ method: 'DELETE', url: '/v1/schedules/nightly' })).statusCode).toBe(200);
  await edge.close();
});

describe('is refused, and changes nothing:', () => {
  test.each([
    ['three fields', { ...GOOD, cron: '0 3 *' }, 'BAD_OPTION', /cron text/],
    ['a minute that is none', { ...GOOD, cron: '61 3 * * *' }, 'BAD_OPTION', /cron text/],
    ['a day that never comes', { ...GOOD, cron: '0 0 30 2 *' }, 'BAD_OPTION', /never due/],
    ['a time zone that is none', { ...GOOD, timeZone: 'Mars/Olympus' }, 'BAD_OPTION', /Mars/],
    ['no cron text', { job: JOB }, 'BAD_REQUEST', /cron is missing/],
    ['no job', { cron: '@daily' }, 'BAD_REQUEST', /job is missing/],
    ['a job with an id', { ...GOOD, job: { ...JOB, id: ID_1 } }, 'BAD_REQUEST', /job .*"id"/],
    ['an empty range', { ...GOOD, job: { ...JOB, end: 0 } }, 'BAD_RANGE', /empty/],
    ['an unknown option', { ...GOOD, job: { ...JOB, options: { x: 1 } } }, 'BAD_OPTION', /"x"/],
    ['a time of its own', { ...GOOD, job: { ...JOB, options: { at: 5 } } }, 'BAD_OPTION', /leave out at/],
    ['a job to wait for', { ...GOOD, job: { ...JOB, options: { after: ID_1 } } }, 'BAD_OPTION', /leave out after/],
    ['an unknown job type', { ...GOOD, job: { ...JOB, name: 'male' } }, 'UNKNOWN_JOB_TYPE', /"male"/],
    [
      'a delivery it cannot keep',
      { ...GOOD, job: { ...JOB, options: { delivery: 'exactly-once' } } },
      'BAD_OPTION',
      /keep/,
    ],
    ['an unknown field', { ...GOOD, paused: true }, 'BAD_REQUEST', /"paused"/],
  ])('%s', async (_what, payload, code, detail) => {
    const problem = (await put('nightly', payload)).json();
    expect(problem).toMatchObject({ code, status: 400 });
    expect(problem.detail).toMatch(detail);
    expect([...node.pen.table.schedules()]).toEqual([]);
  });

  test('a key with a blank', async () => {
    expect((await put('every%20night', GOOD)).json()).toMatchObject({ code: 'BAD_REQUEST' });
  });
});
