/**
 * Leadership: what exists only while a node leads, from the no-op that opens its term to the day it steps down.
 *
 * The whole of it is one object, made on winning and thrown away on losing, so that nothing of a former leadership can
 * leak into the next: no match index, no heartbeat round, no read.
 *
 * Invariants: the log is only appended to · only entries of the own term are committed by counting · the leader counts
 * itself only up to what its own disk holds, and only where it is a voter · an answer counts only in the term in which it
 * was asked · one change of the configuration at a time is on its way.
 */
import type { LogIndex, NodeId, Term } from '../base/types.ts';
import { changed, LEAVE_JOINT } from './confchange.ts';
import type { RaftLog } from './log.ts';
import { Members } from './members.ts';
import type { Progress } from './progress.ts';
import { Reads } from './reads.ts';
import type { Note } from './trace.ts';
import { Departure, Transfer } from './transfer.ts';
import type {
  ConfChange,
  Configuration,
  Entry,
  MemberProgress,
  ProposeResult,
  RaftMessage,
  RaftOptions,
  ReadyRead,
  TransferResult,
} from './types.ts';

type AppendReply = Extract<RaftMessage, { type: 'append-reply' }>;
type HeartbeatReply = Extract<RaftMessage, { type: 'heartbeat-reply' }>;

const NO_OP = new Uint8Array(0);

export interface LeadershipOptions {
  readonly term: Term;
  readonly raft: RaftOptions;
  readonly configuration: Configuration;
  readonly log: RaftLog;
  readonly note: Note;
}

export class Leadership {
  readonly term: Term;
  readonly #options: RaftOptions;
  readonly #log: RaftLog;
  readonly #note: Note;
  readonly #members: Members;
  /** Index of the no-op. Once it is committed, this leader knows everything that any leader before it committed. */
  readonly #startIndex: LogIndex;
  /** No change of the configuration is on its way behind this index. */
  #confIndex: LogIndex;
  readonly #reads = new Reads();
  readonly #confirmed: ReadyRead[] = [];
  #transfer: Transfer | null = null;
  /** Set while this leader is no voter. */
  #departure: Departure | null = null;
  /** Last words to those who were removed. */
  readonly #farewells: RaftMessage[] = [];
  #uncommittedBytes = 0;
  #round = 0;
  /** The first round goes out at once: it tells the cluster and begins the quorum's freshness. */
  #isRoundDue = true;
  #ticksSinceBeat = 0;
  #ticksSinceCheck = 0;

  constructor({ term, raft, configuration, log, note }: LeadershipOptions) {
    this.term = term;
    this.#options = raft;
    this.#log = log;
    this.#note = note;
    this.#startIndex = this.#log.lastIndex + 1;
    // What an earlier leader proposed may still be committed: everything before the no-op counts as a pending change.
    this.#confIndex = this.#startIndex;
    this.#members = new Members(raft, configuration, this.#startIndex);
    this.#append(NO_OP);
    this.#note?.('Replicate');
  }

  get round(): number {
    return this.#round;
  }

  get isSettled(): boolean {
    return this.#log.commit >= this.#startIndex;
  }

  get isAlone(): boolean {
    return this.#members.isAlone;
  }

  get transferee(): NodeId | null {
    return this.#transfer?.to ?? null;
  }

  /** A member may campaign whatever the others hear. */
  get isWaived(): boolean {
    return this.#transfer?.isWordOut ?? false;
  }

  // ---- Proposals and commit -----------------------------------------------------------------------------------------

  propose(payload: Uint8Array): ProposeResult {
    const refusal = this.#refusal(payload);
    if (refusal !== null) return refusal;
    const index = this.#append(payload);
    this.#note?.('Replicate');
    return { ok: true, index, term: this.term };
  }

  /** @throws PolarisError BAD_MEMBERSHIP when the change does not fit the configuration. */
  proposeConfChange(change: ConfChange, payload: Uint8Array): ProposeResult {
    if (this.#confIndex > this.#log.applied) return { ok: false, reason: 'conf-change-pending' };
    changed(this.#members.configuration, change);
    const refusal = this.#refusal(payload);
    if (refusal !== null) return refusal;
    return { ok: true, index: this.#appendConfChange(change, payload), term: this.term };
  }

  #refusal(payload: Uint8Array): ProposeResult | null {
    if (this.#transfer !== null) return { ok: false, reason: 'transferring' };
    const bytes = this.#uncommittedBytes + payload.length;
    // One proposal always passes, or a payload above the quota could never be committed at all.
    const isOver = this.#uncommittedBytes > 0 && bytes > this.#options.uncommittedBytesMax;
    return isOver ? { ok: false, reason: 'overloaded' } : null;
  }

  #append(payload: Uint8Array): LogIndex {
    const index = this.#log.lastIndex + 1;
    const record = this.#options.seal(this.term, index, payload);
    this.#uncommittedBytes += record.length;
    this.#log.append({ term: this.term, index, record });
    return index;
  }

  #appendConfChange(change: ConfChange, payload: Uint8Array): LogIndex {
    this.#confIndex = this.#append(payload);
    this.#note?.('ChangeConf', { change });
    return this.#confIndex;
  }

  /** Commits what a quorum has on disk. Called when one of the match indexes, or our own persisted index, has moved. */
  advanceCommit(): void {
    const index = this.#members.quorum(this.#log.persisted, (member) => member.match);
    const before = this.#log.commit;
    // Raft §5.4.2 and Figure 8: an entry of an older term is committed only under one of our own.
    if (index <= before || !this.#log.matches(index, this.term)) return;
    this.#log.commitTo(index);
    this.#uncommittedBytes -= this.#log.bytesBetween(Math.max(before + 1, this.#startIndex), index);
    this.#note?.('Commit');
  }

  /** Of each member, in id order but for the leader itself, which comes first. */
  progress(): Map<NodeId, MemberProgress> {
    const { persisted, lastIndex } = this.#log;
    const own: MemberProgress = {
      ...{ match: persisted, next: lastIndex + 1, state: 'replicate', recentActive: true },
      ...{ pendingSnapshot: null, regressed: false },
    };
    const others = this.#members.others.map((member) => [member.id, member.status()] as const);
    return new Map([[this.#options.id, own], ...others]);
  }

  // ---- Membership ---------------------------------------------------------------------------------------------------

  /** A configuration is in force since the entry that is being applied. */
  reconfigure(configuration: Configuration): void {
    const { lastIndex, handedOut } = this.#log;
    const removed = this.#members.reconfigure(configuration, lastIndex + 1, this.#round);
    for (const member of removed) this.#sayFarewell(member);
    if (this.#members.leaderVotes) this.#departure = null;
    else this.#departure ??= new Departure(handedOut);
    const { transferee } = this;
    // After the word is out only time can tell what becomes of the transfer.
    if (transferee !== null && !this.isWaived && !configuration.voters.includes(transferee)) this.#transfer = null;
    // Fewer may be needed now.
    this.advanceCommit();
    this.#confirmReads();
  }

  /** Whoever was removed hears of it once, if its log is known to be near enough; it is no member from then on. */
  #sayFarewell(member: Progress): void {
    const isNear = member.state === 'replicate' && this.#log.termAt(member.next - 1) !== null;
    if (isNear && !member.isRegressed) this.#sendAppend(member, this.#farewells);
  }

  /** The state machine has moved on: a joint configuration is left as soon as it is in force and nothing else pends. */
  applied(): void {
    const { autoLeave } = this.#members.configuration;
    if (!autoLeave || this.#confIndex > this.#log.applied) return;
    // Past the quota and past a transfer: the cluster must not stay joint because it is busy.
    this.#appendConfChange(LEAVE_JOINT, this.#options.encodeConfChange(LEAVE_JOINT));
  }

  /** Whether this leader is no voter, and a quorum of those who are knows it. */
  get hasDeparted(): boolean {
    const departure = this.#departure;
    return departure !== null && this.#members.quorum(0, (member) => (departure.knows(member.id) ? 1 : 0)) === 1;
  }

  /** The last word of a leader that departs: the voter that holds most need not wait for its timeout. */
  nameSuccessor(messages: RaftMessage[]): void {
    if (this.isWaived) return;
    const { voters } = this.#members.configuration;
    const candidates = this.#members.others.filter((member) => voters.includes(member.id) && !member.isRegressed);
    const best = candidates.sort((left, right) => right.match - left.match)[0];
    if (best !== undefined) messages.push(this.#timeoutNow(best.id));
  }

  // ---- Leadership transfer ------------------------------------------------------------------------------------------

  transferTo(to: NodeId): TransferResult {
    const { configuration } = this.#members;
    if (to === this.#options.id) return { ok: false, reason: 'leads-already' };
    if (!configuration.voters.includes(to)) return { ok: false, reason: 'not-a-voter' };
    if (this.transferee === to) return { ok: true };
    if (this.isWaived) return { ok: false, reason: 'transferring' };
    this.#transfer = new Transfer(to, this.#options.electionTicksMin);
    return { ok: true };
  }

  /** False when the time of a transfer is over and its target, silent since it got the word, may still act on it. */
  #tickTransfer(): boolean {
    if (!(this.#transfer?.tick() ?? false)) return true;
    const { isWaived } = this;
    this.#transfer = null;
    return !isWaived;
  }

  #timeoutNow(to: NodeId): RaftMessage {
    return { type: 'timeout-now', from: this.#options.id, to, term: this.term, round: this.#round };
  }

  /** The target holds everything, on its disk, and was not told yet. */
  get #wantsWord(): boolean {
    const transfer = this.#transfer;
    if (transfer === null || transfer.isWordOut) return false;
    const target = this.#members.find(transfer.to);
    return target !== null && !target.isRegressed && target.match === this.#log.lastIndex;
  }

  // ---- Answers ------------------------------------------------------------------------------------------------------

  onAppendReply(reply: AppendReply): void {
    const member = this.#members.find(reply.from);
    // No follower can hold more than we do; an answer that says so is not for this log.
    if (member === null || reply.index > this.#log.lastIndex) return;
    member.hear();
    if (reply.rejected) {
      member.refused(reply.index, this.#log.lastNotAbove(reply.hintIndex, reply.hintTerm));
    } else if (member.accepted(reply.index)) {
      this.advanceCommit();
    }
  }

  snapshotMoved(to: NodeId): void {
    this.#members.find(to)?.snapshotMoved();
  }

  onHeartbeatReply(reply: HeartbeatReply): void {
    const member = this.#members.find(reply.from);
    if (member === null || reply.round > this.#round) return;
    member.hear();
    if (!member.answered(reply.round)) return;
    if (reply.regressed) member.isRegressed = true;
    if (reply.from === this.transferee) this.#transfer?.targetAnswered(reply.round);
    this.#departure?.roundAnswered(reply.from, reply.round);
    this.#confirmReads();
  }

  /** The highest round that a quorum has answered. */
  quorumRound(): number {
    return this.#members.quorum(this.#round, (member) => member.round);
  }

  // ---- Time ---------------------------------------------------------------------------------------------------------

  /** False when this leader must step down: no quorum was heard since the last check, or a transfer hangs in the air. */
  tick(): boolean {
    for (const member of this.#members.others) member.tick();
    if (++this.#ticksSinceBeat >= this.#options.heartbeatTicks) {
      // Counted by time alone: rounds that serve reads must not put off the resending that hangs on the beat.
      this.#ticksSinceBeat = 0;
      this.#isRoundDue = true;
      for (const member of this.#members.others) member.beat();
    }
    if (!this.#tickTransfer()) return false;
    if (++this.#ticksSinceCheck < this.#options.electionTicksMin) return true;
    this.#ticksSinceCheck = 0;
    const active = new Set(this.#members.others.filter((member) => member.checkActive()));
    return this.#members.quorum(1, (member) => (active.has(member) ? 1 : 0)) === 1;
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
    if (this.#farewells.length > 0 || this.#wantsWord || this.hasDeparted) return true;
    return this.#members.others.some((member) => member.wantsAppend(this.#log.lastIndex, this.#log.commit));
  }

  /** Everything that should leave now. Built late, so that all proposals of one turn share their messages. */
  collect(messages: RaftMessage[]): void {
    messages.push(...this.#farewells.splice(0));
    if (this.#wantsRound) this.#sendRound(messages);
    for (const member of this.#members.others) {
      while (member.wantsAppend(this.#log.lastIndex, this.#log.commit)) this.#sendAppend(member, messages);
    }
    if (this.#transfer !== null && this.#wantsWord) {
      messages.push(this.#timeoutNow(this.#transfer.to));
      this.#transfer.wordSent(this.#round);
    }
  }

  #sendRound(messages: RaftMessage[]): void {
    this.#round++;
    this.#isRoundDue = false;
    const { id: from } = this.#options;
    // Before the own-term commit our commit index may lag behind what an earlier leader committed (thesis §6.4, step 1).
    if (this.isSettled) this.#reads.bind(this.#round, this.#log.commit);
    for (const { id: to, match } of this.#members.others) {
      // Never beyond what is proven to match there: a heartbeat carries no consistency check.
      const commit = Math.min(match, this.#log.commit);
      messages.push({ type: 'heartbeat', from, to, term: this.term, commit, match, round: this.#round });
      this.#departure?.roundSent(to, this.#round, commit);
    }
    // A leader that is the only voter is its own quorum.
    this.#confirmReads();
  }

  #sendAppend(member: Progress, messages: RaftMessage[]): void {
    const { id: from, appendBytesMax } = this.#options;
    const to = member.id;
    const prevIndex = member.next - 1;
    const prevTerm = this.#log.termAt(prevIndex);
    if (prevTerm === null) {
      const { snapshot } = this.#log;
      messages.push({ type: 'snapshot', from, to, term: this.term, snapshot });
      member.sentSnapshot(snapshot.meta.index);
      return;
    }
    const { lastIndex, commit } = this.#log;
    const isEmpty = member.windowIsFull || member.next > lastIndex;
    const entries: readonly Entry[] = isEmpty ? [] : this.#log.slice(member.next, lastIndex, appendBytesMax);
    let bytes = 0;
    for (const entry of entries) bytes += entry.record.length;
    messages.push({ type: 'append', from, to, term: this.term, prevIndex, prevTerm, entries, commit });
    member.sent(entries.length, bytes, commit);
  }

  // ---- Compaction ---------------------------------------------------------------------------------------------------

  /**
   * The lowest index that must stay so that followers can go on after the snapshot that is under way to them. A lost
   * snapshot is found out in bounded time and the next one is newer, so this holds nothing back for ever.
   */
  keepFromMax(): LogIndex {
    let keepFrom = Number.MAX_SAFE_INTEGER;
    for (const { snapshotIndex } of this.#members.others) {
      if (snapshotIndex !== null) keepFrom = Math.min(keepFrom, snapshotIndex + 1);
    }
    return keepFrom;
  }
}
