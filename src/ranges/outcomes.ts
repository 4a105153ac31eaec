/**
 * Outcomes of commands that need few words: that it was done, that there was nothing to do, or why it was refused.
 */
import type { Outcome } from './types.ts';

export type Refusal = Extract<Outcome, { readonly kind: 'refused' }>;

export const OK: Outcome = { kind: 'ok' };
export const NOTHING: Outcome = { kind: 'nothing' };

export function refused(code: Refusal['code'], detail: string): Refusal {
  return { kind: 'refused', code, detail };
}
