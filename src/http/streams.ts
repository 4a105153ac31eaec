/**
 * Streams: tables that are on their way into a node or out of it. Each may hold a batch, or a row group of Parquet, in
 * memory for as long as whoever is at its other end likes; so they are counted, and no more begin than a node has room for.
 *
 * What nodes send each other is not among them: a put that waits for its copies must not keep them out. Those that follow a
 * result wait more than they send, and have a number of their own.
 */
import type { FastifyReply } from 'fastify';
import { PolarisError } from '../base/errors.ts';
import { TABLE_STREAMS_MAX } from '../base/result-limits.ts';

export class Streams {
  #open = 0;

  /** One more, until its answer is through or whoever asked has gone. @throws PolarisError OVERLOADED */
  enter({ raw }: FastifyReply): void {
    if (raw.destroyed) return;
    if (this.#open === TABLE_STREAMS_MAX) {
      const detail = `${TABLE_STREAMS_MAX} tables are on their way through this node: try again, or ask another node`;
      throw new PolarisError('OVERLOADED', detail);
    }
    this.#open += 1;
    raw.once('close', () => {
      this.#open -= 1;
    });
  }
}
