/** polaris dataset: real nodes behind it, files before it, and stdout that carries data only. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { tableFromArrays, tableFromIPC, tableToIPC } from 'apache-arrow';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { writeAll } from '../../src/cli/io.ts';
import { PolarisClient } from '../../src/client/client.ts';
import { DataCluster } from '../data/depot/cluster.ts';
import { type Ran, run } from './fake-io.ts';

let cluster: DataCluster;
let client: PolarisClient;
let directory: string;
beforeEach(async () => {
  cluster = await DataCluster.open(3);
  client = new PolarisClient({ urls: cluster.nodes.map(({ address }) => `http://${address}`) });
  directory = mkdtempSync(join(tmpdir(), 'polaris-dataset-'));
});
afterEach(async () => {
  rmSync(directory, { recursive: true });
  await cluster.close();
});

const arrowOf = (count: number): Uint8Array =>
  tableToIPC(tableFromArrays({ id: Int32Array.from({ length: count }, (_, at) => at) }), 'stream');
const rowsOf = (bytes: Uint8Array): number => tableFromIPC(bytes).numRows;

function file(name: string, bytes: Uint8Array = arrowOf(100)): string {
  const path = join(directory, name);
  writeFileSync(path, bytes);
  return path;
}

function dataset(words: string, options: Parameters<typeof run>[1] = {}): Promise<Ran> {
  return run(['dataset', ...words.split(' ')], { client, ...options });
}

describe('dataset put', () => {
  test('prints the version alone, and what --if-version wants of it', async () => {
    const path = file('a.arrows');
    expect(await dataset(`put a ${path} --if-version none`)).toMatchObject({ exit: 0, stdout: '1\n', stderr: '' });
    const conflict = await dataset(`put a ${path} --if-version none`);
    expect(conflict).toMatchObject({ exit: 1, stdout: '', stderr: expect.stringContaining('DATASET_CONFLICT: ') });
    const version = (await dataset(`put a ${path} --if-version 1`)).stdout.trim();
    expect(JSON.parse((await dataset('show a -o json')).stdout)).toMatchObject({ version: Number(version) });
    expect((await dataset(`put a ${path} --if-version 1`)).exit).toBe(1);
  });

  test('takes stdin, a time to live and a pin', async () => {
    const stdin = Readable.from([arrowOf(7).subarray(0, 100), arrowOf(7).subarray(100)]);
    const put = await dataset('put a - --type arrow --ttl 2h --pin -o json', { stdin });
    expect(put.exit).toBe(0);
    expect(JSON.parse(put.stdout)).toMatchObject({ name: 'a', handle: { rows: 7 }, ttlMs: 7_200_000, pinned: true });
  });

  test('shows bytes and rows to a person at a terminal', async () => {
    const { stdout, stderr } = await dataset(`put a ${file('a.arrows')}`, { tty: true });
    expect(stdout).toBe('1\n');
    expect(stderr).toMatch(/a {2}\d+ B of \d+ B/);
    expect(stderr).toMatch(/a {2}\d+ B {2}100 rows\n$/);
  });

  test.each([
    ['a format that nobody named', 'put a {file}.dat', 2, 'USAGE: the ending of'],
    ['stdin without a format', 'put a -', 2, 'USAGE: stdin has no ending'],
    ['a format that is none', 'put a {file}.arrows --type xls', 2, 'USAGE: '],
    ['a duration without a unit', 'put a {file}.arrows --ttl 5', 2, 'USAGE: --ttl'],
    ['a version that is none', 'put a {file}.arrows --if-version x', 2, 'USAGE: --if-version'],
    ['a file that is not there', 'put a /nonexistent.arrows', 1, 'FILE_FAILED: /nonexistent.arrows'],
    ['a directory', 'put a /tmp --type arrow', 1, 'FILE_FAILED: /tmp cannot be read: it is a directory'],
    ['a name that is none', 'put ../a {file}.arrows', 2, 'BAD_REQUEST: '],
    ['bytes that are none of the format', 'put a {file}.bad --type arrow', 1, 'BAD_ARROW: '],
    ['no file', 'put a', 2, 'USAGE: '],
  ])('%s is refused, and nothing is stored', async (_what, words, exit, said) => {
    const path = file('x.arrows').replace(/\.arrows$/, '');
    writeFileSync(`${path}.bad`, 'this is no arrow');
    const ran = await dataset(words.replace('{file}', path));
    expect(ran).toMatchObject({ exit, stdout: '', stderr: expect.stringContaining(`polaris: ${said}`) });
    expect([...cluster.pen.table.datasets()]).toEqual([]);
  });

  test('says that no node can be reached', async () => {
    const nowhere = new PolarisClient({ urls: ['http://127.0.0.1:1'], timeoutMs: 200 });
    expect(await dataset(`put a ${file('a.arrows')}`, { client: nowhere })).toMatchObject({ exit: 5, stdout: '' });
  });
});

describe('dataset get', () => {
  beforeEach(async () => {
    await client.datasets.put('a', arrowOf(100));
  });

  test('gives the bytes on stdout and nothing else, anywhere', async () => {
    for (const words of ['get a', 'get a -', 'get a -o arrow']) {
      const { exit, stdout, stderr } = await dataset(words);
      expect([exit, stderr, rowsOf(Buffer.from(stdout, 'latin1'))]).toEqual([0, '', 100]);
    }
  });

  test('puts a whole file in the place of the former, for its owner alone', async () => {
    const path = file('out.arrows', new Uint8Array(1));
    const { exit, stdout, stderr } = await dataset(`get a ${path}`, { tty: true });
    expect([exit, stdout]).toEqual([0, '']);
    expect(stderr).toMatch(/a {2}\d+ B {2}100 rows\n$/);
    expect(rowsOf(readFileSync(path))).toBe(100);
    await dataset(`get a ${join(directory, 'new.arrows')}`);
    expect(statSync(join(directory, 'new.arrows')).mode & 0o077).toBe(0);
    expect(readdirSync(directory).sort()).toEqual(['new.arrows', 'out.arrows']);
  });

  test('leaves the former file where the data breaks off', async () => {
    const breaking = createServer((_request, response) => {
      response.writeHead(200, { etag: '"1"', 'polaris-rows': '100' });
      response.write(arrowOf(100).subarray(0, 200), () => response.destroy());
    });
    const port = await new Promise<number>((resolve) => {
      breaking.listen(0, '127.0.0.1', () => resolve((breaking.address() as { port: number }).port));
    });
    const path = file('out.arrows', Buffer.from('former'));
    const broken = new PolarisClient({ urls: [`http://127.0.0.1:${port}`] });
    const ran = await dataset(`get a ${path}`, { client: broken });
    expect(ran).toMatchObject({ exit: 5, stderr: expect.stringContaining('polaris: TRANSFER_BROKEN: ') });
    expect([readFileSync(path, 'utf8'), readdirSync(directory)]).toEqual(['former', ['out.arrows']]);
    breaking.close();
    breaking.closeAllConnections();
  });

  test.each([
    ['a binary format on a terminal', 'get a -o parquet', 2, 'USAGE: parquet is no text for a terminal', true],
    ['a format that is none', 'get a -o xls', 2, 'USAGE: ', false],
    ['a name that is not there', 'get b', 1, 'NOT_FOUND: ', false],
    ['a place where no file can be', 'get a /nonexistent/a.csv', 1, 'FILE_FAILED: /nonexistent/a.csv', false],
  ])('%s is refused', async (_what, words, exit, said, tty) => {
    const ran = await dataset(words, { tty });
    expect(ran).toMatchObject({ exit, stdout: '', stderr: expect.stringContaining(`polaris: ${said}`) });
    expect(existsSync('/nonexistent')).toBe(false);
  });

  test.each([
    ['get a', true, 'text/csv'],
    ['get a', false, 'application/vnd.apache.arrow.stream'],
    ['get a {}/x.parquet', true, 'application/vnd.apache.parquet'],
    ['get a {}/x.JSONL', false, 'application/x-ndjson'],
    ['get a {}/x -o text', false, 'text/plain'],
    ['get a {}/x.feather', false, 'application/vnd.apache.arrow.file'],
  ])('%s asks for the format that fits', async (words, tty, accept) => {
    const seen: (string | undefined)[] = [];
    cluster.node(0).app?.server.on('request', ({ headers }) => seen.push(headers.accept));
    const one = new PolarisClient({ urls: [`http://${cluster.node(0).address}`] });
    await dataset(words.replace('{}', directory), { tty, client: one });
    expect(seen).toEqual([accept]);
  });
});

describe('what is there', () => {
  beforeEach(async () => {
    await client.datasets.put('b', arrowOf(100), { ttlMs: 60_000 });
    await client.datasets.put('a', arrowOf(5), { pinned: true });
  });

  test('is listed in the order of names, for eyes and for programs', async () => {
    const { stdout } = await dataset('list');
    const [header, first, second] = stdout.split('\n');
    expect(header?.split(/\s{2,}/)).toEqual(['NAME', 'ROWS', 'SIZE', 'VERSION', 'AGE', 'EXPIRES', 'PINNED']);
    expect(first).toMatch(/^a {3}.*\s5\s.* B\s+2\s.*never\s+yes$/);
    expect(second).toMatch(/^b {3}.*\s100\s.* B\s+1\s.*in .*\s+no$/);
    const json = JSON.parse((await dataset('list -o json')).stdout);
    expect(json).toMatchObject({ datasets: [{ name: 'a', pinned: true }, { name: 'b' }] });
  });

  test('is shown, pinned, unpinned and removed', async () => {
    expect((await dataset('show b')).stdout).toMatch(/^name +b\nversion +1\nrows +100\n.*ttl +1m\n/s);
    expect(await dataset('pin b')).toMatchObject({ exit: 0, stdout: 'b pinned\n' });
    expect((await client.datasets.info('b')).pinned).toBe(true);
    expect(await dataset('unpin b')).toMatchObject({ exit: 0, stdout: 'b unpinned\n' });
    expect((await client.datasets.info('b')).pinned).toBe(false);
    expect(await dataset('rm b --if-version 9')).toMatchObject({ exit: 1, stdout: '' });
    expect(await dataset('rm b --if-version 1')).toMatchObject({ exit: 0, stdout: 'b removed\n' });
    expect(await dataset('rm b --if-version none')).toMatchObject({ exit: 2 });
    for (const verb of ['show', 'rm', 'pin', 'unpin']) {
      const ran = await dataset(`${verb} b`);
      expect(ran).toMatchObject({ exit: 1, stdout: '', stderr: expect.stringContaining('NOT_FOUND: ') });
    }
  });
});

test('a reader of stdout that has seen enough is no failure', async () => {
  const endless = createServer((_request, response) => {
    response.writeHead(200, { etag: '"1"', 'polaris-rows': '1' });
    const pieces = function* () {
      for (;;) yield new Uint8Array(65_536);
    };
    pipeline(Readable.from(pieces()), response).catch(() => {});
  });
  endless.listen(0, '127.0.0.1');
  await once(endless, 'listening');
  const url = `http://127.0.0.1:${(endless.address() as AddressInfo).port}`;
  const root = resolve(import.meta.dirname ?? '.', '../..');
  const child = spawn(process.execPath, ['--import', 'tsx', 'bin/polaris.ts', 'dataset', 'get', 'a', '--url', url], {
    ...{ cwd: root, stdio: ['ignore', 'pipe', 'pipe'] as const },
    env: { PATH: process.env['PATH'] ?? '' },
  });
  child.stdout.once('data', () => child.stdout.destroy());
  const [said, [exit]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
  expect([said, exit]).toEqual(['', 0]);
  endless.close();
  endless.closeAllConnections();
});

test('stdout that is full is waited for', async () => {
  const taken: number[] = [];
  let drain = (): void => {};
  const output = {
    write: (chunk: string | Uint8Array) => {
      taken.push(chunk.length);
      return false;
    },
    once: (_event: 'drain', listener: () => void) => {
      drain = listener;
    },
  };
  const writing = writeAll(output, Readable.from([Buffer.alloc(1), Buffer.alloc(2)]));
  await expect.poll(() => taken).toEqual([1]);
  drain();
  await expect.poll(() => taken).toEqual([1, 2]);
  drain();
  await writing;
});

test('help names every verb', async () => {
  const { exit, stdout } = await run(['dataset', '--help']);
  expect(exit).toBe(0);
  for (const verb of ['put <name> <file>', 'get <name> [file]', 'list', 'show <name>', 'rm <name>', 'unpin <name>']) {
    expect(stdout).toContain(`dataset ${verb}`);
  }
});
