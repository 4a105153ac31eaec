/**
 * Whoever may speak to a node may send it any bytes under any name. He gets a refusal with a code, and has written nothing
 * that is not a blob, changed no name, and taken no memory worth speaking of.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { tableFromArrays, tableToIPC } from 'apache-arrow';
import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { contentOf, countOf, putDataset, STREAM } from './dataset-clients.ts';
import { openScene, report, type Scene, voters } from './harness.ts';
import { peakMib } from './large-content.ts';
import { type RawAnswer, type RawRequest, sendRaw } from './raw-http.ts';

const MIB = 1024 * 1024;
/** What a node may grow by under all of it; each bomb and each lie stands for more. */
const GROWTH_MIB_MAX = 192;
const BOMB_BYTES = 256 * MIB;
const ROWS = 500;

const NAMES = [
  ...['..', '.', '../../evil', '%2e%2e', '%2e%2e%2fevil', '..%2f..%2fevil', '..%5c..%5cevil', '%252e%252e'],
  ...[
    '/etc/passwd',
    '%2fetc%2fpasswd',
    'a%00b',
    'a\u0000b',
    'a%0d%0ab',
    '%c0%ae%c0%ae',
    '%ff',
    '%',
    '.hidden',
    '-rf',
    '~',
  ],
  ...['a'.repeat(4_096), '%61'.repeat(4_096), 'unfinished%2fevil', '000%2fevil'],
];

/** Every path below a directory. */
function tree(dir: string): string[] {
  const found = readdirSync(dir, { recursive: true, withFileTypes: true });
  return found.map((entry) => relative(dir, join(entry.parentPath, entry.name))).sort();
}

function blobsOf({ cluster }: Scene): string {
  return join(cluster.dataDir('n1'), 'blobs');
}

/** What is in the place of the test beside the node's database, and what a crash would leave of bodies. */
function standing(scene: Scene): { readonly names: string[]; readonly leftovers: string[] } {
  const dataDir = scene.cluster.dataDir('n1');
  const isDatabase = (path: string) => /^n1\/(log|state|db|level)/.test(path) || /\.(ldb|log|sst)$|MANIFEST/.test(path);
  const leftovers = [...readdirSync(join(dataDir, 'spool')), ...readdirSync(join(blobsOf(scene), 'unfinished'))];
  return { names: tree(scene.dir).filter((path) => !isDatabase(path)), leftovers };
}

function expectRefused(what: string, answer: RawAnswer | null): void {
  expect(answer, what).not.toBeNull();
  const { status = 0, contentType, code } = answer ?? {};
  expect(status >= 400 && status < 500, `${what}: ${status} ${code}`).toBe(true);
  expect(contentType, what).toBe('application/problem+json');
  expect(code, what).toMatch(/^[A-Z_]+$/);
}

/** A node with one dataset, which is to be as it was afterwards. */
async function victim(): Promise<{ scene: Scene; address: string; expectUnharmed: () => Promise<void> }> {
  const scene = await openScene(voters(0, ['n1']));
  const { cluster } = scene;
  const url = `${cluster.url('n1')}/v1/datasets/victim`;
  await cluster.until('a put', async () => {
    return (await putDataset(cluster.url('n1'), 'victim', ROWS)).status === 200 ? true : null;
  });
  const before = standing(scene);
  const etag = (await fetch(url)).headers.get('etag');
  const peakBefore = peakMib(cluster.pid('n1'));
  const expectUnharmed = async (): Promise<void> => {
    const answer = await fetch(url);
    expect([answer.status, answer.headers.get('etag')]).toEqual([200, etag]);
    expect(countOf(new Uint8Array(await answer.arrayBuffer()))).toBe(ROWS);
    expect(await (await fetch(`${cluster.url('n1')}/v1/datasets`)).json()).toMatchObject({
      datasets: [{ name: 'victim' }],
    });
    expect(standing(scene)).toEqual({ ...before, leftovers: [] });
    const growth = peakMib(cluster.pid('n1')) - peakBefore;
    report(`the node grew by ${growth.toFixed(0)} MiB`);
    expect(growth).toBeLessThan(GROWTH_MIB_MAX);
  };
  return { scene, address: cluster.address('n1'), expectUnharmed };
}

test('names that would lead elsewhere are refused on every path that takes one', async () => {
  const { scene, address, expectUnharmed } = await victim();
  const cluster = must((await scene.cluster.status('n1'))?.id, 'it is formed');
  const body = Buffer.from(contentOf(3));
  const asked = (name: string): RawRequest[] => [
    { method: 'PUT', target: `/v1/datasets/${name}`, headers: { 'content-type': STREAM }, body },
    { method: 'GET', target: `/v1/datasets/${name}/info` },
    { method: 'DELETE', target: `/v1/datasets/${name}` },
    { method: 'POST', target: `/v1/datasets/${name}/pin`, contentLength: 0 },
    { method: 'PUT', target: `/data/blobs/${name}`, headers: { 'polaris-cluster': cluster }, body },
    { method: 'GET', target: `/data/blobs/${name}/digests`, headers: { 'polaris-cluster': cluster } },
    { method: 'POST', target: `/data/blobs/${name}/stamp`, headers: { 'polaris-cluster': cluster }, contentLength: 0 },
  ];
  for (const name of NAMES) {
    for (const request of asked(name)) {
      expectRefused(`${request.method} ${request.target.slice(0, 60)}`, await sendRaw(address, request));
    }
  }
  await expectUnharmed();
});

/** A stream of one batch with another length of its body: what it says is to follow. */
function withBodyLength(claimed: bigint): Buffer {
  const bytes = Buffer.from(tableToIPC(tableFromArrays({ n: new Int32Array(5_000) }), 'stream'));
  const schemaEnd = 8 + bytes.readInt32LE(4);
  const metadataEnd = schemaEnd + 8 + bytes.readInt32LE(schemaEnd + 4);
  const bodyBytes = BigInt(bytes.length - 8 - metadataEnd);
  for (let at = schemaEnd; at < metadataEnd; at += 4) {
    if (bytes.readBigInt64LE(at) !== bodyBytes) continue;
    bytes.writeBigInt64LE(claimed, at);
    return bytes;
  }
  throw new Error('the length of the body is somewhere in its header');
}

/** A footer that claims so many bytes, behind noise. */
function footerLie(noise: Buffer, claimed: number, magic: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeInt32LE(claimed);
  return Buffer.concat([Buffer.from(magic), noise, length, Buffer.from(magic)]);
}

interface Body {
  readonly what: string;
  readonly type: string;
  readonly body: Buffer;
  readonly encoding?: string;
}

function hostileBodies(): Body[] {
  const good = Buffer.from(contentOf(5_000));
  const noise = Buffer.from(Array.from({ length: 4_096 }, (_, at) => (at * 167 + 13) & 0xff));
  const metadataLie = Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]);
  const file = 'application/vnd.apache.arrow.file';
  const parquet = 'application/vnd.apache.parquet';
  const cuts = [0, 3, 8, 100, good.length >> 1, good.length - 9].map((length): Body => {
    return { what: `a stream cut off at ${length}`, type: STREAM, body: good.subarray(0, length) };
  });
  const zeros = Buffer.alloc(BOMB_BYTES);
  const bomb = gzipSync(zeros, { level: 1 });
  return [
    ...cuts,
    { what: 'noise as a stream', type: STREAM, body: noise },
    { what: '2 GiB of metadata', type: STREAM, body: Buffer.concat([metadataLie, noise]) },
    { what: 'a body of 2^45 bytes', type: STREAM, body: withBodyLength(2n ** 45n) },
    { what: 'a body of less than nothing', type: STREAM, body: withBodyLength(-8n) },
    { what: 'a body that is said to be too short', type: STREAM, body: withBodyLength(64n) },
    ...[0, -1, 2 ** 31 - 1, 4_000].flatMap((claimed): Body[] => [
      { what: `an Arrow footer of ${claimed}`, type: file, body: footerLie(noise, claimed, 'ARROW1') },
      { what: `a Parquet footer of ${claimed}`, type: parquet, body: footerLie(noise, claimed, 'PAR1') },
    ]),
    ...[STREAM, file, parquet, 'text/csv', 'text/plain', 'application/x-ndjson'].map((type): Body => {
      return { what: `a bomb as ${type}`, type, body: bomb, encoding: 'gzip' };
    }),
    { what: 'gzip that is none', type: 'text/plain', body: noise, encoding: 'gzip' },
    { what: 'gzip that is cut off', type: 'text/plain', body: gzipSync(noise).subarray(0, -9), encoding: 'gzip' },
    { what: 'an encoding that nobody knows', type: 'text/plain', body: noise, encoding: 'br' },
    { what: 'text that is no UTF-8', type: 'text/plain', body: noise },
    { what: 'a type that nobody knows', type: 'application/x-evil', body: noise },
    { what: 'JSON that is no naming', type: 'application/json', body: Buffer.from('{"handle":{"hash":"../x"}}') },
  ];
}

test('malformed and truncated data, lying lengths and bombs are refused over HTTP, in little memory', async () => {
  const { address, expectUnharmed } = await victim();
  for (const { what, type, body, encoding } of hostileBodies()) {
    const headers = { 'content-type': type, ...(encoding === undefined ? {} : { 'content-encoding': encoding }) };
    expectRefused(what, await sendRaw(address, { method: 'PUT', target: '/v1/datasets/victim', headers, body }));
  }
  await expectUnharmed();
});

test('a body of another length than was said is no body: it is refused, or nobody is there to hear it', async () => {
  const { address, expectUnharmed } = await victim();
  const body = Buffer.from(contentOf(100));
  const put = { method: 'PUT', target: '/v1/datasets/victim', body } as const;
  const headers = { 'content-type': STREAM };
  // Whoever hangs up in the middle of his body may or may not be there for the answer.
  for (const contentLength of [body.length + 1, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
    const answer = await sendRaw(address, { ...put, headers, contentLength });
    if (answer !== null) expectRefused(`${contentLength} bytes were said`, answer);
  }
  expectRefused('too few', await sendRaw(address, { ...put, headers, contentLength: body.length - 20 }));
  for (const lie of ['-1', '1e3', '0x10', '99999999999999999999', '12, 13']) {
    const lying = { ...headers, 'content-length': lie };
    expectRefused(`Content-Length: ${lie}`, await sendRaw(address, { ...put, headers: lying }));
  }
  const chunked = { ...headers, 'transfer-encoding': 'chunked' };
  for (const text of ['zz\r\nevil\r\n', 'fffffffffffffffff\r\nevil', '-4\r\nevil\r\n0\r\n\r\n']) {
    const lying = { ...put, headers: chunked, body: Buffer.from(text), contentLength: null };
    expectRefused(`a chunk of ${JSON.stringify(text)}`, await sendRaw(address, lying));
  }
  expectRefused('both', await sendRaw(address, { ...put, headers: chunked }));
  await expectUnharmed();
});

test('symbolic links in the directory of blobs lead nobody out of it, neither to write nor to read', async () => {
  const { scene, address } = await victim();
  const outside = mkdtempSync(join(tmpdir(), 'polaris-outside-'));
  try {
    const secret = 'what nobody may read';
    writeFileSync(join(outside, 'secret'), secret);
    const blobs = blobsOf(scene);
    const [shard = ''] = readdirSync(blobs).filter((name) => name !== 'unfinished');
    const [copy = ''] = readdirSync(join(blobs, shard));
    rmSync(join(blobs, shard, copy));
    symlinkSync(join(outside, 'secret'), join(blobs, shard, copy));
    const read = await sendRaw(address, { method: 'GET', target: '/v1/datasets/victim' });
    expect(must(read, 'an answer').body.includes(secret)).toBe(false);
    expect([read?.contentType, read?.code]).toEqual(['application/problem+json', expect.stringMatching(/^BLOB_/)]);

    mkdirSync(join(outside, 'shard'));
    for (let number = 0; number < 4_096; number++) {
      const name = number.toString(16).padStart(3, '0');
      if (name !== shard) symlinkSync(join(outside, 'shard'), join(blobs, name));
    }
    const before = tree(outside);
    for (const count of [1, 2, 3]) {
      const headers = { 'content-type': STREAM };
      const target = `/v1/datasets/n${count}`;
      const put = await sendRaw(address, { method: 'PUT', target, headers, body: contentOf(count) });
      expect([put?.contentType, put?.code]).toEqual(['application/problem+json', expect.stringMatching(/^BLOB_/)]);
    }
    expect(tree(outside)).toEqual(before);
    expect(readFileSync(join(outside, 'secret'), 'utf8')).toBe(secret);
    expect(readdirSync(join(blobs, 'unfinished'))).toEqual([]);
  } finally {
    rmSync(outside, { recursive: true, force: true });
  }
});
