/**
 * /v1/tasks/:epoch, its input and its output: what runners read and what they leave, in whatever format they speak.
 *
 * Any node serves: it asks the leader what the lease is, and moves the bytes itself. An output is on enough disks before
 * it is answered, and is nobody's until it is named: the answer is a ticket, and the report that brings the cursor behind
 * its points hands it in. So nothing of it hangs on a leader's memory, and what a lost runner left is seen by nobody and
 * goes in the end.
 *
 * Invariants: nothing is taken for a lease that has ended · what a ticket says is durable on as many voters as must have it.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PolarisError } from '../base/errors.ts';
import type { Handle } from '../base/handle.ts';
import { RUNNER_OUTPUT_BYTES_MAX, RUNNER_UPLOADS_MAX } from '../base/result-limits.ts';
import type { Epoch, NodeId, Point, Range } from '../base/types.ts';
import type { ByteSource } from '../data/sources.ts';
import type { StampedOutput, Table } from '../ranges/types.ts';
import type { DatasetContext } from './datasets.ts';
import { atLeader, onLeader } from './forward.ts';
import type { HttpRoute } from './route.ts';
import { expectNothing } from './schema.ts';
import { sendBytes } from './send-bytes.ts';
import { readTable } from './settle.ts';
import { parseEpoch, parseInputQuery, parseOutputQuery } from './task-schema.ts';

/** A live lease. */
export interface LeaseJson {
  readonly epoch: Epoch;
  readonly job: string;
  readonly name: string;
  readonly worker: NodeId;
  readonly start: Point;
  readonly end: Point;
  readonly cursor: Point;
  /** Point p is row p of it; null where the job has none. */
  readonly input: Handle | null;
}

/** What was left for points of a task, to be handed in with the report that brings the cursor to `end` or beyond. */
export type OutputTicket = StampedOutput;

const ONE = '/v1/tasks/:epoch';

export function taskDataRoutes(context: DatasetContext): readonly HttpRoute[] {
  const uploads = new Map<Epoch, number>();
  return [
    { method: 'GET', url: ONE, handle: (request, reply) => show(context, request, reply) },
    { method: 'GET', url: `${ONE}/input`, handle: (request, reply) => giveInput(context, request, reply) },
    {
      method: 'POST',
      url: `${ONE}/output`,
      streams: true,
      handle: (request, reply) => takeOutput(context, uploads, request, reply),
    },
  ];
}

async function show(context: DatasetContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  expectNothing(request.query, 'the query');
  const epoch = epochOf(request);
  return onLeader(context, { request, reply, write: false }, async () =>
    reply.send(await readTable(context.api, 'linearizable', (table) => leaseJson(table, epoch))),
  );
}

async function giveInput(context: DatasetContext, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const query = parseInputQuery(request.query);
  const lease = await leaseOf(context, request);
  const { job, input } = lease;
  if (input === null) throw new PolarisError('NOT_FOUND', `job ${job} has no input: it was submitted without one`);
  const from = query.from ?? lease.cursor;
  const to = query.to ?? lease.end;
  if (from > to) throw new PolarisError('BAD_RANGE', `from ${from} lies behind to ${to}`);
  checkWithin(lease, { start: from, end: to });
  const { giveOut } = await import('./dataset-bytes.ts');
  const wish = { first: { hash: input.hash, from, to } };
  const { contentType, open } = giveOut(context.data, wish, request.headers.accept);
  reply
    .type(contentType)
    .header('vary', 'accept')
    .header('polaris-rows', String(to - from));
  if (request.method === 'HEAD') return reply.send();
  context.streams.enter(reply);
  return sendBytes(context.data, reply, [input.hash], open);
}

async function takeOutput(
  context: DatasetContext,
  uploads: Map<Epoch, number>,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  context.streams.enter(reply);
  const { types, ...range } = parseOutputQuery(request.query);
  const lease = await leaseOf(context, request);
  checkWithin(lease, range);
  const leave = enter(uploads, lease.epoch);
  try {
    const { takeIn } = await import('./dataset-bytes.ts');
    const body = request.body as ByteSource;
    const options = { types, bytesMax: RUNNER_OUTPUT_BYTES_MAX };
    const ticket: OutputTicket = { ...range, ...(await takeIn(context.data, request.headers, body, options)) };
    return reply.code(201).send(ticket);
  } finally {
    leave();
  }
}

/** As the leader has it. @throws PolarisError STALE_EPOCH */
function leaseOf(context: DatasetContext, request: FastifyRequest): Promise<LeaseJson> {
  const epoch = epochOf(request);
  const question = { request, method: 'GET', path: `/v1/tasks/${epoch}`, write: false };
  return atLeader(context, question, () => readTable(context.api, 'linearizable', (table) => leaseJson(table, epoch)));
}

function leaseJson(table: Table, epoch: Epoch): LeaseJson {
  const task = table.task(epoch);
  const job = task === undefined ? undefined : table.job(task.job);
  if (task === undefined || job === undefined) {
    throw new PolarisError('STALE_EPOCH', `the lease of epoch ${epoch} has ended: stop its task, and claim another`);
  }
  const { worker, start, end, cursor } = task;
  const { id, name, input } = job.spec;
  return { epoch, job: id, name, worker, start, end, cursor, input };
}

function checkWithin(lease: LeaseJson, { start, end }: Range): void {
  if (start >= lease.start && end <= lease.end) return;
  const detail = `[${start}, ${end}) lies outside of the task [${lease.start}, ${lease.end})`;
  throw new PolarisError('BAD_REQUEST', detail);
}

/** @throws PolarisError OVERLOADED */
function enter(uploads: Map<Epoch, number>, epoch: Epoch): () => void {
  const count = uploads.get(epoch) ?? 0;
  if (count >= RUNNER_UPLOADS_MAX) {
    throw new PolarisError('OVERLOADED', `${count} outputs of epoch ${epoch} are on their way; wait for their answers`);
  }
  uploads.set(epoch, count + 1);
  return () => {
    const left = (uploads.get(epoch) ?? 1) - 1;
    if (left > 0) uploads.set(epoch, left);
    else uploads.delete(epoch);
  };
}

function epochOf(request: FastifyRequest): Epoch {
  return parseEpoch((request.params as { readonly epoch: unknown }).epoch);
}
