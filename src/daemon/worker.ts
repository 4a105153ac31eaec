/**
 * Worker: holds leases and runs their tasks.
 *
 * It joins under the leader, says every TTL/10 that it lives and which leases it holds, and learns from each answer
 * which ones it should hold: it starts those it lacks and stops those that are gone. Whoever leads is told the same way,
 * so a change of leader is nothing but an answer from somewhere else.
 *
 * The worker fences itself: ⅔ of the TTL after it *sent* the last keep-alive that was answered, all its tasks stop, for
 * soon after that the leader may give them to others. The executor enforces the same deadline by itself, also while this
 * process is stopped.
 *
 * Invariants: an epoch is run at most once in this process · what is said of an ended lease is never acted on · one
 * report at a time is on its way.
 */
import { unreachable } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { KEEP_ALIVES_PER_TTL, OUTPUTS_PER_MESSAGE_MAX, SESSION_TTL_MS } from '../base/limits.ts';
import type { Address, Epoch, Incarnation, InstanceId, LogIndex, Point } from '../base/types.ts';
import { forward, windowEnd } from '../ranges/lease.ts';
import type { StampedCheckpoint, StampedOutput } from '../ranges/types.ts';
import type { LeaderMessage, ReportResult, TaskOrder, TaskReport, WorkerMessage } from '../wire/messages.ts';
import { Emitted } from './emitted.ts';
import type { Env, ExecutorEnding } from './env.ts';

export interface WorkerOptions {
  readonly env: Env;
  readonly instanceId: InstanceId;
  readonly address: Address;
  readonly slots: number;
  readonly sessionTtlMs: number;
  /** Sends to whoever is thought to lead. */
  readonly send: (message: WorkerMessage) => void;
  /** Nothing was heard from it for long: think of another. */
  readonly doubtLeader: () => void;
  /** Runs what the executor says as an event of the node, with the end of a turn after it. */
  readonly turn: (run: () => void) => void;
}

interface Held {
  readonly order: TaskOrder;
  /** 'waiting' for a slot, 'running', 'ended' and not yet acknowledged, or 'lost' and still being stopped. */
  phase: 'waiting' | 'running' | 'ended' | 'lost';
  cursor: Point;
  begun: Point;
  committed: Point;
  /** Committed as claimed: only below it may a point of an at-most-once task be begun. Otherwise the cursor. */
  claimed: Point;
  /** Nothing at or beyond it is handed out: of the order, or what we said to keep. */
  end: Point;
  ending: TaskReport['ending'];
  error: string;
  /** What it made beside its cursor, until that is committed. */
  readonly emitted: Emitted;
  /** Asked back by the leader, or by our own draining. */
  releasing: boolean;
  /** It has a checkpoint, or made one: its range stays as it is. */
  isWhole: boolean;
  /** What it emitted cannot be kept: it is to end, and then says so. */
  refused: boolean;
  /** Aborted at the deadline, whatever came after. */
  fenced: boolean;
}

export class Worker {
  readonly #options: WorkerOptions;
  readonly #held = new Map<Epoch, Held>();
  /** Epochs that ended here while the leader may still list them: never to be run again. */
  #finished = new Set<Epoch>();
  #ttlMs: number;
  #incarnation: Incarnation | null = null;
  #nonce: number | null = null;
  #joinSentAt = 0;
  #sequence = 0;
  /** When unanswered keep-alives were sent, oldest first. */
  #sent: { readonly sequence: number; readonly at: number }[] = [];
  #answeredSentAt = Number.NEGATIVE_INFINITY;
  #appliedIndexSeen: LogIndex = 0;
  #nextBeatAt = 0;
  /** Nothing was sent yet to the leader that was named last. */
  #leaderIsNew = false;
  #fenced = false;
  #reportSequence = 0;
  #reportSentAt: number | null = null;
  #dirty = false;
  #drained: (() => void) | null = null;
  /** While draining, the beat from which on the leader knows of it: once it is answered, no task is on its way to us. */
  #drainSequence = Number.POSITIVE_INFINITY;
  /** The leader wants this worker to hold nothing, and it goes on living. Kept from session to session. */
  #resting = false;
  /** Only an answer to a later beat than this one can end the rest: whoever gives it has heard that we rest. */
  #restSequence = 0;
  /** When an idle worker stops waiting for that answer. */
  #drainPatienceEndsAt = Number.POSITIVE_INFINITY;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#ttlMs = options.sessionTtlMs;
    options.env.executor.start({
      progress: (epoch, cursor, begun, outputs) => {
        options.turn(() => this.#progress(epoch, cursor, begun, outputs));
      },
      checkpoint: (epoch, checkpoint) => options.turn(() => this.#checkpoint(epoch, checkpoint)),
      ended: (ending) => options.turn(() => this.#ended(ending)),
    });
  }

  /** Live leases, for the status page. */
  get busy(): number {
    return this.#held.size;
  }

  /** The answer of a new leader is not to be waited for: beat now. */
  leaderChanged(): void {
    this.#nextBeatAt = 0;
    this.#leaderIsNew = true;
    this.#reportSentAt = null;
    this.#dirty = true;
  }

  tick(): void {
    const now = this.#options.env.clock.now();
    this.#fence(now);
    if (this.#reportSentAt !== null && now - this.#reportSentAt >= 2 * this.#repeatMs()) this.#dirty = true;
    if (this.#drained !== null) this.#checkDrained();
    if (now < this.#nextBeatAt) return;
    // A join or a farewell that was lost must not wait for the beat of a long session.
    const isUrgent = this.#incarnation === null || this.#drained !== null;
    this.#nextBeatAt = now + (isUrgent ? this.#repeatMs() : this.#ttlMs / KEEP_ALIVES_PER_TTL);
    this.#beat(now);
  }

  /** End of a turn: says what is new. */
  flush(): void {
    if (!this.#dirty || this.#incarnation === null) return;
    const now = this.#options.env.clock.now();
    if (this.#reportSentAt !== null && now - this.#reportSentAt < 2 * this.#repeatMs()) return;
    const reports: TaskReport[] = [];
    let room = OUTPUTS_PER_MESSAGE_MAX;
    this.#dirty = false;
    for (const [epoch, task] of this.#held) {
      const report = this.#reportOn(epoch, task, room);
      if (report === null) continue;
      reports.push(report);
      room -= report.outputs.length;
    }
    if (reports.length === 0) return;
    this.#reportSentAt = now;
    this.#options.send({ type: 'report', incarnation: this.#incarnation, sequence: ++this.#reportSequence, reports });
  }

  /** What is new of a task, as far as it fits; null when there is nothing. What does not fit is left for the next report. */
  #reportOn(epoch: Epoch, task: Held, room: number): TaskReport | null {
    // Of a refused task nothing counts but its end.
    if (task.phase === 'lost' || (task.refused && task.ending === null)) return null;
    const { begun, error, emitted } = task;
    const { checkpoint } = emitted;
    const { cursor, outputs, isCut } = emitted.portion(task.cursor, room);
    if (isCut) this.#dirty = true;
    const whole = isCut ? null : task.ending;
    const ending = task.refused ? 'release' : whole;
    const claimed = this.#wantedClaim(task, cursor);
    const isNews = ending !== null || cursor > task.committed || claimed > task.claimed || checkpoint !== null;
    if (!isNews) return null;
    if (checkpoint !== null) emitted.sent(this.#reportSequence + 1);
    return { epoch, cursor, begun, claimed, ending, error, outputs, checkpoint };
  }

  message(message: LeaderMessage): void {
    switch (message.type) {
      case 'joined':
        return this.#joined(message.nonce, message.incarnation, message.sessionTtlMs);
      case 'join-refused':
        return this.#joinRefused(message.nonce, message.code, message.detail);
      case 'leases':
        if (message.incarnation === this.#incarnation) this.#leases(message);
        return;
      case 'reported':
        if (message.incarnation === this.#incarnation) this.#reported(message.sequence, message.results);
        return;
      case 'ended':
        if (message.incarnation === this.#incarnation) this.#end('the leader ended this session');
        return;
      case 'leader':
        return;
      default:
        return unreachable(message);
    }
  }

  /**
   * Takes no more tasks, gives back those it has, and calls back when all is acknowledged and nothing more can be granted.
   *
   * The leader hears of it before it hears of any release, or it would grant what came back to us again. One that cannot be
   * reached does not keep an idle worker for long: our death tells it the same.
   */
  drain(done: () => void): void {
    this.#drained = done;
    const now = this.#options.env.clock.now();
    this.#drainPatienceEndsAt = now + this.#repeatMs();
    this.#nextBeatAt = this.#drainPatienceEndsAt;
    if (this.#incarnation !== null) {
      this.#beat(now);
      this.#drainSequence = this.#sequence;
    }
    for (const [epoch, task] of this.#held) this.#release(epoch, task);
    this.#checkDrained();
  }

  /** What was lost on its way is said again after this long, or twice this long: no slower because sessions are long. */
  #repeatMs(): number {
    return Math.min(this.#ttlMs, SESSION_TTL_MS) / KEEP_ALIVES_PER_TTL;
  }

  // ---- session --------------------------------------------------------------------------------------------------

  #beat(now: number): void {
    if (this.#incarnation === null) return this.#join(now);
    // Twice in vain: the leader may be another one.
    if (this.#sent.length >= 2) this.#doubt();
    this.#sequence++;
    this.#sent.push({ sequence: this.#sequence, at: now });
    if (this.#sent.length > 4 * KEEP_ALIVES_PER_TTL) this.#sent.shift();
    this.#options.send({
      type: 'keep-alive',
      incarnation: this.#incarnation,
      sequence: this.#sequence,
      epochs: this.#liveEpochs(),
      draining: this.#isDraining,
    });
    // What was said and not answered is said again.
    this.#dirty = true;
  }

  /** The leases that are held: no more than slots. Those lost may still be stopping beside them. */
  #liveEpochs(): Epoch[] {
    const live: Epoch[] = [];
    for (const [epoch, task] of this.#held) if (task.phase !== 'lost') live.push(epoch);
    return live;
  }

  /** A leader that was just named is asked before it is doubted, or two guesses would take turns for ever. */
  #doubt(): void {
    if (!this.#leaderIsNew) this.#options.doubtLeader();
    this.#leaderIsNew = false;
  }

  #join(now: number): void {
    // Attempts of the former session must be over before a new one can begin.
    if (this.#held.size > 0 || this.#drained !== null) return;
    const { env, instanceId, address, slots } = this.#options;
    if (this.#nonce === null) {
      this.#nonce = env.prng.integer(1, 2 ** 31);
      this.#joinSentAt = now;
    } else this.#doubt();
    const offers = env.executor.types.map(({ name, hash }) => ({ name, hash }));
    this.#options.send({ type: 'join', nonce: this.#nonce, instanceId, address, slots, offers });
  }

  #joined(nonce: number, incarnation: Incarnation, ttlMs: number): void {
    if (nonce !== this.#nonce || this.#incarnation !== null) return;
    this.#nonce = null;
    this.#incarnation = incarnation;
    this.#ttlMs = ttlMs;
    this.#sequence = 0;
    this.#restSequence = 0;
    this.#sent = [];
    this.#appliedIndexSeen = 0;
    this.#finished = new Set();
    this.#reportSentAt = null;
    this.#answered(this.#joinSentAt);
    this.#nextBeatAt = 0;
    this.#options.env.log.info({ incarnation, sessionTtlMs: ttlMs }, 'joined');
  }

  #joinRefused(nonce: number, code: string, detail: string): void {
    if (nonce !== this.#nonce) return;
    this.#nonce = null;
    this.#options.env.log.error({ code, detail }, 'join-refused');
    if (code === 'INSTANCE_MISMATCH') this.#options.env.fatal(new PolarisError('INSTANCE_MISMATCH', detail));
  }

  /** A keep-alive that was sent at `sentAt` was answered: the tasks may run until ⅔ of the TTL after that. */
  #answered(sentAt: number): void {
    if (sentAt <= this.#answeredSentAt) return;
    this.#answeredSentAt = sentAt;
    this.#leaderIsNew = false;
    const deadline = sentAt + (2 * this.#ttlMs) / 3;
    this.#options.env.executor.deadline(deadline);
    const now = this.#options.env.clock.now();
    if (now < deadline) this.#fenced = false;
    // An answer that was read late may prove no more than that the time is over.
    else this.#fence(now);
  }

  /** Past the deadline nothing runs. What had been done is reported as a release, should the session still be alive. */
  #fence(now: number): void {
    if (this.#fenced || this.#incarnation === null) return;
    if (now < this.#answeredSentAt + (2 * this.#ttlMs) / 3) return;
    this.#fenced = true;
    const { env } = this.#options;
    env.log.warn({ incarnation: this.#incarnation, tasks: this.#held.size }, 'fenced');
    for (const [epoch, task] of this.#held) {
      if (task.phase === 'waiting') this.#finish(task, 'release', '');
      else if (task.phase === 'running') {
        task.fenced = true;
        env.executor.abort(epoch);
      }
    }
    this.#dirty = true;
  }

  /** The session is over, and every lease with it. */
  #end(reason: string): void {
    this.#options.env.log.warn({ incarnation: this.#incarnation, reason }, 'session-ended');
    this.#incarnation = null;
    this.#nonce = null;
    this.#answeredSentAt = Number.NEGATIVE_INFINITY;
    for (const [epoch, task] of [...this.#held]) this.#lose(epoch, task);
    this.#nextBeatAt = 0;
    this.#checkDrained();
  }

  // ---- leases ---------------------------------------------------------------------------------------------------

  #leases(message: Extract<LeaderMessage, { type: 'leases' }>): void {
    const answered = this.#sent.findIndex((one) => one.sequence === message.sequence);
    if (answered >= 0) {
      const at = this.#sent[answered]?.at ?? Number.NEGATIVE_INFINITY;
      this.#sent.splice(0, answered + 1);
      this.#answered(at);
    }
    if (message.sequence >= this.#drainSequence) this.#drainPatienceEndsAt = Number.NEGATIVE_INFINITY;
    // An older view than one we have acted on: it may list what has ended since.
    if (message.appliedIndex < this.#appliedIndexSeen) return;
    this.#appliedIndexSeen = message.appliedIndex;
    const live = new Set(message.epochs);
    for (const [epoch, task] of [...this.#held]) {
      if (epoch <= message.appliedIndex && !live.has(epoch)) this.#lose(epoch, task);
    }
    for (const epoch of this.#finished) if (!live.has(epoch)) this.#finished.delete(epoch);
    this.#rest(message.drain, message.sequence);
    for (const order of message.orders) this.#take(order);
    for (const epoch of message.release) {
      const task = this.#held.get(epoch);
      if (task !== undefined) this.#release(epoch, task);
    }
    for (const epoch of message.shrink) this.#shrink(epoch);
    this.#fill();
    this.#checkDrained();
  }

  #take(order: TaskOrder): void {
    const { epoch, cursor, claimed, end } = order;
    if (this.#held.has(epoch) || this.#finished.has(epoch)) return;
    const task: Held = {
      order,
      phase: 'waiting',
      cursor,
      begun: cursor,
      committed: cursor,
      claimed,
      end,
      ending: null,
      error: '',
      emitted: new Emitted(),
      isWhole: order.checkpoint !== null,
      refused: false,
      releasing: false,
      fenced: false,
    };
    this.#held.set(epoch, task);
    if (this.#isDraining) this.#release(epoch, task);
  }

  /** Starts what waits, as slots allow. */
  #fill(): void {
    // This process may have stood still since the last tick.
    this.#fence(this.#options.env.clock.now());
    if (this.#fenced || this.#incarnation === null) return;
    let running = 0;
    for (const task of this.#held.values()) if (task.phase === 'running' || task.phase === 'lost') running++;
    for (const task of this.#held.values()) {
      if (running >= this.#options.slots) return;
      if (task.phase !== 'waiting') continue;
      running++;
      task.phase = 'running';
      this.#options.env.executor.run(task.order);
      // Some code may begin nothing before its first claim is committed.
      this.#dirty = true;
    }
  }

  /** Somebody else could take the far half of what we have not begun: says which end is kept, and keeps to it. */
  #shrink(epoch: Epoch): void {
    const task = this.#held.get(epoch);
    if (task === undefined || task.phase !== 'running' || task.releasing || task.isWhole) return;
    const { env, turn } = this.#options;
    env.executor.keep(epoch, (end) => turn(() => this.#kept(epoch, task, end)));
  }

  #kept(epoch: Epoch, task: Held, end: Point): void {
    if (this.#held.get(epoch) !== task || task.phase === 'lost' || this.#incarnation === null) return;
    task.end = Math.max(task.cursor, Math.min(task.end, end));
    this.#options.send({ type: 'keep', incarnation: this.#incarnation, offers: [{ epoch, end: task.end }] });
  }

  #release(epoch: Epoch, task: Held): void {
    if (task.releasing) return;
    task.releasing = true;
    if (task.phase === 'waiting') this.#finish(task, 'release', '');
    else if (task.phase === 'running') this.#options.env.executor.release(epoch);
  }

  /** The lease is gone: nothing that its code still does counts. */
  #lose(epoch: Epoch, task: Held): void {
    if (task.phase === 'running') {
      task.phase = 'lost';
      this.#options.env.executor.abort(epoch);
    } else if (task.phase !== 'lost') this.#forget(epoch);
  }

  #forget(epoch: Epoch): void {
    this.#held.delete(epoch);
    this.#finished.add(epoch);
    if (this.#incarnation === null && this.#held.size === 0) this.#nextBeatAt = 0;
    this.#checkDrained();
  }

  // ---- progress -------------------------------------------------------------------------------------------------

  #progress(epoch: Epoch, cursor: Point, begun: Point, outputs: readonly StampedOutput[]): void {
    const task = this.#held.get(epoch);
    if (task === undefined || task.phase !== 'running') return;
    task.emitted.add(outputs);
    task.cursor = Math.max(task.cursor, cursor);
    task.begun = Math.max(task.begun, begun, task.cursor);
    this.#dirty = true;
  }

  #checkpoint(epoch: Epoch, checkpoint: StampedCheckpoint): void {
    const task = this.#held.get(epoch);
    if (task === undefined || task.phase !== 'running') return;
    // It would be of points that others have by now.
    if (task.end < task.order.end) {
      this.#options.env.log.warn({ epoch, stage: checkpoint.stage }, 'checkpoint-of-a-cut-task');
      return;
    }
    task.isWhole = true;
    task.emitted.reached(checkpoint);
    this.#dirty = true;
  }

  #ended(ending: ExecutorEnding): void {
    const task = this.#held.get(ending.epoch);
    if (task === undefined) return;
    // The executor keeps the deadline by itself, and may have done so before we looked at the time.
    this.#fence(this.#options.env.clock.now());
    if (task.phase === 'lost') this.#forget(ending.epoch);
    else if (task.phase === 'running') {
      task.emitted.add(ending.outputs);
      task.cursor = Math.max(task.cursor, ending.cursor);
      task.begun = Math.max(task.begun, ending.begun, task.cursor);
      // Code that was stopped because we lost touch with the leader did not fail; where it was stopped, nobody can say.
      const stopped = (task.fenced || task.refused) && ending.ending !== 'complete';
      if (stopped) task.begun = Math.max(task.begun, this.#exposedTo(task));
      this.#finish(task, stopped ? 'release' : ending.ending, stopped ? '' : ending.error);
    }
    this.#fill();
  }

  /** How far the code of a task may have come at most. */
  #exposedTo({ order, committed, claimed, end }: Held): Point {
    if (order.options.delivery === 'at-most-once') return claimed;
    return this.#takesPoints(order) ? windowEnd({ cursor: committed, claimed, end }, order.options) : end;
  }

  /** At most once, code that takes points is kept `commitEvery` points of claims ahead; other code begins all at once. */
  #wantedClaim({ order, phase, claimed, end, releasing, fenced }: Held, cursor: Point): Point {
    const held = Math.max(cursor, claimed);
    if (order.options.delivery !== 'at-most-once' || phase !== 'running' || releasing || fenced) return held;
    return Math.max(held, this.#takesPoints(order) ? forward(cursor, order.options.commitEvery, end) : end);
  }

  /** Whether its code takes point after point, and does not begin the whole task at once. */
  #takesPoints({ name }: TaskOrder): boolean {
    return this.#options.env.executor.types.find((one) => one.name === name)?.exposure === 'window';
  }

  #finish(task: Held, ending: ExecutorEnding['ending'], error: string): void {
    task.phase = 'ended';
    task.ending = ending;
    task.error = error;
    this.#dirty = true;
  }

  #reported(sequence: number, results: readonly ReportResult[]): void {
    if (sequence === this.#reportSequence) this.#reportSentAt = null;
    for (const result of results) {
      const { epoch, state } = result;
      const task = this.#held.get(epoch);
      if (task === undefined) continue;
      if (state === 'ended') this.#forget(epoch);
      else if (state === 'stale') this.#lose(epoch, task);
      else if (state === 'refused') this.#refuse(epoch, task);
      else this.#committed(task, result, sequence);
    }
    // What happened since the report was sent is still marked; what the log could not take is said again at the next beat.
    this.#fill();
  }

  /** The leader closes the lease when our word comes that nothing of it runs any more, and not before. */
  #refuse(epoch: Epoch, task: Held): void {
    if (!task.refused) this.#options.env.log.warn({ epoch }, 'outputs-refused');
    task.refused = true;
    if (task.phase === 'running') this.#options.env.executor.abort(epoch);
    else if (task.phase === 'waiting') this.#finish(task, 'release', '');
    this.#dirty = true;
  }

  #committed(task: Held, { epoch, cursor, claimed, end, checkpoint }: ReportResult, sequence: number): void {
    task.end = Math.min(task.end, end);
    task.emitted.committed(cursor);
    if (task.emitted.checkpointed(checkpoint, sequence) && checkpoint !== null && task.phase === 'running') {
      this.#options.env.executor.checkpointed(epoch, checkpoint);
    }
    if (cursor <= task.committed && claimed <= task.claimed) return;
    task.committed = Math.max(task.committed, cursor);
    task.claimed = Math.max(task.claimed, claimed);
    const window = { cursor: task.committed, claimed: task.claimed, end: task.end };
    const limit = windowEnd(window, task.order.options);
    if (task.phase === 'running') this.#options.env.executor.committed(epoch, task.committed, limit);
  }

  get #isDraining(): boolean {
    return this.#drained !== null || this.#resting;
  }

  /** The leader asks for a rest, or ends it. It hears at once that we know. */
  #rest(resting: boolean, sequence: number): void {
    if (resting === this.#resting || (!resting && sequence <= this.#restSequence)) return;
    this.#resting = resting;
    this.#restSequence = this.#sequence;
    this.#options.env.log.info({ draining: resting }, 'drain-asked');
    this.#nextBeatAt = 0;
    if (resting) for (const [epoch, task] of this.#held) this.#release(epoch, task);
  }

  #checkDrained(): void {
    if (this.#drained === null || this.#held.size > 0) return;
    if (this.#incarnation !== null && this.#options.env.clock.now() < this.#drainPatienceEndsAt) return;
    const done = this.#drained;
    this.#drained = () => {};
    done();
  }
}
