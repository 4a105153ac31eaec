/**
 * Pieces: how content is cut, judged piece by piece, and put together again.
 *
 * One hash over a gigabyte can be judged only when the last byte is there; by then a reader has used them all. So a blob's
 * hash is that of its list of digests, one for each piece of BLOB_PIECE_BYTES. The list is small (32 bytes a MiB), is
 * checked against the hash first, and then vouches for every piece in whatever order they are read.
 *
 * A stored copy is the content followed by the list: one file, so that one rename makes both visible and nothing can
 * part them; behind, because it is known only when the content has passed. Both lengths follow from that of the content.
 *
 * Digests are computed off the main thread, which also drives Raft: a MiB costs up to 6 ms where the processor has no
 * instructions for SHA-256, and a gigabyte on its way must not hold up heartbeats.
 */
import { createHash, subtle } from 'node:crypto';
import { assert } from '../../base/assert.ts';
import { PolarisError } from '../../base/errors.ts';
import type { BlobHash } from '../../base/handle.ts';
import { BLOB_BYTES_MAX, BLOB_PIECE_BYTES } from '../../base/limits.ts';
import type { ByteRange } from './types.ts';

/** SHA-256. */
export const DIGEST_BYTES = 32;

export function pieceCount(bytes: number): number {
  return Math.ceil(bytes / BLOB_PIECE_BYTES);
}

/** Length of a stored copy: the content and its list of digests. */
export function storedBytes(bytes: number): number {
  return bytes + pieceCount(bytes) * DIGEST_BYTES;
}

/** Where a piece lies in the content. */
export function pieceRange(index: number, bytes: number): ByteRange {
  assert(index >= 0 && index < pieceCount(bytes), `a blob of ${bytes} bytes has no piece ${index}`);
  const start = index * BLOB_PIECE_BYTES;
  return { start, end: Math.min(bytes, start + BLOB_PIECE_BYTES) };
}

export async function digestOf(piece: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await subtle.digest('SHA-256', piece));
}

/** The same at once, for stores that may not wait. */
export function digestNow(piece: Uint8Array): Uint8Array {
  return createHash('sha256').update(piece).digest();
}

export function hashOfDigests(digests: Uint8Array): BlobHash {
  return createHash('sha256').update(digests).digest('hex');
}

/** Gathers the digests of a blob while it passes. */
export class DigestList {
  readonly #digests: Uint8Array[] = [];

  add(digest: Uint8Array): void {
    assert(digest.length === DIGEST_BYTES, 'a digest is a SHA-256');
    this.#digests.push(digest);
  }

  get bytes(): Uint8Array {
    return Buffer.concat(this.#digests);
  }
}

/**
 * Cuts a stream into pieces, all whole but the last. A piece is valid until the next one is asked for: all of them lie in
 * the same buffer, and the source is not asked for more while a piece is out.
 *
 * @throws PolarisError BLOB_TOO_LARGE before anything beyond the limit is handed on.
 */
export async function* cutPieces(source: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  const limit = Math.min(maxBytes, BLOB_BYTES_MAX);
  const piece = new Uint8Array(BLOB_PIECE_BYTES);
  let held = 0;
  let bytes = 0;
  for await (const chunk of source) {
    bytes += chunk.length;
    if (bytes > limit) throw new PolarisError('BLOB_TOO_LARGE', `the blob has more than ${limit} bytes`);
    for (let at = 0; at < chunk.length; ) {
      const taken = Math.min(BLOB_PIECE_BYTES - held, chunk.length - at);
      piece.set(chunk.subarray(at, at + taken), held);
      held += taken;
      at += taken;
      if (held < BLOB_PIECE_BYTES) continue;
      yield piece;
      held = 0;
    }
  }
  if (held > 0) yield piece.subarray(0, held);
}

/** What a range wants of one piece: `from` and `to` count within the piece. */
export interface PieceCut {
  readonly index: number;
  readonly from: number;
  readonly to: number;
}

/** The pieces that a range touches, in order. @throws PolarisError BAD_REQUEST for a range beyond the content. */
export function cutsOf(bytes: number, range: ByteRange = { start: 0, end: bytes }): PieceCut[] {
  const { start, end } = range;
  const isRange = Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start <= end;
  if (!isRange || end > bytes) {
    throw new PolarisError('BAD_REQUEST', `bytes ${start} to ${end} are not within a blob of ${bytes} bytes`);
  }
  if (start === end) return [];
  const first = Math.floor(start / BLOB_PIECE_BYTES);
  const last = Math.floor((end - 1) / BLOB_PIECE_BYTES);
  return Array.from({ length: last - first + 1 }, (_, offset) => {
    const index = first + offset;
    const base = index * BLOB_PIECE_BYTES;
    return { index, from: Math.max(0, start - base), to: Math.min(BLOB_PIECE_BYTES, end - base) };
  });
}

/** The list has one digest a piece, and the hash is its hash. @throws PolarisError BLOB_DAMAGED. */
export function checkDigests(hash: BlobHash, bytes: number, digests: Uint8Array): void {
  if (digests.length !== pieceCount(bytes) * DIGEST_BYTES || hashOfDigests(digests) !== hash) {
    throw damagedBlob(hash, 'its list of digests');
  }
}

/** The piece is the one that the list speaks of. @throws PolarisError BLOB_DAMAGED. */
export function checkPiece(hash: BlobHash, index: number, digest: Uint8Array, digests: Uint8Array): void {
  const expected = digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
  if (Buffer.compare(digest, expected) !== 0) throw damagedBlob(hash, `piece ${index}`);
}

/** @param what of the copy is damaged. */
export function damagedBlob(hash: BlobHash, what: string, cause?: unknown): PolarisError {
  return new PolarisError('BLOB_DAMAGED', `the copy of blob ${hash} is damaged: ${what}`, { cause });
}

export function missingBlob(hash: BlobHash): PolarisError {
  return new PolarisError('BLOB_MISSING', `there is no copy of blob ${hash}`);
}
