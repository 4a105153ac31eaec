/**
 * A result through a node without a table: the leader gives the whole answer, and this node hands it on as it comes.
 *
 * Which blobs a result lies in only a table says, and a job may have thousands of them. So a worker, which reads the blobs of
 * datasets and inputs itself, asks the leader for the bytes of a result.
 *
 * Invariants: so many answers are handed on at a time, each of them counted out once · nothing is handed on faster than its
 * asker reads · an answer that broke off at the leader breaks off here.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PolarisError } from '../base/errors.ts';
import { RESULT_WAIT_MS, RESULTS_RELAYED_MAX } from '../base/result-limits.ts';
import { onLeader } from './forward.ts';
import { goneWith } from './patience.ts';
import { neverSilent } from './result-follow.ts';
import type { HttpContext } from './route.ts';

export class Relays {
  readonly #context: HttpContext;
  #count = 0;

  constructor(context: HttpContext) {
    this.#context = context;
  }

  /**
   * @param handle answers where this node leads.
   * @throws PolarisError OVERLOADED, NO_LEADER
   */
  async answer(
    request: FastifyRequest,
    reply: FastifyReply,
    { follow, handle }: { readonly follow: boolean; readonly handle: () => Promise<FastifyReply> },
  ): Promise<FastifyReply> {
    if (this.#count >= RESULTS_RELAYED_MAX) {
      throw new PolarisError('OVERLOADED', `${RESULTS_RELAYED_MAX} results go through this node; ask another`);
    }
    const { signal: gone } = goneWith(reply);
    if (gone.aborted) throw new PolarisError('OUTCOME_UNKNOWN', 'the asker has gone');
    this.#count++;
    gone.addEventListener('abort', () => this.#count--, { once: true });
    if (follow) neverSilent(request, gone);
    const patient = { kind: 'result', waitMs: RESULT_WAIT_MS, gone } as const;
    return onLeader(this.#context, { request, reply, write: false, patient }, handle);
  }
}
