/**
 * Blob peers: copies of blobs on other nodes, over connections of their own.
 *
 * Bulk bytes travel as plain HTTP under /data, one blob a request, never on the sockets that carry heartbeats and log
 * entries. The socket's own back-pressure holds at every hop: whoever reads slowly is sent little.
 *
 * Invariant: nothing that comes from a peer is believed. Whoever receives a blob judges its pieces by the digests, and the
 * digests by the hash that the log names.
 */
import { Agent, type ClientRequest, type IncomingMessage, request as sendRequest } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { splitAddress } from '../../base/config.ts';
import { ERRORS, type ErrorCode, errorText, PolarisError } from '../../base/errors.ts';
import { type BlobHash, isBlobHash } from '../../base/handle.ts';
import { BLOB_ANSWER_BYTES_MAX, BLOB_SILENCE_MS, BLOB_SOCKETS_MAX } from '../../base/limits.ts';
import type { Address, ClusterId, LogIndex } from '../../base/types.ts';
import type { BlobStat, ByteRange } from '../../store/blobs/types.ts';
import type { KeptBlob } from './depot.ts';

export const CLUSTER_HEADER = 'polaris-cluster';
export const STAMP_HEADER = 'polaris-stamp';
export const BYTES_HEADER = 'polaris-bytes';

/** What a node can ask of another about blobs. Every call fails with a PolarisError, UNREACHABLE above all. */
export interface BlobPeers {
  /** Null when it has no copy. */
  stat(peer: Address, hash: BlobHash): Promise<BlobStat | null>;
  /** Has the peer stamp its copy anew, and gives the stamp; null when it has none. */
  restamp(peer: Address, hash: BlobHash): Promise<LogIndex | null>;
  /** Sends the content, and gives the stamp of the copy that was made: it is durable. */
  push(peer: Address, hash: BlobHash, source: AsyncIterable<Uint8Array>): Promise<LogIndex>;
  /** Has the peer keep the content as its own, on as many voters as must have it. */
  keep(peer: Address, source: AsyncIterable<Uint8Array>, maxBytes: number): Promise<KeptBlob>;
  /** The digests of its pieces, not judged yet. */
  digests(peer: Address, hash: BlobHash): Promise<Uint8Array>;
  /** Its bytes, not judged yet. */
  read(peer: Address, hash: BlobHash, range: ByteRange): AsyncIterable<Uint8Array>;
  /** Asks the leader to condemn what nobody refers to. */
  condemn(leader: Address, hashes: readonly BlobHash[]): Promise<void>;
  /** How many blobs that the log refers to the peer still lacks. */
  lacking(peer: Address): Promise<number>;
  close(): void;
}

interface Question {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST';
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: AsyncIterable<Uint8Array>;
}

export function createBlobPeers(clusterId: () => ClusterId | null): BlobPeers {
  const agent = new Agent({ keepAlive: true, maxSockets: BLOB_SOCKETS_MAX, scheduling: 'lifo' });
  const ask = (peer: Address, question: Question) => exchange(agent, clusterId(), peer, question);
  return {
    async stat(peer, hash) {
      const answer = await ask(peer, { method: 'HEAD', path: pathOf(hash) });
      answer.resume();
      if (answer.statusCode === 404) return null;
      if (answer.statusCode !== 200) throw failed(peer, `was asked for blob ${hash} and answered ${answer.statusCode}`);
      return { bytes: numberIn(answer, BYTES_HEADER), stamp: numberIn(answer, STAMP_HEADER) };
    },
    async restamp(peer, hash) {
      const answer = await ask(peer, { method: 'POST', path: `${pathOf(hash)}/stamp` });
      if (answer.statusCode === 404) {
        answer.resume();
        return null;
      }
      return numberOf(await jsonOf(peer, answer), 'stamp');
    },
    async push(peer, hash, source) {
      const headers = { 'content-type': 'application/octet-stream' };
      const answer = await ask(peer, { method: 'PUT', path: pathOf(hash), headers, body: source });
      return numberOf(await jsonOf(peer, answer), 'stamp');
    },
    async keep(peer, source, maxBytes) {
      const headers = { 'content-type': 'application/octet-stream' };
      const path = `/data/blobs?max=${maxBytes}`;
      const kept = await jsonOf(peer, await ask(peer, { method: 'POST', path, headers, body: source }));
      return { hash: hashIn(kept), bytes: numberOf(kept, 'bytes'), stamp: numberOf(kept, 'stamp') };
    },
    async digests(peer, hash) {
      return bytesOf(await expectOk(peer, await ask(peer, { method: 'GET', path: `${pathOf(hash)}/digests` })));
    },
    async *read(peer, hash, { start, end }) {
      const path = `${pathOf(hash)}?start=${start}&end=${end}`;
      yield* await expectOk(peer, await ask(peer, { method: 'GET', path }));
    },
    async condemn(leader, hashes) {
      const body = [Buffer.from(JSON.stringify({ hashes }))];
      const headers = { 'content-type': 'application/json' };
      const answer = await ask(leader, { method: 'POST', path: '/data/condemn', headers, body: eachOf(body) });
      await jsonOf(leader, answer);
    },
    async lacking(peer) {
      return numberOf(await jsonOf(peer, await ask(peer, { method: 'GET', path: '/data/standing' })), 'lacking');
    },
    close: () => agent.destroy(),
  };
}

function pathOf(hash: BlobHash): string {
  return `/data/blobs/${hash}`;
}

async function* eachOf(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

/** Sends the whole question, and gives the answer as soon as it begins. A silent peer is given up. */
async function exchange(
  agent: Agent,
  clusterId: ClusterId | null,
  peer: Address,
  { method, path, headers = {}, body }: Question,
): Promise<IncomingMessage> {
  const { host, port } = splitAddress(peer);
  const own = clusterId === null ? {} : { [CLUSTER_HEADER]: clusterId };
  const length = body === undefined && method !== 'GET' && method !== 'HEAD' ? { 'content-length': '0' } : {};
  const request = sendRequest({ agent, host, port, method, path, headers: { ...headers, ...own, ...length } });
  request.setTimeout(BLOB_SILENCE_MS, () => request.destroy(new Error(`silent for ${BLOB_SILENCE_MS} ms`)));
  const answered = answerTo(request);
  // Whichever fails first: a peer may refuse a body in the middle of it.
  answered.catch(() => {});
  try {
    if (body === undefined) request.end();
    else await Promise.race([sendBody(request, body), answered]);
    const answer = await answered;
    // It was answered in the middle of the body: a refusal, and nobody reads the rest.
    if (!request.writableEnded) answer.once('close', () => request.destroy());
    return answer;
  } catch (cause) {
    request.destroy();
    if (cause instanceof PolarisError) throw cause;
    throw failed(peer, errorText(cause), cause);
  }
}

/** What the source throws is passed on as it is; that the peer hung up is told by `answered`. */
async function sendBody(request: ClientRequest, body: AsyncIterable<Uint8Array>): Promise<void> {
  await pipeline(body, request).catch((cause: unknown) => {
    if (cause instanceof PolarisError) throw cause;
  });
}

function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once('response', resolve);
    request.on('error', reject);
  });
}

async function expectOk(peer: Address, answer: IncomingMessage): Promise<IncomingMessage> {
  if (answer.statusCode !== undefined && answer.statusCode < 300) return answer;
  throw problemIn(peer, await bytesOf(answer), answer.statusCode ?? 0);
}

async function jsonOf(peer: Address, answer: IncomingMessage): Promise<unknown> {
  const bytes = await bytesOf(await expectOk(peer, answer));
  try {
    return JSON.parse(bytes.toString());
  } catch (cause) {
    throw failed(peer, 'answered with something that is no JSON', cause);
  }
}

async function bytesOf(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let total = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    total += chunk.length;
    if (total > BLOB_ANSWER_BYTES_MAX) {
      answer.destroy();
      throw new PolarisError('BAD_FRAME', `a peer answers with more than ${BLOB_ANSWER_BYTES_MAX} bytes`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The peer's own words, where it is one of ours. */
function problemIn(peer: Address, bytes: Buffer, status: number): PolarisError {
  try {
    const { code, detail } = JSON.parse(bytes.toString()) as { readonly code?: string; readonly detail?: string };
    if (code !== undefined && code in ERRORS) return new PolarisError(code as ErrorCode, `${peer}: ${detail}`);
  } catch {
    // Whoever answers there is no node of ours; the status is all that can be told.
  }
  return failed(peer, `answered ${status}`);
}

function numberOf(value: unknown, name: string): number {
  const number = (value as Readonly<Record<string, unknown>> | null)?.[name];
  if (typeof number === 'number' && Number.isSafeInteger(number) && number >= 0) return number;
  throw new PolarisError('BAD_FRAME', `a peer's answer has no ${name}`);
}

function hashIn(value: unknown): BlobHash {
  const { hash } = (value ?? {}) as { readonly hash?: unknown };
  if (typeof hash === 'string' && isBlobHash(hash)) return hash;
  throw new PolarisError('BAD_FRAME', "a peer's answer names no blob");
}

function numberIn(answer: IncomingMessage, header: string): number {
  return numberOf({ [header]: Number(answer.headers[header] ?? Number.NaN) }, header);
}

function failed(peer: Address, detail: string, cause?: unknown): PolarisError {
  return new PolarisError('UNREACHABLE', `${peer}: ${detail}`, { cause });
}
