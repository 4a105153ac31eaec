/**
 * The real Probe against real programs and a real server. What takes time here takes it from the machine; nothing waits
 * for a moment to pass but where the passing itself is shown.
 */
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OUTSIDE_BYTES_MAX } from '../../src/base/limits-masters.ts';
import type { ProbeAnswer, ProbeRequest } from '../../src/daemon/probe.ts';
import { createProbe } from '../../src/daemon/real-probe.ts';

const probe = createProbe();

function run(...command: readonly string[]): Promise<ProbeAnswer> {
  return new Promise((resolve) => probe.run(command, { POLARIS_JOB: 'j' }, resolve));
}

function shell(script: string): Promise<ProbeAnswer> {
  return run('/bin/sh', '-c', script);
}

describe('a command', () => {
  test('answers with its exit code and with what it said on both streams', async () => {
    const answer = await shell('echo "$POLARIS_JOB"; echo worse >&2; exit 3');
    expect(answer).toMatchObject({ kind: 'answered', status: 3 });
    expect(answer.kind === 'answered' ? answer.text.split('\n').sort() : []).toEqual(['', 'j', 'worse']);
  });

  test('that does not exist is unreachable', async () => {
    expect(await run('/nonexistent/program')).toMatchObject({ kind: 'unreachable', why: /ENOENT/ });
  });

  test('that is killed is unreachable', async () => {
    expect(await shell('kill -9 $$')).toEqual({ kind: 'unreachable', why: 'it was ended by SIGKILL' });
  });

  test('takes along what it leaves behind', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'polaris-probe-'));
    await shell(`sh -c 'echo $$ > ${folder}/pid; exec sleep 1000' & while ! [ -s ${folder}/pid ]; do :; done`);
    const pid = Number(readFileSync(join(folder, 'pid'), 'utf8'));
    expect(pid).toBeGreaterThan(0);
    expect(stateOf(pid)).not.toBe('sleeping');
    rmSync(folder, { recursive: true });
  });

  test('that talks without end is read up to the limit', async () => {
    const answer = await shell(`head -c ${4 * OUTSIDE_BYTES_MAX} /dev/zero`);
    expect(answer.kind === 'answered' && answer.text.length).toBe(OUTSIDE_BYTES_MAX);
  });

  test('gets none of our files', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'polaris-probe-'));
    const file = openSync(join(folder, 'precious'), 'w');
    const answer = await shell('ls -l /proc/self/fd');
    closeSync(file);
    rmSync(folder, { recursive: true });
    expect(answer).toMatchObject({ kind: 'answered', status: 0 });
    expect(answer.kind === 'answered' && answer.text).not.toContain('precious');
  });
});

/** 'sleeping' while it lives; a process that nobody has buried yet has no command line any more. */
function stateOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith('sleep') ? 'sleeping' : 'other';
  } catch {
    return 'gone';
  }
}

describe('a request', () => {
  let server: Server;
  let handle: RequestListener = (_request, response) => response.end();

  beforeAll(async () => {
    server = createServer((request, response) => handle(request, response)).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });

  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  function ask(changes: Partial<ProbeRequest> = {}): Promise<ProbeAnswer> {
    const { port } = server.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}/`;
    return new Promise((resolve) => probe.fetch({ method: 'GET', url, headers: {}, body: null, ...changes }, resolve));
  }

  test('carries its method, headers and body, and brings back status and text', async () => {
    handle = async (request, response) => {
      const parts: Buffer[] = [];
      for await (const part of request) parts.push(part as Buffer);
      response.statusCode = 418;
      response.end(`${request.method} ${request.headers['idempotency-key']} ${Buffer.concat(parts)}`);
    };
    const answer = await ask({ method: 'POST', headers: { 'idempotency-key': 'j/1' }, body: '{"a":1}' });
    expect(answer).toEqual({ kind: 'answered', status: 418, text: 'POST j/1 {"a":1}' });
  });

  test('is not sent on by a redirection', async () => {
    let requests = 0;
    handle = (_request, response) => {
      requests++;
      response.writeHead(302, { location: '/elsewhere' }).end();
    };
    expect(await ask()).toMatchObject({ status: 302 });
    expect(requests).toBe(1);
  });

  test('reads the beginning of a body that has no end', async () => {
    handle = (_request, response) => {
      const fill = () => {
        while (response.write('x'.repeat(16_384)));
      };
      response.on('drain', fill);
      fill();
    };
    const answer = await ask();
    expect(answer.kind === 'answered' && answer.text.length).toBe(OUTSIDE_BYTES_MAX);
  });

  test('to nobody is unreachable, and says why', async () => {
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    await once(closed, 'close');
    expect(await ask({ url: `http://127.0.0.1:${port}/` })).toMatchObject({ kind: 'unreachable', why: /ECONNREFUSED/ });
    expect(await ask({ url: 'nonsense' })).toMatchObject({ kind: 'unreachable', why: /URL/i });
  });

  test('that is not answered is given up', async () => {
    handle = () => {};
    expect(await ask()).toMatchObject({ kind: 'unreachable', why: /no answer within/ });
  });
});
