/**
 * Cache: pieces of remote blobs, bounded by bytes, for all readers of a node.
 *
 * A piece that was verified once stays right for ever, since its hash says what it must be; so nothing in here ever goes
 * stale, and the least recently used goes first. Many tasks of a job begin with the same pieces at the same moment:
 * whoever comes while a piece is on its way waits for that one fetch. A fetch that fails, fails for all who wait, and is not
 * remembered. A piece that is larger than the whole cache passes through.
 *
 * Pieces are shared by all readers: nobody may write into one.
 */
import { LRUCache } from 'lru-cache';
import { assert } from '../../base/assert.ts';
import type { BlobHash } from '../../base/handle.ts';
import { BLOB_CACHE_BYTES, BLOB_PIECE_BYTES } from '../../base/limits.ts';
import { checkHash } from './names.ts';
import { cutsOf, missingBlob, pieceRange } from './pieces.ts';
import type { BlobStore, ByteRange } from './types.ts';

export interface CacheCounts {
  /** Asked for and here, or already on its way. */
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
  readonly pieces: number;
  readonly bytes: number;
}

export class PieceCache {
  readonly #pieces: LRUCache<string, Uint8Array>;
  readonly #underWay = new Map<string, Promise<Uint8Array>>();
  #hits = 0;
  #misses = 0;
  #evictions = 0;

  constructor(options: { readonly bytesMax?: number } = {}) {
    this.#pieces = new LRUCache({
      maxSize: options.bytesMax ?? BLOB_CACHE_BYTES,
      sizeCalculation: (piece) => piece.length,
      dispose: (_piece, _key, reason) => {
        if (reason === 'evict') this.#evictions += 1;
      },
    });
  }

  get counts(): CacheCounts {
    return {
      hits: this.#hits,
      misses: this.#misses,
      evictions: this.#evictions,
      pieces: this.#pieces.size,
      bytes: this.#pieces.calculatedSize,
    };
  }

  /** @param fetch brings the piece, verified, in memory that nobody else writes to. */
  async piece(hash: BlobHash, index: number, fetch: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const key = `${hash}.${index}`;
    const known = this.#pieces.get(key) ?? this.#underWay.get(key);
    if (known !== undefined) {
      this.#hits += 1;
      return known;
    }
    this.#misses += 1;
    const fetching = this.#fetch(key, fetch);
    this.#underWay.set(key, fetching);
    return fetching;
  }

  async #fetch(key: string, fetch: () => Promise<Uint8Array>): Promise<Uint8Array> {
    try {
      const piece = await fetch();
      assert(piece.length > 0 && piece.length <= BLOB_PIECE_BYTES, 'a piece has bytes, and no more than a piece has');
      this.#pieces.set(key, piece);
      return piece;
    } finally {
      this.#underWay.delete(key);
    }
  }
}

/**
 * Reads a blob of a remote store through the cache. Chunks are views of cached pieces: the caller must not change them.
 *
 * @throws PolarisError as `BlobStore.read` does.
 */
export async function* readThrough(
  cache: PieceCache,
  store: BlobStore,
  hash: BlobHash,
  range?: ByteRange,
): AsyncGenerator<Uint8Array> {
  checkHash(hash);
  const stat = await store.stat(hash);
  if (stat === null) throw missingBlob(hash);
  for (const { index, from, to } of cutsOf(stat.bytes, range)) {
    const piece = await cache.piece(hash, index, () => readPiece(store, hash, pieceRange(index, stat.bytes)));
    yield piece.subarray(from, to);
  }
}

async function readPiece(store: BlobStore, hash: BlobHash, range: ByteRange): Promise<Uint8Array> {
  const piece = new Uint8Array(range.end - range.start);
  let held = 0;
  for await (const chunk of store.read(hash, range)) {
    piece.set(chunk, held);
    held += chunk.length;
  }
  assert(held === piece.length, 'a store gives the range that it was asked for');
  return piece;
}
