/**
 * trades: the turnover of a made-up market by product, region and minute.
 *
 *     polaris job submit trades --start 0 --end 3600 --metadata '{"seed":42}'
 *
 * A point is one second of orders. They are validated and enriched, and each second is folded into partial windows, which a
 * task can make of its own seconds without those before them. The Master merges the partials in the order of time: only
 * there is it known which order came too late.
 */
import { pipeline } from '../../src/jobtype/pipeline.ts';
import { turnover } from './turnover.ts';

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

export const Trades = pipeline<TradesMetadata>('trades', {
  metadata: METADATA,
  async *source({ start, end, metadata }) {
    const { generateOrders } = await import('./generate.ts');
    for (let second = start; second < end; second++) yield generateOrders(metadata.seed, second);
  },
})
  .stage('validate', async (orders) => (await stages()).validate(orders))
  .stage('enrich', async (orders) => (await stages()).enrich(orders))
  .stage('window', turnover.partial)
  .checkpoints('every-stage');

/** Windows close by the time of the orders, so it takes them in order. */
export const Turnover = turnover.Master;
