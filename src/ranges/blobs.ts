/**
 * Blobs: which bytes somebody still refers to, and which were given up.
 *
 * Bytes lie on the disks of nodes, words about them in the log, and the two meet without a lock. A copy carries a stamp: the
 * applied index of the node that stored it, at that moment. Garbage is condemned by an entry of its own, which counts only
 * while nothing refers to the blob; whoever applies it at index c deletes copies stamped below c. And an entry that would
 * refer to a blob whose copies were stamped before it was condemned is refused: those copies may be gone.
 *
 * Think of a cloakroom that is cleared at night: what nobody holds a ticket for is thrown out if it hung there before the
 * call, and who comes with a ticket from before the call is told to hand the coat in again.
 *
 * Invariants: a blob that is referred to is never condemned · what is kept of the condemned is bounded, and what was
 * forgotten of them lies at or below the floor · walked in order of their indexes.
 */
import { assert } from '../base/assert.ts';
import type { BlobHash } from '../base/handle.ts';
import { CONDEMNED_MAX } from '../base/limits.ts';
import type { LogIndex } from '../base/types.ts';

export interface Condemned {
  readonly hash: BlobHash;
  /** Of the entry that condemned it last. */
  readonly index: LogIndex;
}

export class Blobs {
  readonly #references = new Map<BlobHash, number>();
  /** The longest condemned first. */
  readonly #condemned = new Map<BlobHash, LogIndex>();
  #floor: LogIndex = 0;

  /** Condemned at or below this index, and forgotten. */
  get floor(): LogIndex {
    return this.#floor;
  }

  isHeld(hash: BlobHash): boolean {
    return this.#references.has(hash);
  }

  referencesTo(hash: BlobHash): number {
    return this.#references.get(hash) ?? 0;
  }

  /** In no order that means anything. */
  held(): Iterable<BlobHash> {
    return this.#references.keys();
  }

  /** Why copies with this stamp are not to be relied on; null when they are. */
  refusal(hash: BlobHash, stamp: LogIndex): string | null {
    const condemned = this.#condemned.get(hash) ?? this.#floor;
    if (stamp >= condemned || this.isHeld(hash)) return null;
    return `blob ${hash} was stored at index ${stamp} and may have been deleted since ${condemned}; store it again`;
  }

  /** Whether a copy with this stamp is garbage for good: nobody refers to it, and nobody can any more. */
  mayDelete(hash: BlobHash, stamp: LogIndex): boolean {
    return !this.isHeld(hash) && stamp < (this.#condemned.get(hash) ?? this.#floor);
  }

  hold(hash: BlobHash): void {
    this.#references.set(hash, (this.#references.get(hash) ?? 0) + 1);
  }

  release(hash: BlobHash): void {
    const count = this.#references.get(hash) ?? 0;
    assert(count > 0, 'a blob is released by who holds it');
    if (count > 1) this.#references.set(hash, count - 1);
    else this.#references.delete(hash);
  }

  /** False when somebody refers to it. */
  condemn(hash: BlobHash, index: LogIndex): boolean {
    if (this.isHeld(hash)) return false;
    // Behind all others: the map stands in order of the indexes.
    this.#condemned.delete(hash);
    this.#condemned.set(hash, index);
    for (const [longest, at] of this.#condemned) {
      if (this.#condemned.size <= CONDEMNED_MAX) break;
      this.#condemned.delete(longest);
      this.#floor = at;
    }
    return true;
  }

  /** The longest condemned first. */
  condemned(): Condemned[] {
    return [...this.#condemned].map(([hash, index]) => ({ hash, index }));
  }

  restore(condemned: readonly Condemned[], floor: LogIndex): void {
    assert(this.#condemned.size === 0, 'blobs are restored once');
    this.#floor = floor;
    let before = floor;
    for (const { hash, index } of condemned) {
      assert(index >= before && !this.#condemned.has(hash), 'blobs were condemned one after the other');
      before = index;
      this.#condemned.set(hash, index);
    }
  }
}
