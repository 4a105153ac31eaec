/**
 * Reader: one copy, piece by verified piece.
 *
 * The list of digests is checked against the hash first, then every piece against the list, before a byte of it is handed
 * on. What is known of a hash stays true whatever happens to the copy, so a reader that lost its copy in the middle (a
 * bucket has no open files) goes on with another one, and the digests of remote blobs may be remembered.
 */
import { LRUCache } from 'lru-cache';
import type { BlobHash } from '../../base/handle.ts';
import { DIGESTS_KEPT_BYTES } from '../../base/limits.ts';
import { looking, newestOf } from './copies.ts';
import type { Copy } from './names.ts';
import { checkDigests, checkPiece, damagedBlob, digestOf, missingBlob, pieceRange, storedBytes } from './pieces.ts';
import type { OpenCopy, Shelf } from './shelf.ts';

/** Where a blob was last found, and its digests, which were checked. Makes reading a piece of a remote blob one request. */
export type ReaderMemory = LRUCache<BlobHash, { readonly copy: Copy; readonly digests: Uint8Array }>;

export function createReaderMemory(): ReaderMemory {
  // An entry costs its key and some objects, however short its list is.
  const overheadBytes = 512;
  return new LRUCache({
    maxSize: DIGESTS_KEPT_BYTES,
    sizeCalculation: ({ digests }) => digests.length + overheadBytes,
  });
}

export class Reader {
  readonly #shelf: Shelf;
  readonly #memory: ReaderMemory | null;
  readonly #copy: Copy;
  #open: OpenCopy;
  readonly digests: Uint8Array;

  private constructor(
    shelf: Shelf,
    memory: ReaderMemory | null,
    found: { readonly copy: Copy; readonly open: OpenCopy; readonly digests: Uint8Array },
  ) {
    this.#shelf = shelf;
    this.#memory = memory;
    this.#copy = found.copy;
    this.#open = found.open;
    this.digests = found.digests;
  }

  /** @throws PolarisError BLOB_MISSING, BLOB_DAMAGED. */
  static async open(shelf: Shelf, hash: BlobHash, memory: ReaderMemory | null): Promise<Reader> {
    const known = memory?.get(hash);
    if (known !== undefined) {
      const open = await shelf.open(known.copy);
      if (open !== null) return new Reader(shelf, memory, { ...known, open });
      memory?.delete(hash);
    }
    return looking(hash, async () => {
      const { copy, open } = await openNewest(shelf, hash);
      try {
        const digests = await open.read(copy.bytes, storedBytes(copy.bytes), storedBytes(copy.bytes));
        if (digests === null) return null;
        checkDigests(hash, copy.bytes, digests);
        memory?.set(hash, { copy, digests });
        return new Reader(shelf, memory, { copy, open, digests });
      } catch (thrown) {
        await open.close();
        throw thrown;
      }
    });
  }

  get bytes(): number {
    return this.#copy.bytes;
  }

  /**
   * @param last the last piece that will be asked for: what may be fetched in the same go.
   * @throws PolarisError BLOB_DAMAGED, BLOB_MISSING.
   */
  async piece(index: number, last: number): Promise<Uint8Array> {
    const { hash, bytes } = this.#copy;
    const { start, end } = pieceRange(index, bytes);
    const piece = await this.#stored(start, end, pieceRange(last, bytes).end);
    if (piece.length !== end - start) throw damagedBlob(hash, `piece ${index} is cut off`);
    checkPiece(hash, index, await digestOf(piece), this.digests);
    return piece;
  }

  close(): Promise<void> {
    return this.#open.close();
  }

  async #stored(start: number, end: number, ahead: number): Promise<Uint8Array> {
    return looking(this.#copy.hash, async () => {
      const bytes = await this.#open.read(start, end, ahead);
      if (bytes === null) await this.#reopen();
      return bytes;
    });
  }

  async #reopen(): Promise<void> {
    const { hash, bytes } = this.#copy;
    this.#memory?.delete(hash);
    const { copy, open } = await openNewest(this.#shelf, hash);
    await this.#open.close();
    this.#open = open;
    if (copy.bytes !== bytes) throw damagedBlob(hash, `it is said to have ${copy.bytes} bytes, and has ${bytes}`);
  }
}

function openNewest(shelf: Shelf, hash: BlobHash): Promise<{ readonly copy: Copy; readonly open: OpenCopy }> {
  return looking(hash, async () => {
    const copy = newestOf(await shelf.copies(hash));
    if (copy === null) throw missingBlob(hash);
    const open = await shelf.open(copy);
    return open === null ? null : { copy, open };
  });
}
