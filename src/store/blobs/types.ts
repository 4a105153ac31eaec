/**
 * Blob stores: where the bytes lie that never travel in the log.
 *
 * Think of a cloakroom. A blob is handed in once and gets a claim check made of itself, its hash; whoever shows the check
 * gets those very bytes or a clear word, never others. Each copy wears a stamp, the log index that its node had applied when
 * it was stored: the log clears the room by saying "what nobody claims and is stamped below c may go", and whoever still
 * needs a copy has it stamped anew. So no clock and no lease decides what is garbage, only the order of the log.
 *
 * Four kinds keep this contract, and one suite (test/store/blobs/conformance.ts) holds all of them to it: files in a
 * node's own directory, files in a directory that nodes share, S3, and memory for tests and the simulator.
 *
 * Invariants: a copy is whole and durable before it can be seen · no byte comes out that its hash does not vouch for ·
 * a stamp never falls · a copy goes only while its stamp is below the index that condemned it, whoever races · what an
 * unfinished `put` leaves is never a copy, and goes at the next open of its owner.
 */
import type { BlobHash } from '../../base/handle.ts';
import type { LogIndex } from '../../base/types.ts';

/** What is known of a copy without reading it. */
export interface BlobStat {
  readonly bytes: number;
  readonly stamp: LogIndex;
}

export interface BlobEntry extends BlobStat {
  readonly hash: BlobHash;
}

/** Half-open, in bytes of the content. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

export interface PutOptions {
  /** Log index that the storing node has applied. */
  readonly stamp: LogIndex;
  /** Longer content is refused, as soon as it is noticed. At most BLOB_BYTES_MAX, whatever is said here. */
  readonly maxBytes: number;
  /** Other content is refused: for copies of what another node has. */
  readonly expected?: BlobHash;
}

/**
 * Everything may fail with BLOB_STORE_FAILED, and with BAD_REQUEST for what is no hash: it never becomes part of a path.
 */
export interface BlobStore {
  /**
   * Takes the content, asking for the next chunk only once the one before is on its way to the store: a few pieces are
   * held at a time, however large the blob. Durable when it resolves. If a copy is here already, the new one takes its
   * place (which mends a damaged one) and the later of the two stamps. What the source throws is passed on, and nothing is kept.
   *
   * @throws PolarisError BLOB_TOO_LARGE, BLOB_DAMAGED (other content than `expected`) or BLOB_STORE_FULL.
   */
  put(
    source: AsyncIterable<Uint8Array>,
    options: PutOptions,
  ): Promise<{ readonly hash: BlobHash; readonly bytes: number }>;

  /** Null when there is no copy. Says nothing of its health: that is `scrub`. */
  stat(hash: BlobHash): Promise<BlobStat | null>;

  /**
   * The content, or a range of it, in chunks that each lie within one piece and that the caller may keep. A reader that
   * has begun goes on though the copy is re-stamped, replaced or (in a directory) deleted.
   *
   * @throws PolarisError BLOB_MISSING, BLOB_DAMAGED (naming hash and piece), BAD_REQUEST for a range beyond the content.
   */
  read(hash: BlobHash, range?: ByteRange): AsyncIterable<Uint8Array>;

  /** The digests of all pieces, DIGEST_BYTES each, checked against the hash. With them a receiver can judge every piece. */
  digests(hash: BlobHash): Promise<Uint8Array>;

  /** Raises the stamp, durably; a higher one stays. False when there is no copy, so that it must be stored anew. */
  restamp(hash: BlobHash, stamp: LogIndex): Promise<boolean>;

  /**
   * Removes the copy if its stamp is below `index`. True when this call removed it. Decided by the store itself, so that
   * no `put` or `restamp` that has resolved with a stamp of `index` or more is undone, by whatever process it was made.
   */
  deleteBelow(hash: BlobHash, index: LogIndex): Promise<boolean>;

  /** Every blob once, in the order of the hashes; what comes and goes meanwhile may be missed. */
  list(): AsyncIterable<BlobEntry>;

  /** Counted by going through the list, so not for every request. Bytes are those of the content. */
  usage(): Promise<{ readonly blobs: number; readonly bytes: number }>;

  /** Reads all of it from the store itself. @throws PolarisError BLOB_DAMAGED or BLOB_MISSING. */
  scrub(hash: BlobHash): Promise<true>;

  /** Scrubs, and removes the copy if it is damaged, so that it is fetched anew. A copy that is sound stays. True when removed. */
  discard(hash: BlobHash): Promise<boolean>;
}
