/**
 * A worker whose leader is the test.
 */
import { must } from '../../src/base/assert.ts';
import { KEEP_ALIVES_PER_TTL } from '../../src/base/limits.ts';
import { Worker } from '../../src/daemon/worker.ts';
import type { LeaderMessage, ReportResult, TaskOrder, WorkerMessage } from '../../src/wire/messages.ts';
import { jobId, MAIL, specOf } from '../ranges/fixtures.ts';
import { HandExecutor, handEnv } from './fakes.ts';

export const TTL = 3_000;
export const BEAT = TTL / KEEP_ALIVES_PER_TTL;
/** ⅔ of the TTL. */
export const FENCE = 2_000;
export const TICK = 20;

export function orderOf(epoch: number, changes: Partial<TaskOrder> = {}): TaskOrder {
  const { options } = specOf({ options: { commitEvery: 10 } });
  return {
    epoch,
    job: jobId(1),
    name: MAIL,
    start: 0,
    end: 100,
    cursor: 0,
    claimed: 0,
    metadata: '{}',
    options,
    attempts: 0,
    input: null,
    checkpoint: null,
    ...changes,
  };
}

type MessageOf<T extends WorkerMessage['type']> = Extract<WorkerMessage, { readonly type: T }>;

export class Shop {
  readonly executor;
  readonly hand;
  readonly sent: WorkerMessage[] = [];
  doubts = 0;
  readonly worker: Worker;
  #sequence = 0;
  /** Of the last report that was taken. */
  #reportSequence = 0;
  appliedIndex = 100;

  constructor(options: { slots?: number; executor?: HandExecutor; ttlMs?: number } = {}) {
    this.executor = options.executor ?? new HandExecutor();
    this.hand = handEnv({ executor: this.executor });
    this.worker = new Worker({
      env: this.hand.env,
      instanceId: 'i',
      address: 'here:1',
      slots: options.slots ?? 2,
      sessionTtlMs: options.ttlMs ?? TTL,
      send: (message) => void this.sent.push(message),
      doubtLeader: () => {
        this.doubts++;
      },
      turn: (run) => run(),
    });
  }

  get now(): number {
    return this.hand.time.now();
  }

  /** Time goes by, tick by tick. */
  pass(ms: number): void {
    for (let left = ms; left > 0; left -= TICK) {
      this.hand.time.pass(Math.min(TICK, left));
      this.turn();
    }
  }

  turn(): void {
    this.worker.tick();
    this.worker.flush();
  }

  take<T extends WorkerMessage['type']>(type: T): MessageOf<T>[] {
    const taken = this.sent.filter((one) => one.type === type);
    for (const one of taken) {
      this.sent.splice(this.sent.indexOf(one), 1);
      if (one.type === 'report') this.#reportSequence = one.sequence;
    }
    return taken as MessageOf<T>[];
  }

  say(message: LeaderMessage): void {
    this.worker.message(message);
    this.worker.flush();
  }

  /** Joins as incarnation 50. */
  join(): this {
    this.turn();
    const [join] = this.take('join');
    this.say({ type: 'joined', nonce: must(join, 'it asks to join').nonce, incarnation: 50, sessionTtlMs: TTL });
    return this;
  }

  /** What the table holds, at a later index; as a push, or as the answer to the newest keep-alive. */
  leases(orders: readonly TaskOrder[], changes: Partial<Extract<LeaderMessage, { type: 'leases' }>> = {}): void {
    this.appliedIndex = Math.max(this.appliedIndex + 1, ...orders.map((order) => order.epoch));
    const epochs = orders.map((order) => order.epoch);
    const { appliedIndex } = this;
    const base = { type: 'leases', incarnation: 50, sequence: 0, appliedIndex, epochs, orders } as const;
    this.say({ ...base, release: [], shrink: [], drain: false, ...changes });
  }

  /** Answers the newest keep-alive. */
  answer(orders: readonly TaskOrder[] = []): void {
    const newest = this.take('keep-alive').at(-1);
    if (newest !== undefined) this.#sequence = newest.sequence;
    this.leases(orders, { sequence: this.#sequence });
  }

  /** Where the test says nothing of it, nothing is claimed and the end is far. */
  reported(...given: readonly (Omit<ReportResult, 'claimed' | 'end' | 'checkpoint'> & Partial<ReportResult>)[]): void {
    const results = given.map((result) => ({ claimed: result.cursor, end: 100, checkpoint: null, ...result }));
    this.take('report');
    this.say({ type: 'reported', incarnation: 50, sequence: this.#reportSequence, results });
  }
}
