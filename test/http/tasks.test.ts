/**
 * What runners send and are answered, over a node that writes down what it is asked.
 */
import { request as sendRequest } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { CLAIM_WAIT_MS_MAX, CLAIMS_WAITING_MAX, OFFERS_MAX, SLOTS_MAX } from '../../src/base/limits.ts';
import type { RunnerAnswer } from '../../src/daemon/runner-api.ts';
import { orderOf } from '../daemon/shop.ts';
import { FakeNode, ID_1, listen, serverOf } from './fake-node.ts';

const WHO = { worker: 'py-1', instance: ID_1 };
const LIVING = { ...WHO, session: 50 };
const JOIN = { ...WHO, offers: [{ name: 'thumbnails' }] };
const ANSWER: RunnerAnswer = {
  ...{ worker: '@py-1', session: 50, sessionTtlMs: 5_000, task: null },
  ...{ orders: [], stop: [], release: [], shrink: [], drain: false },
};

let node: FakeNode;
let app: ReturnType<typeof serverOf>;
beforeEach(() => {
  node = new FakeNode();
  app = serverOf(node);
  node.answerRunner = (_request, done) => done({ ok: true, value: ANSWER });
});
afterEach(() => app.close());

const post = (path: string, payload?: object) =>
  app.inject({ method: 'POST', url: `/v1/tasks/${path}`, ...(payload === undefined ? {} : { payload }) });

describe('a claim', () => {
  test('without a session joins', async () => {
    const response = await post('claim', { ...JOIN, slots: 4 });
    expect(response.json()).toEqual({
      ...{ worker: '@py-1', session: 50, sessionTtlMs: 5_000, task: null, tasks: [] },
      ...{ stop: [], release: [], shrink: [], drain: false },
    });
    expect(node.questions).toEqual([
      {
        ...{ kind: 'join', worker: '@py-1', instanceId: ID_1, slots: 4, replaces: null },
        offers: [{ name: 'thumbnails', hash: '' }],
      },
    ]);
    await post('claim', { ...JOIN, replaces: 50 });
    expect(node.questions[1]).toMatchObject({ kind: 'join', replaces: 50 });
  });

  test('with one asks for tasks', async () => {
    const order = orderOf(77, { cursor: 20, claimed: 20, metadata: '{"size":7}', attempts: 1 });
    node.answerRunner = (_request, done) => done({ ok: true, value: { ...ANSWER, orders: [order], stop: [7] } });
    const response = await post('claim', { ...LIVING, epochs: [7], max: 1, waitMs: 1_000, draining: true });
    expect(node.questions).toEqual([
      {
        ...{ kind: 'claim', worker: '@py-1', instanceId: ID_1, session: 50, epochs: [7], tasksMax: 1, waitMs: 1_000 },
        draining: true,
      },
    ]);
    expect(response.json()).toMatchObject({
      stop: [7],
      tasks: [
        {
          ...{ epoch: 77, name: 'mail', start: 0, end: 100, cursor: 20, limit: 30, attempts: 1 },
          ...{ delivery: 'at-least-once', commitEvery: 10, taskTimeoutMs: null, metadata: { size: 7 } },
        },
      ],
    });
    expect(Object.keys(response.json().tasks[0])).not.toContain('options');
  });

  test('of at-most-once work may begin nothing before it has claimed it', async () => {
    const once = orderOf(77, { options: { ...orderOf(1).options, delivery: 'at-most-once' } });
    node.answerRunner = (_request, done) => done({ ok: true, value: { ...ANSWER, orders: [once] } });
    expect((await post('claim', LIVING)).json().tasks).toMatchObject([{ cursor: 0, limit: 0 }]);
  });

  test('is taken back when its client goes away', async () => {
    const gone = new Promise<void>((resolve) => {
      node.answerRunner = () => {
        setImmediate(() => outgoing.destroy());
        const timer = setInterval(() => {
          if (node.takenBack === 0) return;
          clearInterval(timer);
          resolve();
        }, 5);
      };
    });
    const [host, port] = (await listen(app)).split(':');
    const outgoing = sendRequest({ host, port: Number(port), method: 'POST', path: '/v1/tasks/claim' });
    outgoing.on('error', () => {});
    outgoing.setHeader('content-type', 'application/json');
    outgoing.end(JSON.stringify({ ...LIVING, waitMs: 30_000 }));
    await gone;
    expect(node.takenBack).toBe(1);
  });

  test('that was forwarded is taken back when its client leaves the node that forwards', async () => {
    const edgeNode = new FakeNode('n2');
    const edge = serverOf(edgeNode);
    Object.assign(edgeNode, { leading: false, leader: await listen(app) });
    const asked = new Promise<void>((resolve) => {
      node.answerRunner = () => resolve();
    });
    const [host, port] = (await listen(edge)).split(':');
    const outgoing = sendRequest({ host, port: Number(port), method: 'POST', path: '/v1/tasks/claim' });
    outgoing.on('error', () => {});
    outgoing.setHeader('content-type', 'application/json');
    outgoing.end(JSON.stringify({ ...LIVING, waitMs: 30_000 }));
    await asked;
    outgoing.destroy();
    await expect.poll(() => node.takenBack).toBe(1);
    await edge.close();
  });

  test('is sent on to another node when its own one stops', async () => {
    const asked = new Promise<void>((resolve) => {
      node.answerRunner = () => resolve();
    });
    const waiting = post('claim', { ...LIVING, waitMs: 30_000 });
    await asked;
    await app.close();
    expect((await waiting).statusCode).toBe(503);
    expect(node.takenBack).toBe(1);
  });

  test(`is one of ${CLAIMS_WAITING_MAX} that wait on a node; the next is to come again`, async () => {
    const answers: (() => void)[] = [];
    node.answerRunner = (_request, done) => void answers.push(() => done({ ok: true, value: ANSWER }));
    const waiting = Array.from({ length: CLAIMS_WAITING_MAX }, () => post('claim', { ...LIVING, waitMs: 30_000 }));
    await expect.poll(() => answers.length).toBe(CLAIMS_WAITING_MAX);
    const refused = await post('claim', LIVING);
    expect(refused.statusCode).toBe(503);
    expect(refused.headers['retry-after']).toBe('1');
    expect(refused.json()).toMatchObject({ code: 'OVERLOADED', retryable: true });
    for (const answer of answers) answer();
    for (const response of await Promise.all(waiting)) expect(response.statusCode).toBe(200);
    node.answerRunner = (_request, done) => done({ ok: true, value: ANSWER });
    expect((await post('claim', LIVING)).statusCode).toBe(200);
  });
});

describe('a task', () => {
  test.each([
    ['progress', { cursor: 5, claimed: 8, keep: 50 }, { cursor: 5, claimed: 8, keep: 50, ending: null, begun: null }],
    ['progress', { cursor: -0 }, { cursor: 0, claimed: null, keep: null, epochs: null }],
    ['complete', { cursor: 100, epochs: [77] }, { cursor: 100, begun: 100, ending: 'complete', epochs: [77] }],
    ['release', { cursor: 5 }, { cursor: 5, begun: null, ending: 'release' }],
    ['release', { cursor: 5, begun: 6 }, { cursor: 5, begun: 6, ending: 'release' }],
    ['fail', { cursor: 5, error: 'boom' }, { cursor: 5, begun: null, ending: 'fail', error: 'boom' }],
  ])('%s %o', async (word, body, question) => {
    const task = { epoch: 77, cursor: 5, claimed: 5, end: 100, limit: 15, state: 'live', checkpoint: null } as const;
    node.answerRunner = (_request, done) => done({ ok: true, value: { ...ANSWER, task } });
    const response = await post(`77/${word}`, { ...LIVING, ...body });
    expect(node.questions).toMatchObject([{ kind: 'report', epoch: 77, worker: '@py-1', session: 50, ...question }]);
    expect(response.json().task).toEqual({ epoch: 77, state: 'live', cursor: 5, end: 100, limit: 15 });
  });

  test.each([
    ['STALE_EPOCH', 410],
    ['SESSION_ENDED', 410],
    ['INSTANCE_MISMATCH', 403],
    ['OUTCOME_UNKNOWN', 503],
  ] as const)('%s is %i', async (code, status) => {
    node.answerRunner = (_request, done) => done({ ok: false, error: new PolarisError(code) });
    const response = await post('77/progress', { ...LIVING, cursor: 5 });
    expect([response.statusCode, response.json().code]).toEqual([status, code]);
  });

  test('is forwarded to the leader with its body', async () => {
    const edgeNode = new FakeNode('n2');
    const edge = serverOf(edgeNode);
    Object.assign(edgeNode, { leading: false, leader: await listen(app) });
    const payload = { ...LIVING, cursor: 5 };
    const response = await edge.inject({ method: 'POST', url: '/v1/tasks/77/progress', payload });
    expect(response.statusCode).toBe(200);
    expect(node.questions).toMatchObject([{ epoch: 77, cursor: 5 }]);
    expect(edgeNode.questions).toEqual([]);
    await edge.close();
  });
});

describe('what is refused before anybody is asked', () => {
  const many = (count: number) => Array.from({ length: count }, (_, at) => at + 1);
  test.each([
    ['no body', 'claim', undefined, /body/],
    ['a list', 'claim', [], /body/],
    ['no name', 'claim', { ...JOIN, worker: undefined }, /worker/],
    ['the mark in the name', 'claim', { ...JOIN, worker: '@py' }, /worker/],
    ['a path as the name', 'claim', { ...JOIN, worker: '../n1' }, /worker/],
    ['a name that is too long', 'claim', { ...JOIN, worker: 'x'.repeat(64) }, /worker/],
    ['an instance that is no UUID', 'claim', { ...JOIN, instance: 'me' }, /instance/],
    ['nothing on offer', 'claim', { ...WHO, offers: [] }, /offers/],
    ['no word of offers', 'claim', WHO, /offers/],
    ['too much on offer', 'claim', { ...WHO, offers: many(OFFERS_MAX + 1).map(() => ({ name: 'x' })) }, /offers/],
    ['a join that asks for tasks', 'claim', { ...JOIN, waitMs: 5 }, /waitMs/],
    ['no slot', 'claim', { ...JOIN, slots: 0 }, /slots/],
    ['too many slots', 'claim', { ...JOIN, slots: SLOTS_MAX + 1 }, /slots/],
    ['a session that is no number', 'claim', { ...WHO, session: '50' }, /session/],
    ['a session of zero', 'claim', { ...WHO, session: 0 }, /session/],
    ['a session beyond a double', 'claim', { ...WHO, session: 2 ** 53 }, /session/],
    ['too long a wait', 'claim', { ...LIVING, waitMs: CLAIM_WAIT_MS_MAX + 1 }, /waitMs/],
    ['too many epochs', 'claim', { ...LIVING, epochs: many(SLOTS_MAX + 1) }, /epochs/],
    ['an epoch that is none', 'claim', { ...LIVING, epochs: [1.5] }, /epochs/],
    ['an unknown field', 'claim', { ...LIVING, wait: 5 }, /wait/],
    ['no cursor', '77/progress', LIVING, /cursor/],
    ['a cursor beyond a double', '77/progress', { ...LIVING, cursor: 2 ** 53 }, /cursor/],
    ['a fraction', '77/progress', { ...LIVING, cursor: 1.5 }, /cursor/],
    ['begun with progress', '77/progress', { ...LIVING, cursor: 1, begun: 2 }, /begun/],
    ['a failure without a word', '77/fail', { ...LIVING, cursor: 1, error: '' }, /error/],
    ['a path without an epoch', 'x/progress', { ...LIVING, cursor: 1 }, /epoch/],
    ['an epoch beyond a double', `${2 ** 53}/progress`, { ...LIVING, cursor: 1 }, /epoch/],
    ['an epoch with a sign', '-7/progress', { ...LIVING, cursor: 1 }, /epoch/],
    ['a query', '77/progress?x=1', { ...LIVING, cursor: 1 }, /query/],
  ])('%s', async (_what, path, payload, words) => {
    const response = await post(path, payload);
    expect(response.statusCode).toBe(400);
    expect(response.json()).toMatchObject({ code: 'BAD_REQUEST', detail: expect.stringMatching(words) });
    expect(node.questions).toEqual([]);
  });
});

describe('a job type that only runners offer', () => {
  const submit = () =>
    app.inject({ method: 'POST', url: '/v1/jobs', payload: { name: 'thumbnails', start: 0, end: 9 } });

  test('may be submitted, and its tasks are held to the window', async () => {
    expect((await submit()).json().code).toBe('UNKNOWN_JOB_TYPE');
    node.pen.join('@py-1', ['thumbnails']);
    expect((await submit()).statusCode).toBe(201);
    expect([...node.pen.table.jobs()][0]?.spec.exposure).toBe('window');
  });

  test('says so while none of them is there, and a node that offers it too may expose whole tasks', async () => {
    node.pen.join('@py-1', ['thumbnails']);
    node.pen.join('w1', ['thumbnails']);
    const { id } = (await submit()).json();
    expect(node.pen.job(id).spec.exposure).toBe('task');
    node.pen.expire('@py-1');
    node.pen.expire('w1');
    const job = (await app.inject(`/v1/jobs/${id}`)).json();
    expect(job.reason).toBe('no worker offers "thumbnails"');
  });

  test('a runner is listed under its marked name, and drained under it', async () => {
    node.pen.join('@py-1', ['thumbnails']);
    expect((await app.inject('/v1/workers')).json().workers).toMatchObject([{ id: '@py-1', jobTypes: ['thumbnails'] }]);
    const drained = await app.inject({ method: 'POST', url: '/v1/workers/%40py-1/drain' });
    expect(drained.json()).toMatchObject({ id: '@py-1', draining: true });
  });
});
