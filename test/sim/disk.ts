/**
 * The simulated disk: the store in memory with a speed, and with a copy of the log beside it for the checker.
 *
 * A write becomes durable some time after it was asked for, and its process is told then, or when it wakes. A crash
 * before that loses the write, or keeps it though nobody was told; so does a write that fails. How a disk is spoilt for
 * good is in damage.ts.
 *
 * Invariants: the copy holds what the process was told is durable, no more, until the next open reads the truth · what a
 * life begins with is what the disk was given, cell by cell, or else the store refuses to open.
 */
import type { Prng } from '../../src/base/prng.ts';
import type { LogIndex } from '../../src/base/types.ts';
import type { Entry, HardState, SnapshotMeta } from '../../src/raft/types.ts';
import { type Leftover, MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import type { Store, StoreBatch, StoreContents } from '../../src/store/types.ts';
import { believeCells, type Damage, damageCells, misdirect } from './damage.ts';
import type { Process } from './process.ts';
import type { Scheduler } from './scheduler.ts';
import { expectThat } from './violation.ts';

export interface DiskSpeed {
  readonly writeMsMin: number;
  readonly writeMsMax: number;
  /** Probability that one write takes up to `stallMsMax`. */
  readonly stall: number;
  readonly stallMsMax: number;
}

export const FAIR_DISK: DiskSpeed = { writeMsMin: 0.2, writeMsMax: 0.8, stall: 0, stallMsMax: 0 };

/** Of the writes that a power cut meets, so many leave bytes that recovery cannot read. */
const TORN_CHANCE = 0.4;

/** What a disk is known to hold. */
export class DurableLog {
  hardState: HardState | null = null;
  snapshot: SnapshotMeta | null = null;
  /** Contiguous, ascending. */
  entries: Entry[] = [];

  get lastIndex(): LogIndex {
    return this.entries.at(-1)?.index ?? this.snapshot?.index ?? 0;
  }

  entry(index: LogIndex): Entry | undefined {
    const first = this.entries[0];
    return first === undefined ? undefined : this.entries[index - first.index];
  }

  /** Whether the disk holds this entry, or a snapshot that covers it. */
  holds(index: LogIndex): boolean {
    return (this.snapshot !== null && this.snapshot.index >= index) || this.entry(index) !== undefined;
  }

  take(batch: StoreBatch): void {
    if (batch.hardState) this.hardState = batch.hardState;
    if (batch.snapshot) {
      this.snapshot = batch.snapshot.meta;
      if (batch.resetLog === true) this.entries = [];
    }
    const first = batch.entries?.[0];
    if (batch.entries !== undefined && first !== undefined) {
      const start = this.entries[0]?.index ?? first.index;
      this.entries.length = Math.max(0, first.index - start);
      for (const entry of batch.entries) this.entries.push(entry);
    }
    const { keepFrom } = batch;
    const oldest = this.entries[0]?.index;
    if (keepFrom !== undefined && oldest !== undefined && keepFrom > oldest) this.entries.splice(0, keepFrom - oldest);
  }

  /** The first thing in which two logs differ, or null. */
  difference(other: DurableLog): string | null {
    if (JSON.stringify(this.hardState) !== JSON.stringify(other.hardState)) {
      return `HardState ${JSON.stringify(this.hardState)} is ${JSON.stringify(other.hardState)}`;
    }
    if (this.snapshot?.index !== other.snapshot?.index || this.snapshot?.term !== other.snapshot?.term) {
      return `the snapshot of ${this.snapshot?.index} is one of ${other.snapshot?.index}`;
    }
    if (this.lastIndex !== other.lastIndex) return `the last entry ${this.lastIndex} is ${other.lastIndex}`;
    if (this.entries[0]?.index !== other.entries[0]?.index) return `the first entry is ${other.entries[0]?.index}`;
    const changed = this.entries.find((entry, at) => {
      const record = other.entries[at]?.record;
      return record === undefined || Buffer.compare(entry.record, record) !== 0;
    });
    return changed === undefined ? null : `entry ${changed.index} has other bytes`;
  }

  static of(contents: StoreContents): DurableLog {
    const log = new DurableLog();
    log.hardState = contents.hardState;
    log.snapshot = contents.snapshot?.meta ?? null;
    log.entries = [...contents.entries];
    return log;
  }
}

export interface SimDiskOptions {
  readonly scheduler: Scheduler;
  readonly prng: Prng;
  readonly speed: DiskSpeed;
  /** True puts back a bug: the process is told at once, and the write takes place later. */
  readonly acknowledgesEarly: boolean;
  /** True puts back a bug: no checksum is looked at when the log is opened. */
  readonly ignoresChecksums: boolean;
  /** True puts back a bug: the log is not held against its mark. */
  readonly ignoresMark: boolean;
  /** A write failed, and it was made all the same, or not. */
  readonly failed: (batch: 'lost' | 'kept') => void;
  /** A batch became durable, and its process is about to hear of it. */
  readonly durable: (process: Process, batch: StoreBatch, log: DurableLog) => void;
}

/** What was under way when a process died, and what became of it. */
export interface CrashedWrite {
  readonly batch: StoreBatch;
  readonly leftover: Leftover;
}

/** A write that a process waits for. */
interface OpenWrite {
  readonly batch: StoreBatch;
  readonly startedAt: number;
}

export class SimDisk {
  readonly #options: SimDiskOptions;
  #disk = new MemoryDisk();
  speed: DiskSpeed;
  #log = new DurableLog();
  /** Batches that the disk holds though nobody was told. */
  #unheard: StoreBatch[] = [];
  #write: OpenWrite | null = null;
  #failure: 'lost' | 'kept' | null = null;
  /** Nothing lands before. */
  #stalledUntil = 0;
  #slowness = 1;
  #misdirectsNext = false;
  #onWrite: ((batch: StoreBatch) => void) | null = null;

  constructor(options: SimDiskOptions) {
    this.#options = options;
    this.speed = options.speed;
  }

  get log(): DurableLog {
    return this.#log;
  }

  /** When the write that its process waits for was begun, or null. */
  get writingSince(): number | null {
    return this.#write?.startedAt ?? null;
  }

  get full(): boolean {
    return this.#disk.full;
  }

  /**
   * For the life of a process that begins now.
   *
   * @throws PolarisError LOG_DAMAGED, or DISK_FAILED when it is full.
   */
  open(process: Process): { store: Store; contents: StoreContents } {
    const { scheduler, prng, ignoresChecksums, ignoresMark } = this.#options;
    if (ignoresChecksums) believeCells(this.#disk);
    if (ignoresMark) this.#disk.mark = null;
    const { store, contents } = openMemoryStore(this.#disk, {
      prng: prng.fork(),
      schedule: (run) => scheduler.at(this.#landsAt(), () => process.turn('input', run)),
    });
    for (const batch of this.#unheard.splice(0)) this.#log.take(batch);
    const read = DurableLog.of(contents);
    const difference = this.#log.difference(read);
    this.#log = read;
    expectThat(difference === null, () => `a damaged log was believed: ${process.id} starts, and ${difference}`);
    return { store: this.#observed(process, store), contents };
  }

  /**
   * A kill, or a power cut that takes the page cache too. What is on its way is lost, or kept though nobody was told, or,
   * if `mayTear` and the power is cut, torn in a way that shows.
   */
  crash(mayTear: () => boolean): CrashedWrite | null {
    const { prng } = this.#options;
    const write = this.#write;
    const powerCut = prng.chance(0.5);
    let leftover: Leftover = prng.chance(0.5) ? 'lost' : 'kept';
    if (write !== null && powerCut && prng.chance(TORN_CHANCE) && mayTear()) leftover = 'torn';
    this.#disk.crash(leftover, powerCut ? 'lost' : 'kept');
    this.#write = null;
    if (write === null) return null;
    if (leftover === 'kept') this.#unheard.push(write.batch);
    return { batch: write.batch, leftover };
  }

  /** A new disk in the place of the old one. */
  wipe(): void {
    this.#disk = new MemoryDisk();
    this.#log = new DurableLog();
    this.#unheard = [];
  }

  /** EIO: the next write fails, and it cannot be known whether it took place. */
  failNextWrite(): void {
    this.#failure = this.#options.prng.chance(0.5) ? 'lost' : 'kept';
    this.#disk.failNextWrite(this.#failure);
  }

  /** ENOSPC: no write succeeds and no start, until there is room again. */
  fill(): void {
    this.#disk.full = true;
  }

  /** Nothing lands for so long: what is asked for meanwhile waits. */
  stall(ms: number): void {
    this.#stalledUntil = Math.max(this.#stalledUntil, this.#options.scheduler.now + ms);
  }

  /** A neighbour takes most of the disk's time. */
  slow(times: number): void {
    this.#slowness = times;
  }

  /** Tells of each write at its beginning, until it is given null. */
  watch(onWrite: ((batch: StoreBatch) => void) | null): void {
    this.#onWrite = onWrite;
  }

  /** Bytes at rest change. False when there is nothing on the disk to which this could be done and be found out. */
  damage(kind: Damage): boolean {
    // A tail that a snapshot covers is no loss, and no start would miss it.
    if (kind === 'cut-tail' && (this.#log.snapshot?.index ?? 0) >= this.#log.lastIndex) return false;
    if (kind !== 'misdirected') return damageCells(this.#disk, kind, this.#options.prng);
    this.#misdirectsNext = true;
    return true;
  }

  /** Someone makes room. */
  free(): void {
    this.#disk.full = false;
  }

  /** As new again, but for what was damaged. */
  mend(): void {
    this.free();
    this.#disk.takeFailure();
    this.#failure = null;
    this.#misdirectsNext = false;
    this.#stalledUntil = 0;
    this.#slowness = 1;
    this.#onWrite = null;
    this.speed = { ...this.speed, stall: 0 };
  }

  #landsAt(): number {
    return Math.max(this.#options.scheduler.now + this.#writeMs(), this.#stalledUntil);
  }

  #writeMs(): number {
    const { writeMsMin, writeMsMax, stall, stallMsMax } = this.speed;
    const { prng } = this.#options;
    // A hiccup is no longer on a slow disk: a write that is under way when all faults end must land soon.
    const base = (writeMsMin + prng.next() * (writeMsMax - writeMsMin)) * this.#slowness;
    return stall > 0 && prng.chance(stall) ? base + prng.next() * stallMsMax : base;
  }

  #observed(process: Process, store: Store): Store {
    if (this.#options.acknowledgesEarly) return this.#hasty(process, store);
    return {
      write: (batch, done) => {
        this.#begin(store, batch, (error) => {
          if (error === null) this.#options.durable(process, batch, this.#log);
          done(error);
        });
      },
      close: () => store.close(),
    };
  }

  #begin(store: Store, batch: StoreBatch, done: (error: Error | null) => void): void {
    this.#write = { batch, startedAt: this.#options.scheduler.now };
    this.#onWrite?.(batch);
    const stray = this.#misdirectsNext ? misdirect(this.#disk, batch) : null;
    store.write(batch, (error) => {
      this.#write = null;
      if (error === null) {
        this.#log.take(batch);
        if (stray !== null) {
          stray();
          this.#misdirectsNext = false;
        }
      } else if (!this.#disk.full) {
        if (this.#failure === 'kept') this.#unheard.push(batch);
        if (this.#failure !== null) this.#options.failed(this.#failure);
        this.#failure = null;
      }
      done(error);
    });
  }

  /** Tells the process at once; writes that come meanwhile wait for their turn. */
  #hasty(process: Process, store: Store): Store {
    const waiting: StoreBatch[] = [];
    const writeNext = (): void => {
      const batch = waiting[0];
      if (batch === undefined) return;
      this.#begin(store, batch, () => {
        waiting.shift();
        writeNext();
      });
    };
    return {
      write: (batch, done) => {
        waiting.push(batch);
        if (waiting.length === 1) writeNext();
        this.#options.scheduler.after(0, () => process.turn('input', () => done(null)));
      },
      close: () => store.close(),
    };
  }
}
