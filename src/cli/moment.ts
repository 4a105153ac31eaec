/**
 * Moment: a point in time as a person says it, as an ISO 8601 time or as a while from now.
 */
import { PolarisError } from '../base/errors.ts';
import { type CliArguments, durationOf, textOf } from './command.ts';

/** With hours and minutes: a date alone would be midnight in UTC, which few who write one mean. */
const ISO_TIME = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?$/;

/** Epoch ms; null when the option is not given. Without a zone it is local time. @throws PolarisError USAGE */
export function momentOf(args: CliArguments, name: string, nowMs: number): number | null {
  const text = textOf(args, name);
  if (text === null) return null;
  if (text.startsWith('+')) return Math.round(nowMs + (durationOf({ [name]: text.slice(1) }, name) ?? 0));
  const at = ISO_TIME.test(text) ? Date.parse(text.replace(' ', 'T')) : Number.NaN;
  if (Number.isFinite(at)) return at;
  throw new PolarisError('USAGE', `--${name} must be a time such as 2026-01-31T09:00Z, or +10m, not "${text}"`);
}
