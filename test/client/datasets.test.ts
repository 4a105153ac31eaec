/** Datasets through the SDK: real sockets, nodes that go away, versions, and bytes that are never gathered. */
import type { IncomingMessage } from 'node:http';
import { tableFromArrays, tableToIPC } from 'apache-arrow';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { PolarisClient } from '../../src/client/client.ts';
import { bytesOf } from '../../src/data/sources.ts';
import { DataCluster } from '../data/depot/cluster.ts';

let cluster: DataCluster;
let client: PolarisClient;
const urlOf = (at: number): string => `http://${cluster.node(at).address}`;
beforeEach(async () => {
  cluster = await DataCluster.open(3);
  client = new PolarisClient({ urls: [urlOf(0), urlOf(1), urlOf(2)] });
});
afterEach(() => cluster.close());

const arrowOf = (count: number): Uint8Array =>
  tableToIPC(tableFromArrays({ id: Int32Array.from({ length: count }, (_, at) => at) }), 'stream');

async function codeOf(promise: Promise<unknown>): Promise<string> {
  const thrown = await promise.then(
    () => new Error('nothing was thrown'),
    (cause: unknown) => cause,
  );
  return thrown instanceof PolarisError ? thrown.code : String(thrown);
}

async function* inPieces(bytes: Uint8Array, size = 1_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** Has the next answers of a node to a naming be these errors. */
function failChanges(at: number, code: 'NO_LEADER' | 'OUTCOME_UNKNOWN', times: number, isDone = false): void {
  const node = cluster.node(at);
  const change = node.changeData.bind(node);
  let left = times;
  node.changeData = (wanted, done) => {
    if (left === 0) return change(wanted, done);
    left -= 1;
    const fail = () => done({ ok: false, error: new PolarisError(code) });
    return isDone ? change(wanted, fail) : fail();
  };
}

describe('a dataset', () => {
  test('comes back as it was put, from bytes, a function and an iterable', async () => {
    const bytes = arrowOf(5_000);
    for (const [name, source] of Object.entries({ a: bytes, b: () => inPieces(bytes), c: inPieces(bytes) })) {
      expect(await client.datasets.put(name, source)).toMatchObject({ name, handle: { rows: 5_000 }, ttlMs: null });
      const content = await client.datasets.get(name);
      expect(content).toMatchObject({ contentType: 'application/vnd.apache.arrow.stream', rows: 5_000 });
      expect((await client.load(name)).numRows).toBe(5_000);
      expect((await bytesOf(content.body)).length).toBeGreaterThan(20_000);
    }
  });

  test('is shown, listed page by page, pinned, copied and dropped', async () => {
    const longest = 'z'.repeat(128);
    await client.datasets.put('a', arrowOf(1), { ttlMs: 60_000, pinned: true });
    await client.datasets.put(longest, arrowOf(2));
    expect(await client.datasets.info('a')).toMatchObject({ ttlMs: 60_000, pinned: true, expiresAt: null });
    expect(await client.datasets.unpin('a')).toMatchObject({ pinned: false, expiresAt: expect.any(String) });
    expect(await client.datasets.pin('a')).toMatchObject({ pinned: true });
    const copied = await client.datasets.copy('a', 'b', { ttlMs: 5_000, ifVersion: 'none' });
    expect(copied).toMatchObject({ name: 'b', ttlMs: 5_000, handle: (await client.datasets.info('a')).handle });
    expect(await codeOf(client.datasets.copy('a', 'b', { ifVersion: 'none' }))).toBe('DATASET_CONFLICT');
    expect((await client.datasets.list()).map(({ name }) => name)).toEqual(['a', 'b', longest]);
    expect(await client.datasets.list({ limit: 1 })).toHaveLength(1);
    await client.datasets.drop('a');
    expect(await codeOf(client.datasets.info('a'))).toBe('NOT_FOUND');
    expect(await codeOf(client.datasets.drop('a'))).toBe('NOT_FOUND');
    expect((await client.load('b')).numRows).toBe(1);
  });

  test('with the longest name is the cursor of a page', async () => {
    const longest = `a${'b'.repeat(127)}`;
    for (const name of [longest, 'c']) await client.datasets.put(name, arrowOf(1));
    const first = await fetch(`${urlOf(0)}/v1/datasets?limit=1`);
    const { next } = (await first.json()) as { next: string };
    const second = await fetch(`${urlOf(0)}/v1/datasets?limit=1&after=${next}`);
    expect([next, await second.json()]).toMatchObject([longest, { datasets: [{ name: 'c' }] }]);
  });

  test('is changed only from the version that is expected', async () => {
    const { version } = await client.datasets.put('a', arrowOf(1), { ifVersion: 'none' });
    expect(await codeOf(client.datasets.put('a', arrowOf(2), { ifVersion: 'none' }))).toBe('DATASET_CONFLICT');
    const second = await client.datasets.put('a', arrowOf(2), { ifVersion: version });
    expect(await codeOf(client.datasets.put('a', arrowOf(3), { ifVersion: version }))).toBe('DATASET_CONFLICT');
    expect(await codeOf(client.datasets.drop('a', { ifVersion: version }))).toBe('DATASET_CONFLICT');
    expect((await client.load('a')).numRows).toBe(2);
    await client.datasets.drop('a', { ifVersion: second.version });
    expect(await client.datasets.list()).toEqual([]);
  });

  test('that has not changed is null', async () => {
    const { version } = await client.datasets.put('a', arrowOf(1));
    expect(await client.datasets.get('a', { ifNoneVersion: version })).toBeNull();
    const other = await client.datasets.get('a', { ifNoneVersion: version + 1, consistency: 'local' });
    expect(other?.version).toBe(version);
    await other?.cancel();
  });

  test.each([
    '..',
    '.',
    '../../etc/passwd',
    '/',
    'a/b',
    'a\0b',
    'a?b=c',
    'a#b',
    '%2e%2e',
    '-a',
    '',
    'ä',
    'a'.repeat(129),
  ])('is never named %j', async (name) => {
    // A dot and nothing else is taken by the URL itself and leaves the list of datasets, which takes no such requests.
    const refusals = ['BAD_REQUEST', 'NOT_FOUND', 'METHOD_NOT_ALLOWED'];
    expect(refusals).toContain(await codeOf(client.datasets.put(name, arrowOf(1))));
    expect([...cluster.pen.table.datasets()]).toEqual([]);
  });

  test('whose name is refused has an answer, however much of it was still to be sent', async () => {
    let pulled = 0;
    const source = async function* () {
      for (; pulled < 30; pulled++) yield new Uint8Array(1_048_576);
    };
    expect(await codeOf(client.datasets.put('-a', source))).toBe('BAD_REQUEST');
    expect(pulled).toBeLessThan(30);
  });
});

describe('patience', () => {
  test('a node that is down is passed over, both ways, and a source that can be read once is still sent', async () => {
    await cluster.node(2).down();
    const other = new PolarisClient({ urls: ['http://127.0.0.1:1', urlOf(1)] });
    expect(await other.datasets.put('a', inPieces(arrowOf(10)))).toMatchObject({ handle: { rows: 10 } });
    const reader = new PolarisClient({ urls: ['http://127.0.0.1:1', urlOf(0)] });
    expect((await reader.load('a')).numRows).toBe(10);
  });

  test('a cluster without a leader is asked again, and the source is read anew', async () => {
    failChanges(0, 'NO_LEADER', 2);
    let opened = 0;
    const source = () => {
      opened += 1;
      return inPieces(arrowOf(10));
    };
    const sent: number[] = [];
    const put = client.datasets.put('a', source, { onProgress: (bytes) => sent.push(bytes) });
    expect((await put).handle.rows).toBe(10);
    expect([opened, sent.filter((bytes) => bytes === Math.max(...sent)).length]).toEqual([2, 2]);
  });

  test('what can be read once is not sent again, and the error says so', async () => {
    failChanges(0, 'NO_LEADER', 1);
    const put = client.datasets.put('a', inPieces(arrowOf(10)));
    await expect(put).rejects.toMatchObject({ code: 'NO_LEADER', detail: expect.stringContaining('read once only') });
    expect([...cluster.pen.table.datasets()]).toEqual([]);
  });

  test('a conflict after a try without an answer may be of its own making', async () => {
    failChanges(0, 'OUTCOME_UNKNOWN', 1, true);
    expect(await codeOf(client.datasets.put('a', arrowOf(1), { ifVersion: 'none' }))).toBe('OUTCOME_UNKNOWN');
    expect((await client.load('a')).numRows).toBe(1);
    failChanges(0, 'OUTCOME_UNKNOWN', 1, true);
    await client.datasets.drop('a');
    expect(await client.datasets.list()).toEqual([]);
  });

  test('what the source throws goes to the caller as it is, and is not sent again', async () => {
    const fault = new Error('the disk is gone');
    let opened = 0;
    const source = async function* () {
      opened += 1;
      yield arrowOf(10).subarray(0, 100);
      throw fault;
    };
    await expect(client.datasets.put('a', source)).rejects.toBe(fault);
    expect(opened).toBe(1);
    expect([...cluster.pen.table.datasets()]).toEqual([]);
  });

  test('a caller that has enough ends a put', async () => {
    const controller = new AbortController();
    const source = async function* () {
      yield arrowOf(10).subarray(0, 100);
      controller.abort(new Error('enough'));
      await new Promise(() => {});
    };
    const put = client.datasets.put('a', source, { signal: controller.signal });
    await expect(put).rejects.toThrow('enough');
  });
});

describe('tables', () => {
  const tableOf = (count: number) => tableFromArrays({ id: Int32Array.from({ length: count }, (_, at) => at) });

  test('are stored and loaded as they are, with text and empty ones too', async () => {
    const words = tableFromArrays({ id: [1, 2, 3], word: ['one', 'zwei', 'trois'] });
    await client.store(words, { name: 'words', ttlMs: 60_000 });
    const loaded = await client.load('words');
    expect(loaded.toArray().map(({ word }) => word)).toEqual(['one', 'zwei', 'trois']);
    await client.store(tableOf(0), { name: 'none' });
    const none = await client.load('none');
    expect([none.numRows, none.schema.fields.map(({ name }) => name)]).toEqual([0, ['id']]);
  });

  test('are stored from columns, under a name that comes first', async () => {
    await client.store('prices', { symbol: ['BTC', 'ETH', 'SOL'], price: [50_000, 3_000, 100] });
    const loaded = await client.load('prices');
    expect(loaded.toArray().map(({ symbol, price }) => [symbol, price])).toEqual([
      ['BTC', 50_000],
      ['ETH', 3_000],
      ['SOL', 100],
    ]);
    await client.store('same', loaded, { pinned: true });
    expect((await client.load('same')).numRows).toBe(3);
    await client.storeBatch({ left: { id: [1] }, right: { id: [2, 3] } });
    expect((await client.load('right')).numRows).toBe(2);
    const uneven = { symbol: ['BTC', 'ETH'], price: [50_000] };
    await expect(client.store('uneven', uneven)).rejects.toMatchObject({
      ...{ code: 'BAD_DATA', detail: expect.stringContaining('price has 1') },
    });
    await expect(client.store('empty', {})).rejects.toMatchObject({ code: 'BAD_DATA' });
  });

  test('that are given no name are named apart, and their bytes are kept once', async () => {
    const [one, other] = [await client.store(tableOf(5)), await client.store(tableOf(5))];
    expect(one.name).not.toBe(other.name);
    expect(one.handle).toEqual(other.handle);
    expect((await client.load(one.name)).numRows).toBe(5);
  });

  test('come batch by batch, and a reader who stops early is no failure', async () => {
    await client.store(tableOf(200_000), { name: 'long' });
    const sizes: number[] = [];
    for await (const batch of client.loadStream('long')) sizes.push(batch.numRows);
    expect([sizes.length > 1, sizes.reduce((sum, size) => sum + size, 0)]).toEqual([true, 200_000]);
    for await (const batch of client.loadStream('long')) {
      expect(batch.numRows).toBeLessThan(200_000);
      break;
    }
    expect((await client.load('long')).numRows).toBe(200_000);
  });

  /** What the nodes are asked by clients from now on. */
  function requestsOf(): string[] {
    const requests: string[] = [];
    for (const { app } of cluster.nodes) {
      app?.server.on('request', ({ method, url, headers }: IncomingMessage) => {
        const isOfNode = url?.startsWith('/data/') === true || headers['polaris-forwarded-by'] !== undefined;
        if (!isOfNode) requests.push(`${method} ${url}`);
      });
    }
    return requests;
  }

  test('are stored many at once, in one request, and those that failed are named', async () => {
    const names = Array.from({ length: 10 }, (_, at) => `t${at}`);
    const requests = requestsOf();
    const stored = await client.storeBatch(new Map(names.map((name, at) => [name, tableOf(at)])), { ttlMs: 60_000 });
    expect(requests).toEqual(['POST /v1/datasets']);
    expect([...stored].map(([name, { handle, ttlMs }]) => [name, handle.rows, ttlMs])).toEqual(
      names.map((name, at) => [name, at, 60_000]),
    );
    const failing = client.storeBatch({ good: tableOf(1), '-bad': tableOf(1), 'a/b': tableOf(1) });
    await expect(failing).rejects.toMatchObject({ code: 'BAD_REQUEST', detail: expect.stringContaining('-bad, a/b') });
    const error = await failing.catch((thrown) => thrown);
    expect([[...error.failed.keys()], [...error.stored.keys()]]).toEqual([['-bad', 'a/b'], ['good']]);
    expect((await client.datasets.list()).map(({ name }) => name)).toEqual(['good', ...names]);
  });

  test('of many that may do better are sent again, and the others are not', async () => {
    failChanges(0, 'NO_LEADER', 1);
    const requests = requestsOf();
    const stored = await client.storeBatch({ first: tableOf(1), second: tableOf(2) });
    expect([...stored].map(([name, { version }]) => [name, version])).toEqual([
      ['second', 1],
      ['first', 2],
    ]);
    expect(requests).toEqual(['POST /v1/datasets', 'POST /v1/datasets']);
  });
});

test('a health check tells of every node, and never fails', async () => {
  await cluster.node(1).down();
  const { ready, nodes } = await client.healthCheck();
  expect([ready, nodes.map((node) => node.ready)]).toEqual([true, [true, false, true]]);
  expect(nodes[1]?.detail).toContain('ECONNREFUSED');
  const lost = new PolarisClient({ urls: ['http://127.0.0.1:1'] });
  expect(await lost.healthCheck()).toMatchObject({ ready: false });
});

test('a node counts what its cache was asked for', async () => {
  const { handle } = await client.datasets.put('a', arrowOf(10));
  const holders = await cluster.holders(handle.hash);
  const stranger = [0, 1, 2].findIndex((at) => !holders.includes(at));
  const other = new PolarisClient({ urls: [urlOf(stranger)] });
  expect(await other.cacheStats()).toEqual({
    ...{ hits: 0, misses: 0, evictions: 0, pieces: 0, bytes: 0 },
    hitRate: null,
  });
  await other.load('a');
  const first = await other.cacheStats();
  expect(first).toMatchObject({ misses: 1, evictions: 0, pieces: 1, bytes: handle.bytes });
  await other.load('a');
  const again = await other.cacheStats();
  expect(again).toEqual({ ...first, hits: again.hits, hitRate: again.hits / (again.hits + 1) });
  expect(again.hits).toBeGreaterThan(first.hits);
});
