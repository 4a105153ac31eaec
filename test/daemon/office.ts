/**
 * A leader over a table, whose log commits when the test says so.
 */
import { must } from '../../src/base/assert.ts';
import { PolarisError } from '../../src/base/errors.ts';
import type { Done } from '../../src/daemon/api.ts';
import { Leader } from '../../src/daemon/leader.ts';
import type { Command, Controls, Outcome } from '../../src/ranges/types.ts';
import type { LeaderMessage, TaskReport } from '../../src/wire/messages.ts';
import { jobId, MAIL, Pen, type SpecChanges } from '../ranges/fixtures.ts';
import { handEnv } from './fakes.ts';

export const TTL = 4_000;
type MessageOf<T extends LeaderMessage['type']> = Extract<LeaderMessage, { readonly type: T }>;

export class Office {
  readonly pen = new Pen();
  readonly hand = handEnv();
  readonly sent: { readonly to: string; readonly message: LeaderMessage }[] = [];
  readonly proposed: { readonly command: Command; readonly done: Done<Outcome> }[] = [];
  fresh = true;
  full = false;
  readonly #ttlMs: number;
  #woken = false;
  #leader: Leader | null = null;

  constructor(ttlMs = TTL) {
    this.#ttlMs = ttlMs;
  }

  /** The leader of a new term, over the table as it stands. */
  lead(connected: readonly string[] = ['w1', 'w2']): Leader {
    this.#leader?.close();
    this.proposed.length = 0;
    this.#leader = new Leader({
      env: this.hand.env,
      table: this.pen.table,
      sessionTtlMs: this.#ttlMs,
      propose: (command, done) => this.#propose(command, done),
      fresh: () => this.fresh,
      send: (to, message) => void this.sent.push({ to, message }),
      listened: () => true,
      isConnected: (node) => connected.includes(node),
      wake: () => {
        this.#woken = true;
      },
    });
    return this.#leader;
  }

  get leader(): Leader {
    return must(this.#leader, 'somebody leads');
  }

  #propose(command: Command, done: Done<Outcome>): number | null {
    if (this.full) {
      done({ ok: false, error: new PolarisError('OVERLOADED') });
      return null;
    }
    this.proposed.push({ command, done });
    return this.pen.table.appliedIndex + this.proposed.length;
  }

  /** Commits the first proposal, or all that there are, in their order; and says what they were. */
  commit(count = this.proposed.length): string[] {
    return Array.from({ length: count }, () => {
      const { command, done } = must(this.proposed.shift(), 'something was proposed');
      const outcome = this.pen.apply(command);
      for (const event of this.pen.last) this.leader.applied(event);
      done({ ok: true, value: outcome });
      return command.kind;
    });
  }

  /** Turns until nothing new is proposed and nobody asks for another turn. */
  run(): string[] {
    const kinds: string[] = [];
    for (let turns = 0; turns < 1_000; turns++) {
      this.#woken = false;
      this.leader.flush();
      if (this.proposed.length === 0 && !this.#woken) return kinds;
      kinds.push(...this.commit());
    }
    throw new Error('the leader never rests');
  }

  control(action: 'pause' | 'resume' | 'cancel'): void {
    this.pen.control(action);
    for (const event of this.pen.last) this.leader.applied(event);
  }

  set(changes: Partial<Controls>, id = jobId(1)): void {
    this.pen.apply({ kind: 'set-job', id, changes });
    for (const event of this.pen.last) this.leader.applied(event);
  }

  submit(changes: SpecChanges = {}): void {
    this.pen.submit(changes);
    for (const event of this.pen.last) this.leader.applied(event);
  }

  join(nonce = 1, changes: { worker?: string; slots?: number; instanceId?: string } = {}): void {
    const { worker = 'w1', slots = 2, instanceId = `i-${worker}` } = changes;
    const offers = [{ name: MAIL, hash: 'h' }];
    this.leader.message(worker, { type: 'join', nonce, instanceId, address: 'here:1', slots, offers });
  }

  beat(sequence: number, { worker = 'w1', epochs = [] as readonly number[], draining = false } = {}): void {
    const incarnation = this.incarnation(worker);
    this.leader.message(worker, { type: 'keep-alive', incarnation, sequence, epochs, draining });
  }

  report(changes: Partial<TaskReport> & { readonly epoch: number }, { worker = 'w1', sequence = 1 } = {}): void {
    const { cursor = 0 } = changes;
    const report = {
      cursor,
      begun: cursor,
      claimed: cursor,
      ending: null,
      error: '',
      outputs: [],
      checkpoint: null,
      ...changes,
    };
    this.leader.message(worker, {
      type: 'report',
      incarnation: this.incarnation(worker),
      sequence,
      reports: [report],
    });
  }

  keep(epoch: number, end: number, worker = 'w1'): void {
    this.leader.message(worker, { type: 'keep', incarnation: this.incarnation(worker), offers: [{ epoch, end }] });
  }

  incarnation(worker = 'w1'): number {
    return this.pen.table.worker(worker)?.incarnation ?? 0;
  }

  /** Time goes by, and sessions are judged. */
  pass(ms: number): void {
    this.hand.time.pass(ms);
    this.leader.judge();
  }

  take<T extends LeaderMessage['type']>(type: T): MessageOf<T>[] {
    const taken = this.sent.filter((one) => one.message.type === type);
    for (const one of taken) this.sent.splice(this.sent.indexOf(one), 1);
    return taken.map((one) => one.message as MessageOf<T>);
  }
}

/** An office with one worker that has joined under this leader, and has said with its first keep-alive that it works. */
export function joined(): Office {
  const office = new Office();
  office.lead();
  office.join();
  office.run();
  // The number that asks for no answer: those of the tests begin with 1.
  office.beat(0);
  office.sent.length = 0;
  return office;
}
