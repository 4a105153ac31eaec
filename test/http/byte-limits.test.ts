/**
 * Bodies one below a bound, exactly, and one above: of JSON, of a job and of a dataset that is named by its handle, and of what
 * a runner leaves, whose bound is small here, for nobody writes a GiB three times over.
 */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { must } from '../../src/base/assert.ts';
import type { Handle } from '../../src/base/handle.ts';
import { BODY_BYTES_MAX } from '../../src/base/limits.ts';
import { RUNNER_OUTPUT_BYTES_MAX } from '../../src/base/result-limits.ts';
import type { OutputTicket } from '../../src/http/task-data.ts';
import { DataCluster } from '../data/depot/cluster.ts';
import { MAIL } from '../ranges/fixtures.ts';

vi.mock('../../src/base/result-limits.ts', async (original) => ({
  ...(await original()),
  // An Arrow file has a multiple of eight bytes and two more: ten of them end it.
  RUNNER_OUTPUT_BYTES_MAX: 64 * 1024 + 2,
}));

let cluster: DataCluster;
beforeEach(async () => {
  cluster = await DataCluster.open(3);
});
afterEach(() => cluster.close());

function send(method: string, path: string, body: string, type = 'application/json'): Promise<Response> {
  return fetch(`http://${cluster.node(1).address}/v1/${path}`, { method, body, headers: { 'content-type': type } });
}

async function codeOf(answer: Response): Promise<unknown[]> {
  return [answer.status, ((await answer.json()) as { code?: string }).code];
}

const padded = (content: object, bytes: number) => JSON.stringify(content).padEnd(bytes);

test('the JSON of a job', async () => {
  const job = (bytes: number) => send('POST', 'jobs', padded({ name: MAIL, start: 0, end: 10 }, bytes));
  for (const bytes of [BODY_BYTES_MAX - 1, BODY_BYTES_MAX]) expect((await job(bytes)).status).toBe(201);
  expect(await codeOf(await job(BODY_BYTES_MAX + 1))).toEqual([413, 'BODY_TOO_LARGE']);
});

test('the JSON that names a dataset by its handle', async () => {
  const stored = await send('PUT', 'datasets/lines', 'a\nb\n', 'text/plain');
  const { handle } = (await stored.json()) as { handle: Handle };
  const name = (bytes: number) => send('PUT', 'datasets/again', padded({ handle }, bytes));
  for (const bytes of [BODY_BYTES_MAX - 1, BODY_BYTES_MAX]) expect((await name(bytes)).status).toBe(200);
  expect(await codeOf(await name(BODY_BYTES_MAX + 1))).toEqual([413, 'BODY_TOO_LARGE']);
});

test('the output of a runner, as it is stored', async () => {
  await send('POST', 'jobs', JSON.stringify({ name: MAIL, start: 0, end: 100 }));
  cluster.pen.join('@py', [MAIL]);
  const [job] = [...cluster.pen.table.jobs()];
  const epoch = cluster.pen.grant(40, { worker: '@py', job: must(job, 'a job').spec.id });
  const leave = (characters: number) =>
    send('POST', `tasks/${epoch}/output?start=0&end=1`, 'x'.repeat(characters), 'text/plain');
  const bytesOf = async (answer: Response) => [answer.status, ((await answer.json()) as OutputTicket).handle.bytes];

  const [, measured] = await bytesOf(await leave(32_768));
  // What stands around the rows does not depend on how many there are.
  const fills = RUNNER_OUTPUT_BYTES_MAX - (Number(measured) - 32_768);
  expect(await bytesOf(await leave(fills - 8))).toEqual([201, RUNNER_OUTPUT_BYTES_MAX - 8]);
  expect(await bytesOf(await leave(fills))).toEqual([201, RUNNER_OUTPUT_BYTES_MAX]);
  expect(await codeOf(await leave(fills + 8))).toEqual([413, 'BLOB_TOO_LARGE']);
});
