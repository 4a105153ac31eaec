/**
 * trades: the turnover of a made-up market by product, region and minute.
 *
 *     polaris submit trades --start 0 --end 3600 --metadata '{"seed":42}'
 *
 * A point is one second of orders. They are validated and enriched, and each second is folded into partial windows, which a
 * task can make of its own seconds without those before them. The Master merges the partials in the order of time: only
 * there is it known which order came too late.
 */
import type { RecordBatch, Table } from 'apache-arrow';
import type { Windows } from '../../src/data/windows/windows.ts';
import { Master } from '../../src/jobtype/master.ts';
import { pipeline } from '../../src/jobtype/pipeline.ts';

export interface TradesMetadata {
  readonly seed: number;
}

const METADATA = {
  type: 'object',
  required: ['seed'],
  additionalProperties: false,
  properties: { seed: { type: 'integer' } },
};

/** Every node reads this file when it starts: what knows Arrow is loaded with the first batch. */
const stages = () => import('./stages.ts');
const turnover = () => import('./turnover.ts');

export const Trades = pipeline<TradesMetadata>('trades', {
  metadata: METADATA,
  async *source({ start, end, metadata }) {
    const { generateOrders } = await import('./generate.ts');
    for (let second = start; second < end; second++) yield generateOrders(metadata.seed, second);
  },
})
  .stage('validate', async (orders) => (await stages()).validate(orders))
  .stage('enrich', async (orders) => (await stages()).enrich(orders))
  .stage('window', async (orders) => (await turnover()).partialOf(orders))
  .checkpoints('every-stage');

export class Turnover extends Master<TradesMetadata> {
  /** Windows close by the time of the orders, so their order matters. */
  override readonly ordered = true;
  #windows: Windows | null = null;
  #told: RecordBatch[] = [];

  override async collect(partial: RecordBatch): Promise<void> {
    const { emptyWindows } = await turnover();
    this.#windows ??= emptyWindows();
    this.#windows.merge(partial);
    this.#told.push(this.#windows.advance());
  }

  override async state(): Promise<Table> {
    const { emptyWindows, stateTable } = await turnover();
    return stateTable(this.#windows ?? emptyWindows(), this.#told);
  }

  override async restore(batches: readonly RecordBatch[]): Promise<void> {
    const { fromState } = await turnover();
    const { windows, told } = fromState(batches);
    this.#windows = windows;
    this.#told = told;
  }

  override async finish(): Promise<RecordBatch> {
    const { emptyWindows, lastTold } = await turnover();
    const windows = this.#windows ?? emptyWindows();
    return lastTold([...this.#told, windows.close()], windows.schema);
  }
}
