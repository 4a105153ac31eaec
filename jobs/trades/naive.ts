/**
 * trades: the whole answer in one loop on one machine, which every other way to work the job is compared with.
 *
 * It shares the generator and the table of rates with the stages and nothing else: no batch, no window, no watermark.
 */
import { type CURRENCIES, generateOrders, REGIONS } from './generate.ts';
import { RATES } from './stages.ts';

const MINUTE_MS = 60_000;

export interface Turnover {
  readonly windowStart: number;
  readonly product: string;
  readonly region: string;
  orders: number;
  pieces: number;
  euroCents: bigint;
  largest: bigint;
}

/** Turnover of the points `[start, end)`, in the order of time, product and region. */
export function naiveTurnover(seed: number, start: number, end: number): Turnover[] {
  const all = new Map<string, Turnover>();
  for (let point = start; point < end; point++) {
    for (const order of generateOrders(seed, point)) {
      const { at, product, region, currency, quantity, price_minor: price } = order.toJSON();
      const rate = RATES[currency as (typeof CURRENCIES)[number]];
      if (at === null || !product || !REGIONS.includes(region) || rate === undefined) continue;
      if (quantity === null || quantity <= 0 || price === null || price <= 0n) continue;
      const windowStart = Math.floor(Number(at) / MINUTE_MS) * MINUTE_MS;
      const key = `${windowStart}/${product}/${region}`;
      const total = all.get(key) ?? { windowStart, product, region, orders: 0, pieces: 0, euroCents: 0n, largest: 0n };
      all.set(key, total);
      const worth = (BigInt(quantity) * price * rate + 500_000n) / 1_000_000n;
      total.orders++;
      total.pieces += quantity;
      total.euroCents += worth;
      if (worth > total.largest) total.largest = worth;
    }
  }
  const texts = ({ product, region }: Turnover) => `${product}/${region}`;
  return [...all.values()].sort(
    (one, other) => one.windowStart - other.windowStart || (texts(one) < texts(other) ? -1 : 1),
  );
}
