/**
 * Patience: claims that wait on this node, and answers with orders that are not yet read.
 *
 * A claim costs nothing while it waits but its connection, and an answer its bytes; thousands of either would be the end
 * of a node, so both are counted, and beyond their limit the next one is to come again. Whoever waits can go away, and
 * so can the node: both end the waiting.
 *
 * Invariant: what is counted in is counted out once, whatever became of its connection.
 */
import type { FastifyReply } from 'fastify';
import { PolarisError } from '../base/errors.ts';
import { CLAIM_ANSWERS_BYTES_MAX, CLAIMS_WAITING_MAX } from '../base/limits.ts';

export class Patience {
  readonly #waiting = new Set<AbortController>();
  #bytes = 0;

  /**
   * Lets a claim wait; the signal says that nobody waits for its answer any more. To be followed by `leave`.
   *
   * @throws PolarisError OVERLOADED
   */
  enter(reply: FastifyReply): { readonly gone: AbortSignal; readonly leave: () => void } {
    if (this.#waiting.size >= CLAIMS_WAITING_MAX) {
      throw new PolarisError('OVERLOADED', `${CLAIMS_WAITING_MAX} claims wait on this node; ask again, or ask another`);
    }
    if (this.#bytes >= CLAIM_ANSWERS_BYTES_MAX) {
      throw new PolarisError('OVERLOADED', `${this.#bytes} bytes of orders are not yet read by those who asked`);
    }
    const control = goneWith(reply);
    this.#waiting.add(control);
    return { gone: control.signal, leave: () => this.#waiting.delete(control) };
  }

  /** An answer is on its way. */
  answered(reply: FastifyReply, bytes: number): void {
    if (reply.raw.destroyed) return;
    this.#bytes += bytes;
    reply.raw.once('close', () => {
      this.#bytes -= bytes;
    });
  }

  /** The node is going: who waits had better ask another. */
  close(): void {
    for (const control of this.#waiting) control.abort();
  }
}

/** Aborted when the connection of the asker is gone, or its answer is read. */
export function goneWith(reply: FastifyReply): AbortController {
  const control = new AbortController();
  if (reply.raw.destroyed) control.abort();
  else reply.raw.once('close', () => control.abort());
  return control;
}
