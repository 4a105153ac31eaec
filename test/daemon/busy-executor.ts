/**
 * An executor that works: point after point, each taking its time on the clock of the test, with one window of
 * `commitEvery` points and a report every hundred milliseconds. It counts how often each point was begun.
 */
import { must } from '../../src/base/assert.ts';
import { windowEnd } from '../../src/ranges/lease.ts';
import type { TaskOrder } from '../../src/wire/messages.ts';
import { HandExecutor, type HandTime } from './fakes.ts';

const REPORT_EVERY_MS = 100;

interface Attempt {
  readonly order: TaskOrder;
  cursor: number;
  /** Points below may be handed out. */
  limit: number;
  end: number;
  isReleased: boolean;
}

export class BusyExecutor extends HandExecutor {
  readonly begun: Map<number, number>;
  readonly #time: HandTime;
  readonly #msPerPoint: number;
  readonly #attempts = new Map<number, Attempt>();

  constructor(time: HandTime, msPerPoint: number, begun = new Map<number, number>()) {
    super();
    this.#time = time;
    this.#msPerPoint = msPerPoint;
    this.begun = begun;
  }

  get running(): number {
    return this.#attempts.size;
  }

  override run(order: TaskOrder): void {
    const { epoch, cursor, end } = order;
    const limit = windowEnd(order, order.options);
    const attempt = { order, cursor, limit, end, isReleased: false };
    this.#attempts.set(epoch, attempt);
    this.#time.soon(() => this.#work(attempt));
    this.#time.after(REPORT_EVERY_MS, () => this.#report(attempt));
  }

  override committed(epoch: number, _cursor: number, limit: number): void {
    const attempt = this.#attempts.get(epoch);
    if (attempt !== undefined) attempt.limit = limit;
  }

  override keep(epoch: number, answer: (end: number) => void): void {
    const attempt = this.#attempts.get(epoch);
    if (attempt === undefined) return;
    const next = Math.min(attempt.end, attempt.cursor + 1);
    attempt.end = next + Math.ceil((attempt.end - next) / 2);
    this.#time.soon(() => answer(attempt.end));
  }

  override release(epoch: number): void {
    const attempt = this.#attempts.get(epoch);
    if (attempt !== undefined) attempt.isReleased = true;
  }

  override abort(epoch: number): void {
    const attempt = this.#attempts.get(epoch);
    if (attempt !== undefined) this.#time.soon(() => this.#end(attempt, 'release'));
  }

  override stop(done: () => void): void {
    this.#attempts.clear();
    done();
  }

  #isAlive(attempt: Attempt): boolean {
    return this.#attempts.get(attempt.order.epoch) === attempt;
  }

  #work(attempt: Attempt): void {
    if (!this.#isAlive(attempt)) return;
    if (attempt.cursor >= attempt.end) return this.#end(attempt, 'complete');
    if (attempt.isReleased) return this.#end(attempt, 'release');
    const point = attempt.cursor;
    if (point >= attempt.limit) return this.#wait(attempt);
    this.begun.set(point, (this.begun.get(point) ?? 0) + 1);
    this.#time.after(this.#msPerPoint, () => {
      if (!this.#isAlive(attempt)) return;
      attempt.cursor = point + 1;
      this.#work(attempt);
    });
  }

  /** For a window or a claim. */
  #wait(attempt: Attempt): void {
    this.progress(attempt.order.epoch, attempt.cursor);
    this.#time.after(5, () => this.#work(attempt));
  }

  #report(attempt: Attempt): void {
    if (!this.#isAlive(attempt)) return;
    this.progress(attempt.order.epoch, attempt.cursor);
    this.#time.after(REPORT_EVERY_MS, () => this.#report(attempt));
  }

  #end({ order: { epoch }, cursor }: Attempt, ending: 'complete' | 'release'): void {
    if (this.#attempts.delete(epoch))
      must(this.handler, 'it is started').ended({ epoch, cursor, begun: cursor, ending, error: '', outputs: [] });
  }
}
