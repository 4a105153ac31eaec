/**
 * The blob store on a shelf: the contract of types.ts made of the few atomic steps that a directory or a bucket has.
 */
import { PolarisError } from '../../base/errors.ts';
import type { BlobHash } from '../../base/handle.ts';
import type { LogIndex } from '../../base/types.ts';
import { deleteBelow, install, newestOf, removeOlder, restamp } from './copies.ts';
import { type Copy, checkHash, checkStamp } from './names.ts';
import { cutPieces, cutsOf, DigestList, damagedBlob, digestOf, hashOfDigests, pieceCount } from './pieces.ts';
import { Reader, type ReaderMemory } from './reader.ts';
import type { Draft, Shelf } from './shelf.ts';
import type { BlobEntry, BlobStat, BlobStore, ByteRange, PutOptions } from './types.ts';

export class StampedBlobs implements BlobStore {
  readonly #shelf: Shelf;
  readonly #memory: ReaderMemory | null;

  constructor(shelf: Shelf, memory: ReaderMemory | null = null) {
    this.#shelf = shelf;
    this.#memory = memory;
  }

  async put(source: AsyncIterable<Uint8Array>, options: PutOptions): Promise<{ hash: BlobHash; bytes: number }> {
    const { stamp, maxBytes, expected } = options;
    checkStamp(stamp);
    if (expected !== undefined) checkHash(expected);
    const draft = await this.#shelf.draft();
    try {
      const made = await write(draft, cutPieces(source, Math.min(maxBytes, this.#shelf.contentBytesMax)));
      if (expected !== undefined && made.hash !== expected) throw otherContent(expected, made.hash);
      await install(this.#shelf, draft, { ...made, stamp });
      return made;
    } finally {
      await draft.abandon();
    }
  }

  async stat(hash: BlobHash): Promise<BlobStat | null> {
    checkHash(hash);
    const newest = newestOf(await this.#shelf.copies(hash));
    return newest === null ? null : { bytes: newest.bytes, stamp: newest.stamp };
  }

  async *read(hash: BlobHash, range?: ByteRange): AsyncGenerator<Uint8Array> {
    checkHash(hash);
    const reader = await Reader.open(this.#shelf, hash, this.#memory);
    try {
      const cuts = cutsOf(reader.bytes, range);
      const last = cuts.at(-1)?.index ?? 0;
      for (const { index, from, to } of cuts) yield (await reader.piece(index, last)).subarray(from, to);
    } finally {
      await reader.close();
    }
  }

  async digests(hash: BlobHash): Promise<Uint8Array> {
    checkHash(hash);
    const reader = await Reader.open(this.#shelf, hash, this.#memory);
    await reader.close();
    // A copy, for what is remembered must stay as it is. (`slice` of a Buffer would be a view.)
    return new Uint8Array(reader.digests);
  }

  async restamp(hash: BlobHash, stamp: LogIndex): Promise<boolean> {
    checkHash(hash);
    checkStamp(stamp);
    return restamp(this.#shelf, hash, stamp);
  }

  async deleteBelow(hash: BlobHash, index: LogIndex): Promise<boolean> {
    checkHash(hash);
    checkStamp(index);
    return deleteBelow(this.#shelf, hash, index);
  }

  async *list(): AsyncGenerator<BlobEntry> {
    let held: Copy | null = null;
    for await (const copy of this.#shelf.all()) {
      if (held?.hash === copy.hash) held = await removeOlder(this.#shelf, copy.hash);
      else {
        if (held !== null) yield held;
        held = copy;
      }
    }
    if (held !== null) yield held;
  }

  async usage(): Promise<{ blobs: number; bytes: number }> {
    const usage = { blobs: 0, bytes: 0 };
    for await (const { bytes } of this.list()) {
      usage.blobs += 1;
      usage.bytes += bytes;
    }
    return usage;
  }

  async scrub(hash: BlobHash): Promise<true> {
    checkHash(hash);
    // Nothing that is remembered: it is the store that is asked, its list of digests too.
    const reader = await Reader.open(this.#shelf, hash, null);
    try {
      const last = pieceCount(reader.bytes) - 1;
      for (let index = 0; index <= last; index++) await reader.piece(index, last);
      return true;
    } finally {
      await reader.close();
    }
  }

  async discard(hash: BlobHash): Promise<boolean> {
    checkHash(hash);
    const newest = newestOf(await this.#shelf.copies(hash));
    const identity = newest === null ? null : await this.#shelf.identify(newest);
    if (newest === null || identity === null) return false;
    // Identified before it is read: a whole copy that takes its place meanwhile is another thing, and stays.
    if (await this.#isSound(hash)) return false;
    this.#memory?.delete(hash);
    return this.#shelf.removeOnly(newest, identity);
  }

  async #isSound(hash: BlobHash): Promise<boolean> {
    try {
      return await this.scrub(hash);
    } catch (thrown) {
      if (thrown instanceof PolarisError && thrown.code === 'BLOB_DAMAGED') return false;
      if (thrown instanceof PolarisError && thrown.code === 'BLOB_MISSING') return true;
      throw thrown;
    }
  }
}

/** Each piece is hashed while it is being written; the next is asked for when both are done. */
async function write(draft: Draft, pieces: AsyncIterable<Uint8Array>): Promise<{ hash: BlobHash; bytes: number }> {
  const list = new DigestList();
  let bytes = 0;
  for await (const piece of pieces) {
    const [digest] = await Promise.all([digestOf(piece), draft.append(piece)]);
    list.add(digest);
    bytes += piece.length;
  }
  const digests = list.bytes;
  await draft.append(digests);
  return { hash: hashOfDigests(digests), bytes };
}

/** For `expected`: what arrived is not what was asked for. */
export function otherContent(expected: BlobHash, hash: BlobHash): PolarisError {
  return damagedBlob(expected, `the content that was sent has the hash ${hash}`);
}
