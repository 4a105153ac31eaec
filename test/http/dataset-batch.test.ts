/** Many tables in one request: each by itself, whatever the others are, and a body that lies is found out. */
import { tableFromArrays, tableFromIPC, tableToIPC } from 'apache-arrow';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BLOB_BYTES_MAX, TABLE_HEAD_BYTES_MAX, TABLES_PER_REQUEST_MAX } from '../../src/base/limits.ts';
import { TABLES_TYPE } from '../../src/base/media-types.ts';
import { bytesOf } from '../../src/data/sources.ts';
import type { TableResult } from '../../src/http/dataset-batch.ts';
import { TableFrames } from '../../src/http/table-frames.ts';
import { DataCluster } from '../data/depot/cluster.ts';

const ROWS = Buffer.from(tableToIPC(tableFromArrays({ id: Int32Array.from([7, 8, 9]) }), 'stream'));

let cluster: DataCluster;
beforeEach(async () => {
  cluster = await DataCluster.open(2);
});
afterEach(() => cluster.close());

const urlOf = (at: number, path = '') => `http://${cluster.node(at).address}/v1/datasets${path}`;
const head = (said: object) => Buffer.from(`${JSON.stringify(said)}\n`);
const framed = (name: string, bytes = ROWS, more = {}) =>
  Buffer.concat([head({ name, bytes: bytes.length, ...more }), bytes]);
const names = () => [...cluster.pen.table.datasets()].map(({ name }) => name);

interface Answer {
  readonly status: number;
  readonly code?: string;
  readonly results: readonly TableResult[];
}

async function post(at: number, parts: readonly Uint8Array[], type = TABLES_TYPE): Promise<Answer> {
  const body = new Uint8Array(Buffer.concat(parts));
  const answer = await fetch(urlOf(at), { method: 'POST', body, headers: { 'content-type': type } });
  return { ...((await answer.json()) as Answer), status: answer.status };
}

async function idsOf(name: string): Promise<unknown> {
  const table = tableFromIPC(await (await fetch(urlOf(0, `/${name}`))).arrayBuffer());
  return table.toArray().map(({ id }) => Number(id));
}

describe('many tables', () => {
  test('are a dataset each, in the format and for the time that each says', async () => {
    const csv = Buffer.from('id\n1\n2\n');
    const { status, results } = await post(1, [
      framed('a'),
      framed('b', csv, { contentType: 'text/csv', types: 'id:int64', ttlMs: 60_000, pinned: true, expected: 0 }),
      framed('c'),
    ]);
    expect([status, results.map(({ name, problem }) => [name, problem])]).toEqual([
      200,
      ['a', 'b', 'c'].map((name) => [name, null]),
    ]);
    expect(results[1]?.dataset).toMatchObject({ name: 'b', ttlMs: 60_000, pinned: true, handle: { rows: 2 } });
    expect(await Promise.all(['a', 'b', 'c'].map(idsOf))).toEqual([
      [7, 8, 9],
      [1, 2],
      [7, 8, 9],
    ]);
    expect(await cluster.holders(results[1]?.dataset?.handle.hash ?? '')).toHaveLength(2);
  });

  test('that are refused take no other with them', async () => {
    const { status, results } = await post(1, [
      framed('-bad'),
      framed('no-arrow', Buffer.from('no arrow at all')),
      framed('cut', ROWS.subarray(0, -4)),
      framed('image', ROWS, { contentType: 'image/png' }),
      framed('newer', ROWS, { expected: 9 }),
      framed('odd', ROWS, { colour: 'red' }),
      head({ bytes: 0 }),
      framed('good'),
    ]);
    expect(status).toBe(207);
    expect(results.map(({ name, problem }) => [name, problem?.code])).toEqual([
      ['-bad', 'BAD_REQUEST'],
      ['no-arrow', 'BAD_ARROW'],
      ['cut', 'BAD_ARROW'],
      ['image', 'UNSUPPORTED_MEDIA_TYPE'],
      ['newer', 'DATASET_CONFLICT'],
      ['odd', 'BAD_REQUEST'],
      [null, 'BAD_REQUEST'],
      ['good', undefined],
    ]);
    expect(names()).toEqual(['good']);
  });

  test('of no request are none, and of another type are not taken', async () => {
    expect(await post(0, [])).toEqual({ status: 200, results: [] });
    expect(await post(0, [framed('a')], 'application/json')).toMatchObject({ status: 415 });
  });
});

describe('a body that lies', () => {
  const long = Buffer.alloc(2 * TABLE_HEAD_BYTES_MAX, 'a');
  test.each<[string, readonly Uint8Array[], [number, string]]>([
    ['claims more bytes than come', [head({ name: 'b', bytes: ROWS.length + 1 }), ROWS], [400, 'BAD_DATA']],
    ['claims fewer bytes than come', [head({ name: 'b', bytes: ROWS.length - 9 }), ROWS], [400, 'BAD_DATA']],
    ['claims less than nothing', [head({ name: 'b', bytes: -1 }), ROWS], [400, 'BAD_REQUEST']],
    ['claims half a byte', [head({ name: 'b', bytes: 0.5 }), ROWS], [400, 'BAD_REQUEST']],
    ['claims more than a disk holds', [head({ name: 'b', bytes: 2 ** 52 }), ROWS], [400, 'BAD_REQUEST']],
    ['claims nothing', [head({ name: 'b' }), ROWS], [400, 'BAD_REQUEST']],
    ['has a name without an end', [Buffer.from('{"name":"'), long], [400, 'BAD_DATA']],
    ['has a head that is too long', [Buffer.from('{"name":"'), long, Buffer.from('"}\n')], [400, 'BAD_DATA']],
    ['ends within a head', [Buffer.from('{"name":"b","bytes":0}')], [400, 'BAD_DATA']],
    ['has a head that is no JSON', [Buffer.from('name: b\n'), ROWS], [400, 'BAD_JSON']],
    ['has a head that is a list', [Buffer.from('[]\n'), ROWS], [400, 'BAD_REQUEST']],
    ['has too many tables', Array(TABLES_PER_REQUEST_MAX).fill(framed('-', Buffer.alloc(0))), [413, 'BODY_TOO_LARGE']],
  ])('and %s is refused, and what came before stays stored and is said', async (_what, lie, problem) => {
    const { status, code, results } = await post(0, [framed('a'), ...lie]);
    expect([status, code]).toEqual(problem);
    expect(results[0]).toMatchObject({ name: 'a', dataset: { handle: { rows: 3 } }, problem: null });
    expect(results.slice(1).filter(({ dataset }) => dataset !== null)).toEqual([]);
    expect(names()).toEqual(['a']);
  });
});

test('a body is not asked for before somebody wants it, wherever it is cut', async () => {
  const body = Buffer.concat([framed('a'), framed('b')]);
  let asked = 0;
  async function* bytewise() {
    for (; asked < body.length; asked++) yield body.subarray(asked, asked + 1);
  }
  const frames = new TableFrames(bytewise());
  expect([asked, await frames.next()]).toEqual([0, { name: 'a', bytes: ROWS.length }]);
  expect(asked).toBe(framed('a').length - ROWS.length - 1);
  expect(Buffer.from(await bytesOf(frames.table())).equals(ROWS)).toBe(true);
  // What nobody takes of a table is passed over.
  expect([await frames.next(), await frames.next()]).toEqual([{ name: 'b', bytes: ROWS.length }, null]);
});

test('tables that have more bytes together than one blob may have are refused, though each has fewer', async () => {
  // Memory that nobody writes to is not used.
  const part = new Uint8Array(2 ** 30);
  async function* source() {
    yield head({ name: 'a', bytes: BLOB_BYTES_MAX });
    for (let bytes = 0; bytes < BLOB_BYTES_MAX; bytes += part.length) yield part;
    yield head({ name: 'b', bytes: 1 });
  }
  const frames = new TableFrames(source());
  expect(await frames.next()).toMatchObject({ name: 'a' });
  await expect(frames.next()).rejects.toMatchObject({ code: 'BODY_TOO_LARGE' });
});
