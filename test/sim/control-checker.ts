/**
 * Control checker: the order in which jobs may begin and end, and what is said of it outside, held against the log.
 *
 * Checked: a job that comes after another begins when that one is done, or when a person lets it go on, and is paused
 * with a reason when that one ends otherwise · nothing is granted before the time that was set · no two jobs of one
 * schedule overlap, and each due time makes a job or is counted as skipped · a notice is of a run that has ended, under
 * the one key of that run · what is struck off as told was taken · at the end everybody is told.
 *
 * It keeps books of its own about what was done, let go and submitted last, and believes no field that the table keeps
 * for the same purpose.
 */
import { must } from '../../src/base/assert.ts';
import type { JobId } from '../../src/base/types.ts';
import { isFinished } from '../../src/ranges/course.ts';
import type { Command, JobState, JobView, Table, TableEvent } from '../../src/ranges/types.ts';
import type { AppliedCommand, Auditor } from './auditor.ts';
import type { Notice, Outside } from './outside.ts';
import type { Trace } from './trace.ts';
import { expectThat } from './violation.ts';

type CommandOf<K extends Command['kind']> = Extract<Command, { readonly kind: K }>;

interface ScheduleBook {
  lastJob: JobId | null;
  skipped: number;
  /** The last due time that was seen to pass. */
  passed: number;
}

export class ControlChecker {
  readonly #table: Table;
  readonly #trace: Trace;
  readonly #outside: Pick<Outside, 'hasTaken'>;
  readonly #states = new Map<JobId, JobState>();
  readonly #done = new Set<JobId>();
  /** Jobs that a person let go on from a pause. */
  readonly #letGo = new Set<JobId>();
  readonly #finishedRuns = new Map<JobId, number>();
  readonly #followers = new Map<JobId, JobId[]>();
  readonly #schedules = new Map<string, ScheduleBook>();

  constructor(auditor: Auditor, trace: Trace, outside: Pick<Outside, 'hasTaken'>) {
    this.#table = auditor.table;
    this.#trace = trace;
    this.#outside = outside;
    auditor.onApplied((applied) => this.#applied(applied));
  }

  /** Open jobs of which nothing can come just now: what they wait for is paused, or lies far ahead. */
  isExcused({ spec, waitsFor, createdAt, startedAt }: JobView, farMs: number): boolean {
    if (startedAt !== null) return false;
    if ((spec.options.at ?? 0) > createdAt + farMs) return true;
    if (waitsFor === null) return false;
    const before = this.#table.job(waitsFor);
    return before !== undefined && (before.state === 'paused' || this.isExcused(before, farMs));
  }

  /** Finished jobs of which the end was not told. */
  get untold(): readonly JobId[] {
    return [...this.#table.jobs()].filter(({ untold }) => untold.length > 0).map(({ spec }) => spec.id);
  }

  noticed({ job, run, key }: Notice): void {
    expectThat(key === `${job}/${run}`, () => `the end of run ${run} of job ${job} is told under the key ${key}`);
    const ended = this.#finishedRuns.get(job) ?? 0;
    expectThat(run <= ended, () => `the end of run ${run} of job ${job} is told, and ${ended} runs have ended`);
  }

  checkAll(): void {
    for (const { spec, state, run, untold } of this.#table.jobs()) {
      if (spec.options.onDone === null || !isFinished(state)) continue;
      // One that came to its end after everything else was at rest may be still to be told.
      const isTold = this.#outside.hasTaken(spec.id, run) || untold.some((end) => end.run === run);
      expectThat(isTold, () => `the end of run ${run} of job ${spec.id} was told to nobody`);
    }
  }

  #applied({ command, outcome, events }: AppliedCommand): void {
    if (command === null) return;
    const isDone = outcome.kind === 'ok';
    if (command.kind === 'control-job' && command.action === 'resume' && isDone) {
      if (this.#states.get(command.id) === 'paused') this.#letGo.add(command.id);
    }
    for (const event of events) this.#event(event, command);
    switch (command.kind) {
      case 'put-schedule':
        return this.#put(command, isDone);
      case 'drop-schedule':
        this.#schedules.delete(command.key);
        return;
      case 'fire-schedule':
        return this.#fired(command, outcome.kind === 'created');
      case 'job-notified': {
        const job = this.#table.job(command.id);
        // The Master of a job is asked after elsewhere: auditor.ts.
        if (!isDone || job === undefined || job.spec.options.onDone === null) return;
        const isTaken = this.#outside.hasTaken(command.id, command.run);
        expectThat(isTaken, () => `run ${command.run} of job ${command.id} is struck off as told, and nobody has it`);
        return;
      }
      default:
    }
  }

  #event(event: TableEvent, command: Command): void {
    switch (event.kind) {
      case 'job-submitted':
        this.#states.set(event.job, 'pending');
        return this.#submitted(event.job);
      case 'job-state':
        this.#states.set(event.job, event.state);
        return;
      case 'task-granted':
        return this.#granted(event.job, command);
      case 'job-finished':
        this.#finishedRuns.set(event.job, event.run);
        if (event.state === 'done') this.#done.add(event.job);
        for (const follower of this.#followers.get(event.job) ?? []) this.#followed(follower, event.job);
        return;
      default:
    }
  }

  #submitted(id: JobId): void {
    const { after } = must(this.#table.job(id), 'a job that was submitted').spec.options;
    if (after === null) return;
    this.#followers.set(after, [...(this.#followers.get(after) ?? []), id]);
    const before = this.#table.job(after);
    if (before !== undefined && isFinished(before.state)) this.#followed(id, after);
  }

  /** The job that this one comes after is finished. */
  #followed(id: JobId, after: JobId): void {
    const job = this.#table.job(id);
    if (job === undefined || job.startedAt !== null || isFinished(job.state) || this.#letGo.has(id)) return;
    if (this.#done.has(after)) {
      this.#trace.count('chain: the next job may begin');
      return expectThat(job.waitsFor === null, () => `job ${id} waits for job ${after}, which is done`);
    }
    this.#trace.count('chain: the next job is paused');
    const says = job.state === 'paused' && job.reason !== null;
    expectThat(says, () => `job ${id} is ${job.state} (${job.reason}), and job ${after} before it is not done`);
  }

  #granted(id: JobId, command: Command): void {
    const { spec, createdAt } = must(this.#table.job(id), 'a job with a lease');
    const { after, at } = spec.options;
    const mayBegin = after === null || this.#done.has(after) || this.#letGo.has(id);
    expectThat(mayBegin, () => `job ${id} begins, and job ${after}, which comes before it, is not done`);
    if (at === null) return;
    const stamp = 'at' in command ? command.at : 0;
    expectThat(stamp >= at, () => `job ${id} is granted at ${stamp}, before its time ${at}`);
    if (at > createdAt) this.#trace.count('a job waited for its time');
  }

  #put({ schedule: { key }, nextAt }: CommandOf<'put-schedule'>, isDone: boolean): void {
    if (!isDone) return;
    const lastJob = this.#schedules.get(key)?.lastJob ?? null;
    this.#schedules.set(key, { lastJob, skipped: 0, passed: (nextAt ?? 0) - 1 });
  }

  #fired({ key, due, missed, id }: CommandOf<'fire-schedule'>, isMade: boolean): void {
    const book = this.#schedules.get(key);
    if (book === undefined || due <= book.passed) {
      return expectThat(!isMade, () => `schedule ${key} made job ${id} of the time ${due}, which is not due`);
    }
    book.passed = due;
    const last = book.lastJob === null ? undefined : this.#table.job(book.lastJob);
    const isBusy = last !== undefined && !isFinished(last.state);
    this.#trace.count(`schedule: ${isMade ? 'made a job' : 'skipped'}`);
    expectThat(
      !isMade || !isBusy,
      () => `schedule ${key} overlaps: job ${book.lastJob} is not over, and ${id} is made`,
    );
    book.skipped += missed + (isMade ? 0 : 1);
    if (isMade) book.lastJob = id;
    const told = this.#table.schedule(key)?.skipped;
    expectThat(told === book.skipped, () => `schedule ${key} skipped ${book.skipped} times, and says ${told}`);
  }
}
