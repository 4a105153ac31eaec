/** Every format that a dataset may come in, and every one that it is given in, through the sockets of real nodes. */
import { makeVector, Table, tableFromIPC, Utf8, vectorFromArray } from 'apache-arrow';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FormatName, MEDIA_TYPES } from '../../src/base/media-types.ts';
import { writeArrowStream } from '../../src/data/arrow-stream.ts';
import { bytesOf, sourceOf } from '../../src/data/sources.ts';
import { DataCluster } from '../data/depot/cluster.ts';

const ROWS = 1_000;
const NAMES = Array.from({ length: ROWS }, (_, at) => (at % 7 === 0 ? null : `row "${at}", of ${ROWS}`));
const SUMS = BigInt64Array.from(NAMES, (_, at) => BigInt(at) * 9_007_199_254_740_993n);

let cluster: DataCluster;
beforeAll(async () => {
  cluster = await DataCluster.open(2);
  const table = new Table({ sum: makeVector(SUMS), name: vectorFromArray(NAMES, new Utf8()) });
  await put('table', 'arrow', await bytesOf(writeArrowStream(sourceOf(...table.batches))));
});
afterAll(() => cluster.close());

async function put(name: string, format: FormatName, body: Uint8Array, query = ''): Promise<void> {
  const headers = { 'content-type': MEDIA_TYPES[format] };
  const url = `http://${cluster.node(0).address}/v1/datasets/${name}${query}`;
  const answer = await fetch(url, { method: 'PUT', headers, body: new Uint8Array(body) });
  expect([answer.status, await answer.json()]).toMatchObject([200, { name }]);
}

async function get(name: string, format: FormatName): Promise<Uint8Array> {
  const headers = { accept: MEDIA_TYPES[format] };
  const answer = await fetch(`http://${cluster.node(1).address}/v1/datasets/${name}`, { headers });
  expect([answer.status, answer.headers.get('content-type')]).toEqual([200, MEDIA_TYPES[format]]);
  return new Uint8Array(await answer.arrayBuffer());
}

function columnsOf(bytes: Uint8Array): { readonly sum: readonly unknown[]; readonly name: readonly unknown[] } {
  const table = tableFromIPC(bytes);
  return { sum: [...(table.getChild('sum') ?? [])], name: [...(table.getChild('name') ?? [])] };
}

test.each(['arrow', 'arrow-file', 'csv', 'jsonl', 'parquet'] as const)(
  'a table that is given as %s can be put as that again, and is the same',
  async (format) => {
    const bytes = await get('table', format);
    await put(`from-${format}`, format, bytes, format === 'csv' || format === 'jsonl' ? '?types=sum:int64' : '');
    // An empty cell of a column of texts is the empty text.
    const names = format === 'csv' ? NAMES.map((name) => name ?? '') : NAMES;
    expect(columnsOf(await get(`from-${format}`, 'arrow'))).toEqual({ sum: [...SUMS], name: names });
  },
);

test('plain text is one row a line', async () => {
  await put('lines', 'text', Buffer.from('one\ntwo\n\nfour'));
  const lines = tableFromIPC(await get('lines', 'arrow')).getChild('line');
  expect([...(lines ?? [])]).toEqual(['one', 'two', '', 'four']);
});
