/**
 * Job: one record of the table, and everything that can happen to it.
 *
 * Think of a long wall to be painted. The frontier is how far the ladder line has got; behind it each stretch is painted
 * (covered), has a painter before it (a lease), was left by one (returned), or will not hold paint (failed). Stretches
 * change hands, but together they are always the whole wall, and the job is finished when only painted and failed ones
 * are left. It is set to work again when a person wants another try at what failed: that is its next run.
 *
 * Invariants: covered, rests of leases, returned, failed and [frontier, end) tile [start, end) · coverage grows only by
 * [old cursor, reported cursor) of a live lease, and at-most-once by what a lease leaves uncertain · a finished job has
 * no lease and changes only by a retry.
 */
import { assert } from '../base/assert.ts';
import type { Handle } from '../base/handle.ts';
import {
  ERROR_TEXT_MAX,
  FAILED_RANGES_MAX,
  FIRST_FAILURES_MAX,
  OPEN_RANGES_MAX,
  RETURNED_RANGES_MAX,
  UNCERTAIN_RANGES_MAX,
  UNTOLD_RUNS_MAX,
} from '../base/limits.ts';
import type { Epoch, Incarnation, JobId, NodeId, Point, Range } from '../base/types.ts';
import { addFailed } from './failed.ts';
import { IntervalSet } from './interval-set.ts';
import { begunEnd, type Closing, type Emit, exposedEnd, forward, type Lease } from './lease.ts';
import { controlsOf, toleratedPoints } from './options.ts';
import { addReexecuted, reexecutedPoints } from './reexecuted.ts';
import { ReturnedRanges, untried } from './returned.ts';
import { blame } from './suspects.ts';
import { clipText } from './text.ts';
import type {
  Controls,
  Ending,
  FailedRange,
  JobSpec,
  JobState,
  JobView,
  MasterView,
  Output,
  OutputSchema,
  Reexecuted,
  Returned,
  RunEnd,
  Uncertain,
} from './types.ts';
import { addUncertain, cutOut } from './uncertain.ts';

/** All of a job that cannot be worked out from the rest: what a snapshot holds. */
export interface JobImage {
  readonly spec: JobSpec;
  readonly controls: Controls;
  readonly state: JobState;
  readonly waitsFor: JobId | null;
  readonly untold: readonly RunEnd[];
  readonly reason: string | null;
  readonly createdAt: number;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  readonly frontier: Point;
  readonly covered: readonly Range[];
  readonly returned: readonly Returned[];
  readonly tasks: readonly Lease[];
  readonly failed: readonly FailedRange[];
  readonly uncertain: readonly Uncertain[];
  readonly reexecuted: readonly Reexecuted[];
  readonly run: number;
  readonly outputs: readonly Output[];
  readonly schema: OutputSchema | null;
  readonly master: MasterView | null;
  readonly result: Handle | null;
  /** Failed and uncertain points that a person has seen: those of the last start, resume or retry. */
  readonly forgiven: number;
  /** Tasks that failed in a row since then; null once anything was acknowledged. */
  readonly firstFailures: number | null;
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
  #uncertain: readonly Uncertain[] = Object.freeze([]);
  #uncertainPoints = 0;
  #reexecuted: readonly Reexecuted[] = Object.freeze([]);
  #reexecutedPoints = 0;
  #controls: Controls;
  #waitsFor: JobId | null = null;
  #untold: readonly RunEnd[] = Object.freeze([]);
  #run = 1;
  #forgiven = 0;
  #firstFailures: number | null = 0;
  /** While a cancel ends the leases, none of them settles the job. */
  #isCancelling = false;

  constructor(spec: JobSpec, createdAt: number, covered: readonly Range[] = []) {
    this.spec = spec;
    this.createdAt = createdAt;
    this.#controls = Object.freeze(controlsOf(spec.options));
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
    job.#setUncertain(Object.freeze([...image.uncertain]));
    job.#setReexecuted(Object.freeze([...image.reexecuted]));
    job.#controls = Object.freeze(image.controls);
    job.#waitsFor = image.waitsFor;
    job.#untold = image.untold;
    job.#run = image.run;
    job.#forgiven = image.forgiven;
    job.#firstFailures = image.firstFailures;
    job.#checkTally();
    return job;
  }

  get image(): JobImage {
    const tasks = this.#listLeases();
    return { ...this.view, tasks, forgiven: this.#forgiven, firstFailures: this.#firstFailures };
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
    if (this.#waitsFor !== null || request.at < (this.spec.options.at ?? 0)) return null;
    const picked = request.retry === null ? this.#pick(request.size) : this.#returned.takeTried(request.retry);
    if (picked === null) return null;
    const { start, end, touched, attempts, error, checkpoint } = picked;
    const { epoch, worker, incarnation } = request;
    const { id: job } = this.spec;
    const from = { cursor: start, claimed: start, attempts, error, checkpoint };
    const lease: Lease = { epoch, job, start, end, worker, incarnation, ...from };
    this.#leases.set(epoch, lease);
    this.#leasedPoints += end - start;
    this.#tasks = null;
    if (touched > start) this.#setReexecuted(addReexecuted(this.#reexecuted, { start, end: touched }, worker));
    this.#startedAt ??= request.at;
    this.#checkTally();
    emit({ kind: 'task-granted', job: this.spec.id, epoch, worker });
    this.#become('running', null, emit);
    return lease;
  }

  /**
   * False when the epoch is not live here or the cursor or the claim lies beyond its end. A cursor or claim that goes back
   * says nothing new.
   */
  progress(epoch: Epoch, cursor: Point, claimed: Point, emit: Emit): boolean {
    const lease = this.#leases.get(epoch);
    if (lease === undefined || claimed > lease.end) return false;
    if (this.#claims && claimed > lease.claimed) {
      this.#leases.set(epoch, { ...lease, claimed });
      this.#tasks = null;
    }
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

  /**
   * The worker hands out nothing at or beyond `end`: what lies behind goes back untouched. False when the epoch is not
   * live; true, and nothing changes, where there is nothing to cut off or no room for one range more.
   */
  shrink(epoch: Epoch, end: Point, emit: Emit): boolean {
    const lease = this.#leases.get(epoch);
    if (lease === undefined) return false;
    const kept = Math.max(end, lease.claimed);
    const crowded = this.#returned.count + this.#leases.size >= OPEN_RANGES_MAX;
    if (kept >= lease.end || crowded || this.spec.exposure === 'task') return true;
    this.#leases.set(epoch, { ...lease, end: kept });
    this.#leasedPoints -= lease.end - kept;
    this.#tasks = null;
    this.#returned.put(untried({ start: kept, end: lease.end }, kept));
    this.#checkTally();
    emit({ kind: 'task-shrunk', job: this.spec.id, epoch, worker: lease.worker, end: kept });
    return true;
  }

  /** Other controls for what is to come. False when it is finished. */
  set(changes: Partial<Controls>, emit: Emit): boolean {
    if (this.finished) return false;
    this.#controls = Object.freeze({ ...this.#controls, ...changes });
    emit({ kind: 'job-set', job: this.spec.id, controls: this.#controls });
    return true;
  }

  /** It is not to begin before that job is done. */
  waitFor(job: JobId): void {
    assert(this.#startedAt === null, 'only a job that has not begun waits for another');
    this.#waitsFor = job;
  }

  /** The job that it waits for has ended. */
  followed(how: JobState, emit: Emit): void {
    const { id } = this.spec;
    if (this.#waitsFor === null || this.finished) return;
    if (how !== 'done') return this.#become('paused', `job ${this.#waitsFor}, which it waits for, ended ${how}`, emit);
    this.#waitsFor = null;
    // Its state is what it was, and yet it can be granted from now on.
    emit({ kind: 'job-state', job: id, state: this.#state, reason: this.#reason });
  }

  /** Somebody took the word of this run, or nobody ever will. False when it was said already. */
  notified(run: number): boolean {
    const left = this.#untold.filter((end) => end.run !== run);
    if (left.length === this.#untold.length) return false;
    this.#untold = Object.freeze(left);
    return true;
  }

  pause(emit: Emit): boolean {
    if (this.finished) return false;
    this.#become('paused', 'by request', emit);
    return true;
  }

  resume(emit: Emit): boolean {
    if (this.finished) return false;
    if (this.#state === 'paused') {
      this.#forgive();
      // A person lets it go on, whatever became of the job before it.
      this.#waitsFor = null;
    }
    this.#become(this.#startedAt === null ? 'pending' : 'running', null, emit);
    return true;
  }

  /**
   * Failed points within `range` (everywhere when it is null), and uncertain ones if asked, are pending again; a finished
   * job begins its next run, a paused one goes on. Gives why not, or null when it is done.
   */
  retry(range: Range | null, withUncertain: boolean, emit: Emit): string | null {
    if (this.#state === 'cancelled') return 'it was cancelled';
    if (this.#untold.length >= UNTOLD_RUNS_MAX) return `nobody took the word of its last ${UNTOLD_RUNS_MAX} runs yet`;
    const failed = cutOut(this.#failed, range);
    const uncertain = withUncertain
      ? cutOut(this.#uncertain, range)
      : { inside: Object.freeze([]), outside: this.#uncertain };
    const back: readonly Range[] = [...failed.inside, ...uncertain.inside];
    if (back.length === 0) return withUncertain ? 'nothing there failed or is uncertain' : 'nothing there failed';
    const open = this.#returned.count + this.#leases.size + back.length;
    if (open > OPEN_RANGES_MAX || failed.outside.length > FAILED_RANGES_MAX) return 'choose a range with fewer of them';
    this.#setFailed(failed.outside);
    this.#setUncertain(uncertain.outside);
    for (const { start, end } of uncertain.inside) this.#covered.subtract(start, end);
    // They ran, or may have: whoever gets them runs them again.
    for (const range of back) this.#returned.put(untried(range, range.end));
    this.#checkTally();
    this.#forgive();
    if (this.finished) {
      this.#run += 1;
      this.#finishedAt = null;
    }
    if (this.#state !== 'running') this.#enter('running', null, emit);
    return null;
  }

  /** Ends all leases at once. A job of which nothing was left but the last word of a worker is finished, not cancelled. */
  cancel(at: number, emit: Emit): boolean {
    if (this.#state === 'cancelled') return true;
    if (this.finished) return false;
    // What a lease leaves uncertain is no reason to call the job done: it was cancelled before that was known.
    this.#isCancelling = this.#leasedPoints > 0 || this.#covered.points + this.#failedPoints < this.#total;
    for (const lease of this.#leases.values()) {
      this.#close(lease, { how: 'cancelled', touched: exposedEnd(lease, this.spec), error: '', at }, emit);
    }
    this.#isCancelling = false;
    if (this.finished) return true;
    this.#returned.compact();
    this.#finish('cancelled', null, at, emit);
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
    return untried({ start, end: this.#frontier }, start);
  }

  /** Moves the cursor of a live lease forward, the one way in which coverage grows. Null when the report is stale. */
  #advance(epoch: Epoch, cursor: Point, emit: Emit): Lease | null {
    const lease = this.#leases.get(epoch);
    if (lease === undefined || cursor > lease.end) return null;
    if (cursor <= lease.cursor) return lease;
    const from = lease.cursor;
    const fresh = this.#covered.add(from, cursor);
    assert(fresh === cursor - from, 'a covered point is never leased again');
    const moved = { ...lease, cursor, claimed: Math.max(lease.claimed, cursor) };
    this.#leases.set(epoch, moved);
    this.#leasedPoints -= cursor - from;
    this.#tasks = null;
    this.#firstFailures = null;
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
    if (rest !== null) this.#placeRest(lease, closing, emit);
    this.#checkTally();
    if (closing.how === 'failed' && this.#firstFailures !== null) this.#firstFailures += 1;
    this.#settle(closing.at, emit);
    this.#judgeTrouble(lease.worker, closing.error, emit);
  }

  /** What a lease left behind its cursor: uncertain, failed, or back on a shelf. */
  #placeRest(lease: Lease, closing: Closing, emit: Emit): void {
    const { cursor, end, attempts, error } = lease;
    if (this.#claims) return this.#placeClaimed(lease, closing, emit);
    if (closing.how === 'failed') return this.#placeFailure(lease, closing, emit);
    this.#returned.put({ start: cursor, end, touched: closing.touched, attempts, error, checkpoint: null });
  }

  /** At most once: what was begun and not acknowledged never runs again by itself; what was not begun goes back unharmed. */
  #placeClaimed(lease: Lease, { touched, at }: Closing, emit: Emit): void {
    const { cursor, end, epoch, worker } = lease;
    if (touched > cursor) {
      const range = { start: cursor, end: touched };
      this.#covered.add(cursor, touched);
      this.#setUncertain(addUncertain(this.#uncertain, { ...range, epoch, worker, at }));
      emit({ kind: 'range-uncertain', job: this.spec.id, range, worker });
    }
    if (touched < end) this.#returned.put(untried({ start: touched, end }, touched));
  }

  /** The suspects of a failed lease: back on the shelf, whole or in halves, or failed for good. */
  #placeFailure(lease: Lease, { touched, error, at }: Closing, emit: Emit): void {
    const maySplit = this.#returned.count + this.#leases.size + 3 <= OPEN_RANGES_MAX;
    const { back, failed } = blame(lease, touched, error, this.spec.options.maxAttempts, maySplit);
    for (const range of back) this.#returned.put(range);
    if (failed === null) return;
    const { start, end, attempts } = failed;
    const longer = addFailed(this.#failed, { start, end, error, attempts, worker: lease.worker, at });
    if (longer !== null) {
      this.#setFailed(longer);
      emit({ kind: 'range-failed', job: this.spec.id, range: { start, end }, error });
      return;
    }
    // Nothing is dropped and nothing grows without a bound: a person must look at a job that is torn like this.
    this.#become('paused', `it has ${this.#failed.length} failed ranges that cannot be merged`, emit);
    this.#returned.put({ start, end, touched, attempts, error, checkpoint: null });
  }

  /** Pauses a job that fares worse than it may. */
  #judgeTrouble(worker: NodeId, error: string, emit: Emit): void {
    if (this.finished || this.#isCancelling || this.#state === 'paused') return;
    const trouble = this.#failedPoints + this.#uncertainPoints - this.#forgiven;
    const tolerated = toleratedPoints(this.#controls.tolerate, this.#total);
    if ((this.#firstFailures ?? 0) >= FIRST_FAILURES_MAX) {
      const last = `the last on ${worker}: ${error}`;
      this.#become('paused', `its first ${FIRST_FAILURES_MAX} tasks failed in a row, ${last}`, emit);
    } else if (trouble > tolerated) {
      const counts = `${this.#failedPoints} points failed and ${this.#uncertainPoints} are uncertain`;
      this.#become('paused', `${counts}, more than it tolerates (${this.#controls.tolerate})`, emit);
    } else if (this.#uncertain.length > UNCERTAIN_RANGES_MAX) {
      this.#become('paused', `it has ${this.#uncertain.length} uncertain ranges`, emit);
    }
  }

  /** A person has seen what went wrong so far. */
  #forgive(): void {
    this.#forgiven = this.#failedPoints + this.#uncertainPoints;
    this.#firstFailures = 0;
  }

  get #claims(): boolean {
    return this.spec.options.delivery === 'at-most-once';
  }

  #settle(at: number, emit: Emit): void {
    if (this.#isCancelling || this.#leases.size > 0) return;
    if (this.#covered.points + this.#failedPoints < this.#total) return;
    if (this.#failedPoints === 0) this.#finish('done', null, at, emit);
    else this.#finish('failed', `${this.#failedPoints} points failed`, at, emit);
  }

  #finish(state: RunEnd['state'], reason: string | null, at: number, emit: Emit): void {
    this.#finishedAt = at;
    this.#waitsFor = null;
    if (this.spec.overseen || this.spec.options.onDone !== null) {
      this.#untold = Object.freeze([...this.#untold, { run: this.#run, state }]);
    }
    this.#become(state, reason, emit);
    emit({ kind: 'job-finished', job: this.spec.id, run: this.#run, state });
  }

  #become(state: JobState, reason: string | null, emit: Emit): void {
    if (this.#state === state) return;
    assert(!this.finished, 'a finished job changes only by a retry');
    this.#enter(state, reason, emit);
  }

  #enter(state: JobState, reason: string | null, emit: Emit): void {
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

  #setUncertain(uncertain: readonly Uncertain[]): void {
    this.#uncertain = uncertain;
    this.#uncertainPoints = uncertain.reduce((points, range) => points + (range.end - range.start), 0);
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
      get controls() {
        return job.#controls;
      },
      get waitsFor() {
        return job.#waitsFor;
      },
      get untold() {
        return job.#untold;
      },
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
      get uncertain() {
        return job.#uncertain;
      },
      get uncertainPoints() {
        return job.#uncertainPoints;
      },
      get run() {
        return job.#run;
      },
      get reexecuted() {
        return job.#reexecuted;
      },
      get reexecutedPoints() {
        return job.#reexecutedPoints;
      },
      outputs: [],
      schema: null,
      master: null,
      result: null,
    });
  }
}

export function isFinished(state: JobState): boolean {
  return state === 'done' || state === 'failed' || state === 'cancelled';
}
