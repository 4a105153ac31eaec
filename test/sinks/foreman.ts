/**
 * Foreman: a model of Polaris as a fenced sink sees it, with workers that die, sleep and wake late.
 *
 * It grants ranges with growing epochs, of any bounds within what is pending; takes leases away while their workers go on;
 * shrinks, releases and commits late. Workers open, push, repeat pushes whose answer was lost. Whoever holds a live lease
 * must never be refused, and at the end every point must have taken effect exactly once.
 */
import * as fc from 'fast-check';
import { PolarisError } from '../../src/base/errors.ts';
import type { Epoch, Point, Range } from '../../src/base/types.ts';
import type { FencedSink, FencedTask } from '../../src/sinks/types.ts';

export const POINTS = 24;
/** Points a worker pushes at once, at most. */
const BATCH_MAX = 5;

export interface SinkUnderTest {
  readonly sink: FencedSink<string>;
  /** The values that took effect, in any order. A value is the text of its point. */
  effects(): Promise<readonly string[]>;
  /** How many segments are kept. */
  segments(): Promise<number>;
  /** How many of them there may be when every point is done. */
  readonly finishedSegmentsMax: number;
  /** Whether it can forget a finished job; it can if nothing is said. */
  readonly canDrop?: boolean;
}

type Kind = 'grant' | 'work' | 'batch' | 'again' | 'commit' | 'expire' | 'release' | 'shrink';

interface Step {
  readonly kind: Kind;
  readonly one: number;
  readonly two: number;
}

export interface Schedule {
  readonly origin: Point;
  readonly epochBase: Epoch;
  readonly steps: readonly Step[];
}

const choice = fc.nat({ max: 999 });

function stepOf(kind: Kind, weight: number) {
  return { weight, arbitrary: fc.record({ kind: fc.constant(kind), one: choice, two: choice }) };
}

export const schedules: fc.Arbitrary<Schedule> = fc.record({
  // The ends of what a point and an epoch can be: numbers of 16 digits, and negative ones.
  origin: fc.constantFrom(0, -POINTS / 2, Number.MAX_SAFE_INTEGER - POINTS, Number.MIN_SAFE_INTEGER),
  epochBase: fc.constantFrom(1, Number.MAX_SAFE_INTEGER - 10_000),
  steps: fc.array(
    fc.oneof(
      stepOf('grant', 6),
      stepOf('work', 12),
      stepOf('batch', 4),
      stepOf('again', 2),
      stepOf('commit', 3),
      stepOf('expire', 3),
      stepOf('release', 1),
      stepOf('shrink', 2),
    ),
    { minLength: 10, maxLength: 80 },
  ),
});

interface Worker {
  readonly epoch: Epoch;
  readonly range: Range;
  fenced: FencedTask<string> | null;
  /** Where its lease ends now. */
  end: Point;
  /** The next point that it pushes. */
  at: Point;
  /** What Polaris knows of it. */
  committed: Point;
  alive: boolean;
  /** Its lease no longer covers what it will open. */
  shrunkUnopened: boolean;
  lastPush: readonly [Point, readonly string[]] | null;
}

/** @throws Error that says what was wrong. */
export async function checkSchedule(subject: SinkUnderTest, { origin, epochBase, steps }: Schedule): Promise<void> {
  const foreman = new Foreman(subject, { start: origin, end: origin + POINTS }, epochBase);
  for (const step of steps) await foreman.step(step);
  await foreman.finish();
}

class Foreman {
  readonly #subject: SinkUnderTest;
  readonly #range: Range;
  #epoch: Epoch;
  #pending: Range[];
  readonly #workers: Worker[] = [];
  /** What was opened, once that was answered. */
  readonly #opened: (Range & { readonly epoch: Epoch })[] = [];

  constructor(subject: SinkUnderTest, range: Range, epochBase: Epoch) {
    this.#subject = subject;
    this.#range = range;
    this.#epoch = epochBase;
    this.#pending = [range];
  }

  async step({ kind, one, two }: Step): Promise<void> {
    const live = this.#workers.filter((worker) => worker.alive);
    const worker = live[one % Math.max(live.length, 1)];
    if (kind === 'grant') this.#grant(one, two);
    else if (kind === 'work' || kind === 'batch' || kind === 'again') await this.#act(kind, one, two);
    else if (worker === undefined) return;
    else if (kind === 'commit') worker.committed = worker.at;
    else if (kind === 'shrink') this.#shrink(worker);
    else this.#end(worker, kind === 'release');
  }

  #grant(one: number, two: number): void {
    const at = one % Math.max(this.#pending.length, 1);
    const range = this.#pending[at];
    if (range === undefined) return;
    // From either end, so that starts and ends both differ from those of former tasks.
    const size = (two % (range.end - range.start)) + 1;
    const middle = two % 2 === 0 ? range.start + size : range.end - size;
    const [mine, rest] =
      two % 2 === 0
        ? [
            { start: range.start, end: middle },
            { start: middle, end: range.end },
          ]
        : [
            { start: middle, end: range.end },
            { start: range.start, end: middle },
          ];
    this.#pending.splice(at, 1, ...(rest.start < rest.end ? [rest] : []));
    this.#hire(mine);
  }

  #hire(range: Range): Worker {
    this.#epoch += 1;
    const { start, end } = range;
    const worker = { epoch: this.#epoch, range, end, at: start, committed: start };
    const hired: Worker = { ...worker, fenced: null, alive: true, shrunkUnopened: false, lastPush: null };
    this.#workers.push(hired);
    return hired;
  }

  /** One worker or, more often, two at the same moment: with a lease or without. */
  async #act(kind: 'work' | 'batch' | 'again', one: number, two: number): Promise<void> {
    const count = Math.max(this.#workers.length, 1);
    const chosen = new Set([this.#workers[one % count], this.#workers[two % count]]);
    await Promise.all([...chosen].map(async (worker) => worker && this.#turn(worker, kind, (one + two) % BATCH_MAX)));
  }

  async #turn(worker: Worker, kind: 'work' | 'batch' | 'again', size: number): Promise<void> {
    const entitled = worker.alive && !worker.shrunkUnopened;
    try {
      if (worker.fenced === null) await this.#open(worker);
      else if (kind === 'again') await this.#repeatPush(worker, worker.fenced);
      else await this.#advance(worker, worker.fenced, kind === 'work' ? 1 : size + 1);
    } catch (thrown) {
      if (!(thrown instanceof PolarisError) || thrown.code !== 'STALE_EPOCH') throw thrown;
      if (entitled)
        throw new Error(`epoch ${worker.epoch} holds ${text(worker.range)} and was refused`, { cause: thrown });
      // A worker that was shrunk before it opened fails; its lease ends.
      if (worker.alive) this.#end(worker, true);
    }
  }

  async #open(worker: Worker): Promise<void> {
    const { range, epoch } = worker;
    worker.fenced = await this.#subject.sink.open(range, epoch);
    this.#opened.push({ ...range, epoch });
  }

  async #advance(worker: Worker, fenced: FencedTask<string>, size: number): Promise<void> {
    // A single push leaves out what is done, as an author does; a batch leaves that to the sink.
    const done = size > 1 ? undefined : fenced.done.find(({ start, end }) => start <= worker.at && worker.at < end);
    if (done !== undefined) worker.at = Math.min(done.end, worker.end);
    const first = worker.at;
    const end = Math.min(first + size, worker.end);
    if (first >= end) return;
    worker.lastPush = [first, Array.from({ length: end - first }, (_, offset) => String(first + offset))];
    await this.#push(worker, fenced, worker.lastPush);
    worker.at = end;
  }

  async #repeatPush(worker: Worker, fenced: FencedTask<string>): Promise<void> {
    const { lastPush, at } = worker;
    if (lastPush !== null && lastPush[0] < at) await this.#push(worker, fenced, lastPush);
  }

  /** Whoever has opened since is told what was done, and counts on it that no older worker adds to that. */
  async #push(worker: Worker, fenced: FencedTask<string>, push: readonly [Point, readonly string[]]): Promise<void> {
    const [first, values] = push;
    const newer = this.#opened.find(({ start, end, epoch }) => {
      return epoch > worker.epoch && start <= first && first + values.length <= end;
    });
    const [only] = values;
    const single = values.length === 1 && only !== undefined;
    const count = single ? Number((await fenced.push(first, only)) === 'pushed') : await fenced.pushMany(first, values);
    if (newer !== undefined && count > 0) {
      throw new Error(`epoch ${worker.epoch} pushed point ${first}, which epoch ${newer.epoch} had opened`);
    }
  }

  #shrink(worker: Worker): void {
    const end = Math.ceil((worker.at + 1 + worker.end) / 2);
    if (end >= worker.end) return;
    this.#pending.push({ start: end, end: worker.end });
    worker.end = end;
    worker.shrunkUnopened = worker.fenced === null;
  }

  /** A released worker has said how far it is, a lost one has not, and goes on. */
  #end(worker: Worker, released: boolean): void {
    const reached = released ? worker.at : worker.committed;
    if (reached < worker.end) this.#pending.push({ start: reached, end: worker.end });
    worker.alive = false;
  }

  async finish(): Promise<void> {
    for (const worker of this.#workers) if (worker.alive) this.#end(worker, false);
    for (const range of this.#pending.splice(0)) {
      const worker = this.#hire(range);
      await this.#turn(worker, 'work', 0);
      await this.#everybodyElse();
      while (worker.at < worker.end) await this.#turn(worker, 'batch', BATCH_MAX - 1);
      worker.alive = false;
    }
    await this.#everybodyElse();
    await this.#expectExactlyOnce();
    const kept = await this.#subject.segments();
    if (kept > this.#subject.finishedSegmentsMax) throw new Error(`${kept} segments are left of a finished job`);
    if (this.#subject.canDrop === false) return;
    await this.#subject.sink.drop();
    if ((await this.#subject.segments()) !== 0) throw new Error('segments are left after the drop');
    await this.#everybodyElse();
    for (const worker of this.#workers) worker.fenced = null;
    await this.#everybodyElse();
    await this.#everybodyElse();
    await this.#expectExactlyOnce();
  }

  async #everybodyElse(): Promise<void> {
    for (const worker of this.#workers) if (!worker.alive) await this.#turn(worker, 'work', 0);
  }

  async #expectExactlyOnce(): Promise<void> {
    const effects = await this.#subject.effects();
    const counts = new Map<string, number>();
    for (const value of effects) counts.set(value, (counts.get(value) ?? 0) + 1);
    for (let point = this.#range.start; point < this.#range.end; point++) {
      const count = counts.get(String(point)) ?? 0;
      if (count !== 1) throw new Error(`point ${point} took effect ${count} times`);
    }
    if (counts.size !== POINTS) throw new Error(`${counts.size} different effects of ${POINTS} points`);
  }
}

function text({ start, end }: Range): string {
  return `[${start}, ${end})`;
}
