/**
 * A fenced sink in memory, for tests of job types: the same refusals as the real ones, and a list of all effects.
 */
import type { Epoch, Point, Range } from '../base/types.ts';
import { doneWithin, dropped, openRange, pushPoints, type Segments } from './fence.ts';
import { type FenceStore, openTask } from './task.ts';
import type { FencedSink, FencedTask } from './types.ts';

export interface MemoryEffect<V> {
  readonly point: Point;
  readonly value: V;
}

export class MemorySink<V> implements FencedSink<V> {
  /** In the order in which they took effect. */
  readonly effects: MemoryEffect<V>[] = [];
  #segments: Segments = [];
  /** The newest epoch that opened anything. */
  #newest: Epoch = 0;
  /** Epochs up to this one are locked out. */
  #floor: Epoch = 0;

  /** What it remembers, for those who want to see that it stays small. */
  get segments(): Segments {
    return this.#segments;
  }

  open(range: Range, epoch: Epoch): Promise<FencedTask<V>> {
    return openTask(this.#store, range, epoch);
  }

  async drop(): Promise<void> {
    await this.#store.drop();
  }

  // Each body is one turn of the event loop, and so atomic.
  readonly #store: FenceStore<V> = {
    open: async (range, epoch) => {
      if (epoch <= this.#floor) throw dropped(epoch, this.#floor);
      this.#segments = openRange(this.#segments, range, epoch);
      this.#newest = Math.max(this.#newest, epoch);
      return doneWithin(this.#segments, range);
    },
    push: async (first, values, epoch) => {
      const pushed = pushPoints(this.#segments, { start: first, end: first + values.length }, epoch);
      this.#segments = pushed.segments;
      for (const [offset, value] of values.entries()) {
        const point = first + offset;
        if (pushed.fresh.some(({ start, end }) => start <= point && point < end)) this.effects.push({ point, value });
      }
      return pushed.fresh.reduce((sum, { start, end }) => sum + (end - start), 0);
    },
    drop: async () => {
      this.#segments = [];
      this.#floor = this.#newest;
    },
  };
}
