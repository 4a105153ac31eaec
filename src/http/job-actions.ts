/**
 * What is done to a job: POST /v1/jobs/:id/{pause,resume,cancel,retry} and PATCH /v1/jobs/:id, each answered with the job
 * as it stands after the commit.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { JobId, Json } from '../base/types.ts';
import { parseChanges } from './control-schema.ts';
import { findJob, isFullId } from './find-job.ts';
import { onLeader } from './forward.ts';
import { viewJob } from './jobs.ts';
import { pathId } from './read.ts';
import type { HttpContext, HttpRoute } from './route.ts';
import { expectNothing, parseRetry } from './schema.ts';
import { controlJob, type JobAction, readTable, retryJob, setControls } from './settle.ts';

const ACTIONS: readonly JobAction[] = ['pause', 'resume', 'cancel'];

export function jobActionRoutes(context: HttpContext): readonly HttpRoute[] {
  const routes = ACTIONS.map(
    (action): HttpRoute => ({
      method: 'POST',
      url: `/v1/jobs/:id/${action}`,
      handle: (request, reply) => {
        expectNothing(request.body, 'the body');
        return act(context, request, reply, undefined, (id) => controlJob(context.api, id, action));
      },
    }),
  );
  return [
    ...routes,
    { method: 'POST', url: '/v1/jobs/:id/retry', handle: retry },
    { method: 'PATCH', url: '/v1/jobs/:id', handle: set },
  ];

  async function retry(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { range, uncertain } = parseRetry(request.body);
    // In full, since a forwarded request has a body.
    const body: Json = { uncertain, ...(range === null ? {} : { range: [range.start, range.end] }) };
    return act(context, request, reply, body, (id) => retryJob(context.api, id, range, uncertain));
  }

  async function set(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const changes = parseChanges(request.body);
    return act(context, request, reply, { options: { ...changes } }, (id) => setControls(context.api, id, changes));
  }
}

async function act(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply,
  body: Json | undefined,
  change: (id: JobId) => Promise<void>,
): Promise<FastifyReply> {
  expectNothing(request.query, 'the query');
  const given = pathId(request);
  return onLeader(context, { request, reply, write: true, ...(body === undefined ? {} : { body }) }, async () => {
    // A whole id needs no read first: the table itself refuses one that it does not have.
    const id = isFullId(given)
      ? given.toLowerCase()
      : await readTable(context.api, 'linearizable', (table) => findJob(table, given).spec.id);
    await change(id);
    return reply.send(await readTable(context.api, 'local', (table) => viewJob(context, findJob(table, id), table)));
  });
}
