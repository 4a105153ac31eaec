/**
 * runner: a worker in your own process, which is no node and needs none beside it.
 *
 * It claims tasks over HTTP, hands their points to your functions, says how far they are, and says that it lives. It
 * goes by the rule that makes leases safe: whatever it was told counts from the moment at which it asked, and ⅔ of the
 * session's life after the last question that was answered, every task stops. By then nobody else can have its points,
 * and soon after somebody may.
 *
 * Invariants: an epoch is begun once · no more tasks than slots · a new session begins when no task of the former runs.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { v4 } from 'uuid';
import { errorText, PolarisError } from '../base/errors.ts';
import {
  CLAIM_WAIT_MS_MAX,
  CLIENT_RETRY_MS_MAX,
  CLIENT_RETRY_MS_MIN,
  CLIENT_TRY_MS,
  KEEP_ALIVES_PER_TTL,
  RUNNER_TRIES_PER_TTL,
  SLOTS_MAX,
} from '../base/limits.ts';
import type { Epoch } from '../base/types.ts';
import type { OutputTicket } from '../http/task-data.ts';
import type { RunnerJson, TaskJson } from '../http/tasks.ts';
import { DeadlineTimer, monotonicMs } from '../jobtype/deadline.ts';
import { RunnerAttempt, type TaskStanding, type Work } from './runner-attempt.ts';
import type { MadeOutput } from './runner-data.ts';
import { RunnerLine } from './runner-line.ts';

export interface RunnerOptions {
  /** Base addresses of nodes, such as `http://127.0.0.1:7070`; any of them answers everything. */
  readonly urls: readonly string[];
  /** Its name, 1 to 63 of `A-Z a-z 0-9 . _ -`: another one for each process that runs at a time. */
  readonly worker: string;
  /** What it can do: a function for each job type. It works as `Client.work` does on a node. */
  readonly types: { readonly [name: string]: Work };
  /** Tasks at a time; 1 when left out. */
  readonly slots?: number;
  /** Ends the runner between tasks: those under way are worked to their end. */
  readonly signal?: AbortSignal;
  /** Begins no more tasks than these, and ends with the last. */
  readonly maxTasks?: number;
  /** Lines of `task.log`, and what goes wrong on the way; stderr when left out. */
  readonly log?: (line: string) => void;
}

/** Works until it is told to end, and gives the number of tasks that it completed. @throws PolarisError what no patience can mend */
export function runner(options: RunnerOptions): Promise<number> {
  return new Runner(options).run();
}

interface Session {
  readonly id: number;
  readonly ttlMs: number;
}

/** What is sent for a lease is sent until it is over. */
const NEVER = new AbortController().signal;
/** What a repetition cannot change. */
const OVER: readonly string[] = ['STALE_EPOCH', 'SESSION_ENDED'];

class Runner {
  readonly #options: RunnerOptions;
  readonly #line: RunnerLine;
  readonly #instance = v4();
  readonly #held = new Map<Epoch, RunnerAttempt>();
  /** Epochs that ended here of late: an answer that was on its way may still offer them. */
  readonly #over = new Set<Epoch>();
  readonly #deadlineTimer = new DeadlineTimer(() => this.#fence());
  readonly #log: (line: string) => void;
  #session: Session | null = null;
  /** The last one that ended. */
  #former: Session | null = null;
  #worker = '';
  /** Monotonic; nothing runs after it. */
  #deadline = Number.NEGATIVE_INFINITY;
  #draining = false;
  #begun = 0;
  #completed = 0;
  #renewing: Promise<void> | null = null;
  #broken: PolarisError | null = null;
  /** Called when a slot falls free, or the runner is to end. */
  #wakeUp: () => void = () => {};

  constructor(options: RunnerOptions) {
    const { slots = 1, maxTasks = 1 } = options;
    if (!Number.isInteger(slots) || slots < 1 || slots > SLOTS_MAX) {
      throw new PolarisError('USAGE', `a runner has 1 to ${SLOTS_MAX} slots, not ${slots}`);
    }
    if (!Number.isSafeInteger(maxTasks) || maxTasks < 1) {
      throw new PolarisError('USAGE', `maxTasks must be a positive integer, not ${maxTasks}`);
    }
    this.#options = options;
    this.#line = new RunnerLine(options.urls);
    this.#log = options.log ?? ((line) => void process.stderr.write(`${line}\n`));
  }

  async run(): Promise<number> {
    const { signal } = this.#options;
    const end = () => this.#wakeUp();
    signal?.addEventListener('abort', end);
    try {
      while (!this.#isEnding) await this.#step();
      while (this.#held.size > 0) await this.#slotFreed();
      if (this.#broken === null) await this.#farewell();
    } finally {
      signal?.removeEventListener('abort', end);
      this.#deadlineTimer.cancel();
    }
    if (this.#broken !== null) throw this.#broken;
    return this.#completed;
  }

  get #isEnding(): boolean {
    return this.#options.signal?.aborted === true || this.#broken !== null || this.#tasksLeft === 0;
  }

  get #tasksLeft(): number {
    return (this.#options.maxTasks ?? Number.POSITIVE_INFINITY) - this.#begun;
  }

  /** One try to get on: a session, tasks, or waiting for a slot. */
  async #step(): Promise<void> {
    try {
      if (this.#session === null) return await this.#join();
      const room = this.#draining ? 0 : Math.min((this.#options.slots ?? 1) - this.#held.size, this.#tasksLeft);
      if (room === 0 && !this.#draining) return await this.#slotFreed();
      const waitMs = Math.min(this.#session.ttlMs / RUNNER_TRIES_PER_TTL, CLAIM_WAIT_MS_MAX);
      await this.#ask('claim', { max: room, waitMs }, { waitMs, signal: this.#options.signal });
    } catch (thrown) {
      await this.#bear(thrown);
    }
  }

  /** Attempts of the former session must be over before a new one can begin. */
  async #join(): Promise<void> {
    if (this.#held.size > 0) return this.#slotFreed();
    const { worker, types, slots = 1, signal } = this.#options;
    const offers = Object.keys(types).map((name) => ({ name }));
    const sentAt = monotonicMs();
    const replaces = this.#former === null ? {} : { replaces: this.#former.id };
    const body = { worker, instance: this.#instance, slots, offers, ...replaces };
    const answer = await this.#line.ask({ path: 'claim', body, timeoutMs: CLIENT_TRY_MS, signal });
    this.#session = { id: answer.session, ttlMs: answer.sessionTtlMs };
    this.#worker = answer.worker;
    this.#deadline = Number.NEGATIVE_INFINITY;
    this.#proved(sentAt);
    this.#keepRenewing(this.#session);
  }

  /**
   * What was granted in the last moment, and will not be worked, goes back. A draining worker is answered only when no
   * task is on its way to it.
   */
  async #farewell(): Promise<void> {
    if (this.#session === null) return;
    this.#draining = true;
    await this.#ask('claim', { max: 0 }, {}).catch(() => {});
    while (this.#held.size > 0) await this.#slotFreed();
  }

  /** A slot that falls free, or the word to end. */
  #slotFreed(): Promise<void> {
    return new Promise((resolve) => {
      this.#wakeUp = resolve;
      if (this.#options.signal?.aborted === true && this.#held.size === 0) resolve();
    });
  }

  /** @throws PolarisError whose `row.retry` says whether it may go better */
  async #ask(path: string, fields: object, { waitMs = 0, signal }: AskOptions): Promise<RunnerJson> {
    const session = this.#session;
    if (session === null) throw new PolarisError('SESSION_ENDED');
    const { worker } = this.#options;
    const draining = this.#draining;
    const epochs = [...this.#held.values()].filter((attempt) => !attempt.isLost).map(({ epoch }) => epoch);
    const body = { worker, instance: this.#instance, session: session.id, epochs, draining, ...fields };
    const timeoutMs = waitMs + session.ttlMs / RUNNER_TRIES_PER_TTL;
    const sentAt = monotonicMs();
    try {
      const answer = await this.#line.ask({ path, body, timeoutMs, signal });
      if (this.#session === session) this.#heed(answer, sentAt, draining);
      return answer;
    } catch (thrown) {
      if (thrown instanceof PolarisError && thrown.code === 'SESSION_ENDED') this.#end(session);
      throw thrown;
    }
  }

  /** Waits a little after what may go better; what cannot ends the runner. */
  async #bear(thrown: unknown): Promise<void> {
    if (this.#options.signal?.aborted === true) return;
    if (!(thrown instanceof PolarisError)) throw thrown;
    if (OVER.includes(thrown.code)) return;
    this.#log(`runner ${this.#options.worker}: ${thrown.message}`);
    if (!thrown.row.retry) this.#break(thrown);
    else await sleep(CLIENT_RETRY_MS_MIN + Math.random() * (CLIENT_RETRY_MS_MAX / KEEP_ALIVES_PER_TTL));
  }

  #break(error: PolarisError): void {
    this.#broken ??= error;
    for (const attempt of this.#held.values()) attempt.lose();
    this.#wakeUp();
  }

  // ---- the session ------------------------------------------------------------------------------------------------

  /** Says that it lives while it holds tasks; a claim that waits says it too, but not for long enough. */
  #keepRenewing(session: Session): void {
    const timer = setInterval(() => {
      if (this.#session !== session) return clearInterval(timer);
      if (this.#held.size === 0 || this.#renewing !== null) return;
      this.#renewing = this.#ask('claim', { max: 0 }, {}).then(
        () => {
          this.#renewing = null;
        },
        (thrown) => {
          this.#renewing = null;
          this.#log(`runner ${this.#options.worker}: ${errorText(thrown)}`);
        },
      );
    }, session.ttlMs / KEEP_ALIVES_PER_TTL);
    timer.unref();
  }

  #proved(sentAt: number): void {
    const ttlMs = this.#session?.ttlMs ?? 0;
    this.#deadline = Math.max(this.#deadline, sentAt + (2 * ttlMs) / 3);
    this.#deadlineTimer.move(this.#deadline);
    for (const attempt of this.#held.values()) attempt.moveDeadline(this.#deadline);
  }

  /** Past the deadline nothing runs. What was done is given back, should the session still be alive. */
  #fence(): void {
    if (this.#held.size > 0)
      this.#log(`runner ${this.#options.worker}: no answer for ⅔ of its session; its tasks stop`);
    for (const attempt of this.#held.values()) attempt.release();
  }

  #end(session: Session): void {
    if (this.#session !== session) return;
    this.#session = null;
    this.#former = session;
    this.#draining = false;
    for (const attempt of this.#held.values()) attempt.lose();
    this.#wakeUp();
  }

  /** Does as it was told by an answer. */
  #heed(answer: RunnerJson, sentAt: number, saidDraining: boolean): void {
    this.#proved(sentAt);
    for (const epoch of answer.stop) this.#held.get(epoch)?.lose();
    for (const epoch of answer.release) this.#held.get(epoch)?.release();
    for (const epoch of answer.shrink) this.#held.get(epoch)?.shrink();
    // Only who has heard that we rest can end the rest.
    if (answer.drain || saidDraining) this.#draining = answer.drain;
    for (const order of answer.tasks) this.#take(order, answer.drain);
  }

  // ---- tasks ------------------------------------------------------------------------------------------------------

  #take(order: TaskJson, isUnwanted: boolean): void {
    const { epoch, name } = order;
    if (this.#held.has(epoch) || this.#over.has(epoch)) return;
    const work = Object.hasOwn(this.#options.types, name) ? this.#options.types[name] : undefined;
    const attempt = new RunnerAttempt({
      order,
      worker: this.#worker,
      work: work ?? (async () => {}),
      deadline: this.#deadline,
      report: (word, fields) => this.#report(epoch, word, fields),
      read: (from, to, signal) => this.#read(epoch, `${epoch}/input?from=${from}&to=${to}`, signal),
      send: (output) => this.#send(epoch, output),
      log: this.#log,
    });
    this.#held.set(epoch, attempt);
    // Code that was told to stop before its first point gives back everything.
    if (work === undefined || isUnwanted || this.#isEnding) attempt.release();
    else this.#begun++;
    void this.#work(attempt);
  }

  async #work(attempt: RunnerAttempt): Promise<void> {
    try {
      if (await attempt.run()) this.#completed++;
    } catch (thrown) {
      this.#break(thrown instanceof PolarisError ? thrown : new PolarisError('INTERNAL', errorText(thrown)));
    }
    this.#held.delete(attempt.epoch);
    this.#over.add(attempt.epoch);
    const [oldest] = this.#over;
    if (this.#over.size > SLOTS_MAX && oldest !== undefined) this.#over.delete(oldest);
    this.#wakeUp();
  }

  /** Says how far a task is until it is answered; null when the lease is lost. */
  #report(epoch: Epoch, word: string, fields: object): Promise<TaskStanding | null> {
    return this.#persist(epoch, async () => (await this.#ask(`${epoch}/${word}`, fields, {})).task);
  }

  #send(epoch: Epoch, { start, end, source }: MadeOutput): Promise<OutputTicket | null> {
    const path = `${epoch}/output?start=${start}&end=${end}`;
    return this.#persist(epoch, () => this.#line.send(path, source, NEVER));
  }

  /** What breaks in the middle is for whoever reads: he knows what he has. */
  async #read(epoch: Epoch, path: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const body = await this.#persist(epoch, () => this.#line.read(path, signal));
    signal.throwIfAborted();
    return body ?? Promise.reject(new PolarisError('STALE_EPOCH'));
  }

  /** Asks until it is answered; null when the lease is lost. */
  async #persist<T>(epoch: Epoch, ask: () => Promise<T>): Promise<T | null> {
    for (;;) {
      const attempt = this.#held.get(epoch);
      if (attempt === undefined || attempt.isLost) return null;
      try {
        return await ask();
      } catch (thrown) {
        if (!(thrown instanceof PolarisError)) throw thrown;
        if (OVER.includes(thrown.code)) attempt.lose();
        else if (!thrown.row.retry) throw thrown;
        else await sleep(CLIENT_RETRY_MS_MIN);
      }
    }
  }
}

interface AskOptions {
  readonly waitMs?: number;
  readonly signal?: AbortSignal | undefined;
}
