/**
 * The SDK client against real servers over the fake node: it is patient where the server says so, and nowhere else.
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { METADATA_BYTES_MAX } from '../../src/base/limits.ts';
import { PolarisClient } from '../../src/client/client.ts';
import { jobId } from '../ranges/fixtures.ts';
import { FakeNode, ID_1, ID_2, listen, serverOf } from './fake-node.ts';

let node: FakeNode;
let app: ReturnType<typeof serverOf>;
let url: string;
let client: PolarisClient;
beforeEach(async () => {
  node = new FakeNode();
  app = serverOf(node);
  url = `http://${await listen(app)}`;
  client = new PolarisClient({ urls: [url] });
});
afterEach(() => app.close());

const GOOD = { name: 'mail', start: 0, end: 100 };
/** Refuses connections: nobody listens there. */
const DEAD_URL = 'http://127.0.0.1:9';

function codeOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => 'nothing was thrown',
    (thrown: unknown) => (thrown instanceof PolarisError ? thrown.code : String(thrown)),
  );
}

test('a job goes its whole way through the client', async () => {
  const job = await client.submit({ ...GOOD, id: ID_1, metadata: { to: 'all' }, options: { commitEvery: 5 } });
  expect(job).toMatchObject({ id: ID_1, metadata: { to: 'all' }, state: 'pending' });
  expect((await client.pause(ID_1)).state).toBe('paused');
  expect((await client.resume('1111')).state).toBe('pending');
  expect((await client.list({ state: 'pending', limit: 3 })).map(({ id }) => id)).toEqual([ID_1]);
  expect((await client.ranges(ID_1)).pending).toEqual([[0, 100]]);
  expect((await client.verify(ID_1)).missing).toEqual([[0, 100]]);
  expect((await client.cluster()).leader).toBe('n1');
  expect((await client.cancel(ID_1)).state).toBe('cancelled');
  expect((await client.show(ID_1)).state).toBe('cancelled');
});

test('an error of the server comes out with its code and detail', async () => {
  const thrown = await client.submit({ ...GOOD, end: 0 }).catch((error: unknown) => error);
  expect(thrown).toBeInstanceOf(PolarisError);
  expect(thrown).toMatchObject({ code: 'BAD_RANGE', detail: expect.stringContaining('empty') });
  expect(await codeOf(client.show(jobId(9)))).toBe('JOB_NOT_FOUND');
  expect(await codeOf(client.show('../../livez'))).toBe('JOB_NOT_FOUND');
});

test('a dead node is passed over for the next one', async () => {
  const both = new PolarisClient({ urls: [DEAD_URL, url] });
  expect((await both.submit({ ...GOOD, id: ID_1 })).id).toBe(ID_1);
});

test('what is retryable is tried again until it works', async () => {
  node.failure = 'NO_LEADER';
  const { submit } = node;
  let tries = 0;
  node.submit = (spec, done) => {
    if (++tries === 3) node.failure = null;
    submit.call(node, spec, done);
  };
  expect((await client.submit({ ...GOOD, id: ID_1 })).id).toBe(ID_1);
  expect(tries).toBe(3);
});

test('a submit whose first answer was lost is one job', async () => {
  const { submit } = node;
  let tries = 0;
  node.submit = (spec, done) =>
    submit.call(node, spec, (result) => {
      done(++tries === 1 ? { ok: false, error: new PolarisError('OUTCOME_UNKNOWN') } : result);
    });
  const { id } = await client.submit(GOOD);
  expect([...node.pen.table.jobs()].map((job) => job.spec.id)).toEqual([id]);
  expect(tries).toBe(2);
});

test('a pause whose first answer was lost is a success', async () => {
  node.pen.submit({ id: ID_1 });
  const { control } = node;
  let tries = 0;
  node.control = (id, action, done) =>
    control.call(node, id, action, (result) => {
      done(++tries === 1 ? { ok: false, error: new PolarisError('OUTCOME_UNKNOWN') } : result);
    });
  expect((await client.pause(ID_1)).state).toBe('paused');
  expect(tries).toBe(2);
});

test('what is not retryable is tried once', async () => {
  node.pen.submit({ id: ID_1 });
  node.pen.control('cancel', ID_1);
  let tries = 0;
  const { control } = node;
  node.control = (...args) => {
    tries++;
    control.apply(node, args);
  };
  expect(await codeOf(client.resume(ID_1))).toBe('WRONG_STATE');
  expect(tries).toBe(1);
});

test('jobs are controlled through the client', async () => {
  node.pen.submit({ id: ID_1, options: { maxAttempts: 1 } });
  expect((await client.set('1111', { priority: 5, pointsPerSecond: 10 })).controls).toMatchObject({
    ...{ priority: 5, pointsPerSecond: 10, weight: 1 },
  });
  node.pen.join('w1');
  node.pen.fail(node.pen.grant(100, { job: ID_1 }), 20, 30);
  expect((await client.failures(ID_1)).failed).toMatchObject([{ start: 20, end: 30, worker: 'w1' }]);
  expect((await client.retry(ID_1, { range: [0, 25] })).progress.failed).toBe(5);
  expect(await codeOf(client.retry(ID_1, { range: [0, 20] }))).toBe('WRONG_STATE');
});

test('workers are listed and drained through the client', async () => {
  node.pen.join('w1');
  node.pen.join('w2');
  expect((await client.drainWorker('w2')).draining).toBe(true);
  expect((await client.workers()).map(({ id, draining }) => [id, draining])).toEqual([
    ['w1', false],
    ['w2', true],
  ]);
  expect((await client.drainWorker('w2', false)).draining).toBe(false);
  expect(await codeOf(client.drainWorker('w3'))).toBe('NOT_FOUND');
});

test('schedules go their whole way through the client', async () => {
  const put = await client.putSchedule('nightly', { cron: '@daily', job: GOOD });
  expect(put).toMatchObject({ key: 'nightly', job: { name: 'mail' } });
  expect(await client.schedules()).toEqual([put]);
  expect(await client.schedule('nightly')).toEqual(put);
  await client.dropSchedule('nightly');
  expect(await codeOf(client.dropSchedule('nightly'))).toBe('NOT_FOUND');
});

test('a schedule whose removal was not answered at first is removed', async () => {
  await client.putSchedule('nightly', { cron: '@daily', job: GOOD });
  const { dropSchedule } = node;
  let tries = 0;
  node.dropSchedule = (key, done) =>
    dropSchedule.call(node, key, (result) => {
      done(++tries === 1 ? { ok: false, error: new PolarisError('OUTCOME_UNKNOWN') } : result);
    });
  await client.dropSchedule('nightly');
  expect([...node.pen.table.schedules()]).toEqual([]);
});

test('a list is fetched page by page, and no further than asked for', async () => {
  const metadata = JSON.stringify({ text: 'x'.repeat(METADATA_BYTES_MAX - 20) });
  for (let number = 1; number <= 40; number++) node.pen.submit({ id: jobId(number), metadata });
  expect((await client.list({ limit: 1_500 })).map(({ id }) => id)).toEqual(
    Array.from({ length: 40 }, (_, at) => jobId(40 - at)),
  );
  expect(await client.list({ limit: 30 })).toHaveLength(30);
  expect(await client.list({ limit: 30, state: 'paused' })).toEqual([]);
});

describe('out of time', () => {
  test('the last error of a cluster without a leader is thrown', async () => {
    node.failure = 'NO_LEADER';
    const hasty = new PolarisClient({ urls: [url], timeoutMs: 2_000 });
    expect(await codeOf(hasty.list())).toBe('NO_LEADER');
  });

  test('nobody at the address is UNREACHABLE', async () => {
    const hasty = new PolarisClient({ urls: [DEAD_URL], timeoutMs: 2_000 });
    expect(await codeOf(hasty.cluster())).toBe('UNREACHABLE');
  });

  test('a server that is no Polaris node is told apart', async () => {
    const { createServer } = await import('node:http');
    const other = createServer((_request, response) => response.end('<html>'));
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const address = other.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    expect(await codeOf(new PolarisClient({ urls: [`http://127.0.0.1:${port}`] }).cluster())).toBe('INTERNAL');
    other.close();
  });
});

describe('wait', () => {
  test('ends with the job, having looked at it on the way', async () => {
    node.pen.submit({ id: ID_1 });
    node.pen.submit({ id: ID_2 });
    node.pen.join('w1');
    const seen: string[] = [];
    const job = await client.wait(ID_1, {
      onLook: ({ state }) => {
        if (seen.push(state) === 1) node.pen.complete(node.pen.grant(100, { job: ID_1 }));
      },
    });
    expect(job.state).toBe('done');
    expect(seen).toEqual(['pending', 'done']);
  });

  test('is TIMED_OUT when the job is not finished in time', async () => {
    node.pen.submit({ id: ID_1 });
    expect(await codeOf(client.wait(ID_1, { timeoutMs: 50 }))).toBe('TIMED_OUT');
  });

  test('ends at once when its signal aborts', async () => {
    node.pen.submit({ id: ID_1 });
    const controller = new AbortController();
    const waiting = client.wait(ID_1, {
      signal: controller.signal,
      onLook: () => controller.abort(new Error('enough')),
    });
    await expect(waiting).rejects.toThrow(/enough|aborted/);
  });
});

test('an address that is none is refused before anything is sent', () => {
  expect(() => new PolarisClient({ urls: ['127.0.0.1:7070'] })).toThrow(/http:\/\/HOST:PORT/);
  expect(() => new PolarisClient({ urls: [] })).toThrow(PolarisError);
});
