/** polaris job result: a file or stdout, whole or with a word and an exit code that it is not. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { tableFromIPC } from 'apache-arrow';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PolarisClient } from '../../src/client/client.ts';
import { DataCluster } from '../data/depot/cluster.ts';
import { ResultJob } from '../data/results.ts';
import { type Ran, run } from './fake-io.ts';

let cluster: DataCluster;
let client: PolarisClient;
let job: ResultJob;
let directory: string;
beforeEach(async () => {
  cluster = await DataCluster.open(3);
  client = new PolarisClient({ urls: cluster.nodes.map(({ address }) => `http://${address}`) });
  job = new ResultJob(cluster);
  directory = mkdtempSync(join(tmpdir(), 'polaris-result-'));
});
afterEach(async () => {
  rmSync(directory, { recursive: true });
  await cluster.close();
});

function result(words: string, options: Parameters<typeof run>[1] = {}): Promise<Ran> {
  return run(['job', 'result', job.id, ...words.split(' ').filter((word) => word !== '')], { client, ...options });
}

async function finish(): Promise<void> {
  await job.emit(50, 100);
  job.set({ state: 'done' });
}

describe('job result', () => {
  beforeEach(async () => {
    await job.emit(0, 50);
  });

  test('writes all of it to stdout or into a file, in the format that fits', async () => {
    await finish();
    const { exit, stdout, stderr } = await result('');
    expect([exit, stderr, tableFromIPC(Buffer.from(stdout, 'latin1')).numRows]).toEqual([0, '', 100]);
    expect((await result('', { tty: true })).stdout.split('\n').slice(0, 3)).toEqual(['n', '0', '1']);
    const path = join(directory, 'out.jsonl');
    expect(await result(path)).toMatchObject({ exit: 0, stdout: '' });
    expect(readFileSync(path, 'utf8').split('\n')[99]).toBe('{"n":99}');
    expect((await result('- -o csv --range 50:60')).stdout.split('\n')).toHaveLength(52);
  });

  test('of what is not all of it says so, and is no success', async () => {
    const { exit, stdout, stderr } = await result('- -o csv');
    expect([exit, stdout.split('\n').length]).toEqual([3, 52]);
    expect(stderr).toContain('this is not all of its result');
    expect(await result('- -o csv --range 0:50')).toMatchObject({ exit: 0, stderr: '' });
  });

  test.each([
    ['-o csv', 'n\n0\n'],
    ['-o jsonl', '{"n":0}\n'],
  ])('--follow %s waits for the rest', async (words, first) => {
    const following = result(`- --follow ${words}`);
    await finish();
    const { exit, stdout, stderr } = await following;
    expect([exit, stderr]).toEqual([0, '']);
    expect(stdout.startsWith(first)).toBe(true);
    expect(stdout.trim().split('\n').at(-1)).toMatch(/99/);
  });

  test('--follow of a job that fails leaves the former file', async () => {
    const path = join(directory, 'out.parquet');
    writeFileSync(path, 'former');
    const following = result(`${path} --follow`);
    await expect.poll(() => readdirSync(directory).length).toBe(2);
    job.set({ state: 'failed' });
    expect(await following).toMatchObject({ exit: 3, stderr: expect.stringContaining('FAILED_RANGES: ') });
    expect([readFileSync(path, 'utf8'), readdirSync(directory)]).toEqual(['former', ['out.parquet']]);
  });

  test.each([
    ['--range 5', 2, 'USAGE: --range'],
    ['-o xls', 2, 'USAGE: '],
    ['- --range 90:99', 1, 'NO_RESULT: '],
    ['/nonexistent/a.csv', 1, 'FILE_FAILED: '],
  ])('%s is refused', async (words, exit, said) => {
    expect(await result(words)).toMatchObject({ exit, stdout: '', stderr: expect.stringContaining(said) });
    expect(existsSync('/nonexistent')).toBe(false);
  });
});

describe('job submit --input', () => {
  test('needs no range, and is shown', async () => {
    await client.datasets.put('words', Buffer.from('one\ntwo\nthree\n'), { contentType: 'text/plain' });
    const { exit, stdout } = await run(['job', 'submit', 'mail', '--input', 'words'], { client });
    expect(exit).toBe(0);
    const shown = await run(['job', 'show', stdout.trim()], { client });
    expect(shown.stdout).toMatch(/^range +\[0, 3\)\ninput +words: 3 rows, \d+ B\n/m);
    const part = await run(['job', 'submit', 'mail', '--input', 'words', '--start', '1', '--end', '2'], { client });
    expect(await client.show(part.stdout.trim())).toMatchObject({ start: 1, end: 2, input: { dataset: 'words' } });
  });

  test.each([
    [['--input', 'none'], 1, 'NOT_FOUND: there is no dataset "none"'],
    [['--input', 'words', '--start', '1'], 2, 'BAD_RANGE: --end is missing'],
    [['--input', 'words', '--every', '@daily', '--key', 'k'], 2, 'USAGE: --input is for one job'],
  ])('%j is refused', async (words, exit, said) => {
    const ran = await run(['job', 'submit', 'mail', ...words], { client });
    expect(ran).toMatchObject({ exit, stdout: '', stderr: expect.stringContaining(said) });
  });
});
