/**
 * Route: what a resource file gives to the server, which adds the rest (405 with Allow, problems, limits) in one place.
 */
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '../base/log.ts';
import type { Prng } from '../base/prng.ts';
import type { NodeApi } from '../daemon/api.ts';
import type { ArrowFile } from '../data/arrow-file.ts';
import type { Depot } from '../data/depot/depot.ts';
import type { Keeper } from '../data/depot/keeper.ts';
import type { BatchSource, ByteSource } from '../data/sources.ts';
import type { PieceCache } from '../store/blobs/cache.ts';
import type { BlobStore } from '../store/blobs/types.ts';

export interface HttpContext {
  readonly api: NodeApi;
  readonly log: Logger;
  /** Draws the ids of jobs that come without one. */
  readonly prng: Prng;
}

/** How batches come in and go out; data/formats.ts. */
export interface Formats {
  /** The batches of a body, by its Content-Type and Content-Encoding. @throws PolarisError UNSUPPORTED_MEDIA_TYPE */
  read(headers: IncomingHttpHeaders, body: ByteSource, types: string | null): BatchSource;
  /** The content type that fits an Accept header best. @throws PolarisError NOT_ACCEPTABLE */
  wanted(accept: string | undefined): string;
  write(contentType: string, file: ArrowFile): ByteSource;
}

/** Where the bytes are that this node keeps, and those that it can reach. */
export interface DataPlane {
  readonly store: BlobStore;
  readonly depot: Depot;
  readonly keeper: Keeper;
  readonly formats: Formats;
  /** Pieces that came from others. */
  readonly cache: Pick<PieceCache, 'counts'>;
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
