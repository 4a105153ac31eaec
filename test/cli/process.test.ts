/**
 * The program as a process: its streams, its exit code, and that nothing keeps it alive when it is through.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { FakeNode, ID_1, listen, serverOf } from '../http/fake-node.ts';

const ROOT = resolve(import.meta.dirname ?? '.', '../..');
const node = new FakeNode();
const app = serverOf(node);
let url: string;
beforeAll(async () => {
  url = `http://${await listen(app)}`;
});
afterAll(() => app.close());

/** A node that listens on a free port, once it says where. */
async function startNode(dataDir: string) {
  const args = ['--import', 'tsx', 'bin/polaris.ts', 'node', '--listen', '127.0.0.1:0', '--data-dir', dataDir];
  const child = spawn(process.execPath, args, {
    ...{ cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] as const },
    env: { PATH: process.env['PATH'] ?? '' },
  });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk) => {
      said += chunk;
    });
  }
  const told = (pattern: RegExp) => expect.poll(() => said, { timeout: 60_000, interval: 20 }).toMatch(pattern);
  await told(/"listening"/);
  const port = Number(/"address":"127\.0\.0\.1:(\d+)"/.exec(said)?.[1]);
  return { child, port, told, exit: once(child, 'exit') };
}

async function polaris(...args: readonly string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'bin/polaris.ts', ...args], {
    ...{ cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] as const },
    env: { PATH: process.env['PATH'] ?? '', POLARIS_URL: url },
  });
  const [stdout, stderr, [exit]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
  return { stdout, stderr, exit };
}

test('a submit prints the id on stdout and nothing else, anywhere', async () => {
  const args = ['job', 'submit', 'mail', '--start', '0', '--end', '9', '--id', ID_1];
  expect(await polaris(...args)).toEqual({ exit: 0, stdout: `${ID_1}\n`, stderr: '' });
  expect(node.pen.table.job(ID_1)?.spec.end).toBe(9);
});

test('an error of the server is one code on stderr, and its exit code', async () => {
  const { exit, stdout, stderr } = await polaris('job', 'submit', 'nope', '--start', '0', '--end', '9');
  expect([exit, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(/^polaris: UNKNOWN_JOB_TYPE: .*"nope"; the leader itself has mail\n {2}.*--jobs DIR/);
});

test('a node whose address is taken says so, and is no fault of Polaris', async () => {
  const address = url.replace('http://', '');
  const dataDir = mkdtempSync(join(tmpdir(), 'polaris-cli-'));
  try {
    const { exit, stderr } = await polaris('node', '--listen', address, '--data-dir', dataDir);
    expect(stderr).toMatch(`polaris: CANNOT_LISTEN: ${address}: listen EADDRINUSE`);
    expect(exit).toBe(1);
  } finally {
    rmSync(dataDir, { recursive: true });
  }
});

describe('a node that is told to stop', () => {
  let dataDir: string;
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'polaris-cli-'));
  });
  afterEach(() => rmSync(dataDir, { recursive: true }));

  test('ends in order at the first signal', async () => {
    const { child, exit } = await startNode(dataDir);
    child.kill('SIGTERM');
    expect(await exit).toEqual([0, null]);
  });

  test('ends at once at the second one, whatever it still waits for', async () => {
    const { child, port, told, exit } = await startNode(dataDir);
    // Half a request: the server would wait for the rest of it before it closes.
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    socket.on('error', () => socket.destroy());
    const head = ['POST /v1/jobs HTTP/1.1', 'Host: x', 'Content-Type: application/json', 'Content-Length: 9'];
    socket.write(`${[...head, 'Expect: 100-continue'].join('\r\n')}\r\n\r\n{`);
    // Now it is under way, for the server too.
    expect(String((await once(socket, 'data'))[0])).toMatch('100 Continue');
    child.kill('SIGTERM');
    await told(/"stopping"/);
    child.kill('SIGINT');
    expect(await exit).toEqual([1, null]);
    socket.destroy();
  });
});
