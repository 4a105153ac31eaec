/**
 * What an operator does to jobs that are there: what may change changes at once, the spec never, and a job that does not
 * get on says why.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { UNCERTAIN_RANGES_MAX } from '../../src/base/limits.ts';
import { FakeNode, ID_1, ID_2, listen, serverOf } from './fake-node.ts';

let node: FakeNode;
let app: ReturnType<typeof serverOf>;
beforeEach(() => {
  node = new FakeNode();
  app = serverOf(node);
});
afterEach(() => app.close());

const show = async (id = ID_1) => (await app.inject(`/v1/jobs/${id}`)).json();

describe('set', () => {
  const set = (payload: object | string, id = ID_1) =>
    app.inject({
      ...{ method: 'PATCH', url: `/v1/jobs/${id}`, headers: { 'content-type': 'application/json' } },
      payload,
    });

  test('changes what is said and nothing else, and leaves the options as they were submitted', async () => {
    node.pen.submit({ id: ID_1, options: { weight: 3 } });
    const job = (await set({ options: { pointsPerSecond: 50, tolerate: '5%' } }, ID_1.slice(0, 30))).json();
    expect(job.controls).toEqual({
      ...{ priority: 0, weight: 3, maxConcurrency: null, pointsPerSecond: 50, tolerate: '5%' },
    });
    expect(job.options).toMatchObject({ weight: 3, pointsPerSecond: null, tolerate: 1_000 });
    expect((await set({ options: { pointsPerSecond: null } })).json().controls).toMatchObject({
      ...{ pointsPerSecond: null, tolerate: '5%' },
    });
  });

  test.each([
    ['an unknown option', { options: { wieght: 1 } }, 'BAD_OPTION', /"wieght"/],
    ['an option that stays', { options: { commitEvery: 1 } }, 'BAD_OPTION', /^commitEvery stays/],
    ['a value out of bounds', { options: { weight: 0 } }, 'BAD_OPTION', /^weight /],
    ['no bound where there must be one', { options: { priority: null } }, 'BAD_OPTION', /^priority /],
    ['a tolerance of nothing', { options: { tolerate: null } }, 'BAD_OPTION', /^tolerate must not be null/],
    ['no options', { options: {} }, 'BAD_OPTION', /empty/],
    ['options that are a list', { options: [] }, 'BAD_OPTION', /object/],
    ['nothing', {}, 'BAD_OPTION', /options is missing/],
    ['a field that is not known', { options: { weight: 2 }, state: 'done' }, 'BAD_REQUEST', /"state"/],
    ['an empty body', '', 'BAD_JSON', /empty/],
  ])('%s is refused by name, and changes nothing', async (_what, payload, code, detail) => {
    node.pen.submit({ id: ID_1 });
    const before = node.pen.table.appliedIndex;
    const problem = (await set(payload)).json();
    expect(problem).toMatchObject({ code, status: 400 });
    expect(problem.detail).toMatch(detail);
    expect(node.pen.table.appliedIndex).toBe(before);
  });

  test('a finished job is WRONG_STATE, an unknown one JOB_NOT_FOUND', async () => {
    node.pen.submit({ id: ID_1 });
    node.pen.control('cancel', ID_1);
    expect((await set({ options: { weight: 2 } })).json()).toMatchObject({ code: 'WRONG_STATE' });
    expect((await set({ options: { weight: 2 } }, ID_2)).json()).toMatchObject({ code: 'JOB_NOT_FOUND' });
  });

  test('is sent on to the leader by a node that does not lead', async () => {
    node.pen.submit({ id: ID_1 });
    const follower = new FakeNode('n2');
    const edge = serverOf(follower);
    Object.assign(follower, { leading: false, leader: await listen(app) });
    const payload = { options: { priority: 7 } };
    const response = await edge.inject({ method: 'PATCH', url: `/v1/jobs/${ID_1}`, payload });
    expect(response.json().controls).toMatchObject({ priority: 7 });
    expect(node.pen.job(ID_1).controls.priority).toBe(7);
    await edge.close();
  });
});

describe('the reason of a job that does not get on', () => {
  test('is the job that it waits for, then its time, then who offers it, then what holds it', async () => {
    const at = Date.now() + 3_600_000;
    node.throttled = 'held by the throttle: it answered 503';
    node.pen.submit({ id: ID_2 });
    node.pen.submit({ id: ID_1, options: { after: ID_2, at } });
    expect((await show()).reason).toBe(`waits for job ${ID_2}`);
    node.pen.join('w1', ['other']);
    node.pen.submit({ id: '11111111-1111-4111-8111-333333333333', options: { at } });
    expect((await show('11111111-1111-4111-8111-333333333333')).reason).toBe(`starts at ${new Date(at).toISOString()}`);
    expect((await show(ID_2)).reason).toBe('no worker offers "mail"');
    node.pen.join('w2');
    expect((await show(ID_2)).reason).toBe('held by the throttle: it answered 503');
    node.throttled = null;
    expect((await show(ID_2)).reason).toBeNull();
  });

  test('is none for a job that a person has paused or that is finished, whatever holds it', async () => {
    node.pen.submit({ id: ID_1 });
    node.pen.join('w1');
    node.throttled = 'held by the throttle: it answered 503';
    node.pen.control('cancel', ID_1);
    expect((await show()).reason).toBeNull();
  });
});

describe('a submit', () => {
  const submit = (options: object) =>
    app.inject({ method: 'POST', url: '/v1/jobs', payload: { name: 'mail', start: 0, end: 10, options } });

  test('of a delivery that the job type cannot keep names the type, and what it keeps', async () => {
    const problem = (await submit({ delivery: 'exactly-once' })).json();
    expect(problem).toMatchObject({ code: 'BAD_OPTION', status: 400 });
    expect(problem.detail).toMatch(/"mail" cannot keep exactly-once; it keeps at-least-once, at-most-once/);
    expect([...node.pen.table.jobs()]).toEqual([]);
  });

  test('of a delivery that the job type keeps is taken', async () => {
    node.types = node.types.map((type) => ({ ...type, deliveries: ['exactly-once'] }));
    expect((await submit({ delivery: 'exactly-once' })).statusCode).toBe(201);
    expect((await submit({})).json()).toMatchObject({ code: 'BAD_OPTION', detail: /cannot keep at-least-once/ });
  });

  test('of a delivery that hangs on the metadata is taken where the metadata fits, and else told why not', async () => {
    const fenced = { properties: { sink: { pattern: '^fenced:' } } };
    node.types = node.types.map((type) => ({
      ...type,
      metadataSchema: null,
      deliveriesWhen: { 'exactly-once': fenced },
    }));
    const wanted = (sink: string) => {
      const options = { delivery: 'exactly-once' };
      const payload = { name: 'mail', start: 0, end: 10, metadata: { sink }, options };
      return app.inject({ method: 'POST', url: '/v1/jobs', payload });
    };
    expect((await wanted('fenced:a')).statusCode).toBe(201);
    const problem = (await wanted('file:a')).json();
    expect(problem).toMatchObject({ code: 'BAD_OPTION', status: 400 });
    expect(problem.detail).toMatch(
      /"mail" keeps exactly-once only for some metadata: metadata\.sink must match .*; otherwise it keeps at-least-once, at-most-once/,
    );
  });

  test('of a type that the leader does not have is taken with what Polaris keeps by itself', async () => {
    node.types = [];
    node.pen.join('w1');
    expect((await submit({ delivery: 'at-most-once' })).statusCode).toBe(201);
    expect((await submit({ delivery: 'exactly-once' })).json().code).toBe('BAD_OPTION');
  });

  test('after a job that is not there is refused', async () => {
    expect((await submit({ after: ID_2 })).json()).toMatchObject({ code: 'JOB_NOT_FOUND', status: 404 });
  });
});

describe('failures', () => {
  test('the format of the query goes over that of the header, and nothing else is one', async () => {
    node.pen.submit({ id: ID_1 });
    const url = `/v1/jobs/${ID_1}/failures`;
    const typeOf = async (query: string, accept: string) =>
      (await app.inject({ url: url + query, headers: { accept } })).headers['content-type'];
    expect(await typeOf('?format=csv', 'application/json')).toMatch('text/csv');
    expect(await typeOf('?format=json', 'text/csv')).toMatch('application/json');
    expect(await typeOf('', '*/*')).toMatch('application/json');
    expect((await app.inject(`${url}?format=xml`)).json()).toMatchObject({ code: 'BAD_REQUEST' });
    expect((await app.inject(`/v1/jobs/${ID_2}/failures`)).json()).toMatchObject({ code: 'JOB_NOT_FOUND' });
  });

  test('many ranges are written piece by piece and arrive whole, in either form', async () => {
    node.pen.submit({
      id: ID_1,
      end: UNCERTAIN_RANGES_MAX,
      options: { delivery: 'at-most-once', taskSize: 2, tolerate: '100%' },
    });
    node.pen.join('w1');
    // A job of which nothing succeeds would pause.
    node.pen.complete(node.pen.grant(2, { job: ID_1 }));
    const count = 600;
    for (let number = 0; number < count; number++) {
      const epoch = node.pen.grant(2, { job: ID_1 });
      const { start, end } = must(node.pen.table.task(epoch), 'a granted task is live');
      node.pen.progress(epoch, start, end);
      node.pen.fail(epoch, start, start + 1, `no ${number}`);
    }
    const { failed, uncertain } = node.pen.job(ID_1);
    expect(failed.length + uncertain.length).toBe(count);
    const json = (await app.inject(`/v1/jobs/${ID_1}/failures`)).json();
    expect([json.failed.length, json.uncertain.length]).toEqual([failed.length, uncertain.length]);
    expect(json.uncertain.at(-1)).toMatchObject({ start: uncertain.at(-1)?.start, epoch: uncertain.at(-1)?.epoch });
    const csv = (await app.inject(`/v1/jobs/${ID_1}/failures?format=csv`)).payload;
    expect(csv.split('\r\n')).toHaveLength(failed.length + uncertain.length + 2);
  });
});
