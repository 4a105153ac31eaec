/**
 * Guest: the blobs of a cluster, for a node that has no table and keeps none. What a worker is given, by its tasks or over
 * HTTP, is handed to a voter, which keeps it as its own and answers when enough voters have it; what they read comes from whoever has it.
 *
 * Invariant: as with a depot, what `keep` resolves with is durable, and no byte leaves `open` that the hash does not vouch for.
 */
import { PolarisError } from '../../base/errors.ts';
import type { BlobHash } from '../../base/handle.ts';
import type { Address, LogIndex } from '../../base/types.ts';
import type { Depot, KeptBlob, OpenBlob } from './depot.ts';
import type { BlobPeers } from './peers.ts';

export interface GuestOptions {
  readonly depot: Pick<Depot, 'isStamped' | 'open'>;
  readonly peers: Pick<BlobPeers, 'keep'>;
  /** The voters, as far as they are known. */
  readonly voters: () => readonly Address[];
}

export class Guest {
  readonly #options: GuestOptions;
  /** Grows with every voter that failed: the next one is asked from then on. */
  #failures = 0;

  constructor(options: GuestOptions) {
    this.#options = options;
  }

  /**
   * One try, with one voter; after a failure the next call goes to another one.
   *
   * @throws PolarisError what the source throws, what the voter refuses with, NO_LEADER when none is known, UNREACHABLE.
   */
  async keep(source: AsyncIterable<Uint8Array>, maxBytes: number): Promise<KeptBlob> {
    const voters = this.#options.voters();
    const voter = voters[this.#failures % Math.max(1, voters.length)];
    if (voter === undefined) throw new PolarisError('NO_LEADER', 'no voter is known yet that could keep these bytes');
    try {
      return await this.#options.peers.keep(voter, source, maxBytes);
    } catch (cause) {
      this.#failures += 1;
      throw cause;
    }
  }

  /**
   * As `keep`, of what lies somewhere already: it passes through here once more, and the voter stamps its copies anew.
   *
   * @throws PolarisError as `keep`, and BLOB_CONDEMNED when there is none left.
   */
  async keepAgain(hash: BlobHash): Promise<LogIndex> {
    const { bytes, read } = await this.open(hash).catch((cause: unknown) => {
      const isGone = cause instanceof PolarisError && cause.code === 'BLOB_MISSING';
      throw isGone ? new PolarisError('BLOB_CONDEMNED', `${cause.detail}; store it again`, { cause }) : cause;
    });
    return (await this.keep(read(), bytes)).stamp;
  }

  /** Nothing lies here that could be kept for a reader. */
  retain(): () => void {
    return () => {};
  }

  isStamped(hash: BlobHash, stamp: LogIndex): Promise<boolean> {
    return this.#options.depot.isStamped(hash, stamp);
  }

  open(hash: BlobHash): Promise<OpenBlob> {
    return this.#options.depot.open(hash);
  }
}
