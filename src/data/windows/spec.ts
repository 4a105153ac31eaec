/**
 * Spec: what windows are wanted of which columns, as a person writes it. Plain data, so that a job type can say it without
 * loading anything.
 *
 * All durations are whole milliseconds, and an event time counts as the millisecond it falls into. Tumbling and sliding
 * windows are aligned to 1970-01-01T00:00Z plus an offset, in whatever time zone the column is shown: a day that begins at
 * midnight in Tokyo is `tumbling(DAY, -9 * HOUR)`. Days of 23 or 25 hours are not known here.
 */

/** Half-open windows `[start, start + sizeMs)`, one every `slideMs`; a tumbling one slides by its size. */
export interface FixedShape {
  readonly type: 'tumbling' | 'sliding';
  readonly sizeMs: number;
  readonly slideMs: number;
  readonly offsetMs: number;
}

/** `[first, last + gapMs)`: rows of one key that are less than `gapMs` apart. */
export interface SessionShape {
  readonly type: 'session';
  readonly gapMs: number;
}

export type WindowShape = FixedShape | SessionShape;

export const AGGREGATE_FUNCTIONS = ['count', 'sum', 'min', 'max', 'mean'] as const;
export type AggregateFunction = (typeof AGGREGATE_FUNCTIONS)[number];

export interface Aggregate {
  readonly fn: AggregateFunction;
  /** What it is of; nulls do not take part. A count without a column counts rows. */
  readonly column?: string;
  /** Name of its column in the result. */
  readonly as: string;
}

/**
 * What becomes of a row that is too late for its window. `drop`: it is counted. `side`: it is handed out by `late()`, as it
 * came; a job has it in its result, marked in the column `aside`. `fire`: it is told at once as a window of its own, with `alone` set.
 */
export const LATE_POLICIES = ['drop', 'side', 'fire'] as const;
export type LatePolicy = (typeof LATE_POLICIES)[number];

export interface WindowsSpec {
  /** Column of event times: a timestamp, a date, or a number of milliseconds since 1970. */
  readonly time: string;
  /** Columns of integers, booleans, texts, dates or timestamps. A null is a key like any other. */
  readonly keys?: readonly string[];
  readonly window: WindowShape;
  readonly aggregates: readonly Aggregate[];
  /** How long after its end a window still takes rows. Default 0. */
  readonly allowedLatenessMs?: number;
  /** Default `drop`. */
  readonly late?: LatePolicy;
  /** Windows open at a time; default and most WINDOWS_OPEN_MAX. */
  readonly openMax?: number;
}

export function tumbling(sizeMs: number, offsetMs = 0): FixedShape {
  return { type: 'tumbling', sizeMs, slideMs: sizeMs, offsetMs };
}

/** A row falls into `ceil(sizeMs / slideMs)` windows at most; where the slide is the larger one, into one or none. */
export function sliding(sizeMs: number, slideMs: number, offsetMs = 0): FixedShape {
  return { type: 'sliding', sizeMs, slideMs, offsetMs };
}

export function session(gapMs: number): SessionShape {
  return { type: 'session', gapMs };
}
