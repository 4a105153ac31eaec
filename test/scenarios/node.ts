/**
 * Node: one real `Raft` with a disk and a state machine, driven by hand.
 *
 * It does what the daemon's driver does, but only when it is told to: take a turn (`takeTurn`), finish the write in
 * flight (`sync`), apply what was handed out (`apply`). A crash loses everything that is not synced.
 *
 * The state machine keeps the texts of the entries that it applied; a snapshot carries them.
 */
import { must } from '../../src/base/assert.ts';
import { createPrng, type Prng } from '../../src/base/prng.ts';
import type { LogIndex, NodeId } from '../../src/base/types.ts';
import { Raft } from '../../src/raft/raft.ts';
import type { Entry, RaftOptions, Ready, Snapshot, Write } from '../../src/raft/types.ts';
import type { MemoryDisk } from '../raft/network.ts';
import { contentOf } from './payload.ts';

/** Draws as the seed has it, until a scenario fixes the draw; and counts, for a draw is how a timer is seen to run out. */
class ScriptedPrng implements Prng {
  readonly #prng: Prng;
  fixed: number | null = null;
  draws = 0;

  constructor(seed: number) {
    this.#prng = createPrng(seed);
  }

  integer(low: number, high: number): number {
    this.draws++;
    const drawn = this.#prng.integer(low, high);
    return this.fixed ?? drawn;
  }

  next = (): number => this.#prng.next();
  chance = (p: number): boolean => this.#prng.chance(p);
  bytes = (count: number): Uint8Array => this.#prng.bytes(count);
  fork = (): Prng => this.#prng.fork();
}

export interface NodeOptions {
  readonly raft: Omit<RaftOptions, 'prng'>;
  readonly disk: MemoryDisk;
  /** Writes and applies wait for a verb of their own. */
  readonly isAsync: boolean;
  /** Bounds one slice of committed entries. */
  readonly committedBytesMax: number;
}

/** What one turn gave: null where there was nothing. */
export interface Turn {
  readonly write: Write | null;
  readonly ready: Ready | null;
}

export class ScenarioNode {
  readonly id: NodeId;
  readonly disk: MemoryDisk;
  readonly isAsync: boolean;
  readonly #options: NodeOptions;
  readonly #prng: ScriptedPrng;
  raft: Raft;
  isUp = true;
  texts: string[] = [];
  #writing: Write | null = null;
  /** Handed out and not applied, oldest first. */
  #unapplied: Ready[] = [];

  constructor(options: NodeOptions) {
    this.id = options.raft.id;
    this.disk = options.disk;
    this.isAsync = options.isAsync;
    this.#options = options;
    this.#prng = new ScriptedPrng(Number(this.id));
    this.raft = this.#open();
  }

  #open(): Raft {
    const { hardState, snapshot, entries } = this.disk;
    this.texts = textsOf(snapshot);
    return new Raft({ ...this.#options.raft, prng: this.#prng }, { hardState, snapshot, entries });
  }

  crash(): void {
    this.isUp = false;
    this.#writing = null;
    this.#unapplied = [];
  }

  /** From what the disk holds; a disk that lies has lost entries from its end. */
  restart(lostEntries: number): void {
    this.crash();
    if (lostEntries > 0) this.disk.entries = this.disk.entries.slice(0, -lostEntries);
    this.raft = this.#open();
    this.isUp = true;
  }

  /** The timeout of every timer that is set from now on. */
  fixTimeout(ticks: number): void {
    this.#prng.fixed = ticks;
  }

  /** Ticks until the election timer runs out. */
  campaign(ticksMax: number): void {
    const before = this.#prng.draws;
    for (let ticks = 0; ticks < ticksMax && this.#prng.draws === before; ticks++) this.raft.tick();
  }

  // ---- Turns --------------------------------------------------------------------------------------------------------

  /** Null when there was nothing to do. */
  takeTurn(): Turn | null {
    const write = this.raft.takeWrite();
    const ready = this.raft.hasReady() ? this.raft.ready(this.#options.committedBytesMax) : null;
    if (write !== null) this.#writing = write;
    if (ready !== null && (ready.snapshot !== null || ready.committed.length > 0)) this.#unapplied.push(ready);
    return write === null && ready === null ? null : { write, ready };
  }

  get isWriting(): boolean {
    return this.#writing !== null;
  }

  /** The write in flight becomes durable; its messages may leave. */
  sync(): Write {
    const write = must(this.#writing, 'a write was in flight');
    this.#writing = null;
    this.disk.apply(write);
    this.raft.written();
    return write;
  }

  get isApplying(): boolean {
    return this.#unapplied.length > 0;
  }

  /** Applies the oldest slice that was handed out. The entries that it held are returned. */
  apply(): readonly Entry[] {
    const { snapshot, committed } = must(this.#unapplied.shift(), 'something was handed out');
    if (snapshot !== null) {
      this.texts = textsOf(snapshot);
      this.raft.applied(snapshot.meta.index);
    }
    for (const entry of committed) {
      const content = contentOf(entry);
      if (content.kind === 'change') this.raft.applyConfChange(content.change);
      else if (content.text !== '') this.texts.push(content.text);
      this.raft.applied(entry.index);
    }
    return committed;
  }

  // ---- Compaction ---------------------------------------------------------------------------------------------------

  /** Takes a snapshot of all that is applied, and forgets the entries before `keepFrom`. */
  compact(keepFrom: LogIndex): void {
    const { applied, configuration } = this.raft.status();
    const term = must(this.raft.termAt(applied), 'the applied entry is in the log');
    const snapshot = { meta: { index: applied, term, configuration }, data: Buffer.from(this.texts.join('\n')) };
    this.raft.compacted(snapshot, keepFrom);
    // The core may keep more, for a follower that is to go on behind a snapshot under way.
    this.disk.compact(snapshot, this.raft.status().firstIndex);
  }
}

function textsOf(snapshot: Snapshot): string[] {
  const text = Buffer.from(snapshot.data).toString();
  return text === '' ? [] : text.split('\n');
}
