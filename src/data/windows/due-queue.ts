/**
 * DueQueue: which window is told next, in the manner of a binary heap.
 *
 * A session that grows is due later. Its entry is left where it is; whoever takes it out asks the window anew and puts it
 * back if it came too early. So a window costs one entry however often it grows.
 *
 * Invariant: no entry lies later than its window is due.
 */
import { must } from '../../base/assert.ts';
import type { OpenWindow } from './open.ts';

interface Entry {
  readonly moment: number;
  readonly window: OpenWindow;
}

/** Entries of windows that are gone, beside as many as are open, before they are swept out. */
const GONE_SLACK = 1_024;

export class DueQueue {
  #heap: Entry[] = [];

  get size(): number {
    return this.#heap.length;
  }

  push(moment: number, window: OpenWindow): void {
    window.queued = true;
    this.#heap.push({ moment, window });
    this.#rise(this.#heap.length - 1);
  }

  /** The earliest, if it is due at `watermark`. */
  pop(watermark: number): OpenWindow | null {
    const [first] = this.#heap;
    if (first === undefined || first.moment > watermark) return null;
    const last = must(this.#heap.pop(), 'a heap with a first entry has a last');
    if (last !== first) {
      this.#heap[0] = last;
      this.#sink(0);
    }
    first.window.queued = false;
    return first.window;
  }

  /** Forgets windows that are gone when they are more than those that are `open`. */
  sweep(open: number): void {
    if (this.#heap.length <= 2 * open + GONE_SLACK) return;
    this.#heap = this.#heap.filter(({ window }) => !window.gone);
    for (let at = this.#heap.length >>> 1; at >= 0; at--) this.#sink(at);
  }

  #rise(from: number): void {
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (this.#moment(parent) <= this.#moment(at)) return;
      this.#swap(parent, at);
      at = parent;
    }
  }

  #sink(from: number): void {
    let at = from;
    for (;;) {
      const left = 2 * at + 1;
      const child = this.#moment(left + 1) < this.#moment(left) ? left + 1 : left;
      if (this.#moment(child) >= this.#moment(at)) return;
      this.#swap(child, at);
      at = child;
    }
  }

  /** Behind the end nothing is ever due. */
  #moment(at: number): number {
    return this.#heap[at]?.moment ?? Number.POSITIVE_INFINITY;
  }

  #swap(one: number, other: number): void {
    const entry = must(this.#heap[one], 'the entry is there');
    this.#heap[one] = must(this.#heap[other], 'the entry is there');
    this.#heap[other] = entry;
  }
}
