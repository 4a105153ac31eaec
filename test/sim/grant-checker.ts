/**
 * Grant checker: whether a leader may propose the grants that it proposes, judged at that moment by what it then knows.
 *
 * It stands at the one door through which commands reach the log, and reckons for itself what is under way, how full each
 * bucket can be, what each hook has said last and which job goes before which.
 *
 * Checked: no more tasks than the job may have · no more points than its rate lets through: in any time not more than
 * rate × time and one burst of a second, and nothing more for a change of leaders, since each begins with nothing · a job
 * is held until its hook says go, and again once it says hold, and an old word does not count · no job goes before one of
 * a higher priority, or of the same and with less than its share, which could be given something · a worker that is known
 * to rest is given nothing.
 */
import { must } from '../../src/base/assert.ts';
import { BUCKET_BURST_MS } from '../../src/base/limits.ts';
import { OUTSIDE_WAIT_MS } from '../../src/base/limits-masters.ts';
import type { JobId, LogIndex, NodeId, Term } from '../../src/base/types.ts';
import type { Node } from '../../src/daemon/node.ts';
import type { Replica } from '../../src/daemon/replica.ts';
import type { Command, JobView, Outcome } from '../../src/ranges/types.ts';
import type { AppliedCommand, Auditor } from './auditor.ts';
import type { Outside } from './outside.ts';
import type { Process } from './process.ts';
import type { Trace } from './trace.ts';
import { expectThat, Violation } from './violation.ts';

type Grant = Extract<Command, { readonly kind: 'grant' }>;

/** One node as a leader, in the last term in which it led. */
interface Reign {
  readonly process: Process;
  readonly node: Node;
  readonly replica: Replica;
  term: Term;
  /** Virtual time at which it began to lead. */
  since: number;
  readonly underWay: Set<Grant>;
  /** Jobs whose last grant found nothing, and until when a leader leaves them alone. */
  readonly restUntil: Map<JobId, number>;
  readonly meters: Map<JobId, Meter>;
}

/** How full the bucket of a job can be at most. */
interface Meter {
  level: number;
  filledAt: number;
}

/** A rate, from this virtual time on; null: none. */
interface Rate {
  readonly from: number;
  readonly pointsPerSecond: number | null;
}

export interface GrantCheckerOptions {
  readonly auditor: Auditor;
  readonly trace: Trace;
  readonly outside: Pick<Outside, 'word'>;
  readonly now: () => number;
  readonly check: (run: () => void) => void;
  /** Which life of a node this is. */
  readonly life: (node: NodeId) => number;
}

/** Of a point, for sums of many fractions. */
const ROUNDING = 1e-3;
/** A leader leaves a job alone for a tenth of a second by a clock that may be slow. */
const REST_MS = 120;
/** A hook is asked again at the next tick after its interval, on a clock that may be slow. */
const WORD_SLACK_MS = 1_000;

export class GrantChecker {
  readonly #options: GrantCheckerOptions;
  readonly #watched = new WeakMap<Replica, Reign>();
  readonly #rates = new Map<JobId, Rate[]>();
  /** Workers that have confirmed that they rest, by the life that did. */
  readonly #resting = new Map<NodeId, number>();
  /** Grants that must not be committed: whoever is deposed and does not know it may still propose them. */
  readonly #mustNotBe = new Map<string, string>();

  constructor(options: GrantCheckerOptions) {
    this.#options = options;
    options.auditor.onApplied((applied) => this.#applied(applied));
  }

  /** After each turn of a node. */
  turned(process: Process, node: Node, replica: Replica): void {
    let watched = this.#watched.get(replica);
    if (watched === undefined) {
      const empty = { underWay: new Set<Grant>(), restUntil: new Map(), meters: new Map() };
      watched = { process, node, replica, term: 0, since: 0, ...empty };
      this.#watched.set(replica, watched);
      this.#stand(watched);
    }
    if (node.leads()) this.#renew(watched);
  }

  /** A worker said that it holds nothing until it is told otherwise. */
  rests(worker: NodeId, life: number): void {
    this.#resting.set(worker, life);
  }

  /** Somebody asks for the opposite. */
  wakes(worker: NodeId): void {
    this.#resting.delete(worker);
  }

  isResting(worker: NodeId): boolean {
    return this.#resting.get(worker) === this.#options.life(worker);
  }

  #stand(watched: Reign): void {
    const { replica } = watched;
    const propose = replica.propose.bind(replica);
    replica.propose = (command, done) => {
      if (command.kind !== 'grant') return propose(command, done);
      this.#renew(watched);
      const { term } = watched;
      this.#options.check(() => this.#judge(watched, command));
      watched.underWay.add(command);
      const index = propose(command, (result) => {
        watched.underWay.delete(command);
        if (watched.term === term) this.#settled(watched, command, result.ok ? result.value : null);
        done(result);
      });
      if (index !== null && this.isResting(command.worker)) this.#forbid(index, term, command);
      return index;
    };
  }

  #renew(watched: Reign): void {
    const { term } = watched.replica.standing();
    if (watched.term === term) return;
    watched.term = term;
    watched.since = this.#options.now();
    watched.underWay.clear();
    watched.restUntil.clear();
    watched.meters.clear();
  }

  #judge(watched: Reign, grant: Grant): void {
    const job = must(watched.replica.table.job(grant.job), 'a job that is granted');
    const slots = this.#slots(watched, job);
    const { maxConcurrency } = job.controls;
    const isFree = maxConcurrency === null || slots < maxConcurrency;
    expectThat(isFree, () => `job ${grant.job} may have ${maxConcurrency} tasks, has ${slots} and is given one more`);
    if (maxConcurrency === slots + 1) this.#options.trace.count('grant: the last that its limit allows');
    this.#pays(watched, job, grant);
    this.#mayGoOn(watched, job);
    for (const { spec } of watched.replica.table.jobs()) {
      const other = must(watched.replica.table.job(spec.id), 'a job of the table');
      if (other.spec.id !== grant.job) this.#isNext(watched, { job, slots }, other, grant);
    }
  }

  /** Live tasks, and grants that may become some. */
  #slots({ underWay }: Reign, { spec, tasks }: JobView): number {
    return tasks.length + [...underWay].filter((one) => one.job === spec.id).length;
  }

  // ---- Rates ------------------------------------------------------------------------------------------------------------

  #pays(watched: Reign, { spec, controls, returned }: JobView, { size, retry }: Grant): void {
    if (controls.pointsPerSecond === null) return;
    const { level } = this.#fill(watched, spec.id);
    const burst = Math.max(1, (controls.pointsPerSecond * BUCKET_BURST_MS) / 1_000);
    this.#options.trace.count('grant: by a rate');
    // What failed is granted whole, and may be more than a bucket holds.
    const needed = retry === null ? size : Math.min(size, burst);
    const what = () => (retry === null ? '' : ` of ${returned.length} returned ranges`);
    expectThat(
      level + ROUNDING >= needed,
      () => `job ${spec.id} is granted ${size} points${what()}, and its rate has let through ${level.toFixed(3)}`,
    );
    must(watched.meters.get(spec.id), 'a bucket that was filled').level -= size;
  }

  /** Brings the bucket of a job up to now. */
  #fill(watched: Reign, job: JobId): { readonly level: number; readonly capacity: number } {
    const { process, meters, since } = watched;
    const now = this.#options.now();
    const meter = meters.get(job) ?? { level: 0, filledAt: since };
    const rate = this.#fastest(job, meter.filledAt);
    const capacity = Math.max(1, (rate * BUCKET_BURST_MS) / 1_000);
    const gathered = (rate * (process.host.local(now) - process.host.local(meter.filledAt))) / 1_000;
    // The fastest of several rates may be none at all.
    meter.level = Number.isFinite(rate) ? Math.min(capacity, meter.level + gathered) : Number.MAX_SAFE_INTEGER;
    meter.filledAt = now;
    meters.set(job, meter);
    return { level: meter.level, capacity };
  }

  /** The highest rate that was in force since a time: leaders apply a change a little later than the first of all nodes. */
  #fastest(job: JobId, since: number): number {
    const rates = this.#rates.get(job) ?? [];
    let fastest = 0;
    for (const [at, { pointsPerSecond }] of rates.entries()) {
      const isOver = (rates[at + 1]?.from ?? Number.POSITIVE_INFINITY) < since;
      if (!isOver) fastest = Math.max(fastest, pointsPerSecond ?? Number.POSITIVE_INFINITY);
    }
    return fastest;
  }

  #settled(watched: Reign, grant: Grant, outcome: Outcome | null): void {
    const task = outcome?.kind === 'granted' ? watched.replica.table.task(outcome.epoch) : undefined;
    const points = task === undefined ? 0 : task.end - task.start;
    if (points === 0) watched.restUntil.set(grant.job, this.#options.now() + REST_MS);
    if (!watched.meters.has(grant.job)) return;
    const { capacity } = this.#fill(watched, grant.job);
    const meter = must(watched.meters.get(grant.job), 'a bucket that was filled');
    meter.level = Math.min(capacity, meter.level + grant.size - points);
  }

  // ---- Hooks ------------------------------------------------------------------------------------------------------------

  #mayGoOn({ process, term }: Reign, { spec }: JobView): void {
    const { outside, now, trace } = this.#options;
    const { id, options } = spec;
    if (options.throttle === null) return;
    const word = outside.word(process, id);
    expectThat(
      word !== null && word.term === term,
      () => `job ${id} is granted, and its hook was not asked in term ${term}`,
    );
    expectThat(word.says === 'go', () => `job ${id} is granted, and its hook says hold`);
    const since = Math.max(word.heardAt, process.awakeSince);
    const ageMs = now() - since;
    const isNew = ageMs <= options.throttle.intervalMs + OUTSIDE_WAIT_MS + WORD_SLACK_MS;
    expectThat(isNew, () => `job ${id} is granted on a word that is ${ageMs.toFixed(0)} ms old`);
    trace.count('grant: its hook says go');
  }

  // ---- Who is next ------------------------------------------------------------------------------------------------------

  #isNext(
    watched: Reign,
    granted: { readonly job: JobView; readonly slots: number },
    other: JobView,
    grant: Grant,
  ): void {
    const mine = granted.job.controls;
    const theirs = other.controls;
    if (theirs.priority < mine.priority) {
      if (this.#isOpen(other)) this.#options.trace.count('grant: ahead of a lower priority');
      return;
    }
    if (!this.#canBeGiven(watched, other, grant)) return;
    const slots = this.#slots(watched, other);
    const what = () => `${grant.worker} is given a task of job ${grant.job} with priority ${mine.priority}, and`;
    expectThat(
      theirs.priority === mine.priority,
      () => `${what()} job ${other.spec.id} with priority ${theirs.priority} could be given one`,
    );
    if (theirs.weight !== mine.weight) this.#options.trace.count('grant: by weight');
    expectThat(
      slots * mine.weight >= granted.slots * theirs.weight,
      () => `${what()} job ${other.spec.id} has ${slots} tasks of weight ${theirs.weight}, less than its share`,
    );
  }

  #isOpen({ state }: JobView): boolean {
    return state === 'pending' || state === 'running';
  }

  /** Certainly: where it is not certain, the leader has the benefit of the doubt. */
  #canBeGiven(watched: Reign, job: JobView, { worker, at }: Grant): boolean {
    const { spec, controls, waitsFor, returned, frontier } = job;
    if (!this.#isOpen(job) || waitsFor !== null || at < (spec.options.at ?? 0)) return false;
    if (controls.pointsPerSecond !== null || watched.node.holdOf(spec.id) !== null) return false;
    if (this.#slots(watched, job) >= (controls.maxConcurrency ?? Number.POSITIVE_INFINITY)) return false;
    if (this.#options.now() < (watched.restUntil.get(spec.id) ?? 0)) return false;
    const offers = watched.replica.table.worker(worker)?.offers ?? [];
    if (!offers.some(({ name }) => name === spec.name)) return false;
    const back = returned.reduce((points, one) => points + (one.attempts === 0 ? one.end - one.start : 0), 0);
    let wanted = 0;
    for (const one of watched.underWay) if (one.job === spec.id && one.retry === null) wanted += one.size;
    return spec.end - frontier + back - wanted > 0;
  }

  // ---- What is committed ------------------------------------------------------------------------------------------------

  #forbid(index: LogIndex, term: Term, { worker, job }: Grant): void {
    this.#mustNotBe.set(`${index}/${term}`, `${worker} rests and is granted a task of job ${job}`);
  }

  #applied({ index, term, command, outcome, events }: AppliedCommand): void {
    for (const event of events) {
      if (event.kind === 'job-submitted') {
        const { options } = must(this.#options.auditor.table.job(event.job), 'a job that was submitted').spec;
        this.#rates.set(event.job, [{ from: 0, pointsPerSecond: options.pointsPerSecond }]);
      } else if (event.kind === 'job-set') {
        const { pointsPerSecond } = event.controls;
        this.#rates.get(event.job)?.push({ from: this.#options.now(), pointsPerSecond });
      }
    }
    const finding = this.#mustNotBe.get(`${index}/${term}`);
    if (finding !== undefined && command?.kind === 'grant' && outcome.kind === 'granted') throw new Violation(finding);
  }
}
