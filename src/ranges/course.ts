/**
 * Course: where a job stands between its submission and the end of its last run, and who is to be told of each end.
 *
 * Invariants: a finished job changes only by its next run · exactly a finished job has a time of finishing · each end of a
 * run is announced once.
 */
import { assert } from '../base/assert.ts';
import type { JobId } from '../base/types.ts';
import type { Emit } from './lease.ts';
import type { JobSpec, JobState, JobView, RunEnd } from './types.ts';

export type CourseImage = Pick<
  JobView,
  'state' | 'reason' | 'startedAt' | 'finishedAt' | 'waitsFor' | 'untold' | 'run'
>;

export class Course {
  readonly #id: JobId;
  /** Somebody wants to hear of each end. */
  readonly #tells: boolean;
  #now: CourseImage = {
    ...{ state: 'pending', reason: null, startedAt: null, finishedAt: null, waitsFor: null, run: 1 },
    untold: Object.freeze([]),
  };

  constructor({ id, overseen, options }: JobSpec) {
    this.#id = id;
    this.#tells = overseen || options.onDone !== null;
  }

  get now(): CourseImage {
    return this.#now;
  }

  get finished(): boolean {
    return isFinished(this.#now.state);
  }

  restore({ state, reason, startedAt, finishedAt, waitsFor, untold, run }: CourseImage): void {
    this.#now = { state, reason, startedAt, finishedAt, waitsFor, untold, run };
  }

  /** Its first grant, or a later one. */
  granted(at: number, emit: Emit): void {
    this.#set({ startedAt: this.#now.startedAt ?? at });
    this.become('running', null, emit);
  }

  become(state: JobState, reason: string | null, emit: Emit): void {
    if (this.#now.state === state) return;
    assert(!this.finished, 'a finished job changes only by a retry');
    this.#enter(state, reason, emit);
  }

  finish(state: RunEnd['state'], reason: string | null, at: number, emit: Emit): void {
    const { untold, run } = this.#now;
    this.#set({ finishedAt: at, waitsFor: null });
    if (this.#tells) this.#set({ untold: Object.freeze([...untold, { run, state }]) });
    this.become(state, reason, emit);
    emit({ kind: 'job-finished', job: this.#id, run, state });
  }

  /** At work again, and, where it had finished, in its next run. */
  goOn(emit: Emit): void {
    if (this.finished) this.#set({ run: this.#now.run + 1, finishedAt: null });
    if (this.#now.state !== 'running') this.#enter('running', null, emit);
  }

  /** It is not to begin before that job is done; null: it waits for none. */
  waitFor(job: JobId | null): void {
    assert(job === null || this.#now.startedAt === null, 'only a job that has not begun waits for another');
    this.#set({ waitsFor: job });
  }

  /** The job that it waits for has ended. */
  followed(how: JobState, emit: Emit): void {
    const { waitsFor } = this.#now;
    if (waitsFor === null || this.finished) return;
    if (how !== 'done') return this.become('paused', `job ${waitsFor}, which it waits for, ended ${how}`, emit);
    this.#set({ waitsFor: null });
    // Its state is what it was, and yet it can be granted from now on.
    this.#enter(this.#now.state, this.#now.reason, emit);
  }

  /** The word of this run was taken. False when that was said already. */
  notified(run: number): boolean {
    const { untold } = this.#now;
    const left = untold.filter((end) => end.run !== run);
    if (left.length === untold.length) return false;
    this.#set({ untold: Object.freeze(left) });
    return true;
  }

  #enter(state: JobState, reason: string | null, emit: Emit): void {
    this.#set({ state, reason });
    emit({ kind: 'job-state', job: this.#id, state, reason });
  }

  #set(changes: Partial<CourseImage>): void {
    this.#now = { ...this.#now, ...changes };
  }
}

export function isFinished(state: JobState): boolean {
  return state === 'done' || state === 'failed' || state === 'cancelled';
}
