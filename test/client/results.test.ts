/** Results through the SDK: as bytes and as tables, whole or by their own word not, and followed to the end. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tableFromArrays, tableToIPC } from 'apache-arrow';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { PolarisError } from '../../src/base/errors.ts';
import { CLIENT_LOAD_TRIES_MAX } from '../../src/base/limits.ts';
import { PolarisClient } from '../../src/client/client.ts';
import { DataCluster } from '../data/depot/cluster.ts';
import { ResultJob } from '../data/results.ts';

let cluster: DataCluster;
let client: PolarisClient;
let job: ResultJob;
beforeEach(async () => {
  cluster = await DataCluster.open(3);
  client = new PolarisClient({ urls: cluster.nodes.map(({ address }) => `http://${address}`) });
  job = new ResultJob(cluster);
});
afterEach(() => cluster.close());

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const thrown = await promise.then(
    () => new Error('nothing was thrown'),
    (cause: unknown) => cause,
  );
  return thrown instanceof PolarisError ? thrown.code : String(thrown);
}

const numbers = (end: number) => Array.from({ length: end }, (_, at) => at);

describe('a result', () => {
  test('is a table when it is whole, and only then unless that is asked for', async () => {
    await job.emit(0, 40);
    expect(await codeOf(client.results.load(job.id))).toBe('WRONG_STATE');
    const part = await client.results.load(job.id, { partial: true });
    expect(part.numRows).toBe(40);
    expect((await client.results.load(job.id, { range: [0, 40] })).numRows).toBe(40);
    await job.emit(40, 100);
    job.set({ state: 'done' });
    const table = await client.results.load(job.id);
    expect([...(table.getChild('n') ?? [])]).toEqual(numbers(100));
  });

  test('is bytes in any format, with what is known of them', async () => {
    await job.emit(0, 3);
    const content = await client.results.get(job.id.slice(0, 20), { accept: 'text/csv' });
    expect(content).toMatchObject({ contentType: 'text/csv', job: job.id, state: 'running', complete: false, rows: 3 });
    let text = '';
    for await (const chunk of content.body) text += Buffer.from(chunk).toString();
    expect(text).toBe('n\n0\n1\n2\n');
    expect(await client.results.info(job.id, { range: [0, 3] })).toMatchObject({ rows: 3, complete: true });
  });

  test('that is not there has a code', async () => {
    expect(await codeOf(client.results.get(job.id))).toBe('NO_RESULT');
    expect(await codeOf(client.results.load('ffffffff'))).toBe('JOB_NOT_FOUND');
  });
});

describe('a followed result', () => {
  test('comes batch by batch, and ends when it is whole', async () => {
    const seen: number[] = [];
    await job.emit(0, 10);
    for await (const batch of client.results.loadStream(job.id, { follow: true })) {
      seen.push(...(batch.getChild('n') ?? []));
      if (seen.length === 10) await job.emit(10, 60);
      else if (seen.length === 60) await job.emit(60, 100);
    }
    expect(seen).toEqual(numbers(100));
  });

  test.each([
    ['failed', 'FAILED_RANGES'],
    ['cancelled', 'WRONG_STATE'],
  ] as const)('of a job that %s ends with a word of that', async (state, code) => {
    await job.emit(0, 10);
    const rows = client.results.loadStream(job.id, { follow: true });
    expect((await rows.next()).value?.numRows).toBe(10);
    job.set({ state });
    expect(await codeOf(rows.next())).toBe(code);
  });

  test('is given up when its signal says so', async () => {
    const control = new AbortController();
    const waiting = client.results.get(job.id, { follow: true, signal: control.signal });
    control.abort(new Error('enough'));
    await expect(waiting).rejects.toThrow('enough');
  });
});

describe('a followed result of which a node is lost', () => {
  test('goes on at another node, behind the last row', async () => {
    const urls = [1, 2, 0].map((at) => `http://${cluster.node(at).address}`);
    const { results } = new PolarisClient({ urls });
    const seen: number[] = [];
    await job.emit(0, 10);
    for await (const batch of results.loadStream(job.id, { follow: true })) {
      seen.push(...(batch.getChild('n') ?? []));
      if (seen.length === 10) {
        await cluster.node(1).down();
        await job.emit(10, 60);
      } else if (seen.length === 60) await job.emit(60, 100);
    }
    expect(seen).toEqual(numbers(100));
  });

  const table = (end: number) =>
    Buffer.from(tableToIPC(tableFromArrays({ n: Int32Array.from(numbers(end)) }), 'stream'));

  /** A node whose follower gets these bytes, one after the other, each broken off; the last one whole. */
  async function breaking(answers: readonly Buffer[]): Promise<{ client: PolarisClient; asked: () => number }> {
    let asked = 0;
    const server = createServer((request, response) => {
      if (request.url?.includes('/result') !== true) {
        response.setHeader('content-type', 'application/json');
        return response.end(JSON.stringify({ state: 'running' }));
      }
      const bytes = must(answers[Math.min(asked++, answers.length - 1)], 'an answer');
      response.writeHead(200, { 'content-type': 'application/vnd.apache.arrow.stream', 'polaris-job': job.id });
      if (asked >= answers.length) return response.end(bytes);
      // The end mark of a stream is eight bytes.
      return response.write(bytes.subarray(0, -8), () => response.destroy());
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    onTestFinished(() => void server.close());
    const { port } = server.address() as AddressInfo;
    return { client: new PolarisClient({ urls: [`http://127.0.0.1:${port}`] }), asked: () => asked };
  }

  test('gives no row twice, however they are cut when they come again', async () => {
    const { client: other, asked } = await breaking([table(10), table(10), table(30)]);
    const batches: number[][] = [];
    for await (const batch of other.results.loadStream(job.id, { follow: true })) {
      batches.push([...(batch.getChild('n') ?? [])]);
    }
    expect(batches).toEqual([numbers(10), numbers(30).slice(10)]);
    expect(asked()).toBe(3);
  });

  test('is given up when it breaks off again and again without a new row', async () => {
    const { client: other, asked } = await breaking(Array<Buffer>(50).fill(table(10)));
    const rows = other.results.loadStream(job.id, { follow: true });
    expect((await rows.next()).value?.numRows).toBe(10);
    expect(await codeOf(rows.next())).toBe('TRANSFER_BROKEN');
    expect(asked()).toBe(1 + CLIENT_LOAD_TRIES_MAX);
  });
});
