/**
 * Vacancies: the workers that may have a free slot.
 *
 * A leader of ten thousand workers cannot look at all of them whenever one task ends. So a worker is looked at only after
 * something was heard of it: each keep-alive, each end of a task, each grant that came to nothing puts it on this list,
 * and a look that finds no free slot takes it off again. Whatever might be overlooked is so for one keep-alive at most.
 *
 * Invariant: a worker that is off the list had no free slot, or could not be given one, when it was last looked at.
 */
import type { NodeId } from '../base/types.ts';
import type { Table, WorkerView } from '../ranges/types.ts';

export interface VacanciesOptions {
  readonly table: Pick<Table, 'worker' | 'workers'>;
  /** Slots of a worker that may be given a task now: 0 when it may not. */
  readonly freeSlots: (worker: WorkerView) => number;
}

export class Vacancies {
  readonly #options: VacanciesOptions;
  readonly #noted = new Set<NodeId>();
  #slots: number | null = null;

  constructor(options: VacanciesOptions) {
    this.#options = options;
    for (const worker of options.table.workers()) this.#noted.add(worker.id);
  }

  /** Slots of all workers together, free or not. */
  get slots(): number {
    if (this.#slots !== null) return this.#slots;
    let slots = 0;
    for (const worker of this.#options.table.workers()) slots += worker.slots;
    this.#slots = slots;
    return slots;
  }

  /** Something was heard of the worker. */
  note(worker: NodeId): void {
    this.#noted.add(worker);
  }

  /** A worker joined or left. */
  staffChanged(): void {
    this.#slots = null;
  }

  /** Those with a free slot, one by one, for as long as the caller wants more. */
  *free(): Generator<WorkerView> {
    for (const id of this.#noted) {
      const worker = this.#options.table.worker(id);
      if (worker === undefined || this.#options.freeSlots(worker) <= 0) this.#noted.delete(id);
      else yield worker;
    }
  }

  /** Whether one of them offers a job type. */
  hasFor(name: string): boolean {
    for (const worker of this.free()) if (worker.offers.some((offer) => offer.name === name)) return true;
    return false;
  }
}
