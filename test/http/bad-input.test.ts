/**
 * Whatever is wrong with a request, the answer is a problem with a stable code, and nothing has changed.
 */
import type { InjectOptions } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ERRORS, type ErrorCode } from '../../src/base/errors.ts';
import { BODY_BYTES_MAX, METADATA_BYTES_MAX, URL_LENGTH_MAX } from '../../src/base/limits.ts';
import { DELIVERIES } from '../../src/ranges/deliveries.ts';
import { FakeNode, ID_1, serverOf } from './fake-node.ts';

let node: FakeNode;
let app: ReturnType<typeof serverOf>;
beforeEach(() => {
  node = new FakeNode();
  app = serverOf(node);
});
afterEach(() => app.close());

const GOOD = { name: 'mail', start: 0, end: 10 };

function post(payload: string | Buffer, headers: Record<string, string> = {}): InjectOptions {
  return { method: 'POST', url: '/v1/jobs', payload, headers: { 'content-type': 'application/json', ...headers } };
}

async function expectProblem(request: InjectOptions, code: ErrorCode, detail: RegExp | null = null): Promise<void> {
  const response = await app.inject(request);
  expect(response.headers['content-type']).toContain('application/problem+json');
  const problem = response.json();
  expect(problem).toMatchObject({
    ...{ code, status: ERRORS[code].status, retryable: ERRORS[code].retry, type: `urn:polaris:error:${code}` },
    title: ERRORS[code].text,
  });
  expect(response.statusCode).toBe(ERRORS[code].status);
  if (detail !== null) expect(problem.detail).toMatch(detail);
  expect(node.pen.table.appliedIndex).toBe(0);
}

describe('a body that is no job is refused', () => {
  const BODIES: readonly (readonly [what: string, body: string | Buffer, code: ErrorCode, detail: RegExp | null])[] = [
    ['that is no JSON', '{"name":', 'BAD_JSON', null],
    ['that is empty', '', 'BAD_JSON', /empty/],
    ['with NaN', '{"name":"mail","start":NaN,"end":10}', 'BAD_JSON', null],
    ['with Infinity', '{"name":"mail","start":0,"end":Infinity}', 'BAD_JSON', null],
    ['that is no UTF-8', Buffer.from([0x22, 0xff, 0x22]), 'BAD_JSON', null],
    ['with half a surrogate pair', '{"name":"mail","start":0,"end":1,"metadata":{"a":"\\ud800"}}', 'BAD_JSON', null],
    ['with a number beyond a double', '{"name":"mail","start":0,"end":1,"metadata":{"a":1e999}}', 'BAD_JSON', null],
    ['with endless nesting', `{"metadata":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 'BAD_JSON', /nests/],
    ['with __proto__', '{"name":"mail","start":0,"end":1,"metadata":{"__proto__":{"x":1}}}', 'BAD_JSON', /__proto__/],
    ['that is an array', '[]', 'BAD_REQUEST', /object/],
    ['that is a text', '"mail"', 'BAD_REQUEST', /object/],
    ['that is null', 'null', 'BAD_REQUEST', /object/],
  ];
  test.each(BODIES)('%s', (_what, body, code, detail) => expectProblem(post(body), code, detail));
});

describe('a field that is wrong is named', () => {
  const FIELDS: readonly (readonly [what: string, changes: object, code: ErrorCode, detail: RegExp])[] = [
    ['no name', { name: undefined }, 'BAD_REQUEST', /name is missing/],
    ['a name that is a number', { name: 5 }, 'BAD_REQUEST', /name must be/],
    ['an empty name', { name: '' }, 'BAD_REQUEST', /name must not be empty/],
    ['an overlong name', { name: 'x'.repeat(65) }, 'BAD_REQUEST', /name may have 64/],
    ['a job type nobody knows', { name: 'nope' }, 'UNKNOWN_JOB_TYPE', /"nope"/],
    ['an unknown field', { stat: 1 }, 'BAD_REQUEST', /"stat"/],
    ['no start', { start: undefined }, 'BAD_RANGE', /start is missing/],
    ['no end', { end: undefined }, 'BAD_RANGE', /end is missing/],
    ['start = end', { start: 10 }, 'BAD_RANGE', /empty/],
    ['start > end', { start: 11 }, 'BAD_RANGE', /beyond end/],
    ['a fraction', { end: 1.5 }, 'BAD_RANGE', /integer/],
    ['NaN as text', { start: 'NaN' }, 'BAD_RANGE', /start must be a number/],
    ['Infinity as text', { end: 'Infinity' }, 'BAD_RANGE', /end must be a number/],
    ['a number as text', { end: '10' }, 'BAD_RANGE', /end must be a number/],
    ['null', { end: null }, 'BAD_RANGE', /end must be a number/],
    ['2^53', { end: 2 ** 53 }, 'BAD_RANGE', /end is beyond/],
    ['-2^53', { start: -(2 ** 53) }, 'BAD_RANGE', /start is beyond/],
    ['too many points', { start: -1, end: 2 ** 53 - 1 }, 'BAD_RANGE', /more than 2\^53-1 points/],
    ['an id that is a number', { id: 5 }, 'BAD_ID', /UUIDv4/],
    ['an id that is no UUID', { id: 'abc' }, 'BAD_ID', /"abc"/],
    ['a UUIDv1', { id: '11111111-1111-1111-8111-111111111111' }, 'BAD_ID', /UUIDv4/],
    ['the nil UUID', { id: '00000000-0000-0000-0000-000000000000' }, 'BAD_ID', /UUIDv4/],
    ['metadata that is a list', { metadata: [] }, 'BAD_METADATA', /object/],
    ['metadata that is null', { metadata: null }, 'BAD_METADATA', /object/],
    ['metadata that is a text', { metadata: '{}' }, 'BAD_METADATA', /object/],
    ['metadata that is too large', { metadata: { a: 'x'.repeat(METADATA_BYTES_MAX) } }, 'METADATA_TOO_LARGE', /65536/],
    ['options that are a list', { options: [] }, 'BAD_OPTION', /object/],
    ['an unknown option', { options: { comitEvery: 1 } }, 'BAD_OPTION', /"comitEvery"/],
    ['an option of a later version', { options: { ordered: true } }, 'BAD_OPTION', /"ordered"/],
    ['a cron text among the options', { options: { every: '@daily' } }, 'BAD_OPTION', /"every"/],
    ['a time that is a text', { options: { at: '2026-01-01T00:00Z' } }, 'BAD_OPTION', /^at /],
    ['half an id to wait for', { options: { after: '1111' } }, 'BAD_OPTION', /^after /],
    ['no address to tell the end to', { options: { onDone: 'ftp://h/x' } }, 'BAD_OPTION', /^onDone /],
    ['a throttle of no kind', { options: { throttle: { url: 'http://h' } } }, 'BAD_OPTION', /^throttle/],
    [
      'a throttle with a field too many',
      { options: { throttle: { kind: 'url', url: 'http://h', x: 1 } } },
      'BAD_OPTION',
      /^throttle/,
    ],
    ['a weight of 0', { options: { weight: 0 } }, 'BAD_OPTION', /^weight /],
    ['a priority beyond the highest', { options: { priority: 101 } }, 'BAD_OPTION', /^priority /],
    ['a rate that is a fraction', { options: { pointsPerSecond: 0.5 } }, 'BAD_OPTION', /^pointsPerSecond /],
    ['an unknown delivery', { options: { delivery: 'twice' } }, 'BAD_OPTION', /at-most-once/],
    [
      'a delivery that its type cannot keep',
      { options: { delivery: 'exactly-once' } },
      'BAD_OPTION',
      /cannot keep exactly-once/,
    ],
    ['a tolerance above everything', { options: { tolerate: '101%' } }, 'BAD_OPTION', /tolerate/],
    ['an option that is 0', { options: { commitEvery: 0 } }, 'BAD_OPTION', /commitEvery/],
    ['an option that is a text', { options: { commitEvery: '5' } }, 'BAD_OPTION', /commitEvery/],
    ['an option that is a fraction', { options: { taskSize: 0.5 } }, 'BAD_OPTION', /taskSize/],
    ['an option of Object.prototype', { options: { constructor: 1 } }, 'BAD_OPTION', /"constructor"/],
  ];
  test.each(FIELDS)('%s', (_what, changes, code, detail) =>
    expectProblem(post(JSON.stringify({ ...GOOD, ...changes })), code, detail),
  );

  test('an integer that JSON.parse would turn into its neighbour', () =>
    expectProblem(post('{"name":"mail","start":0,"end":9007199254740993}'), 'BAD_RANGE', /beyond/));
});

test('a limit on job threads is refused for a type that runs programs', async () => {
  node.types = [
    { name: 'mail', hash: 'h', exposure: 'task', overseen: false, deliveries: DELIVERIES, metadataSchema: null },
  ];
  const options = { memoryMb: 64 };
  await expectProblem(post(JSON.stringify({ ...GOOD, options })), 'BAD_OPTION', /"mail" runs a program/);
});

test('metadata that the job type refuses is refused with a sentence', async () => {
  const metadataSchema = {
    $schema: 'http://json-schema.org/draft-07/schema#',
    ...{ type: 'object', required: ['template'], additionalProperties: false },
    properties: { template: { type: 'string' } },
  };
  node.types = [
    { name: 'mail', hash: 'h', exposure: 'window', overseen: false, deliveries: DELIVERIES, metadataSchema },
  ];
  const withMetadata = (metadata: object) => post(JSON.stringify({ ...GOOD, metadata }));
  await expectProblem(withMetadata({}), 'BAD_METADATA', /"mail".*must have required property 'template'/);
  await expectProblem(withMetadata({ template: 5 }), 'BAD_METADATA', /metadata\.template must be string/);
  await expectProblem(withMetadata({ template: 'a', extra: 1 }), 'BAD_METADATA', /"extra"/);
  expect((await app.inject(withMetadata({ template: 'a' }))).statusCode).toBe(201);
});

describe('a request that is wrong as such', () => {
  test('a body over the limit', () => expectProblem(post(`"${'x'.repeat(BODY_BYTES_MAX)}"`), 'BODY_TOO_LARGE'));

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'application/xml'])('the content type %s', (type) =>
    expectProblem(post(JSON.stringify(GOOD), { 'content-type': type }), 'UNSUPPORTED_MEDIA_TYPE'),
  );

  test('an Idempotency-Key that does not stand for the id', () =>
    expectProblem(post(JSON.stringify({ ...GOOD, id: ID_1 }), { 'idempotency-key': 'k' }), 'BAD_REQUEST', /stands/));

  test('an overlong Idempotency-Key', () =>
    expectProblem(post(JSON.stringify(GOOD), { 'idempotency-key': 'k'.repeat(256) }), 'BAD_REQUEST', /255/));

  test.each([
    ['DELETE', '/v1/jobs', 'POST, GET, HEAD'],
    ['PUT', '/v1/jobs/x', 'GET, HEAD, PATCH'],
    ['GET', '/v1/jobs/x/pause', 'POST'],
    ['POST', '/v1/cluster', 'GET, HEAD'],
    ['PATCH', '/livez', 'GET, HEAD'],
  ] as const)('%s %s', async (method, url, allow) => {
    await expectProblem({ method, url }, 'METHOD_NOT_ALLOWED');
    expect((await app.inject({ method, url })).headers['allow']?.toString().split(', ').sort()).toEqual(
      allow.split(', ').sort(),
    );
  });

  test.each(['/', '/v1', '/v1/job', '/v1/jobs/', '/v1/jobs/x/nothing', '/v2/jobs'])('the path %s', async (url) => {
    const code = (await app.inject(url)).json().code;
    expect(['NOT_FOUND', 'JOB_NOT_FOUND']).toContain(code);
  });

  test.each(['/v1/jobs/%', '/v1/jobs/%zz', '/%E0%A4%A', '/v1/jobs/%ff'])('the percent-encoding of %s', (url) =>
    expectProblem({ method: 'GET', url }, 'BAD_REQUEST'),
  );

  test('an overlong URL', () =>
    expectProblem({ method: 'GET', url: `/v1/jobs/${'a'.repeat(URL_LENGTH_MAX)}` }, 'BAD_REQUEST', /URL/));

  test.each([
    ['limit=0', /limit/],
    ['limit=1001', /limit/],
    ['limit=5x', /limit/],
    ['state=running!', /state/],
    ['consistency=strong', /consistency/],
    ['limits=5', /"limits"/],
    ['limit=1&limit=2', /limit/],
  ])('the query %s', (query, detail) =>
    expectProblem({ method: 'GET', url: `/v1/jobs?${query}` }, 'BAD_REQUEST', detail),
  );

  test.each(['', '/ranges', '/verify'])('an id that no job has, at /v1/jobs/:id%s', (suffix) =>
    expectProblem({ method: 'GET', url: `/v1/jobs/${ID_1}${suffix}` }, 'JOB_NOT_FOUND'),
  );

  test.each(['nope', '%00', '..%2f..', '*', 'a'.repeat(500)])('the id %s', (id) =>
    expectProblem({ method: 'GET', url: `/v1/jobs/${id}` }, 'JOB_NOT_FOUND'),
  );

  test('an action with a field that nobody reads', async () => {
    const request = post('{"force":true}');
    await expectProblem({ ...request, url: `/v1/jobs/${ID_1}/pause` }, 'BAD_REQUEST', /"force"/);
  });

  test.each([
    ['another site', { origin: 'https://evil.example', host: '127.0.0.1:7070' }],
    ['another port', { origin: 'http://127.0.0.1:8080', host: '127.0.0.1:7070' }],
    ['a name that was pointed here', { origin: 'http://evil.example:7070', host: 'evil.example:7070' }],
    ['a file', { origin: 'null', host: '127.0.0.1:7070' }],
    ['nothing that has a host', { origin: 'data:', host: '' }],
  ])('a page of %s', (_what, headers) =>
    expectProblem({ method: 'POST', url: `/v1/jobs/${ID_1}/cancel`, headers }, 'FOREIGN_ORIGIN', /a page of/),
  );

  test.each(['127.0.0.1:7070', 'localhost:7070', '[::1]:7070'])('but not a page of this node, at %s', async (host) => {
    const headers = { origin: `http://${host}`, host };
    expect((await app.inject({ method: 'GET', url: '/v1/jobs', headers })).statusCode).toBe(200);
  });
});

test('an action on a job that is not there is JOB_NOT_FOUND', async () => {
  const response = await app.inject({ method: 'POST', url: `/v1/jobs/${ID_1}/pause` });
  expect(response.json()).toMatchObject({ code: 'JOB_NOT_FOUND', status: 404 });
  expect([...node.pen.table.jobs()]).toEqual([]);
});

test('bytes that are no HTTP get a problem too, and the server lives on', async () => {
  const { listen } = await import('./fake-node.ts');
  const { connect } = await import('node:net');
  const [host, port] = (await listen(app)).split(':');
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect(Number(port), host, () => socket.write('this is no HTTP\r\n\r\n'));
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk;
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({ code: 'BAD_REQUEST' });
  expect((await app.inject('/livez')).statusCode).toBe(200);
});
