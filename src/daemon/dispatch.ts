/**
 * Dispatch: gives free slots their tasks, and takes tasks back where a job may have fewer.
 *
 * Grants say which job gets the next slot, throttles which job gets none, shrinks what to do at the end of a job; this is
 * where they meet: whatever may allow a grant asks for a plan, and a turn makes one plan at most, however much happened
 * in it.
 *
 * What is wanted back is wanted only of tasks that take point after point: they stop at the next one, and what is left
 * goes to others, untouched. A program that was begun is left to end, since stopping it would mean to begin it again.
 */
import { BUCKET_BURST_MS, TASK_STILL_MS } from '../base/limits.ts';
import type { JobId, LogIndex, NodeId, Point } from '../base/types.ts';
import type { Command, JobView, Outcome, Table, TableEvent, Task, WorkerView } from '../ranges/types.ts';
import type { LeaseOffer } from '../wire/messages.ts';
import type { Done, JobPace, Result } from './api.ts';
import type { Env } from './env.ts';
import { type GrantCommand, Grants } from './grants.ts';
import { Pace } from './pace.ts';
import { Shrinks } from './shrinks.ts';
import { Throttles } from './throttles.ts';
import type { Tidings } from './tidings.ts';
import { Vacancies } from './vacancies.ts';

export interface DispatchOptions {
  readonly env: Env;
  readonly table: Table;
  readonly tidings: Pick<Tidings, 'recall' | 'askEnd'>;
  readonly stamp: () => number;
  readonly propose: (command: Command, done: Done<Outcome>) => LogIndex | null;
  /** Whether a worker can be expected to take a task now. */
  readonly isAvailable: (worker: WorkerView) => boolean;
  /** Leases that it may hold. */
  readonly leasesMax: (worker: WorkerView) => number;
  /** Its Master has so much to take in that nothing new of it is to be granted. */
  readonly isBehind: (job: JobView) => boolean;
  /** A grant to this worker was applied, or is lost. */
  readonly settled: (worker: NodeId) => void;
  readonly wake: () => void;
}

export class Dispatch {
  readonly #options: DispatchOptions;
  readonly #pace = new Pace();
  readonly #vacancies: Vacancies;
  readonly #grants: Grants;
  readonly #shrinks: Shrinks;
  readonly #throttles: Throttles;
  /** Something changed that may allow a grant. */
  #plannable = true;

  constructor(options: DispatchOptions) {
    this.#options = options;
    const { env, table, isAvailable, leasesMax, isBehind } = options;
    const { clock, prng, probe } = env;
    const vacancies = new Vacancies({
      table,
      freeSlots: (worker) => (isAvailable(worker) ? this.#grants.freeSlots(worker) : 0),
    });
    const throttles = new Throttles({ clock, prng, probe, changed: (job) => this.#throttled(job) });
    const isHeld = (job: JobId) => throttles.hold(job) !== null;
    this.#vacancies = vacancies;
    this.#throttles = throttles;
    this.#grants = new Grants({ table, pace: this.#pace, prng, vacancies, isHeld, isBehind, leasesMax });
    this.#shrinks = new Shrinks({ table, pace: this.#pace, wantsMore: (job) => this.#wantsMore(job) });
    for (const job of table.jobs()) {
      for (const task of job.tasks) this.#pace.granted(task, clock.now());
      this.#jobChanged(job);
    }
  }

  jobPace(job: JobView): JobPace {
    const rate = this.#pace.rate(job.spec.id, this.#options.env.clock.now());
    const left = job.spec.end - job.spec.start - job.coveredPoints - job.failedPoints;
    return { pointsPerSecond: rate, etaSeconds: rate > 0 && left > 0 ? left / rate : null };
  }

  /** Why an open job is given nothing just now, where the table does not say it. */
  holdOf(job: JobId): string | null {
    return this.#throttles.hold(job);
  }

  /** Names the task of a job that has not come further for the longest; null while none stands still for long. */
  standstillOf(id: JobId): string | null {
    const now = this.#options.env.clock.now();
    const stillMs = ({ epoch }: Task) => this.#pace.still(epoch, now);
    const tasks = this.#options.table.job(id)?.tasks.filter((task) => stillMs(task) >= TASK_STILL_MS) ?? [];
    const [longest] = [...tasks].sort((one, other) => stillMs(other) - stillMs(one));
    if (longest === undefined) return null;
    const { cursor, end, worker } = longest;
    const more = tasks.length > 1 ? ` (and ${tasks.length - 1} more)` : '';
    const what = `[${cursor}, ${end}) on ${worker}${more} has not moved for more than ${TASK_STILL_MS / 60_000} minutes`;
    return `${what}: if its code hangs, cancel the job and give it a taskTimeoutMs`;
  }

  inFlightOf(worker: NodeId): number {
    return this.#grants.inFlightOf(worker);
  }

  /** Something was heard of a worker; `isNews`: it may be given a task now, and could not before. */
  heard(worker: NodeId, isNews: boolean): void {
    this.#vacancies.note(worker);
    if (isNews) this.#plannable = true;
  }

  /** A worker says which ends it keeps of tasks whose far halves were asked for. */
  kept(worker: NodeId, offers: readonly LeaseOffer[]): void {
    for (const { epoch, end } of offers) {
      if (this.#shrinks.offered(worker, epoch, end)) this.#shrink(epoch, end);
    }
  }

  applied(event: TableEvent): void {
    const { env, table } = this.#options;
    const now = env.clock.now();
    switch (event.kind) {
      case 'worker-joined':
      case 'worker-ended':
        this.#vacancies.staffChanged();
        if (event.kind === 'worker-ended') this.#pace.forgetWorker(event.worker);
        return this.heard(event.worker, true);
      case 'task-granted': {
        const task = table.task(event.epoch);
        if (task !== undefined) this.#pace.granted(task, now);
        return;
      }
      case 'task-progressed':
        this.#pace.cameFurther(event.epoch, now);
        return this.#pace.moved(event.job, event.to - event.from, now);
      case 'task-checkpointed':
        return this.#pace.cameFurther(event.epoch, now);
      case 'task-shrunk':
        this.#pace.shrunk(event);
        this.#shrinks.shrunk(event.epoch);
        this.#plannable = true;
        return;
      case 'task-ended':
        this.#pace.ended(event.job, event.worker, event.epoch, event.how === 'completed', now);
        return this.heard(event.worker, true);
      case 'outputs-added':
      case 'outputs-folded':
      case 'master-taken':
        return;
      case 'job-evicted':
        return this.#forgetJob(event.job);
      default:
        this.#plannable = true;
        if ('job' in event) this.#jobEvent(event.job);
    }
  }

  /** To be called after waiting input was read. */
  judge(now: number): void {
    const { table, tidings } = this.#options;
    this.#throttles.tick((job) => isWaiting(table.job(job)));
    for (const task of this.#shrinks.plan(now)) tidings.askEnd(task);
    if (now >= this.#grants.nextLookAt) this.#plannable = true;
  }

  /** End of a turn. */
  flush(): void {
    if (!this.#plannable) return;
    this.#plannable = false;
    const { env, propose, stamp } = this.#options;
    const planned = this.#grants.plan({ now: env.clock.now(), at: stamp() });
    for (const grant of planned) propose(grant, (result) => this.#granted(grant, result));
  }

  close(): void {
    this.#throttles.close();
  }

  #granted(grant: GrantCommand, result: Result<Outcome>): void {
    const { env, table, settled, wake } = this.#options;
    const epoch = result.ok && result.value.kind === 'granted' ? result.value.epoch : null;
    const task = epoch === null ? undefined : table.task(epoch);
    this.#grants.settled(grant, task === undefined ? 0 : task.end - task.start, env.clock.now());
    settled(grant.worker);
    this.heard(grant.worker, true);
    wake();
  }

  #shrink(epoch: number, end: Point): void {
    const { propose, stamp, wake } = this.#options;
    propose({ kind: 'shrink', at: stamp(), epoch, end }, () => {
      this.#shrinks.settled(epoch);
      wake();
    });
  }

  #jobEvent(id: JobId): void {
    const job = this.#options.table.job(id);
    if (job !== undefined) this.#jobChanged(job);
  }

  #jobChanged(job: JobView): void {
    this.#throttles.follow(job);
    if (job.finishedAt !== null) return this.#forgetJob(job.spec.id);
    const { maxConcurrency, pointsPerSecond } = job.controls;
    if (maxConcurrency !== null) this.#recall(job, job.tasks.length - maxConcurrency);
    const isSlower = this.#grants.noteRate(job, this.#options.env.clock.now());
    if (!isSlower || pointsPerSecond === null) return;
    // What was granted at the former speed would go on for long: it is granted again at the new one.
    const leased = job.tasks.reduce((points, task) => points + (task.end - task.cursor), 0);
    if (leased > (pointsPerSecond * BUCKET_BURST_MS) / 1_000) this.#recall(job, job.tasks.length);
  }

  #throttled(id: JobId): void {
    const { table, wake } = this.#options;
    this.#plannable = true;
    const job = table.job(id);
    if (job !== undefined && this.#throttles.hold(id) !== null) this.#recall(job, job.tasks.length);
    wake();
  }

  /** Asks for the newest tasks of a job back. */
  #recall({ spec, tasks }: JobView, count: number): void {
    if (count <= 0 || spec.exposure === 'task') return;
    for (const task of tasks.slice(-count)) this.#options.tidings.recall(task);
  }

  /** At its end a job could use one more slot, and there is one. */
  #wantsMore({ spec, controls, tasks }: JobView): boolean {
    if (this.#throttles.hold(spec.id) !== null || this.#grants.isGranting(spec.id)) return false;
    if (tasks.length >= (controls.maxConcurrency ?? Number.POSITIVE_INFINITY)) return false;
    return this.#vacancies.hasFor(spec.name);
  }

  #forgetJob(id: JobId): void {
    this.#pace.forgetJob(id);
    this.#grants.forgetJob(id);
    this.#throttles.forget(id);
  }
}

/** Nothing would be granted of it anyway: it waits for another job, or is gone. */
function isWaiting(job: JobView | undefined): boolean {
  return job === undefined || job.waitsFor !== null;
}
