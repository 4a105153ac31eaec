/**
 * A log of one job that collects, leaders that fold it, and Masters that are slow, fall, or speak too late.
 *
 * The rules of the log are written down anew here, as plainly as they can be said: what a Master of another epoch proposes
 * is refused, and outputs leave with the very entry that brings the state which they are in.
 */
import { must } from '../../src/base/assert.ts';
import type { Handle } from '../../src/base/handle.ts';
import { SILENT } from '../../src/base/log.ts';
import { createPrng } from '../../src/base/prng.ts';
import type { Done } from '../../src/daemon/api.ts';
import type { Collecting, FoldEnding } from '../../src/daemon/env.ts';
import { FoldDuty } from '../../src/daemon/fold-duty.ts';
import type { Command, JobView, Outcome, Output } from '../../src/ranges/types.ts';
import { jobId, specOf } from '../ranges/fixtures.ts';
import { HandExecutor, type HandFold, HandTime } from './fakes.ts';

const REFUSED: Outcome = { kind: 'refused', code: 'STALE_EPOCH', detail: 'another Master has the job' };

interface Reign {
  readonly duty: FoldDuty;
  readonly executor: HandExecutor;
}

export class Court {
  readonly time = new HandTime();
  readonly collecting: Collecting;
  readonly points: number;
  /** What is in each state and result that was ever written down: where its outputs began, in the order of their coming. */
  readonly ledgers = new Map<string, readonly number[]>();
  /** Proposals that are not in the log yet, of whichever leader. */
  readonly proposed: { readonly command: Command; readonly done: Done<Outcome>; readonly reign: Reign }[] = [];
  readonly refusals: string[] = [];
  readonly #covered = new Set<number>();
  #outputs: Output[] = [];
  #master: JobView['master'] = null;
  #index = 1;
  #blobs = 0;
  state: JobView['state'] = 'running';
  reason: string | null = null;
  result: Handle | null = null;
  #reigns: Reign[] = [];

  constructor(points: number, collecting: Collecting) {
    this.points = points;
    this.collecting = collecting;
    this.crown();
  }

  get outputs(): readonly Output[] {
    return this.#outputs;
  }

  get reign(): Reign {
    return must(this.#reigns.at(-1), 'somebody leads');
  }

  /** Orders that no Master has answered, of whichever leader, the oldest first. */
  get orders(): HandFold[] {
    return this.#reigns.flatMap(({ executor }) => executor.folds.filter(({ givenUp }) => !givenUp));
  }

  job(): JobView {
    const covered: { start: number; end: number }[] = [];
    for (let point = 0; point < this.points; point++) {
      if (!this.#covered.has(point)) continue;
      const last = covered.at(-1);
      if (last?.end === point) last.end += 1;
      else covered.push({ start: point, end: point + 1 });
    }
    const spec = specOf({ end: this.points, collects: true, overseen: true });
    const view = {
      spec,
      state: this.state,
      reason: this.reason,
      covered,
      coveredPoints: this.#covered.size,
      outputs: this.#outputs,
    };
    return { ...view, master: this.#master } as unknown as JobView;
  }

  // ---- what happens -------------------------------------------------------------------------------------------------

  /** A point is covered; every third emits nothing. */
  cover(point: number): void {
    if (this.#covered.has(point)) return;
    this.#index += 1;
    this.#covered.add(point);
    if (point % 3 !== 2) {
      const handle = this.#blob([point]);
      this.#outputs = [...this.#outputs, { start: point, end: point + 1, handle }].sort((a, b) => a.start - b.start);
    }
    for (const { duty } of this.#reigns) duty.moved(jobId(1));
  }

  /** A new leader. The former one may not know of it yet. */
  crown(collecting: Collecting | null = this.collecting): void {
    const executor = new HandExecutor(['mail'], 'window', true, collecting);
    const duty: FoldDuty = new FoldDuty({
      table: { job: () => this.job() },
      ...{ clock: this.time, prng: createPrng(1), executor, log: SILENT, stamp: () => this.time.wall() },
      propose: (command, done) => void this.proposed.push({ command, done, reign }),
    });
    const reign = { duty, executor };
    this.#reigns.push(reign);
    duty.follow(this.job());
  }

  /** All leaders but the last are gone, and their Masters with them. Whether what they proposed comes into the log is open. */
  bury(keepsProposals: boolean): void {
    const { reign } = this;
    for (const each of this.#reigns) if (each !== reign) each.duty.close();
    this.#reigns = [reign];
    if (keepsProposals) return;
    const kept = this.proposed.filter((one) => one.reign === reign);
    this.proposed.splice(0, this.proposed.length, ...kept);
  }

  tick(ms = 0): void {
    this.time.pass(ms);
    for (const { duty } of this.#reigns) duty.tick();
  }

  /** The Master that was ordered first does it, or what is said of it. */
  answer(ending: FoldEnding | null = null): void {
    const fold = must(this.orders[0], 'a Master was ordered');
    for (const { executor } of this.#reigns) {
      const at = executor.folds.indexOf(fold);
      if (at >= 0) executor.folds.splice(at, 1);
    }
    const { state, outputs } = fold.order;
    const before = state === null ? [] : must(this.ledgers.get(state.hash), 'a state is what was written down');
    if (ending !== null) return fold.done(ending);
    const stamp = this.#index;
    if (outputs === null) return fold.done({ kind: 'finished', result: this.#blob(before), stamp });
    const folded = this.#blob([...before, ...outputs.map(({ start }) => start)]);
    fold.done({ kind: 'folded', state: folded, stamp });
  }

  /** The oldest proposal is in the log. */
  commit(): void {
    const { command, done } = must(this.proposed.shift(), 'something was proposed');
    this.#index += 1;
    const value = this.#apply(command);
    if (value.kind === 'refused') this.refusals.push(command.kind);
    const job = this.job();
    for (const { duty } of this.#reigns) duty.follow(job);
    done({ ok: true, value });
  }

  set(state: JobView['state']): void {
    this.#index += 1;
    this.state = state;
    for (const { duty } of this.#reigns) duty.follow(this.job());
  }

  /** Everything goes well from here on, until the job is done. */
  settle(): void {
    this.bury(true);
    for (let turns = 0; this.state === 'running' || this.state === 'paused'; turns++) {
      if (turns > 10_000) throw new Error(`never done: ${this.reign.duty.holdOf(jobId(1))}`);
      if (this.state === 'paused') this.set('running');
      for (let point = 0; point < this.points; point++) if (!this.#covered.has(point)) this.cover(point);
      this.tick(1_000);
      if (this.orders.length > 0) this.answer();
      if (this.proposed.length > 0) this.commit();
    }
  }

  /** What the result says was collected. */
  collected(): readonly number[] {
    return must(this.ledgers.get(must(this.result, 'the job has a result').hash), 'it was written down');
  }

  #apply(command: Command): Outcome {
    const ok: Outcome = { kind: 'ok' };
    switch (command.kind) {
      case 'take-master':
        this.#master = { epoch: this.#index, state: this.#master?.state ?? null, folded: this.#master?.folded ?? 0 };
        return { kind: 'taken', epoch: this.#index };
      case 'fold': {
        if (command.epoch !== this.#master?.epoch || this.state !== 'running') return REFUSED;
        const has = new Set(this.#outputs.map(({ start }) => start));
        if (!command.outputs.every((start) => has.has(start))) throw new Error('an output is folded that is not there');
        this.#outputs = this.#outputs.filter(({ start }) => !command.outputs.includes(start));
        this.#master = { ...this.#master, state: command.state, folded: this.#master.folded + command.outputs.length };
        return ok;
      }
      case 'finish-master':
        if (command.epoch !== this.#master?.epoch || this.state !== 'running') return REFUSED;
        if (this.#outputs.length > 0 || this.#covered.size < this.points) throw new Error('it finishes too early');
        this.state = 'done';
        this.result = command.result;
        return ok;
      case 'master-failed':
        if (command.epoch !== this.#master?.epoch || this.state !== 'running') return REFUSED;
        this.state = 'paused';
        this.reason = command.error;
        return ok;
      default:
        throw new Error(`nobody who folds proposes ${command.kind}`);
    }
  }

  #blob(ledger: readonly number[]): Handle {
    this.#blobs += 1;
    const hash = String(this.#blobs).padStart(64, '0');
    this.ledgers.set(hash, ledger);
    return { hash, bytes: 100, rows: ledger.length, schema: '0'.repeat(16) };
  }
}
