/**
 * Weather: how the network between nodes behaves just now, link by link and in one direction at a time.
 */
import type { Prng } from '../../src/base/prng.ts';
import type { NodeId } from '../../src/base/types.ts';

export interface LinkOptions {
  readonly latencyMsMin: number;
  readonly latencyMsMax: number;
  /** Probabilities for one message. */
  readonly loss: number;
  readonly duplicate: number;
  readonly spike: number;
  /** A message that meets a spike is late by up to this much, and so overtaken by others. */
  readonly spikeMsMax: number;
  /** A bulk line takes so long for a kilobyte: what is large takes its time, and much can happen meanwhile. */
  readonly bulkMsPerKib: number;
}

/** A good local network: nothing is lost, nothing is overtaken. */
export const FAIR_LINK: LinkOptions = {
  latencyMsMin: 0.1,
  latencyMsMax: 0.6,
  loss: 0,
  duplicate: 0,
  spike: 0,
  spikeMsMax: 0,
  bulkMsPerKib: 0.1,
};

export class Weather {
  #options: LinkOptions;
  readonly #prng: Prng;
  readonly #blocked = new Set<string>();
  /** Until when a link that is clogged delivers nothing. */
  readonly #cloggedUntil = new Map<string, number>();

  constructor(options: LinkOptions, prng: Prng) {
    this.#options = options;
    this.#prng = prng;
  }

  set options(options: LinkOptions) {
    this.#options = options;
  }

  latencyMs(): number {
    const { latencyMsMin, latencyMsMax, spike, spikeMsMax } = this.#options;
    const base = latencyMsMin + this.#prng.next() * (latencyMsMax - latencyMsMin);
    return spike > 0 && this.#prng.chance(spike) ? base + this.#prng.next() * spikeMsMax : base;
  }

  bulkMs(bytes: number): number {
    return (bytes / 1_024) * this.#options.bulkMsPerKib;
  }

  /** A stream loses nothing; what would be lost many times over breaks the connection. */
  breaks(): boolean {
    const { loss } = this.#options;
    return loss > 0 && this.#prng.chance(loss);
  }

  /** Copies of one message that arrive: 0, 1 or 2. */
  copies(): 0 | 1 | 2 {
    const { loss, duplicate } = this.#options;
    if (loss > 0 && this.#prng.chance(loss)) return 0;
    return duplicate > 0 && this.#prng.chance(duplicate) ? 2 : 1;
  }

  /** Nothing goes from `source` to `target` any more; the other direction is another matter. */
  block(source: NodeId, target: NodeId): void {
    this.#blocked.add(`${source}>${target}`);
  }

  blocked(source: NodeId, target: NodeId): boolean {
    return this.#blocked.size > 0 && this.#blocked.has(`${source}>${target}`);
  }

  /** A connection needs both directions. */
  severed(one: NodeId, other: NodeId): boolean {
    return this.blocked(one, other) || this.blocked(other, one);
  }

  /** What goes from `source` to `target` stays in between until `time`, and then all of it comes at once. */
  clog(source: NodeId, target: NodeId, time: number): void {
    this.#cloggedUntil.set(`${source}>${target}`, time);
  }

  /** When a message that is sent at `time` is past all clogging. */
  clearAt(source: NodeId, target: NodeId, time: number): number {
    if (this.#cloggedUntil.size === 0) return time;
    return Math.max(time, this.#cloggedUntil.get(`${source}>${target}`) ?? time);
  }

  heal(): void {
    this.#blocked.clear();
    this.#cloggedUntil.clear();
  }
}
