/**
 * Lease: a task as its job keeps it, and how far it may have run when it ends.
 *
 * Between the cursor that is committed and the point that a worker has really reached lies a stretch of which the table
 * knows nothing. A live worker says how far it goes. A lost one does not, and then everything counts that it was allowed
 * to begin: that is what may run twice, and the reason why job code is held to `commitEvery` points beyond its cursor.
 */
import { unreachable } from '../base/assert.ts';
import type { Point } from '../base/types.ts';
import type { Ending, JobOptions, JobSpec, TableEvent, Task } from './types.ts';

/** A task with the error of its last failure, which goes back with the rest when the worker is lost. */
export interface Lease extends Task {
  readonly error: string;
}

export type Emit = (event: TableEvent) => void;

type How = Extract<TableEvent, { kind: 'task-ended' }>['how'];

/** How a lease ends. */
export interface Closing {
  readonly how: How;
  /** First point behind all that may have run. */
  readonly touched: Point;
  /** Of a failure; empty otherwise. */
  readonly error: string;
  readonly at: number;
}

/** A task, as far as it says what may be handed out. */
export type Windowed = Pick<Task, 'cursor' | 'claimed' | 'end'>;

/**
 * First point that a worker may not hand out to code that takes points: what is claimed bounds at-most-once jobs, all
 * others may be `commitEvery` points ahead of the committed cursor.
 */
export function windowEnd({ cursor, claimed, end }: Windowed, options: JobOptions): Point {
  return options.delivery === 'at-most-once' ? claimed : forward(cursor, options.commitEvery, end);
}

/** First point behind all that the worker of this lease may have begun without having said so. */
export function exposedEnd(lease: Lease, spec: JobSpec): Point {
  if (spec.options.delivery === 'at-most-once') return lease.claimed;
  switch (spec.exposure) {
    case 'window':
      return windowEnd(lease, spec.options);
    case 'task':
      return lease.end;
    default:
      return unreachable(spec.exposure);
  }
}

/** What a live worker says it has begun, held to what its lease allows. */
export function begunEnd(lease: Lease, ending: Ending): Point {
  return Math.min(Math.max(ending.begun, lease.cursor), lease.end);
}

/** `start + size`, at most `end`; the sum itself might not be a safe integer. */
export function forward(start: Point, size: number, end: Point): Point {
  return end - start <= size ? end : start + size;
}
