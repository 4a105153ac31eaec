/**
 * Workers: who has a session, which life of it counts, what it offers and what it holds.
 *
 * A worker that joins again is another worker with the same name: its former leases are over, and calls that carry the
 * former incarnation are nobody's. Sessions themselves are timed in the leader's memory; here stands only their end, and
 * the quarters of silence that must survive the leader.
 *
 * Invariants: an id has one incarnation at a time · `epochs` are exactly its live leases, ascending.
 */
import { assert, must } from '../base/assert.ts';
import { OFFERED_NAMES_MAX, SUSPECT_QUARTERS_MAX } from '../base/limits.ts';
import type { Epoch, Incarnation, NodeId } from '../base/types.ts';
import type { WorkerView } from './types.ts';

/** All of a worker that cannot be worked out from its jobs' leases: what a snapshot holds. */
export type WorkerImage = Omit<WorkerView, 'epochs'>;

export class Worker {
  readonly view: WorkerView;
  readonly #names: ReadonlySet<string>;
  readonly #epochs = new Set<Epoch>();
  #suspectQuarters: number;

  constructor(image: WorkerImage) {
    this.#names = new Set(image.offers.map((offer) => offer.name));
    this.#suspectQuarters = image.suspectQuarters;
    const worker = this;
    this.view = Object.freeze({
      id: image.id,
      incarnation: image.incarnation,
      instanceId: image.instanceId,
      address: image.address,
      slots: image.slots,
      offers: Object.freeze([...image.offers]),
      get suspectQuarters() {
        return worker.#suspectQuarters;
      },
      get epochs() {
        return [...worker.#epochs];
      },
    });
  }

  offersType(name: string): boolean {
    return this.#names.has(name);
  }

  suspect(quarters: number): void {
    this.#suspectQuarters = Math.min(Math.max(this.#suspectQuarters, quarters), SUSPECT_QUARTERS_MAX);
  }

  heard(): void {
    this.#suspectQuarters = 0;
  }

  /** After a restore, which finds leases job by job. */
  sortEpochs(): void {
    const epochs = [...this.#epochs].sort((left, right) => left - right);
    this.#epochs.clear();
    for (const epoch of epochs) this.#epochs.add(epoch);
  }

  took(epoch: Epoch): void {
    assert(!this.#epochs.has(epoch), 'an epoch is granted once');
    this.#epochs.add(epoch);
  }

  lost(epoch: Epoch): void {
    assert(this.#epochs.delete(epoch), 'a lease ends at the worker that holds it');
  }
}

export class Workers {
  readonly #byId = new Map<NodeId, Worker>();
  #sorted: readonly Worker[] | null = null;
  /** Names of job types by when they were last offered anew, the longest unseen first. */
  readonly #offered = new Set<string>();

  get count(): number {
    return this.#byId.size;
  }

  get(id: NodeId): Worker | undefined {
    return this.#byId.get(id);
  }

  /** The worker, if this is the life of it that counts. */
  current(id: NodeId, incarnation: Incarnation): Worker | undefined {
    const worker = this.#byId.get(id);
    return worker?.view.incarnation === incarnation ? worker : undefined;
  }

  add(image: WorkerImage): Worker {
    assert(!this.#byId.has(image.id), 'an id has one incarnation at a time');
    const worker = new Worker(image);
    this.#byId.set(image.id, worker);
    this.#sorted = null;
    for (const { name } of image.offers) this.#remember(name);
    return worker;
  }

  remove(id: NodeId): void {
    const worker = must(this.#byId.get(id), 'only a worker of the table leaves it');
    assert(worker.view.epochs.length === 0, 'a worker leaves without leases');
    this.#byId.delete(id);
    this.#sorted = null;
  }

  /** In id order, by code units, which is the same on every machine. */
  inOrder(): readonly Worker[] {
    this.#sorted ??= [...this.#byId.values()].sort((left, right) => (left.view.id < right.view.id ? -1 : 1));
    return this.#sorted;
  }

  everOffered(name: string): boolean {
    if (this.#offered.has(name)) return true;
    // Forgotten for the sake of the limit, but perhaps on offer all the time.
    return this.inOrder().some((worker) => worker.offersType(name));
  }

  get offeredNames(): readonly string[] {
    return [...this.#offered];
  }

  /** As a snapshot had them. */
  setOfferedNames(names: readonly string[]): void {
    this.#offered.clear();
    for (const name of names) this.#remember(name);
  }

  #remember(name: string): void {
    this.#offered.delete(name);
    this.#offered.add(name);
    for (const oldest of this.#offered) {
      if (this.#offered.size <= OFFERED_NAMES_MAX) return;
      this.#offered.delete(oldest);
    }
  }
}
