/**
 * Scheduler: virtual time. One heap of events, ordered by time, then by phase, then by the order in which they were made.
 *
 * Nothing waits for anything: time jumps to the next event, so that a minute of a cluster's life costs as long as its
 * turns do. Equal calls give equal orders, which is what makes a seed replay.
 *
 * Invariants: time never goes back · an event runs at most once · events of phase "late" run after all others that are
 * due at the same instant, whenever those were made.
 */
import { assert, must } from '../../src/base/assert.ts';

export interface SimEvent {
  cancel(): void;
}

interface Scheduled extends SimEvent {
  readonly time: number;
  readonly phase: 0 | 1;
  readonly sequence: number;
  run: (() => void) | null;
}

function before(a: Scheduled, b: Scheduled): boolean {
  if (a.time !== b.time) return a.time < b.time;
  if (a.phase !== b.phase) return a.phase < b.phase;
  return a.sequence < b.sequence;
}

export class Scheduler {
  readonly #heap: Scheduled[] = [];
  #now = 0;
  #sequence = 0;
  #eventCount = 0;

  /** Virtual milliseconds since the start of the world. */
  get now(): number {
    return this.#now;
  }

  /** Events that ran. */
  get eventCount(): number {
    return this.#eventCount;
  }

  at(time: number, run: () => void): SimEvent {
    return this.#push(Math.max(time, this.#now), 0, run);
  }

  after(delayMs: number, run: () => void): SimEvent {
    return this.at(this.#now + delayMs, run);
  }

  /** At this instant, behind everything else that is due at it. */
  late(run: () => void): SimEvent {
    return this.#push(this.#now, 1, run);
  }

  /** Runs the next event; false when there is none. */
  step(): boolean {
    for (;;) {
      const event = this.#pop();
      if (event === null) return false;
      const { run } = event;
      if (run === null) continue;
      assert(event.time >= this.#now, 'virtual time does not go back');
      this.#now = event.time;
      this.#eventCount += 1;
      event.run = null;
      run();
      return true;
    }
  }

  /** The time of the next event, or null. */
  get nextTime(): number | null {
    while (this.#heap.length > 0 && must(this.#heap[0], 'the heap has a first event').run === null) this.#pop();
    return this.#heap[0]?.time ?? null;
  }

  /** Time passes though nothing happens. */
  advance(time: number): void {
    const next = this.nextTime;
    assert(next === null || next >= time, 'no event is jumped over');
    this.#now = Math.max(this.#now, time);
  }

  #push(time: number, phase: 0 | 1, run: () => void): SimEvent {
    this.#sequence += 1;
    const event: Scheduled = {
      time,
      phase,
      sequence: this.#sequence,
      run,
      cancel() {
        event.run = null;
      },
    };
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Scheduled;
      if (!before(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
    return event;
  }

  #pop(): Scheduled | null {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined) return null;
    if (heap.length === 0) return top;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Scheduled, heap[child] as Scheduled)) child += 1;
      if (!before(heap[child] as Scheduled, last)) break;
      heap[at] = heap[child] as Scheduled;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}
