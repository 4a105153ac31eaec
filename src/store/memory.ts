/**
 * The store in memory: the twin of level.ts for tests and for the simulator, with the same cells, plans and checks.
 *
 * A `MemoryDisk` outlives the process that writes to it. `schedule` decides when a write becomes durable, so that the
 * simulator can give a disk any speed, and crash a node while a write is on its way. Bytes are kept, not objects: what a
 * node reads at its next open went through the same encoding as on a real disk. The mark is written and lost as mark.ts
 * does it: raised after a batch and not synced, lowered and synced before a cut.
 *
 * Invariant: once `crash` returns, no callback of the store that was open ever fires.
 */
import { v4 as uuidv4 } from 'uuid';
import { assert } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import type { Prng } from '../base/prng.ts';
import { damaged, encodeIdentity, IDENTITY_KEY } from './cells.ts';
import { type Mark, readContents } from './contents.ts';
import { boundsOf, type Change, type LogBounds, markOf, planBatch } from './plan.ts';
import type { Store, StoreBatch, StoreContents } from './types.ts';

/** What becomes of a write that nobody was told of: gone, there all the same, or half there so that recovery drops it. */
export type Leftover = 'lost' | 'kept' | 'torn';

export class MemoryDisk {
  /** Readable and writable, so that a test can damage it while no store is open. */
  readonly cells = new Map<string, Uint8Array>();
  mark: Mark | null = null;
  /** No room: every write fails and leaves nothing, and nothing can be opened, until it is false again. */
  full = false;
  /** What LevelDB's LOG says that recovery dropped. Like the note in a damaged directory, it stays. */
  dropped: string | null = null;
  /** What a power cut leaves of the mark. */
  #syncedMark: Mark | null = null;
  #store: MemoryStore | null = null;
  #failure: 'lost' | 'kept' | null = null;

  /**
   * The process is gone. A write on its way is lost, or (as on a real disk) kept though nobody was told, or torn: LevelDB
   * drops a torn batch as a whole, and where bytes of it stand that it cannot read, says so. With the power goes the page
   * cache, and what the mark rose to since it was synced.
   */
  crash(inFlight: Leftover = 'lost', pageCache: 'lost' | 'kept' = 'kept'): void {
    this.#store?.detach(inFlight);
    this.#store = null;
    if (pageCache === 'lost') this.mark = this.#syncedMark;
    this.#syncedMark = this.mark;
  }

  /** The next write fails. Like LevelDB's, the failed batch may be there at the next open all the same ('kept'). */
  failNextWrite(batch: 'lost' | 'kept'): void {
    this.#failure = batch;
  }

  /** Removes the last entries but not their mark, as a disk does that lied about its sync. */
  loseTail(entryCount: number): void {
    const keys = [...this.cells.keys()].filter((key) => key.startsWith('log/')).sort();
    for (const key of keys.slice(Math.max(0, keys.length - entryCount))) this.cells.delete(key);
  }

  /** For `openMemoryStore`. */
  attach(store: MemoryStore): void {
    this.#store = store;
  }

  get attached(): boolean {
    return this.#store !== null;
  }

  /** For the open store: what becomes of the write that is due now. */
  takeFailure(): 'lost' | 'kept' | null {
    const failure = this.#failure;
    this.#failure = null;
    return failure;
  }

  /** For the open store: makes one batch durable, all of it at once. */
  apply(changes: readonly Change[]): void {
    for (const { key, value } of changes) {
      if (value === null) this.cells.delete(key);
      else this.cells.set(key, new Uint8Array(value));
    }
  }

  /** For the open store: the batch is synced, its process not told yet. */
  raiseMark(bounds: LogBounds): void {
    this.mark = markOf(bounds);
  }

  /** For the open store: entries are about to be cut. */
  lowerMark(): void {
    this.mark = this.mark === null ? null : { ...this.mark, index: 0, term: 0 };
    this.#syncedMark = this.mark;
  }
}

export interface MemoryStoreOptions {
  readonly prng: Prng;
  /** Calls `run` in a later turn: the moment at which a write is durable. */
  readonly schedule: (run: () => void) => void;
}

/** @throws PolarisError LOG_DAMAGED, or DATA_DIR_BUSY while another store has the disk open. */
export function openMemoryStore(
  disk: MemoryDisk,
  options: MemoryStoreOptions,
): { readonly store: Store; readonly contents: StoreContents } {
  if (disk.attached) throw new PolarisError('DATA_DIR_BUSY', 'another store has this disk open');
  // LevelDB begins a new log and a new manifest at each open.
  if (disk.full) throw new PolarisError('DISK_FAILED', 'the disk in memory is full');
  if (disk.dropped !== null) throw damaged(disk.dropped);
  // Copies, as a read from a disk gives them: nobody may change the disk by changing what was read.
  const read = () => readContents(sortedCells(disk), disk.mark);
  let contents = read();
  if (contents === null) {
    disk.cells.set(IDENTITY_KEY, encodeIdentity(uuidv4({ random: options.prng.bytes(16) })));
    contents = read();
  }
  assert(contents !== null, 'a disk with an identity is not empty');
  const store = new MemoryStore(disk, boundsOf(contents), options.schedule);
  disk.attach(store);
  return { store, contents };
}

function* sortedCells(disk: MemoryDisk): Generator<readonly [string, Uint8Array]> {
  for (const key of [...disk.cells.keys()].sort()) {
    const value = disk.cells.get(key);
    if (value !== undefined) yield [key, new Uint8Array(value)];
  }
}

interface InFlight {
  readonly changes: readonly Change[];
  readonly bounds: LogBounds;
  readonly done: (error: Error | null) => void;
}

class MemoryStore implements Store {
  readonly #disk: MemoryDisk;
  readonly #schedule: (run: () => void) => void;
  #bounds: LogBounds;
  #inFlight: InFlight | null = null;
  #failed: PolarisError | null = null;
  #state: 'open' | 'closing' | 'closed' = 'open';
  #closed: (() => void)[] = [];

  constructor(disk: MemoryDisk, bounds: LogBounds, schedule: (run: () => void) => void) {
    this.#disk = disk;
    this.#bounds = bounds;
    this.#schedule = schedule;
  }

  write(batch: StoreBatch, done: (error: Error | null) => void): void {
    // A process that crashed in the simulator may still be unwinding its last call.
    if (this.#state === 'closed') return;
    assert(this.#state === 'open', 'a store that is closing is not written to');
    assert(this.#inFlight === null, 'one write is in flight at a time');
    // After a failure nobody knows what the disk holds, so there is nothing to plan from.
    const idle = { changes: [], bounds: this.#bounds, truncates: false };
    const plan = this.#failed === null ? planBatch(this.#bounds, batch) : idle;
    if (plan.truncates) this.#disk.lowerMark();
    const inFlight = { changes: plan.changes, bounds: plan.bounds, done };
    this.#inFlight = inFlight;
    let returned = false;
    this.#schedule(() => {
      assert(returned, 'a write is done in a later turn');
      if (this.#inFlight === inFlight) this.#land(inFlight);
    });
    returned = true;
  }

  /** Detaches from the disk once the write in flight is durable. */
  close(): Promise<void> {
    if (this.#state === 'closed') return Promise.resolve();
    this.#state = 'closing';
    return new Promise((resolve) => {
      this.#closed.push(resolve);
      if (this.#inFlight === null) this.#finishClose();
    });
  }

  /** For the disk: the process is gone. */
  detach(inFlight: Leftover): void {
    if (this.#inFlight !== null && this.#failed === null) {
      if (inFlight === 'kept') this.#disk.apply(this.#inFlight.changes);
      if (inFlight === 'torn') this.#disk.dropped = 'LevelDB says: dropping a batch that was cut; checksum mismatch';
    }
    this.#inFlight = null;
    this.#state = 'closed';
  }

  #land({ changes, bounds, done }: InFlight): void {
    this.#inFlight = null;
    const failure = this.#failed === null && !this.#disk.full ? this.#disk.takeFailure() : 'lost';
    if (failure === null || failure === 'kept') this.#disk.apply(changes);
    if (failure === null) {
      this.#disk.raiseMark(bounds);
      this.#bounds = bounds;
    } else this.#failed ??= new PolarisError('DISK_FAILED', 'a write to the disk in memory failed, as it was told to');
    if (this.#state === 'closing') this.#finishClose();
    done(this.#failed);
  }

  #finishClose(): void {
    this.#state = 'closed';
    this.#disk.crash();
    for (const resolve of this.#closed) resolve();
    this.#closed = [];
  }
}
