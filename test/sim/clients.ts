/**
 * Clients: people and programs that submit jobs, steer them and look at them, through any node, at any time.
 *
 * A client does what the SDK does: it asks some node, follows its word about the leader, waits a little and tries again.
 * It may ask a node that is cut off or dead, get no answer, and ask again with the same id. What it was told goes to the
 * oracle, with the moment it asked.
 */
import { must } from '../../src/base/assert.ts';
import type { ErrorCode } from '../../src/base/errors.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { JobId, NodeId } from '../../src/base/types.ts';
import type { DataChange, Result } from '../../src/daemon/api.ts';
import type { Node } from '../../src/daemon/node.ts';
import type { Dataset } from '../../src/ranges/datasets.ts';
import type { Controls, JobSpec, Outcome, ScheduleSpec, Table } from '../../src/ranges/types.ts';
import type { Answer, Operation } from './history.ts';
import type { Action, Ending, ReadResult } from './oracle.ts';
import type { World } from './world.ts';

/** Errors that leave it open whether the change was made. All others say that it was not. */
const UNKNOWN_CODES: ReadonlySet<ErrorCode> = new Set(['OUTCOME_UNKNOWN', 'TIMED_OUT', 'STOPPING', 'INTERNAL']);
const ATTEMPTS_MAX = 40;
const RETRY_MS = 250;
const ANSWER_MS_MAX = 10_000;

export interface ClientOptions {
  readonly world: World;
  readonly prng: Prng;
  readonly latencyMsMax: number;
  /** Datasets are looked up in the table of whichever node is asked first: a known bug, put back. */
  readonly readsLocally?: boolean;
}

/** Asks one node; `done` comes at most once, and not at all when the node dies first. */
type Ask<T> = (node: Node, done: (result: Result<T>) => void) => void;

export class Client {
  readonly #world: World;
  readonly #prng: Prng;
  readonly #latencyMsMax: number;
  readonly #readsLocally: boolean;
  /** Jobs of which the last submit was not answered. */
  readonly #inDoubt = new Set<JobId>();

  constructor(options: ClientOptions) {
    this.#world = options.world;
    this.#prng = options.prng;
    this.#latencyMsMax = options.latencyMsMax;
    this.#readsLocally = options.readsLocally ?? false;
  }

  /** Submits, again and again with the same id until it is acknowledged or patience ends. */
  submit(spec: JobSpec, done: (acknowledged: boolean) => void = () => {}, attempts = ATTEMPTS_MAX): void {
    const attempt = this.#world.oracle.submits(spec);
    const operation = this.#world.histories.asked(spec.id, 'submit', this.#world.now);
    this.#call<{ readonly kind: 'created' | 'exists' }>(
      (node, answer) => node.submit(spec, answer),
      (result) => {
        const ending = endingOf(result);
        this.#world.trace.count(`submit ${ending}`);
        this.#noteDoubt(spec.id, ending, result);
        this.#world.oracle.submitted(attempt, ending);
        this.#settle(spec.id, operation, ending, { kind: 'done' });
        if (ending === 'acknowledged') return done(true);
        if (attempts <= 1) return done(false);
        this.#world.scheduler.after(this.#prng.next() * 2 * RETRY_MS, () => this.submit(spec, done, attempts - 1));
      },
    );
  }

  control(id: JobId, action: Exclude<Action, 'set'>, done: (acknowledged: boolean) => void = () => {}): void {
    const startedAt = this.#world.now;
    const operation = this.#world.histories.asked(id, action, startedAt);
    const asksForUncertain = action === 'retry' && this.#prng.chance(0.5);
    this.#call<void>(
      (node, answer) => {
        if (action === 'retry') node.retry(id, null, asksForUncertain, answer);
        else node.control(id, action, answer);
      },
      (result) => {
        const ending = endingOf(result);
        this.#world.trace.count(`${action} ${ending}`);
        if (ending === 'acknowledged') this.#world.oracle.controlled(id, action, startedAt);
        this.#settle(id, operation, ending, refusalOf(result) ?? { kind: 'done' });
        done(ending === 'acknowledged');
      },
    );
  }

  set(id: JobId, changes: Partial<Controls>): void {
    const startedAt = this.#world.now;
    this.#call<void>(
      (node, answer) => node.set(id, changes, answer),
      (result) => {
        const ending = endingOf(result);
        this.#world.trace.count(`set ${ending}`);
        if (ending === 'acknowledged') this.#world.oracle.controlled(id, 'set', startedAt);
      },
    );
  }

  /** `done` gets 'ok', the code of the error, or TIMED_OUT when no answer came; so with all that follow. */
  putSchedule(schedule: ScheduleSpec, done: (code: string) => void): void {
    this.#call<void>(
      (node, answer) => node.putSchedule(schedule, answer),
      (result) => done(codeOf(result)),
    );
  }

  dropSchedule(key: string, done: (code: string) => void): void {
    this.#call<void>(
      (node, answer) => node.dropSchedule(key, answer),
      (result) => done(codeOf(result)),
    );
  }

  /** Lets a worker hold nothing, or take tasks again. */
  rest(worker: NodeId, resting: boolean, done: (code: string) => void): void {
    this.#call<void>(
      (node, answer) => node.drainWorker(worker, resting, answer),
      (result) => done(codeOf(result)),
    );
  }

  /** `done` gets what the node said, or null when no answer came; so with the next one. */
  changeData(change: DataChange, done: (result: Result<Outcome> | null) => void): void {
    this.#call<Outcome>((node, answer) => node.changeData(change, answer), done);
  }

  /** What a name stands for; null when it stands for nothing. */
  dataset(name: string, done: (result: Result<Dataset | null> | null) => void): void {
    const look = (table: Table): Dataset | null => table.dataset(name) ?? null;
    const consistency = this.#readsLocally ? 'local' : 'linearizable';
    this.#call<Dataset | null>((node, answer) => node.read(consistency, look, answer), done, this.#readsLocally);
  }

  read(id: JobId, done: (result: ReadResult | null) => void = () => {}): void {
    const { oracle, trace } = this.#world;
    const floor = oracle.floor(id);
    const operation = this.#world.histories.asked(id, 'read', this.#world.now);
    let asksLeader = false;
    const look = (table: Table): ReadResult => {
      const job = table.job(id);
      return {
        appliedIndex: table.appliedIndex,
        state: job?.state ?? null,
        coveredPoints: job?.coveredPoints ?? 0,
      };
    };
    this.#call<ReadResult>(
      (node, answer) => {
        asksLeader = node.leads();
        node.read('linearizable', look, answer);
      },
      (result) => {
        const ending = endingOf(result);
        trace.count(`read ${ending}`);
        if (asksLeader && ending === 'refused') trace.count('branch: a read fails for its leader is deposed');
        const state = result?.ok ? result.value.state : null;
        this.#settle(id, operation, ending, { kind: 'state', state });
        if (result?.ok) oracle.read(id, floor, result.value);
        done(result?.ok ? result.value : null);
      },
    );
  }

  /** The history keeps what was answered, keeps what is in doubt as it is, and forgets what never took place. */
  #settle(id: JobId, operation: Operation, ending: Ending, answer: Answer): void {
    const { histories, now } = this.#world;
    const isTold = ending === 'acknowledged' || answer.kind === 'wrong-state' || answer.kind === 'not-found';
    if (isTold) histories.answered(operation, answer, now);
    else if (ending === 'refused') histories.dropped(id, operation);
  }

  /** Whether a submit finds what an earlier one did, of which nobody could say what had become. */
  #noteDoubt(id: JobId, ending: Ending, result: Result<{ readonly kind: 'created' | 'exists' }> | null): void {
    if (ending === 'unknown') this.#inDoubt.add(id);
    if (!result?.ok || !this.#inDoubt.delete(id)) return;
    const found = result.value.kind === 'exists';
    this.#world.trace.count(`branch: a submit in doubt ${found ? 'had been made' : 'had not been made'}`);
  }

  /** One request: to any node, from there to the one it takes for the leader. Null: no answer came. */
  #call<T>(ask: Ask<T>, done: (result: Result<T> | null) => void, staysThere = false): void {
    let settled = false;
    const settle = (result: Result<T> | null): void => {
      if (settled) return;
      settled = true;
      timeout.cancel();
      this.#world.check(() => done(result));
    };
    const timeout = this.#world.scheduler.after(ANSWER_MS_MAX, () => settle(null));
    const voters = [...this.#world.nodes.values()].filter(({ plan }) => plan.config.role === 'voter');
    const entrance = must(voters[this.#prng.integer(0, voters.length)], 'a voter').plan.config.id;
    this.#reach(entrance, settle, (node) => {
      const address = node.leads() ? node.address : node.leaderAddress();
      const named = voters.find(({ plan }) => plan.config.address === address)?.plan.config.id ?? entrance;
      const leader = staysThere ? entrance : named;
      this.#reach(leader, settle, (one) => ask(one, (result) => this.#later(() => settle(result))));
    });
  }

  /** A dead node refuses the connection; a paused one lets the client wait. */
  #reach<T>(id: NodeId, settle: (result: Result<T> | null) => void, run: (node: Node) => void): void {
    this.#later(() => {
      const { process, node } = this.#world.node(id);
      if (process === null || node === null) return settle(null);
      process.turn('input', () => run(node));
    });
  }

  #later(run: () => void): void {
    this.#world.scheduler.after(0.05 + this.#prng.next() * this.#latencyMsMax, run);
  }
}

/** No answer, or one that leaves it open, is unknown. */
export function endingOf(result: Result<unknown> | null): Ending {
  if (result === null) return 'unknown';
  if (result.ok) return 'acknowledged';
  return UNKNOWN_CODES.has(result.error.code) ? 'unknown' : 'refused';
}

function codeOf(result: Result<void> | null): string {
  if (result === null) return 'TIMED_OUT';
  return result.ok ? 'ok' : result.error.code;
}

/** What the table itself refused: an answer like any other. */
function refusalOf(result: Result<unknown> | null): Answer | null {
  if (result === null || result.ok) return null;
  if (result.error.code === 'WRONG_STATE') return { kind: 'wrong-state' };
  return result.error.code === 'JOB_NOT_FOUND' ? { kind: 'not-found' } : null;
}
