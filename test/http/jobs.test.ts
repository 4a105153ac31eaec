/**
 * The job resource: submitted once however often it is asked for, and shown as its ranges are.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { METADATA_BYTES_MAX, PAGE_BYTES_MAX } from '../../src/base/limits.ts';
import { idOfKey } from '../../src/http/submit.ts';
import { jobId } from '../ranges/fixtures.ts';
import { FakeNode, ID_1, ID_2, serverOf } from './fake-node.ts';

let node: FakeNode;
let app: ReturnType<typeof serverOf>;
beforeEach(() => {
  node = new FakeNode();
  app = serverOf(node);
});
afterEach(() => app.close());

const GOOD = { name: 'mail', start: 0, end: 10 };

function submit(body: object, headers: Record<string, string> = {}) {
  return app.inject({ method: 'POST', url: '/v1/jobs', payload: body, headers });
}

describe('submit', () => {
  test('a new job is 201, the same again 200, another spec under its id 409', async () => {
    const first = await submit({ ...GOOD, id: ID_1, metadata: { b: 1, a: 2 } });
    expect(first.statusCode).toBe(201);
    expect(first.headers['location']).toBe(`/v1/jobs/${ID_1}`);
    const again = await submit({ id: ID_1, metadata: { a: 2, b: 1.0 }, ...GOOD, options: { maxAttempts: 3 } });
    expect(again.statusCode).toBe(200);
    expect(again.json()).toEqual(first.json());
    const other = await submit({ ...GOOD, id: ID_1, end: 11 });
    expect(other.json()).toMatchObject({ code: 'SPEC_CONFLICT', status: 409, retryable: false });
    expect([...node.pen.table.jobs()]).toHaveLength(1);
  });

  test('the answer is the whole job resource', async () => {
    const { payload } = await submit({ ...GOOD, id: ID_1, metadata: { to: 'all' } });
    expect(JSON.parse(payload)).toEqual({
      ...{ id: ID_1, name: 'mail', start: 0, end: 10, metadata: { to: 'all' }, input: null },
      options: {
        ...{ delivery: 'at-least-once', commitEvery: 100, commitIntervalMs: 200, taskSize: null, maxAttempts: 3 },
        ...{ taskTimeoutMs: null, memoryMb: null, priority: 0, weight: 1, maxConcurrency: null },
        ...{ pointsPerSecond: null, tolerate: 1_000, throttle: null, onDone: null, after: null, at: null },
      },
      controls: { priority: 0, weight: 1, maxConcurrency: null, pointsPerSecond: null, tolerate: 1_000 },
      ...{ run: 1, state: 'pending', reason: 'no worker offers "mail"' },
      progress: {
        ...{ total: 10, done: 0, failed: 0, uncertain: 0, leased: 0, pending: 10, reexecuted: 0 },
        ...{ ratePerSecond: null, etaSeconds: null },
      },
      ...{ createdAt: '1970-01-01T00:00:01.000Z', startedAt: null, finishedAt: null },
    });
  });

  test('a job without an id gets a UUIDv4, each another', async () => {
    const ids = [(await submit(GOOD)).json().id, (await submit(GOOD)).json().id];
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(ids[0]).not.toBe(ids[1]);
  });

  test('an id in capitals is the same id', async () => {
    const id = 'abcdefab-cdef-4abc-8def-abcdefabcdef';
    expect((await submit({ ...GOOD, id: id.toUpperCase() })).json().id).toBe(id);
    expect((await submit({ ...GOOD, id })).statusCode).toBe(200);
  });

  test('an Idempotency-Key makes a submit one submit', async () => {
    const first = await submit(GOOD, { 'idempotency-key': 'nightly-2024' });
    expect([first.statusCode, first.json().id]).toEqual([201, idOfKey('nightly-2024')]);
    expect((await submit(GOOD, { 'idempotency-key': 'nightly-2024' })).statusCode).toBe(200);
    const withId = { ...GOOD, id: idOfKey('nightly-2024') };
    expect((await submit(withId, { 'idempotency-key': 'nightly-2024' })).statusCode).toBe(200);
    expect((await submit({ ...GOOD, end: 9 }, { 'idempotency-key': 'nightly-2024' })).statusCode).toBe(409);
    expect((await submit(GOOD, { 'idempotency-key': 'nightly-2025' })).statusCode).toBe(201);
  });

  test('the largest range and negative points are taken', async () => {
    expect((await submit({ ...GOOD, start: 0, end: Number.MAX_SAFE_INTEGER })).statusCode).toBe(201);
    expect((await submit({ ...GOOD, start: -Number.MAX_SAFE_INTEGER, end: 0 })).statusCode).toBe(201);
    expect((await submit({ ...GOOD, start: -5, end: -4 })).json().progress.total).toBe(1);
  });

  test('a type that only a worker offered is taken, also after the worker left', async () => {
    node.types = [];
    expect((await submit(GOOD)).json().code).toBe('UNKNOWN_JOB_TYPE');
    node.pen.join('w1', ['mail']);
    node.pen.expire('w1');
    expect((await submit(GOOD)).statusCode).toBe(201);
  });

  test('the same submit on a leader that lacks the type is the same job, not a conflict', async () => {
    node.pen.join('w1', ['mail']);
    expect((await submit({ ...GOOD, id: ID_1 })).statusCode).toBe(201);
    node.types = [];
    expect((await submit({ ...GOOD, id: ID_1 })).statusCode).toBe(200);
  });

  test.each(['NO_LEADER', 'OUTCOME_UNKNOWN', 'OVERLOADED'] as const)('%s is 503 with Retry-After', async (code) => {
    node.failure = code;
    const response = await submit(GOOD);
    expect(response.json()).toMatchObject({ code, retryable: true });
    expect([response.statusCode, response.headers['retry-after']]).toEqual([503, '1']);
  });
});

describe('list', () => {
  test('jobs come newest first, as many as asked for, in the state asked for', async () => {
    for (const number of [1, 2, 3]) node.pen.submit({ id: jobId(number) });
    node.pen.control('cancel', jobId(2));
    const ids = async (query: string) =>
      (await app.inject(`/v1/jobs${query}`)).json().jobs.map((job: { id: string }) => job.id);
    expect(await ids('')).toEqual([jobId(3), jobId(2), jobId(1)]);
    expect(await ids('?limit=2')).toEqual([jobId(3), jobId(2)]);
    expect(await ids('?state=cancelled')).toEqual([jobId(2)]);
    expect(await ids('?state=pending&limit=1')).toEqual([jobId(3)]);
  });

  test('a page tells where the next one begins, and the last one that there is none', async () => {
    for (const number of [1, 2, 3, 4, 5]) node.pen.submit({ id: jobId(number) });
    const page = async (query: string) => (await app.inject(`/v1/jobs?limit=2${query}`)).json();
    const first = await page('');
    const second = await page(`&after=${first.next}`);
    const third = await page(`&after=${second.next}`);
    const pages = [first, second, third];
    expect(pages.map(({ jobs }) => jobs.map((job: { id: string }) => job.id))).toEqual([
      [jobId(5), jobId(4)],
      [jobId(3), jobId(2)],
      [jobId(1)],
    ]);
    expect(third.next).toBeNull();
    // Both the size and the state may change from page to page.
    expect((await page(`&state=cancelled&after=${first.next}`)).jobs).toEqual([]);
  });

  test('a page whose last job was forgotten meanwhile goes on with what is older', async () => {
    for (const number of [1, 2, 3]) {
      node.pen.at = 1_000 * number;
      node.pen.submit({ id: jobId(number) });
    }
    const { jobs } = (await app.inject(`/v1/jobs?after=2500.${jobId(9)}`)).json();
    expect(jobs.map((job: { id: string }) => job.id)).toEqual([jobId(2), jobId(1)]);
  });

  test('a page ends where its text grows too long, and what is behind it is on the next', async () => {
    const metadata = JSON.stringify({ text: 'x'.repeat(METADATA_BYTES_MAX - 20) });
    for (let number = 1; number <= 40; number++) node.pen.submit({ id: jobId(number), metadata });
    const first = await app.inject('/v1/jobs?limit=1000');
    expect(first.payload.length).toBeLessThan(PAGE_BYTES_MAX + METADATA_BYTES_MAX + 10_000);
    const { jobs, next } = first.json();
    const second = (await app.inject(`/v1/jobs?limit=1000&after=${next}`)).json().jobs;
    expect(second[0].id).toBe(jobId(40 - jobs.length));
  });
});

describe('show', () => {
  test('an id may be shortened where it fits one job', async () => {
    node.pen.submit({ id: ID_1 });
    node.pen.submit({ id: ID_2 });
    expect((await app.inject(`/v1/jobs/${ID_1.slice(0, 30)}`)).json().id).toBe(ID_1);
    const response = await app.inject('/v1/jobs/1111');
    expect(response.json()).toMatchObject({ code: 'AMBIGUOUS_ID', status: 400 });
    expect(response.json().detail).toContain(ID_1);
    expect(response.json().detail).toContain(ID_2);
  });

  test('a local read is answered by a node without a leader, a linearizable one is not', async () => {
    node.pen.submit({ id: ID_1 });
    node.leading = false;
    expect((await app.inject(`/v1/jobs/${ID_1}?consistency=local`)).json().id).toBe(ID_1);
    expect((await app.inject('/v1/jobs?consistency=local')).json().jobs).toHaveLength(1);
    expect((await app.inject(`/v1/jobs/${ID_1}`)).json().code).toBe('NO_LEADER');
  });

  test('progress adds up, and the speed is the leader’s', async () => {
    node.pen.submit({ id: ID_1 });
    node.pen.join('w1');
    const epoch = node.pen.grant(40, { job: ID_1 });
    node.pen.progress(epoch, 10);
    node.speed = { pointsPerSecond: 5, etaSeconds: 18 };
    expect((await app.inject(`/v1/jobs/${ID_1}`)).json()).toMatchObject({
      ...{ state: 'running', reason: null, startedAt: '1970-01-01T00:00:01.000Z' },
      progress: { total: 100, done: 10, leased: 30, pending: 60, failed: 0, ratePerSecond: 5, etaSeconds: 18 },
    });
  });
});

describe('ranges and verify', () => {
  test('ranges tell who holds what; what came back is pending again, merged with what touches it', async () => {
    node.pen.submit({ id: ID_1 });
    node.pen.join('w1');
    const kept = node.pen.grant(10, { job: ID_1 });
    const released = node.pen.grant(10, { job: ID_1 });
    node.pen.progress(kept, 4);
    node.pen.release(released, 15, 15);
    expect((await app.inject(`/v1/jobs/${ID_1}/ranges`)).json()).toEqual({
      done: [
        [0, 4],
        [10, 15],
      ],
      pending: [[15, 100]],
      tasks: [{ start: 0, end: 10, cursor: 4, epoch: kept, worker: 'w1' }],
      failed: [],
    });
    expect((await app.inject(`/v1/jobs/${ID_1}/verify`)).json()).toEqual({
      ...{ covered: false, failed: [], uncertain: [], reexecuted: [], claim: 're-executed at most 0 times in all' },
      missing: [
        [4, 10],
        [15, 100],
      ],
    });
  });

  test('a job whose ranges tile is covered', async () => {
    node.pen.submit({ id: ID_1 });
    node.pen.join('w1');
    node.pen.complete(node.pen.grant(60, { job: ID_1 }));
    node.pen.complete(node.pen.grant(40, { job: ID_1 }));
    expect((await app.inject(`/v1/jobs/${ID_1}`)).json().state).toBe('done');
    const verified = (await app.inject(`/v1/jobs/${ID_1}/verify`)).json();
    expect(verified).toEqual({
      ...{ covered: true, missing: [], failed: [], uncertain: [], reexecuted: [] },
      claim: 're-executed at most 0 times in all',
    });
  });

  test('a failed range is failed, not missing, and the job is not covered', async () => {
    node.pen.submit({ id: ID_1, start: 0, end: 10, options: { maxAttempts: 1 } });
    node.pen.join('w1');
    node.pen.fail(node.pen.grant(10, { job: ID_1 }), 9, 10);
    expect((await app.inject(`/v1/jobs/${ID_1}`)).json().state).toBe('failed');
    const { failed } = (await app.inject(`/v1/jobs/${ID_1}/ranges`)).json();
    expect(failed).toEqual([{ start: 9, end: 10, error: 'boom', attempts: 1 }]);
    expect((await app.inject(`/v1/jobs/${ID_1}/verify`)).json()).toMatchObject({
      ...{ covered: false, missing: [], failed: [[9, 10]] },
    });
  });

  test('what a lost worker may have begun shows as re-executed once it is granted again', async () => {
    node.pen.submit({ id: ID_1 });
    node.pen.join('w1');
    node.pen.grant(10, { job: ID_1 });
    node.pen.expire('w1');
    node.pen.join('w2');
    node.pen.grant(10, { job: ID_1, worker: 'w2' });
    const { reexecuted } = (await app.inject(`/v1/jobs/${ID_1}/verify`)).json();
    expect(reexecuted).toEqual([{ start: 0, end: 10, times: 1, workers: ['w2'] }]);
  });

  test('what a lost worker had claimed is uncertain: covered, and not done', async () => {
    node.pen.submit({ id: ID_1, options: { delivery: 'at-most-once' } });
    node.pen.join('w1');
    node.pen.progress(node.pen.grant(100, { job: ID_1 }), 90, 100);
    node.pen.expire('w1');
    const job = (await app.inject(`/v1/jobs/${ID_1}`)).json();
    expect(job).toMatchObject({ state: 'done', progress: { done: 90, uncertain: 10, failed: 0, pending: 0 } });
    expect((await app.inject(`/v1/jobs/${ID_1}/verify`)).json()).toEqual({
      ...{ covered: true, missing: [], failed: [], uncertain: [[90, 100]], reexecuted: [] },
      claim: 'no point ran twice, unless it was retried; 10 points ran once or not at all',
    });
  });

  test('"0 duplicates" is said only of a job whose sink takes part', async () => {
    node.pen.submit({ id: ID_1, options: { delivery: 'exactly-once' } });
    expect((await app.inject(`/v1/jobs/${ID_1}/verify`)).json().claim).toMatch(/^0 duplicates/);
  });
});

describe('failures and retry', () => {
  async function failedJob(): Promise<void> {
    node.pen.submit({ id: ID_1, options: { maxAttempts: 1 } });
    node.pen.join('w1');
    node.pen.fail(node.pen.grant(100, { job: ID_1 }), 20, 30, 'say "no", =1+1');
    node.pen.complete(node.pen.grant(100, { job: ID_1 }));
  }
  const post = (payload?: object) =>
    app.inject({ method: 'POST', url: `/v1/jobs/${ID_1}/retry`, ...(payload === undefined ? {} : { payload }) });

  test('failures tell where, how often, who, when and why, as JSON or as CSV', async () => {
    await failedJob();
    const url = `/v1/jobs/${ID_1}/failures`;
    const at = '1970-01-01T00:00:01.000Z';
    expect((await app.inject(url)).json()).toEqual({
      failed: [{ start: 20, end: 30, error: 'say "no", =1+1', attempts: 1, worker: 'w1', at }],
      uncertain: [],
    });
    const csv = await app.inject({ url, headers: { accept: 'text/csv' } });
    expect(csv.headers['content-type']).toContain('text/csv');
    expect(csv.payload).toBe(
      `kind,start,end,attempts,worker,epoch,at,error\r\nfailed,20,30,1,w1,,${at},"say ""no"", =1+1"\r\n`,
    );
  });

  test('a retry answers with the job in its next run', async () => {
    await failedJob();
    expect((await post()).json()).toMatchObject({ state: 'running', run: 2, progress: { failed: 0, pending: 10 } });
  });

  test('a retry of a range leaves the rest as it is', async () => {
    await failedJob();
    expect((await post({ range: [0, 25] })).json()).toMatchObject({ progress: { failed: 5, pending: 5 } });
  });

  test('a retry of nothing is refused, and so is a range that is none', async () => {
    await failedJob();
    expect((await post({ range: [30, 40] })).json()).toMatchObject({ code: 'WRONG_STATE', status: 409 });
    expect((await post({ range: [5, 5] })).json()).toMatchObject({ code: 'BAD_RANGE' });
    expect((await post({ range: [5] })).json()).toMatchObject({ code: 'BAD_REQUEST' });
    expect((await post({ ranges: [] })).json()).toMatchObject({ code: 'BAD_REQUEST' });
    expect(node.pen.job(ID_1).failedPoints).toBe(10);
  });
});

describe('actions', () => {
  const act = (action: string, id = ID_1) => app.inject({ method: 'POST', url: `/v1/jobs/${id}/${action}` });

  test('pause, resume and cancel answer with the job as it then is', async () => {
    node.pen.submit({ id: ID_1 });
    expect((await act('pause')).json().state).toBe('paused');
    expect((await act('resume', ID_1.slice(0, 9))).json().state).toBe('pending');
    expect((await act('cancel', ID_1.toUpperCase())).json().state).toBe('cancelled');
    expect((await act('resume')).json()).toMatchObject({ code: 'WRONG_STATE', status: 409 });
  });

  test('an ambiguous id changes no job', async () => {
    node.pen.submit({ id: ID_1 });
    node.pen.submit({ id: ID_2 });
    expect((await act('cancel', '1111')).json().code).toBe('AMBIGUOUS_ID');
    expect([...node.pen.table.jobs()].map((job) => job.state)).toEqual(['pending', 'pending']);
  });
});

describe('cluster and health', () => {
  test('the cluster is answered without a leader', async () => {
    node.leading = false;
    expect((await app.inject('/v1/cluster')).json()).toMatchObject({ leader: null, term: 3, commitIndex: 7 });
    expect(node.waits).toBe(0);
  });

  test('livez says ok whatever the quorum does', async () => {
    node.leading = false;
    node.checks = [{ name: 'leader', ok: false }];
    const response = await app.inject('/livez');
    expect([response.statusCode, response.payload]).toEqual([200, 'ok\n']);
  });

  test('readyz is short when all is well, and names what is not', async () => {
    expect((await app.inject('/readyz')).payload).toBe('ok\n');
    expect((await app.inject('/readyz?verbose')).payload).toBe('[+]formed ok\n[+]leader ok\nreadyz check passed\n');
    node.checks = [
      { name: 'formed', ok: true },
      { name: 'leader', ok: false },
    ];
    const response = await app.inject('/readyz');
    expect(response.statusCode).toBe(503);
    expect(response.payload).toBe('[+]formed ok\n[-]leader failed\nreadyz check failed\n');
  });
});
