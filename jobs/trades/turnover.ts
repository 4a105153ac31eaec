/**
 * trades: the windows of turnover, and the times on which they rest.
 */
import { tumbling, type WindowsSpec } from '../../src/data/windows/spec.ts';
import { windows } from '../../src/jobtype/windowed.ts';

/** Time between two points. */
export const POINT_MS = 1_000;
/** An event time lies at most so far before its point. */
export const OUT_OF_ORDER_MS_MAX = 5_000;

/** Turnover by product and region. No order comes later than its lateness allows, so every one of them counts. */
export const TURNOVER: WindowsSpec = {
  time: 'at',
  keys: ['product', 'region'],
  window: tumbling(60_000),
  aggregates: [
    { fn: 'count', as: 'orders' },
    { fn: 'sum', column: 'quantity', as: 'pieces' },
    { fn: 'sum', column: 'euro_cents', as: 'euro_cents' },
    { fn: 'max', column: 'euro_cents', as: 'largest' },
    { fn: 'mean', column: 'euro_cents', as: 'mean' },
  ],
  allowedLatenessMs: OUT_OF_ORDER_MS_MAX + POINT_MS,
};

export const turnover = windows(TURNOVER);
