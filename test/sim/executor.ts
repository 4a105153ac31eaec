/**
 * The simulated job hosts of a node. They are processes of their own: a paused node does not stop them, a dead one ends
 * them when its pipe closes, and the deadline of the leases they watch by themselves.
 *
 * They obey the window, report as often as the job asks, throw at poison points, crash, honour a release late and an
 * abort at once. Whatever they begin is in the ledger, with its moment.
 *
 * Invariants: no point is begun after the deadline, at or beyond the limit that its node set, or after `ended` · `ended`
 * comes once for each start.
 */
import { assert, must } from '../../src/base/assert.ts';
import type { Handle } from '../../src/base/handle.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { Epoch, JobId, LogIndex, Point } from '../../src/base/types.ts';
import type {
  Executor,
  ExecutorEnding,
  ExecutorHandler,
  FoldEnding,
  FoldOrder,
  JobTypeInfo,
  MasterCall,
} from '../../src/daemon/env.ts';
import { DELIVERIES } from '../../src/ranges/deliveries.ts';
import type { StampedOutput } from '../../src/ranges/types.ts';
import type { TaskOrder } from '../../src/wire/messages.ts';
import { Attempt, type JobModel } from './attempt.ts';
import { type Blobs, handleFor, loudPieces, schemaOf } from './emission.ts';
import type { Ledger } from './ledger.ts';
import { SimMasters, type Takings } from './masters.ts';
import type { Process } from './process.ts';
import type { Scheduler, SimEvent } from './scheduler.ts';
import type { Trace } from './trace.ts';

/** The longest call of a Master. */
const MASTER_MS_MAX = 2_000;
/** A host that is about to die does so within this time of giving something up: the leader has just let another have it. */
const DIES_MS_MAX = 500;
/** Too few nodes could take a copy: again after so long. */
const STORE_AGAIN_MS = 250;
/** A message through the pipe between node and job host. */
const PIPE_MS = 0.1;

const TYPE = { hash: 'h1', exposure: 'window', overseen: true, deliveries: DELIVERIES, metadataSchema: null } as const;

export const SIM_TYPES: readonly JobTypeInfo[] = [
  { ...TYPE, name: 'points' },
  { ...TYPE, name: 'program', exposure: 'task', overseen: false },
  // Their Masters take in what points emit, in range order or as it comes.
  { ...TYPE, name: 'roll', collects: 'in-order' },
  { ...TYPE, name: 'heap', collects: 'as-committed' },
];

/** A known bug, put back: Masters that hear of outputs as they come, whatever they asked for. */
const HASTY_TYPES: readonly JobTypeInfo[] = SIM_TYPES.map((type) => {
  return type.collects === 'in-order' ? { ...type, collects: 'as-committed' } : type;
});

export interface SimExecutorOptions {
  readonly process: Process;
  readonly scheduler: Scheduler;
  readonly prng: Prng;
  readonly ledger: Ledger;
  readonly trace: Trace;
  readonly slots: number;
  readonly model: (job: JobId) => JobModel;
  /** Job code takes up to so long to notice that it should stop. */
  readonly releaseMsMax: number;
  /** False puts back a bug: job hosts that leave the deadline to their node. */
  readonly obeysDeadline: boolean;
  readonly blobs: Blobs;
  readonly takings: Takings;
  readonly foldsInAnyOrder: boolean;
  /** Whether some job hosts die soon after they gave something up. */
  readonly diesAfterKeeping: () => boolean;
}

/** Something that an attempt has to say once the batches of all points below `to` are durable. */
interface Word {
  readonly to: Point;
  readonly say: (handler: ExecutorHandler, outputs: readonly StampedOutput[]) => void;
  readonly isLast: boolean;
}

interface Running {
  readonly attempt: Attempt;
  event: SimEvent | null;
  /** In order; the first one's batches are on their way. */
  readonly words: Word[];
  /** Below it everything was said. */
  told: Point;
  /** The one that a pipeline is at: it goes on when its node tells that this one is committed. */
  stage: number;
  /** Its last word waits for its batches. */
  isOver: boolean;
}

export class SimExecutor implements Executor {
  readonly types: readonly JobTypeInfo[];
  readonly #options: SimExecutorOptions;
  readonly #masters: SimMasters;
  readonly #running = new Map<Epoch, Running>();
  #handler: ExecutorHandler | null = null;
  /** Virtual time. */
  #deadline = Number.POSITIVE_INFINITY;
  #deadlineEvent: SimEvent | null = null;
  #watchAt = 0;
  #gone = false;

  constructor(options: SimExecutorOptions) {
    this.#options = options;
    this.types = options.foldsInAnyOrder ? HASTY_TYPES : SIM_TYPES;
    this.#masters = new SimMasters(options);
  }

  get runningCount(): number {
    return this.#running.size;
  }

  useBlobs(): void {}

  start(handler: ExecutorHandler): void {
    this.#handler = handler;
  }

  run(order: TaskOrder): void {
    if (this.#gone) return;
    const { slots, scheduler, model } = this.#options;
    assert(this.#running.size < slots, 'a worker runs at most one task a slot');
    assert(!this.#running.has(order.epoch), 'a lease is worked by one attempt');
    const attempt = new Attempt(order, model(order.job), scheduler.now);
    const stage = order.checkpoint === null ? 0 : order.checkpoint.stage + 1;
    const running: Running = { attempt, event: null, words: [], told: order.cursor, stage, isOver: false };
    this.#running.set(order.epoch, running);
    if (scheduler.now >= this.#deadline && this.#options.obeysDeadline) return this.#terminate(running, 'deadline');
    if (attempt.isWaiting) this.#nextStage(running);
    else this.#plan(running);
  }

  committed(epoch: Epoch, _cursor: Point, limit: Point): void {
    const running = this.#running.get(epoch);
    if (running === undefined || running.isOver) return;
    this.#record(running);
    running.attempt.move(limit, this.#options.scheduler.now);
    this.#plan(running);
  }

  checkpointed(epoch: Epoch, stage: number): void {
    const running = this.#running.get(epoch);
    if (running === undefined || running.isOver || !running.attempt.isWaiting || running.stage !== stage) return;
    running.stage += 1;
    this.#nextStage(running);
  }

  keep(epoch: Epoch, answer: (end: Point) => void): void {
    const running = this.#running.get(epoch);
    if (running === undefined || running.isOver) return;
    this.#record(running);
    const { scheduler, prng, diesAfterKeeping } = this.#options;
    const end = running.attempt.keepHalf(scheduler.now);
    this.#plan(running);
    this.#tell(() => answer(end));
    // Some die while the far half of their task is already somebody else's.
    if (diesAfterKeeping() && prng.chance(0.3))
      scheduler.after(prng.next() * DIES_MS_MAX, () => this.#crashAfterKeeping(running));
  }

  fold(order: FoldOrder, done: (ending: FoldEnding) => void): () => void {
    let isWanted = !this.#gone;
    if (!isWanted) return () => {};
    const { process, scheduler } = this.#options;
    this.#masters.fold(order, (ending) => {
      scheduler.after(PIPE_MS, () => {
        if (isWanted && !this.#gone) process.turn('input', () => done(ending));
      });
    });
    return () => {
      isWanted = false;
    };
  }

  /** A Master takes its time, and sometimes throws. */
  oversee({ kind, report: { job, run } }: MasterCall, done: (error: string | null) => void): void {
    if (this.#gone) return;
    const { prng, scheduler, process, ledger } = this.#options;
    const error = prng.chance(0.2) ? 'the Master threw' : null;
    if (error === null && kind === 'complete') ledger.told(job, run);
    scheduler.after(prng.next() * MASTER_MS_MAX, () => process.turn('input', () => done(error)));
  }

  release(epoch: Epoch): void {
    const running = this.#running.get(epoch);
    if (running === undefined || running.attempt.releasing) return;
    const { scheduler, prng, releaseMsMax } = this.#options;
    scheduler.after(prng.next() * releaseMsMax, () => {
      if (this.#running.get(epoch) !== running) return;
      running.attempt.hold(scheduler.now);
      this.#plan(running);
    });
  }

  abort(epoch: Epoch): void {
    const running = this.#running.get(epoch);
    if (running !== undefined) this.#terminate(running, 'abort');
  }

  deadline(at: number): void {
    const { process, scheduler } = this.#options;
    this.#deadline = process.host.virtual(at);
    if (!this.#options.obeysDeadline) return;
    if (this.#deadline <= scheduler.now) return this.#watchDeadline();
    // One event waits for the earliest deadline set; when it comes early it waits again.
    if (this.#deadlineEvent !== null && this.#watchAt <= this.#deadline) return;
    this.#deadlineEvent?.cancel();
    this.#awaitDeadline();
  }

  stop(done: () => void): void {
    const { scheduler, process } = this.#options;
    for (const running of [...this.#running.values()]) this.#terminate(running, 'stop');
    scheduler.after(PIPE_MS, () => process.turn('input', done));
  }

  /** The pipe to the node closed: everything ends, and nobody hears of it. */
  end(): void {
    if (this.#gone) return;
    for (const running of this.#running.values()) {
      this.#record(running);
      running.event?.cancel();
    }
    this.#running.clear();
    this.#gone = true;
    this.#deadlineEvent?.cancel();
  }

  /** The job host of one job crashes; false when none runs. What it did since its last report is not known. */
  crashHost(): boolean {
    const victims = [...this.#running.values()];
    if (victims.length === 0 || this.#gone) return false;
    this.#crashHostOf(must(victims[this.#options.prng.integer(0, victims.length)], 'a victim').attempt.order.job);
    return true;
  }

  #crashAfterKeeping(running: Running): void {
    const { epoch, job } = running.attempt.order;
    if (this.#running.get(epoch) !== running || running.isOver || this.#gone) return;
    if (running.attempt.promised > running.attempt.end) this.#options.trace.count('host: dies after its task shrank');
    this.#crashHostOf(job);
  }

  #crashHostOf(job: JobId): void {
    for (const running of [...this.#running.values()]) {
      const { attempt } = running;
      if (attempt.order.job !== job) continue;
      const { epoch } = attempt.order;
      const cursor = attempt.model.data === undefined ? attempt.reportedCursor : running.told;
      this.#cut(running, {
        epoch,
        cursor,
        begun: attempt.promised,
        ending: 'fail',
        error: 'the job host was killed',
      });
    }
  }

  #awaitDeadline(): void {
    this.#watchAt = this.#deadline;
    this.#deadlineEvent = this.#options.scheduler.at(this.#deadline, () => this.#watchDeadline());
  }

  #watchDeadline(): void {
    this.#deadlineEvent = null;
    const { scheduler, trace } = this.#options;
    if (this.#gone || this.#deadline === Number.POSITIVE_INFINITY) return;
    if (this.#deadline > scheduler.now) return this.#awaitDeadline();
    for (const running of [...this.#running.values()]) {
      trace.count('attempt ended by the deadline');
      this.#terminate(running, 'deadline');
    }
  }

  /** The next moment at which this attempt does something that others notice. */
  #plan(running: Running): void {
    const { attempt } = running;
    if (running.isOver || (attempt.isWaiting && !attempt.releasing)) return;
    running.event?.cancel();
    running.event = null;
    if (attempt.isWaiting) return this.#release(running);
    const { scheduler } = this.#options;
    const { commitIntervalMs } = attempt.order.options;
    const { limit, poison } = attempt;
    const next = [poison < limit ? attempt.timeOf(poison + 1) : attempt.timeOf(limit)];
    const waits = attempt.done(scheduler.now) >= limit && attempt.reportedCursor >= limit;
    if (waits && !attempt.releasing && limit < attempt.end) return;
    if (attempt.model.exposure === 'window') {
      const byCount = attempt.timeOf(attempt.reportedCursor + attempt.order.options.commitEvery);
      const byTime = Math.max(attempt.reportedAt + commitIntervalMs, attempt.timeOf(attempt.reportedCursor + 1));
      next.push(byCount, byTime);
    }
    running.event = scheduler.at(Math.min(...next), () => this.#act(running));
  }

  /** It was asked back before it began a point. */
  #release(running: Running): void {
    const { epoch, cursor } = running.attempt.order;
    this.#finish(running, { epoch, cursor, begun: cursor, ending: 'release', error: '' });
  }

  /** All batches of the range go through one stage more, and are durable before the next one begins. */
  #nextStage(running: Running): void {
    const { scheduler, blobs } = this.#options;
    const { order, model } = running.attempt;
    const { stageCount, stageMs } = must(model.data, 'a pipeline has data');
    if (running.stage >= stageCount) {
      running.attempt.beginPoints(scheduler.now);
      return this.#plan(running);
    }
    const { stage } = running;
    blobs.stageBegins(order, stage);
    running.event = scheduler.after(stageMs, () => {
      running.event = null;
      const handle = handleFor(order.job, order, `stage ${stage}`, order.epoch);
      this.#store(running, handle, (stamp) => {
        const checkpoint = { stage, fingerprint: 'simulated', handle, stamp };
        this.#tell((handler) => handler.checkpoint(order.epoch, checkpoint));
      });
    });
  }

  /** Until enough copies are made, or the attempt is over. */
  #store(running: Running, handle: Handle, done: (stamp: LogIndex) => void): void {
    const { blobs, scheduler } = this.#options;
    const isAlive = () => this.#running.get(running.attempt.order.epoch) === running;
    const store = (): void => {
      if (!isAlive()) return;
      blobs.store(handle, (stored) => {
        if (stored === null) scheduler.after(STORE_AGAIN_MS, store);
        else if (isAlive()) done(stored.stamp);
      });
    };
    scheduler.after(PIPE_MS, store);
  }

  /** Says something once everything that was emitted below its cursor is durable. */
  #publish(running: Running, word: Word): void {
    running.words.push(word);
    if (running.words.length === 1) this.#publishFirst(running);
  }

  #publishFirst(running: Running): void {
    const [word] = running.words;
    if (word === undefined) return;
    const { order, model } = running.attempt;
    const from = running.told;
    const { data } = model;
    const pieces = data === undefined || word.to <= from ? [] : loudPieces(data, from, word.to);
    const outputs: StampedOutput[] = [];
    const next = (): void => {
      const piece = pieces[outputs.length];
      if (piece === undefined || data === undefined) return this.#published(running, word, outputs);
      const handle = handleFor(order.job, piece, 'points', order.epoch, schemaOf(data, piece.start));
      this.#store(running, handle, (stamp) => {
        outputs.push({ ...piece, handle, stamp });
        next();
      });
    };
    next();
  }

  #published(running: Running, { to, say, isLast }: Word, outputs: readonly StampedOutput[]): void {
    running.words.shift();
    running.told = Math.max(running.told, to);
    if (isLast) this.#running.delete(running.attempt.order.epoch);
    this.#tell((handler) => say(handler, outputs));
    this.#publishFirst(running);
  }

  #act(running: Running): void {
    const { attempt } = running;
    const { now } = this.#options.scheduler;
    const { epoch } = attempt.order;
    const { end } = attempt;
    const done = attempt.done(now);
    this.#record(running);
    if (attempt.poison < attempt.limit && now + 1e-6 >= attempt.timeOf(attempt.poison + 1)) {
      const begun = attempt.model.exposure === 'task' ? attempt.exposed(now) : done + 1;
      return this.#finish(running, { epoch, cursor: done, begun, ending: 'fail', error: `point ${done} is poison` });
    }
    if (done >= end) return this.#finish(running, { epoch, cursor: end, begun: end, ending: 'complete', error: '' });
    if (attempt.releasing && done >= attempt.limit) {
      const begun = attempt.model.exposure === 'task' ? attempt.exposed(now) : done;
      return this.#finish(running, { epoch, cursor: done, begun, ending: 'release', error: '' });
    }
    if (done > attempt.reportedCursor) {
      attempt.reportedCursor = done;
      attempt.reportedAt = now;
      const begun = attempt.begun(now);
      const say: Word['say'] = (handler, outputs) => handler.progress(epoch, done, begun, outputs);
      this.#publish(running, { to: done, say, isLast: false });
    }
    this.#plan(running);
  }

  #terminate(running: Running, why: string): void {
    const { attempt } = running;
    const { now } = this.#options.scheduler;
    this.#cut(running, {
      epoch: attempt.order.epoch,
      cursor: attempt.model.data === undefined ? attempt.done(now) : running.told,
      begun: attempt.exposed(now),
      ending: 'release',
      error: why,
    });
  }

  /** Its code has come to an end; what it emitted is on its way. */
  #finish(running: Running, ending: Omit<ExecutorEnding, 'outputs'>): void {
    this.#record(running);
    running.event?.cancel();
    running.isOver = true;
    const say: Word['say'] = (handler, outputs) => handler.ended({ ...ending, outputs });
    this.#publish(running, { to: ending.cursor, say, isLast: true });
  }

  /** Its code was stopped: what is not durable never was. */
  #cut(running: Running, ending: Omit<ExecutorEnding, 'outputs'>): void {
    this.#record(running);
    running.event?.cancel();
    this.#running.delete(ending.epoch);
    this.#tell((handler) => handler.ended({ ...ending, outputs: [] }));
  }

  #tell(say: (handler: ExecutorHandler) => void): void {
    const { scheduler, process } = this.#options;
    const handler = must(this.#handler, 'an executor that runs was started');
    scheduler.after(PIPE_MS, () => process.turn('input', () => say(handler)));
  }

  /** Writes down what was begun since the last time. */
  #record({ attempt }: Running): void {
    const { scheduler, process, ledger } = this.#options;
    const to = attempt.begun(scheduler.now);
    if (to <= attempt.recorded) return;
    const { job, epoch } = attempt.order;
    const from = attempt.recorded;
    attempt.recorded = to;
    const { pointMs } = attempt.model;
    ledger.write({ job, epoch, worker: process.id, from, to, firstAt: attempt.timeOf(from), pointMs });
  }
}
