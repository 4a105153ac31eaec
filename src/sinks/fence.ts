/**
 * Fence: which lease may push which point, as arithmetic on plain data.
 *
 * Think of a wall that many painters paint, each from left to right. Chalk marks cut it into stretches; each stretch says
 * whose it is and how far it is painted. A new painter may take any part of the wall: the marks are drawn anew, what is
 * painted stays painted, and the former one finds his stretch cut off the next time he lifts the brush. Nobody needs to
 * have told him. Tasks are cut anew all the time (released, shrunk, bisected, granted with other bounds), so a fence that
 * goes by the job or by where a task starts lets the wrong ones through or shuts the right ones out.
 *
 * This is what the sinks in memory, in Redis and in PostgreSQL have in common; the script of Redis says the same in Lua.
 *
 * Invariants: segments ascend and are disjoint · start <= cursor <= end, start < end · `[start, cursor)` is done for ever
 * and belongs to nobody · no two done segments touch, so their count is bounded by the open ones and the gaps.
 */
import { assert } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import type { Epoch, Point, Range } from '../base/types.ts';

export interface Segment extends Range {
  /** First point that is not done. */
  readonly cursor: Point;
  /** Who may push the cursor. */
  readonly epoch: Epoch;
}

/** What `openRange` and `pushPoints` are given: segments of one job, ascending. */
export type Segments = readonly Segment[];

/** @throws PolarisError STALE_EPOCH when somebody newer holds points of the range that are not done. */
export function openRange(segments: Segments, range: Range, epoch: Epoch): Segments {
  checkRange(range);
  const newer = segments.find((one) => one.epoch > epoch && one.cursor < range.end && range.start < openEnd(one));
  if (newer !== undefined) throw staleEpoch(epoch, newer.epoch);
  const { start, end } = range;
  const pieces = segments.flatMap((segment) => cut(segment, Number.NEGATIVE_INFINITY, start));
  let reached = start;
  for (const inner of segments.flatMap((segment) => cut(segment, start, end))) {
    if (reached < inner.start) pieces.push(untouched(reached, inner.start, epoch));
    pieces.push({ ...inner, epoch });
    reached = inner.end;
  }
  if (reached < end) pieces.push(untouched(reached, end, epoch));
  pieces.push(...segments.flatMap((segment) => cut(segment, end, Number.POSITIVE_INFINITY)));
  return joined(pieces);
}

/** The done ranges inside the range: disjoint, ascending, not touching. */
export function doneWithin(segments: Segments, range: Range): readonly Range[] {
  const done: Range[] = [];
  for (const { start, cursor } of segments) {
    const from = Math.max(start, range.start);
    const to = Math.min(cursor, range.end);
    if (from >= to) continue;
    const last = done.at(-1);
    if (last?.end === from) done[done.length - 1] = { start: last.start, end: to };
    else done.push({ start: from, end: to });
  }
  return done;
}

export interface PushedPoints {
  readonly segments: Segments;
  /** The points that take effect now; the others were done before. Each range is one segment's. */
  readonly fresh: readonly Range[];
}

/**
 * All of the points, or none of them.
 *
 * @throws PolarisError STALE_EPOCH when one belongs to another lease, OUT_OF_ORDER when the one before it is not done.
 */
export function pushPoints(segments: Segments, points: Range, epoch: Epoch): PushedPoints {
  checkRange(points);
  const after = [...segments];
  const fresh: Range[] = [];
  let reached = points.start;
  while (reached < points.end) {
    const at = after.findIndex((segment) => segment.start <= reached && reached < segment.end);
    const segment = after[at];
    if (segment === undefined) throw notOpened(reached, epoch);
    const end = Math.min(segment.end, points.end);
    if (reached < segment.cursor) {
      reached = Math.min(segment.cursor, end);
      continue;
    }
    if (segment.epoch !== epoch) throw staleEpoch(epoch, segment.epoch);
    if (reached > segment.cursor) throw outOfOrder(reached, segment.cursor);
    fresh.push({ start: reached, end });
    after[at] = { ...segment, cursor: end };
    reached = end;
  }
  return { segments: joined(after), fresh };
}

/** Neighbours that say the same are one: both done, or the right one untouched and both of one epoch. */
export function joined(segments: Segments): Segments {
  const kept: Segment[] = [];
  for (const right of segments) {
    assert(right.start <= right.cursor && right.cursor <= right.end, 'the cursor of a segment is within it');
    const left = kept.at(-1);
    assert(left === undefined || left.end <= right.start, 'segments are disjoint and ascend');
    if (left !== undefined && left.end === right.start && joinable(left, right)) {
      const cursor = isDone(left) ? right.cursor : left.cursor;
      const epoch = Math.max(left.epoch, right.epoch);
      kept[kept.length - 1] = { start: left.start, cursor, end: right.end, epoch };
    } else kept.push(right);
  }
  return kept;
}

export function checkRange({ start, end }: Range): void {
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start < end) return;
  throw new PolarisError('BAD_RANGE', `[${start}, ${end}) is no range of safe integers`);
}

export function checkEpoch(epoch: Epoch): void {
  if (Number.isSafeInteger(epoch) && epoch > 0) return;
  throw new PolarisError('BAD_OPTION', `${epoch} is no epoch: give the task.epoch of the lease`);
}

export function staleEpoch(epoch: Epoch, holder: Epoch): PolarisError {
  return new PolarisError('STALE_EPOCH', `the sink refuses epoch ${epoch}: the points belong to epoch ${holder}`);
}

/** Nobody holds the point: it was never opened, or the job was dropped. */
export function notOpened(point: Point, epoch: Epoch): PolarisError {
  return new PolarisError(
    'STALE_EPOCH',
    `the sink refuses epoch ${epoch}: point ${point} is not open, or its job dropped`,
  );
}

export function dropped(epoch: Epoch, newest: Epoch): PolarisError {
  return new PolarisError('STALE_EPOCH', `the sink refuses epoch ${epoch}: the job was dropped after epoch ${newest}`);
}

export function outOfOrder(point: Point, cursor: Point): PolarisError {
  return new PolarisError('OUT_OF_ORDER', `point ${point} was pushed, and the next one is ${cursor}`);
}

function isDone(segment: Segment): boolean {
  return segment.cursor === segment.end;
}

function joinable(left: Segment, right: Segment): boolean {
  if (isDone(left) && isDone(right)) return true;
  return left.epoch === right.epoch && right.cursor === right.start;
}

/** Where what is held of a segment ends: a done one is held by nobody. */
function openEnd(segment: Segment): Point {
  return isDone(segment) ? Number.NEGATIVE_INFINITY : segment.end;
}

function untouched(start: Point, end: Point, epoch: Epoch): Segment {
  return { start, cursor: start, end, epoch };
}

/** The part of a segment within `[from, to)`, if any. */
function cut(segment: Segment, from: Point, to: Point): readonly Segment[] {
  const start = Math.max(segment.start, from);
  const end = Math.min(segment.end, to);
  if (start >= end) return [];
  return [{ start, cursor: Math.min(Math.max(segment.cursor, start), end), end, epoch: segment.epoch }];
}
