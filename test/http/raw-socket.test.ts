/**
 * What a client library never sends: the node answers all of it with a problem, and goes on.
 */
import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PIPELINED_REQUESTS_MAX } from '../../src/base/limits.ts';
import { type Logger, SILENT } from '../../src/base/log.ts';
import { createPrng } from '../../src/base/prng.ts';
import type { Done } from '../../src/daemon/api.ts';
import { createHttpServer } from '../../src/http/server.ts';
import type { Table } from '../../src/ranges/types.ts';
import { FakeNode, ID_1, listen, serverOf } from './fake-node.ts';

/** Answers no linearizable read until it is told to. */
class HeldNode extends FakeNode {
  readonly held: (() => void)[] = [];
  hold = false;

  override read<T>(consistency: 'linearizable' | 'local', look: (table: Table) => T, done: Done<T>): void {
    const answer = (): void => super.read(consistency, look, done);
    if (this.hold && consistency === 'linearizable') this.held.push(answer);
    else answer();
  }
}

let node: HeldNode;
let app: ReturnType<typeof serverOf>;
let port: number;
beforeEach(async () => {
  node = new HeldNode();
  app = serverOf(node);
  port = Number((await listen(app)).split(':')[1]);
});
afterEach(() => app.close());

/** Everything that is answered until the server ends the connection. */
function exchange(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    let answer = '';
    socket.setEncoding('utf8').on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

function codeOf(answer: string): unknown {
  expect(answer).toMatch(/\r\ncontent-type: application\/problem\+json/i);
  const code = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4)).code;
  expect(answer).toContain(`\r\npolaris-code: ${code}\r\n`);
  return code;
}

const CLOSE = 'Connection: close\r\n';
const HOST = `Host: 127.0.0.1\r\n${CLOSE}`;

describe('is a problem with its code, in the body and in the header', () => {
  test.each([
    ['bytes that are no HTTP', 'this is no HTTP\r\n\r\n', 'BAD_REQUEST'],
    ['a header of 40 kB', `GET /v1/jobs HTTP/1.1\r\n${HOST}x: ${'a'.repeat(40_000)}\r\n\r\n`, 'BAD_REQUEST'],
    ['no Host', `GET /v1/jobs HTTP/1.1\r\n${CLOSE}\r\n`, 'BAD_REQUEST'],
    ['two Hosts', `GET /v1/jobs HTTP/1.1\r\nHost: a\r\n${HOST}\r\n`, 'BAD_REQUEST'],
    ['CONNECT', `CONNECT 10.0.0.1:80 HTTP/1.1\r\n${HOST}\r\n`, 'METHOD_NOT_ALLOWED'],
    ['TRACE', `TRACE /v1/jobs HTTP/1.1\r\n${HOST}\r\n`, 'METHOD_NOT_ALLOWED'],
    ['a method of WebDAV', `PROPFIND /v1/jobs HTTP/1.1\r\n${HOST}\r\n`, 'METHOD_NOT_ALLOWED'],
    ['two lengths', `POST /v1/jobs HTTP/1.1\r\n${HOST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`, 'BAD_REQUEST'],
  ])('%s', async (_what, request, code) => {
    expect(codeOf(await exchange(request))).toBe(code);
    expect((await app.inject('/livez')).statusCode).toBe(200);
  });
});

test('whoever sends CONNECT and goes away with a reset ends nothing but the connection', async () => {
  const socket = connect(port, '127.0.0.1', () => {
    socket.write(`CONNECT 10.0.0.1:80 HTTP/1.1\r\n${HOST}\r\n`);
    socket.resetAndDestroy();
  });
  await new Promise((resolve) => socket.on('close', resolve));
  expect(await exchange(`GET /livez HTTP/1.1\r\n${HOST}\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
});

test('whoever goes away in the middle of a body leaves no fault in the log', async () => {
  const faults: unknown[] = [];
  const log: Logger = { ...SILENT, error: (...what) => void faults.push(what) };
  const server = createHttpServer({ api: node, log, prng: createPrng(1) });
  const answered = new Promise((resolve) => server.addHook('onSend', async (_request, _reply, body) => resolve(body)));
  const [, serverPort] = (await listen(server)).split(':');
  const socket = connect(Number(serverPort), '127.0.0.1', () =>
    socket.write(`POST /v1/jobs HTTP/1.1\r\n${HOST}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{`),
  );
  server.server.once('request', () => socket.destroy());
  expect(await answered).toContain('"code":"BAD_REQUEST"');
  expect(faults).toEqual([]);
  await server.close();
});

test('HTTP/1.0 needs no Host', async () => {
  expect(await exchange('GET /livez HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 /);
});

test('an expectation that nobody knows is passed over', async () => {
  expect(await exchange(`GET /livez HTTP/1.1\r\n${HOST}Expect: miracles\r\n\r\n`)).toMatch(/^HTTP\/1\.1 200 /);
});

test('36 characters that are no id never reach the log', async () => {
  for (const id of [`${'%20'.repeat(36)}`, 'x'.repeat(36), '%E2%82%AC'.repeat(36), ID_1.replace('4', '7')]) {
    const response = await app.inject({ method: 'POST', url: `/v1/jobs/${id}/cancel` });
    expect(response.json()).toMatchObject({ code: 'JOB_NOT_FOUND' });
  }
  expect(node.pen.table.appliedIndex).toBe(0);
});

test('a connection that sends on without reading gets OVERLOADED for what is too much, and the rest answered', async () => {
  node.hold = true;
  const count = PIPELINED_REQUESTS_MAX + 3;
  const last = `GET /livez HTTP/1.1\r\n${HOST}\r\n`;
  const answered = exchange(`${'GET /v1/jobs HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(count)}${last}`);
  await expect.poll(() => node.held.length).toBe(PIPELINED_REQUESTS_MAX);
  // The refused ones are answered in their turn, behind those that wait.
  for (const release of node.held) release();
  const answers = await answered;
  expect(answers.match(/HTTP\/1\.1 200 /g)?.length).toBe(PIPELINED_REQUESTS_MAX);
  expect(answers.match(/"code":"OVERLOADED"/g)?.length).toBe(count + 1 - PIPELINED_REQUESTS_MAX);
  node.hold = false;
  expect(await exchange(last)).toMatch(/^HTTP\/1\.1 200 /);
});
