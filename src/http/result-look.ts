/**
 * What a job has to give at the moment of a look: the blobs of its rows, in range order, and for which points they stand.
 *
 * A job whose Master collects has one result, and has it when the Master has finished; of any other job the outputs are
 * the result, and there are as many as were committed. An output is not divided: rows do not say of which point they are.
 * So the outputs of `[A, B)` are those that begin there, and ranges that lie side by side give every row exactly once.
 *
 * Invariant: outputs are given in range order, each once, and only such as are committed.
 */
import { PolarisError } from '../base/errors.ts';
import type { JobId, Point, Range } from '../base/types.ts';
import type { JobState, JobView, Output } from '../ranges/types.ts';
import type { RangeJson } from './job-json.ts';

export interface ResultLook {
  readonly id: JobId;
  readonly state: JobState;
  /** Its Master folds what its points emit: the result is one, at the end. */
  readonly isCollected: boolean;
  /** Every point that was asked for is done: nothing will come that is not among these rows. */
  readonly isComplete: boolean;
  /** Points that are done, and whose rows, if they have any, are among these: ascending and disjoint. */
  readonly ranges: readonly Range[];
  readonly outputs: readonly Output[];
}

/** What is known of a result without its rows. */
export interface ResultInfoJson {
  readonly job: string;
  readonly state: JobState;
  readonly complete: boolean;
  readonly rows: number;
  readonly bytes: number;
  /** Blobs that the rows lie in. */
  readonly outputs: number;
  /** The hash of its columns; null where there are no rows yet. */
  readonly schema: string | null;
  readonly ranges: readonly RangeJson[];
  /** Of the log, at the moment of this look. */
  readonly index: number;
}

/** @throws PolarisError BAD_REQUEST for a part of what has no parts. */
export function resultLook(job: JobView, range: Range | null): ResultLook {
  const { id, start, end, collects } = job.spec;
  const base = { id, state: job.state, isCollected: collects };
  if (!collects) {
    const asked = range ?? { start, end };
    const ranges = clipped(job.covered, asked);
    return { ...base, isComplete: isWhole(ranges, clip({ start, end }, asked)), ranges, outputs: within(job, asked) };
  }
  if (range !== null) {
    throw new PolarisError('BAD_REQUEST', `the Master of job ${id} makes one result of all points: it has no range`);
  }
  const isComplete = job.state === 'done';
  const { result } = job;
  const outputs = result === null ? [] : [{ start, end, handle: result }];
  return { ...base, isComplete, ranges: result === null ? [] : [{ start, end }], outputs };
}

/** What came behind `from`, as far as it is done without a gap. */
export interface FollowLook {
  readonly outputs: readonly Output[];
  /** Everything before it was given. */
  readonly reached: Point;
  readonly isOver: boolean;
  /** Why no more can come though it is not all; null while it can. */
  readonly broken: string | null;
}

/** @throws PolarisError BAD_REQUEST for a part of what has no parts. */
export function followLook(job: JobView | undefined, range: Range | null, from: Point | null): FollowLook {
  const none = { outputs: [], reached: from ?? 0 };
  if (job === undefined) return { ...none, isOver: false, broken: 'the job has left the table' };
  const { spec, state, covered } = job;
  const over = state === 'failed' || state === 'cancelled' ? `the job is ${state}` : null;
  if (spec.collects) {
    const { outputs, isComplete } = resultLook(job, range);
    return { ...none, outputs: isComplete ? outputs : [], isOver: isComplete, broken: over };
  }
  const { start, end } = clip(spec, range ?? spec);
  const begin = from ?? start;
  const reached = Math.min(prefixEnd(covered, begin), Math.max(begin, end));
  const isOver = reached >= end;
  return { outputs: within(job, { start: begin, end: reached }), reached, isOver, broken: isOver ? null : over };
}

export function resultInfo(look: ResultLook, index: number): ResultInfoJson {
  const { outputs, ranges } = look;
  return {
    ...{ job: look.id, state: look.state, complete: look.isComplete },
    ...{ rows: rowsOf(outputs), bytes: outputs.reduce((sum, { handle }) => sum + handle.bytes, 0) },
    ...{ outputs: outputs.length, schema: outputs[0]?.handle.schema ?? null },
    ranges: ranges.map(({ start, end }): RangeJson => [start, end]),
    index,
  };
}

export function rowsOf(outputs: readonly Output[]): number {
  return outputs.reduce((sum, { handle }) => sum + handle.rows, 0);
}

/** Why there is nothing to give. */
export function noResult({ id, state, isCollected }: ResultLook): PolarisError {
  const isOver = state === 'done' || state === 'failed' || state === 'cancelled';
  if (!isCollected) {
    const yet = isOver ? 'nothing' : 'nothing yet';
    return new PolarisError('NO_RESULT', `the points of job ${id} that were asked for have emitted ${yet}`);
  }
  const why = isOver ? `is ${state}, and its Master gave no result` : 'has a result when its Master has finished';
  return new PolarisError('NO_RESULT', `job ${id} ${why}`);
}

/** Outputs are in range order: the first is found by halving. */
function within({ outputs }: JobView, { start, end }: Range): readonly Output[] {
  return outputs.slice(firstFrom(outputs, start), firstFrom(outputs, end));
}

function firstFrom(outputs: readonly Output[], point: Point): number {
  let [low, high] = [0, outputs.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((outputs[middle]?.start ?? point) < point) low = middle + 1;
    else high = middle;
  }
  return low;
}

function clip({ start, end }: Range, { start: from, end: to }: Range): Range {
  return { start: Math.max(start, from), end: Math.min(end, to) };
}

function clipped(ranges: readonly Range[], asked: Range): readonly Range[] {
  return ranges.map((range) => clip(range, asked)).filter(({ start, end }) => start < end);
}

/** Covered ranges do not touch: all of it is one of them. Nothing is whole, too. */
function isWhole(ranges: readonly Range[], whole: Range): boolean {
  if (whole.start >= whole.end) return true;
  const [first] = ranges;
  return first !== undefined && first.start <= whole.start && first.end >= whole.end;
}

/** The end of the covered range that holds this point, or the point. */
function prefixEnd(covered: readonly Range[], from: Point): Point {
  return covered.find(({ start, end }) => start <= from && from < end)?.end ?? from;
}
