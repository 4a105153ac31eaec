/**
 * /v1/jobs: submit, list, and the three views of one job.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PolarisError } from '../base/errors.ts';
import type { Consistency } from '../daemon/api.ts';
import type { JobView, Table } from '../ranges/types.ts';
import { failuresCsv } from './failures-csv.ts';
import { findJob } from './find-job.ts';
import { onLeader } from './forward.ts';
import { failuresJson, type JobJson, jobJson, offeredNames, rangesJson, verifyJson } from './job-json.ts';
import type { HttpContext, HttpRoute } from './route.ts';
import { expectNothing, parseConsistency, parseListQuery } from './schema.ts';
import { readTable, submitJob } from './settle.ts';
import { admit, readSubmission } from './submit.ts';
import { Turnstile } from './turnstile.ts';

const JSON_TYPE = 'application/json; charset=utf-8';
const CSV_TYPE = 'text/csv; charset=utf-8; header=present';

interface ReadContext extends HttpContext {
  readonly turnstile: Turnstile;
}

export function jobRoutes(http: HttpContext): readonly HttpRoute[] {
  const turnstile = new Turnstile();
  // `api` stays behind its getter: the node that it stands for is made after the routes.
  const context: ReadContext = {
    get api() {
      return http.api;
    },
    ...{ log: http.log, prng: http.prng, turnstile },
  };
  return [
    { method: 'POST', url: '/v1/jobs', handle: (request, reply) => submit(context, request, reply) },
    { method: 'GET', url: '/v1/jobs', handle: (request, reply) => list(context, request, reply) },
    view(context, '/v1/jobs/:id', (job, table) => viewJob(context, job, table)),
    view(context, '/v1/jobs/:id/ranges', rangesJson),
    view(context, '/v1/jobs/:id/verify', verifyJson),
    { method: 'GET', url: '/v1/jobs/:id/failures', handle: (request, reply) => failures(context, request, reply) },
  ];
}

/** The job resource, with the speed as this node knows it. */
export function viewJob(context: HttpContext, job: JobView, table: Table): JobJson {
  return jobJson(job, context.api.pace(job), offeredNames(table.workers()));
}

async function submit(context: HttpContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  expectNothing(request.query, 'the query');
  const submission = readSubmission(context, request.body, request.headers['idempotency-key']);
  return onLeader(context, { request, reply, write: true, body: submission.body }, async () => {
    const outcome = await submitJob(context.api, await admit(context, submission));
    // Local on the leader that applied it: at least as new as the answer.
    const job = await readTable(context.api, 'local', (table) => viewJob(context, findJob(table, outcome.id), table));
    if (outcome.kind === 'created') reply.code(201).header('location', `/v1/jobs/${outcome.id}`);
    return reply.send(job);
  });
}

async function list(context: ReadContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const query = parseListQuery(request.query);
  return answerRead(context, request, reply, query.consistency, (table) => {
    const wanted = [...table.jobs()].filter((job) => query.state === undefined || job.state === query.state);
    const newestFirst = wanted.reverse().slice(0, query.limit);
    const offered = offeredNames(table.workers());
    return { jobs: newestFirst.map((job) => jobJson(job, context.api.pace(job), offered)) };
  });
}

function view(context: ReadContext, url: string, look: (job: JobView, table: Table) => object): HttpRoute {
  return {
    method: 'GET',
    url,
    handle: async (request, reply) => {
      const id = pathId(request);
      const consistency = parseConsistency(request.query);
      return answerRead(context, request, reply, consistency, (table) => look(findJob(table, id), table));
    },
  };
}

/** JSON, or CSV to whom asks for it. */
async function failures(context: ReadContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const id = pathId(request);
  const consistency = parseConsistency(request.query);
  const asCsv = /^text\/csv\b/i.test(request.headers.accept ?? '');
  const look = (table: Table) => failuresJson(findJob(table, id));
  if (!asCsv) return answerRead(context, request, reply, consistency, look);
  return answerRead(context, request, reply, consistency, look, CSV_TYPE, failuresCsv);
}

async function answerRead<T extends object>(
  context: ReadContext,
  request: FastifyRequest,
  reply: FastifyReply,
  consistency: Consistency,
  look: (table: Table) => T,
  type = JSON_TYPE,
  write: (looked: T) => string = JSON.stringify,
): Promise<FastifyReply> {
  // Made into text in the same turn, since that is half of the cost.
  const text = () => readTable(context.api, 'local', (table) => write(look(table)));
  const answer = async () => reply.type(type).send(await context.turnstile.run(text));
  if (consistency === 'local') return answer();
  return onLeader(context, { request, reply, write: false }, async () => {
    // After the round, what this node has applied is at least as new as everything acknowledged before the request.
    await readTable(context.api, 'linearizable', () => null);
    return answer();
  });
}

/** The id in the path; Fastify has decoded it. */
export function pathId(request: FastifyRequest): string {
  const { id } = request.params as { id?: string };
  if (id === undefined || id === '') throw new PolarisError('JOB_NOT_FOUND', 'the path names no job');
  return id;
}
