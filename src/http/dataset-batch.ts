/**
 * POST /v1/datasets: many tables in one request. Each is taken in as a put of its own would be, one after the other as they
 * come, and has a result of its own; one that is refused takes no other with it.
 *
 * Invariants: a result that is a dataset is durable and named, whatever becomes of the rest of the body · what comes is not
 * read faster than it is stored.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PolarisError } from '../base/errors.ts';
import { TABLES_TYPE } from '../base/media-types.ts';
import type { ByteSource } from '../data/sources.ts';
import { parseTableHead } from './dataset-schema.ts';
import { type DatasetContext, type DatasetJson, mediaType, nameKept } from './datasets.ts';
import { PartlyDone, type Problem, problemOf, toPolarisError } from './problem.ts';
import type { HttpRoute } from './route.ts';
import { expectNothing } from './schema.ts';
import { TableFrames, type TableHead } from './table-frames.ts';

/** What became of one table: a dataset, or a problem. */
export interface TableResult {
  /** As it was said; null when that is no text. */
  readonly name: string | null;
  readonly dataset: DatasetJson | null;
  readonly problem: Problem | null;
}

/** In the order of the body. */
export interface TableResults {
  readonly results: readonly TableResult[];
}

export function datasetBatchRoutes(context: DatasetContext): readonly HttpRoute[] {
  const handle = (request: FastifyRequest, reply: FastifyReply) => putMany(context, request, reply);
  return [{ method: 'POST', url: '/v1/datasets', streams: true, handle }];
}

async function putMany(context: DatasetContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  context.streams.enter(reply);
  expectNothing(request.query, 'the query');
  const type = mediaType(request);
  if (type !== TABLES_TYPE) {
    throw new PolarisError('UNSUPPORTED_MEDIA_TYPE', `many tables come as ${TABLES_TYPE}, not as ${type ?? 'nothing'}`);
  }
  const frames = new TableFrames(request.body as ByteSource);
  const results: TableResult[] = [];
  try {
    for (let head = await frames.next(); head !== null; head = await frames.next()) {
      results.push(await takeTable(context, request, head, frames.table()));
    }
  } catch (thrown) {
    throw new PartlyDone(toPolarisError(thrown, context.log), results);
  }
  const isWhole = results.every(({ problem }) => problem === null);
  return reply.code(isWhole ? 200 : 207).send({ results } satisfies TableResults);
}

async function takeTable(
  context: DatasetContext,
  request: FastifyRequest,
  head: TableHead,
  source: ByteSource,
): Promise<TableResult> {
  try {
    const { name, contentType, types, ...keeping } = parseTableHead(head);
    const { takeIn } = await import('./dataset-bytes.ts');
    const taken = await takeIn(context.data, { 'content-type': contentType }, source, { types });
    return { name, dataset: await nameKept(context, request, name, { ...taken, ...keeping }), problem: null };
  } catch (thrown) {
    const said = head['name'];
    const problem = problemOf(toPolarisError(thrown, context.log));
    return { name: typeof said === 'string' ? said : null, dataset: null, problem };
  }
}
