/**
 * POST /v1/jobs/:id/{pause,resume,cancel}: answered with the job as it stands after the commit.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { findJob, isFullId } from './find-job.ts';
import { onLeader } from './forward.ts';
import { pathId, viewJob } from './jobs.ts';
import type { HttpContext, HttpRoute } from './route.ts';
import { expectNothing } from './schema.ts';
import { controlJob, type JobAction, readTable } from './settle.ts';

const ACTIONS: readonly JobAction[] = ['pause', 'resume', 'cancel'];

export function jobActionRoutes(context: HttpContext): readonly HttpRoute[] {
  return ACTIONS.map((action) => ({
    method: 'POST',
    url: `/v1/jobs/:id/${action}`,
    handle: (request, reply) => act(context, request, reply, action),
  }));
}

async function act(
  context: HttpContext,
  request: FastifyRequest,
  reply: FastifyReply,
  action: JobAction,
): Promise<FastifyReply> {
  expectNothing(request.query, 'the query');
  expectNothing(request.body, 'the body');
  const given = pathId(request);
  return onLeader(context, { request, reply, write: true }, async () => {
    // A whole id needs no read first: the table itself refuses one that it does not have.
    const id = isFullId(given)
      ? given.toLowerCase()
      : await readTable(context.api, 'linearizable', (table) => findJob(table, given).spec.id);
    await controlJob(context.api, id, action);
    return reply.send(await readTable(context.api, 'local', (table) => viewJob(context, findJob(table, id), table)));
  });
}
