/**
 * Grants: which job gets the next free slot, and how much of it.
 *
 * A job with work and the fewest slots goes first, so that a small job is not stuck behind a large one; equals go in
 * order of submission. The range itself is picked where the grant is applied (ranges/table.ts), so two grants can never
 * want the same points; what is decided here is only job, worker and size, and a wrong guess costs an empty entry.
 */
import { GRANTS_IN_FLIGHT_MAX, RETRY_MS_MAX, RETRY_MS_MIN, RETURNED_RANGES_MAX } from '../base/limits.ts';
import type { Prng } from '../base/prng.ts';
import type { JobId, NodeId, Point } from '../base/types.ts';
import type { Command, JobView, Table, WorkerView } from '../ranges/types.ts';
import type { Pace } from './pace.ts';

/** A job whose grant found nothing rests this long. */
const HOLD_MS = 100;

export type GrantCommand = Extract<Command, { kind: 'grant' }>;

/** A job that could give work now. */
interface Candidate {
  readonly job: JobView;
  /** Points of ranges that came back unharmed, and of the part never granted. */
  fresh: number;
  /** Starts of failed-before ranges whose back-off is over. */
  readonly retries: Point[];
  /** Slots it has, live and in flight. */
  slots: number;
}

export interface GrantsOptions {
  readonly table: Table;
  readonly pace: Pace;
  readonly prng: Prng;
}

export class Grants {
  readonly #options: GrantsOptions;
  readonly #inFlightOfWorker = new Map<NodeId, number>();
  readonly #inFlightOfJob = new Map<JobId, number>();
  #inFlight = 0;
  /** When a failed-before range may be tried again: by job, then by start and attempts. */
  readonly #eligibleAt = new Map<JobId, Map<string, number>>();
  /** Jobs whose last grant found nothing, and until when they are left alone: a wrong guess must not spin. */
  readonly #heldUntil = new Map<JobId, number>();
  #nextRetryAt = Number.POSITIVE_INFINITY;

  constructor(options: GrantsOptions) {
    this.#options = options;
  }

  /** Monotonic time at which some back-off or rest ends; infinite when none runs. */
  get nextRetryAt(): number {
    return this.#nextRetryAt;
  }

  /** The grants to propose now, for workers that may take tasks. */
  plan(workers: readonly WorkerView[], now: number, at: number): GrantCommand[] {
    const free = workers.filter((worker) => this.#freeSlots(worker) > 0);
    if (free.length === 0 || this.#inFlight >= GRANTS_IN_FLIGHT_MAX) return [];
    const candidates = this.#candidates(now);
    const slots = workers.reduce((sum, worker) => sum + worker.slots, 0);
    const planned: GrantCommand[] = [];
    // Slot by slot over all workers, so that the first worker does not take everything of a small job.
    let open = free;
    while (open.length > 0 && candidates.length > 0 && this.#inFlight < GRANTS_IN_FLIGHT_MAX) {
      const again: WorkerView[] = [];
      for (const worker of open) {
        const grant = this.#pick(candidates, worker, slots, at);
        if (grant === null) continue;
        planned.push(grant);
        this.#count(grant.worker, grant.job, 1);
        if (this.#freeSlots(worker) > 0) again.push(worker);
      }
      open = again;
    }
    return planned;
  }

  /** A grant was applied and gave a task or not, or the log refused it. */
  settled(grant: GrantCommand, gave: boolean, now: number): void {
    this.#count(grant.worker, grant.job, -1);
    if (!gave) this.#heldUntil.set(grant.job, now + HOLD_MS);
  }

  forgetJob(job: JobId): void {
    this.#eligibleAt.delete(job);
    this.#heldUntil.delete(job);
  }

  #count(worker: NodeId, job: JobId, by: number): void {
    this.#inFlight += by;
    this.#inFlightOfWorker.set(worker, (this.#inFlightOfWorker.get(worker) ?? 0) + by);
    this.#inFlightOfJob.set(job, (this.#inFlightOfJob.get(job) ?? 0) + by);
    if (this.#inFlightOfWorker.get(worker) === 0) this.#inFlightOfWorker.delete(worker);
    if (this.#inFlightOfJob.get(job) === 0) this.#inFlightOfJob.delete(job);
  }

  #freeSlots(worker: WorkerView): number {
    return worker.slots - worker.epochs.length - (this.#inFlightOfWorker.get(worker.id) ?? 0);
  }

  #candidates(now: number): Candidate[] {
    const candidates: Candidate[] = [];
    this.#nextRetryAt = Number.POSITIVE_INFINITY;
    for (const job of this.#options.table.jobs()) {
      if (job.state !== 'pending' && job.state !== 'running') continue;
      const heldUntil = this.#heldUntil.get(job.spec.id) ?? 0;
      if (heldUntil > now) {
        this.#nextRetryAt = Math.min(this.#nextRetryAt, heldUntil);
        continue;
      }
      const retries: Point[] = [];
      let fresh = job.returned.length < RETURNED_RANGES_MAX ? job.spec.end - job.frontier : 0;
      for (const range of job.returned) {
        if (range.attempts === 0) fresh += range.end - range.start;
        else if (this.#eligible(job.spec.id, range.start, range.attempts, now)) retries.push(range.start);
      }
      const slots = job.tasks.length + (this.#inFlightOfJob.get(job.spec.id) ?? 0);
      if (fresh > 0 || retries.length > 0) candidates.push({ job, fresh, retries, slots });
    }
    return candidates;
  }

  #eligible(job: JobId, start: Point, attempts: number, now: number): boolean {
    const times = this.#eligibleAt.get(job) ?? new Map<string, number>();
    this.#eligibleAt.set(job, times);
    const key = `${start}:${attempts}`;
    let at = times.get(key);
    if (at === undefined) {
      const full = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (attempts - 1));
      // Half of it is jitter, so that ranges that failed together do not come back together.
      at = now + full / 2 + (this.#options.prng.next() * full) / 2;
      times.set(key, at);
    }
    if (at > now) this.#nextRetryAt = Math.min(this.#nextRetryAt, at);
    return at <= now;
  }

  #pick(candidates: Candidate[], worker: WorkerView, slots: number, at: number): GrantCommand | null {
    let best: Candidate | null = null;
    for (const candidate of candidates) {
      if (candidate.fresh <= 0 && candidate.retries.length === 0) continue;
      if (best !== null && candidate.slots >= best.slots) continue;
      if (worker.offers.some((offer) => offer.name === candidate.job.spec.name)) best = candidate;
    }
    if (best === null) return null;
    best.slots++;
    const { spec } = best.job;
    const grant = { kind: 'grant', at, job: spec.id, worker: worker.id, incarnation: worker.incarnation } as const;
    const retry = best.retries.shift();
    if (retry !== undefined) {
      this.#forgetRetry(spec.id, retry);
      return { ...grant, size: 1, retry };
    }
    const size = spec.options.taskSize ?? this.#options.pace.size(spec.id, worker.id, best.fresh, slots);
    best.fresh -= size;
    return { ...grant, size, retry: null };
  }

  #forgetRetry(job: JobId, start: Point): void {
    const times = this.#eligibleAt.get(job);
    for (const key of times?.keys() ?? []) if (key.startsWith(`${start}:`)) times?.delete(key);
  }
}
