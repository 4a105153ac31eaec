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
 * no lease and changes only by a retry · what it emitted came with the coverage of its points.
 */
import { assert } from '../base/assert.ts';
import type { Handle } from '../base/handle.ts';
import {
  ERROR_TEXT_MAX,
  OPEN_RANGES_MAX,
  OUTPUTS_PER_JOB_MAX,
  RETURNED_RANGES_MAX,
  UNTOLD_RUNS_MAX,
} from '../base/limits.ts';
import type { Epoch, Incarnation, JobId, LogIndex, NodeId, Point, Range } from '../base/types.ts';
import type { Blobs } from './blobs.ts';
import { blameWhole, goesFurther, handlesOf } from './checkpoints.ts';
import { Collecting, masterComplaint } from './collecting.ts';
import { Course, type CourseImage } from './course.ts';
import { IntervalSet } from './interval-set.ts';
import { begunEnd, type Closing, type Emit, exposedEnd, forward, type Lease } from './lease.ts';
import { Leases } from './leases.ts';
import { liveView } from './live-view.ts';
import { Losses, type LossesImage } from './losses.ts';
import { controlsOf } from './options.ts';
import { NOTHING, OK, type Refusal, refused } from './outcomes.ts';
import { freshOutputs, isForOutputs, Outputs, TOO_MANY_IN_ALL, TOO_MANY_OUTPUTS } from './outputs.ts';
import { ReturnedRanges, untried } from './returned.ts';
import { blame } from './suspects.ts';
import { clipText } from './text.ts';
import type {
  Command,
  Controls,
  Ending,
  Headway,
  JobSpec,
  JobState,
  JobView,
  MasterView,
  Outcome,
  Output,
  OutputSchema,
  Returned,
  StampedOutput,
} from './types.ts';

type CommandOf<K extends Command['kind']> = Extract<Command, { readonly kind: K }>;

/** All of a job that cannot be worked out from the rest: what a snapshot holds. */
export interface JobImage extends LossesImage, CourseImage {
  readonly spec: JobSpec;
  readonly controls: Controls;
  readonly createdAt: number;
  readonly frontier: Point;
  readonly covered: readonly Range[];
  readonly returned: readonly Returned[];
  readonly tasks: readonly Lease[];
  readonly outputs: readonly Output[];
  readonly schema: OutputSchema | null;
  readonly master: MasterView | null;
  readonly result: Handle | null;
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
  readonly #blobs: Blobs;
  readonly #course: Course;
  #frontier: Point;
  readonly #covered: IntervalSet;
  readonly #returned = new ReturnedRanges();
  readonly #leases = new Leases();
  readonly #losses = new Losses();
  readonly #outputs: Outputs;
  readonly #collecting: Collecting;
  #controls: Controls;
  /** While a cancel ends the leases, none of them settles the job. */
  #isCancelling = false;

  /** It holds its input as long as it is in the table. */
  constructor(spec: JobSpec, createdAt: number, blobs: Blobs, covered: readonly Range[] = []) {
    this.spec = spec;
    this.createdAt = createdAt;
    this.#blobs = blobs;
    this.#course = new Course(spec);
    this.#outputs = new Outputs(blobs);
    this.#collecting = new Collecting(blobs);
    this.#controls = Object.freeze(controlsOf(spec.options));
    this.#frontier = spec.start;
    this.#covered = IntervalSet.from(covered);
    this.view = this.#makeView();
    if (spec.input !== null) blobs.hold(spec.input.hash);
  }

  static restore(image: JobImage, blobs: Blobs): Job {
    const job = new Job(image.spec, image.createdAt, blobs, image.covered);
    job.#course.restore(image);
    job.#frontier = image.frontier;
    for (const range of image.returned) job.#returned.restore(range);
    for (const lease of image.tasks) job.#leases.set(lease);
    job.#losses.restore(image);
    job.#outputs.restore(image.outputs, image.schema);
    job.#collecting.restore(image.master, image.result);
    job.#controls = Object.freeze(image.controls);
    for (const { hash } of handlesOf({ ...job.view, spec: { ...image.spec, input: null } })) blobs.hold(hash);
    job.#checkTally();
    return job;
  }

  get image(): JobImage {
    const { forgiven, firstFailures } = this.#losses;
    return { ...this.view, tasks: this.#leases.list, forgiven, firstFailures };
  }

  get finished(): boolean {
    return this.#course.finished;
  }

  lease(epoch: Epoch): Lease | undefined {
    return this.#leases.get(epoch);
  }

  get outputCount(): number {
    return this.#outputs.count;
  }

  /** It has added outputs, and open jobs together have too many. */
  crowd(emit: Emit): void {
    const { state } = this.#course.now;
    if (!this.finished && !this.#isCancelling && state !== 'paused')
      this.#course.become('paused', TOO_MANY_IN_ALL, emit);
  }

  /** It leaves the table. */
  evicted(): void {
    for (const { hash } of handlesOf(this.view)) this.#blobs.release(hash);
  }

  /** A lease on a range picked here, or null when there is nothing to give. */
  grant(request: GrantRequest, emit: Emit): Lease | null {
    const { state, waitsFor } = this.#course.now;
    if ((state !== 'pending' && state !== 'running') || waitsFor !== null) return null;
    if (request.at < (this.spec.options.at ?? 0)) return null;
    const picked = request.retry === null ? this.#pick(request.size) : this.#returned.takeTried(request.retry);
    if (picked === null) return null;
    const { start, end, touched, attempts, error, checkpoint } = picked;
    const { epoch, worker, incarnation } = request;
    const { id: job } = this.spec;
    const from = { cursor: start, claimed: start, attempts, error, checkpoint };
    const lease: Lease = { epoch, job, start, end, worker, incarnation, ...from };
    this.#leases.set(lease);
    if (touched > start) this.#losses.ranAgain({ start, end: touched }, worker);
    this.#checkTally();
    emit({ kind: 'task-granted', job: this.spec.id, epoch, worker });
    this.#course.granted(request.at, emit);
    return lease;
  }

  /**
   * 'stale' when the epoch is not live here, or the cursor or the claim lies beyond its end. 'refused' when what was
   * emitted cannot be kept: its lease must end, but its code still runs, and nobody else may get the range before it was
   * told so. A cursor or claim that goes back says nothing new.
   */
  progress(headway: Headway, emit: Emit): 'live' | 'stale' | 'refused' {
    const { epoch, claimed } = headway;
    const lease = this.#leases.get(epoch);
    if (lease === undefined || claimed > lease.end) return 'stale';
    const moved = this.#advance(headway, emit);
    if ('code' in moved) return moved.code === 'STALE_EPOCH' ? 'stale' : 'refused';
    if (this.#claims && claimed > moved.claimed) this.#leases.set({ ...moved, claimed });
    return 'live';
  }

  /**
   * Progress, then the end: short of the committed end the rest goes back. Refused when the epoch is stale; and where what
   * was emitted cannot be kept, its range goes back, or fails, as if nothing of this had been said.
   */
  complete(ending: Ending, at: number, emit: Emit): Outcome {
    return this.#end(ending, '', at, emit, ({ cursor, end }) => (cursor === end ? 'completed' : 'released'));
  }

  fail(ending: Ending, error: string, at: number, emit: Emit): Outcome {
    return this.#end(ending, clipText(error, ERROR_TEXT_MAX), at, emit, () => 'failed');
  }

  release(ending: Ending, at: number, emit: Emit): Outcome {
    return this.#end(ending, '', at, emit, () => 'released');
  }

  /** The worker is lost, and with it the word on what it had begun: all that it was allowed to may have run. */
  expire(epoch: Epoch, at: number, emit: Emit): void {
    const lease = this.#leases.get(epoch);
    assert(lease !== undefined, 'a worker holds only live leases');
    this.#close(lease, { how: 'expired', touched: exposedEnd(lease, this.spec), error: '', at }, emit);
  }

  /**
   * The worker hands out nothing at or beyond `end`: what lies behind goes back untouched. False when the epoch is not
   * live; true, and nothing changes, where there is nothing to cut off or no room for one range more, and for a range with a checkpoint.
   */
  shrink(epoch: Epoch, end: Point, emit: Emit): boolean {
    const lease = this.#leases.get(epoch);
    if (lease === undefined) return false;
    const kept = Math.max(end, lease.claimed);
    const isWhole = this.spec.exposure === 'task' || lease.checkpoint !== null;
    if (kept >= lease.end || isWhole || this.#isCrowded) return true;
    this.#leases.set({ ...lease, end: kept });
    this.#returned.put(untried({ start: kept, end: lease.end }, kept));
    this.#checkTally();
    emit({ kind: 'task-shrunk', job: this.spec.id, epoch, worker: lease.worker, end: kept });
    return true;
  }

  /** A pipeline has come further with the whole range of a live lease. */
  checkpoint({ epoch, checkpoint, stamp }: CommandOf<'checkpoint'>, emit: Emit): Outcome {
    const lease = this.#leases.get(epoch);
    if (lease === undefined) return refused('STALE_EPOCH', `epoch ${epoch} has ended`);
    if (lease.cursor > lease.start || !goesFurther(checkpoint, lease)) return NOTHING;
    const lost = this.#blobs.refusal(checkpoint.handle.hash, stamp);
    if (lost !== null) return refused('BLOB_CONDEMNED', lost);
    this.#blobs.hold(checkpoint.handle.hash);
    this.#leases.set({ ...this.#withoutCheckpoint(lease), checkpoint });
    const { worker } = lease;
    emit({ kind: 'task-checkpointed', job: this.spec.id, epoch, worker, stage: checkpoint.stage });
    return OK;
  }

  /** Whoever leads now is its Master from here on. */
  takeMaster(epoch: LogIndex, emit: Emit): Outcome {
    if (this.finished || !this.spec.collects) return this.#hasNothingTo('collect');
    this.#collecting.take(epoch);
    emit({ kind: 'master-taken', job: this.spec.id, epoch });
    return { kind: 'taken', epoch };
  }

  /** Outputs go, and the state in which they are comes, at once. */
  fold({ epoch, outputs, state, stamp }: CommandOf<'fold'>, emit: Emit): Outcome {
    const refusal = this.#refuseMaster(epoch, state, stamp);
    if (refusal !== null) return refusal;
    if (!this.#outputs.fold(outputs)) {
      return refused('WRONG_STATE', `job ${this.spec.id} has no output at some of the points that are to be folded`);
    }
    this.#collecting.fold(outputs.length, state);
    emit({ kind: 'outputs-folded', job: this.spec.id, count: outputs.length });
    const { now } = this.#course;
    const isPausedForThem = now.state === 'paused' && isForOutputs(now.reason);
    if (isPausedForThem && this.#outputs.count <= OUTPUTS_PER_JOB_MAX / 2) this.#course.become('running', null, emit);
    return OK;
  }

  /** Its Master has the last word: everything is covered and folded. */
  finishMaster({ epoch, result, stamp, at }: CommandOf<'finish-master'>, emit: Emit): Outcome {
    const refusal = this.#refuseMaster(epoch, result, stamp);
    if (refusal !== null) return refusal;
    if (this.#leases.count > 0 || this.#covered.points < this.#total || this.#outputs.count > 0) {
      return refused('WRONG_STATE', `job ${this.spec.id} is not covered, or has outputs that are not folded`);
    }
    this.#collecting.setResult(result);
    this.#course.finish('done', null, at, emit);
    return OK;
  }

  /** Somebody has to look at what its Master does wrong. */
  masterFailed({ epoch, error }: CommandOf<'master-failed'>, emit: Emit): Outcome {
    const refusal = this.#refuseMaster(epoch, null, 0);
    if (refusal !== null) return refusal;
    if (this.#course.now.state !== 'paused') this.#course.become('paused', masterComplaint(error), emit);
    return OK;
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
    this.#course.waitFor(job);
  }

  /** The job that it waits for has ended. */
  followed(how: JobState, emit: Emit): void {
    this.#course.followed(how, emit);
  }

  /** The word of this run was taken. False when that was said already. */
  notified(run: number): boolean {
    return this.#course.notified(run);
  }

  pause(emit: Emit): boolean {
    if (this.finished) return false;
    this.#course.become('paused', 'by request', emit);
    return true;
  }

  resume(emit: Emit): boolean {
    if (this.finished) return false;
    const { state, startedAt } = this.#course.now;
    if (state === 'paused') {
      this.#losses.forgive();
      // A person lets it go on, whatever became of the job before it.
      this.#course.waitFor(null);
    }
    this.#course.become(startedAt === null ? 'pending' : 'running', null, emit);
    return true;
  }

  /**
   * Failed points within `range` (everywhere when it is null), and uncertain ones if asked, are pending again; a finished
   * job begins its next run, a paused one goes on. Gives why not, or null when it is done.
   */
  retry(range: Range | null, withUncertain: boolean, emit: Emit): string | null {
    const { state, untold } = this.#course.now;
    if (state === 'cancelled') return 'it was cancelled';
    if (untold.length >= UNTOLD_RUNS_MAX) return `nobody took the word of its last ${UNTOLD_RUNS_MAX} runs yet`;
    const cut = this.#losses.cut(range, withUncertain);
    const back: readonly Range[] = [...cut.failed, ...cut.uncertain];
    if (back.length === 0) return withUncertain ? 'nothing there failed or is uncertain' : 'nothing there failed';
    const open = this.#returned.count + this.#leases.count + back.length;
    if (open > OPEN_RANGES_MAX || !this.#losses.leave(cut)) return 'choose a range with fewer of them';
    for (const { start, end } of cut.uncertain) this.#covered.subtract(start, end);
    // They ran, or may have: whoever gets them runs them again.
    for (const range of back) this.#returned.put(untried(range, range.end));
    this.#checkTally();
    this.#losses.forgive();
    if (this.finished) this.#collecting.setResult(null);
    this.#course.goOn(emit);
    return null;
  }

  /** Ends all leases at once. A job of which nothing was left but the last word of a worker is finished, not cancelled. */
  cancel(at: number, emit: Emit): boolean {
    if (this.#course.now.state === 'cancelled') return true;
    if (this.finished) return false;
    // What a lease leaves uncertain is no reason to call the job done: it was cancelled before that was known.
    this.#isCancelling = this.#leases.points > 0 || !this.#isWorked || this.#awaitsMaster;
    for (const lease of this.#leases.list) {
      this.#close(lease, { how: 'cancelled', touched: exposedEnd(lease, this.spec), error: '', at }, emit);
    }
    this.#isCancelling = false;
    if (this.finished) return true;
    for (const { checkpoint } of this.#returned.list)
      if (checkpoint !== null) this.#blobs.release(checkpoint.handle.hash);
    this.#returned.compact();
    this.#course.finish('cancelled', null, at, emit);
    this.#checkTally();
    return true;
  }

  /** The next range without a failure: one that came back, else from the frontier. */
  #pick(size: number): Returned | null {
    assert(size >= 1, 'a grant asks for at least one point');
    const crowded = this.#isCrowded;
    // Cutting a range makes one more of them; a crowded job gives whole ones only.
    const back = this.#returned.takeFresh(crowded ? Number.MAX_SAFE_INTEGER : size);
    if (back !== null) return back;
    const start = this.#frontier;
    if (start === this.spec.end || crowded || this.#returned.count >= RETURNED_RANGES_MAX) return null;
    this.#frontier = forward(start, size, this.spec.end);
    return untried({ start, end: this.#frontier }, start);
  }

  /**
   * Moves the cursor of a live lease forward, and brings what its points emitted: the one way in which coverage grows.
   * All of it or, where something cannot be kept, nothing.
   */
  #advance(said: Omit<Headway, 'claimed'>, emit: Emit): Lease | Refusal {
    const { epoch, cursor, outputs } = said;
    const lease = this.#leases.get(epoch);
    if (lease === undefined) return refused('STALE_EPOCH', `epoch ${epoch} has ended`);
    const fresh = cursor > lease.end ? null : freshOutputs(outputs, lease, cursor);
    if (fresh === null) return refused('STALE_EPOCH', `epoch ${epoch} ends before ${cursor}, or emitted otherwise`);
    const refusal = this.#refuseOutputs(fresh);
    if (refusal !== null) return refusal;
    if (cursor <= lease.cursor) return lease;
    const from = lease.cursor;
    const added = this.#covered.add(from, cursor);
    assert(added === cursor - from, 'a covered point is never leased again');
    const moved = { ...this.#withoutCheckpoint(lease), cursor, claimed: Math.max(lease.claimed, cursor) };
    this.#leases.set(moved);
    this.#losses.acknowledged();
    this.#outputs.add(fresh);
    this.#checkTally();
    emit({ kind: 'task-progressed', job: this.spec.id, epoch, worker: lease.worker, from, to: cursor });
    this.#judgeOutputs(fresh, emit);
    return moved;
  }

  #end(ending: Ending, error: string, at: number, emit: Emit, howOf: (lease: Lease) => Closing['how']): Outcome {
    const lease = this.#leases.get(ending.epoch);
    if (lease === undefined) return refused('STALE_EPOCH', `epoch ${ending.epoch} has ended`);
    const moved = this.#advance(ending, emit);
    if ('code' in moved) {
      if (moved.code !== 'STALE_EPOCH') this.#closeRefused(lease, ending, moved, at, emit);
      return moved;
    }
    this.#close(moved, { how: howOf(moved), touched: begunEnd(moved, ending), error, at }, emit);
    return OK;
  }

  /** Another schema is a failure like any other; copies that are gone are nobody's fault. */
  #closeRefused(lease: Lease, ending: Ending, { code, detail }: Refusal, at: number, emit: Emit): void {
    const isConflict = code === 'SCHEMA_CONFLICT';
    const error = isConflict ? clipText(detail, ERROR_TEXT_MAX) : '';
    this.#close(lease, { how: isConflict ? 'failed' : 'released', touched: begunEnd(lease, ending), error, at }, emit);
  }

  /** Why these cannot be kept; null when they can. */
  #refuseOutputs(outputs: readonly StampedOutput[]): Refusal | null {
    const lost = this.#outputs.lost(outputs);
    if (lost !== null) return refused('BLOB_CONDEMNED', lost);
    const conflict = this.#outputs.conflict(outputs);
    if (conflict !== null) return refused('SCHEMA_CONFLICT', conflict);
    return this.#outputs.hasRoomFor(outputs.length) ? null : refused('OVERLOADED', TOO_MANY_OUTPUTS);
  }

  #judgeOutputs(outputs: readonly StampedOutput[], emit: Emit): void {
    const [first] = outputs;
    if (first === undefined) return;
    emit({ kind: 'outputs-added', job: this.spec.id, from: first.start, count: outputs.length });
    if (this.#outputs.count >= OUTPUTS_PER_JOB_MAX && !this.#isCancelling)
      this.#course.become('paused', TOO_MANY_OUTPUTS, emit);
  }

  /** Why what a Master says does not count; null when it does. */
  #refuseMaster(epoch: LogIndex, handle: Handle | null, stamp: LogIndex): Refusal | null {
    if (this.finished || !this.spec.collects) return this.#hasNothingTo('collect');
    if (!this.#collecting.isMaster(epoch)) {
      return refused('STALE_EPOCH', `another Master took job ${this.spec.id} after epoch ${epoch}`);
    }
    const lost = handle === null ? null : this.#blobs.refusal(handle.hash, stamp);
    return lost === null ? null : refused('BLOB_CONDEMNED', lost);
  }

  #hasNothingTo(action: string): Refusal {
    return refused('WRONG_STATE', `job ${this.spec.id} is ${this.#course.now.state}: there is nothing to ${action}`);
  }

  /** The lease without its checkpoint, which is let go. */
  #withoutCheckpoint(lease: Lease): Lease {
    if (lease.checkpoint !== null) this.#blobs.release(lease.checkpoint.handle.hash);
    return { ...lease, checkpoint: null };
  }

  #close(lease: Lease, closing: Closing, emit: Emit): void {
    const { epoch, worker, cursor, end } = lease;
    this.#leases.remove(epoch);
    const rest = cursor < end ? { start: cursor, end } : null;
    emit({ kind: 'task-ended', job: this.spec.id, epoch, worker, how: closing.how, rest });
    if (rest !== null) this.#placeRest(lease, closing, emit);
    this.#checkTally();
    if (closing.how === 'failed') this.#losses.taskFailed();
    this.#settle(closing.at, emit);
    this.#judgeTrouble(lease.worker, closing.error, emit);
  }

  /** What a lease left behind its cursor: uncertain, failed, or back on a shelf. */
  #placeRest(lease: Lease, closing: Closing, emit: Emit): void {
    const { cursor, end, attempts, error, checkpoint } = lease;
    if (this.#claims) return this.#placeClaimed(lease, closing, emit);
    if (closing.how === 'failed') return this.#placeFailure(lease, closing, emit);
    this.#returned.put({ start: cursor, end, touched: closing.touched, attempts, error, checkpoint });
  }

  /** At most once: what was begun and not acknowledged never runs again by itself; what was not begun goes back unharmed. */
  #placeClaimed(lease: Lease, { touched, at }: Closing, emit: Emit): void {
    const { cursor, end, epoch, worker } = lease;
    this.#withoutCheckpoint(lease);
    if (touched > cursor) {
      const range = { start: cursor, end: touched };
      this.#covered.add(cursor, touched);
      this.#losses.addUncertain({ ...range, epoch, worker, at });
      emit({ kind: 'range-uncertain', job: this.spec.id, range, worker });
    }
    if (touched < end) this.#returned.put(untried({ start: touched, end }, touched));
  }

  /** The suspects of a failed lease: back on the shelf, whole or in halves, or failed for good. */
  #placeFailure(lease: Lease, { touched, error, at }: Closing, emit: Emit): void {
    const { maxAttempts } = this.spec.options;
    const maySplit = this.#returned.count + this.#leases.count + 3 <= OPEN_RANGES_MAX;
    const isWhole = lease.checkpoint !== null;
    const { back, failed } = isWhole
      ? blameWhole(lease, touched, error, maxAttempts)
      : blame(lease, touched, error, maxAttempts, maySplit);
    for (const range of back) this.#returned.put(range);
    if (failed === null) return;
    const { start, end, attempts } = failed;
    this.#withoutCheckpoint(lease);
    if (this.#losses.addFailed({ start, end, error, attempts, worker: lease.worker, at })) {
      emit({ kind: 'range-failed', job: this.spec.id, range: { start, end }, error });
      return;
    }
    // Nothing is dropped and nothing grows without a bound: a person must look at a job that is torn like this.
    this.#course.become('paused', `it has ${this.#losses.failed.length} failed ranges that cannot be merged`, emit);
    this.#returned.put({ start, end, touched, attempts, error, checkpoint: null });
  }

  /** Pauses a job that fares worse than it may. */
  #judgeTrouble(worker: NodeId, error: string, emit: Emit): void {
    if (this.finished || this.#isCancelling || this.#course.now.state === 'paused') return;
    const complaint = this.#losses.complaint(this.#controls.tolerate, this.#total, `${worker}: ${error}`);
    if (complaint !== null) this.#course.become('paused', complaint, emit);
  }

  get #claims(): boolean {
    return this.spec.options.delivery === 'at-most-once';
  }

  /** One range more would be more than a job may have. */
  get #isCrowded(): boolean {
    return this.#returned.count + this.#leases.count >= OPEN_RANGES_MAX;
  }

  /** Every point is covered or has failed. */
  get #isWorked(): boolean {
    return this.#covered.points + this.#losses.failedPoints === this.#total;
  }

  /** It could be done if its Master were. */
  get #awaitsMaster(): boolean {
    return this.spec.collects && this.#losses.failedPoints === 0;
  }

  #settle(at: number, emit: Emit): void {
    if (this.#isCancelling || this.#leases.count > 0 || !this.#isWorked || this.#awaitsMaster) return;
    const { failedPoints } = this.#losses;
    if (failedPoints === 0) this.#course.finish('done', null, at, emit);
    else this.#course.finish('failed', `${failedPoints} points failed`, at, emit);
  }

  get #total(): number {
    return this.spec.end - this.spec.start;
  }

  /** The cheap half of the tiling invariant, after every change; invariants.ts has the whole. */
  #checkTally(): void {
    const ahead = this.spec.end - this.#frontier;
    const apart = this.#leases.points + this.#returned.points + this.#losses.failedPoints;
    assert(
      this.#covered.points + apart + ahead === this.#total,
      'covered, leased, returned, failed and never granted points are all points of a job',
    );
  }

  #makeView(): JobView {
    return liveView<JobView>({
      spec: () => this.spec,
      createdAt: () => this.createdAt,
      controls: () => this.#controls,
      waitsFor: () => this.#course.now.waitsFor,
      untold: () => this.#course.now.untold,
      state: () => this.#course.now.state,
      reason: () => this.#course.now.reason,
      startedAt: () => this.#course.now.startedAt,
      finishedAt: () => this.#course.now.finishedAt,
      frontier: () => this.#frontier,
      covered: () => this.#covered.ranges,
      coveredPoints: () => this.#covered.points,
      returned: () => this.#returned.list,
      tasks: () => this.#leases.list,
      failed: () => this.#losses.failed,
      failedPoints: () => this.#losses.failedPoints,
      uncertain: () => this.#losses.uncertain,
      uncertainPoints: () => this.#losses.uncertainPoints,
      run: () => this.#course.now.run,
      reexecuted: () => this.#losses.reexecuted,
      reexecutedPoints: () => this.#losses.reexecutedPoints,
      outputs: () => this.#outputs.list,
      schema: () => this.#outputs.schema,
      master: () => this.#collecting.master,
      result: () => this.#collecting.result,
    });
  }
}
