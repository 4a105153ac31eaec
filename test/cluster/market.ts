/** One job over the made-up market, and what one loop makes of it, for whatever cluster is to make the same. */
import { naiveTurnover, type Turnover } from '../../jobs/trades/naive.ts';
import type { Submission } from './harness.ts';

const SEED = 11;
const SECONDS = 120;

export const MARKET: Submission = { name: 'trades', start: 0, end: SECONDS, metadata: { seed: SEED } };

export function expectedTurnover(): Turnover[] {
  return naiveTurnover(SEED, 0, SECONDS);
}

/** The same of a result as CSV, line by line. */
export function turnoverIn(lines: readonly string[]): Turnover[] {
  const told = lines.map((line) => {
    const [start = '', , product = '', region = '', orders, pieces, euroCents = '', largest = ''] = line.split(',');
    return {
      ...{ windowStart: Date.parse(start), product, region, orders: Number(orders), pieces: Number(pieces) },
      ...{ euroCents: BigInt(euroCents), largest: BigInt(largest) },
    };
  });
  const textOf = ({ product, region }: Turnover) => `${product}/${region}`;
  return told.sort((one, other) => one.windowStart - other.windowStart || (textOf(one) < textOf(other) ? -1 : 1));
}
