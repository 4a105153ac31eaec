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

/** What grants that are proposed and not yet applied will take from a job. */
interface UnderWay {
  slots: number;
  points: number;
  readonly retries: Set<Point>;
}

export interface GrantsOptions {
  readonly table: Table;
  readonly pace: Pace;
  readonly prng: Prng;
}

export class Grants {
  readonly #options: GrantsOptions;
  readonly #inFlightOfWorker = new Map<NodeId, number>();
  readonly #inFlightOfJob = new Map<JobId, UnderWay>();
  #inFlight = 0;
  /** When a failed-before range may be tried again: by job, then by start and attempts. Only of ranges that wait. */
  readonly #eligibleAt = new Map<JobId, ReadonlyMap<string, number>>();
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
    // Without a free slot the end of a back-off is no reason to look again; a slot that falls free is.
    this.#nextRetryAt = Number.POSITIVE_INFINITY;
    const free = workers.filter((worker) => this.#freeSlots(worker) > 0);
    if (free.length === 0 || this.#inFlight >= GRANTS_IN_FLIGHT_MAX) return [];
    const candidates = this.#candidates(now);
    const slots = workers.reduce((sum, worker) => sum + worker.slots, 0);
    const planned: GrantCommand[] = [];
    // Slot by slot over all workers, so that the first worker does not take everything of a small job.
    let open = free;
    while (open.length > 0 && candidates.length > 0) {
      const again: WorkerView[] = [];
      for (const worker of open) {
        if (this.#inFlight >= GRANTS_IN_FLIGHT_MAX) return planned;
        const grant = this.#pick(candidates, worker, slots, at);
        if (grant === null) continue;
        planned.push(grant);
        this.#count(grant, 1);
        if (this.#freeSlots(worker) > 0) again.push(worker);
      }
      open = again;
    }
    return planned;
  }

  /** A grant was applied and gave a task or not, or the log refused it. */
  settled(grant: GrantCommand, gave: boolean, now: number): void {
    this.#count(grant, -1);
    if (!gave) this.#heldUntil.set(grant.job, now + HOLD_MS);
  }

  /** Grants to a worker that are proposed and not yet settled. */
  inFlightOf(worker: NodeId): number {
    return this.#inFlightOfWorker.get(worker) ?? 0;
  }

  forgetJob(job: JobId): void {
    this.#eligibleAt.delete(job);
    this.#heldUntil.delete(job);
  }

  #count({ worker, job, size, retry }: GrantCommand, by: 1 | -1): void {
    this.#inFlight += by;
    const ofWorker = (this.#inFlightOfWorker.get(worker) ?? 0) + by;
    if (ofWorker === 0) this.#inFlightOfWorker.delete(worker);
    else this.#inFlightOfWorker.set(worker, ofWorker);
    const ofJob = this.#inFlightOfJob.get(job) ?? { slots: 0, points: 0, retries: new Set() };
    ofJob.slots += by;
    if (retry === null) ofJob.points += by * size;
    else if (by > 0) ofJob.retries.add(retry);
    else ofJob.retries.delete(retry);
    if (ofJob.slots === 0) this.#inFlightOfJob.delete(job);
    else this.#inFlightOfJob.set(job, ofJob);
  }

  #freeSlots(worker: WorkerView): number {
    return worker.slots - worker.epochs.length - this.inFlightOf(worker.id);
  }

  #candidates(now: number): Candidate[] {
    const candidates: Candidate[] = [];
    for (const job of this.#options.table.jobs()) {
      if (job.state !== 'pending' && job.state !== 'running') continue;
      const heldUntil = this.#heldUntil.get(job.spec.id) ?? 0;
      if (heldUntil > now) {
        this.#nextRetryAt = Math.min(this.#nextRetryAt, heldUntil);
        continue;
      }
      const underWay = this.#inFlightOfJob.get(job.spec.id);
      const retries = this.#eligible(job, now).filter((start) => underWay?.retries.has(start) !== true);
      let fresh = job.returned.length < RETURNED_RANGES_MAX ? job.spec.end - job.frontier : 0;
      for (const range of job.returned) if (range.attempts === 0) fresh += range.end - range.start;
      fresh -= underWay?.points ?? 0;
      const slots = job.tasks.length + (underWay?.slots ?? 0);
      if (fresh > 0 || retries.length > 0) candidates.push({ job, fresh, retries, slots });
    }
    return candidates;
  }

  /** Starts of the failed-before ranges of a job whose back-off is over. Begins the back-off of those seen first. */
  #eligible(job: JobView, now: number): Point[] {
    const before = this.#eligibleAt.get(job.spec.id);
    const times = new Map<string, number>();
    const eligible: Point[] = [];
    for (const { start, attempts } of job.returned) {
      if (attempts === 0) continue;
      const key = `${start}:${attempts}`;
      const at = before?.get(key) ?? now + this.#backOff(attempts);
      times.set(key, at);
      if (at <= now) eligible.push(start);
      else this.#nextRetryAt = Math.min(this.#nextRetryAt, at);
    }
    // What waits no more is forgotten with the former map.
    if (times.size > 0) this.#eligibleAt.set(job.spec.id, times);
    else this.#eligibleAt.delete(job.spec.id);
    return eligible;
  }

  #backOff(attempts: number): number {
    const full = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** (attempts - 1));
    // Half of it is jitter, so that ranges that failed together do not come back together.
    return full / 2 + (this.#options.prng.next() * full) / 2;
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
    if (retry !== undefined) return { ...grant, size: 1, retry };
    const size = spec.options.taskSize ?? this.#options.pace.size(spec.id, worker.id, best.fresh, slots);
    best.fresh -= size;
    return { ...grant, size, retry: null };
  }
}
