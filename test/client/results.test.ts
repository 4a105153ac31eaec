/** Results through the SDK: as bytes and as tables, whole or by their own word not, and followed to the end. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
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
