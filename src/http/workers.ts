/**
 * /v1/workers: who works, and POST /v1/workers/:id/drain: let one hold nothing, or take tasks again.
 *
 * The leader knows the sessions, so it answers. Draining is answered once the worker has said that it knows, and lasts
 * until it is undone or the worker's process ends; the worker stays in its session and goes on giving back what it holds.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PolarisError } from '../base/errors.ts';
import type { WorkerStatus } from '../daemon/api.ts';
import type { Table, WorkerView } from '../ranges/types.ts';
import { parseDraining } from './control-schema.ts';
import { onLeader } from './forward.ts';
import { pageText } from './page.ts';
import { parsePageQuery } from './queries.ts';
import { answerText, type ReadContext } from './read.ts';
import type { HttpContext, HttpRoute } from './route.ts';
import { expectNothing, parseWorkerId } from './schema.ts';
import { drainWorker, readTable } from './settle.ts';

export interface WorkerJson {
  readonly id: string;
  readonly address: string;
  readonly slots: number;
  /** Tasks that it holds. */
  readonly busy: number;
  /** Whether it takes nothing new. Null where that is not known: on a node that does not lead. */
  readonly draining: boolean | null;
  /** The job types that it offers. */
  readonly jobTypes: readonly string[];
}

export function workerRoutes(context: ReadContext): readonly HttpRoute[] {
  return [
    { method: 'GET', url: '/v1/workers', handle: (request, reply) => list(context, request, reply) },
    { method: 'POST', url: '/v1/workers/:id/drain', handle: (request, reply) => drain(context, request, reply) },
  ];
}

async function list(context: ReadContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { limit, after, consistency } = parsePageQuery(request.query);
  return answerText(context, { request, reply, consistency }, (table) => {
    const items = [...table.workers()].filter(({ id }) => after === undefined || id > after);
    return pageText({ name: 'workers', items, limit, look: workerLook(context), cursorOf: ({ id }) => id });
  });
}

async function drain(context: ReadContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  expectNothing(request.query, 'the query');
  const id = parseWorkerId((request.params as { readonly id: string }).id);
  const draining = parseDraining(request.body);
  return onLeader(context, { request, reply, write: true, body: { draining } }, async () => {
    await drainWorker(context.api, id, draining);
    return reply.send(await readTable(context.api, 'local', (table) => workerLook(context)(workerOf(table, id))));
  });
}

function workerOf(table: Table, id: string): WorkerView {
  const worker = table.worker(id);
  if (worker === undefined) throw new PolarisError('NOT_FOUND', `there is no worker "${id}"`);
  return worker;
}

/** For all workers of one look. */
function workerLook({ api }: HttpContext): (worker: WorkerView) => WorkerJson {
  const statuses = new Map<string, WorkerStatus>(api.workers()?.map((status) => [status.id, status]));
  return ({ id, address, slots, epochs, offers }) => ({
    ...{ id, address, slots, busy: epochs.length },
    draining: statuses.get(id)?.draining ?? null,
    jobTypes: offers.map(({ name }) => name),
  });
}
