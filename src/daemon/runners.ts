/**
 * Runners: workers that are no nodes of Polaris, at the counter of the leader.
 *
 * Think of day labourers beside the staff: they come to the counter, ask for work, say how far they are, and go by the
 * same rules, for the foreman behind the counter cannot tell them from the others. What is said here becomes the
 * messages that a node would send; sessions, epochs, windows and claims are those of the leader and its table, so every
 * promise that holds for nodes holds here. The counter itself remembers nothing that must outlive it: with a new leader
 * comes a new counter, and the runners go on where they were.
 *
 * A node is granted tasks as long as it lives, for it is there to take them. A runner is granted one only while it
 * stands at the counter and waits: nothing is granted to somebody who has gone.
 *
 * Invariants: only who names the instance of a session speaks for it · a session is ended for a new one only by who names
 * it, since anything may be delivered again, much later, by whatever stands in between · a leader that may have been deposed says nothing
 * · a runner holds no more leases than it asked for.
 */
import { unreachable } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { CLAIM_WAIT_KEEP_ALIVES, ENDED_EPOCHS_REMEMBERED, KEEP_ALIVES_PER_TTL, RUNNERS_MAX } from '../base/limits.ts';
import type { Prng } from '../base/prng.ts';
import { isRunner } from '../base/runner-id.ts';
import type { Epoch, Incarnation, InstanceId, LogIndex, NodeId, Range } from '../base/types.ts';
import { windowEnd } from '../ranges/lease.ts';
import type { Table, WorkerView } from '../ranges/types.ts';
import type { LeaderMessage, ReportResult, WorkerMessage } from '../wire/messages.ts';
import type { Done, Result } from './api.ts';
import type { Clock } from './env.ts';
import type { RunnerAnswer, RunnerClaim, RunnerJoin, RunnerReport, RunnerRequest } from './runner-api.ts';
import { RunnerDesk } from './runner-desk.ts';

export interface RunnersOptions {
  readonly table: Table;
  readonly clock: Clock;
  readonly prng: Prng;
  readonly sessionTtlMs: number;
  /** Nobody else can lead at this moment. */
  readonly fresh: () => boolean;
  /** To the leader, as if it came from the worker. */
  readonly say: (from: NodeId, message: WorkerMessage) => void;
  /** A worker waits for an answer that could not be given when it asked. */
  readonly remind: (worker: NodeId) => void;
  /** A worker may be given a task now, and could not before. */
  readonly waits: (worker: NodeId) => void;
}

/** A join that waits for its entry, and all who asked for it. */
interface Joining {
  readonly nonce: number;
  readonly instanceId: InstanceId;
  /** Applied when it was asked for: its session is a later one. */
  readonly after: LogIndex;
  readonly askers: Set<Done<RunnerAnswer>>;
}

/** What was said of a task that ended, and what it was answered. */
type Ended = Pick<RunnerReport, 'worker' | 'session' | 'ending' | 'cursor'> & { readonly result: ReportResult };

const NOTHING = { task: null, orders: [], stop: [], release: [], shrink: [], drain: false } as const;
const NOT_TAKEN_BACK = () => {};

export class Runners {
  readonly #options: RunnersOptions;
  readonly #desks = new Map<NodeId, RunnerDesk>();
  /** By worker: a second entry would end the session that the first one gave. */
  readonly #joining = new Map<NodeId, Joining>();
  /** The oldest first. A complete whose answer was lost is said again, and must not look like a lost lease. */
  readonly #ended = new Map<Epoch, Ended>();

  constructor(options: RunnersOptions) {
    this.#options = options;
  }

  // ---- from runners ---------------------------------------------------------------------------------------------

  /** Calls back once, unless the question is taken back with what this gives. */
  ask(request: RunnerRequest, done: Done<RunnerAnswer>): () => void {
    if (!this.#options.fresh()) {
      done({ ok: false, error: new PolarisError('NO_LEADER') });
      return NOT_TAKEN_BACK;
    }
    const refusal = this.#refusalOf(request);
    if (refusal !== null) {
      done({ ok: false, error: refusal });
      return NOT_TAKEN_BACK;
    }
    return request.kind === 'join' ? this.#join(request, done) : this.#serve(request, done);
  }

  /** Leases that a worker may hold: a runner none beyond those that it waits for. */
  leasesMax(worker: WorkerView): number {
    return isRunner(worker.id) ? (this.#deskOf(worker)?.leasesMax ?? 0) : worker.slots;
  }

  #refusalOf(request: RunnerRequest): PolarisError | null {
    const worker = this.#options.table.worker(request.worker);
    if (worker !== undefined && worker.instanceId !== request.instanceId) return this.#foreign(request.worker);
    switch (request.kind) {
      case 'join':
        return worker === undefined && this.#isFull() ? new PolarisError('OVERLOADED', FULL) : null;
      case 'claim':
      case 'report':
        if (worker?.incarnation !== request.session) return sessionEnded(request.session);
        return request.kind === 'claim' ? null : this.#beyondWindow(request);
      default:
        return unreachable(request);
    }
  }

  #foreign(worker: NodeId): PolarisError {
    const detail =
      `another instance has a session as ${worker}: take another name, ` +
      `or come again when that session has been silent for ${this.#options.sessionTtlMs} ms`;
    return new PolarisError('INSTANCE_MISMATCH', detail);
  }

  #isFull(): boolean {
    let count = this.#joining.size;
    for (const { id } of this.#options.table.workers()) if (isRunner(id)) count++;
    return count >= RUNNERS_MAX;
  }

  /** What a runner that keeps to its window never says. Of a lease that is not its own it hears nothing here. */
  #beyondWindow({ worker, session, epoch, cursor, begun, claimed, keep, outputs }: RunnerReport): PolarisError | null {
    const { table } = this.#options;
    const task = table.task(epoch);
    const job = task === undefined ? undefined : table.job(task.job);
    if (task === undefined || job === undefined || task.worker !== worker || task.incarnation !== session) return null;
    const { start, end } = task;
    const limit = windowEnd(task, job.spec.options);
    const bad = (what: string) => new PolarisError('BAD_REQUEST', `${what} (epoch ${epoch})`);
    if (cursor < start || cursor > end) return bad(`cursor ${cursor} lies outside of the task [${start}, ${end})`);
    const reached = begun ?? cursor;
    if (reached < cursor) return bad(`begun ${reached} lies before the cursor ${cursor}`);
    if (Math.max(reached, cursor) > limit) {
      return bad(
        `point ${limit} and those behind it may not be begun yet: report up to it, and wait for the next limit`,
      );
    }
    if (claimed !== null && (claimed < cursor || claimed > end)) {
      return bad(`claimed ${claimed} must lie between the cursor ${cursor} and the end ${end}`);
    }
    if (!areInOrder(outputs, { start, end: cursor })) {
      return bad(`outputs must ascend, not overlap, and lie within [${start}, ${cursor}), the task up to the cursor`);
    }
    if (keep !== null && (keep < reached || keep > end)) {
      return bad(`keep ${keep} must lie between what was begun and the end ${end}`);
    }
    return null;
  }

  #join(request: RunnerJoin, done: Done<RunnerAnswer>): () => void {
    const { table, prng, say } = this.#options;
    const { worker, instanceId, slots, offers, replaces } = request;
    const underWay = this.#joining.get(worker);
    if (underWay !== undefined) return this.#joinToo(underWay, request, done);
    const current = table.worker(worker);
    if (current !== undefined && current.incarnation !== replaces) {
      done({ ok: true, value: this.#welcome(worker, current.incarnation) });
      return NOT_TAKEN_BACK;
    }
    const nonce = prng.integer(1, 2 ** 31);
    const askers = new Set([done]);
    this.#joining.set(worker, { nonce, instanceId, after: table.appliedIndex, askers });
    say(worker, { type: 'join', nonce, instanceId, address: 'http', slots, offers });
    return () => askers.delete(done);
  }

  #joinToo({ instanceId, askers }: Joining, request: RunnerJoin, done: Done<RunnerAnswer>): () => void {
    if (instanceId !== request.instanceId) {
      done({ ok: false, error: this.#foreign(request.worker) });
      return NOT_TAKEN_BACK;
    }
    askers.add(done);
    return () => askers.delete(done);
  }

  #welcome(worker: NodeId, session: Incarnation): RunnerAnswer {
    return { worker, session, sessionTtlMs: this.#options.sessionTtlMs, ...NOTHING };
  }

  #serve(request: RunnerClaim | RunnerReport, done: Done<RunnerAnswer>): () => void {
    const desk = this.#openDesk(request);
    const waitMs = request.kind === 'claim' ? this.#waitOf(request) : 0;
    const dueAt = waitMs === 0 ? 0 : this.#options.clock.now() + waitMs;
    const settled = request.kind === 'report' ? this.#settledBefore(request) : null;
    const takeBack = desk.ask(request, dueAt, settled, done);
    if (desk.leasesMax > 0) this.#options.waits(request.worker);
    return takeBack;
  }

  /** Beyond it the leader would take the silent one for dead, and give it nothing any more. */
  #waitOf({ waitMs }: RunnerClaim): number {
    return Math.min(waitMs, (CLAIM_WAIT_KEEP_ALIVES * this.#options.sessionTtlMs) / KEEP_ALIVES_PER_TTL);
  }

  /** What this leader answered, if the same was said before. */
  #settledBefore({ worker, session, epoch, ending, cursor }: RunnerReport): ReportResult | null {
    const ended = this.#ended.get(epoch);
    if (ended === undefined) return null;
    const isSame = ended.worker === worker && ended.session === session && ended.ending === ending;
    return isSame && ended.cursor === cursor ? ended.result : null;
  }

  // ---- from the leader ------------------------------------------------------------------------------------------

  hear(worker: NodeId, message: LeaderMessage): void {
    switch (message.type) {
      case 'joined':
        return this.#answerJoin(worker, { ok: true, value: this.#welcome(worker, message.incarnation) });
      case 'join-refused':
        return this.joinLost(worker, message.nonce, this.#joinError(worker, message.code, message.detail));
      case 'leases':
        return this.#desk(worker, message.incarnation)?.leases(message);
      case 'reported':
        return this.#desk(worker, message.incarnation)?.reported(message.sequence, message.results);
      case 'ended':
        return this.#closeDesk(worker, message.incarnation);
      case 'leader':
        return;
      default:
        return unreachable(message);
    }
  }

  /** The log did not take a join. */
  joinLost(worker: NodeId, nonce: number, error: PolarisError): void {
    if (this.#joining.get(worker)?.nonce === nonce) this.#answerJoin(worker, { ok: false, error });
  }

  /** To be called now and then: ends what has waited long enough, and asks again for what could not be answered. */
  tick(): void {
    const now = this.#options.clock.now();
    if (this.#joining.size > 0 && this.#options.fresh()) this.#lookForJoined();
    for (const desk of this.#desks.values()) {
      if (!desk.hasQuestions || !desk.tick(now)) continue;
      this.#options.remind(desk.worker);
      if (desk.leasesMax > 0) this.#options.waits(desk.worker);
    }
  }

  /** Somebody else leads: what was reported may be committed, or not. */
  close(): void {
    const error = new PolarisError('OUTCOME_UNKNOWN', 'the leader changed meanwhile; ask again');
    for (const worker of [...this.#joining.keys()]) this.#answerJoin(worker, { ok: false, error });
    for (const desk of this.#desks.values()) desk.close(error);
    this.#desks.clear();
  }

  #answerJoin(worker: NodeId, result: Result<RunnerAnswer>): void {
    const askers = this.#joining.get(worker)?.askers ?? [];
    this.#joining.delete(worker);
    for (const done of [...askers]) done(result);
  }

  /** A leader that had no quorum for a moment did not say what the log has taken. */
  #lookForJoined(): void {
    for (const [worker, { instanceId, after }] of [...this.#joining]) {
      const current = this.#options.table.worker(worker);
      if (current?.instanceId !== instanceId || current.incarnation <= after) continue;
      this.#answerJoin(worker, { ok: true, value: this.#welcome(worker, current.incarnation) });
    }
  }

  #joinError(worker: NodeId, code: string, detail: string): PolarisError {
    return code === 'INSTANCE_MISMATCH' ? this.#foreign(worker) : new PolarisError('OVERLOADED', detail);
  }

  #openDesk({ worker, session }: RunnerClaim | RunnerReport): RunnerDesk {
    const known = this.#desk(worker, session);
    if (known !== undefined) return known;
    const { table, sessionTtlMs, say } = this.#options;
    const desk = new RunnerDesk(worker, session, {
      table,
      sessionTtlMs,
      say,
      ended: (...end) => this.#remember(...end),
    });
    this.#desks.get(worker)?.close(sessionEnded(this.#desks.get(worker)?.session ?? session));
    this.#desks.set(worker, desk);
    return desk;
  }

  #closeDesk(worker: NodeId, session: number): void {
    const desk = this.#desk(worker, session);
    if (desk === undefined) return;
    this.#desks.delete(worker);
    desk.close(sessionEnded(session));
  }

  #desk(worker: NodeId, session: number): RunnerDesk | undefined {
    const desk = this.#desks.get(worker);
    return desk?.session === session ? desk : undefined;
  }

  #deskOf({ id, incarnation }: WorkerView): RunnerDesk | undefined {
    return this.#desk(id, incarnation);
  }

  #remember({ worker, session, epoch, ending, cursor }: RunnerReport, result: ReportResult): void {
    this.#ended.set(epoch, { worker, session, ending, cursor, result });
    const [oldest] = this.#ended.keys();
    if (this.#ended.size > ENDED_EPOCHS_REMEMBERED && oldest !== undefined) this.#ended.delete(oldest);
  }
}

const FULL = `${RUNNERS_MAX} runners have a session; let some end, or give each more slots`;

function sessionEnded(session: number): PolarisError {
  return new PolarisError(
    'SESSION_ENDED',
    `session ${session} has ended, and every lease with it: stop its tasks, and claim without a session`,
  );
}

/** Whether each lies behind the one before it, and all of them within. */
function areInOrder(outputs: readonly Range[], { start, end }: Range): boolean {
  let before = start;
  for (const output of outputs) {
    if (output.start < before || output.end <= output.start) return false;
    before = output.end;
  }
  return before <= end;
}
