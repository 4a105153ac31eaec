/**
 * Disk: what of the term and the vote is durable, which write is under way, and which messages wait for one.
 *
 * Think of a notary: a promise is signed into the book first and spoken second. A message that speaks of a term, a vote
 * or an entry is held until the disk has it. The leader's appends are the exception: they promise nothing about the
 * leader's own disk, and so they overlap with its write (Raft thesis §10.2.1).
 *
 * Invariants: one write at a time · term and vote go into one write, together with the entries of that moment · a held
 * message leaves with a write that holds all it speaks of, or after one.
 */
import { assert, must } from '../base/assert.ts';
import type { LogIndex, NodeId, Term } from '../base/types.ts';
import type { RaftLog } from './log.ts';
import type { HardState, RaftMessage, Write } from './types.ts';

export class Disk {
  readonly #log: RaftLog;
  #saved: HardState;
  /** The state after the write in flight; null while none is. */
  #writing: HardState | null = null;
  /** A snapshot of our own is on its way to the disk, and nothing else can be. */
  #compacting = false;
  #ticks = 0;
  /** The commit index on disk must come at least so far. */
  #commitKept: LogIndex = 0;
  #held: RaftMessage[] = [];
  /** May leave at once. */
  #outgoing: RaftMessage[] = [];

  constructor(log: RaftLog, saved: HardState) {
    this.#log = log;
    this.#saved = saved;
  }

  /** Ticks that the write in flight has taken so far. */
  get writeTicks(): number {
    return this.#ticks;
  }

  get hasOutgoing(): boolean {
    return this.#outgoing.length > 0;
  }

  tick(): void {
    if (this.#writing !== null || this.#compacting) this.#ticks++;
  }

  compacting(): void {
    assert(this.#writing === null && !this.#compacting, 'one write at a time');
    this.#compacting = true;
    this.#ticks = 0;
  }

  compacted(): void {
    this.#compacting = false;
    this.#ticks = 0;
  }

  holdsVote(term: Term, vote: NodeId | null): boolean {
    return this.#saved.term === term && this.#saved.vote === vote;
  }

  /** Sends now what the disk already vouches for, and holds the rest. `term` and `vote` are those of this moment. */
  send(message: RaftMessage, term: Term, vote: NodeId | null): void {
    if (this.#vouches(message, term, vote)) this.#outgoing.push(message);
    else this.#hold(message);
  }

  #vouches(message: RaftMessage, term: Term, vote: NodeId | null): boolean {
    // A pre-vote asks and promises nothing.
    if (message.type === 'pre-vote') return true;
    if (!this.holdsVote(term, vote)) return false;
    return message.type !== 'append-reply' || message.rejected || message.index <= this.#log.persisted;
  }

  /** A later message of the same kind says all that the earlier one said; so a slow disk piles up no messages. */
  #hold(message: RaftMessage): void {
    const same = this.#held.findIndex((held) => held.type === message.type && held.to === message.to);
    const held = this.#held[same];
    if (held === undefined) this.#held.push(message);
    else if (!saysMore(held, message)) this.#held[same] = message;
  }

  /**
   * That this is committed is worth a sync: a configuration is in force from there on. A restarted node that did not know
   * of it might need the votes of those whom it removed.
   */
  keepCommit(index: LogIndex): void {
    this.#commitKept = Math.max(this.#commitKept, index);
  }

  /** The term has moved on: nobody waits for answers that belong to an old one. */
  dropHeld(): void {
    this.#held = [];
  }

  takeOutgoing(): RaftMessage[] {
    const outgoing = this.#outgoing;
    this.#outgoing = [];
    return outgoing;
  }

  takeWrite(now: HardState): Write | null {
    if (this.#writing !== null || this.#compacting) return null;
    const isVoteNew = !this.holdsVote(now.term, now.vote);
    const isCommitDue = this.#saved.commit < this.#commitKept;
    if (!isVoteNew && !isCommitDue && !this.#log.hasUnsaved) {
      assert(this.#held.length === 0, 'no message waits for a write that will not come');
      return null;
    }
    const { entries, snapshot } = this.#log.takeWrite();
    // Any other commit index alone is worth no sync: a restart learns it again from the leader.
    const hardState = isVoteNew || now.commit !== this.#saved.commit ? now : null;
    assert(now.term >= this.#saved.term, 'the term on disk never falls');
    this.#writing = hardState ?? this.#saved;
    this.#ticks = 0;
    const messages = this.#held;
    this.#held = [];
    return { hardState, entries, snapshot, messages };
  }

  /** The write is durable, and with it perhaps what some held messages speak of. */
  written(term: Term, vote: NodeId | null): void {
    this.#saved = must(this.#writing, 'a write was in flight');
    this.#writing = null;
    this.#ticks = 0;
    this.#log.written();
    const held = this.#held;
    this.#held = [];
    for (const message of held) this.send(message, term, vote);
  }
}

/** Whether the held answer is worth more than the new one: it accepted more. */
function saysMore(held: RaftMessage, message: RaftMessage): boolean {
  return (
    held.type === 'append-reply' &&
    message.type === 'append-reply' &&
    !held.rejected &&
    !message.rejected &&
    held.index > message.index
  );
}
