/**
 * Fired: the windows that were told and not yet fetched, in the order in which they are told.
 *
 * What the watermark passes in one step is told by moment, start and keys; what lies in different steps keeps their order.
 * So the order is that of the rows, whatever the queue of what is due made of it.
 */
import type { RecordBatch } from 'apache-arrow';
import { must } from '../../base/assert.ts';
import { buildBatch, type Cell } from './columns.ts';
import { compareKeys, type Layer } from './open.ts';
import type { WindowsPlan } from './plan.ts';

export interface Telling {
  /** Watermark at which it was due. */
  readonly moment: number;
  readonly start: number;
  readonly end: number;
  readonly keys: readonly Cell[];
  /** It takes the place of what was told of this window before, or is of rows that all came late. */
  readonly late: boolean;
  /** Of one row that was too late, with late 'fire'. */
  readonly alone: boolean;
}

interface Told extends Telling {
  readonly results: readonly Cell[];
}

export class Fired {
  readonly #plan: WindowsPlan;
  #told: Told[] = [];
  #step: Told[] = [];

  constructor(plan: WindowsPlan) {
    this.#plan = plan;
  }

  get count(): number {
    return this.#told.length + this.#step.length;
  }

  /** Tells of these layers together. @throws PolarisError SUM_OVERFLOW. */
  tell(telling: Telling, layers: readonly Layer[]): void {
    const results = this.#plan.aggregates.map(({ kind }, at) => {
      const whole = kind.create();
      for (const { accumulators } of layers) whole.combine(must(accumulators[at], 'a layer has all accumulators'));
      return whole.result();
    });
    this.#step.push({ ...telling, results });
  }

  /** The step is over. */
  settle(): void {
    if (this.#step.length === 0) return;
    this.#step.sort(
      (left, right) => left.moment - right.moment || left.start - right.start || compareKeys(left.keys, right.keys),
    );
    for (const told of this.#step) this.#told.push(told);
    this.#step = [];
  }

  take(): RecordBatch {
    const told = this.#told;
    this.#told = [];
    const { keys, aggregates, late, output } = this.#plan;
    const columns: Cell[][] = [
      told.map(({ start }) => start),
      told.map(({ end }) => end),
      ...keys.map((_key, at) => told.map((each) => each.keys[at] ?? null)),
      ...aggregates.map((_aggregate, at) => told.map((each) => each.results[at] ?? null)),
      told.map((each) => each.late),
      ...(late === 'fire' ? [told.map(({ alone }) => alone)] : []),
    ];
    return buildBatch(output, columns, told.length);
  }
}
