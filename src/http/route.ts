/**
 * Route: what a resource file gives to the server, which adds the rest (405 with Allow, problems, limits) in one place.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '../base/log.ts';
import type { Prng } from '../base/prng.ts';
import type { NodeApi } from '../daemon/api.ts';
import type { Depot } from '../data/depot/depot.ts';
import type { Keeper } from '../data/depot/keeper.ts';
import type { Planner } from '../jobtype/planner.ts';
import type { PieceCache } from '../store/blobs/cache.ts';
import type { BlobStore } from '../store/blobs/types.ts';

export interface HttpContext {
  readonly api: NodeApi;
  readonly log: Logger;
  /** Draws the ids of jobs that come without one. */
  readonly prng: Prng;
  /** Has Masters say what jobs work on. A node without one leaves that to the leader. */
  readonly planner?: Planner;
}

/** The way to the bytes, wherever they lie. */
export interface DataPlane {
  readonly depot: Pick<Depot, 'isStamped' | 'keep' | 'keepAgain' | 'open' | 'retain'>;
  /** Where bodies wait that must be known to their end; emptied at each start. */
  readonly spoolDir: string;
  /** Pieces that came from others. */
  readonly cache: Pick<PieceCache, 'counts'>;
  /** Null on a worker-role node: it has no table, keeps nothing, and hands what it is given to a voter. */
  readonly copies: OwnCopies | null;
}

/** What this node keeps, and who looks after it. */
export interface OwnCopies {
  readonly store: BlobStore;
  readonly keeper: Keeper;
}

export interface DataContext extends HttpContext {
  readonly data: DataPlane;
}

export interface HttpRoute {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly url: string;
  /** The body is handed over as a stream of bytes, of whatever type, and may take as long as it keeps moving. */
  readonly streams?: boolean;
  /** Answers through `reply`, or throws a PolarisError. */
  readonly handle: (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply>;
}
