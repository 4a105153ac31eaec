/**
 * RemoteWorker: a runner in virtual time. It is no node: it has a clock, a job host and a bad line to any node it likes.
 *
 * Requests and answers are lost, come late, and are delivered twice by whatever stands in between; it dies and comes back
 * under its name as another process; it stands still. It keeps to the four rules of the guide and to nothing
 * more, so what it begins must hold before the auditor like what nodes begin. An honest word that is refused as
 * malformed is a fault of the leader.
 */
import { v4 as uuidv4 } from 'uuid';
import { must } from '../../src/base/assert.ts';
import { OUTPUTS_PER_REPORT_MAX } from '../../src/base/limits.ts';
import type { Prng } from '../../src/base/prng.ts';
import { runnerId } from '../../src/base/runner-id.ts';
import type { Epoch, Incarnation, NodeId, Point } from '../../src/base/types.ts';
import type { Result } from '../../src/daemon/api.ts';
import { Emitted } from '../../src/daemon/emitted.ts';
import type { ExecutorEnding } from '../../src/daemon/env.ts';
import type { Node } from '../../src/daemon/node.ts';
import type { RunnerAnswer, RunnerReport, RunnerRequest } from '../../src/daemon/runner-api.ts';
import { windowEnd } from '../../src/ranges/lease.ts';
import type { StampedOutput } from '../../src/ranges/types.ts';
import type { TaskOrder } from '../../src/wire/messages.ts';
import { SimExecutor } from './executor.ts';
import { Process } from './process.ts';
import type { SimNode, World } from './world.ts';

const TICK_MS = 50;
const CLAIM_WAIT_MS = 1_000;
const ANSWER_MS_MAX = 1_500;
/** A proxy delivers again what it is not sure of, much later. */
const ECHO_MS_MAX = 6_000;
const DOWN_MS_MAX = 8_000;
const PAUSE_MS_MAX = 10_000;
const PIPE_CLOSES_MS_MAX = 5;
/** At each tick: it forgets all that it has, as simple programs do, and asks for a new session. */
const GIVES_UP = 0.002;
const JOB_TYPE = 'points';

/** How bad its line is, and how often something befalls it. */
export interface RemotePlan {
  readonly name: string;
  readonly slots: number;
  readonly loss: number;
  readonly echo: number;
  readonly latencyMsMax: number;
  /** Mean virtual milliseconds; infinite when nothing ever does. */
  readonly troubleEveryMs: number;
  readonly releaseMsMax: number;
}

export interface RemoteOptions {
  readonly world: World;
  readonly prng: Prng;
  readonly plan: RemotePlan;
}

/** The name, through all its lives. */
export class RemoteWorker {
  readonly #options: RemoteOptions;
  #life: Life | null = null;
  #lives = 0;
  #isTroubled = true;

  constructor(options: RemoteOptions) {
    this.#options = options;
  }

  start(): void {
    this.#boot();
    this.#armTrouble();
  }

  /** From now on nothing is lost and nobody dies. */
  heal(): void {
    this.#isTroubled = false;
    this.#life?.heal();
    if (this.#life === null) this.#boot();
  }

  #boot(): void {
    if (this.#life !== null) return;
    this.#lives += 1;
    const { prng } = this.#options;
    // Another process, and so another instance: it must wait for the end of the former session.
    const instanceId = uuidv4({ random: prng.bytes(16) });
    this.#life = new Life(this.#options, instanceId, this.#lives, this.#isTroubled);
  }

  #armTrouble(): void {
    const { world, prng, plan } = this.#options;
    if (plan.troubleEveryMs === Number.POSITIVE_INFINITY) return;
    world.scheduler.after(-Math.log(1 - prng.next()) * plan.troubleEveryMs, () => {
      if (!this.#isTroubled) return;
      if (prng.chance(0.5)) this.#crash();
      else this.#life?.pause(prng.next() * PAUSE_MS_MAX);
      this.#armTrouble();
    });
  }

  #crash(): void {
    const { world, prng } = this.#options;
    if (this.#life === null) return;
    world.trace.count('runner: crash');
    this.#life.crash();
    this.#life = null;
    world.scheduler.after(prng.next() * DOWN_MS_MAX, () => this.#boot());
  }
}

interface Held {
  readonly order: TaskOrder;
  cursor: Point;
  committed: Point;
  /** Beginning nothing beyond it, as last told. */
  limit: Point;
  ending: ExecutorEnding | null;
  keep: Point | null;
  /** Of the order, or what it said last that it keeps. */
  end: Point;
  readonly emitted: Emitted;
  /** What it emitted cannot be kept. */
  isRefused: boolean;
  isReporting: boolean;
  /** Something to say beside a new cursor. */
  isDue: boolean;
}

interface Session {
  readonly id: Incarnation;
  readonly ttlMs: number;
}

type Answered = (result: Result<RunnerAnswer> | null, sentAt: number) => void;

class Life {
  readonly #worker: NodeId;
  readonly #world: World;
  readonly #prng: Prng;
  readonly #plan: RemotePlan;
  readonly #instanceId: string;
  readonly #process: Process;
  readonly #executor: SimExecutor;
  readonly #held = new Map<Epoch, Held>();
  readonly #over = new Set<Epoch>();
  #session: Session | null = null;
  /** The last session that it knows to have ended, or gave up. */
  #replaces: Incarnation | null = null;
  #draining = false;
  #deadline = Number.NEGATIVE_INFINITY;
  #isJoining = false;
  #isClaiming = false;
  #renewedAt = Number.NEGATIVE_INFINITY;
  #isTroubled: boolean;

  constructor({ world, prng, plan }: RemoteOptions, instanceId: string, life: number, isTroubled: boolean) {
    this.#world = world;
    this.#prng = prng;
    this.#plan = plan;
    this.#worker = runnerId(plan.name);
    this.#instanceId = instanceId;
    this.#isTroubled = isTroubled;
    const { scheduler } = world;
    const hosts = [...world.hosts];
    this.#process = new Process({
      ...{ id: this.#worker, life, scheduler, prng: prng.fork() },
      host: must(hosts[life % hosts.length], 'a host'),
      hooks: { turned: () => {}, threw: (_process, error) => world.fail(`${this.#worker} threw: ${String(error)}`) },
    });
    this.#executor = new SimExecutor({
      ...{ process: this.#process, scheduler, prng: prng.fork(), ledger: world.auditor.ledger, trace: world.trace },
      ...{ slots: plan.slots, releaseMsMax: plan.releaseMsMax, obeysDeadline: true },
      model: (job) => must(world.models.get(job), `job ${job} has a model`),
      blobs: world.blobs(() => this.#anyVoter()),
      takings: world.takings,
      foldsInAnyOrder: false,
      diesAfterKeeping: () => world.diesAfterKeeping,
    });
    this.#executor.start({
      progress: (epoch, cursor, _begun, outputs) => this.#progress(epoch, cursor, outputs),
      checkpoint: () => {},
      ended: (ending) => this.#ended(ending),
    });
    this.#tick();
  }

  crash(): void {
    this.#process.end();
    this.#world.scheduler.after(this.#prng.next() * PIPE_CLOSES_MS_MAX, () => this.#executor.end());
  }

  pause(forMs: number): void {
    this.#world.trace.count('runner: pause');
    this.#process.pause();
    this.#world.scheduler.after(forMs, () => this.#process.resume());
  }

  heal(): void {
    this.#isTroubled = false;
    this.#process.resume();
  }

  // ---- its own initiative -------------------------------------------------------------------------------------------

  #tick(): void {
    this.#process.timers.after(TICK_MS, () => this.#tick());
    if (this.#session === null) return this.#join();
    if (this.#isTroubled && this.#prng.chance(GIVES_UP)) {
      this.#world.trace.count('runner: begins anew');
      return this.#begin(this.#session.id);
    }
    for (const epoch of this.#held.keys()) this.#report(epoch);
    this.#claim(this.#session);
  }

  #join(): void {
    // Attempts of the former session must be over before a new one can begin.
    if (this.#isJoining || this.#executor.runningCount > 0) return;
    this.#isJoining = true;
    const offers = [{ name: JOB_TYPE, hash: 'h1' }];
    const speaker = { worker: this.#worker, instanceId: this.#instanceId };
    const question = { ...speaker, slots: this.#plan.slots, offers, replaces: this.#replaces };
    this.#ask({ kind: 'join', ...question }, (result, sentAt) => {
      this.#isJoining = false;
      if (result === null || !result.ok) return;
      this.#world.trace.count('runner: session');
      const { session, sessionTtlMs } = result.value;
      this.#session = { id: session, ttlMs: sessionTtlMs };
      this.#held.clear();
      this.#draining = false;
      this.#deadline = Number.NEGATIVE_INFINITY;
      this.#proved(sentAt);
    });
  }

  /** Waits for work where there is room, and in any case says that it lives. */
  #claim({ id, ttlMs }: Session): void {
    const now = this.#process.clock.now();
    const tasksMax = this.#draining ? 0 : this.#plan.slots - this.#held.size;
    const isRenewal = this.#isClaiming || tasksMax <= 0;
    if (isRenewal && now - this.#renewedAt < ttlMs / 10) return;
    this.#renewedAt = now;
    if (!isRenewal) this.#isClaiming = true;
    const wish = isRenewal ? { tasksMax: 0, waitMs: 0 } : { tasksMax, waitMs: CLAIM_WAIT_MS };
    this.#ask({ kind: 'claim', ...this.#living(id), epochs: [...this.#held.keys()], ...wish }, (result) => {
      if (!isRenewal) this.#isClaiming = false;
      if (result?.ok !== true && result !== null) this.#refused(id, null, result.error.code);
    });
  }

  #living(session: Incarnation) {
    return { worker: this.#worker, instanceId: this.#instanceId, session, draining: this.#draining };
  }

  // ---- what it is told ----------------------------------------------------------------------------------------------

  #heed(answer: RunnerAnswer, sentAt: number, saidDraining: boolean): void {
    this.#proved(sentAt);
    for (const epoch of answer.stop) this.#lose(epoch);
    for (const epoch of answer.release) if (this.#held.get(epoch)?.ending === null) this.#executor.release(epoch);
    for (const epoch of answer.shrink) this.#shrink(epoch);
    if (answer.drain || saidDraining) this.#draining = answer.drain;
    for (const order of answer.orders) this.#take(order);
  }

  #proved(sentAt: number): void {
    this.#deadline = Math.max(this.#deadline, sentAt + (2 * (this.#session?.ttlMs ?? 0)) / 3);
    this.#executor.deadline(this.#deadline);
  }

  #take(order: TaskOrder): void {
    const { epoch, cursor } = order;
    if (this.#held.has(epoch) || this.#over.has(epoch)) return;
    // It is told again of what it does not name.
    if (this.#executor.runningCount >= this.#plan.slots || this.#process.clock.now() >= this.#deadline) return;
    this.#world.trace.count('runner: task');
    const limit = windowEnd(order, order.options);
    const emitted = new Emitted();
    const isRefused = false;
    const fresh = {
      cursor,
      committed: cursor,
      limit,
      ending: null,
      keep: null,
      end: order.end,
      emitted,
      isRefused,
      isReporting: false,
      isDue: true,
    };
    this.#held.set(epoch, { order, ...fresh });
    this.#executor.run(order);
  }

  #shrink(epoch: Epoch): void {
    const held = this.#held.get(epoch);
    // Nobody must answer.
    if (held === undefined || held.ending !== null || this.#prng.chance(0.3)) return;
    this.#executor.keep(epoch, (end) => {
      if (this.#held.get(epoch) !== held) return;
      this.#world.trace.count('runner: keeps less');
      held.keep = end;
      held.end = end;
      held.isDue = true;
    });
  }

  #lose(epoch: Epoch): void {
    if (!this.#held.delete(epoch)) return;
    this.#over.add(epoch);
    this.#world.trace.count('runner: lease lost');
    this.#executor.abort(epoch);
  }

  #refused(session: Incarnation, epoch: Epoch | null, code: string): void {
    this.#world.trace.count(`runner: ${code}`);
    if (code === 'BAD_REQUEST') this.#world.fail(`an honest word of ${this.#worker} about epoch ${epoch} is refused`);
    if (code === 'STALE_EPOCH' && epoch !== null) this.#lose(epoch);
    const held = epoch === null ? undefined : this.#held.get(epoch);
    if ((code === 'SCHEMA_CONFLICT' || code === 'BLOB_CONDEMNED') && epoch !== null && held !== undefined) {
      held.isRefused = true;
      this.#executor.abort(epoch);
    }
    if (code === 'SESSION_ENDED' && this.#session?.id === session) this.#begin(session);
  }

  /** Gives up what it holds, for a new session. */
  #begin(former: Incarnation): void {
    this.#replaces = former;
    this.#session = null;
    for (const held of [...this.#held.keys()]) this.#lose(held);
  }

  // ---- what its code does -------------------------------------------------------------------------------------------

  #progress(epoch: Epoch, cursor: Point, outputs: readonly StampedOutput[]): void {
    const held = this.#held.get(epoch);
    if (held === undefined || held.ending !== null) return;
    held.emitted.add(outputs);
    held.cursor = Math.max(held.cursor, cursor);
    this.#report(epoch);
  }

  #ended(ending: ExecutorEnding): void {
    const held = this.#held.get(ending.epoch);
    if (held === undefined) return;
    held.emitted.add(ending.outputs);
    held.cursor = Math.max(held.cursor, ending.cursor);
    // It stands by its word: of what it gave up it never says that it was begun.
    held.ending = { ...ending, begun: Math.min(ending.begun, held.end) };
    held.isDue = true;
    this.#report(ending.epoch);
  }

  #report(epoch: Epoch): void {
    const held = this.#held.get(epoch);
    const session = this.#session;
    if (held === undefined || session === null || held.isReporting) return;
    const wantsRoom = held.order.options.delivery === 'at-most-once' && held.cursor >= held.limit;
    if (!held.isDue && !wantsRoom && held.cursor <= held.committed) return;
    held.isReporting = true;
    held.isDue = false;
    const { keep } = held;
    const { cursor, outputs, isCut } = held.emitted.portion(held.cursor, OUTPUTS_PER_REPORT_MAX);
    const whole = isCut ? null : held.ending;
    const ending = held.isRefused && held.ending !== null ? { ...held.ending, ending: 'release' as const } : whole;
    if (isCut) held.isDue = true;
    const request: RunnerReport = {
      ...{ kind: 'report', ...this.#living(session.id), epoch, epochs: [...this.#held.keys()], cursor },
      begun: ending === null ? null : ending.begun,
      ...{ claimed: null, ending: ending?.ending ?? null, error: ending?.error ?? '' },
      outputs,
      keep: ending === null ? keep : null,
    };
    this.#ask(request, (result) => {
      held.isReporting = false;
      if (result?.ok === true) return this.#reported(held, request, result.value);
      held.isDue = true;
      if (result !== null) this.#refused(session.id, epoch, result.error.code);
    });
  }

  #reported(held: Held, { epoch, ending, keep }: RunnerReport, { task }: RunnerAnswer): void {
    const { cursor, limit, state } = must(task, 'a report is answered with where its task stands');
    if (held.keep === keep) held.keep = null;
    if (state === 'live') this.#world.check(() => this.#world.auditor.reported([{ ...must(task, 'there'), state }]));
    if (this.#held.get(epoch) !== held) return;
    if (ending !== null) {
      this.#held.delete(epoch);
      this.#over.add(epoch);
      return;
    }
    held.committed = Math.max(held.committed, cursor);
    held.emitted.committed(cursor);
    held.limit = Math.max(held.limit, limit);
    if (held.ending === null) this.#executor.committed(epoch, held.committed, held.limit);
  }

  // ---- the line -----------------------------------------------------------------------------------------------------

  /** One question, to any node; `answered` comes once, in a turn of ours, with null when no answer came. */
  #ask(request: RunnerRequest, answered: Answered): void {
    const sentAt = this.#process.clock.now();
    let isSettled = false;
    let takeBack: () => void = () => {};
    const settle = (result: Result<RunnerAnswer> | null): void => {
      if (isSettled) return;
      isSettled = true;
      timeout.cancel();
      takeBack();
      this.#process.turn('input', () => {
        // Another session may have begun since it was asked.
        const isOurs = request.kind === 'join' || request.session === this.#session?.id;
        if (result?.ok === true && isOurs && request.kind !== 'join')
          this.#heed(result.value, sentAt, request.draining);
        answered(result, sentAt);
      });
    };
    const waitMs = request.kind === 'claim' ? request.waitMs : 0;
    const timeout = this.#world.scheduler.after(waitMs + ANSWER_MS_MAX, () => settle(null));
    if (this.#isLost()) return;
    this.#deliver(
      request,
      (result) => {
        if (this.#isLost()) this.#world.trace.count('runner: answer lost');
        else this.#later(() => settle(result));
      },
      (back) => {
        takeBack = back;
      },
    );
    if (!this.#isTroubled || !this.#prng.chance(this.#plan.echo)) return;
    this.#world.scheduler.after(this.#prng.next() * ECHO_MS_MAX, () => {
      this.#world.trace.count('runner: echo');
      this.#deliver(
        request,
        () => {},
        () => {},
      );
    });
  }

  #isLost(): boolean {
    return this.#isTroubled && this.#prng.chance(this.#plan.loss);
  }

  #voters(): SimNode[] {
    return [...this.#world.nodes.values()].filter(({ plan }) => plan.config.role === 'voter');
  }

  #anyVoter(): NodeId {
    const voters = this.#voters();
    return must(voters[this.#prng.integer(0, voters.length)], 'a voter').plan.config.id;
  }

  /** To some node, and from there to the one that it takes for the leader. */
  #deliver(
    request: RunnerRequest,
    done: (result: Result<RunnerAnswer>) => void,
    connected: (takeBack: () => void) => void,
  ): void {
    const voters = this.#voters();
    const entrance = this.#anyVoter();
    this.#reach(entrance, (node) => {
      const address = node.leads() ? node.address : node.leaderAddress();
      const leader = voters.find(({ plan }) => plan.config.address === address)?.plan.config.id ?? entrance;
      this.#reach(leader, (one) => {
        const takeBack = one.runner(request, done);
        const { process } = this.#world.node(leader);
        connected(() => this.#later(() => process?.turn('input', takeBack)));
      });
    });
  }

  #reach(id: NodeId, run: (node: Node) => void): void {
    this.#later(() => {
      const { process, node } = this.#world.node(id);
      if (process === null || node === null) return;
      process.turn('input', () => run(node));
    });
  }

  #later(run: () => void): void {
    this.#world.scheduler.after(0.05 + this.#prng.next() * this.#plan.latencyMsMax, run);
  }
}
