/**
 * Regrants: how long the rest of a lost task lies about before somebody has it.
 *
 * Pure: it is told of losses and shown the tasks of the job, each with the time. What was acknowledged meanwhile, as by a
 * report that was on its way when its worker died, leaves nothing to grant and is not measured.
 */
import type { SpanOfPoints } from './row.ts';

export interface LiveTask {
  readonly start: number;
  readonly end: number;
  readonly cursor: number;
  readonly epoch: number;
  readonly worker: string;
}

interface Loss {
  readonly at: number;
  readonly epoch: number;
  readonly cursor: number;
  readonly end: number;
}

export class Regrants {
  readonly #times: number[] = [];
  #tasks: readonly LiveTask[] = [];
  #open: Loss[] = [];

  /** From the loss to the sight of the new lease, in ms; in the order of the sights. */
  get times(): readonly number[] {
    return this.#times;
  }

  /** A worker was killed: whatever it was last seen with is lost. */
  workerLost(worker: string, at: number): void {
    for (const { epoch, cursor, end, worker: holder } of this.#tasks) {
      if (holder === worker) this.#lose({ at, epoch, cursor, end });
    }
  }

  /** One task threw at a point. */
  taskFailed(epoch: number, point: number, at: number): void {
    this.#lose({ at, epoch, cursor: point, end: point + 1 });
  }

  /** Epochs of the leases that a worker was last seen with. */
  heldBy(worker: string): readonly number[] {
    return this.#tasks.filter((task) => task.worker === worker).map(({ epoch }) => epoch);
  }

  seen(tasks: readonly LiveTask[], done: readonly SpanOfPoints[], at: number): void {
    this.#tasks = tasks;
    this.#open = this.#open.filter((loss) => {
      if (tasks.some((task) => task.epoch > loss.epoch && task.cursor < loss.end && task.end > loss.cursor)) {
        this.#times.push(Math.max(0, at - loss.at));
        return false;
      }
      return !done.some(([start, end]) => start <= loss.cursor && end >= loss.end);
    });
  }

  #lose(loss: Loss): void {
    if (!this.#open.some(({ epoch }) => epoch === loss.epoch)) this.#open.push(loss);
  }
}
