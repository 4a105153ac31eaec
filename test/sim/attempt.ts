/**
 * Attempt: one run of one task, as a function of time. Points begin one after the other, each takes `pointMs`; nothing
 * at or beyond the limit is begun; at the limit the attempt waits. A program begins when its whole task is allowed.
 *
 * Between two changes its state at any moment is arithmetic, so that a thousand points cost one event and an attempt can
 * still be cut off in the middle of any of them.
 *
 * Invariant: done <= begun <= done + 1, begun <= limit <= end.
 */
import type { Point } from '../../src/base/types.ts';
import { windowEnd } from '../../src/ranges/lease.ts';
import type { TaskOrder } from '../../src/wire/messages.ts';
import type { DataModel } from './emission.ts';

/** How the points of a job behave. Every worker sees the same. */
export interface JobModel {
  readonly pointMs: number;
  /** Points that throw. */
  readonly poison: ReadonlySet<Point>;
  readonly exposure: 'window' | 'task';
  /** What its points emit; absent: nothing. */
  readonly data?: DataModel;
}

/** Sums of many small times differ in the last bits. */
const ROUNDING = 1e-6;

export class Attempt {
  readonly order: TaskOrder;
  readonly model: JobModel;
  /** Points below it were written to the ledger as begun. */
  recorded: Point;
  reportedCursor: Point;
  reportedAt: number;
  /** First point that may not be begun. */
  allowed: Point;
  /** The furthest that `allowed` ever was: what a dead host may be said to have begun, also of what it had given up. */
  promised: Point;
  /** First point behind the task, as far as it is still ours. */
  end: Point;
  releasing = false;
  /** A pipeline that is not through its stages: it has begun no point. */
  isWaiting: boolean;
  #limit: Point;
  /** From point `#base`, at `#since`, it has run without a wait. */
  #base: Point;
  #since: number;

  constructor(order: TaskOrder, model: JobModel, now: number) {
    this.order = order;
    this.model = model;
    this.recorded = order.cursor;
    this.reportedCursor = order.cursor;
    this.reportedAt = now;
    this.end = order.end;
    this.#base = order.cursor;
    this.#since = now;
    const isProgram = model.exposure === 'task';
    const beginsAll = isProgram && order.options.delivery !== 'at-most-once';
    this.allowed = beginsAll ? order.end : windowEnd(order, order.options);
    this.promised = this.allowed;
    this.#limit = this.allowed;
    this.isWaiting = (model.data?.stageCount ?? 0) > 0;
  }

  /** Its stages are over: the points begin. */
  beginPoints(now: number): void {
    this.isWaiting = false;
    this.#since = now;
  }

  get limit(): Point {
    return this.#limit;
  }

  /** First point of the rest that will throw, or infinity. */
  get poison(): Point {
    let first = Number.POSITIVE_INFINITY;
    for (const point of this.model.poison) if (point >= this.#base && point < first) first = point;
    return first;
  }

  /** First point not done. */
  done(now: number): Point {
    if (this.isWaiting) return this.#base;
    const points = Math.floor((now - this.#since) / this.model.pointMs + ROUNDING);
    return Math.min(this.#limit, this.poison, this.#base + points);
  }

  /** First point not begun. */
  begun(now: number): Point {
    if (this.isWaiting) return this.#base;
    return Math.min(this.#limit, this.done(now) + 1);
  }

  /** When the points below `point` are done, if nothing makes it wait. */
  timeOf(point: Point): number {
    return this.#since + (point - this.#base) * this.model.pointMs;
  }

  /** Points below `allowed` may be begun. The caller has recorded what was begun. */
  move(allowed: Point, now: number): void {
    this.allowed = Math.min(this.end, Math.max(this.allowed, allowed));
    this.promised = Math.max(this.promised, this.allowed);
    if (this.releasing) return;
    this.#rebase(now);
    this.#limit = Math.max(this.#limit, this.allowed);
  }

  /** Gives up the far half of what is not begun. A program was told its range when it was started. */
  keepHalf(now: number): Point {
    if (this.model.exposure === 'task') return this.end;
    const begun = this.begun(now);
    this.end = begun + Math.ceil((this.end - begun) / 2);
    this.allowed = Math.min(this.allowed, this.end);
    this.#limit = Math.min(this.#limit, this.end);
    return this.end;
  }

  /** Begins nothing more. */
  hold(now: number): void {
    this.releasing = true;
    this.#limit = this.begun(now);
  }

  /** First point that the code has not begun, as its host can know it: a program begins all or nothing. */
  exposed(now: number): Point {
    if (this.model.exposure === 'window') return this.begun(now);
    return this.allowed === this.order.end ? this.order.end : this.order.cursor;
  }

  /** An attempt that waited at its limit goes on from there, now. */
  #rebase(now: number): void {
    if (this.timeOf(this.#limit) > now + ROUNDING) return;
    this.#base = this.#limit;
    this.#since = now;
  }
}
