/**
 * Blobs in memory: the twin of the directory for tests and the simulator, with the same pieces, checks and stamps.
 *
 * `MemoryBlobs` is the place itself and outlives the store, as a disk does. All that it does is done at once, in a plain
 * call: the simulator drives it by callbacks in virtual time, and gets the same trace from the same seed. It keeps stored
 * bytes, content and digests, not objects; so a test can damage a copy as a disk would.
 *
 * Invariant: nothing that was handed in or out shares memory with a copy.
 */
import { assert } from '../../base/assert.ts';
import { PolarisError } from '../../base/errors.ts';
import type { BlobHash } from '../../base/handle.ts';
import { BLOB_BYTES_MAX } from '../../base/limits.ts';
import type { LogIndex } from '../../base/types.ts';
import { checkHash, checkStamp } from './names.ts';
import {
  checkDigests,
  checkPiece,
  cutPieces,
  cutsOf,
  DigestList,
  damagedBlob,
  digestNow,
  hashOfDigests,
  missingBlob,
  pieceCount,
  pieceRange,
  storedBytes,
} from './pieces.ts';
import { otherContent } from './stamped.ts';
import type { BlobEntry, BlobStat, BlobStore, ByteRange, PutOptions } from './types.ts';

interface MemoryCopy {
  readonly bytes: number;
  /** Content, then digests; replaced as a whole, never changed by the store. */
  readonly stored: Uint8Array;
  readonly stamp: LogIndex;
}

export class MemoryBlobs {
  readonly #copies = new Map<BlobHash, MemoryCopy>();
  readonly #capacityBytes: number;
  #usedBytes = 0;

  /** @param options.capacityBytes room for content and digests; beyond it the place is full. */
  constructor(options: { readonly capacityBytes?: number } = {}) {
    this.#capacityBytes = options.capacityBytes ?? BLOB_BYTES_MAX;
  }

  /** Stores the pieces, copying them. @throws PolarisError BLOB_STORE_FULL, BLOB_DAMAGED for other content than `expected`. */
  install(
    pieces: readonly Uint8Array[],
    options: { readonly stamp: LogIndex; readonly expected?: BlobHash },
  ): { hash: BlobHash; bytes: number } {
    const { stamp, expected } = options;
    checkStamp(stamp);
    const list = new DigestList();
    for (const piece of pieces) list.add(digestNow(piece));
    const digests = list.bytes;
    const hash = hashOfDigests(digests);
    if (expected !== undefined && hash !== expected) throw otherContent(expected, hash);
    const stored = new Uint8Array(Buffer.concat([...pieces, digests]));
    const bytes = stored.length - digests.length;
    assert(stored.length === storedBytes(bytes), 'every piece but the last is whole');
    const before = this.#copies.get(hash);
    const usedBytes = this.#usedBytes - (before?.stored.length ?? 0) + stored.length;
    if (usedBytes > this.#capacityBytes) throw new PolarisError('BLOB_STORE_FULL', 'the blobs in memory are full');
    this.#usedBytes = usedBytes;
    this.#copies.set(hash, { bytes, stored, stamp: Math.max(stamp, before?.stamp ?? 0) });
    return { hash, bytes };
  }

  stat(hash: BlobHash): BlobStat | null {
    const copy = this.#copies.get(hash);
    return copy === undefined ? null : { bytes: copy.bytes, stamp: copy.stamp };
  }

  /** A reader that goes on with these bytes whatever becomes of the copy. @throws PolarisError BLOB_MISSING, BLOB_DAMAGED. */
  open(hash: BlobHash): MemoryReader {
    const copy = this.#copies.get(hash);
    if (copy === undefined) throw missingBlob(hash);
    return new MemoryReader(hash, copy);
  }

  restamp(hash: BlobHash, stamp: LogIndex): boolean {
    checkStamp(stamp);
    const copy = this.#copies.get(hash);
    if (copy === undefined) return false;
    this.#copies.set(hash, { ...copy, stamp: Math.max(copy.stamp, stamp) });
    return true;
  }

  deleteBelow(hash: BlobHash, index: LogIndex): boolean {
    checkStamp(index);
    const copy = this.#copies.get(hash);
    if (copy === undefined || copy.stamp >= index) return false;
    this.#remove(hash);
    return true;
  }

  /** @throws PolarisError BLOB_MISSING, BLOB_DAMAGED. */
  scrub(hash: BlobHash): true {
    const reader = this.open(hash);
    for (let index = 0; index < pieceCount(reader.bytes); index++) reader.piece(index);
    return true;
  }

  discard(hash: BlobHash): boolean {
    try {
      if (!this.#copies.has(hash) || this.scrub(hash)) return false;
    } catch (thrown) {
      if (!(thrown instanceof PolarisError) || thrown.code !== 'BLOB_DAMAGED') throw thrown;
    }
    this.#remove(hash);
    return true;
  }

  list(): BlobEntry[] {
    return [...this.#copies.keys()].sort().flatMap((hash) => {
      const stat = this.stat(hash);
      return stat === null ? [] : { hash, ...stat };
    });
  }

  /** For tests: what a disk may do to the stored bytes of a copy. */
  damage(hash: BlobHash, change: (stored: Buffer) => Uint8Array): void {
    const copy = this.#copies.get(hash);
    if (copy === undefined) throw missingBlob(hash);
    const stored = new Uint8Array(change(Buffer.from(copy.stored)));
    this.#usedBytes += stored.length - copy.stored.length;
    this.#copies.set(hash, { ...copy, stored });
  }

  #remove(hash: BlobHash): void {
    this.#usedBytes -= this.#copies.get(hash)?.stored.length ?? 0;
    this.#copies.delete(hash);
  }
}

export class MemoryReader {
  readonly #hash: BlobHash;
  readonly #stored: Uint8Array;
  readonly bytes: number;
  readonly digests: Uint8Array;

  constructor(hash: BlobHash, { bytes, stored }: MemoryCopy) {
    if (stored.length !== storedBytes(bytes)) throw damagedBlob(hash, `it has ${stored.length} bytes`);
    const digests = stored.slice(bytes);
    checkDigests(hash, bytes, digests);
    this.#hash = hash;
    this.#stored = stored;
    this.bytes = bytes;
    this.digests = digests;
  }

  /** A verified piece, for the caller to keep. @throws PolarisError BLOB_DAMAGED. */
  piece(index: number): Uint8Array {
    const { start, end } = pieceRange(index, this.bytes);
    const piece = this.#stored.slice(start, end);
    checkPiece(this.#hash, index, digestNow(piece), this.digests);
    return piece;
  }
}

/** The store on a place in memory. Several may be open on the same one, like nodes on a shared directory. */
export function openMemoryBlobs(place: MemoryBlobs = new MemoryBlobs()): BlobStore {
  return new MemoryBlobStore(place);
}

class MemoryBlobStore implements BlobStore {
  readonly #place: MemoryBlobs;

  constructor(place: MemoryBlobs) {
    this.#place = place;
  }

  async put(source: AsyncIterable<Uint8Array>, options: PutOptions): Promise<{ hash: BlobHash; bytes: number }> {
    const { maxBytes, expected } = options;
    if (expected !== undefined) checkHash(expected);
    const pieces: Uint8Array[] = [];
    for await (const piece of cutPieces(source, maxBytes)) pieces.push(piece.slice());
    return this.#place.install(pieces, options);
  }

  async stat(hash: BlobHash): Promise<BlobStat | null> {
    checkHash(hash);
    return this.#place.stat(hash);
  }

  async *read(hash: BlobHash, range?: ByteRange): AsyncGenerator<Uint8Array> {
    checkHash(hash);
    const reader = this.#place.open(hash);
    for (const { index, from, to } of cutsOf(reader.bytes, range)) yield reader.piece(index).subarray(from, to);
  }

  async digests(hash: BlobHash): Promise<Uint8Array> {
    checkHash(hash);
    return this.#place.open(hash).digests;
  }

  async restamp(hash: BlobHash, stamp: LogIndex): Promise<boolean> {
    checkHash(hash);
    return this.#place.restamp(hash, stamp);
  }

  async deleteBelow(hash: BlobHash, index: LogIndex): Promise<boolean> {
    checkHash(hash);
    return this.#place.deleteBelow(hash, index);
  }

  async *list(): AsyncGenerator<BlobEntry> {
    yield* this.#place.list();
  }

  async usage(): Promise<{ blobs: number; bytes: number }> {
    const entries = this.#place.list();
    return { blobs: entries.length, bytes: entries.reduce((sum, { bytes }) => sum + bytes, 0) };
  }

  async scrub(hash: BlobHash): Promise<true> {
    checkHash(hash);
    return this.#place.scrub(hash);
  }

  async discard(hash: BlobHash): Promise<boolean> {
    checkHash(hash);
    return this.#place.discard(hash);
  }
}
