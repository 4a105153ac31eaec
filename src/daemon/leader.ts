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
import { KEEP_ALIVES_PER_TTL, ORDERS_PER_MESSAGE_MAX, WORKERS_MAX } from '../base/limits.ts';
import type { Address, Epoch, Incarnation, JobId, LogIndex, NodeId } from '../base/types.ts';
import type { Command, JobView, Outcome, Table, TableEvent, Task, WorkerView } from '../ranges/types.ts';
import type { LeaderMessage, TaskOrder, WorkerMessage } from '../wire/messages.ts';
import type { Done, JobPace, Result } from './api.ts';
import { DeathWatch } from './death.ts';
import type { Env } from './env.ts';
import { type GrantCommand, Grants } from './grants.ts';
import { Pace } from './pace.ts';
import { Reports } from './reports.ts';
import { type Session, Sessions, type Verdict } from './sessions.ts';
import { Stamps } from './stamps.ts';

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
  readonly #pace = new Pace();
  readonly #grants: Grants;
  readonly #reports: Reports;
  readonly #deaths: DeathWatch;
  readonly #stamps: Stamps;
  /** Joins that wait for their entry, by worker: the nonce. */
  readonly #joining = new Map<NodeId, number>();
  /** Workers that must be told of new or ended leases at the end of this turn. */
  readonly #toTell = new Set<NodeId>();
  /** Something changed that may allow a grant. */
  #plannable = true;

  constructor(options: LeaderOptions) {
    this.#options = options;
    const { env, table } = options;
    this.#sessions = new Sessions(options.sessionTtlMs);
    this.#stamps = new Stamps(env, table);
    this.#grants = new Grants({ table, pace: this.#pace, prng: env.prng });
    this.#reports = new Reports({
      table,
      stamp: () => this.#stamps.next(),
      propose: options.propose,
      send: options.send,
    });
    this.#deaths = new DeathWatch(env, options.listened, (worker) => this.#proveDead(worker));
    const now = env.clock.now();
    for (const worker of table.workers()) {
      this.#sessions.open(worker.id, worker.incarnation, now, worker.suspectQuarters);
      if (!options.isConnected(worker.id)) this.#deaths.lost(worker.id, worker.address);
    }
    for (const job of table.jobs()) {
      for (const task of job.tasks) this.#pace.granted(task.epoch, task.end - task.cursor, now);
    }
  }

  // ---- from clients ---------------------------------------------------------------------------------------------

  stamp(): number {
    return this.#stamps.next();
  }

  jobPace(job: JobView): JobPace {
    const rate = this.#pace.rate(job.spec.id, this.#options.env.clock.now());
    const left = job.spec.end - job.spec.start - job.coveredPoints - job.failedPoints;
    return { pointsPerSecond: rate, etaSeconds: rate > 0 && left > 0 ? left / rate : null };
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
      if (!result.ok) return;
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
    if (session.draining && !message.draining) this.#plannable = true;
    session.draining = message.draining;
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
    if (!session.heard) this.#plannable = true;
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
      this.#plannable = true;
      this.#answer(session);
    });
  }

  /** Answers the newest keep-alive, if a leader may: see the invariants. The next keep-alive asks again if not. */
  #answer(session: Session): void {
    if (session.unanswered === 0 || session.suspected > 0 || session.expiring || !this.#options.fresh()) return;
    // The answer tells a draining worker that no task is on its way to it.
    if (session.draining && this.#grants.inFlightOf(session.worker) > 0) return;
    const sequence = session.unanswered;
    session.unanswered = 0;
    this.#tell(session, sequence);
  }

  /** Sends what the worker holds; `sequence` 0 is a push that proves nothing about the session. */
  #tell(session: Session, sequence: number): void {
    const { table, send } = this.#options;
    const worker = table.worker(session.worker);
    if (worker === undefined || worker.incarnation !== session.incarnation) return;
    const told = new Set<Epoch>();
    const orders: TaskOrder[] = [];
    const release: Epoch[] = [];
    const { epochs } = worker;
    let isLeft = false;
    for (const epoch of epochs) {
      const task = table.task(epoch);
      const job = task === undefined ? undefined : table.job(task.job);
      if (task === undefined || job === undefined) continue;
      if (job.state === 'paused') release.push(epoch);
      if (!session.told.has(epoch)) {
        if (orders.length >= ORDERS_PER_MESSAGE_MAX) {
          isLeft = true;
          continue;
        }
        orders.push(orderOf(job, task));
      }
      told.add(epoch);
    }
    session.told = told;
    if (isLeft) this.#tellMore(session.worker);
    send(session.worker, {
      type: 'leases',
      incarnation: session.incarnation,
      sequence,
      appliedIndex: table.appliedIndex,
      epochs,
      orders,
      release,
    });
  }

  /** The rest of the orders goes with the next turn: a long message would hold up heartbeats. */
  #tellMore(worker: NodeId): void {
    this.#toTell.add(worker);
    this.#options.wake();
  }

  // ---- from the log ---------------------------------------------------------------------------------------------

  applied(event: TableEvent): void {
    const now = this.#options.env.clock.now();
    switch (event.kind) {
      case 'worker-joined':
        this.#sessions.open(event.worker, event.incarnation, now, 0).heard = true;
        this.#plannable = true;
        return;
      case 'worker-ended':
        this.#sessions.close(event.worker, event.incarnation);
        this.#reports.forget(event.worker);
        this.#deaths.forget(event.worker);
        this.#pace.forgetWorker(event.worker);
        this.#options.send(event.worker, { type: 'ended', incarnation: event.incarnation });
        return;
      case 'task-granted': {
        const task = this.#options.table.task(event.epoch);
        if (task !== undefined) this.#pace.granted(event.epoch, task.end - task.start, now);
        this.#toTell.add(event.worker);
        return;
      }
      case 'task-progressed':
        return this.#pace.moved(event.job, event.to - event.from, now);
      case 'task-ended':
        this.#pace.ended(event.job, event.worker, event.epoch, event.how === 'completed', now);
        this.#plannable = true;
        if (event.how === 'cancelled') this.#toTell.add(event.worker);
        return;
      case 'job-state':
        this.#plannable = true;
        return this.#jobChanged(event.job);
      case 'job-submitted':
        this.#plannable = true;
        return;
      case 'job-evicted':
        return this.#forgetJob(event.job);
      case 'range-failed':
      case 'range-uncertain':
      case 'job-finished':
      case 'task-shrunk':
        return;
      default:
        return unreachable(event);
    }
  }

  #jobChanged(id: JobId): void {
    const job = this.#options.table.job(id);
    if (job === undefined) return;
    if (job.state === 'paused') for (const task of job.tasks) this.#toTell.add(task.worker);
    if (job.finishedAt !== null) this.#forgetJob(id);
  }

  #forgetJob(id: JobId): void {
    this.#pace.forgetJob(id);
    this.#grants.forgetJob(id);
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
    if (now >= this.#grants.nextRetryAt) this.#plannable = true;
  }

  /** End of a turn: proposes what has gathered, and answers what is applied. */
  flush(): void {
    this.#reports.answer();
    this.#reports.flush();
    const toTell = [...this.#toTell];
    this.#toTell.clear();
    for (const worker of toTell) {
      const session = this.#sessions.get(worker);
      if (session !== undefined) this.#tell(session, 0);
    }
    if (this.#plannable) this.#plan();
  }

  close(): void {
    this.#deaths.close();
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
      if (!result.ok) session.expiring = false;
    });
  }

  #proveDead(worker: NodeId): void {
    const session = this.#sessions.get(worker);
    if (session !== undefined && !session.expiring) this.#expire(session, 'its address refused connections for 500 ms');
  }

  /** Workers that missed at most two keep-alives, and so can be expected to take a task now. */
  #available(): WorkerView[] {
    const { table, env, sessionTtlMs } = this.#options;
    const now = env.clock.now();
    const available: WorkerView[] = [];
    for (const worker of table.workers()) {
      const session = this.#sessions.get(worker.id);
      if (session === undefined || session.incarnation !== worker.incarnation) continue;
      if (!session.heard || session.expiring || session.draining || session.suspected > 0) continue;
      if (now - session.lastHeardAt <= (3 * sessionTtlMs) / KEEP_ALIVES_PER_TTL) available.push(worker);
    }
    return available;
  }

  #plan(): void {
    this.#plannable = false;
    const { env, propose } = this.#options;
    const planned = this.#grants.plan(this.#available(), env.clock.now(), this.stamp());
    for (const grant of planned) propose(grant, (result) => this.#granted(grant, result));
  }

  #granted(grant: GrantCommand, result: Result<Outcome>): void {
    this.#grants.settled(grant, result.ok && result.value.kind === 'granted', this.#options.env.clock.now());
    const session = this.#sessions.get(grant.worker);
    if (session?.draining) this.#answer(session);
    this.#plannable = true;
    this.#options.wake();
  }
}

function orderOf(job: JobView, task: Task): TaskOrder {
  const { id, name, metadata, options } = job.spec;
  const { epoch, start, end, cursor, claimed, attempts } = task;
  return { epoch, job: id, name, start, end, cursor, claimed, metadata, options, attempts };
}
