/** An answer may take as long as it keeps moving: the time that a request has to arrive ends when it has arrived. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { tableFromArrays, tableFromIPC, tableToIPC } from 'apache-arrow';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { REQUEST_TIMEOUT_MS } from '../../src/base/limits.ts';
import { DataCluster } from '../data/depot/cluster.ts';
import { gather } from '../store/blobs/content.ts';

const ROWS = 100_000;

let cluster: DataCluster;
beforeEach(async () => {
  cluster = await DataCluster.open(1);
});
afterEach(async () => {
  vi.useRealTimers();
  await cluster.close();
});

test('a download that takes longer than a request may take to arrive comes whole', async () => {
  const { address, depot } = cluster.node(0);
  const body = tableToIPC(tableFromArrays({ id: Int32Array.from({ length: ROWS }, (_, at) => at) }), 'stream');
  const headers = { 'content-type': 'application/vnd.apache.arrow.stream' };
  const put = await fetch(`http://${address}/v1/datasets/a`, { method: 'PUT', headers, body: new Uint8Array(body) });
  expect(put.status).toBe(200);

  // The disk takes its time with everything behind the first read.
  let goOn = () => {};
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let reads = 0;
  const open = depot.open.bind(depot);
  depot.open = async (hash) => {
    const blob = await open(hash);
    return {
      bytes: blob.bytes,
      async *read(range) {
        reads += 1;
        if (reads > 2) await held;
        yield* blob.read(range);
      },
    };
  };
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const [answer] = (await once(get(`http://${address}/v1/datasets/a`), 'response')) as [IncomingMessage];
  vi.advanceTimersByTime(2 * REQUEST_TIMEOUT_MS);
  goOn();
  expect(answer.statusCode).toBe(200);
  expect(tableFromIPC(await gather(answer)).numRows).toBe(ROWS);
});
