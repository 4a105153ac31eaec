/**
 * Progress: what the leader knows of one member, voter or learner, and how fast it may send to it.
 *
 *   probe      where the logs part is unknown: one append at a time, until one is accepted
 *   replicate  the logs match at `match`: appends go out one behind the other, within the window
 *   snapshot   what it needs is compacted away: one snapshot is under way, and nothing else
 *
 *   probe --accepted--> replicate --refused--> probe --compacted--> snapshot --accepted or lost--> probe
 *
 * Nothing is resent because of time alone: only a follower that was heard since the last beat is tried again, so a dead
 * one costs no bandwidth.
 *
 * Invariants: match < next · match never falls · in `probe` at most one append, in `snapshot` none, is under way.
 */
import { assert } from '../base/assert.ts';
import { SNAPSHOT_LOST_TICKS } from '../base/limits.ts';
import type { LogIndex, NodeId } from '../base/types.ts';
import type { MemberProgress } from './types.ts';

/** Appends under way: last index and bytes of each, oldest first. */
class Window {
  readonly #messagesMax: number;
  readonly #bytesMax: number;
  readonly #lastIndexes: LogIndex[] = [];
  readonly #sizes: number[] = [];
  #bytes = 0;

  constructor(messagesMax: number, bytesMax: number) {
    this.#messagesMax = messagesMax;
    this.#bytesMax = bytesMax;
  }

  get isFull(): boolean {
    return this.#sizes.length >= this.#messagesMax || this.#bytes >= this.#bytesMax;
  }

  get isEmpty(): boolean {
    return this.#sizes.length === 0;
  }

  add(lastIndex: LogIndex, bytes: number): void {
    this.#lastIndexes.push(lastIndex);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
  }

  /** An answer covers every append that ends at or before its index. */
  release(index: LogIndex): void {
    let count = 0;
    while (count < this.#lastIndexes.length && this.#lastIndexes[count]! <= index) this.#bytes -= this.#sizes[count++]!;
    this.#lastIndexes.splice(0, count);
    this.#sizes.splice(0, count);
  }

  clear(): void {
    this.#lastIndexes.length = 0;
    this.#sizes.length = 0;
    this.#bytes = 0;
  }
}

export interface ProgressOptions {
  readonly id: NodeId;
  readonly next: LogIndex;
  /** Rounds up to this one were sent before it was a member. */
  readonly sinceRound: number;
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
}

export class Progress {
  readonly id: NodeId;
  state: 'probe' | 'replicate' | 'snapshot' = 'probe';
  /** It lost what it had acknowledged: whatever it says from now on, it is neither counted nor served. */
  isRegressed = false;
  /** Highest heartbeat round that it answered in this term. */
  round = 0;
  /** Heard within the running check of the quorum, and within the one before. */
  #active = false;
  #wasActive = false;
  readonly #sinceRound: number;
  #match: LogIndex = 0;
  #next: LogIndex;
  /** What it will have committed once it has all that was sent. */
  #commitSent: LogIndex = 0;
  #snapshotIndex: LogIndex = 0;
  #snapshotTicks = 0;
  #probeSent = false;
  /** An append must go, even an empty one: its refusal would show that earlier ones were lost. */
  #nudge = false;
  #heard = false;
  #matchAtBeat: LogIndex = 0;
  readonly #window: Window;

  constructor(options: ProgressOptions) {
    this.id = options.id;
    this.#next = options.next;
    this.#sinceRound = options.sinceRound;
    this.#window = new Window(options.inflightMessagesMax, options.inflightBytesMax);
  }

  get match(): LogIndex {
    return this.#match;
  }

  get next(): LogIndex {
    return this.#next;
  }

  /** While a snapshot is under way: the index that the follower will go on from. Else null. */
  get snapshotIndex(): LogIndex | null {
    return this.state === 'snapshot' ? this.#snapshotIndex : null;
  }

  get windowIsFull(): boolean {
    return this.state === 'replicate' && this.#window.isFull;
  }

  status(): MemberProgress {
    return {
      match: this.#match,
      next: this.#next,
      state: this.state,
      recentActive: this.#active || this.#wasActive,
      pendingSnapshot: this.snapshotIndex,
      regressed: this.isRegressed,
    };
  }

  wantsAppend(lastIndex: LogIndex, commit: LogIndex): boolean {
    if (this.state === 'snapshot' || this.isRegressed) return false;
    if (this.state === 'probe') return !this.#probeSent;
    if (this.#nudge) return true;
    return !this.#window.isFull && (this.#next <= lastIndex || Math.min(commit, this.#next - 1) > this.#commitSent);
  }

  /** An append with so many entries, from `next` on, goes out. */
  sent(entryCount: number, bytes: number, commit: LogIndex): void {
    this.#nudge = false;
    if (this.state === 'probe') {
      this.#probeSent = true;
      return;
    }
    assert(this.state === 'replicate', 'no append goes to a follower that waits for a snapshot');
    if (entryCount > 0) {
      this.#next += entryCount;
      this.#window.add(this.#next - 1, bytes);
    }
    this.#commitSent = Math.max(this.#commitSent, Math.min(commit, this.#next - 1));
  }

  sentSnapshot(index: LogIndex): void {
    this.#become('snapshot', this.#match + 1);
    this.#snapshotIndex = index;
    this.#snapshotTicks = 0;
  }

  hear(): void {
    this.#active = true;
    this.#heard = true;
  }

  /** An answer to a heartbeat. False when the round was sent to an earlier membership of this id: then it says nothing. */
  answered(round: number): boolean {
    if (round <= this.#sinceRound) return false;
    this.round = Math.max(this.round, round);
    return true;
  }

  /** Whether it was heard since the last call. */
  checkActive(): boolean {
    this.#wasActive = this.#active;
    this.#active = false;
    return this.#wasActive;
  }

  /** The follower's log matches the leader's up to `index`. True when that is news. */
  accepted(index: LogIndex): boolean {
    const isNews = index > this.#match;
    if (isNews) this.#match = index;
    this.#window.release(index);
    if (this.state === 'snapshot' && this.#match < this.#snapshotIndex) return isNews;
    // Old answers prove nothing about the probe under way, but any true match is a place to go on from.
    if (this.state !== 'replicate' && (isNews || index === this.#next - 1)) {
      this.#become('replicate', this.#match + 1);
    }
    this.#next = Math.max(this.#next, this.#match + 1);
    assert(this.#match < this.#next, 'match < next');
    return isNews;
  }

  /** The append after `index` was refused; `hint` is the largest index that may still match. */
  refused(index: LogIndex, hint: LogIndex): void {
    if (this.state === 'snapshot' || index <= this.#match) return;
    // While probing exactly one append is under way: an answer to any other is an old one.
    if (this.state === 'probe' && index !== this.#next - 1) return;
    const next = this.state === 'replicate' ? this.#match + 1 : Math.min(index, hint + 1);
    this.#become('probe', Math.max(next, this.#match + 1));
  }

  /** The snapshot under way is being received: it is slow, and not lost. */
  snapshotMoved(): void {
    this.#snapshotTicks = 0;
  }

  tick(): void {
    if (this.state === 'snapshot') this.#snapshotTicks++;
  }

  /** With each heartbeat: a follower that lives, but makes no headway, is tried again. */
  beat(): void {
    if (!this.#heard) return;
    this.#heard = false;
    if (this.state === 'probe') this.#probeSent = false;
    if (this.state === 'replicate') this.#nudge = !this.#window.isEmpty && this.#match === this.#matchAtBeat;
    // A small probe, not the snapshot again: it may have arrived, and only the answer to it was lost. The refusal of the
    // probe shows that it was not.
    if (this.state === 'snapshot' && this.#snapshotTicks >= SNAPSHOT_LOST_TICKS) {
      this.#become('probe', this.#snapshotIndex + 1);
    }
    this.#matchAtBeat = this.#match;
  }

  #become(state: Progress['state'], next: LogIndex): void {
    assert(next > this.#match, 'match < next');
    this.state = state;
    this.#next = next;
    this.#commitSent = Math.min(this.#commitSent, next - 1);
    this.#probeSent = false;
    this.#nudge = false;
    this.#window.clear();
  }
}
