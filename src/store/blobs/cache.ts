/**
 * Cache: pieces of remote blobs, of other nodes and of a bucket, bounded by bytes, for all readers of a node.
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
import { BLOB_PIECE_BYTES } from '../../base/limits.ts';
import { checkHash } from './names.ts';
import { cutsOf, pieceRange } from './pieces.ts';
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

  constructor({ bytesMax }: { readonly bytesMax: number }) {
    this.#pieces = new LRUCache({
      maxSize: bytesMax,
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

/** A blob of which the length is known. */
export interface SizedBlob {
  readonly hash: BlobHash;
  readonly bytes: number;
}

/**
 * Reads a blob of a remote store through the cache. Pieces that are missing side by side come by one read of the store,
 * which may fetch several of them in one go. Chunks are views of cached pieces: the caller must not change them.
 *
 * @throws PolarisError as `BlobStore.read` does.
 */
export async function* readThrough(
  cache: Pick<PieceCache, 'piece'>,
  store: Pick<BlobStore, 'read'>,
  { hash, bytes }: SizedBlob,
  range?: ByteRange,
): AsyncGenerator<Uint8Array> {
  checkHash(hash);
  const cuts = cutsOf(bytes, range);
  const end = pieceEnd(cuts.at(-1)?.index ?? null, bytes);
  let run: PieceRun | null = null;
  try {
    for (const { index, from, to } of cuts) {
      const piece = await cache.piece(hash, index, async () => {
        const { start, end: next } = pieceRange(index, bytes);
        if (run?.position !== start) {
          await run?.close();
          run = new PieceRun(store.read(hash, { start, end }), start);
        }
        return run.take(next - start);
      });
      yield piece.subarray(from, to);
    }
  } finally {
    await (run as PieceRun | null)?.close();
  }
}

function pieceEnd(index: number | null, bytes: number): number {
  return index === null ? 0 : pieceRange(index, bytes).end;
}

/** One read of a store, cut into pieces. */
class PieceRun {
  /** Where in the blob it stands. */
  position: number;
  readonly #chunks: AsyncIterator<Uint8Array>;

  constructor(chunks: AsyncIterable<Uint8Array>, position: number) {
    this.#chunks = chunks[Symbol.asyncIterator]();
    this.position = position;
  }

  /** The next so many bytes, which end with a chunk: no chunk lies in two pieces. */
  async take(bytes: number): Promise<Uint8Array> {
    const piece = new Uint8Array(bytes);
    let held = 0;
    while (held < bytes) {
      const { done, value } = await this.#chunks.next();
      assert(done !== true && held + value.length <= bytes, 'a store gives the range that it was asked for');
      piece.set(value, held);
      held += value.length;
    }
    this.position += bytes;
    return piece;
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
