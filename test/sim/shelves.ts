/**
 * Shelves: where each node keeps its copies of blobs, and the keeper that walks along them.
 *
 * A model of store, depot and keeper (src/data/depot), which live on promises and files: a copy is a stamp, and to make
 * or delete one is a turn of its node. As there, between looking and doing some time passes, in which anything may
 * happen: the stamp is read before the content comes, and what was found to be garbage is deleted a moment later, if
 * its stamp is still the one that was seen.
 *
 * Invariants: a shelf outlives the crash of its node and goes with its disk · only the table of the node itself says what
 * may go, and whoever is asked of a deletion (`deleted`) is told of each.
 */
import type { BlobHash } from '../../src/base/handle.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { LogIndex, NodeId } from '../../src/base/types.ts';
import type { Table } from '../../src/ranges/types.ts';
import type { SimNode, World } from './world.ts';

/** The content of a blob is on its way, or a keeper is between looking and doing, for up to so long. */
const TRANSFER_MS_MAX = 400;
/** Voters that do not answer within this time are given up, as those are from whom no byte comes. */
const PATIENCE_MS = 3_000;

/** Copies of one blob on enough voters, made on behalf of somebody who is about to name it. */
export interface Stored {
  /** The smallest of the copies that count. */
  readonly stamp: LogIndex;
  readonly nodes: readonly NodeId[];
}

type Shelf = Map<BlobHash, LogIndex>;

interface Copy {
  readonly stamp: LogIndex;
  readonly shelf: Shelf;
}

export interface ShelvesOptions {
  readonly world: Pick<World, 'nodes' | 'node' | 'scheduler' | 'trace' | 'weather' | 'check'>;
  readonly prng: Prng;
  /** Keepers delete what was ever condemned, whatever the stamp of the copy: a known bug, put back. */
  readonly deletesByHash: boolean;
  readonly deleted: (id: NodeId, hash: BlobHash, stamp: LogIndex) => void;
}

export class Shelves {
  readonly #options: ShelvesOptions;
  readonly #shelves = new Map<NodeId, Shelf>();
  /** The life of each node in which its keeper walked last. */
  readonly #walkedIn = new Map<NodeId, number>();

  constructor(options: ShelvesOptions) {
    this.#options = options;
  }

  has(id: NodeId, hash: BlobHash): boolean {
    return this.#shelf(id).has(hash);
  }

  /** Whether a node has a copy, or can ask one that has. */
  isReadable(id: NodeId, hash: BlobHash): boolean {
    return this.has(id, hash) || this.#holders(id, hash).length > 0;
  }

  wipe(id: NodeId): void {
    this.#shelves.delete(id);
  }

  // ---- storing ------------------------------------------------------------------------------------------------------

  /**
   * Stores a blob through one node on a majority of the voters that it knows; null when too few could be reached.
   * `fewAtFirst` is how often no more are asked than are needed.
   */
  store(entrance: NodeId, hash: BlobHash, done: (stored: Stored | null) => void, fewAtFirst = 0.6): void {
    const { world, prng } = this.#options;
    const known =
      world
        .node(entrance)
        .node?.status()
        .members.filter(({ role }) => role !== 'learner') ?? [];
    const made = new Map<NodeId, Copy>();
    const wanted = Math.floor(known.length / 2) + 1;
    let settled = false;
    const settle = (stored: Stored | null): void => {
      if (settled) return;
      settled = true;
      timeout.cancel();
      world.check(() => done(stored));
    };
    const timeout = world.scheduler.after(PATIENCE_MS, () => settle(null));
    if (known.length === 0) return settle(null);
    const others = known.map(({ id }) => id).filter((id) => id !== entrance);
    // No more than are needed, as long as all serve; or to all at once, as after many that did not.
    const beginning = prng.integer(0, Math.max(1, others.length));
    const ring = [...others.slice(beginning), ...others.slice(0, beginning)];
    const asked = prng.chance(fewAtFirst) ? ring.slice(0, wanted - 1) : ring;
    for (const id of [entrance, ...asked]) {
      if (world.weather.blocked(entrance, id) || world.weather.blocked(id, entrance)) continue;
      this.#place(id, hash, (copy) => {
        // A node that is no voter stores what is put through it, and that counts for nothing.
        if (settled || !known.some((member) => member.id === id)) return;
        made.set(id, copy);
        if (made.size >= wanted) settle(this.#storedOn(made));
      });
    }
  }

  /** A disk that was taken away meanwhile took its copy along; what it said of it is said. */
  #storedOn(made: ReadonlyMap<NodeId, Copy>): Stored {
    const there = [...made].filter(([id, { shelf }]) => this.#shelf(id) === shelf);
    return { stamp: Math.min(...[...made.values()].map(({ stamp }) => stamp)), nodes: there.map(([id]) => id) };
  }

  /** The node says how far it is, then the content comes, and then the copy stands; a crash in between leaves nothing. */
  #place(id: NodeId, hash: BlobHash, placed: (copy: Copy) => void): void {
    this.#turn(id, (sim, table) => {
      const stamp = table.appliedIndex;
      this.#later(sim, () => placed(this.#put(id, hash, stamp)));
    });
  }

  /** A later stamp stays, and it is the earlier one that is answered for. */
  #put(id: NodeId, hash: BlobHash, stamp: LogIndex): Copy {
    const shelf = this.#shelf(id);
    shelf.set(hash, Math.max(stamp, shelf.get(hash) ?? 0));
    this.#say(id, `copy of ${short(hash)} stored at ${stamp}`);
    return { stamp, shelf };
  }

  // ---- keeping ------------------------------------------------------------------------------------------------------

  /** One round of the keeper of a node. */
  keep(id: NodeId): void {
    this.#turn(id, (sim, table) => {
      if (this.#walkedIn.get(id) !== sim.lives) this.#options.world.trace.count('keeper: first walk of a life');
      this.#walkedIn.set(id, sim.lives);
      for (const hash of table.heldBlobs()) if (!this.has(id, hash)) this.#pull(sim, hash, table.appliedIndex);
      for (const [hash, seen] of this.#shelf(id)) {
        if (this.#isGarbage(table, hash, seen)) this.#later(sim, () => this.#delete(id, hash, seen));
      }
    });
  }

  #isGarbage(table: Table, hash: BlobHash, stamp: LogIndex): boolean {
    return table.mayDeleteBlob(hash, this.#options.deletesByHash ? 0 : stamp);
  }

  #delete(id: NodeId, hash: BlobHash, seen: LogIndex): void {
    const { world, deletesByHash, deleted } = this.#options;
    const stamp = this.#shelf(id).get(hash);
    if (stamp === undefined) return;
    if (stamp > seen && !deletesByHash) return world.trace.count('keeper: a copy was stamped anew meanwhile');
    this.#shelf(id).delete(hash);
    this.#say(id, `copy of ${short(hash)} deleted, stamped ${stamp}`);
    world.trace.count('keeper: copy deleted');
    deleted(id, hash, stamp);
  }

  /** From any node that has a copy and can be reached. */
  #pull(sim: SimNode, hash: BlobHash, stamp: LogIndex): void {
    const { world, prng } = this.#options;
    const { id } = sim.plan.config;
    const holders = this.#holders(id, hash);
    const holder = holders[prng.integer(0, Math.max(1, holders.length))];
    if (holder === undefined) return;
    this.#later(sim, () => {
      // It may have gone from there while it was on its way.
      if (!this.has(holder, hash)) return;
      world.trace.count('keeper: copy pulled');
      this.#put(id, hash, stamp);
    });
  }

  /** Others that have a copy and from which bytes come. */
  #holders(id: NodeId, hash: BlobHash): NodeId[] {
    const { world } = this.#options;
    return [...world.nodes].flatMap(([from, { process }]) => {
      const comes = process?.paused === false && !world.weather.blocked(from, id);
      return comes && from !== id && this.has(from, hash) ? [from] : [];
    });
  }

  // ---- turns --------------------------------------------------------------------------------------------------------

  /** Where there is no table nothing is kept. */
  #turn(id: NodeId, run: (sim: SimNode, table: Table) => void): void {
    const sim = this.#options.world.node(id);
    sim.process?.turn('input', () => {
      const replica = sim.node?.replica ?? null;
      if (replica !== null) run(sim, replica.table);
    });
  }

  /** A turn of the same life, some time later. */
  #later(sim: SimNode, run: () => void): void {
    const { prng } = this.#options;
    const delayMs = prng.chance(0.7) ? prng.next() * 5 : prng.next() * TRANSFER_MS_MAX;
    sim.process?.timers.after(delayMs, run);
  }

  #shelf(id: NodeId): Shelf {
    const shelf = this.#shelves.get(id) ?? new Map<BlobHash, LogIndex>();
    this.#shelves.set(id, shelf);
    return shelf;
  }

  #say(id: NodeId, what: string): void {
    const { trace, scheduler } = this.#options.world;
    trace.line(scheduler.now, id, what);
  }
}

/** Hashes here differ in their last digits. */
function short(hash: BlobHash): string {
  return hash.slice(-4);
}
