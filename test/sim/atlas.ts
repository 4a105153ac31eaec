/**
 * Atlas: which disks may be spoilt for good, so that every seed stays one that a correct cluster survives.
 *
 * A voter whose disk was damaged is lost: it must refuse to start, and its place stays empty as long as the membership
 * does not change. A majority of voters always keeps a good disk, hence at least one good copy of whatever was
 * acknowledged. Nothing is spoilt before all voters are formed: the record that founds the cluster has one copy at first.
 *
 * Invariants: 2 × condemned < voters · whoever is condemned stays so.
 */
import { assert } from '../../src/base/assert.ts';
import type { NodeId } from '../../src/base/types.ts';

export class Atlas {
  readonly #isFormed: (voter: NodeId) => boolean;
  readonly #voters = new Set<NodeId>();
  readonly #condemned = new Set<NodeId>();

  constructor(isFormed: (voter: NodeId) => boolean) {
    this.#isFormed = isFormed;
  }

  addVoter(id: NodeId): void {
    this.#voters.add(id);
  }

  isCondemned(id: NodeId): boolean {
    return this.#condemned.has(id);
  }

  /** Whether one more disk may be damaged: this one. It is condemned when the answer is yes. */
  condemn(id: NodeId): boolean {
    if (!this.#voters.has(id) || this.#condemned.has(id)) return false;
    if (2 * (this.#condemned.size + 1) >= this.#voters.size) return false;
    if (![...this.#voters].every(this.#isFormed)) return false;
    this.#condemned.add(id);
    assert(2 * this.#condemned.size < this.#voters.size, 'a majority of the voters keeps a good disk');
    return true;
  }
}
