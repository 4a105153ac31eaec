/** Datasets: put on any node in any order, read on any other, and a version that says which one was meant. */
import { type Table, tableFromArrays, tableFromIPC, tableToIPC } from 'apache-arrow';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import type { Handle } from '../../src/base/handle.ts';
import { sourceOf } from '../../src/data/sources.ts';
import { DataCluster } from '../data/depot/cluster.ts';

const STREAM = 'application/vnd.apache.arrow.stream';

let cluster: DataCluster;
beforeEach(async () => {
  cluster = await DataCluster.open(3);
});
afterEach(() => cluster.close());

interface Request {
  readonly method?: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  readonly body?: Uint8Array | object;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Through a real socket: a body that streams must not be gathered on its way. */
async function ask(at: number, path: string, { method = 'GET', body, headers = {} }: Request = {}): Promise<Response> {
  const isBytes = body instanceof Uint8Array;
  const type = body === undefined ? {} : { 'content-type': isBytes ? STREAM : 'application/json' };
  return fetch(`http://${cluster.node(at).address}${path}`, {
    method,
    headers: { ...type, ...headers },
    ...(body === undefined ? {} : { body: isBytes ? new Uint8Array(body) : JSON.stringify(body) }),
  });
}

function batchesOf(count: number, first = 0): Uint8Array {
  const id = BigInt64Array.from({ length: count }, (_, at) => BigInt(first + at));
  const name = Array.from({ length: count }, (_, at) => `row ${first + at}`);
  return tableToIPC(tableFromArrays({ id, name }), 'stream');
}

const put = (at: number, name: string, body: Uint8Array | object, headers = {}) =>
  ask(at, `/v1/datasets/${name}`, { method: 'PUT', body, headers });

async function rowsOf(answer: Response): Promise<unknown[]> {
  expect(answer.status).toBe(200);
  const table: Table = tableFromIPC(await answer.arrayBuffer());
  return table.toArray().map((row: { toJSON(): unknown }) => row.toJSON());
}

describe('a dataset', () => {
  test('is put on one node, and every node gives the same rows', async () => {
    const answer = await put(1, 'words', batchesOf(20_000));
    expect(answer.status).toBe(200);
    const { handle, ...rest } = (await answer.json()) as { handle: { hash: string; rows: number } };
    expect(rest).toMatchObject({ name: 'words', version: 1, ttlMs: null, pinned: false, expiresAt: null });
    expect(answer.headers.get('etag')).toBe('"1"');
    expect(handle.rows).toBe(20_000);
    expect(await cluster.holders(handle.hash)).toHaveLength(2);
    for (const at of [0, 1, 2]) {
      const got = await ask(at, '/v1/datasets/words');
      expect([got.headers.get('content-type'), got.headers.get('etag')]).toEqual([STREAM, '"1"']);
      expect(got.headers.get('polaris-rows')).toBe('20000');
      const rows = await rowsOf(got);
      expect([rows.length, rows[0], rows.at(-1)]).toEqual([
        ...[20_000, { id: 0n, name: 'row 0' }],
        { id: 19_999n, name: 'row 19999' },
      ]);
    }
  });

  test('of the same rows has the same handle, and other rows make another version', async () => {
    const first = (await (await put(0, 'a', batchesOf(5))).json()) as { handle: object };
    const again = (await (await put(2, 'a', batchesOf(5))).json()) as { handle: object; version: number };
    expect(again.handle).toEqual(first.handle);
    expect(again.version).toBe(2);
    await put(1, 'a', batchesOf(5, 100));
    expect((await rowsOf(await ask(0, '/v1/datasets/a')))[0]).toEqual({ id: 100n, name: 'row 100' });
  });

  test('changes only from the version that If-Match names, and is new only where If-None-Match says so', async () => {
    expect((await put(1, 'a', batchesOf(1), { 'if-match': '"9"' })).status).toBe(412);
    expect((await put(1, 'a', batchesOf(1), { 'if-none-match': '*' })).status).toBe(200);
    const second = await put(1, 'a', batchesOf(2), { 'if-none-match': '*' });
    expect([second.status, await second.json()]).toMatchObject([412, { code: 'DATASET_CONFLICT' }]);
    const version = must((await ask(2, '/v1/datasets/a')).headers.get('etag'), 'an etag');
    expect((await put(2, 'a', batchesOf(2), { 'if-match': version })).status).toBe(200);
    expect((await ask(0, '/v1/datasets/a', { method: 'DELETE', headers: { 'if-match': version } })).status).toBe(412);
    const bad = await put(1, 'a', batchesOf(1), { 'if-match': 'W/"1"' });
    expect([bad.status, await bad.json()]).toMatchObject([400, { detail: expect.stringContaining('If-Match') }]);
  });

  test('that was not changed is not sent again', async () => {
    await put(0, 'a', batchesOf(1));
    const same = await ask(1, '/v1/datasets/a', { headers: { 'if-none-match': '"1"' } });
    expect([same.status, await same.text()]).toEqual([304, '']);
    expect((await ask(1, '/v1/datasets/a', { headers: { 'if-none-match': '"7"' } })).status).toBe(200);
    const head = await ask(1, '/v1/datasets/a', { method: 'HEAD' });
    expect([head.status, head.headers.get('polaris-rows')]).toEqual([200, '1']);
  });

  test('gets another name without its bytes being sent', async () => {
    const { handle } = (await (await put(0, 'a', batchesOf(7))).json()) as { handle: object };
    expect((await put(2, 'copy', { handle })).status).toBe(200);
    await ask(1, '/v1/datasets/a', { method: 'DELETE' });
    expect(await rowsOf(await ask(1, '/v1/datasets/copy'))).toHaveLength(7);
  });

  test('that lost its last name, and copies too, is on enough disks before it has another one', async () => {
    const { handle } = (await (await put(0, 'a', batchesOf(7))).json()) as { handle: Handle };
    cluster.pen.apply({ kind: 'drop-dataset', name: 'a', expected: null });
    const [last = -1, ...others] = await cluster.holders(handle.hash);
    for (const at of others) await cluster.node(at).store.deleteBelow(handle.hash, Number.MAX_SAFE_INTEGER);
    expect((await put(last, 'again', { handle })).status).toBe(200);
    expect(await cluster.holders(handle.hash)).toHaveLength(2);
    // Given up, and not gone yet: its copies are stamped anew.
    cluster.pen.apply({ kind: 'drop-dataset', name: 'again', expected: null });
    cluster.pen.apply({ kind: 'condemn', hashes: [handle.hash] });
    expect((await put(2, 'again', { handle })).status).toBe(200);
    for (const { keeper } of cluster.nodes) await keeper.round();
    expect(await rowsOf(await ask(1, '/v1/datasets/again'))).toHaveLength(7);
  });

  test('is listed, shown, pinned and dropped', async () => {
    for (const [at, name] of ['c', 'a', 'b'].entries()) await put(at, `${name}?ttlMs=60000`, batchesOf(1));
    const page = (await (await ask(1, '/v1/datasets?limit=2')).json()) as {
      datasets: { name: string }[];
      next: string;
    };
    expect(page.datasets.map(({ name }) => name)).toEqual(['a', 'b']);
    expect(await (await ask(2, `/v1/datasets?after=${page.next}`)).json()).toMatchObject({ datasets: [{ name: 'c' }] });
    const pin = { method: 'POST', body: {} } as const;
    expect(await (await ask(2, '/v1/datasets/a/pin', pin)).json()).toMatchObject({ pinned: true, expiresAt: null });
    const unpin = { method: 'POST', body: { pinned: false } } as const;
    const info = await (await ask(2, '/v1/datasets/a/pin', unpin)).json();
    expect(info).toMatchObject({ pinned: false, ttlMs: 60_000, expiresAt: expect.stringContaining('T') });
    expect(await (await ask(1, '/v1/datasets/a/info')).json()).toEqual(info);
    expect(await (await ask(1, '/v1/datasets/a', { method: 'DELETE' })).json()).toEqual(info);
    for (const path of ['/v1/datasets/a', '/v1/datasets/a/info']) expect((await ask(0, path)).status).toBe(404);
    expect((await ask(0, '/v1/datasets/a', { method: 'DELETE' })).status).toBe(404);
  });
});

async function refused(answer: Promise<Response>): Promise<unknown[]> {
  const { status } = await answer;
  return [status, ((await (await answer).json()) as { code: string }).code];
}

describe('a handle that was made up', () => {
  const HOP = { 'polaris-forwarded-by': 'n2' };
  let handle: Handle;
  beforeEach(async () => {
    ({ handle } = (await (await put(0, 'a', batchesOf(7))).json()) as { handle: Handle });
  });
  afterEach(() => expect([...cluster.pen.table.datasets()].map(({ name }) => name)).toEqual(['a']));

  test.each([
    ['a hash of nothing', { hash: '0'.repeat(64) }, [404, 'BLOB_MISSING']],
    ['false bytes', { bytes: 8 }, [400, 'BAD_REQUEST']],
    ['false rows', { rows: 8 }, [400, 'BAD_REQUEST']],
    ['a false schema', { schema: '0'.repeat(16) }, [400, 'BAD_REQUEST']],
  ])('with %s gets no name, at no node, and not from one who says that he is a node', async (_what, lie, problem) => {
    const lied = { handle: { ...handle, ...lie } };
    for (const at of [0, 1]) expect(await refused(put(at, 'b', lied))).toEqual(problem);
    expect(await refused(put(0, 'b', { ...lied, stamp: 0 }, HOP))).toEqual(problem);
  });

  test('is not believed for its stamp, whoever says it', async () => {
    const late = { handle, stamp: Number.MAX_SAFE_INTEGER };
    for (const at of [0, 1]) expect(await refused(put(at, 'b', late))).toEqual([400, 'BAD_REQUEST']);
    expect(await refused(put(0, 'b', late, HOP))).toEqual([400, 'BAD_REQUEST']);
    expect(await refused(put(0, 'b', { handle }, HOP))).toEqual([400, 'BAD_REQUEST']);
  });

  test('of bytes that are no table gets no name', async () => {
    const bytes = new Uint8Array(100);
    const { hash } = await cluster.node(0).depot.keep(sourceOf(bytes), bytes.length);
    expect(await refused(put(1, 'b', { handle: { ...handle, hash, bytes: 100 } }))).toEqual([400, 'BAD_ARROW']);
  });
});

describe('what cannot be stored', () => {
  test('leaves the name as it was, and nothing that is named', async () => {
    await put(0, 'a', batchesOf(3));
    const good = batchesOf(10_000);
    for (const broken of [good.subarray(0, good.length - 100), Buffer.from('no arrow at all'), new Uint8Array(0)]) {
      expect(await refused(put(1, 'a', broken))).toEqual([400, 'BAD_ARROW']);
    }
    expect(await rowsOf(await ask(2, '/v1/datasets/a'))).toHaveLength(3);
  });

  test('is refused when too few nodes can take a copy', async () => {
    await cluster.node(1).down();
    await cluster.node(2).down();
    expect(await refused(put(0, 'a', batchesOf(1)))).toEqual([503, 'TOO_FEW_COPIES']);
    expect((await ask(0, '/v1/datasets/a')).status).toBe(404);
  });

  test('has a name that would be no name everywhere', async () => {
    for (const name of ['..%2f..%2fetc%2fpasswd', '%2e%2e', 'a%00b', '%2fetc', 'a'.repeat(4096), '-a', '%252e']) {
      const answer = await put(1, name, batchesOf(1));
      expect([400, 404]).toContain(answer.status);
    }
    expect([...cluster.pen.table.datasets()]).toEqual([]);
  });
});

test('what is answered to a change is what became of it, whatever others change just before and after', async () => {
  const leader = cluster.node(0);
  const change = leader.changeData.bind(leader);
  await put(0, 'a', batchesOf(1));
  const { handle } = must(cluster.pen.table.dataset('a'), 'it was put');
  const naming = {
    kind: 'put-dataset',
    name: 'a',
    handle,
    stamp: 0,
    expected: null,
    ttlMs: null,
    pinned: false,
  } as const;
  leader.changeData = (wanted, done) => {
    if (wanted.kind === 'drop-dataset') cluster.pen.apply(naming);
    change(wanted, (result) => {
      if (wanted.kind !== 'drop-dataset') cluster.pen.apply({ kind: 'drop-dataset', name: 'a', expected: null });
      done(result);
    });
  };
  const pinned = await ask(1, '/v1/datasets/a/pin', { method: 'POST', body: {} });
  expect([pinned.status, await pinned.json()]).toMatchObject([200, { version: 1, pinned: true }]);
  // The pin is entry 2, the drop after it 3, and another put, of which the asker knows nothing, 4.
  const dropped = await ask(1, '/v1/datasets/a', { method: 'DELETE' });
  expect([dropped.status, await dropped.json()]).toMatchObject([200, { version: 4, pinned: false }]);
});

test('a copy that was given up while its upload took too long is stamped anew and named', async () => {
  const node = cluster.node(0);
  const { depot } = node;
  const keep = depot.keep.bind(depot);
  depot.keep = async (source, maxBytes) => {
    const kept = await keep(source, maxBytes);
    cluster.pen.apply({ kind: 'condemn', hashes: [kept.hash] });
    await Promise.all(cluster.nodes.map(({ keeper }) => keeper.round()));
    return kept;
  };
  // Deleted everywhere meanwhile, it is to be sent again; somewhere still there, it is had from there.
  const gone = await put(0, 'gone', batchesOf(1));
  expect([gone.status, await gone.json()]).toMatchObject([503, { code: 'BLOB_CONDEMNED', retryable: true }]);
  depot.keep = async (source, maxBytes) => {
    const kept = await keep(source, maxBytes);
    cluster.pen.apply({ kind: 'condemn', hashes: [kept.hash] });
    return kept;
  };
  expect((await put(0, 'late', batchesOf(2))).status).toBe(200);
  for (const { keeper } of cluster.nodes) await keeper.round();
  expect(await rowsOf(await ask(2, '/v1/datasets/late'))).toHaveLength(2);
});
