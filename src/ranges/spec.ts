/**
 * What was asked for: canonical metadata, options filled in, and when two submits ask for the same.
 *
 * A client that heard no answer submits again with the same id. Whether that is "the same job again" must not hang on
 * the order of keys or on who wrote 1.0 for 1, so metadata is kept as canonical JSON (RFC 8785) and options are filled
 * in before they are compared.
 */
import canonicalize from 'canonicalize';
import { errorText, PolarisError } from '../base/errors.ts';
import {
  COMMIT_EVERY_DEFAULT,
  COMMIT_EVERY_MAX,
  COMMIT_INTERVAL_MS_DEFAULT,
  COMMIT_INTERVAL_MS_MAX,
  COMMIT_INTERVAL_MS_MIN,
  MAX_ATTEMPTS_DEFAULT,
  MAX_ATTEMPTS_MAX,
  TASK_SIZE_MAX,
  TOLERATE_DEFAULT,
} from '../base/limits.ts';
import type { Json } from '../base/types.ts';
import type { Delivery, JobOptions, JobSpec, Tolerance } from './types.ts';

interface OptionRow {
  readonly min: number;
  readonly max: number;
  /** Null is then a value of its own, and the default. */
  readonly fallback: number | null;
}

/** The options that are numbers, with bounds and defaults: fillOptions and the codec go by these rows. */
export const NUMBER_OPTIONS = {
  commitEvery: { min: 1, max: COMMIT_EVERY_MAX, fallback: COMMIT_EVERY_DEFAULT },
  commitIntervalMs: { min: COMMIT_INTERVAL_MS_MIN, max: COMMIT_INTERVAL_MS_MAX, fallback: COMMIT_INTERVAL_MS_DEFAULT },
  taskSize: { min: 1, max: TASK_SIZE_MAX, fallback: null },
  maxAttempts: { min: 1, max: MAX_ATTEMPTS_MAX, fallback: MAX_ATTEMPTS_DEFAULT },
} as const satisfies Record<Exclude<keyof JobOptions, 'delivery' | 'tolerate'>, OptionRow>;

type NumberOption = keyof typeof NUMBER_OPTIONS;

export const DELIVERIES = ['at-least-once', 'at-most-once', 'exactly-once'] as const satisfies readonly Delivery[];
const OPTION_NAMES = [
  'delivery',
  ...(Object.keys(NUMBER_OPTIONS) as readonly NumberOption[]),
  'tolerate',
] as const satisfies readonly (keyof JobOptions)[];
/** Hundredths of a percent are the finest. */
const PERCENT = /^(?:100|\d{1,2}(?:\.\d{1,2})?)%$/;

/** @throws PolarisError BAD_METADATA for what has no canonical form: NaN, half a surrogate pair, a circle, endless depth. */
export function canonicalJson(value: Json): string {
  let text: string | undefined;
  try {
    text = canonicalize(value);
  } catch (cause) {
    throw new PolarisError('BAD_METADATA', `the metadata has no canonical JSON: ${errorText(cause)}`, { cause });
  }
  if (text === undefined) throw new PolarisError('BAD_METADATA', 'the metadata is no JSON value');
  return text;
}

/** Whether both ask for the same work; by value, and metadata byte for byte. */
export function sameSpec(left: JobSpec, right: JobSpec): boolean {
  return (
    left.id === right.id &&
    left.name === right.name &&
    left.start === right.start &&
    left.end === right.end &&
    left.metadata === right.metadata &&
    left.exposure === right.exposure &&
    OPTION_NAMES.every((name) => left.options[name] === right.options[name])
  );
}

/** @throws PolarisError BAD_OPTION naming the option, when one is unknown or out of its bounds. */
export function fillOptions(partial: Readonly<Record<string, unknown>>): JobOptions {
  for (const name of Object.keys(partial)) {
    if (!OPTION_NAMES.some((known) => known === name)) {
      throw new PolarisError('BAD_OPTION', `there is no option "${name}"; there are ${OPTION_NAMES.join(', ')}`);
    }
  }
  const given = (name: keyof JobOptions): unknown => (Object.hasOwn(partial, name) ? partial[name] : undefined);
  return {
    delivery: checkDelivery(given('delivery') ?? 'at-least-once'),
    commitEvery: fillNumber('commitEvery', given('commitEvery')),
    commitIntervalMs: fillNumber('commitIntervalMs', given('commitIntervalMs')),
    taskSize: (given('taskSize') ?? null) === null ? null : checkOption('taskSize', given('taskSize')),
    maxAttempts: fillNumber('maxAttempts', given('maxAttempts')),
    tolerate: checkTolerance(given('tolerate') ?? TOLERATE_DEFAULT),
  };
}

/** How many points of a range a tolerance allows. */
export function toleratedPoints(tolerate: Tolerance, total: number): number {
  if (typeof tolerate === 'number') return tolerate;
  return Math.floor((total / 100) * Number.parseFloat(tolerate));
}

export function isTolerance(value: unknown): value is Tolerance {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0;
  return typeof value === 'string' && PERCENT.test(value);
}

function checkTolerance(value: unknown): Tolerance {
  if (isTolerance(value)) return value;
  const said = typeof value === 'object' ? typeof value : String(value);
  throw new PolarisError('BAD_OPTION', `tolerate must be a number of points or a percentage such as "5%", not ${said}`);
}

function checkDelivery(value: unknown): Delivery {
  const known = DELIVERIES.find((delivery) => delivery === value);
  if (known !== undefined) return known;
  const said = typeof value === 'string' ? `"${value}"` : typeof value;
  throw new PolarisError('BAD_OPTION', `delivery must be one of ${DELIVERIES.join(', ')}, not ${said}`);
}

function fillNumber(name: Exclude<NumberOption, 'taskSize'>, value: unknown): number {
  return value === undefined ? NUMBER_OPTIONS[name].fallback : checkOption(name, value);
}

function checkOption(name: NumberOption, value: unknown): number {
  const { min, max } = NUMBER_OPTIONS[name];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    const said = typeof value === 'number' ? String(value) : typeof value;
    throw new PolarisError('BAD_OPTION', `${name} must be an integer from ${min} to ${max}, not ${said}`);
  }
  return value;
}
