/**
 * The simulated disk: the store in memory with a speed, and with a copy of the log beside it for the checker.
 *
 * A write becomes durable some time after it was asked for, and its process is told then, or when it wakes. A crash
 * before that loses the write, or keeps it though nobody was told; so does a write that fails.
 *
 * Invariant: the copy holds what the process was told is durable, no more, until the next open reads the truth.
 */
import { must } from '../../src/base/assert.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { LogIndex } from '../../src/base/types.ts';
import type { Entry, HardState, SnapshotMeta } from '../../src/raft/types.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import type { Store, StoreBatch, StoreContents } from '../../src/store/types.ts';
import type { Process } from './process.ts';
import type { Scheduler } from './scheduler.ts';

export interface DiskSpeed {
  readonly writeMsMin: number;
  readonly writeMsMax: number;
  /** Probability that one write takes up to `stallMsMax`. */
  readonly stall: number;
  readonly stallMsMax: number;
}

export const FAIR_DISK: DiskSpeed = { writeMsMin: 0.2, writeMsMax: 0.8, stall: 0, stallMsMax: 0 };

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
  /** A batch became durable, and its process is about to hear of it. */
  readonly durable: (process: Process, batch: StoreBatch, log: DurableLog) => void;
}

export class SimDisk {
  readonly #options: SimDiskOptions;
  #disk = new MemoryDisk();
  speed: DiskSpeed;
  #log = new DurableLog();

  constructor(options: SimDiskOptions) {
    this.#options = options;
    this.speed = options.speed;
  }

  get log(): DurableLog {
    return this.#log;
  }

  /** For the life of a process that begins now. */
  open(process: Process): { store: Store; contents: StoreContents } {
    const { scheduler, prng } = this.#options;
    const { store, contents } = openMemoryStore(this.#disk, {
      prng: prng.fork(),
      schedule: (run) => scheduler.after(this.#writeMs(), () => process.turn('input', run)),
    });
    this.#log = DurableLog.of(contents);
    return { store: this.#observed(process, store), contents };
  }

  /** A power cut or a kill: what is on its way is lost, or kept though nobody was told. */
  crash(): void {
    this.#disk.crash(this.#options.prng.chance(0.5) ? 'lost' : 'kept');
  }

  /** A new disk in the place of the old one. */
  wipe(): void {
    this.#disk = new MemoryDisk();
    this.#log = new DurableLog();
  }

  /** The next write fails, and it cannot be known whether it took place. */
  failNextWrite(): void {
    this.#disk.failNextWrite(this.#options.prng.chance(0.5) ? 'lost' : 'kept');
  }

  #writeMs(): number {
    const { writeMsMin, writeMsMax, stall, stallMsMax } = this.speed;
    const { prng } = this.#options;
    const base = writeMsMin + prng.next() * (writeMsMax - writeMsMin);
    return stall > 0 && prng.chance(stall) ? base + prng.next() * stallMsMax : base;
  }

  #observed(process: Process, store: Store): Store {
    if (this.#options.acknowledgesEarly) return this.#hasty(process, store);
    return {
      write: (batch, done) => {
        store.write(batch, (error) => {
          if (error === null) {
            this.#log.take(batch);
            this.#options.durable(process, batch, must(this.#log, 'a disk has a log'));
          }
          done(error);
        });
      },
      close: () => store.close(),
    };
  }

  /** Tells the process at once; writes that come meanwhile wait for their turn. */
  #hasty(process: Process, store: Store): Store {
    const waiting: StoreBatch[] = [];
    const writeNext = (): void => {
      const batch = waiting[0];
      if (batch === undefined) return;
      store.write(batch, () => {
        waiting.shift();
        this.#log.take(batch);
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
