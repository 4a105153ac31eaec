/**
 * RunnerDesk: where one session of a runner is served, on the node that leads.
 *
 * A node holds a connection and is told whatever changes; a runner asks, and hears nothing between its questions. So
 * the desk keeps the questions until they can be answered, sends them on as the keep-alives and reports that a node
 * would send, and keeps for the next answer what the leader says only once. All of it dies with the leader's term: what
 * must outlive that is in the table, and the rest the runner says again with each question.
 *
 * Invariants: one report at a time is on its way · one claim waits at most, the newest · an answer is given only after
 * the leader has answered a keep-alive that was sent after the question came.
 */
import { assert } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { ERROR_TEXT_MAX, KEEP_ALIVES_PER_TTL, ORDERS_PER_MESSAGE_MAX } from '../base/limits.ts';
import type { Epoch, Incarnation, NodeId } from '../base/types.ts';
import { forward, windowEnd } from '../ranges/lease.ts';
import { clipText } from '../ranges/text.ts';
import type { JobView, Table, Task, WorkerView } from '../ranges/types.ts';
import type { LeaderMessage, ReportResult, TaskOrder, TaskReport, WorkerMessage } from '../wire/messages.ts';
import type { Done } from './api.ts';
import type { RunnerAnswer, RunnerClaim, RunnerReport, TaskStanding } from './runner-api.ts';
import { orderOf } from './tidings.ts';

export interface DeskOptions {
  readonly table: Table;
  readonly sessionTtlMs: number;
  /** To the leader, as if it came from the worker. */
  readonly say: (from: NodeId, message: WorkerMessage) => void;
  /** A task of this runner ended as it asked for. */
  readonly ended: (report: RunnerReport, result: ReportResult) => void;
}

/** A question that is not yet answered. */
interface Asked {
  readonly request: RunnerClaim | RunnerReport;
  readonly done: Done<RunnerAnswer>;
  /** Of the keep-alive that went with it. */
  readonly sequence: number;
  /** A claim is answered at this time, whatever there is. */
  dueAt: number;
  /** The leader has answered a keep-alive as new as this question. */
  isProved: boolean;
  /** What became of the report. */
  result: ReportResult | null;
}

type Leases = Extract<LeaderMessage, { type: 'leases' }>;

export class RunnerDesk {
  readonly worker: NodeId;
  readonly session: Incarnation;
  readonly #options: DeskOptions;
  readonly #asked = new Set<Asked>();
  #sequence = 0;
  #reportSequence = 0;
  /** Reports that wait until the one before is answered. */
  #queue: Asked[] = [];
  #underWay: readonly Asked[] = [];
  /** When they are said again, should the leader not have taken them; null until the next look at the clock. */
  #sayAgainAt: number | null = null;
  /** The claim that waits for work, and how many leases the runner may then hold. */
  #waiting: { readonly asked: Asked; readonly leasesMax: number } | null = null;
  #release: readonly Epoch[] = [];
  readonly #shrink = new Set<Epoch>();
  #drain = false;

  constructor(worker: NodeId, session: Incarnation, options: DeskOptions) {
    this.worker = worker;
    this.session = session;
    this.#options = options;
  }

  /** Leases that the runner may hold just now: none more while it does not wait for one. */
  get leasesMax(): number {
    return this.#waiting === null || !this.#waiting.asked.isProved ? 0 : this.#waiting.leasesMax;
  }

  get hasQuestions(): boolean {
    return this.#asked.size > 0;
  }

  /** Takes a question; `settled` is what became of its report, if that is known already. Gives how to take it back. */
  ask(
    request: RunnerClaim | RunnerReport,
    dueAt: number,
    settled: ReportResult | null,
    done: Done<RunnerAnswer>,
  ): () => void {
    const asked = { request, done, sequence: ++this.#sequence, dueAt, isProved: false, result: settled };
    this.#asked.add(asked);
    if (request.kind === 'claim') this.#awaitWork(asked, request);
    else if (settled === null) this.#queue.push(asked);
    this.#beat(asked);
    this.#sendReports();
    return () => this.#forget(asked);
  }

  /** The leader's answer to a keep-alive, or a push. */
  leases(message: Leases): void {
    const { sequence, release, shrink, drain } = message;
    const isNews =
      drain !== this.#drain || shrink.length > 0 || release.some((epoch) => !this.#release.includes(epoch));
    this.#release = release;
    this.#drain = drain;
    for (const epoch of shrink) this.#shrink.add(epoch);
    for (const asked of [...this.#asked]) {
      if (asked.sequence <= sequence) asked.isProved = true;
      // A push is for whoever waits: the next question would come too late for it.
      if (sequence === 0 && isNews) asked.dueAt = 0;
      this.#settle(asked, 0);
    }
  }

  reported(sequence: number, results: readonly ReportResult[]): void {
    if (sequence !== this.#reportSequence) return;
    const answered = this.#underWay;
    this.#underWay = [];
    for (const asked of answered) {
      const { epoch, cursor } = reportIn(asked);
      // What the table does not know can be no lease: whoever leads has applied all that was ever told.
      const unknown: ReportResult = {
        ...{ epoch, cursor, claimed: cursor, end: cursor },
        state: 'stale',
        checkpoint: null,
      };
      asked.result = results.find((one) => one.epoch === epoch) ?? unknown;
      if (asked.result.state === 'ended') this.#options.ended(reportIn(asked), asked.result);
      this.#settle(asked, 0);
    }
    this.#sendReports();
  }

  /** Answers what is due. Whether a question still waits for the leader's word on the session. */
  tick(now: number): boolean {
    if (this.#underWay.length > 0) this.#sayAgain(now);
    for (const asked of [...this.#asked]) this.#settle(asked, now);
    return [...this.#asked].some((asked) => !asked.isProved);
  }

  /** No answer will come any more. */
  close(error: PolarisError): void {
    this.#waiting = null;
    const open = [...this.#asked];
    this.#asked.clear();
    for (const { done } of open) done({ ok: false, error });
  }

  #awaitWork(asked: Asked, { tasksMax }: RunnerClaim): void {
    // Who wants nothing only says that it lives.
    if (tasksMax === 0) return;
    // Two that wait would share one session and could be given the same task.
    const former = this.#waiting?.asked;
    if (former !== undefined) former.dueAt = 0;
    const worker = this.#options.table.worker(this.worker);
    assert(worker?.incarnation === this.session, 'a desk serves a session of the table');
    const leasesMax = Math.min(worker.slots, worker.epochs.length + tasksMax);
    this.#waiting = { asked, leasesMax };
    if (former !== undefined) this.#settle(former, 0);
  }

  #beat({ request, sequence }: Asked): void {
    const { session, epochs, draining } = request;
    const message = { incarnation: session, sequence, epochs: epochs ?? [], draining };
    this.#options.say(this.worker, { type: 'keep-alive', ...message });
    if (request.kind === 'claim' || request.keep === null) return;
    this.#shrink.delete(request.epoch);
    const offers = [{ epoch: request.epoch, end: request.keep }];
    this.#options.say(this.worker, { type: 'keep', incarnation: session, offers });
  }

  #sendReports(): void {
    if (this.#underWay.length > 0 || this.#queue.length === 0) return;
    this.#underWay = this.#queue;
    this.#queue = [];
    this.#reportSequence++;
    this.#sayReports();
  }

  #sayReports(): void {
    this.#sayAgainAt = null;
    const reports = this.#underWay.map((asked) => this.#wireReport(reportIn(asked)));
    const message = { incarnation: this.session, sequence: this.#reportSequence, reports };
    this.#options.say(this.worker, { type: 'report', ...message });
  }

  /** A leader that was about to end the session passes over what is said, and may then not have ended it. */
  #sayAgain(now: number): void {
    const dueAt = this.#sayAgainAt ?? now + this.#options.sessionTtlMs / KEEP_ALIVES_PER_TTL;
    if (now >= dueAt) this.#sayReports();
    else this.#sayAgainAt = dueAt;
  }

  #wireReport({ epoch, cursor, begun, claimed, ending, error, outputs }: RunnerReport): TaskReport {
    const { table } = this.#options;
    const task = table.task(epoch);
    const job = task === undefined ? undefined : table.job(task.job);
    const text = clipText(error, ERROR_TEXT_MAX);
    const said = { epoch, cursor, ending, error: text, outputs, checkpoint: null };
    const report = { ...said, begun: cursor, claimed: claimed ?? cursor };
    if (task === undefined || job === undefined) return report;
    const { options } = job.spec;
    const allowed = Math.max(cursor, windowEnd(task, options));
    const isBegun = { begun: begun ?? (ending === null ? cursor : allowed) };
    if (options.delivery !== 'at-most-once') return { ...report, ...isBegun, claimed: cursor };
    const wanted = claimed ?? Math.max(task.claimed, forward(cursor, options.commitEvery, task.end));
    return { ...report, ...isBegun, claimed: Math.max(wanted, cursor) };
  }

  /** Answers a question if it can be; a claim that may wait is, once there is something to say. */
  #settle(asked: Asked, now: number): void {
    if (!asked.isProved || !this.#asked.has(asked)) return;
    const { request, done, result } = asked;
    const worker = this.#options.table.worker(this.worker);
    if (worker?.incarnation !== this.session) return;
    if (request.kind === 'report' && result === null) return;
    if (result !== null && request.kind === 'report') {
      const error = result.state === 'refused' ? this.#refusedOutputs(request) : refusalOf(request, result);
      if (error !== null) {
        this.#forget(asked);
        return done({ ok: false, error });
      }
    }
    const answer = this.#answerTo(asked, worker);
    const hasWord = answer.orders.length > 0 || answer.stop.length > 0;
    if (request.kind === 'claim' && !hasWord && now < asked.dueAt) return;
    for (const epoch of answer.shrink) this.#shrink.delete(epoch);
    this.#forget(asked);
    done({ ok: true, value: answer });
  }

  /** Of a report whose outputs cannot be kept: its lease lives, and its code must end. */
  #refusedOutputs({ epoch, outputs }: RunnerReport): PolarisError {
    const [, job] = this.#leaseOf(epoch);
    const schemas = new Set(outputs.map(({ handle }) => handle.schema));
    if (job?.schema) schemas.add(job.schema.schema);
    const code = schemas.size > 1 ? 'SCHEMA_CONFLICT' : 'BLOB_CONDEMNED';
    return new PolarisError(code, `what epoch ${epoch} emitted cannot be kept: end its task`);
  }

  #answerTo({ request, result }: Asked, worker: WorkerView): RunnerAnswer {
    const live = new Set(worker.epochs);
    for (const epoch of this.#shrink) if (!live.has(epoch)) this.#shrink.delete(epoch);
    return {
      ...{ worker: this.worker, session: this.session, sessionTtlMs: this.#options.sessionTtlMs },
      task: result === null ? null : this.#standing(result),
      orders: request.epochs === null ? [] : this.#lacking(worker, request.epochs),
      // What ended as it was asked for needs no other word.
      stop: (request.epochs ?? []).filter((epoch) => !live.has(epoch) && epoch !== result?.epoch),
      release: this.#drain ? worker.epochs : this.#release.filter((epoch) => live.has(epoch)),
      shrink: [...this.#shrink],
      drain: this.#drain,
    };
  }

  #standing({ state, ...result }: ReportResult): TaskStanding {
    const [task, job] = this.#leaseOf(result.epoch);
    const limit = task === undefined || job === undefined ? result.cursor : windowEnd(task, job.spec.options);
    return { ...result, state: state === 'ended' ? 'ended' : 'live', limit };
  }

  #lacking(worker: WorkerView, named: readonly Epoch[]): TaskOrder[] {
    const orders: TaskOrder[] = [];
    for (const epoch of worker.epochs) {
      if (orders.length >= ORDERS_PER_MESSAGE_MAX) break;
      const [task, job] = this.#leaseOf(epoch);
      if (task !== undefined && job !== undefined && !named.includes(epoch)) orders.push(orderOf(job, task));
    }
    return orders;
  }

  #leaseOf(epoch: Epoch): [Task | undefined, JobView | undefined] {
    const task = this.#options.table.task(epoch);
    return [task, task === undefined ? undefined : this.#options.table.job(task.job)];
  }

  #forget(asked: Asked): void {
    this.#asked.delete(asked);
    if (this.#waiting?.asked === asked) this.#waiting = null;
    this.#queue = this.#queue.filter((one) => one !== asked);
  }
}

function reportIn({ request }: Asked): RunnerReport {
  assert(request.kind === 'report', 'only reports wait for a result');
  return request;
}

/** Why a report is refused; null when it is not. */
function refusalOf({ epoch, ending }: RunnerReport, { state }: ReportResult): PolarisError | null {
  if (state === 'stale') {
    return new PolarisError('STALE_EPOCH', `the lease of epoch ${epoch} has ended: stop its task, and claim another`);
  }
  if (ending === null || state === 'ended') return null;
  return new PolarisError('OVERLOADED', `the log could not take the end of epoch ${epoch}; send it again`);
}
