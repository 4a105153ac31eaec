/** What runners read and leave: rows of their task in whatever format, and tickets for what is durable. */
import { tableFromArrays, tableFromIPC, tableToIPC } from 'apache-arrow';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { RUNNER_UPLOADS_MAX } from '../../src/base/result-limits.ts';
import type { RunnerRequest } from '../../src/daemon/runner-api.ts';
import type { LeaseJson, OutputTicket } from '../../src/http/task-data.ts';
import { DataCluster } from '../data/depot/cluster.ts';
import { MAIL } from '../ranges/fixtures.ts';

const LINES = 'application/x-ndjson';
const INSTANCE = '11111111-1111-4111-8111-111111111111';
const TASK_SIZE = 40;

let cluster: DataCluster;
let epoch: number;
beforeEach(async () => {
  cluster = await DataCluster.open(3);
  for (const node of cluster.nodes) {
    node.answerRunner = (_request, done) =>
      done({
        ok: true,
        value: {
          ...{ worker: '@py', session: 50, sessionTtlMs: 5_000, task: null },
          ...{ orders: [], stop: [], release: [], shrink: [], drain: false },
        },
      });
  }
});
afterEach(() => cluster.close());

const url = (at: number, path: string) => `http://${cluster.node(at).address}/v1/${path}`;

function post(at: number, path: string, body: object | Uint8Array | string, type = 'application/json') {
  const isBytes = body instanceof Uint8Array;
  const content = isBytes ? new Uint8Array(body) : typeof body === 'string' ? body : JSON.stringify(body);
  return fetch(url(at, path), { method: 'POST', body: content, headers: { 'content-type': type } });
}

async function codeOf(answer: Promise<Response>): Promise<unknown[]> {
  const { status } = await answer;
  return [status, ((await (await answer).json()) as { code: string }).code];
}

/** A job over the rows of a dataset, and a task of it. */
async function begin(rows = 100): Promise<void> {
  const table = tableFromArrays({ n: Int32Array.from({ length: rows }, (_, at) => at * 10) });
  await fetch(url(1, 'datasets/numbers'), {
    method: 'PUT',
    body: new Uint8Array(tableToIPC(table, 'stream')),
    headers: { 'content-type': 'application/vnd.apache.arrow.stream' },
  });
  const submitted = await post(2, 'jobs', { name: MAIL, input: 'numbers' });
  expect([submitted.status, await submitted.json()]).toMatchObject([201, { start: 0, end: rows }]);
  cluster.pen.join('@py', [MAIL]);
  const [job] = [...cluster.pen.table.jobs()];
  epoch = cluster.pen.grant(TASK_SIZE, { worker: '@py', job: must(job, 'a job').spec.id });
}

describe('the input of a task', () => {
  beforeEach(() => begin());

  test('is its rows, at any node, in the format that is asked for', async () => {
    const arrow = await fetch(url(1, `tasks/${epoch}/input`));
    const { status, headers } = arrow;
    expect([status, headers.get('polaris-rows')]).toEqual([200, String(TASK_SIZE)]);
    const column = must(tableFromIPC(await arrow.arrayBuffer()).getChild('n'), 'a column');
    expect([column.length, column.get(0), column.get(39)]).toEqual([TASK_SIZE, 0, 390]);
    const lines = await fetch(url(2, `tasks/${epoch}/input?from=7&to=9`), { headers: { accept: LINES } });
    expect(await lines.text()).toBe('{"n":70}\n{"n":80}\n');
    const csv = await fetch(url(0, `tasks/${epoch}/input?from=39`), { headers: { accept: 'text/csv' } });
    expect(await csv.text()).toBe('n\n390\n');
  });

  test('begins at the cursor, however far the dataset has moved on', async () => {
    cluster.pen.apply({ kind: 'progress', cursors: [{ epoch, cursor: 38, claimed: 38, outputs: [] }] });
    await fetch(url(0, 'datasets/numbers'), { method: 'DELETE' });
    const lines = await fetch(url(1, `tasks/${epoch}/input`), { headers: { accept: LINES } });
    expect(await lines.text()).toBe('{"n":380}\n{"n":390}\n');
    const lease = (await (await fetch(url(2, `tasks/${epoch}`))).json()) as LeaseJson;
    expect(lease).toMatchObject({ epoch, worker: '@py', start: 0, end: TASK_SIZE, cursor: 38, input: { rows: 100 } });
  });

  test.each([['from=-1'], ['from=41'], ['to=41'], ['from=9&to=8'], ['from=x'], ['from=1e3'], ['rows=1']])(
    'asked for with %s is refused',
    async (query) => {
      expect((await fetch(url(1, `tasks/${epoch}/input?${query}`))).status).toBe(400);
    },
  );

  test('of a lease that has ended is gone, and so is its output', async () => {
    for (const at of [0, 1]) {
      expect(await codeOf(fetch(url(at, `tasks/${epoch + 99}/input`)))).toEqual([410, 'STALE_EPOCH']);
      const late = post(at, `tasks/${epoch + 99}/output?start=0&end=1`, '{"n":1}\n', LINES);
      expect(await codeOf(late)).toEqual([410, 'STALE_EPOCH']);
    }
  });
});

describe('an output', () => {
  beforeEach(() => begin());
  const path = (query = 'start=0&end=10') => `tasks/${epoch}/output?${query}`;
  const report = (body: object) => {
    const who = { worker: 'py', instance: INSTANCE, session: 50 };
    return post(1, `tasks/${epoch}/progress`, { ...who, cursor: 10, ...body });
  };

  test('is durable on a majority when it has its ticket, and nobody sees it before it is handed in', async () => {
    const answer = await post(2, path(), '{"n":1,"word":"one"}\n{"n":2,"word":null}\n', LINES);
    const ticket = (await answer.json()) as OutputTicket;
    expect([answer.status, ticket]).toMatchObject([201, { start: 0, end: 10, handle: { rows: 2 } }]);
    expect(await cluster.holders(ticket.handle.hash)).toHaveLength(2);
    expect(cluster.pen.table.isHeld(ticket.handle.hash)).toBe(false);
    expect((await report({ outputs: [ticket] })).status).toBe(200);
    const said = cluster.node(0).questions.at(-1) as Extract<RunnerRequest, { kind: 'report' }>;
    expect(said).toMatchObject({ kind: 'report', epoch, cursor: 10, outputs: [ticket] });
  });

  test('has the types that are given, and not those that each body would suggest', async () => {
    const schemas = new Set<string>();
    for (const body of ['{"n":1,"word":"one"}\n', '{"n":1.5,"word":null}\n']) {
      const answer = await post(0, path('start=0&end=1&types=n:float64,word:utf8'), body, LINES);
      schemas.add(((await answer.json()) as OutputTicket).handle.schema);
    }
    expect(schemas.size).toBe(1);
  });

  test.each([
    ['no range', '', '{"n":1}\n', LINES, 400],
    ['an empty range', 'start=5&end=5', '{"n":1}\n', LINES, 400],
    ['points of another task', 'start=30&end=41', '{"n":1}\n', LINES, 400],
    ['no format of ours', 'start=0&end=1', 'n', 'image/png', 415],
    ['what is none of its format', 'start=0&end=1', 'no arrow', 'application/vnd.apache.arrow.stream', 400],
  ])('with %s is refused', async (_what, query, body, type, status) => {
    expect((await post(1, path(query), body, type)).status).toBe(status);
  });

  test('that no node has, or that is not what its ticket says, is not handed in', async () => {
    const ticket = (await (await post(2, path(), '{"n":1}\n', LINES)).json()) as OutputTicket;
    const { handle } = ticket;
    const other = { ...ticket, handle: { ...handle, hash: '0'.repeat(64) } };
    expect(await codeOf(report({ outputs: [other] }))).toEqual([404, 'BLOB_MISSING']);
    for (const lie of [{ bytes: handle.bytes + 1 }, { rows: 2 }, { schema: '0'.repeat(16) }]) {
      const lying = { ...ticket, handle: { ...handle, ...lie } };
      expect(await codeOf(report({ outputs: [lying] }))).toEqual([400, 'BAD_REQUEST']);
    }
    const later = { ...ticket, stamp: Number.MAX_SAFE_INTEGER };
    expect(await codeOf(report({ outputs: [later] }))).toEqual([400, 'BAD_REQUEST']);
    for (const outputs of [[{ ...ticket, end: 0 }], [{ ...ticket, more: 1 }], Array(65).fill(ticket), 'all']) {
      expect((await report({ outputs })).status).toBe(400);
    }
    expect(cluster.node(0).questions).toEqual([]);
  });

  test(`is one of ${RUNNER_UPLOADS_MAX} of its task on their way; the next is to come again`, async () => {
    const { depot } = cluster.node(1);
    const keep = depot.keep.bind(depot);
    let go = () => {};
    const gate = new Promise<void>((resolve) => {
      go = resolve;
    });
    let waiting = 0;
    depot.keep = async (...kept) => {
      waiting += 1;
      await gate;
      return keep(...kept);
    };
    const uploads = Array.from({ length: RUNNER_UPLOADS_MAX }, () => post(1, path(), '{"n":1}\n', LINES));
    await expect.poll(() => waiting).toBe(RUNNER_UPLOADS_MAX);
    expect(await codeOf(post(1, path(), '{"n":1}\n', LINES))).toEqual([503, 'OVERLOADED']);
    go();
    for (const { status } of await Promise.all(uploads)) expect(status).toBe(201);
    expect((await post(1, path(), '{"n":1}\n', LINES)).status).toBe(201);
  });
});

describe('a job with an input', () => {
  const ID = '22222222-2222-4222-8222-222222222222';
  const words = { name: MAIL, input: 'numbers', id: ID };
  const put = async (rows: number) => {
    const table = tableFromArrays({ n: Int32Array.from({ length: rows }, (_, at) => at) });
    const headers = { 'content-type': 'application/vnd.apache.arrow.stream' };
    const body = new Uint8Array(tableToIPC(table, 'stream'));
    expect((await fetch(url(0, 'datasets/numbers'), { method: 'PUT', body, headers })).status).toBe(200);
  };

  test('is the same job when the same words are said again, though the dataset has moved on', async () => {
    await put(10);
    const first = await post(1, 'jobs', words);
    const job = (await first.json()) as { input: { handle: object } };
    expect([first.status, job]).toMatchObject([201, { start: 0, end: 10, input: { dataset: 'numbers' } }]);
    await put(20);
    const again = await post(2, 'jobs', words);
    expect([again.status, await again.json()]).toMatchObject([200, { end: 10, input: job.input }]);
    expect((await post(2, 'jobs', { ...words, start: 0, end: 10 })).status).toBe(200);
    await fetch(url(0, 'datasets/numbers'), { method: 'DELETE' });
    expect((await post(0, 'jobs', words)).status).toBe(200);
  });

  test('is another job with other words', async () => {
    await put(10);
    await post(1, 'jobs', words);
    await post(1, 'jobs', { name: MAIL, start: 0, end: 10 });
    for (const other of [{ start: 0, end: 9 }, { input: undefined, start: 0, end: 10 }, { metadata: { a: 1 } }]) {
      expect(await codeOf(post(1, 'jobs', { ...words, ...other }))).toEqual([409, 'SPEC_CONFLICT']);
    }
  });

  test('works through rows that there are', async () => {
    await put(10);
    expect(await codeOf(post(1, 'jobs', { ...words, start: 0, end: 11 }))).toEqual([400, 'BAD_RANGE']);
    expect(await codeOf(post(1, 'jobs', { ...words, start: -1, end: 5 }))).toEqual([400, 'BAD_RANGE']);
    expect(await codeOf(post(1, 'jobs', { ...words, start: 5 }))).toEqual([400, 'BAD_RANGE']);
    await put(0);
    expect(await codeOf(post(1, 'jobs', words))).toEqual([400, 'BAD_RANGE']);
    const missing = await post(1, 'jobs', { ...words, input: 'none' });
    expect([missing.status, await missing.json()]).toMatchObject([404, { detail: expect.stringContaining('"none"') }]);
    expect(await codeOf(post(1, 'jobs', { ...words, input: '../etc' }))).toEqual([400, 'BAD_REQUEST']);
    await put(10);
    expect((await post(1, 'jobs', { ...words, start: 3, end: 7 })).status).toBe(201);
  });
});
