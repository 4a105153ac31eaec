/**
 * Workers as their leader sees them, and how one is let rest.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FakeNode, listen, serverOf } from './fake-node.ts';

let node: FakeNode;
let app: ReturnType<typeof serverOf>;
beforeEach(() => {
  node = new FakeNode();
  app = serverOf(node);
});
afterEach(() => app.close());

const drain = (id: string, payload?: object) =>
  app.inject({ method: 'POST', url: `/v1/workers/${id}/drain`, ...(payload === undefined ? {} : { payload }) });

test('each tells where it is, what it holds and what it offers', async () => {
  node.pen.submit();
  node.pen.join('w1', ['mail', 'exec']);
  node.pen.grant(10);
  expect((await app.inject('/v1/workers')).json()).toEqual({
    workers: [{ id: 'w1', address: 'h:1', slots: 9, busy: 1, draining: false, jobTypes: ['mail', 'exec'] }],
    next: null,
  });
});

test('they come in the order of their ids, page by page', async () => {
  for (const id of ['w3', 'w1', 'w2']) node.pen.join(id);
  const first = (await app.inject('/v1/workers?limit=2')).json();
  expect(first.workers.map(({ id }: { id: string }) => id)).toEqual(['w1', 'w2']);
  const second = (await app.inject(`/v1/workers?limit=2&after=${first.next}`)).json();
  expect(second.workers.map(({ id }: { id: string }) => id)).toEqual(['w3']);
  expect(second.next).toBeNull();
});

test('a node that does not lead sends the question on, and of its own does not know who rests', async () => {
  const follower = new FakeNode('n2');
  const edge = serverOf(follower);
  Object.assign(follower, { leading: false, leader: await listen(app) });
  node.pen.join('w1');
  follower.pen.join('w1');
  node.draining.add('w1');
  expect((await edge.inject('/v1/workers')).json().workers[0].draining).toBe(true);
  expect((await edge.inject('/v1/workers?consistency=local')).json().workers[0].draining).toBeNull();
  await edge.close();
});

test('a worker is drained and undone; no body asks for the draining', async () => {
  node.pen.join('w1');
  expect((await drain('w1')).json()).toMatchObject({ id: 'w1', draining: true });
  expect((await drain('w1', { draining: true })).json()).toMatchObject({ draining: true });
  expect((await drain('w1', { draining: false })).json()).toMatchObject({ draining: false });
});

test.each([
  ['a worker that is not there', 'w9', {}, 'NOT_FOUND', 404],
  ['an id that is none', 'w%209', {}, 'BAD_REQUEST', 400],
  ['a word for yes', 'w1', { draining: 'yes' }, 'BAD_REQUEST', 400],
  ['an unknown field', 'w1', { drain: true }, 'BAD_REQUEST', 400],
])('%s is refused', async (_what, id, payload, code, status) => {
  node.pen.join('w1');
  expect((await drain(id, payload)).json()).toMatchObject({ code, status });
  expect(node.draining.size).toBe(0);
});
