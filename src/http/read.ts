/**
 * Reads: how a look at the job table becomes an answer, as new as the asker wants it.
 *
 * A linearizable read goes to the leader and waits for its round; after it, what this node has applied is at least as new
 * as everything acknowledged before the request. All looks pass the turnstile, so that many at once never keep the node
 * from its heartbeats.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PolarisError } from '../base/errors.ts';
import type { Consistency } from '../daemon/api.ts';
import type { Table } from '../ranges/types.ts';
import { onLeader } from './forward.ts';
import type { HttpContext } from './route.ts';
import { readTable } from './settle.ts';
import type { Turnstile } from './turnstile.ts';

export const JSON_TYPE = 'application/json; charset=utf-8';

export interface ReadContext extends HttpContext {
  readonly turnstile: Turnstile;
}

export interface Asked {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly consistency: Consistency;
}

/** Answers with the JSON text that `look` gives. It is made in the turn of the look, since that is half of the cost. */
export function answerText(context: ReadContext, asked: Asked, look: (table: Table) => string): Promise<FastifyReply> {
  return answerLook(context, asked, { look, send: (text) => asked.reply.type(JSON_TYPE).send(text) });
}

/** `look` runs in the turn of the read and keeps only what never changes; `send` may take its time. */
export async function answerLook<T>(
  context: ReadContext,
  { request, reply, consistency }: Asked,
  { look, send }: { readonly look: (table: Table) => T; readonly send: (looked: T) => FastifyReply },
): Promise<FastifyReply> {
  const answer = async () => send(await context.turnstile.run(() => readTable(context.api, 'local', look)));
  if (consistency === 'local') return answer();
  return onLeader(context, { request, reply, write: false }, async () => {
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
