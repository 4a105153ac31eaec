/**
 * Log: the entries behind a snapshot, and four marks that walk along them.
 *
 * Think of a conveyor belt in a sorting office. Parcels are put on at the right end (`lastIndex`), weighed (`persisted`),
 * released by head office (`commit`), handed to a courier (`handedOut`) and signed for (`applied`); at the left end the
 * belt is rolled up behind a receipt for all that went before (the snapshot). A parcel may be taken off again only before
 * it is released, and a parcel that takes its place must be weighed anew, even when it looks the same.
 *
 * Invariants: entries are contiguous and their terms never fall · base <= snapshot <= last · commit never falls, and
 * nothing at or below it is ever truncated · applied <= handedOut <= commit <= last · handedOut <= persisted, but while a
 * received snapshot is not yet durable: then nothing counts as persisted.
 */
import { assert, must } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import type { LogIndex, Term } from '../base/types.ts';
import type { Entry, RaftInitial, Snapshot } from './types.ts';

/** What a write of the log carries. */
export interface LogWrite {
  readonly entries: readonly Entry[];
  readonly snapshot: Snapshot | null;
}

export class RaftLog {
  /** `entries[0]` stands at `baseIndex + 1`. */
  #entries: Entry[];
  /** The last entry that is no longer here: its term still answers the consistency check. */
  #baseIndex: LogIndex;
  #baseTerm: Term;
  #snapshot: Snapshot;
  #commit: LogIndex;
  #handedOut: LogIndex;
  #applied: LogIndex;
  /** Everything up to here, as it is in memory now, is on disk. */
  #persisted: LogIndex;
  /** Last index that was put into a write. */
  #taken: LogIndex;
  /** The write in flight. Truncation lowers `through`, and so an entry that came back is not taken for the one written. */
  #writing: { through: LogIndex; snapshot: Snapshot | null } | null = null;
  /** A received snapshot that is in no write yet. */
  #unsaved: Snapshot | null = null;
  /** A received snapshot that is durable and not yet handed to the state machine. */
  #installed: Snapshot | null = null;

  /** @throws PolarisError LOG_DAMAGED when the disk held what no run of this code can have left there. */
  constructor(initial: RaftInitial) {
    const { meta } = initial.snapshot;
    checkContiguous(initial);
    const first = initial.entries[0];
    const reaches = first !== undefined && initial.entries.at(-1)!.index >= meta.index;
    if (first === undefined || !reaches || first.index > meta.index) {
      this.#baseIndex = meta.index;
      this.#baseTerm = meta.term;
      this.#entries = reaches ? [...initial.entries] : [];
    } else {
      // Entries kept behind the snapshot: the first one only lends its term to the check of its successor.
      this.#baseIndex = first.index;
      this.#baseTerm = first.term;
      this.#entries = initial.entries.slice(1);
    }
    this.#snapshot = initial.snapshot;
    if (this.termAt(meta.index) !== meta.term) damaged(`the log does not hold the snapshot's entry ${meta.index}`);
    this.#persisted = this.lastIndex;
    this.#taken = this.lastIndex;
    this.#commit = Math.max(meta.index, Math.min(initial.hardState.commit, this.lastIndex));
    this.#handedOut = meta.index;
    this.#applied = meta.index;
  }

  get firstIndex(): LogIndex {
    return this.#baseIndex + 1;
  }

  get lastIndex(): LogIndex {
    return this.#baseIndex + this.#entries.length;
  }

  get lastTerm(): Term {
    return this.#entries.at(-1)?.term ?? this.#baseTerm;
  }

  get snapshot(): Snapshot {
    return this.#snapshot;
  }

  get commit(): LogIndex {
    return this.#commit;
  }

  get applied(): LogIndex {
    return this.#applied;
  }

  get handedOut(): LogIndex {
    return this.#handedOut;
  }

  get persisted(): LogIndex {
    return this.#persisted;
  }

  /** Null for an entry that is compacted away or does not exist yet. */
  termAt(index: LogIndex): Term | null {
    if (index === this.#baseIndex) return this.#baseTerm;
    return this.#entries[index - this.#baseIndex - 1]?.term ?? null;
  }

  matches(index: LogIndex, term: Term): boolean {
    return this.termAt(index) === term;
  }

  /**
   * The largest index, at or below the given one, whose term is not above the given term. Terms never fall along the
   * log, so it is found by bisection. Below the base nothing is known, and the index itself is the answer.
   */
  lastNotAbove(index: LogIndex, term: Term): LogIndex {
    let high = Math.min(index, this.lastIndex);
    let low = this.#baseIndex - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (must(this.termAt(middle), 'an index between base and last has a term') <= term) low = middle;
      else high = middle - 1;
    }
    return high;
  }

  /** Entries in [from, to], as many as fit into `bytesMax`, but at least one where there is one. */
  slice(from: LogIndex, to: LogIndex, bytesMax: number): Entry[] {
    assert(from > this.#baseIndex && to <= this.lastIndex, 'only entries that are in the log are read from it');
    let end = from;
    let bytes = 0;
    while (end <= to) {
      bytes += this.#entries[end - this.#baseIndex - 1]!.record.length;
      if (bytes > bytesMax && end > from) break;
      end++;
    }
    return this.#entries.slice(from - this.#baseIndex - 1, end - this.#baseIndex - 1);
  }

  /** Bytes of the records in [from, to]. */
  bytesBetween(from: LogIndex, to: LogIndex): number {
    let bytes = 0;
    for (let index = from; index <= to; index++) bytes += this.#entries[index - this.#baseIndex - 1]!.record.length;
    return bytes;
  }

  /** The leader's way to add an entry: it only ever appends. */
  append(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, 'the log is contiguous');
    assert(entry.term >= this.lastTerm, 'terms never fall along the log');
    this.#entries.push(entry);
  }

  /**
   * The follower's way: `entries` follow an entry known to match. Those that are here already stay, with all that
   * follows them; only a true conflict cuts the log (Raft §5.3). An append that comes late therefore removes nothing.
   */
  merge(entries: readonly Entry[]): void {
    for (const [position, entry] of entries.entries()) {
      if (this.matches(entry.index, entry.term)) continue;
      if (entry.index <= this.lastIndex) this.#truncate(entry.index);
      for (const added of entries.slice(position)) this.append(added);
      return;
    }
  }

  #truncate(from: LogIndex): void {
    assert(from > this.#commit, 'a committed entry is never truncated');
    assert(from > this.#baseIndex, 'a compacted entry is never truncated');
    this.#entries.length = from - this.#baseIndex - 1;
    this.#persisted = Math.min(this.#persisted, from - 1);
    this.#taken = Math.min(this.#taken, from - 1);
    if (this.#writing !== null) this.#writing.through = Math.min(this.#writing.through, from - 1);
  }

  commitTo(index: LogIndex): void {
    if (index <= this.#commit) return;
    assert(index <= this.lastIndex, 'only what is in the log is committed');
    this.#commit = index;
  }

  /** A snapshot from the leader takes the place of the whole log, in memory now and on disk with the next write. */
  restore(snapshot: Snapshot): void {
    const { index, term } = snapshot.meta;
    assert(index > this.#commit, 'a snapshot never takes the commit index back');
    this.#entries = [];
    this.#baseIndex = index;
    this.#baseTerm = term;
    this.#snapshot = snapshot;
    this.#commit = index;
    this.#persisted = 0;
    this.#taken = index;
    if (this.#writing !== null) this.#writing = { through: 0, snapshot: null };
    this.#unsaved = snapshot;
    this.#installed = null;
  }

  /** Forgets entries below `keepFrom`, all of them covered by a durable snapshot of the state machine. */
  compact(snapshot: Snapshot, keepFrom: LogIndex): void {
    const { index, term } = snapshot.meta;
    // One of our own that was under way while a newer one came from the leader.
    if (index < this.#snapshot.meta.index) return;
    assert(index <= this.#applied, 'a snapshot holds only what is applied');
    assert(this.matches(index, term), 'a snapshot stands on an entry of the log');
    assert(keepFrom <= index + 1, 'nothing is forgotten that no snapshot holds');
    this.#snapshot = snapshot;
    if (keepFrom <= this.firstIndex) return;
    const baseTerm = must(this.termAt(keepFrom - 1), 'the new base is in the log');
    this.#entries = this.#entries.slice(keepFrom - 1 - this.#baseIndex);
    this.#baseIndex = keepFrom - 1;
    this.#baseTerm = baseTerm;
  }

  get hasUnsaved(): boolean {
    return this.#unsaved !== null || this.#taken < this.lastIndex;
  }

  /** What is not on disk and not on its way there. One write at a time. */
  takeWrite(): LogWrite {
    assert(this.#writing === null, 'one write is in flight at a time');
    const entries = this.#entries.slice(this.#taken - this.#baseIndex);
    const snapshot = this.#unsaved;
    this.#taken = this.lastIndex;
    this.#unsaved = null;
    this.#writing = { through: this.lastIndex, snapshot };
    return { entries, snapshot };
  }

  written(): void {
    const { through, snapshot } = must(this.#writing, 'a write was in flight');
    this.#writing = null;
    this.#persisted = Math.max(this.#persisted, through);
    assert(this.#persisted <= this.lastIndex, 'only what is in the log counts as persisted');
    if (snapshot !== null) this.#installed = snapshot;
  }

  get hasCommitted(): boolean {
    return this.#installed !== null || Math.min(this.#commit, this.#persisted) > this.#handedOut;
  }

  /** What the state machine may take now: committed, and on our own disk, so that a restart cannot know less of it. */
  takeCommitted(bytesMax: number): { readonly snapshot: Snapshot | null; readonly committed: readonly Entry[] } {
    const snapshot = this.#installed;
    this.#installed = null;
    if (snapshot !== null) this.#handedOut = snapshot.meta.index;
    const to = Math.min(this.#commit, this.#persisted);
    if (to <= this.#handedOut) return { snapshot, committed: [] };
    const committed = this.slice(this.#handedOut + 1, to, bytesMax);
    this.#handedOut += committed.length;
    return { snapshot, committed };
  }

  appliedTo(index: LogIndex): void {
    assert(index >= this.#applied, 'the applied index never falls');
    assert(index <= this.#handedOut, 'only what was handed out is applied');
    assert(index <= this.#commit, 'only what is committed is applied');
    this.#applied = index;
  }
}

function checkContiguous(initial: RaftInitial): void {
  let previous: Entry | null = null;
  for (const entry of initial.entries) {
    if (previous !== null && entry.index !== previous.index + 1) damaged(`a gap before entry ${entry.index}`);
    if (previous !== null && entry.term < previous.term) damaged(`the term falls at entry ${entry.index}`);
    previous = entry;
  }
  const first = initial.entries[0];
  if (first !== undefined && first.index > initial.snapshot.meta.index + 1) {
    damaged(`a gap between snapshot ${initial.snapshot.meta.index} and entry ${first.index}`);
  }
}

function damaged(what: string): never {
  throw new PolarisError('LOG_DAMAGED', what);
}
