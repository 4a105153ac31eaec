/**
 * Options of a job: what there is, its bounds, its defaults. Everything that is asked for is filled in at submit, so that
 * two submits can be compared and a later version with other defaults changes no job that is there.
 */
import { PolarisError } from '../base/errors.ts';
import {
  COMMIT_EVERY_DEFAULT,
  COMMIT_EVERY_MAX,
  COMMIT_INTERVAL_MS_DEFAULT,
  COMMIT_INTERVAL_MS_MAX,
  COMMIT_INTERVAL_MS_MIN,
  CONCURRENCY_MAX,
  MAX_ATTEMPTS_DEFAULT,
  MAX_ATTEMPTS_MAX,
  POINTS_PER_SECOND_MAX,
  PRIORITY_MAX,
  TASK_MEMORY_MB_MAX,
  TASK_MEMORY_MB_MIN,
  TASK_SIZE_MAX,
  TASK_TIMEOUT_MS_MAX,
  TASK_TIMEOUT_MS_MIN,
  TOLERATE_DEFAULT,
  WEIGHT_MAX,
} from '../base/limits.ts';
import type { JobId } from '../base/types.ts';
import { DELIVERIES } from './deliveries.ts';
import { isHookUrl, readThrottle } from './hooks.ts';
import type { Controls, Delivery, JobOptions, Throttle, Tolerance } from './types.ts';

interface OptionRow {
  readonly min: number;
  readonly max: number;
  /** Null is then a value of its own, and the default. */
  readonly fallback: number | null;
}

/** The options that are integers, with bounds and defaults: everything that reads or writes them goes by these rows. */
export const NUMBER_OPTIONS = {
  commitEvery: { min: 1, max: COMMIT_EVERY_MAX, fallback: COMMIT_EVERY_DEFAULT },
  commitIntervalMs: { min: COMMIT_INTERVAL_MS_MIN, max: COMMIT_INTERVAL_MS_MAX, fallback: COMMIT_INTERVAL_MS_DEFAULT },
  taskSize: { min: 1, max: TASK_SIZE_MAX, fallback: null },
  taskTimeoutMs: { min: TASK_TIMEOUT_MS_MIN, max: TASK_TIMEOUT_MS_MAX, fallback: null },
  memoryMb: { min: TASK_MEMORY_MB_MIN, max: TASK_MEMORY_MB_MAX, fallback: null },
  maxAttempts: { min: 1, max: MAX_ATTEMPTS_MAX, fallback: MAX_ATTEMPTS_DEFAULT },
  priority: { min: -PRIORITY_MAX, max: PRIORITY_MAX, fallback: 0 },
  weight: { min: 1, max: WEIGHT_MAX, fallback: 1 },
  maxConcurrency: { min: 1, max: CONCURRENCY_MAX, fallback: null },
  pointsPerSecond: { min: 1, max: POINTS_PER_SECOND_MAX, fallback: null },
  at: { min: 0, max: Number.MAX_SAFE_INTEGER, fallback: null },
} as const satisfies { readonly [name in keyof JobOptions]?: OptionRow };

type NumberOption = keyof typeof NUMBER_OPTIONS;
type BoundedOption = {
  [N in NumberOption]: (typeof NUMBER_OPTIONS)[N]['fallback'] extends null ? never : N;
}[NumberOption];

const OPTION_NAMES = [
  'delivery',
  ...(Object.keys(NUMBER_OPTIONS) as readonly NumberOption[]),
  'tolerate',
  'throttle',
  'onDone',
  'after',
] as const satisfies readonly (keyof JobOptions)[];
/** Hundredths of a percent are the finest. */
const PERCENT = /^(?:100|\d{1,2}(?:\.\d{1,2})?)%$/;
const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** By value. Throttles have their fields in one order. */
export function sameOptions(left: JobOptions, right: JobOptions): boolean {
  return OPTION_NAMES.every((name) => {
    return left[name] === right[name] || JSON.stringify(left[name]) === JSON.stringify(right[name]);
  });
}

/** @throws PolarisError BAD_OPTION naming the option, when one is unknown or out of its bounds. */
export function fillOptions(partial: Readonly<Record<string, unknown>>): JobOptions {
  for (const name of Object.keys(partial)) {
    if (OPTION_NAMES.some((known) => known === name)) continue;
    throw new PolarisError('BAD_OPTION', `there is no option "${name}"; there are ${OPTION_NAMES.join(', ')}`);
  }
  const given = (name: keyof JobOptions): unknown => (Object.hasOwn(partial, name) ? partial[name] : undefined);
  const bounded = (name: BoundedOption): number => {
    return given(name) === undefined ? NUMBER_OPTIONS[name].fallback : checkNumber(name, given(name));
  };
  const nullable = (name: Exclude<NumberOption, BoundedOption>): number | null => {
    return (given(name) ?? null) === null ? null : checkNumber(name, given(name));
  };
  return {
    delivery: checkDelivery(given('delivery') ?? 'at-least-once'),
    commitEvery: bounded('commitEvery'),
    commitIntervalMs: bounded('commitIntervalMs'),
    taskSize: nullable('taskSize'),
    taskTimeoutMs: nullable('taskTimeoutMs'),
    memoryMb: nullable('memoryMb'),
    maxAttempts: bounded('maxAttempts'),
    priority: bounded('priority'),
    weight: bounded('weight'),
    maxConcurrency: nullable('maxConcurrency'),
    pointsPerSecond: nullable('pointsPerSecond'),
    tolerate: checkTolerance(given('tolerate') ?? TOLERATE_DEFAULT),
    throttle: checkThrottle(given('throttle') ?? null),
    onDone: checkUrl(given('onDone') ?? null),
    after: checkAfter(given('after') ?? null),
    at: nullable('at'),
  };
}

/** What the controls of a job begin with. */
export function controlsOf({ priority, weight, maxConcurrency, pointsPerSecond, tolerate }: JobOptions): Controls {
  return { priority, weight, maxConcurrency, pointsPerSecond, tolerate };
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
  throw bad(`tolerate must be a number of points or a percentage such as "5%", not ${shown(value)}`);
}

function checkDelivery(value: unknown): Delivery {
  const known = DELIVERIES.find((delivery) => delivery === value);
  if (known !== undefined) return known;
  throw bad(`delivery must be one of ${DELIVERIES.join(', ')}, not ${shown(value)}`);
}

function checkThrottle(value: unknown): Throttle | null {
  if (value === null) return null;
  const read = readThrottle(value);
  if ('complaint' in read) throw bad(read.complaint);
  if ('url' in read.throttle && !isHookUrl(read.throttle.url)) {
    throw bad('throttle.url must be an http or https URL without a password');
  }
  return read.throttle;
}

function checkUrl(value: unknown): string | null {
  if (value === null || (typeof value === 'string' && isHookUrl(value))) return value;
  throw bad(`onDone must be an http or https URL without a password, not ${shown(value)}`);
}

function checkAfter(value: unknown): JobId | null {
  if (value === null) return null;
  if (typeof value === 'string' && UUID_V4.test(value.toLowerCase())) return value.toLowerCase();
  throw bad(`after must be the whole id of a job, not ${shown(value)}`);
}

function checkNumber(name: NumberOption, value: unknown): number {
  const { min, max } = NUMBER_OPTIONS[name];
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max) return value;
  throw bad(`${name} must be an integer from ${min} to ${max}, not ${shown(value)}`);
}

function shown(value: unknown): string {
  if (typeof value === 'number') return String(value);
  return typeof value === 'string' && value.length <= 64 ? `"${value}"` : typeof value;
}

function bad(detail: string): PolarisError {
  return new PolarisError('BAD_OPTION', detail);
}
