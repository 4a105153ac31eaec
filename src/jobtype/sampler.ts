/**
 * Sampler: many tasks, one message. Reports where the attempts of a host stand, at the pace of the most eager of them.
 *
 * Positions are read from shared memory, so a report costs the same for a point and for a million. A nudge brings the
 * next report forward to the end of this turn of the event loop, where nudges that came together share it.
 */
import type { Epoch } from '../base/types.ts';
import type { Attempt } from './attempt.ts';
import type { Position } from './protocol.ts';

export class Sampler {
  readonly #attempts: ReadonlyMap<Epoch, Attempt>;
  readonly #report: (positions: readonly Position[]) => void;
  readonly #reported = new Map<Epoch, Position>();
  #timer: NodeJS.Timeout | null = null;
  #soon = false;

  constructor(attempts: ReadonlyMap<Epoch, Attempt>, report: (positions: readonly Position[]) => void) {
    this.#attempts = attempts;
    this.#report = report;
  }

  /** To be called when an attempt began or ended. */
  update(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    for (const epoch of this.#reported.keys()) if (!this.#attempts.has(epoch)) this.#reported.delete(epoch);
    const intervals = [...this.#attempts.values()].map((attempt) => attempt.order.options.commitIntervalMs);
    if (intervals.length > 0) this.#timer = setInterval(() => this.#sample(), Math.min(...intervals));
  }

  nudge(): void {
    if (this.#soon) return;
    this.#soon = true;
    setImmediate(() => {
      this.#soon = false;
      this.#sample();
    });
  }

  #sample(): void {
    const moved: Position[] = [];
    for (const attempt of this.#attempts.values()) {
      const position = attempt.position();
      const last = this.#reported.get(position.epoch);
      if (last?.cursor === position.cursor && last.begun === position.begun) continue;
      this.#reported.set(position.epoch, position);
      moved.push(position);
    }
    if (moved.length > 0) this.#report(moved);
  }
}
