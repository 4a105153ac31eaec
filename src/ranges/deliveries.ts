/**
 * The names of the deliveries. A room of their own, because job threads read them, and would otherwise load the readers of
 * all options, at a tenth of a second each.
 */
import type { Delivery } from './types.ts';

export const DELIVERIES = ['at-least-once', 'at-most-once', 'exactly-once'] as const satisfies readonly Delivery[];
