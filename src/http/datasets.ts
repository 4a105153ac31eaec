/**
 * /v1/datasets: names for batches. Whatever format comes in is stored as one Arrow file, on enough disks before the log
 * names it; whatever format is asked for goes out. Both ways stream, so that a dataset may be larger than any memory.
 *
 * Any node serves any dataset: the one that is asked reads or stores the bytes, and only the few words about them go to the
 * leader. A version is an entity tag, so that If-Match makes a put a compare-and-set, and If-None-Match: * an insert.
 *
 * Invariant: what is answered to a put is durable and named; what fails leaves the name as it was.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { assert } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import type { Handle } from '../base/handle.ts';
import { BODY_BYTES_MAX, NAMING_TRIES_MAX } from '../base/limits.ts';
import type { DataChange } from '../daemon/api.ts';
import { localTable } from '../data/depot/local-table.ts';
import type { ByteSource } from '../data/sources.ts';
import { type Dataset, expiresAt } from '../ranges/datasets.ts';
import type { Table } from '../ranges/types.ts';
import {
  etagOf,
  type Naming,
  parseExpected,
  parseName,
  parseNaming,
  parsePin,
  parsePutQuery,
  type StatedNaming,
} from './dataset-schema.ts';
import { atLeader, isForwarded, onLeader } from './forward.ts';
import { isoTime } from './job-json.ts';
import { parseJsonBody } from './json-body.ts';
import { pageText } from './page.ts';
import { parseConsistency, parsePageQuery } from './queries.ts';
import { answerText, type ReadContext } from './read.ts';
import type { DataPlane, HttpRoute } from './route.ts';
import { expectNothing } from './schema.ts';
import { sendBytes } from './send-bytes.ts';
import { changeData, readTable } from './settle.ts';
import type { Streams } from './streams.ts';

export interface DatasetContext extends ReadContext {
  readonly data: DataPlane;
  readonly streams: Streams;
}

export interface DatasetJson {
  readonly name: string;
  /** Of its content: another put, another version. The ETag. */
  readonly version: number;
  readonly handle: Handle;
  /** ISO 8601. */
  readonly putAt: string;
  readonly ttlMs: number | null;
  readonly pinned: boolean;
  /** ISO 8601; null when it stays until it is dropped. */
  readonly expiresAt: string | null;
}

const LIST = '/v1/datasets';
const ONE = '/v1/datasets/:name';
const JSON_TYPE = 'application/json';

export function datasetRoutes(context: DatasetContext): readonly HttpRoute[] {
  return [
    { method: 'GET', url: LIST, handle: (request, reply) => list(context, request, reply) },
    { method: 'GET', url: ONE, handle: (request, reply) => read(context, request, reply) },
    { method: 'PUT', url: ONE, streams: true, handle: (request, reply) => put(context, request, reply) },
    { method: 'DELETE', url: ONE, handle: (request, reply) => drop(context, request, reply) },
    { method: 'GET', url: `${ONE}/info`, handle: (request, reply) => show(context, request, reply) },
    { method: 'POST', url: `${ONE}/pin`, handle: (request, reply) => pin(context, request, reply) },
  ];
}

async function list(context: ReadContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { limit, after, consistency } = parsePageQuery(request.query);
  return answerText(context, { request, reply, consistency }, (table) => {
    const items = [...table.datasets()].filter(({ name }) => after === undefined || name > after);
    return pageText({ name: 'datasets', items, limit, look: datasetJson, cursorOf: ({ name }) => name });
  });
}

async function show(context: ReadContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const name = nameOf(request);
  const consistency = parseConsistency(request.query);
  return answerText(context, { request, reply, consistency }, (table) =>
    JSON.stringify(datasetJson(find(table, name))),
  );
}

// ---- in -------------------------------------------------------------------------------------------------------------

async function put(context: DatasetContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const name = nameOf(request);
  const { ttlMs, pinned, types } = parsePutQuery(request.query);
  const expected = parseExpected(request.headers);
  const body = request.body as ByteSource;
  if (mediaType(request) === JSON_TYPE) {
    const naming = parseNaming(parseJsonBody(await gather(body)));
    return answerPut(reply, await nameStored(context, request, name, naming));
  }
  context.streams.enter(reply);
  const { takeIn } = await import('./dataset-bytes.ts');
  const taken = await takeIn(context.data, request.headers, body, { types });
  return answerPut(reply, await nameKept(context, request, name, { ...taken, expected, ttlMs, pinned }));
}

/**
 * What is stored already gets one more name. What is said of it is held against the bytes, and its copies say how long they
 * are to be relied on: only the node that saw that passes it on, and the leader looks again.
 */
async function nameStored(
  context: DatasetContext,
  request: FastifyRequest,
  name: string,
  { stamp, ...naming }: StatedNaming,
): Promise<DatasetJson> {
  if (isForwarded(request) !== (stamp !== null)) {
    throw new PolarisError(
      'BAD_REQUEST',
      'stamp is what nodes say to each other of copies that they saw: leave it out',
    );
  }
  if (stamp !== null) return nameIt(context, request, name, { ...naming, stamp });
  const { api, data } = context;
  const { hash } = naming.handle;
  const { checkHandle } = await import('./stored.ts');
  await checkHandle(data.depot, naming.handle);
  // What the log refers to is on enough disks, and is not given up; of anything else enough copies are made sure of first.
  // A worker has no log to look into.
  const isHeld = data.copies !== null && (await localTable(api, (table) => table.isHeld(hash)));
  return nameKept(context, request, name, { ...naming, stamp: isHeld ? 0 : await data.depot.keepAgain(hash) });
}

/** The leader names what this node saw to be on enough disks. */
export async function nameKept(
  context: DatasetContext,
  request: FastifyRequest,
  name: string,
  naming: Naming,
): Promise<DatasetJson> {
  let { stamp } = naming;
  for (let tries = 1; ; tries++) {
    try {
      return await nameIt(context, request, name, { ...naming, stamp });
    } catch (thrown) {
      // So long on its way that its copies were given up meanwhile: they are still here, and are stamped anew.
      const isCondemned = thrown instanceof PolarisError && thrown.code === 'BLOB_CONDEMNED';
      if (!isCondemned || tries === NAMING_TRIES_MAX) throw thrown;
      stamp = await context.data.depot.keepAgain(naming.handle.hash);
    }
  }
}

/** The leader names it. What was passed on to it, it holds against the bytes: anybody can say that he is a node. */
async function nameIt(
  context: DatasetContext,
  request: FastifyRequest,
  name: string,
  naming: Naming,
): Promise<DatasetJson> {
  const question = {
    request,
    method: 'PUT',
    path: `${LIST}/${name}`,
    write: true,
    body: { ...naming, handle: { ...naming.handle } },
  };
  return atLeader(context, question, async () => {
    if (isForwarded(request)) {
      const { checkStored } = await import('./stored.ts');
      await checkStored(context.data.depot, naming);
    }
    return changed(context, { kind: 'put-dataset', name, ...naming });
  });
}

/** What became of this very change: others may have made more of them by the time that it is answered. */
async function changed(
  { api }: ReadContext,
  change: Exclude<DataChange, { readonly kind: 'condemn' }>,
): Promise<DatasetJson> {
  const outcome = await changeData(api, change);
  assert('dataset' in outcome, 'a change of a dataset says what became of it');
  return datasetJson(outcome.dataset);
}

function answerPut(reply: FastifyReply, dataset: DatasetJson): FastifyReply {
  return reply.header('etag', etagOf(dataset.version)).send(dataset);
}

async function drop(context: ReadContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  expectNothing(request.query, 'the query');
  expectNothing(request.body ?? undefined, 'the body');
  const name = nameOf(request);
  const expected = parseExpected(request.headers);
  return onLeader(context, { request, reply, write: true }, async () =>
    reply.send(await changed(context, { kind: 'drop-dataset', name, expected })),
  );
}

async function pin(context: ReadContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  expectNothing(request.query, 'the query');
  const name = nameOf(request);
  const pinned = parsePin(request.body);
  return onLeader(context, { request, reply, write: true, body: { pinned } }, async () =>
    reply.send(await changed(context, { kind: 'pin-dataset', name, pinned })),
  );
}

// ---- out ------------------------------------------------------------------------------------------------------------

async function read(context: DatasetContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const name = nameOf(request);
  const consistency = parseConsistency(request.query);
  const { data, api } = context;
  const look = (): Promise<DatasetJson> => readTable(api, consistency, (table) => datasetJson(find(table, name)));
  const question = { request, method: 'GET', path: `${LIST}/${name}/info`, write: false };
  const { handle, version } = consistency === 'local' ? await look() : await atLeader(context, question, look);
  reply.header('etag', etagOf(version));
  if (request.headers['if-none-match']?.trim() === etagOf(version)) return reply.code(304).send();
  const { giveOut } = await import('./dataset-bytes.ts');
  const { contentType, open } = giveOut(data, { first: handle }, request.headers.accept);
  reply.type(contentType).header('vary', 'accept').header('polaris-rows', String(handle.rows));
  if (request.method === 'HEAD') return reply.send();
  context.streams.enter(reply);
  return sendBytes(data, reply, [handle.hash], open);
}

// ---- both -----------------------------------------------------------------------------------------------------------

function nameOf(request: FastifyRequest): string {
  return parseName((request.params as { readonly name: string }).name);
}

function find(table: Table, name: string): Dataset {
  const dataset = table.dataset(name);
  if (dataset === undefined) throw new PolarisError('NOT_FOUND', `there is no dataset "${name}"`);
  return dataset;
}

function datasetJson(dataset: Dataset): DatasetJson {
  const { name, version, handle, putAt, ttlMs, pinned } = dataset;
  const end = expiresAt(dataset);
  return {
    ...{ name, version, handle, ttlMs, pinned },
    putAt: isoTime(putAt),
    expiresAt: end === null ? null : isoTime(end),
  };
}

export function mediaType({ headers }: FastifyRequest): string | undefined {
  return headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
}

/** @throws PolarisError BODY_TOO_LARGE */
async function gather(body: ByteSource): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > BODY_BYTES_MAX) throw new PolarisError('BODY_TOO_LARGE', `JSON may have ${BODY_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
