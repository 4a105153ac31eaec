/**
 * Bytes of blobs as an answer: no faster than they are read, and the copies of this node stay until that is done.
 *
 * An answer may take hours while the log moves on: the dataset is replaced, the job leaves the table, and what nobody
 * refers to is deleted on every node. So the reader's own node keeps what it reads out until the connection is through.
 */
import { Readable } from 'node:stream';
import type { FastifyReply } from 'fastify';
import type { BlobHash } from '../base/handle.ts';
import type { ByteSource } from '../data/sources.ts';
import type { DataPlane } from './route.ts';

/** Opens and sends. What `open` throws is a problem; what breaks later breaks the connection. */
export async function sendBytes(
  data: Pick<DataPlane, 'depot'>,
  reply: FastifyReply,
  hashes: readonly BlobHash[],
  open: () => Promise<ByteSource>,
): Promise<FastifyReply> {
  if (!reply.raw.destroyed) reply.raw.once('close', data.depot.retain(hashes));
  return reply.send(Readable.from(await open(), { objectMode: false }));
}
