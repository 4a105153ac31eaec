/** Tables on their way through a node: as many as it has room for, and one more when one of them has gone. */
import { tableFromArrays, tableToIPC } from 'apache-arrow';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { TABLE_STREAMS_MAX } from '../../src/base/result-limits.ts';
import { DataCluster } from '../data/depot/cluster.ts';

const STREAM = 'application/vnd.apache.arrow.stream';
/** More than what lies in the buffers of a connection that nobody reads. */
const NUMBERS = 2_000_000;

let cluster: DataCluster;
beforeAll(async () => {
  cluster = await DataCluster.open(1);
  const body = tableToIPC(tableFromArrays({ n: new Float64Array(NUMBERS) }), 'stream');
  expect((await put('large', body)).status).toBe(200);
});
afterAll(() => cluster.close());

const url = (name: string) => `http://${cluster.node(0).address}/v1/datasets/${name}`;

const put = (name: string, body: Uint8Array) =>
  fetch(url(name), { method: 'PUT', headers: { 'content-type': STREAM }, body: new Uint8Array(body) });

test('so many are given and taken at a time, the next is told to wait, and has room when another one has gone', async () => {
  const gone = Array.from({ length: TABLE_STREAMS_MAX }, () => new AbortController());
  const open = await Promise.all(gone.map(({ signal }) => fetch(url('large'), { signal })));
  expect(open.map(({ status }) => status)).toEqual(open.map(() => 200));

  const small = tableToIPC(tableFromArrays({ n: new Float64Array(1) }), 'stream');
  for (const refused of [await fetch(url('large')), await put('small', small)]) {
    const { code, detail } = (await refused.json()) as { readonly code: string; readonly detail: string };
    expect([refused.status, code]).toEqual([503, 'OVERLOADED']);
    expect(detail).toContain(`${TABLE_STREAMS_MAX} tables`);
  }
  // What is no table has its own room.
  expect((await fetch(url('large'), { method: 'HEAD' })).status).toBe(200);
  expect((await fetch(`${url('large')}/info`)).status).toBe(200);

  must(gone[0], 'one of them').abort();
  // The node hears of it when its system does.
  while ((await put('small', small)).status !== 200);
  for (const one of gone) one.abort();
});
