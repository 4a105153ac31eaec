/**
 * Jobs: which jobs the table has, in order of submission, and which of the finished ones it still keeps.
 *
 * Open jobs are never dropped, so too many of them are refused. Finished ones are kept for those who ask later, until
 * they are too many, too old, or in the way of a new one; the longest finished goes first, and one of whose end somebody
 * is still to be told after the others. So it is with what they emitted.
 *
 * Invariants: open jobs, finished jobs, their metadata and, while none is open, their outputs are bounded · the line of the finished holds each of them once.
 */
import { assert, must } from '../base/assert.ts';
import {
  FINISHED_JOBS_AGE_MS,
  FINISHED_JOBS_MAX,
  METADATA_TOTAL_BYTES_MAX,
  OPEN_JOBS_MAX,
  OUTPUTS_TOTAL_MAX,
  UNTOLD_JOBS_MAX,
} from '../base/limits.ts';
import type { JobId } from '../base/types.ts';
import type { Job } from './job.ts';
import type { Emit } from './lease.ts';
import { utf8Length } from './text.ts';
import type { JobSpec } from './types.ts';

export class Jobs {
  readonly #byId = new Map<JobId, Job>();
  /** In the order in which they finished. */
  readonly #finished = new Set<JobId>();
  #metadataBytes = 0;
  /** The part of it that cannot be evicted. */
  #openMetadataBytes = 0;
  /** Of all jobs. */
  #outputCount = 0;

  get outputCount(): number {
    return this.#outputCount;
  }

  /** What is counted as it comes and goes is what a table that was restored would count. */
  check(): void {
    let outputs = 0;
    for (const job of this.#byId.values()) outputs += job.outputCount;
    assert(outputs === this.#outputCount, 'the outputs of all jobs are counted right');
  }

  /** A job has so many outputs more, or fewer. */
  countOutputs(difference: number): void {
    this.#outputCount += difference;
  }

  get(id: JobId): Job | undefined {
    return this.#byId.get(id);
  }

  /** In order of submission. */
  values(): IterableIterator<Job> {
    return this.#byId.values();
  }

  /** Places of the finished jobs among all, in the order in which they finished. */
  finishedPlaces(): number[] {
    const places = new Map([...this.#byId.keys()].map((id, place) => [id, place]));
    return [...this.#finished].map((id) => must(places.get(id), 'a finished job is in the table'));
  }

  idsWith(prefix: string, limit: number): JobId[] {
    const ids: JobId[] = [];
    for (const id of this.#byId.keys()) {
      if (ids.length >= limit) break;
      if (id.startsWith(prefix)) ids.push(id);
    }
    return ids;
  }

  /** Why there is no room for one more; null when there is. */
  refusal(spec: JobSpec): string | null {
    if (this.#byId.size - this.#finished.size >= OPEN_JOBS_MAX) return `${OPEN_JOBS_MAX} jobs are not finished`;
    if (this.#openMetadataBytes + utf8Length(spec.metadata) <= METADATA_TOTAL_BYTES_MAX) return null;
    return `the metadata of unfinished jobs would be more than ${METADATA_TOTAL_BYTES_MAX} bytes`;
  }

  /** Adds an open job, or in a restore a finished one, which `finish` then puts in line. */
  add(job: Job): void {
    const { id, metadata } = job.spec;
    assert(!this.#byId.has(id), 'a job is in the table once');
    this.#byId.set(id, job);
    const bytes = utf8Length(metadata);
    this.#metadataBytes += bytes;
    this.#openMetadataBytes += bytes;
    this.#outputCount += job.outputCount;
  }

  finish(id: JobId): void {
    const job = must(this.#byId.get(id), 'a job that finishes is in the table');
    assert(job.finished && !this.#finished.has(id), 'a job stands in line once');
    this.#finished.add(id);
    this.#openMetadataBytes -= utf8Length(job.spec.metadata);
  }

  /** A finished job is set to work again. */
  reopen(id: JobId): void {
    const job = must(this.#byId.get(id), 'a job that is set to work again is in the table');
    assert(this.#finished.delete(id), 'only a finished job is set to work again');
    this.#openMetadataBytes += utf8Length(job.spec.metadata);
  }

  /** Lets go of finished jobs that are too old or too many, or whose metadata or outputs take too much room. */
  evict(at: number, emit: Emit): void {
    for (const id of this.#finished) {
      const job = this.#finishedJob(id);
      if (at - must(job.view.finishedAt, 'a finished job has a time') <= FINISHED_JOBS_AGE_MS) break;
      this.#drop(job, emit);
    }
    for (const job of this.#fits ? [] : this.#leaving()) {
      if (this.#fits) break;
      this.#drop(job, emit);
    }
    for (const job of this.#outputCount > OUTPUTS_TOTAL_MAX ? this.#leaving() : []) {
      if (this.#outputCount <= OUTPUTS_TOTAL_MAX) return;
      if (job.outputCount > 0) this.#drop(job, emit);
    }
  }

  get #fits(): boolean {
    return this.#finished.size <= FINISHED_JOBS_MAX && this.#metadataBytes <= METADATA_TOTAL_BYTES_MAX;
  }

  /** The finished jobs as they make room: those of whose end somebody is still to be told come last, but for the surplus. */
  #leaving(): Job[] {
    const jobs = [...this.#finished].map((id) => this.#finishedJob(id));
    let surplus = jobs.filter(isUntold).length - UNTOLD_JOBS_MAX;
    const [first, last]: [Job[], Job[]] = [[], []];
    for (const job of jobs) (isUntold(job) && surplus-- <= 0 ? last : first).push(job);
    return [...first, ...last];
  }

  #finishedJob(id: JobId): Job {
    return must(this.#byId.get(id), 'a finished job is in the table');
  }

  #drop(job: Job, emit: Emit): void {
    const { id, metadata } = job.spec;
    this.#finished.delete(id);
    this.#byId.delete(id);
    this.#metadataBytes -= utf8Length(metadata);
    this.#outputCount -= job.outputCount;
    job.evicted();
    emit({ kind: 'job-evicted', job: id });
  }
}

function isUntold({ view }: Job): boolean {
  return view.untold.length > 0;
}
