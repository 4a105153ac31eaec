/**
 * /data: what nodes ask of each other about blobs. Streams both ways, never gathered in memory.
 *
 * Invariants: only members of this cluster are served · a blob that is taken is the one that its name says, and is durable
 * before the answer.
 */
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { PolarisError } from '../base/errors.ts';
import { type BlobHash, isBlobHash } from '../base/handle.ts';
import { BLOB_BYTES_MAX, CONDEMNED_PER_ENTRY_MAX } from '../base/limits.ts';
import { localTable } from '../data/depot/local-table.ts';
import { BYTES_HEADER, CLUSTER_HEADER, STAMP_HEADER } from '../data/depot/peers.ts';
import type { DataContext, DataPlane, HttpRoute, OwnCopies } from './route.ts';
import { parse } from './schema.ts';
import { changeData } from './settle.ts';

/** A node that keeps copies. */
export interface CopiesContext extends DataContext {
  readonly data: DataPlane & { readonly copies: OwnCopies };
}

type Handle = (context: CopiesContext, request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;

const BYTES_TYPE = 'application/octet-stream';
const ONE = '/data/blobs/:hash';

const rangeSchema = z.strictObject({
  start: z.coerce.number().int().min(0).max(BLOB_BYTES_MAX).optional(),
  end: z.coerce.number().int().min(0).max(BLOB_BYTES_MAX).optional(),
});
const keepSchema = z.strictObject({ max: z.coerce.number().int().min(0).max(BLOB_BYTES_MAX).optional() });
const condemnSchema = z.strictObject({
  hashes: z.array(z.string().refine(isBlobHash, 'is no blob hash')).min(1).max(CONDEMNED_PER_ENTRY_MAX),
});

export function blobRoutes(context: CopiesContext): readonly HttpRoute[] {
  const route = (method: HttpRoute['method'], url: string, handle: Handle, streams = false): HttpRoute => ({
    ...{ method, url, streams },
    handle: (request, reply) => {
      checkMember(context, request);
      return handle(context, request, reply);
    },
  });
  return [
    route('GET', ONE, read),
    route('PUT', ONE, take, true),
    route('POST', '/data/blobs', keep, true),
    route('GET', `${ONE}/digests`, digests),
    route('POST', `${ONE}/stamp`, restamp),
    route('POST', '/data/condemn', condemn),
    route('GET', '/data/standing', standing),
  ];
}

/** Also answers HEAD, of which the headers are the answer. */
async function read({ data }: CopiesContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const hash = hashOf(request);
  const stat = await data.copies.store.stat(hash);
  if (stat === null) throw new PolarisError('BLOB_MISSING', `this node has no copy of blob ${hash}`);
  const { start = 0, end = stat.bytes } = parse(rangeSchema, request.query, 'the query');
  reply.header(BYTES_HEADER, String(stat.bytes)).header(STAMP_HEADER, String(stat.stamp)).type(BYTES_TYPE);
  if (request.method === 'HEAD') return reply.send();
  return reply
    .header('content-length', String(end - start))
    .send(Readable.from(data.copies.store.read(hash, { start, end }), { objectMode: false }));
}

async function take({ api, data }: CopiesContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const expected = hashOf(request);
  const stamp = await localTable(api, ({ appliedIndex }) => appliedIndex);
  await data.copies.store.put(request.body as Readable, { stamp, maxBytes: BLOB_BYTES_MAX, expected });
  return reply.code(201).send({ stamp });
}

/** For a node that keeps nothing itself: as if the content had been put here. */
async function keep({ data }: CopiesContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { max = BLOB_BYTES_MAX } = parse(keepSchema, request.query, 'the query');
  return reply.code(201).send(await data.depot.keep(request.body as Readable, max));
}

async function digests({ data }: CopiesContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  return reply.type(BYTES_TYPE).send(Buffer.from(await data.copies.store.digests(hashOf(request))));
}

async function restamp(
  { api, data }: CopiesContext,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const hash = hashOf(request);
  const stamp = await localTable(api, ({ appliedIndex }) => appliedIndex);
  if (await data.copies.store.restamp(hash, stamp)) return reply.send({ stamp });
  throw new PolarisError('BLOB_MISSING', `this node has no copy of blob ${hash}`);
}

async function condemn({ api }: CopiesContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { hashes } = parse(condemnSchema, request.body, 'the body');
  await changeData(api, { kind: 'condemn', hashes });
  return reply.send({});
}

async function standing({ data }: CopiesContext, _request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  return reply.send({ lacking: (await data.copies.keeper.lacking()).length });
}

function hashOf(request: FastifyRequest): BlobHash {
  const { hash } = request.params as { readonly hash: string };
  if (isBlobHash(hash)) return hash;
  throw new PolarisError('BAD_REQUEST', 'a blob is named by 64 lower-case hex digits');
}

/** @throws PolarisError CLUSTER_MISMATCH */
function checkMember({ api }: CopiesContext, request: FastifyRequest): void {
  const own = api.status().id;
  const theirs = request.headers[CLUSTER_HEADER];
  if (own !== null && theirs === own) return;
  throw new PolarisError('CLUSTER_MISMATCH', `/data serves the nodes of cluster ${own ?? '(not formed yet)'} alone`);
}
