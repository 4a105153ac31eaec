import { afterEach, beforeEach, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { PolarisError } from '../../src/base/errors.ts';
import { SILENT } from '../../src/base/log.ts';
import { createPrng } from '../../src/base/prng.ts';
import type { DataPlane } from '../../src/http/route.ts';
import { createHttpServer } from '../../src/http/server.ts';
import type { MadePlan, Planner, PlanRequest } from '../../src/jobtype/planner.ts';
import { MAIL, Pen } from '../ranges/fixtures.ts';
import { FakeNode, ID_1, ID_2, listen } from './fake-node.ts';

/** Of the datasets it is only told what the log says of them. */
const data = {} as DataPlane;

/** A node whose Masters plan what the test says. */
class PlanningNode extends FakeNode implements Planner {
  readonly app = createHttpServer({ api: this, log: SILENT, prng: createPrng(1), planner: this, data });
  readonly requests: PlanRequest[] = [];
  make: (request: PlanRequest) => Promise<MadePlan> | MadePlan = () => ({ input: 'books', start: null, end: null });
  url = '';

  constructor(id: string, pen: Pen, plans = true) {
    super(id, pen);
    this.types = this.types.map((type) => ({ ...type, overseen: true, plans, collects: 'as-committed' as const }));
  }

  async plan(request: PlanRequest): Promise<MadePlan> {
    this.requests.push(request);
    return this.make(request);
  }

  async ask(body: object = {}): Promise<{ readonly status: number; readonly said: Record<string, unknown> }> {
    const headers = { 'content-type': 'application/json' };
    const request = { method: 'POST', headers, body: JSON.stringify({ name: MAIL, ...body }) };
    const response = await fetch(`http://${this.url}/v1/jobs`, request);
    return { status: response.status, said: (await response.json()) as Record<string, unknown> };
  }
}

let pen: Pen;
let leader: PlanningNode;
let follower: PlanningNode;

beforeEach(async () => {
  pen = new Pen();
  [leader, follower] = [new PlanningNode('n1', pen), new PlanningNode('n2', pen)];
  for (const node of [leader, follower]) node.url = await listen(node.app);
  follower.leading = false;
  follower.leader = leader.url;
});

afterEach(async () => {
  await Promise.all([leader.app.close(), follower.app.close()]);
});

function put(name: string, rows: number): void {
  const handle = { hash: `${rows}`.padStart(64, '0'), bytes: rows, rows, schema: '0'.repeat(16) };
  const put = { kind: 'put-dataset', name, handle, stamp: 1_000, expected: null, ttlMs: null, pinned: false } as const;
  expect(pen.apply(put).kind).toBe('put');
}

function specOf(id: string) {
  return must(pen.table.job(id), 'the job was submitted').spec;
}

test('a job without a range is what the Master of its type plans, on whichever node is asked', async () => {
  put('books', 40);
  for (const [node, id] of [
    [leader, ID_1],
    [follower, ID_2],
  ] as const) {
    expect(await node.ask({ id, metadata: { shelf: 3 } })).toMatchObject({ status: 201, said: { start: 0, end: 40 } });
    expect(node.requests).toMatchObject([{ job: id, name: MAIL, metadata: '{"shelf":3}' }]);
    expect(specOf(id)).toMatchObject({ inputName: 'books', input: { rows: 40 }, collects: true });
  }
});

test('a Master plans some rows of an input, or a range without one', async () => {
  put('books', 40);
  leader.make = () => ({ input: 'books', start: 7, end: null });
  await leader.ask({ id: ID_1 });
  expect(specOf(ID_1)).toMatchObject({ start: 7, end: 40, input: { rows: 40 } });
  leader.make = () => ({ input: null, start: -5, end: 5 });
  await leader.ask({ id: ID_2 });
  expect(specOf(ID_2)).toMatchObject({ start: -5, end: 5, input: null, inputName: null });
});

test('the same words are the same job, though the dataset has moved on', async () => {
  put('books', 40);
  expect(await follower.ask({ id: ID_1 })).toMatchObject({ status: 201 });
  put('books', 50);
  for (const node of [follower, leader]) {
    expect(await node.ask({ id: ID_1 })).toMatchObject({ status: 200, said: { end: 40 } });
  }
  expect(follower.requests).toHaveLength(1);
  expect(leader.requests).toHaveLength(0);
  const other = await follower.ask({ id: ID_1, metadata: { other: 1 } });
  expect(other).toMatchObject({ status: 409, said: { code: 'SPEC_CONFLICT' } });
});

test('two submits of one job that are planned at the same time give the plan that came first', async () => {
  put('books', 40);
  follower.make = async () => {
    // Another node was asked the same, and was faster.
    leader.make = () => ({ input: 'books', start: 0, end: 3 });
    expect(await leader.ask({ id: ID_1 })).toMatchObject({ status: 201 });
    return { input: 'books', start: 0, end: 9 };
  };
  expect(await follower.ask({ id: ID_1 })).toMatchObject({ status: 200, said: { end: 3 } });
});

test('the Master counts rows of the version that its job gets', async () => {
  put('books', 40);
  leader.make = async ({ rows }) => ({ input: 'books', start: 0, end: await rows('books') });
  await leader.ask({ id: ID_1 });
  expect(specOf(ID_1).end).toBe(40);
  leader.make = async ({ rows }) => {
    const end = await rows('books');
    put('books', 4);
    return { input: 'books', start: 0, end };
  };
  const answer = await leader.ask({ id: ID_2 });
  expect(answer).toMatchObject({ status: 412, said: { code: 'DATASET_CONFLICT' } });
});

test('a dataset that is not there is refused with its name', async () => {
  for (const node of [leader, follower]) {
    const answer = await node.ask();
    expect(answer).toMatchObject({ status: 404, said: { code: 'NOT_FOUND', detail: 'there is no dataset "books"' } });
  }
});

test('a Master that cannot plan refuses the job with its reason, and so does a plan of no points', async () => {
  put('books', 40);
  leader.make = () => {
    throw new PolarisError('BAD_PLAN', 'the Master of "mail": it is Sunday');
  };
  const sunday = { code: 'BAD_PLAN', detail: 'the Master of "mail": it is Sunday' };
  expect(await leader.ask()).toMatchObject({ status: 400, said: sunday });
  leader.make = () => ({ input: null, start: 4, end: 4 });
  expect(await leader.ask()).toMatchObject({ status: 400, said: { code: 'BAD_PLAN' } });
  leader.make = () => ({ input: 'books', start: 0, end: 41 });
  expect(await leader.ask()).toMatchObject({ status: 400, said: { code: 'BAD_RANGE' } });
});

test('a node without the type leaves the plan to the leader; where nobody plans, a range is to be said', async () => {
  put('books', 40);
  follower.types = [];
  expect(await follower.ask({ id: ID_1 })).toMatchObject({ status: 201, said: { end: 40 } });
  expect(follower.requests).toHaveLength(0);
  leader.types = leader.types.map((type) => ({ ...type, plans: false }));
  expect(await leader.ask()).toMatchObject({ status: 400, said: { code: 'BAD_RANGE' } });
});

test('metadata that the type refuses is planned by nobody', async () => {
  follower.types = follower.types.map((type) => ({ ...type, metadataSchema: { required: ['shelf'] } }));
  expect(await follower.ask()).toMatchObject({ status: 400, said: { code: 'BAD_METADATA' } });
  expect(follower.requests).toHaveLength(0);
});

test('a range or an input that is said is planned by nobody', async () => {
  put('books', 40);
  expect(await leader.ask({ id: ID_1, start: 0, end: 5 })).toMatchObject({ status: 201, said: { end: 5 } });
  expect(await leader.ask({ id: ID_2, input: 'books' })).toMatchObject({ status: 201, said: { end: 40 } });
  expect(leader.requests).toHaveLength(0);
});
