/**
 * Leader: the duties of the node that leads, for one term.
 *
 * It keeps the sessions, gives free slots their tasks, turns reports into entries and tells workers what they hold. All
 * of it lives in memory and dies with the term; what must outlive it is in the log. It begins when the own-term no-op is
 * applied, for before that the table may lack what the last leader promised.
 *
 * Invariants: a worker is answered only while a quorum was heard within the shortest election timeout · never between
 * the proposal of a Suspect and the commit of Heard · sessions are judged only after waiting input was read.
 */
import { unreachable } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { KEEP_ALIVES_PER_TTL, WORKERS_MAX } from '../base/limits.ts';
import { isRunner } from '../base/runner-id.ts';
import type { Address, Incarnation, JobId, LogIndex, NodeId } from '../base/types.ts';
import type { Command, JobView, Outcome, Table, TableEvent, WorkerView } from '../ranges/types.ts';
import type { LeaderMessage, WorkerMessage } from '../wire/messages.ts';
import type { Done, JobPace, WorkerStatus } from './api.ts';
import { DeathWatch } from './death.ts';
import { Dispatch } from './dispatch.ts';
import type { Env } from './env.ts';
import { FoldDuty } from './fold-duty.ts';
import { Notices } from './notices.ts';
import { Oversight } from './oversight.ts';
import { Reports } from './reports.ts';
import { Rests } from './rests.ts';
import { Runners } from './runners.ts';
import { ScheduleDuty } from './schedule-duty.ts';
import { type Session, Sessions, type Verdict } from './sessions.ts';
import { Stamps } from './stamps.ts';
import { Tidings } from './tidings.ts';

export interface LeaderOptions {
  readonly env: Env;
  readonly table: Table;
  readonly sessionTtlMs: number;
  readonly propose: (command: Command, done: Done<Outcome>) => LogIndex | null;
  readonly fresh: () => boolean;
  readonly send: (to: NodeId, message: LeaderMessage) => void;
  readonly isConnected: (node: NodeId) => boolean;
  /** Whether the node was seen to listen at this address of our host. */
  readonly listened: (node: NodeId, address: Address) => boolean;
  readonly wake: () => void;
}

type Join = Extract<WorkerMessage, { type: 'join' }>;
type KeepAlive = Extract<WorkerMessage, { type: 'keep-alive' }>;

export class Leader {
  readonly #options: LeaderOptions;
  readonly #sessions: Sessions;
  readonly #dispatch: Dispatch;
  readonly #tidings: Tidings;
  readonly #reports: Reports;
  readonly #rests = new Rests();
  readonly #notices: Notices;
  readonly #oversight: Oversight;
  readonly #folds: FoldDuty;
  readonly #schedules: ScheduleDuty;
  readonly #deaths: DeathWatch;
  readonly #stamps: Stamps;
  /** Workers that are no nodes. */
  readonly runners: Runners;
  /** Joins that wait for their entry, by worker: the nonce. */
  readonly #joining = new Map<NodeId, number>();

  constructor(options: LeaderOptions) {
    const send = (to: NodeId, message: LeaderMessage) => {
      if (isRunner(to)) this.runners.hear(to, message);
      else options.send(to, message);
    };
    this.#options = { ...options, send };
    const { env, table, wake, propose } = options;
    const { clock, prng, probe, executor, log } = env;
    const stamp = () => this.#stamps.next();
    this.runners = this.#makeRunners();
    this.#sessions = new Sessions(options.sessionTtlMs);
    this.#stamps = new Stamps(env, table);
    this.#tidings = new Tidings({ table, send, wake, session: (worker) => this.#sessions.get(worker) });
    this.#reports = new Reports({ table, stamp, propose, send });
    this.#notices = new Notices({ table, clock, prng, probe, executor, log, stamp, propose });
    this.#oversight = new Oversight({ table, clock, executor, log });
    this.#folds = new FoldDuty({ table, clock, prng, executor, log, stamp, propose });
    this.#schedules = new ScheduleDuty({ table, log, stamp, propose });
    this.#deaths = new DeathWatch(env, options.listened, (worker) => this.#proveDead(worker));
    const now = clock.now();
    for (const worker of table.workers()) {
      this.#sessions.open(worker.id, worker.incarnation, now, worker.suspectQuarters);
      if (!options.isConnected(worker.id)) this.#deaths.lost(worker.id, worker.address);
    }
    for (const job of table.jobs()) this.#followed(job);
    this.#dispatch = new Dispatch({
      ...{ env, table, stamp, propose, wake, tidings: this.#tidings },
      isAvailable: (worker) => this.#isAvailable(worker),
      leasesMax: (worker) => this.runners.leasesMax(worker),
      isBehind: (job) => this.#folds.isBehind(job),
      settled: (worker) => this.#grantSettled(worker),
    });
  }

  #makeRunners(): Runners {
    const { env, table, sessionTtlMs, fresh } = this.#options;
    return new Runners({
      ...{ table, clock: env.clock, prng: env.prng, sessionTtlMs, fresh },
      say: (from, message) => this.message(from, message),
      remind: (worker) => this.#remind(worker),
      waits: (worker) => this.#dispatch.heard(worker, true),
    });
  }

  // ---- from clients ---------------------------------------------------------------------------------------------

  stamp(): number {
    return this.#stamps.next();
  }

  jobPace(job: JobView): JobPace {
    return this.#dispatch.jobPace(job);
  }

  /** Why an open job is given nothing just now, or what of it stands still, where the table does not say it. */
  holdOf(job: JobId): string | null {
    return this.#dispatch.holdOf(job) ?? this.#folds.holdOf(job) ?? this.#dispatch.standstillOf(job);
  }

  workers(): WorkerStatus[] {
    return [...this.#options.table.workers()].map(({ id, address, slots, epochs }) => {
      const session = this.#sessions.get(id);
      const draining = session?.resting === true || session?.draining === true;
      return { id, address, slots, busy: epochs.length, draining };
    });
  }

  /** Lets a worker hold nothing, or take tasks again; calls back once the worker has said that it knows. */
  rest(worker: NodeId, resting: boolean, done: Done<void>): void {
    const session = this.#sessions.get(worker);
    if (session === undefined || session.expiring) {
      return done({ ok: false, error: new PolarisError('NOT_FOUND', `there is no worker "${worker}"`) });
    }
    this.#rests.ask(session, resting, this.#options.env.clock.now(), done);
    this.#tidings.owe(worker);
    this.#dispatch.heard(worker, true);
    this.#options.wake();
  }

  // ---- from workers ---------------------------------------------------------------------------------------------

  message(from: NodeId, message: WorkerMessage): void {
    switch (message.type) {
      case 'join':
        return this.#join(from, message);
      case 'keep-alive':
        return this.#keepAlive(from, message);
      case 'report': {
        const session = this.#hear(from, message.incarnation);
        if (session !== null) this.#reports.take(from, message.incarnation, message.sequence, message.reports);
        return;
      }
      case 'keep':
        if (this.#hear(from, message.incarnation) !== null) this.#dispatch.kept(from, message.offers);
        return;
      default:
        return unreachable(message);
    }
  }

  connected(node: NodeId): void {
    this.#deaths.forget(node);
  }

  disconnected(node: NodeId): void {
    const worker = this.#options.table.worker(node);
    if (worker !== undefined) this.#deaths.lost(node, worker.address);
  }

  #join(from: NodeId, join: Join): void {
    const { table, send, env } = this.#options;
    const session = this.#sessions.get(from);
    if (session !== undefined && session.nonce === join.nonce && !session.expiring) {
      return this.#sayJoined(from, join.nonce, session.incarnation);
    }
    if (this.#joining.get(from) === join.nonce) return;
    if (table.worker(from) === undefined && [...table.workers()].length >= WORKERS_MAX) {
      const detail = `the cluster has ${WORKERS_MAX} workers already`;
      return send(from, { type: 'join-refused', nonce: join.nonce, code: 'OVERLOADED', detail });
    }
    this.#joining.set(from, join.nonce);
    const { instanceId, address, slots, offers } = join;
    const command: Command = {
      kind: 'worker-join',
      at: this.stamp(),
      worker: from,
      instanceId,
      address,
      slots,
      offers,
    };
    this.#options.propose(command, (result) => {
      if (this.#joining.get(from) === join.nonce) this.#joining.delete(from);
      if (!result.ok) return this.runners.joinLost(from, join.nonce, result.error);
      const { value } = result;
      if (value.kind === 'refused') {
        env.log.warn({ worker: from, code: value.code, detail: value.detail }, 'join-refused');
        return send(from, { type: 'join-refused', nonce: join.nonce, code: value.code, detail: value.detail });
      }
      const opened = this.#sessions.get(from);
      if (value.kind !== 'joined' || opened?.incarnation !== value.incarnation) return;
      opened.nonce = join.nonce;
      this.#sayJoined(from, join.nonce, value.incarnation);
    });
  }

  #sayJoined(worker: NodeId, nonce: number, incarnation: Incarnation): void {
    // The same rule as for keep-alives: a deposed leader must not promise a session.
    if (!this.#options.fresh()) return;
    this.#options.send(worker, { type: 'joined', nonce, incarnation, sessionTtlMs: this.#options.sessionTtlMs });
  }

  #keepAlive(from: NodeId, message: KeepAlive): void {
    const session = this.#hear(from, message.incarnation);
    if (session === null) return;
    const isNews = !session.introduced || (session.draining && !message.draining);
    if (isNews) this.#dispatch.heard(from, true);
    this.#rests.heard(session, message.draining);
    session.unanswered = Math.max(session.unanswered, message.sequence);
    session.told = new Set(message.epochs);
    this.#answer(session);
  }

  /** The session of a worker that was just heard; null, and it is told, when its incarnation is over. */
  #hear(from: NodeId, incarnation: Incarnation): Session | null {
    const { table, send, env } = this.#options;
    const session = this.#sessions.get(from);
    if (session === undefined || session.incarnation !== incarnation) {
      // Ours may be newer than what a late message speaks of; only an incarnation that the table does not know is over.
      const over = table.worker(from)?.incarnation !== incarnation && incarnation <= table.appliedIndex;
      if (over && this.#options.fresh()) send(from, { type: 'ended', incarnation });
      return null;
    }
    if (session.expiring) return null;
    session.lastHeardAt = env.clock.now();
    this.#dispatch.heard(from, !session.heard);
    session.heard = true;
    if (session.suspected > 0 && !session.hearing) this.#proposeHeard(session);
    return session;
  }

  #proposeHeard(session: Session): void {
    session.hearing = true;
    const { worker, incarnation, suspected } = session;
    this.#options.propose({ kind: 'worker-heard', worker, incarnation }, (result) => {
      session.hearing = false;
      // A Suspect proposed since stands behind this Heard in the log, and needs one of its own.
      if (!result.ok || session.expiring || session.suspected > suspected) return;
      session.suspected = 0;
      this.#dispatch.heard(worker, true);
      this.#answer(session);
    });
  }

  /** Somebody waits for an answer that could not be given when it was asked. */
  #remind(worker: NodeId): void {
    const session = this.#sessions.get(worker);
    if (session !== undefined) this.#answer(session);
  }

  /** Answers the newest keep-alive, if a leader may: see the invariants. The next keep-alive asks again if not. */
  #answer(session: Session): void {
    if (session.unanswered === 0 || session.suspected > 0 || session.expiring || !this.#options.fresh()) return;
    // The answer tells a draining worker that no task is on its way to it.
    if (session.draining && this.#dispatch.inFlightOf(session.worker) > 0) return;
    const sequence = session.unanswered;
    session.unanswered = 0;
    this.#tidings.tell(session, sequence);
  }

  // ---- from the log ---------------------------------------------------------------------------------------------

  applied(event: TableEvent): void {
    this.#dispatch.applied(event);
    switch (event.kind) {
      case 'worker-joined':
        this.#sessions.open(event.worker, event.incarnation, this.#options.env.clock.now(), 0).heard = true;
        return;
      case 'worker-ended':
        this.#sessions.close(event.worker, event.incarnation);
        this.#reports.forget(event.worker);
        this.#tidings.forgetWorker(event.worker);
        this.#rests.ended(event.worker);
        this.#deaths.forget(event.worker);
        this.#options.send(event.worker, { type: 'ended', incarnation: event.incarnation });
        return;
      case 'task-granted':
        return this.#tidings.owe(event.worker);
      case 'task-ended':
        this.#tidings.ended(event.worker, event.epoch);
        this.#folds.moved(event.job);
        if (event.how === 'cancelled') this.#tidings.owe(event.worker);
        return;
      case 'job-evicted':
        this.#oversight.forget(event.job);
        this.#folds.forget(event.job);
        return this.#notices.forget(event.job);
      case 'task-progressed':
        this.#folds.moved(event.job);
        return this.#oversight.moved(event.job);
      case 'job-submitted':
      case 'job-state':
      case 'job-finished':
        return this.#jobChanged(event.job);
      default:
    }
  }

  #jobChanged(id: JobId): void {
    const job = this.#options.table.job(id);
    if (job === undefined) return;
    this.#followed(job);
    if (job.state === 'paused') for (const task of job.tasks) this.#tidings.owe(task.worker);
  }

  #followed(job: JobView): void {
    this.#notices.follow(job);
    this.#oversight.follow(job);
    this.#folds.follow(job);
  }

  // ---- its own initiative ---------------------------------------------------------------------------------------

  /** The process was stopped for a while; what it did not hear then is not held against anyone. */
  stalled(ms: number, now: number): void {
    this.#sessions.excuse(ms, now);
  }

  /** To be called after waiting input was read. */
  judge(): void {
    const now = this.#options.env.clock.now();
    for (const verdict of this.#sessions.judge(now)) this.#carryOut(verdict);
    this.#dispatch.judge(now);
    this.#rests.tick(now);
    this.runners.tick();
    this.#notices.tick();
    this.#oversight.tick();
    this.#folds.tick();
    this.#schedules.tick();
  }

  /** End of a turn: proposes what has gathered, and answers what is applied. */
  flush(): void {
    this.#reports.answer();
    this.#reports.flush();
    this.#tidings.push();
    this.#dispatch.flush();
  }

  close(): void {
    this.runners.close();
    this.#deaths.close();
    this.#dispatch.close();
    this.#notices.close();
    this.#oversight.close();
    this.#folds.close();
    this.#rests.close();
  }

  #carryOut(verdict: Verdict): void {
    const { session } = verdict;
    const { worker, incarnation } = session;
    if (verdict.kind === 'expire') return this.#expire(session, verdict.reason);
    session.suspected = verdict.quarters;
    this.#options.env.log.info({ worker, incarnation, quarters: verdict.quarters }, 'worker-suspected');
    const command: Command = { kind: 'worker-suspect', worker, incarnation, quarters: verdict.quarters };
    // When the log cannot take it, the worker stays unanswered until Heard is committed; that is the safe side.
    this.#options.propose(command, () => {});
  }

  #expire(session: Session, reason: string): void {
    session.expiring = true;
    const { worker, incarnation } = session;
    this.#options.env.log.warn({ worker, incarnation, reason }, 'worker-expiring');
    const command: Command = { kind: 'worker-expire', at: this.stamp(), worker, incarnation, reason };
    this.#options.propose(command, (result) => {
      if (result.ok) return;
      session.expiring = false;
      this.#dispatch.heard(worker, true);
    });
  }

  #proveDead(worker: NodeId): void {
    const session = this.#sessions.get(worker);
    if (session !== undefined && !session.expiring) this.#expire(session, 'its address refused connections for 500 ms');
  }

  /** It missed at most two keep-alives, and so can be expected to take a task now. */
  #isAvailable(worker: WorkerView): boolean {
    const session = this.#sessions.get(worker.id);
    if (session === undefined || session.incarnation !== worker.incarnation) return false;
    // A report says nothing of whether its worker rests: whoever leads anew waits for the keep-alive, which does.
    if (!session.heard || !session.introduced || session.draining || session.resting) return false;
    if (session.expiring || session.suspected > 0) return false;
    const silence = this.#options.env.clock.now() - session.lastHeardAt;
    return silence <= (3 * this.#options.sessionTtlMs) / KEEP_ALIVES_PER_TTL;
  }

  #grantSettled(worker: NodeId): void {
    const session = this.#sessions.get(worker);
    if (session?.draining) this.#answer(session);
  }
}
