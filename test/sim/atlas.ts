/**
 * Atlas: which disks may be spoilt for good, and which good ones may be taken away, so that every seed stays one that a
 * correct cluster survives.
 *
 * A voter whose disk was damaged is lost: it must refuse to start, and its place stays empty until it is removed. More
 * voters keep a good disk than have lost theirs, hence at least one good copy of whatever was acknowledged. A removal
 * that was asked for may take place at any time later, unless it was certainly refused; so it counts at once. Nothing is
 * spoilt before all founders are formed: the record that founds the cluster has one copy at first.
 *
 * Invariants: condemned voters < good voters that nobody takes away · whoever is condemned stays so.
 */
import type { NodeId } from '../../src/base/types.ts';

export interface AtlasOptions {
  readonly isFormed: (founder: NodeId) => boolean;
  /** As of the last committed entry. */
  readonly voters: () => ReadonlySet<NodeId>;
  readonly isMember: (id: NodeId) => boolean;
}

export class Atlas {
  readonly #options: AtlasOptions;
  readonly #founders = new Set<NodeId>();
  readonly #condemned = new Set<NodeId>();
  readonly #leaving = new Set<NodeId>();

  constructor(options: AtlasOptions) {
    this.#options = options;
  }

  addFounder(id: NodeId): void {
    this.#founders.add(id);
  }

  isCondemned(id: NodeId): boolean {
    return this.#condemned.has(id);
  }

  /** Whether one more disk may be damaged: this one. It is condemned when the answer is yes. */
  condemn(id: NodeId): boolean {
    if (!this.#options.voters().has(id) || this.#condemned.has(id)) return false;
    if (![...this.#founders].every(this.#options.isFormed)) return false;
    if (!this.#canLose(id, 1)) return false;
    this.#condemned.add(id);
    return true;
  }

  /** Whether this member may be removed. From a yes on it counts as gone, until `keep`. */
  release(id: NodeId): boolean {
    const { voters, isMember } = this.#options;
    if (!isMember(id) || this.#leaving.has(id)) return false;
    if (voters().has(id) && !this.#condemned.has(id) && !this.#canLose(id, 0)) return false;
    this.#leaving.add(id);
    return true;
  }

  /** It was certainly not removed. */
  keep(id: NodeId): void {
    this.#leaving.delete(id);
  }

  /** A learner that is on its way to a vote counts for nothing here: it may be lost, or come. */
  #canLose(id: NodeId, newlyCondemned: number): boolean {
    const voters = [...this.#options.voters()];
    const lost = voters.filter((voter) => this.#condemned.has(voter)).length + newlyCondemned;
    const good = voters.filter((voter) => {
      return voter !== id && !this.#condemned.has(voter) && !this.#leaving.has(voter);
    });
    return good.length > lost;
  }
}
