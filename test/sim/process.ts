/**
 * Process: one life of a node, as its operating system sees it. Everything that reaches the node comes as a turn through
 * here: timers, messages, answers of the disk and of the job hosts.
 *
 * A paused process gets no turns. What comes meanwhile queues up, bounded, and arrives all at once when it wakes: its
 * timers first, or its input first, as the lot falls, for a real event loop may be stopped at either place.
 *
 * Invariants: a dead process never gets a turn again · turns of one process never nest.
 */
import { assert } from '../../src/base/assert.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { NodeId } from '../../src/base/types.ts';
import type { Clock, Timers } from '../../src/daemon/env.ts';
import type { Scheduler } from './scheduler.ts';

/** What a socket and its kernel hold for a process that does not read. */
const BACKLOG_TURNS_MAX = 20_000;

export type TurnKind = 'timer' | 'input' | 'soon';

/** A machine: its clocks are shared by all processes on it. */
export class Host {
  readonly name: string;
  /** Local milliseconds at virtual time 0: machines booted at different times. */
  readonly offsetMs: number;
  /** Local milliseconds in a virtual one: crystals differ. */
  readonly rate: number;
  wallOffsetMs: number;

  constructor(options: { name: string; offsetMs: number; rate: number; wallOffsetMs: number }) {
    this.name = options.name;
    this.offsetMs = options.offsetMs;
    this.rate = options.rate;
    this.wallOffsetMs = options.wallOffsetMs;
  }

  local(virtualMs: number): number {
    return this.offsetMs + virtualMs * this.rate;
  }

  virtual(localMs: number): number {
    return (localMs - this.offsetMs) / this.rate;
  }
}

export interface ProcessHooks {
  /** A turn is over. */
  readonly turned: (process: Process, kind: TurnKind) => void;
  /** A turn threw: a real process would have ended with a stack trace. */
  readonly threw: (process: Process, error: unknown) => void;
}

export interface ProcessOptions {
  readonly id: NodeId;
  readonly life: number;
  readonly host: Host;
  readonly scheduler: Scheduler;
  readonly prng: Prng;
  readonly hooks: ProcessHooks;
}

export const WALL_EPOCH_MS = 1_700_000_000_000;

export class Process {
  readonly id: NodeId;
  /** Counts the lives of this node, from 1. */
  readonly life: number;
  readonly host: Host;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly #scheduler: Scheduler;
  readonly #prng: Prng;
  readonly #hooks: ProcessHooks;
  #alive = true;
  #paused = false;
  #awakeSince: number;
  #turning = false;
  #backlog: { readonly kind: TurnKind; readonly run: () => void }[] = [];

  constructor(options: ProcessOptions) {
    this.id = options.id;
    this.life = options.life;
    this.host = options.host;
    this.#scheduler = options.scheduler;
    this.#prng = options.prng;
    this.#hooks = options.hooks;
    this.#awakeSince = options.scheduler.now;
    const { host, scheduler } = options;
    this.clock = {
      now: () => host.local(scheduler.now),
      wall: () => WALL_EPOCH_MS + host.local(scheduler.now) - host.offsetMs + host.wallOffsetMs,
    };
    this.timers = {
      after: (delayMs, run) => this.#after(delayMs, run),
      soon: (run) => {
        scheduler.late(() => this.turn('soon', run));
      },
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** Virtual time of its start, or of its last waking. */
  get awakeSince(): number {
    return this.#awakeSince;
  }

  /** Gives the process a turn now, or when it wakes; none when it is dead. */
  turn(kind: TurnKind, run: () => void): void {
    if (!this.#alive) return;
    if (this.#paused) {
      if (this.#backlog.length < BACKLOG_TURNS_MAX) this.#backlog.push({ kind, run });
      return;
    }
    assert(!this.#turning, 'turns of one process do not nest');
    this.#turning = true;
    try {
      run();
    } catch (error) {
      if (this.#alive) this.#hooks.threw(this, error);
    } finally {
      this.#turning = false;
    }
    if (this.#alive) this.#hooks.turned(this, kind);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#awakeSince = this.#scheduler.now;
    const waiting = this.#backlog;
    this.#backlog = [];
    const order: TurnKind[] = this.#prng.chance(0.5) ? ['timer', 'input'] : ['input', 'timer'];
    for (const kind of order) {
      for (const one of waiting) {
        if (one.kind === kind) this.#scheduler.after(0, () => this.turn(kind, one.run));
      }
    }
    for (const one of waiting) {
      if (one.kind === 'soon') this.#scheduler.late(() => this.turn('soon', one.run));
    }
  }

  end(): void {
    this.#alive = false;
    this.#backlog = [];
  }

  #after(delayMs: number, run: () => void): { cancel(): void } {
    let cancelled = false;
    const event = this.#scheduler.after(Math.max(0, delayMs) / this.host.rate, () => {
      this.turn('timer', () => {
        if (!cancelled) run();
      });
    });
    return {
      cancel() {
        cancelled = true;
        event.cancel();
      },
    };
  }
}
