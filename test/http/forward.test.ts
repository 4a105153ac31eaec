/**
 * Two real servers on loopback: the one that does not lead has the other answer.
 */
import { createServer, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LEADER_WAIT_MS } from '../../src/base/limits.ts';
import { FakeNode, ID_1, listen, serverOf } from './fake-node.ts';

let leader: FakeNode;
let follower: FakeNode;
let leaderApp: ReturnType<typeof serverOf>;
let followerApp: ReturnType<typeof serverOf>;
let url: string;
beforeEach(async () => {
  leader = new FakeNode('n1');
  follower = new FakeNode('n2');
  follower.leading = false;
  leaderApp = serverOf(leader);
  followerApp = serverOf(follower);
  follower.leader = await listen(leaderApp);
  url = `http://${await listen(followerApp)}`;
});
afterEach(async () => {
  await followerApp.close();
  await leaderApp.close();
});

const GOOD = { name: 'mail', start: 0, end: 10 };

function submit(body: object = GOOD, headers: Record<string, string> = {}): Promise<Response> {
  const all = { 'content-type': 'application/json', ...headers };
  return fetch(`${url}/v1/jobs`, { method: 'POST', headers: all, body: JSON.stringify(body) });
}

/** Accepts a connection and drops it once a request has come in. */
async function rudeServer(): Promise<{ server: Server; address: string }> {
  const server = createServer((socket) => socket.once('data', () => socket.destroy()));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { server, address: `127.0.0.1:${address.port}` };
}

describe('a node that does not lead', () => {
  test('has the leader take a submit, with status, headers and body of its answer', async () => {
    const response = await submit({ ...GOOD, id: ID_1 });
    expect(response.status).toBe(201);
    expect(response.headers.get('location')).toBe(`/v1/jobs/${ID_1}`);
    expect(await response.json()).toMatchObject({ id: ID_1, state: 'pending' });
    expect([...leader.pen.table.jobs()]).toHaveLength(1);
    expect([...follower.pen.table.jobs()]).toHaveLength(0);
    expect((await submit({ ...GOOD, id: ID_1 })).status).toBe(200);
  });

  test('settles the id before it sends the submit on, with a key too', async () => {
    const first = await submit(GOOD, { 'idempotency-key': 'k' });
    const again = await submit(GOOD, { 'idempotency-key': 'k' });
    expect([first.status, again.status]).toEqual([201, 200]);
    const { id } = (await (await submit()).json()) as { id: string };
    expect(leader.pen.table.job(id)?.spec.id).toBe(id);
  });

  test('has the leader answer reads and actions', async () => {
    leader.pen.submit({ id: ID_1 });
    const shown = await (await fetch(`${url}/v1/jobs/1111?consistency=linearizable`)).json();
    expect(shown).toMatchObject({ id: ID_1 });
    const paused = await fetch(`${url}/v1/jobs/${ID_1}/pause`, { method: 'POST' });
    expect(await paused.json()).toMatchObject({ state: 'paused' });
    const { jobs } = (await (await fetch(`${url}/v1/jobs?limit=5`)).json()) as { jobs: unknown[] };
    expect(jobs).toHaveLength(1);
  });

  test('has the leader answer HEAD, without a body', async () => {
    const response = await fetch(`${url}/v1/jobs`, { method: 'HEAD' });
    expect([response.status, await response.text()]).toEqual([200, '']);
    expect(response.headers.get('content-type')).toContain('application/json');
  });

  test('passes the leader’s refusals through', async () => {
    leader.types = [];
    const response = await submit();
    expect(response.headers.get('content-type')).toContain('application/problem+json');
    expect(await response.json()).toMatchObject({ code: 'UNKNOWN_JOB_TYPE', status: 400 });
  });

  test('answers local reads itself', async () => {
    leader.pen.submit({ id: ID_1 });
    expect(await (await fetch(`${url}/v1/jobs?consistency=local`)).json()).toEqual({ jobs: [], next: null });
  });

  test('refuses bad input without asking anybody', async () => {
    follower.leader = null;
    const response = await submit({ ...GOOD, end: -1 });
    expect(await response.json()).toMatchObject({ code: 'BAD_RANGE' });
    expect(follower.waits).toBe(0);
  });
});

describe('a request', () => {
  test('hops once: two nodes that each take the other for the leader give NO_LEADER', async () => {
    leader.leading = false;
    leader.leader = url.slice('http://'.length);
    const response = await submit();
    expect(await response.json()).toMatchObject({ code: 'NO_LEADER', retryable: true });
    expect([...leader.pen.table.jobs(), ...follower.pen.table.jobs()]).toEqual([]);
    // The node that was hopped to asked nobody.
    expect(leader.waits).toBe(0);
  });

  test('finds the leader that is elected while it waits', async () => {
    const rightful = follower.leader;
    // Nobody listens on port 1; the follower learns better at its third look.
    follower.leader = '127.0.0.1:1';
    const { awaitLeader } = follower;
    follower.awaitLeader = (waitMs, done) => {
      if (follower.waits === 2) follower.leader = rightful;
      awaitLeader.call(follower, waitMs, done);
    };
    expect((await submit()).status).toBe(201);
    expect(follower.waits).toBeGreaterThanOrEqual(3);
  });

  test('is answered NO_LEADER when there is none in time, and not much later', async () => {
    follower.leader = '127.0.0.1:1';
    const before = performance.now();
    const response = await submit();
    expect(await response.json()).toMatchObject({ code: 'NO_LEADER' });
    expect(response.headers.get('retry-after')).toBe('1');
    expect(performance.now() - before).toBeGreaterThanOrEqual(LEADER_WAIT_MS - 1);
  });

  test('that changes something has an unknown outcome when the leader drops it', async () => {
    const { server, address } = await rudeServer();
    follower.leader = address;
    expect(await (await submit()).json()).toMatchObject({ code: 'OUTCOME_UNKNOWN', status: 503, retryable: true });
    server.close();
  });

  test('that only reads is asked again when the leader drops it', async () => {
    const { server, address } = await rudeServer();
    const rightful = follower.leader;
    follower.leader = address;
    server.on('connection', () => {
      follower.leader = rightful;
    });
    expect((await fetch(`${url}/v1/jobs`)).status).toBe(200);
    server.close();
  });
});
