/**
 * Leadership: what exists only while a node leads, from the no-op that opens its term to the day it steps down.
 *
 * The whole of it is one object, made on winning and thrown away on losing, so that nothing of a former leadership can
 * leak into the next: no match index, no heartbeat round, no read.
 *
 * Invariants: the log is only appended to · only entries of the own term are committed by counting · the leader counts
 * itself only up to what its own disk holds · an answer counts only in the term in which it was asked.
 */
import { must } from '../base/assert.ts';
import type { LogIndex, NodeId, Term } from '../base/types.ts';
import type { RaftLog } from './log.ts';
import { Progress } from './progress.ts';
import { type Configuration, majorityReached } from './quorum.ts';
import { Reads } from './reads.ts';
import type { Entry, ProposeResult, RaftMessage, RaftOptions, ReadyRead } from './types.ts';

type AppendReply = Extract<RaftMessage, { type: 'append-reply' }>;
type HeartbeatReply = Extract<RaftMessage, { type: 'heartbeat-reply' }>;

const NO_OP = new Uint8Array(0);

export class Leadership {
  readonly term: Term;
  readonly #options: RaftOptions;
  readonly #configuration: Configuration;
  readonly #log: RaftLog;
  /** The other voters, in id order. */
  readonly #followers: readonly Progress[];
  /** Index of the no-op. Once it is committed, this leader knows everything that any leader before it committed. */
  readonly #startIndex: LogIndex;
  readonly #reads = new Reads();
  readonly #confirmed: ReadyRead[] = [];
  #uncommittedBytes = 0;
  #round = 0;
  /** The first round goes out at once: it tells the cluster and begins the quorum's freshness. */
  #isRoundDue = true;
  #ticksSinceBeat = 0;
  #ticksSinceCheck = 0;

  constructor(term: Term, options: RaftOptions, configuration: Configuration, log: RaftLog) {
    this.term = term;
    this.#options = options;
    this.#configuration = configuration;
    this.#log = log;
    const { inflightMessagesMax, inflightBytesMax, id: own } = options;
    this.#startIndex = this.#log.lastIndex + 1;
    this.#followers = this.#configuration.voters
      .filter((id) => id !== own)
      .map((id) => new Progress({ id, next: this.#startIndex, inflightMessagesMax, inflightBytesMax }));
    this.#append(NO_OP);
  }

  get round(): number {
    return this.#round;
  }

  get isSettled(): boolean {
    return this.#log.commit >= this.#startIndex;
  }

  get isAlone(): boolean {
    return this.#followers.length === 0;
  }

  // ---- Proposals and commit -----------------------------------------------------------------------------------------

  propose(payload: Uint8Array): ProposeResult {
    const bytes = this.#uncommittedBytes + payload.length;
    // One proposal always passes, or a payload above the quota could never be committed at all.
    if (this.#uncommittedBytes > 0 && bytes > this.#options.uncommittedBytesMax) {
      return { ok: false, reason: 'overloaded' };
    }
    return { ok: true, index: this.#append(payload), term: this.term };
  }

  #append(payload: Uint8Array): LogIndex {
    const index = this.#log.lastIndex + 1;
    const record = this.#options.seal(this.term, index, payload);
    this.#uncommittedBytes += record.length;
    this.#log.append({ term: this.term, index, record });
    return index;
  }

  /** Commits what a quorum has on disk. Called when one of the match indexes, or our own persisted index, has moved. */
  advanceCommit(): void {
    const index = majorityReached(this.#configuration, (id) => this.matchOf(id));
    const before = this.#log.commit;
    // Raft §5.4.2 and Figure 8: an entry of an older term is committed only under one of our own.
    if (index <= before || !this.#log.matches(index, this.term)) return;
    this.#log.commitTo(index);
    this.#uncommittedBytes -= this.#log.bytesBetween(Math.max(before + 1, this.#startIndex), index);
  }

  /** Last index known to be on the disk of this voter. */
  matchOf(id: NodeId): LogIndex {
    return id === this.#options.id ? this.#log.persisted : this.#follower(id).match;
  }

  #follower(id: NodeId): Progress {
    return must(
      this.#followers.find((follower) => follower.id === id),
      'every other voter has a progress',
    );
  }

  // ---- Answers ------------------------------------------------------------------------------------------------------

  onAppendReply(reply: AppendReply): void {
    // No follower can hold more than we do; an answer that says so is not for this log.
    if (reply.index > this.#log.lastIndex) return;
    const follower = this.#follower(reply.from);
    follower.heard();
    if (reply.rejected) {
      follower.refused(reply.index, this.#log.lastNotAbove(reply.hintIndex, reply.hintTerm));
    } else if (follower.accepted(reply.index)) {
      this.advanceCommit();
    }
  }

  onHeartbeatReply(reply: HeartbeatReply): void {
    if (reply.round > this.#round) return;
    const follower = this.#follower(reply.from);
    follower.heard();
    if (reply.round <= follower.round) return;
    follower.round = reply.round;
    this.#confirmReads();
  }

  /** The highest round that a quorum has answered. */
  quorumRound(): number {
    return majorityReached(this.#configuration, (id) =>
      id === this.#options.id ? this.#round : this.#follower(id).round,
    );
  }

  // ---- Time ---------------------------------------------------------------------------------------------------------

  /** False when no quorum was heard since the last check: then this leader must step down. */
  tick(): boolean {
    for (const follower of this.#followers) follower.tick();
    if (++this.#ticksSinceBeat >= this.#options.heartbeatTicks) {
      // Counted by time alone: rounds that serve reads must not put off the resending that hangs on the beat.
      this.#ticksSinceBeat = 0;
      this.#isRoundDue = true;
      for (const follower of this.#followers) follower.beat();
    }
    if (++this.#ticksSinceCheck < this.#options.electionTicksMin) return true;
    this.#ticksSinceCheck = 0;
    const isQuorumActive =
      majorityReached(this.#configuration, (id) => (id === this.#options.id || this.#follower(id).active ? 1 : 0)) ===
      1;
    for (const follower of this.#followers) follower.active = false;
    return isQuorumActive;
  }

  // ---- Reads --------------------------------------------------------------------------------------------------------

  askRead(id: number): void {
    this.#reads.ask(id);
  }

  /** Confirmed reads whose index has been handed to the state machine. Their indexes never fall, so they are a prefix. */
  takeReads(): ReadyRead[] {
    const later = this.#confirmed.findIndex((read) => read.index > this.#log.handedOut);
    return this.#confirmed.splice(0, later === -1 ? this.#confirmed.length : later);
  }

  /** Ids of all reads that were not handed out. */
  failReads(): number[] {
    const confirmed = this.#confirmed.splice(0);
    return [...confirmed.map((read) => read.id), ...this.#reads.fail()];
  }

  #confirmReads(): void {
    this.#reads.confirm(this.quorumRound(), this.#confirmed);
  }

  // ---- Sending ------------------------------------------------------------------------------------------------------

  /** Whether a round must go out: by time, or because reads wait that may be bound to it. */
  get #wantsRound(): boolean {
    return this.#isRoundDue || (this.#reads.hasWaiting && this.isSettled);
  }

  hasWork(): boolean {
    const read = this.#confirmed[0];
    if (this.#wantsRound || (read !== undefined && read.index <= this.#log.handedOut)) return true;
    return this.#followers.some((follower) => follower.wantsAppend(this.#log.lastIndex, this.#log.commit));
  }

  /** Everything that should leave now. Built late, so that all proposals of one turn share their messages. */
  collect(messages: RaftMessage[]): void {
    if (this.#wantsRound) this.#sendRound(messages);
    for (const follower of this.#followers) {
      while (follower.wantsAppend(this.#log.lastIndex, this.#log.commit)) this.#sendAppend(follower, messages);
    }
  }

  #sendRound(messages: RaftMessage[]): void {
    this.#round++;
    this.#isRoundDue = false;
    const { id: from } = this.#options;
    // Before the own-term commit our commit index may lag behind what an earlier leader committed (thesis §6.4, step 1).
    if (this.isSettled) this.#reads.bind(this.#round, this.#log.commit);
    for (const { id: to, match } of this.#followers) {
      // Never beyond what is proven to match there: a heartbeat carries no consistency check.
      const commit = Math.min(match, this.#log.commit);
      messages.push({ type: 'heartbeat', from, to, term: this.term, commit, round: this.#round });
    }
    // A single voter is its own quorum.
    this.#confirmReads();
  }

  #sendAppend(follower: Progress, messages: RaftMessage[]): void {
    const { id: from, appendBytesMax } = this.#options;
    const to = follower.id;
    const prevIndex = follower.next - 1;
    const prevTerm = this.#log.termAt(prevIndex);
    if (prevTerm === null) {
      const { snapshot } = this.#log;
      messages.push({ type: 'snapshot', from, to, term: this.term, snapshot });
      follower.sentSnapshot(snapshot.meta.index);
      return;
    }
    const { lastIndex, commit } = this.#log;
    const isEmpty = follower.windowIsFull || follower.next > lastIndex;
    const entries: readonly Entry[] = isEmpty ? [] : this.#log.slice(follower.next, lastIndex, appendBytesMax);
    let bytes = 0;
    for (const entry of entries) bytes += entry.record.length;
    messages.push({ type: 'append', from, to, term: this.term, prevIndex, prevTerm, entries, commit });
    follower.sent(entries.length, bytes, commit);
  }

  // ---- Compaction ---------------------------------------------------------------------------------------------------

  /**
   * The lowest index that must stay so that followers can go on after the snapshot that is under way to them. A lost
   * snapshot is found out in bounded time and the next one is newer, so this holds nothing back for ever.
   */
  keepFromMax(): LogIndex {
    let keepFrom = Number.MAX_SAFE_INTEGER;
    for (const { snapshotIndex } of this.#followers) {
      if (snapshotIndex !== null) keepFrom = Math.min(keepFrom, snapshotIndex + 1);
    }
    return keepFrom;
  }
}
