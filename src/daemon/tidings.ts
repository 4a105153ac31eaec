/**
 * Tidings: what the leader tells workers of their leases.
 *
 * A worker is told in answer to a keep-alive, and by a push at the end of a turn in which something changed for it. Each
 * message names all its leases, gives the orders that it lacks, and asks for what is wanted back: tasks of a paused job,
 * tasks that were recalled because their job may have fewer now, and, of a task at the end of its job, its far half.
 */
import { ORDERS_PER_MESSAGE_MAX } from '../base/limits.ts';
import type { Epoch, NodeId } from '../base/types.ts';
import type { JobView, Table, Task } from '../ranges/types.ts';
import type { LeaderMessage, TaskOrder } from '../wire/messages.ts';
import type { Session } from './sessions.ts';

export interface TidingsOptions {
  readonly table: Table;
  readonly send: (to: NodeId, message: LeaderMessage) => void;
  readonly session: (worker: NodeId) => Session | undefined;
  /** More is to be told than fitted: another turn is needed. */
  readonly wake: () => void;
}

export class Tidings {
  readonly #options: TidingsOptions;
  /** Workers that must be told at the end of this turn. */
  readonly #owed = new Set<NodeId>();
  /** Tasks that are wanted back until they have ended. */
  readonly #recalled = new Set<Epoch>();
  /** Tasks whose workers are to say which end they would keep; told once, for an answer may change the end. */
  readonly #shrinks = new Map<NodeId, Set<Epoch>>();

  constructor(options: TidingsOptions) {
    this.#options = options;
  }

  owe(worker: NodeId): void {
    this.#owed.add(worker);
  }

  recall(task: Task): void {
    this.#recalled.add(task.epoch);
    this.#owed.add(task.worker);
  }

  askEnd(task: Task): void {
    const epochs = this.#shrinks.get(task.worker) ?? new Set();
    this.#shrinks.set(task.worker, epochs.add(task.epoch));
    this.#owed.add(task.worker);
  }

  ended(worker: NodeId, epoch: Epoch): void {
    this.#recalled.delete(epoch);
    this.#shrinks.get(worker)?.delete(epoch);
  }

  forgetWorker(worker: NodeId): void {
    this.#owed.delete(worker);
    this.#shrinks.delete(worker);
  }

  /** Tells everyone who is owed something. */
  push(): void {
    const owed = [...this.#owed];
    this.#owed.clear();
    for (const worker of owed) {
      const session = this.#options.session(worker);
      if (session !== undefined) this.tell(session, 0);
    }
  }

  /** Sends what the worker holds; `sequence` 0 is a push that proves nothing about the session. */
  tell(session: Session, sequence: number): void {
    const { table, send } = this.#options;
    const worker = table.worker(session.worker);
    if (worker === undefined || worker.incarnation !== session.incarnation) return;
    const told = new Set<Epoch>();
    const orders: TaskOrder[] = [];
    const release: Epoch[] = [];
    const { epochs } = worker;
    let isLeft = false;
    for (const epoch of epochs) {
      const task = table.task(epoch);
      const job = task === undefined ? undefined : table.job(task.job);
      if (task === undefined || job === undefined) continue;
      if (job.state === 'paused' || this.#recalled.has(epoch)) release.push(epoch);
      if (!session.told.has(epoch)) {
        if (orders.length >= ORDERS_PER_MESSAGE_MAX) {
          isLeft = true;
          continue;
        }
        orders.push(orderOf(job, task));
      }
      told.add(epoch);
    }
    session.told = told;
    if (isLeft) this.#tellMore(session.worker);
    send(session.worker, {
      type: 'leases',
      incarnation: session.incarnation,
      sequence,
      appliedIndex: table.appliedIndex,
      epochs,
      orders,
      release,
      shrink: this.#takeShrinks(session.worker),
      drain: session.resting,
    });
  }

  /** The rest of the orders goes with the next turn: a long message would hold up heartbeats. */
  #tellMore(worker: NodeId): void {
    this.#owed.add(worker);
    this.#options.wake();
  }

  #takeShrinks(worker: NodeId): Epoch[] {
    const epochs = this.#shrinks.get(worker);
    this.#shrinks.delete(worker);
    return epochs === undefined ? [] : [...epochs];
  }
}

/** What a worker must know of a lease to work on it. */
export function orderOf(job: JobView, task: Task): TaskOrder {
  const { id, name, metadata, options, input } = job.spec;
  const { epoch, start, end, cursor, claimed, attempts, checkpoint } = task;
  return { epoch, job: id, name, start, end, cursor, claimed, metadata, options, attempts, input, checkpoint };
}
