/**
 * /v1/jobs: submit, list, and the views of one job.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { JobView, Table } from '../ranges/types.ts';
import { findJob } from './find-job.ts';
import { onLeader } from './forward.ts';
import { type JobJson, jobJson, offeredNames, rangesJson, verifyJson } from './job-json.ts';
import { withPlan } from './job-plan.ts';
import { pageText } from './page.ts';
import { parseConsistency, parseListQuery } from './queries.ts';
import { answerText, pathId, type ReadContext } from './read.ts';
import type { HttpContext, HttpRoute } from './route.ts';
import { expectNothing } from './schema.ts';
import { readTable } from './settle.ts';
import { carryOut, readSubmission } from './submit.ts';

export function jobRoutes(context: ReadContext): readonly HttpRoute[] {
  return [
    { method: 'POST', url: '/v1/jobs', handle: (request, reply) => submit(context, request, reply) },
    { method: 'GET', url: '/v1/jobs', handle: (request, reply) => list(context, request, reply) },
    view(context, '/v1/jobs/:id', (job, table) => viewJob(context, job, table)),
    view(context, '/v1/jobs/:id/ranges', rangesJson),
    view(context, '/v1/jobs/:id/verify', verifyJson),
  ];
}

/** The job resource, with its speed and what holds it as far as this node knows. */
export function viewJob(context: HttpContext, job: JobView, table: Table): JobJson {
  return jobLook(context, table)(job);
}

/** For many jobs of one look. */
function jobLook({ api }: HttpContext, table: Table): (job: JobView) => JobJson {
  const [offered, now] = [offeredNames(table.workers()), Date.now()];
  return (job) => jobJson(job, { pace: api.pace(job), hold: api.holdOf(job.spec.id), offered, now });
}

async function submit(context: ReadContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  expectNothing(request.query, 'the query');
  const read = readSubmission(context, request.body, request.headers['idempotency-key']);
  const submission = await withPlan(context, request, read);
  return onLeader(context, { request, reply, write: true, body: submission.body }, async () => {
    const outcome = await carryOut(context, await withPlan(context, request, submission));
    // Local on the leader that applied it: at least as new as the answer.
    const job = await readTable(context.api, 'local', (table) => viewJob(context, findJob(table, outcome.id), table));
    if (outcome.kind === 'created') reply.code(201).header('location', `/v1/jobs/${outcome.id}`);
    return reply.send(job);
  });
}

async function list(context: ReadContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { limit, state, after, consistency } = parseListQuery(request.query);
  return answerText(context, { request, reply, consistency }, (table) => {
    const newestFirst = [...table.jobs()].reverse();
    const items = behind(newestFirst, after).filter((job) => state === undefined || job.state === state);
    return pageText({ name: 'jobs', items, limit, look: jobLook(context, table), cursorOf });
  });
}

function cursorOf({ createdAt, spec }: JobView): string {
  return `${createdAt}.${spec.id}`;
}

/** What comes behind the job of the cursor; where that one is gone, what is older than it was. */
function behind(newestFirst: readonly JobView[], cursor: string | undefined): readonly JobView[] {
  if (cursor === undefined) return newestFirst;
  const [createdAt, id] = cursor.split('.');
  const at = newestFirst.findIndex((job) => job.spec.id === id);
  if (at >= 0) return newestFirst.slice(at + 1);
  return newestFirst.filter((job) => job.createdAt < Number(createdAt));
}

function view(context: ReadContext, url: string, look: (job: JobView, table: Table) => object): HttpRoute {
  return {
    method: 'GET',
    url,
    handle: async (request, reply) => {
      const id = pathId(request);
      const consistency = parseConsistency(request.query);
      return answerText(context, { request, reply, consistency }, (table) =>
        JSON.stringify(look(findJob(table, id), table)),
      );
    },
  };
}
