/**
 * Grants: which job gets the next free slot, and how much of it.
 *
 * The job of the highest priority goes first, strictly; among equals the one with the fewest slots for its weight, so that
 * a small job is not stuck behind a large one; then the one that was submitted first. A job that cannot be given anything
 * just now (its limit of tasks is reached, its bucket is empty, its throttle holds, its time has not come) keeps nobody
 * waiting. The range itself is picked where the grant is applied (ranges/table.ts), so two grants can never want the same
 * points; what is decided here is only job, worker and size, and a wrong guess costs an empty entry.
 */
import { GRANTS_IN_FLIGHT_MAX, RETURNED_RANGES_MAX } from '../base/limits.ts';
import type { Prng } from '../base/prng.ts';
import { isRunner } from '../base/runner-id.ts';
import type { JobId, NodeId, Point } from '../base/types.ts';
import type { Command, JobSpec, JobView, Table, WorkerView } from '../ranges/types.ts';
import { BackOffs, type Shelf, type Tried } from './back-offs.ts';
import { Bucket } from './bucket.ts';
import type { Pace } from './pace.ts';
import type { Vacancies } from './vacancies.ts';

/** A job whose grant found nothing rests this long. */
const HOLD_MS = 100;

export type GrantCommand = Extract<Command, { kind: 'grant' }>;

/** A job that could give work now. */
interface Candidate {
  readonly job: JobView;
  /** Points of ranges that came back unharmed, and of the part never granted. */
  fresh: number;
  /** Failed-before ranges whose back-off is over. */
  readonly tried: Tried[];
  /** Slots it has, live and in flight. */
  slots: number;
  readonly bucket: Bucket | null;
}

/** What grants that are proposed and not yet applied will take from a job. */
interface UnderWay {
  slots: number;
  points: number;
  readonly retries: Set<Point>;
}

/** The moment of a plan: monotonic time, and the stamp of the commands. */
export interface Moment {
  readonly now: number;
  readonly at: number;
}

export interface GrantsOptions {
  readonly table: Table;
  readonly pace: Pace;
  readonly prng: Prng;
  readonly vacancies: Pick<Vacancies, 'free' | 'slots'>;
  /** Something outside the table holds the job back. */
  readonly isHeld: (job: JobId) => boolean;
  /** Its Master has so much to take in that nothing new of it is to be granted. */
  readonly isBehind: (job: JobView) => boolean;
  /** Leases that a worker may hold: its slots, or fewer. */
  readonly leasesMax: (worker: WorkerView) => number;
}

export class Grants {
  readonly #options: GrantsOptions;
  readonly #inFlightOfWorker = new Map<NodeId, number>();
  readonly #inFlightOfJob = new Map<JobId, UnderWay>();
  #inFlight = 0;
  readonly #backOffs: BackOffs;
  /** Jobs whose last grant found nothing, and until when they are left alone: a wrong guess must not spin. */
  readonly #heldUntil = new Map<JobId, number>();
  /** Of jobs with a rate. */
  readonly #buckets = new Map<JobId, Bucket>();
  #nextLookAt = Number.POSITIVE_INFINITY;

  constructor(options: GrantsOptions) {
    this.#options = options;
    this.#backOffs = new BackOffs(options.prng);
  }

  /** Monotonic time at which some job can be given more without any other event; infinite when there is none. */
  get nextLookAt(): number {
    return this.#nextLookAt;
  }

  /** The grants to propose now. */
  plan(moment: Moment): GrantCommand[] {
    this.#nextLookAt = Number.POSITIVE_INFINITY;
    if (this.#inFlight >= GRANTS_IN_FLIGHT_MAX) return [];
    const { vacancies } = this.#options;
    // Without a free slot no passing of time is a reason to look again; a slot that falls free is.
    if (vacancies.free().next().done === true) return [];
    const candidates = this.#candidates(moment);
    const planned: GrantCommand[] = [];
    // Slot by slot over all workers, so that the first worker does not take everything of a small job.
    for (let open: Iterable<WorkerView> = vacancies.free(); ; ) {
      const again: WorkerView[] = [];
      for (const worker of open) {
        if (candidates.length === 0 || this.#inFlight >= GRANTS_IN_FLIGHT_MAX) return planned;
        const grant = this.#pick(candidates, worker, moment);
        if (grant === null) continue;
        planned.push(grant);
        this.#count(grant, 1);
        if (this.freeSlots(worker) > 0) again.push(worker);
      }
      if (again.length === 0) return planned;
      open = again;
    }
  }

  /** A grant was applied and gave a task of so many points; 0: it gave none, or the log refused it. */
  settled(grant: GrantCommand, points: number, now: number): void {
    this.#count(grant, -1);
    this.#buckets.get(grant.job)?.giveBack(grant.size - points, now);
    if (points === 0) this.#heldUntil.set(grant.job, now + HOLD_MS);
  }

  /** Grants to a worker that are proposed and not yet settled. */
  inFlightOf(worker: NodeId): number {
    return this.#inFlightOfWorker.get(worker) ?? 0;
  }

  /** Whether grants of a job are proposed and not yet settled. */
  isGranting(job: JobId): boolean {
    return this.#inFlightOfJob.has(job);
  }

  freeSlots(worker: WorkerView): number {
    return this.#options.leasesMax(worker) - worker.epochs.length - this.inFlightOf(worker.id);
  }

  /** Takes notice of the rate of a job; whether it is less than it was. */
  noteRate(job: JobView, now: number): boolean {
    const before = this.#buckets.get(job.spec.id)?.rate ?? Number.POSITIVE_INFINITY;
    const bucket = this.#bucketOf(job, now);
    return bucket !== null && bucket.rate < before;
  }

  forgetJob(job: JobId): void {
    this.#backOffs.forget(job);
    this.#heldUntil.delete(job);
    this.#buckets.delete(job);
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

  /** In order of submission. */
  #candidates(moment: Moment): Candidate[] {
    const candidates: Candidate[] = [];
    for (const job of this.#options.table.jobs()) {
      if (job.state !== 'pending' && job.state !== 'running') continue;
      const bucket = this.#bucketOf(job, moment.now);
      if (this.#mustWait(job, moment)) continue;
      const underWay = this.#inFlightOfJob.get(job.spec.id);
      const shelf = this.#backOffs.shelf(job, moment.now);
      const tried = this.#eligible(shelf, underWay, moment.now);
      const ahead = this.#mayGoAhead(job) ? job.spec.end - job.frontier : 0;
      const fresh = ahead + shelf.freshPoints - (underWay?.points ?? 0);
      const slots = job.tasks.length + (underWay?.slots ?? 0);
      const candidate = { job, fresh, tried, slots, bucket };
      if (this.#canGive(candidate, moment.now)) candidates.push(candidate);
    }
    return candidates;
  }

  /** A job that has to wait for a time, for another job, or for something outside. */
  #mustWait({ spec, waitsFor }: JobView, { now, at }: Moment): boolean {
    if (waitsFor !== null || this.#options.isHeld(spec.id)) return true;
    const opensAt = spec.options.at === null ? now : now + spec.options.at - at;
    const until = Math.max(opensAt, this.#heldUntil.get(spec.id) ?? now);
    if (until <= now) return false;
    this.#lookAgainAt(until);
    return true;
  }

  #bucketOf({ spec, controls }: JobView, now: number): Bucket | null {
    const rate = controls.pointsPerSecond;
    if (rate === null) {
      this.#buckets.delete(spec.id);
      return null;
    }
    const bucket = this.#buckets.get(spec.id) ?? new Bucket(rate, now);
    bucket.setRate(rate, now);
    this.#buckets.set(spec.id, bucket);
    return bucket;
  }

  /** Whether the job has a piece to give, room for one more task, and enough in its bucket. */
  #canGive(candidate: Candidate, now: number): boolean {
    const { job, fresh, tried, slots, bucket } = candidate;
    if (slots >= (job.controls.maxConcurrency ?? Number.POSITIVE_INFINITY)) return false;
    const [first] = tried;
    if (first === undefined && fresh <= 0) return false;
    if (bucket === null) return true;
    if (first !== undefined && bucket.offersWhole(first.points, now)) return true;
    if (fresh > 0 && bucket.offer(wanted(candidate), now) > 0) return true;
    if (first !== undefined) this.#lookAgainAt(bucket.readyAt(first.points, true, now));
    if (fresh > 0) this.#lookAgainAt(bucket.readyAt(wanted(candidate), false, now));
    return false;
  }

  /** Failed-before ranges whose back-off is over, but for those that are on their way. */
  #eligible({ tried }: Shelf, underWay: UnderWay | undefined, now: number): Tried[] {
    const eligible: Tried[] = [];
    for (const range of tried.values()) {
      if (underWay?.retries.has(range.start) === true) continue;
      if (range.eligibleAt <= now) eligible.push(range);
      else this.#lookAgainAt(range.eligibleAt);
    }
    return eligible;
  }

  #lookAgainAt(time: number): void {
    this.#nextLookAt = Math.min(this.#nextLookAt, time);
  }

  /** Whether points that were never granted may be. What came back always may: a Master that takes things in order waits for it. */
  #mayGoAhead(job: JobView): boolean {
    return job.returned.length < RETURNED_RANGES_MAX && !this.#options.isBehind(job);
  }

  /** The next piece for a worker. A candidate that can give no more then is taken off the list. */
  #pick(candidates: Candidate[], worker: WorkerView, { now, at }: Moment): GrantCommand | null {
    let best: Candidate | null = null;
    for (const candidate of candidates) {
      if (best !== null && !goesBefore(candidate, best)) continue;
      if (mayTake(worker, candidate.job.spec)) best = candidate;
    }
    if (best === null) return null;
    const { job, bucket } = best;
    const piece = this.#cut(best, worker.id, now);
    best.slots++;
    bucket?.take(piece.size, now);
    if (!this.#canGive(best, now)) candidates.splice(candidates.indexOf(best), 1);
    return { kind: 'grant', at, job: job.spec.id, worker: worker.id, incarnation: worker.incarnation, ...piece };
  }

  /** Of a candidate that can give. */
  #cut(candidate: Candidate, worker: NodeId, now: number): { readonly size: number; readonly retry: Point | null } {
    const { job, bucket, tried } = candidate;
    const [first] = tried;
    if (first !== undefined && (bucket === null || bucket.offersWhole(first.points, now))) {
      tried.shift();
      return { size: first.points, retry: first.start };
    }
    const { pace, vacancies } = this.#options;
    const size = job.spec.options.taskSize ?? pace.size(job.spec.id, worker, candidate.fresh, vacancies.slots);
    const cut = bucket === null ? size : Math.min(size, bucket.offer(wanted(candidate), now));
    candidate.fresh -= cut;
    return { size: cut, retry: null };
  }
}

/** It offers the type; and what is more than Polaris keeps by itself, only a node's own code has promised. */
function mayTake({ id, offers }: WorkerView, { name, options }: JobSpec): boolean {
  if (isRunner(id) && options.delivery === 'exactly-once') return false;
  return offers.some((offer) => offer.name === name);
}

/** Points that a job would take from its bucket at once, if there were enough. */
function wanted({ job, fresh }: Candidate): number {
  return Math.min(fresh, job.spec.options.taskSize ?? fresh);
}

/** Equals keep their order. */
function goesBefore(one: Candidate, other: Candidate): boolean {
  const [mine, theirs] = [one.job.controls, other.job.controls];
  if (mine.priority !== theirs.priority) return mine.priority > theirs.priority;
  return one.slots * theirs.weight < other.slots * mine.weight;
}
