/**
 * Route: what a resource file gives to the server, which adds the rest (405 with Allow, problems, limits) in one place.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '../base/log.ts';
import type { Prng } from '../base/prng.ts';
import type { NodeApi } from '../daemon/api.ts';

export interface HttpContext {
  readonly api: NodeApi;
  readonly log: Logger;
  /** Draws the ids of jobs that come without one. */
  readonly prng: Prng;
}

export interface HttpRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: string;
  /** Answers through `reply`, or throws a PolarisError. */
  readonly handle: (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;
}
