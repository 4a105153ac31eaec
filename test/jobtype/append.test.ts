import { readFileSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { afterEach, describe, expect, it } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { openBench, testTypes } from './harness.ts';

const servers: { server: Server; sockets: Set<Socket> }[] = [];

afterEach(() => {
  for (const { server, sockets } of servers.splice(0)) {
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

/** Says each command that it is sent, split into words; `answer` gives the reply, or null for none. */
async function startRedis(
  answer: (words: readonly string[]) => string | null,
): Promise<{ port: number; commands: string[][] }> {
  const commands: string[][] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    let received = '';
    socket.on('error', () => {});
    socket.setEncoding('utf8').on('data', (text: string) => {
      received += text;
      for (let words = takeCommand(); words !== null; words = takeCommand()) {
        commands.push(words);
        const reply = answer(words);
        if (reply !== null) socket.write(reply);
      }
    });
    /** One array of bulk strings off the front; null when it is not whole yet. */
    function takeCommand(): string[] | null {
      const parts = received.split('\r\n');
      const count = Number(parts[0]?.slice(1));
      if (received === '' || parts.length < 2 * count + 2) return null;
      received = parts.slice(2 * count + 1).join('\r\n');
      return Array.from({ length: count }, (_, index) => parts[2 * index + 2] ?? '');
    }
  });
  servers.push({ server, sockets });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = must(server.address(), 'the server listens');
  return { port: typeof address === 'string' ? 0 : address.port, commands };
}

describe('append to a file', () => {
  it('writes one line a point, in order', async () => {
    const bench = await openBench({ commit: true });
    const file = join(bench.dataDir, 'lines');
    const epoch = bench.run('append', { end: 1_000, metadata: { sink: `file:${file}` } });
    expect(await bench.ending(epoch)).toMatchObject({ ending: 'complete', cursor: 1_000 });
    const lines = readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => line.split('\t'));
    expect(lines.map((line) => Number(line[1]))).toEqual(Array.from({ length: 1_000 }, (_, point) => point));
    expect(new Set(lines.map(([, , ...rest]) => rest.join()))).toEqual(new Set([`${epoch},n1`]));
    expect(Number(lines[0]?.[0])).toBeGreaterThan(Date.UTC(2020));
  });

  it('a release in the pause between two points counts the line that is written, and no more', async () => {
    const bench = await openBench({ commit: true });
    const file = join(bench.dataDir, 'lines');
    const epoch = bench.run('append', { metadata: { sink: `file:${file}`, intervalMs: 3_600_000 } });
    await bench.when((happening) => (happening.kind === 'progress' && happening.begun === 1 ? true : null));
    bench.executor.release(epoch);
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 1, begun: 1, ending: 'release', error: '' });
    expect(readFileSync(file, 'utf8').match(/\n/g)).toHaveLength(1);
  });

  it('a file that cannot be opened fails the task', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('append', { metadata: { sink: 'file:/nonexistent/file' } });
    const error = expect.stringContaining('ENOENT');
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 0, begun: 0, ending: 'fail', error });
  });
});

describe('append to Redis', () => {
  const OK = (words: readonly string[]) => (words[0] === 'SELECT' ? '+OK\r\n' : ':1\r\n');

  it('selects the database and pushes one line a point', async () => {
    const bench = await openBench({ commit: true });
    const { port, commands } = await startRedis(OK);
    const epoch = bench.run('append', { end: 3, metadata: { sink: `redis://127.0.0.1:${port}/5?list=the%20list` } });
    expect(await bench.ending(epoch)).toMatchObject({ ending: 'complete', cursor: 3 });
    expect(commands.map((words) => words.slice(0, 2))).toEqual([
      ['SELECT', '5'],
      ['RPUSH', 'the list'],
      ['RPUSH', 'the list'],
      ['RPUSH', 'the list'],
    ]);
    expect(commands[3]?.[2]).toMatch(/^\d+\t2\t1\tn1\n$/);
  });

  it('a point is acknowledged only after its reply', async () => {
    const bench = await openBench({ commit: true });
    const { port } = await startRedis((words) => (/\t2\t/.test(words[2] ?? '') ? null : OK(words)));
    const epoch = bench.run('append', { end: 5, metadata: { sink: `redis://127.0.0.1:${port}/0?list=l` } });
    await bench.when((happening) => (happening.kind === 'progress' && happening.begun === 3 ? true : null));
    bench.executor.abort(epoch);
    expect(await bench.ending(epoch)).toMatchObject({ cursor: 2, begun: 3, ending: 'release' });
  });

  it('an error reply fails the task with its text', async () => {
    const bench = await openBench({ commit: true });
    const wrong = '-WRONGTYPE Operation against a key holding the wrong kind of value\r\n';
    const { port } = await startRedis((words) => (words[0] === 'SELECT' ? '+OK\r\n' : wrong));
    const epoch = bench.run('append', { metadata: { sink: `redis://127.0.0.1:${port}/0?list=l` } });
    const error = 'Redis: WRONGTYPE Operation against a key holding the wrong kind of value';
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 0, begun: 1, ending: 'fail', error });
  });

  it('a Redis that nobody runs fails the task before its first point', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('append', { metadata: { sink: 'redis://127.0.0.1:1/0?list=l' } });
    const error = 'Redis at 127.0.0.1:1 cannot be reached';
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 0, begun: 0, ending: 'fail', error });
  });
});

describe('the schemas of the bundled types', () => {
  it.each([
    ['append', { sink: 'file:/tmp/x' }, true],
    ['append', { sink: 'redis://localhost:6379/0?list=lines', intervalMs: 100 }, true],
    ['append', { sink: 'redis://[::1]?list=lines' }, true],
    ['append', {}, false],
    ['append', { sink: 'file:' }, false],
    ['append', { sink: 'http://localhost/' }, false],
    ['append', { sink: 'redis://localhost/0' }, false],
    ['append', { sink: 'redis://user:secret@localhost/0?list=l' }, false],
    ['append', { sink: 'file:/tmp/x', intervalMs: -1 }, false],
    ['append', { sink: 'file:/tmp/x', interval: 1 }, false],
    ['exec', { command: ['true'] }, true],
    ['exec', { command: ['a', '{start}'], cwd: '/', env: { A: 'b' } }, true],
    ['exec', {}, false],
    ['exec', { command: [] }, false],
    ['exec', { command: 'true' }, false],
    ['exec', { command: ['true'], env: { A: 1 } }, false],
  ])('%s %j: %s', async (name, metadata, taken) => {
    const schema = must((await testTypes()).get(name)?.info.metadataSchema, 'a bundled type has a schema');
    expect(new Ajv().validate(schema, metadata)).toBe(taken);
  });
});
