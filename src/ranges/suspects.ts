/**
 * Suspects: which points of a failed lease are to blame, and what is done with them.
 *
 * Only what was begun and not acknowledged can have failed; the points behind it were never touched and go back as if
 * nothing had happened. The suspects are tried again as they are until their attempts are used up. Then they are halved,
 * each half with one more try, again and again: a poison point among a million others is alone after twenty halvings,
 * and all others are covered. A failure that began nothing blames no point, so halving would find none.
 */
import type { Point } from '../base/types.ts';
import type { Lease } from './lease.ts';
import { untried } from './returned.ts';
import type { Returned } from './types.ts';

export interface Blame {
  /** To be tried again, or for the first time: one range, two halves, and the untouched rest. */
  readonly back: readonly Returned[];
  /** Failed for good; null when something is left to try. */
  readonly failed: { readonly start: Point; readonly end: Point; readonly attempts: number } | null;
}

/**
 * @param begun first point behind all that the lease had begun.
 * @param maySplit false when the job has as many open ranges as it may have.
 */
export function blame(lease: Lease, begun: Point, error: string, maxAttempts: number, maySplit: boolean): Blame {
  const { start, cursor, end } = lease;
  const beganNothing = begun === cursor;
  const suspectEnd = beganNothing || !maySplit ? end : begun;
  const untouched: Returned[] = suspectEnd < end ? [untried({ start: suspectEnd, end }, suspectEnd)] : [];
  // What came before was acknowledged, so these points have not failed before.
  const attempts = (cursor > start ? 0 : lease.attempts) + 1;
  const suspects = { start: cursor, end: suspectEnd, touched: begun, attempts, error, checkpoint: null };
  if (attempts < maxAttempts) return { back: [suspects, ...untouched], failed: null };
  const isAlone = suspectEnd - cursor === 1;
  if (isAlone || beganNothing || !maySplit || maxAttempts === 1) {
    return { back: untouched, failed: { start: cursor, end: suspectEnd, attempts } };
  }
  return { back: [...halves(suspects, maxAttempts - 1), ...untouched], failed: null };
}

function halves(suspects: Returned, attempts: number): readonly Returned[] {
  const { start, end, touched } = suspects;
  const middle = start + Math.floor((end - start) / 2);
  return [
    { ...suspects, end: middle, touched: Math.min(touched, middle), attempts },
    { ...suspects, start: middle, touched: Math.max(touched, middle), attempts },
  ];
}
