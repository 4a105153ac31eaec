/**
 * /v1/tasks: work for runners, which are workers in any language that speak HTTP and are no nodes.
 *
 * `claim` begins a session or asks for tasks, the others say how far one task is. This is a translator and nothing more:
 * each request becomes one question to the leader (daemon/runners.ts), where the rules are. What is added here is for
 * the sake of the node: only so many claims wait, only so many bytes of orders wait to be read, and a question whose
 * asker has gone is taken back before anything is granted for it.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Handle } from '../base/handle.ts';
import type { Json } from '../base/types.ts';
import type { RunnerAnswer } from '../daemon/runner-api.ts';
import type { Depot } from '../data/depot/depot.ts';
import { windowEnd } from '../ranges/lease.ts';
import type { StampedOutput } from '../ranges/types.ts';
import type { TaskOrder } from '../wire/messages.ts';
import { onLeader } from './forward.ts';
import { goneWith, type Patience } from './patience.ts';
import { JSON_TYPE } from './read.ts';
import type { HttpContext, HttpRoute } from './route.ts';
import { expectNothing } from './schema.ts';
import { askRunner } from './settle.ts';
import { parseClaim, parseReport, type TaskWord } from './task-schema.ts';

/** A task as a runner is given it. */
export interface TaskJson {
  readonly epoch: number;
  readonly job: string;
  readonly name: string;
  /** The task is `[start, end)`, and is begun at `cursor`. */
  readonly start: number;
  readonly end: number;
  readonly cursor: number;
  /** Nothing at or beyond it may be begun, until an answer moves it on. */
  readonly limit: number;
  /** Times that this range failed before. */
  readonly attempts: number;
  readonly delivery: string;
  readonly commitEvery: number;
  readonly commitIntervalMs: number;
  readonly taskTimeoutMs: number | null;
  readonly metadata: { readonly [key: string]: Json };
  /** Point p is row p of it; null when the job has none. */
  readonly input: Handle | null;
}

/** What every request of a runner is answered. */
export interface RunnerJson extends Omit<RunnerAnswer, 'orders' | 'task'> {
  readonly task: {
    readonly epoch: number;
    readonly state: 'live' | 'ended';
    /** Committed: nothing below it is ever given to anybody again. */
    readonly cursor: number;
    readonly end: number;
    readonly limit: number;
  } | null;
  /** Tasks that are to be begun. */
  readonly tasks: readonly TaskJson[];
}

const WORDS: readonly TaskWord[] = ['progress', 'complete', 'release', 'fail'];

type Bytes = Pick<Depot, 'isStamped' | 'open'>;

/** @param depot where the bytes behind tickets lie; null where nothing is ever asked of them */
export function taskRoutes(context: HttpContext, patience: Patience, depot: Bytes | null): readonly HttpRoute[] {
  return [
    { method: 'POST', url: '/v1/tasks/claim', handle: (request, reply) => claim(context, patience, request, reply) },
    ...WORDS.map((word): HttpRoute => {
      const url = `/v1/tasks/:epoch/${word}`;
      return {
        method: 'POST',
        url,
        handle: (request, reply) => report(context, { word, patience, depot }, request, reply),
      };
    }),
  ];
}

async function claim(
  context: HttpContext,
  patience: Patience,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  expectNothing(request.query, 'the query');
  const question = parseClaim(request.body);
  const waitMs = question.kind === 'claim' ? question.waitMs : 0;
  const { gone, leave } = patience.enter(reply);
  try {
    // Both ask for the same when they are repeated: a session that is there, and tasks that were not named.
    const write = false;
    const patient = { kind: 'claim', waitMs, gone } as const;
    return await onLeader(context, { request, reply, write, patient, body: request.body as Json }, async () => {
      return answer(reply, patience, await askRunner(context.api, question, patient));
    });
  } finally {
    leave();
  }
}

interface Reporting {
  readonly word: TaskWord;
  readonly patience: Patience;
  readonly depot: Bytes | null;
}

async function report(
  context: HttpContext,
  { word, patience, depot }: Reporting,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  expectNothing(request.query, 'the query');
  const question = parseReport(word, (request.params as { readonly epoch: unknown }).epoch, request.body);
  return onLeader(context, { request, reply, write: true, body: request.body as Json }, async () => {
    await checkTickets(depot, question.outputs);
    const gone = goneWith(reply).signal;
    return answer(reply, patience, await askRunner(context.api, question, { waitMs: 0, gone }));
  });
}

/** A ticket is as good as the bytes behind it. @throws PolarisError as `checkStored` */
async function checkTickets(depot: Bytes | null, outputs: readonly StampedOutput[]): Promise<void> {
  if (depot === null || outputs.length === 0) return;
  const { checkStored } = await import('./stored.ts');
  for (const output of outputs) await checkStored(depot, output);
}

function answer(reply: FastifyReply, patience: Patience, said: RunnerAnswer): FastifyReply {
  const text = answerText(said);
  patience.answered(reply, text.length);
  return reply.type(JSON_TYPE).send(text);
}

function answerText({ orders, task, ...rest }: RunnerAnswer): string {
  const standing = task === null ? null : standingJson(task);
  const head = JSON.stringify({ ...rest, task: standing });
  return `${head.slice(0, -1)},"tasks":[${orders.map(orderText).join(',')}]}`;
}

function standingJson({ epoch, state, cursor, end, limit }: NonNullable<RunnerAnswer['task']>): RunnerJson['task'] {
  return { epoch, state, cursor, end, limit };
}

/** The metadata is JSON text already, and may be long. */
function orderText(order: TaskOrder): string {
  const { epoch, job, name, start, end, cursor, attempts, options, metadata, input } = order;
  const { delivery, commitEvery, commitIntervalMs, taskTimeoutMs } = options;
  const task: Omit<TaskJson, 'metadata'> = {
    ...{ epoch, job, name, start, end, cursor, limit: windowEnd(order, options), attempts },
    ...{ delivery, commitEvery, commitIntervalMs, taskTimeoutMs, input },
  };
  return `${JSON.stringify(task).slice(0, -1)},"metadata":${metadata}}`;
}
