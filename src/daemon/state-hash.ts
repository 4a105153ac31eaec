/**
 * State hash: replicas tell each other what their job tables come to at the same applied index, and one that stands
 * against the majority stops.
 *
 * A log that is equal everywhere makes equal tables only while apply is deterministic and memory keeps what it was given.
 * Nothing in Raft would notice if one node went its own way; it could be elected years later. Think of travellers who
 * read their watches aloud at each milestone: one watch that differs from most of the others is wrong.
 *
 * The hash is SHA-256, for it also names a snapshot that is resumed from another leader, where equal hashes must mean
 * equal bytes. Two CRCs with different seeds were no 64 bits: for texts of one length both differ by the same. A usual
 * table costs half a millisecond, encoding included; the largest, with 18 MB of metadata, some 110 ms (36 to encode, 75
 * to hash), once in ten thousand entries and a fifth of the shortest election.
 *
 * Invariants: a node stops only against a majority of all voters, never against those that happened to speak · what is
 * kept is bounded, whatever others say.
 */
import { createHash } from 'node:crypto';
import { PolarisError } from '../base/errors.ts';
import { STATE_HASHES_KEPT } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { LogIndex, NodeId } from '../base/types.ts';

/** Of the canonical bytes of a snapshot, in hexadecimal. */
export function tableHash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

export class StateHashes {
  readonly #id: NodeId;
  readonly #log: Logger;
  /** By voter and index; of each voter the highest indexes only. */
  readonly #hashes = new Map<NodeId, Map<LogIndex, string>>();
  /** Index and voter of each difference that was logged. */
  readonly #told = new Map<NodeId, LogIndex>();

  constructor(options: { readonly id: NodeId; readonly log: Logger }) {
    this.#id = options.id;
    this.#log = options.log;
  }

  /** What this very table comes to. @returns the error with which the node must stop, or null. */
  own(index: LogIndex, hash: string, voters: readonly NodeId[]): PolarisError | null {
    this.#keep(this.#id, index, hash);
    return this.#judge(index, voters);
  }

  /** What another one says of itself. Not counted unless it votes. @returns as `own`. */
  heard(from: NodeId, index: LogIndex, hash: string, voters: readonly NodeId[]): PolarisError | null {
    if (from === this.#id || !voters.includes(from)) return null;
    for (const id of this.#hashes.keys()) if (id !== this.#id && !voters.includes(id)) this.#hashes.delete(id);
    this.#keep(from, index, hash);
    return this.#judge(index, voters);
  }

  #keep(id: NodeId, index: LogIndex, hash: string): void {
    const hashes = this.#hashes.get(id) ?? new Map<LogIndex, string>();
    this.#hashes.set(id, hashes.set(index, hash));
    if (hashes.size > STATE_HASHES_KEPT) hashes.delete(Math.min(...hashes.keys()));
  }

  #judge(index: LogIndex, voters: readonly NodeId[]): PolarisError | null {
    const own = this.#hashes.get(this.#id)?.get(index);
    if (own === undefined) return null;
    const holders = new Map<string, NodeId[]>();
    for (const id of voters) {
      const hash = this.#hashes.get(id)?.get(index);
      if (hash !== undefined) holders.set(hash, [...(holders.get(hash) ?? []), id]);
    }
    for (const [hash, ids] of holders) {
      if (hash === own) continue;
      if (2 * ids.length > voters.length) return this.#diverged(index, own, hash, ids);
      this.#tell(index, own, hash, ids);
    }
    return null;
  }

  #diverged(index: LogIndex, own: string, others: string, ids: readonly NodeId[]): PolarisError {
    const detail =
      `at index ${index} the job table of ${this.#id} has the hash ${short(own)}, that of ${ids.join(', ')} ${short(others)}: ` +
      'keep the data directory for a report, and join under a new id with an empty one';
    return new PolarisError('STATE_DIVERGED', detail);
  }

  /** Others differ and are no majority: they will stop, or, without any majority, a person must look. Once an index. */
  #tell(index: LogIndex, own: string, others: string, ids: readonly NodeId[]): void {
    const untold = ids.filter((id) => (this.#told.get(id) ?? 0) < index);
    for (const id of untold) this.#told.set(id, index);
    if (untold.length > 0) {
      this.#log.error({ index, own: short(own), differing: untold, theirs: short(others) }, 'state-differs');
    }
  }
}

/** Enough to tell two apart by eye. */
function short(hash: string): string {
  return hash.slice(0, 12);
}
