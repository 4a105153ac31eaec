/**
 * Job: one record of the table, and everything that can happen to it.
 *
 * Think of a long wall to be painted. The frontier is how far the ladder line has got; behind it each stretch is painted
 * (covered), has a painter before it (a lease), was left by one (returned), or will not hold paint (failed). Stretches
 * change hands, but together they are always the whole wall, and the job is finished when only painted and failed ones
 * are left.
 *
 * Invariants: covered, rests of leases, returned, failed and [frontier, end) tile [start, end) · coverage grows only by
 * [old cursor, reported cursor) of a live lease · a finished job has no lease and never changes again.
 */
import { assert } from '../base/assert.ts';
import { ERROR_TEXT_MAX, OPEN_RANGES_MAX, RETURNED_RANGES_MAX } from '../base/limits.ts';
import type { Epoch, Incarnation, NodeId, Point, Range } from '../base/types.ts';
import { addFailed } from './failed.ts';
import { IntervalSet } from './interval-set.ts';
import { begunEnd, type Closing, type Emit, exposedEnd, forward, type Lease } from './lease.ts';
import { addReexecuted, reexecutedPoints } from './reexecuted.ts';
import { ReturnedRanges } from './returned.ts';
import { clipText } from './text.ts';
import type { Ending, FailedRange, JobSpec, JobState, JobView, Reexecuted, Returned } from './types.ts';

/** All of a job that cannot be worked out from the rest: what a snapshot holds. */
export interface JobImage {
  readonly spec: JobSpec;
  readonly state: JobState;
  readonly reason: string | null;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  readonly frontier: Point;
  readonly covered: readonly Range[];
  readonly returned: readonly Returned[];
  readonly tasks: readonly Lease[];
  readonly failed: readonly FailedRange[];
  readonly reexecuted: readonly Reexecuted[];
}

export interface GrantRequest {
  readonly epoch: Epoch;
  readonly worker: NodeId;
  readonly incarnation: Incarnation;
  readonly size: number;
  readonly retry: Point | null;
  readonly at: number;
}

export class Job {
  readonly spec: JobSpec;
  readonly createdAt: number;
  /** What others see: each field as it stands now; lists once given out never change. */
  readonly view: JobView;
  #state: JobState = 'pending';
  #reason: string | null = null;
  #startedAt: number | null = null;
  #finishedAt: number | null = null;
  #frontier: Point;
  readonly #covered: IntervalSet;
  readonly #returned = new ReturnedRanges();
  /** By epoch; a Map keeps the order of insertion, and epochs only grow. */
  readonly #leases = new Map<Epoch, Lease>();
  #leasedPoints = 0;
  #tasks: readonly Lease[] | null = null;
  #failed: readonly FailedRange[] = Object.freeze([]);
  #failedPoints = 0;
  #reexecuted: readonly Reexecuted[] = Object.freeze([]);
  #reexecutedPoints = 0;

  constructor(spec: JobSpec, createdAt: number, covered: readonly Range[] = []) {
    this.spec = spec;
    this.createdAt = createdAt;
    this.#frontier = spec.start;
    this.#covered = IntervalSet.from(covered);
    this.view = this.#makeView();
  }

  static restore(image: JobImage): Job {
    const job = new Job(image.spec, image.createdAt, image.covered);
    job.#state = image.state;
    job.#reason = image.reason;
    job.#startedAt = image.startedAt;
    job.#finishedAt = image.finishedAt;
    job.#frontier = image.frontier;
    for (const range of image.returned) job.#returned.restore(range);
    for (const lease of image.tasks) {
      job.#leases.set(lease.epoch, lease);
      job.#leasedPoints += lease.end - lease.cursor;
    }
    job.#setFailed(Object.freeze([...image.failed]));
    job.#setReexecuted(Object.freeze([...image.reexecuted]));
    job.#checkTally();
    return job;
  }

  get image(): JobImage {
    return { ...this.view, tasks: this.#listLeases() };
  }

  get finished(): boolean {
    return isFinished(this.#state);
  }

  lease(epoch: Epoch): Lease | undefined {
    return this.#leases.get(epoch);
  }

  /** A lease on a range picked here, or null when there is nothing to give. */
  grant(request: GrantRequest, emit: Emit): Lease | null {
    if (this.#state !== 'pending' && this.#state !== 'running') return null;
    const picked = request.retry === null ? this.#pick(request.size) : this.#returned.takeTried(request.retry);
    if (picked === null) return null;
    const { start, end, touched, attempts, error } = picked;
    const { epoch, worker, incarnation } = request;
    const lease = { epoch, job: this.spec.id, start, end, cursor: start, worker, incarnation, attempts, error };
    this.#leases.set(epoch, lease);
    this.#leasedPoints += end - start;
    this.#tasks = null;
    if (touched > start) this.#setReexecuted(addReexecuted(this.#reexecuted, { start, end: touched }));
    this.#startedAt ??= request.at;
    this.#checkTally();
    emit({ kind: 'task-granted', job: this.spec.id, epoch, worker });
    this.#become('running', null, emit);
    return lease;
  }

  /** False when the epoch is not live here or the cursor lies beyond its end. A cursor that goes back says nothing new. */
  progress(epoch: Epoch, cursor: Point, emit: Emit): boolean {
    return this.#advance(epoch, cursor, emit) !== null;
  }

  /** Progress, then the end: short of the committed end the rest goes back. False when the epoch is stale. */
  complete(ending: Ending, at: number, emit: Emit): boolean {
    const lease = this.#advance(ending.epoch, ending.cursor, emit);
    if (lease === null) return false;
    const how = lease.cursor === lease.end ? 'completed' : 'released';
    this.#close(lease, { how, touched: begunEnd(lease, ending), error: '', at }, emit);
    return true;
  }

  fail(ending: Ending, error: string, at: number, emit: Emit): boolean {
    const lease = this.#advance(ending.epoch, ending.cursor, emit);
    if (lease === null) return false;
    const clipped = clipText(error, ERROR_TEXT_MAX);
    this.#close(lease, { how: 'failed', touched: begunEnd(lease, ending), error: clipped, at }, emit);
    return true;
  }

  release(ending: Ending, at: number, emit: Emit): boolean {
    const lease = this.#advance(ending.epoch, ending.cursor, emit);
    if (lease === null) return false;
    this.#close(lease, { how: 'released', touched: begunEnd(lease, ending), error: '', at }, emit);
    return true;
  }

  /** The worker is lost, and with it the word on what it had begun: all that it was allowed to may have run. */
  expire(epoch: Epoch, at: number, emit: Emit): void {
    const lease = this.#leases.get(epoch);
    assert(lease !== undefined, 'a worker holds only live leases');
    this.#close(lease, { how: 'expired', touched: exposedEnd(lease, this.spec), error: '', at }, emit);
  }

  pause(emit: Emit): boolean {
    if (this.finished) return false;
    this.#become('paused', 'by request', emit);
    return true;
  }

  resume(emit: Emit): boolean {
    if (this.finished) return false;
    this.#become(this.#startedAt === null ? 'pending' : 'running', null, emit);
    return true;
  }

  /** Ends all leases at once. A job of which nothing was left but the last word of a worker is finished, not cancelled. */
  cancel(at: number, emit: Emit): boolean {
    if (this.#state === 'cancelled') return true;
    if (this.finished) return false;
    for (const lease of this.#leases.values()) {
      this.#close(lease, { how: 'cancelled', touched: exposedEnd(lease, this.spec), error: '', at }, emit);
    }
    if (this.finished) return true;
    this.#returned.compact();
    this.#finishedAt = at;
    this.#become('cancelled', null, emit);
    this.#checkTally();
    return true;
  }

  /** The next range without a failure: one that came back, else from the frontier. */
  #pick(size: number): Returned | null {
    assert(size >= 1, 'a grant asks for at least one point');
    const crowded = this.#returned.count + this.#leases.size >= OPEN_RANGES_MAX;
    // Cutting a range makes one more of them; a crowded job gives whole ones only.
    const back = this.#returned.takeFresh(crowded ? Number.MAX_SAFE_INTEGER : size);
    if (back !== null) return back;
    const start = this.#frontier;
    if (start === this.spec.end || crowded || this.#returned.count >= RETURNED_RANGES_MAX) return null;
    this.#frontier = forward(start, size, this.spec.end);
    return { start, end: this.#frontier, touched: start, attempts: 0, error: '' };
  }

  /** Moves the cursor of a live lease forward, the one way in which coverage grows. Null when the report is stale. */
  #advance(epoch: Epoch, cursor: Point, emit: Emit): Lease | null {
    const lease = this.#leases.get(epoch);
    if (lease === undefined || cursor > lease.end) return null;
    if (cursor <= lease.cursor) return lease;
    const from = lease.cursor;
    const fresh = this.#covered.add(from, cursor);
    assert(fresh === cursor - from, 'a covered point is never leased again');
    const moved = { ...lease, cursor };
    this.#leases.set(epoch, moved);
    this.#leasedPoints -= cursor - from;
    this.#tasks = null;
    this.#checkTally();
    emit({ kind: 'task-progressed', job: this.spec.id, epoch, worker: lease.worker, from, to: cursor });
    return moved;
  }

  #close(lease: Lease, closing: Closing, emit: Emit): void {
    const { epoch, worker, cursor, end } = lease;
    this.#leases.delete(epoch);
    this.#leasedPoints -= end - cursor;
    this.#tasks = null;
    const rest = cursor < end ? { start: cursor, end } : null;
    emit({ kind: 'task-ended', job: this.spec.id, epoch, worker, how: closing.how, rest });
    if (rest !== null) {
      const { attempts, error } = lease;
      if (closing.how === 'failed') this.#placeFailure(lease, closing, emit);
      else this.#returned.put({ ...rest, touched: closing.touched, attempts, error });
    }
    this.#checkTally();
    this.#settle(closing.at, emit);
  }

  /** The rest of a failed lease: back on the shelf while it has attempts left, else a failed range. */
  #placeFailure(lease: Lease, { touched, error, at }: Closing, emit: Emit): void {
    const range = { start: lease.cursor, end: lease.end };
    const attempts = lease.attempts + 1;
    if (attempts >= this.spec.options.maxAttempts) {
      const failed = addFailed(this.#failed, { ...range, error, attempts, worker: lease.worker, at });
      if (failed !== null) {
        this.#setFailed(failed);
        emit({ kind: 'range-failed', job: this.spec.id, range, error });
        return;
      }
      // Nothing is dropped and nothing grows without a bound: a person must look at a job that is torn like this.
      this.#become('paused', `it has ${this.#failed.length} failed ranges that cannot be merged`, emit);
    }
    this.#returned.put({ ...range, touched, attempts, error });
  }

  #settle(at: number, emit: Emit): void {
    if (this.#leases.size > 0 || this.#covered.points + this.#failedPoints < this.#total) return;
    this.#finishedAt = at;
    if (this.#failedPoints === 0) this.#become('done', null, emit);
    else this.#become('failed', `${this.#failedPoints} points failed`, emit);
  }

  #become(state: JobState, reason: string | null, emit: Emit): void {
    if (this.#state === state) return;
    assert(!this.finished, 'a finished job never changes again');
    this.#state = state;
    this.#reason = reason;
    emit({ kind: 'job-state', job: this.spec.id, state, reason });
  }

  get #total(): number {
    return this.spec.end - this.spec.start;
  }

  #setFailed(failed: readonly FailedRange[]): void {
    this.#failed = failed;
    this.#failedPoints = failed.reduce((points, range) => points + (range.end - range.start), 0);
  }

  #setReexecuted(reexecuted: readonly Reexecuted[]): void {
    this.#reexecuted = reexecuted;
    this.#reexecutedPoints = reexecutedPoints(reexecuted);
  }

  #listLeases(): readonly Lease[] {
    this.#tasks ??= Object.freeze([...this.#leases.values()]);
    return this.#tasks;
  }

  /** The cheap half of the tiling invariant, after every change; invariants.ts has the whole. */
  #checkTally(): void {
    const ahead = this.spec.end - this.#frontier;
    const points = this.#covered.points + this.#leasedPoints + this.#returned.points + this.#failedPoints + ahead;
    assert(
      points === this.#total,
      'covered, leased, returned, failed and never granted points are all points of a job',
    );
  }

  /** Own getters, not a class: whoever spreads the view gets the values of that moment. */
  #makeView(): JobView {
    const job = this;
    return Object.freeze({
      spec: job.spec,
      createdAt: job.createdAt,
      get state() {
        return job.#state;
      },
      get reason() {
        return job.#reason;
      },
      get startedAt() {
        return job.#startedAt;
      },
      get finishedAt() {
        return job.#finishedAt;
      },
      get frontier() {
        return job.#frontier;
      },
      get covered() {
        return job.#covered.ranges;
      },
      get coveredPoints() {
        return job.#covered.points;
      },
      get returned() {
        return job.#returned.list;
      },
      get tasks() {
        return job.#listLeases();
      },
      get failed() {
        return job.#failed;
      },
      get failedPoints() {
        return job.#failedPoints;
      },
      get reexecuted() {
        return job.#reexecuted;
      },
      get reexecutedPoints() {
        return job.#reexecutedPoints;
      },
    });
  }
}

export function isFinished(state: JobState): boolean {
  return state === 'done' || state === 'failed' || state === 'cancelled';
}
