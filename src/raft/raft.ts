/**
 * Raft: one node of a consensus cluster, as a pure state machine.
 *
 * Events go in (`tick`, `step`, `propose`, `requestRead`, `written`, `applied`), and what must be done about them comes
 * out (`takeWrite`, `ready`). In between nothing happens: no clock, no random but the given one, no disk, no socket. Two
 * nodes that are fed the same events give the same answers, and that is what makes the simulator possible.
 *
 * This file holds the rules on terms and roles; each of the others does one thing for it:
 *   log.ts         the entries, and how far they are written, committed and applied
 *   disk.ts        what is durable, and which messages wait for it
 *   election.ts    timer, ballot, who is up to date
 *   follow.ts      what a follower makes of appends and snapshots
 *   leadership.ts  what a leader does; members.ts and progress.ts for those it leads, reads.ts for reads,
 *                  transfer.ts for the ways in which it goes
 *   configuration.ts, confchange.ts, quorum.ts   who belongs to the cluster, how that changes, what a majority is
 *   trace.ts       what is told of all this to a listener
 *   invariants.ts  checks across nodes, for tests and the simulator
 *
 * A configuration is in force once it is applied, by each node for itself (divergence.md). Two rules carry that: a change
 * is proposed only when the one before is applied, so whoever has a change in its log knows that the one before is
 * committed; and nobody campaigns before it has applied what it knows to be committed. So the configurations in use at any
 * time are the same or neighbours, and the quorums of neighbours share a voter.
 *
 * Invariants: the term never falls · the vote of a term never changes · one leader a term · see also the rooms.
 */
import { assert, must, unreachable } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { WRITE_STALLED_TICKS } from '../base/limits.ts';
import type { LogIndex, NodeId, Term } from '../base/types.ts';
import { changed } from './confchange.ts';
import { checked, isMember, isVoter, votersOf } from './configuration.ts';
import { Disk } from './disk.ts';
import { Ballot, ElectionTimer, isUpToDate, type LogEnd } from './election.ts';
import { type AppendAnswer, acceptAppend, acceptSnapshot, isWellFormed } from './follow.ts';
import { Leadership } from './leadership.ts';
import { RaftLog } from './log.ts';
import { type Heartbeat, isAnswer, isVoteReply, type TimeoutNow, type VoteKind, type VoteRequest } from './messages.ts';
import { type Note, traceNameOf } from './trace.ts';
import type {
  CommitClaim,
  ConfChange,
  Configuration,
  Entry,
  ProposeResult,
  RaftCore,
  RaftInitial,
  RaftMessage,
  RaftOptions,
  RaftStanding,
  RaftStatus,
  Ready,
  Role,
  Snapshot,
  SnapshotMeta,
  TransferResult,
  Write,
} from './types.ts';

export class Raft implements RaftCore {
  readonly #options: RaftOptions;
  readonly #log: RaftLog;
  readonly #disk: Disk;
  readonly #timer: ElectionTimer;
  readonly #ballot = new Ballot();
  readonly #note: Note;
  /** As of the applied index. */
  #configuration: Configuration;
  #role: Role = 'follower';
  #term: Term;
  #vote: NodeId | null;
  #leader: NodeId | null = null;
  /** Set exactly while the role is leader. */
  #leadership: Leadership | null = null;
  #failedReads: number[] = [];
  /** Snapshots that the state machine was handed and has not taken yet, oldest first. */
  readonly #installing: SnapshotMeta[] = [];
  /** The last heartbeat round of the present leader. */
  #heardRound = 0;
  /** Told to campaign at once, and waiting only for the state machine. */
  #isUrged = false;

  /** @throws PolarisError LOG_DAMAGED when the parts of `initial` contradict each other. */
  constructor(options: RaftOptions, initial: RaftInitial) {
    assert(options.heartbeatTicks > 0, 'heartbeats take time');
    assert(options.heartbeatTicks < options.electionTicksMin, 'a heartbeat is due before any election');
    this.#options = options;
    this.#log = new RaftLog(initial);
    this.#configuration = checked(initial.snapshot.meta.configuration);
    this.#timer = new ElectionTimer(options);
    const { hardState } = initial;
    // A node just founded has the founding snapshot and no HardState yet; any other must have seen its log's last term.
    this.#term = hardState.term === 0 ? initial.snapshot.meta.term : hardState.term;
    this.#vote = hardState.vote;
    if (this.#log.lastTerm > this.#term) {
      throw new PolarisError('LOG_DAMAGED', `the log is of term ${this.#log.lastTerm}, the vote of ${this.#term}`);
    }
    this.#disk = new Disk(this.#log, { term: this.#term, vote: this.#vote, commit: hardState.commit });
    this.#note = this.#noteFor(options.trace);
    this.#note?.('InitState');
  }

  #noteFor(trace: RaftOptions['trace']): Note {
    if (trace === undefined) return null;
    return (name, detail) => {
      const { voters, votersOutgoing } = this.#configuration;
      trace({
        name,
        nodeId: this.#options.id,
        state: { term: this.#term, vote: this.#vote, commit: this.#log.commit },
        role: this.#role,
        logSize: this.#log.lastIndex,
        config: [voters, votersOutgoing],
        ...detail,
      });
    };
  }

  // ---- What goes in -------------------------------------------------------------------------------------------------

  tick(): void {
    this.#disk.tick();
    if (this.#leadership !== null) this.#tickLeader(this.#leadership);
    else if (this.#timer.tick() && this.#mayCampaign) this.#standForElection();
  }

  #tickLeader(leadership: Leadership): void {
    // Heartbeats need no disk: without this a leader whose disk hangs would lead for ever and commit late or never.
    const isStalled = !leadership.isAlone && this.#disk.writeTicks >= WRITE_STALLED_TICKS;
    if (!leadership.tick() || isStalled) this.#becomeFollower(this.#term, null);
  }

  step(message: RaftMessage): void {
    const { from, to, term } = message;
    if (to !== this.#options.id || from === to) return;
    // Whoever asks may belong to a configuration that is news to us; but nobody was asked who is not in ours.
    if (isAnswer(message) && !isMember(this.#configuration, from)) return;
    if (message.type === 'append' && !isWellFormed(message)) return;
    this.#noteMessage('Receive', message);
    // Of whatever term it is: that something is committed stays true.
    if (isVoteReply(message) && !message.granted) this.#learnCommit(message);
    if (term < this.#term) this.#answerOldTerm(message);
    else if (term === this.#term || this.#enterTermOf(message)) this.#dispatch(message);
  }

  propose(payload: Uint8Array): ProposeResult {
    return this.#leadership?.propose(payload) ?? { ok: false, reason: 'not-leader' };
  }

  proposeConfChange(change: ConfChange, payload: Uint8Array): ProposeResult {
    return this.#leadership?.proposeConfChange(change, payload) ?? { ok: false, reason: 'not-leader' };
  }

  applyConfChange(change: ConfChange): Configuration {
    this.#configuration = changed(this.#configuration, change);
    this.#disk.keepCommit(this.#log.handedOut);
    this.#note?.('ApplyConfChange', { change });
    this.#leadership?.reconfigure(this.#configuration);
    return this.#configuration;
  }

  transferLeadership(to: NodeId): TransferResult {
    return this.#leadership?.transferTo(to) ?? { ok: false, reason: 'not-leader' };
  }

  requestRead(id: number): boolean {
    if (this.#leadership === null) return false;
    this.#leadership.askRead(id);
    return true;
  }

  written(): void {
    this.#disk.written(this.#term, this.#vote);
    if (this.#role === 'candidate') this.#voteForSelf();
    this.#leadership?.advanceCommit();
  }

  applied(index: LogIndex): void {
    this.#log.appliedTo(index);
    this.#installTo(index);
    this.#leadership?.applied();
    if (this.#isUrged) this.#campaignAtOnce();
  }

  /** The configuration of a snapshot comes into force with it: changes from before it may still wait to be applied. */
  #installTo(index: LogIndex): void {
    for (let meta = this.#installing[0]; meta !== undefined && meta.index <= index; meta = this.#installing[0]) {
      this.#configuration = checked(meta.configuration);
      this.#installing.shift();
    }
  }

  compacting(): void {
    this.#disk.compacting();
  }

  compacted(snapshot: Snapshot, keepFrom: LogIndex): void {
    this.#disk.compacted();
    this.#log.compact(snapshot, Math.min(keepFrom, this.#leadership?.keepFromMax() ?? keepFrom));
  }

  // ---- What comes out -----------------------------------------------------------------------------------------------

  takeWrite(): Write | null {
    return this.#disk.takeWrite({ term: this.#term, vote: this.#vote, commit: this.#log.commit });
  }

  hasReady(): boolean {
    if (this.#disk.hasOutgoing || this.#failedReads.length > 0 || this.#log.hasCommitted) return true;
    return this.#leadership?.hasWork() ?? false;
  }

  ready(committedBytesMax: number): Ready {
    const messages = this.#disk.takeOutgoing();
    if (this.#leadership !== null) this.#collect(this.#leadership, messages);
    const { snapshot, committed } = this.#log.takeCommitted(committedBytesMax);
    if (snapshot !== null) this.#installing.push(snapshot.meta);
    this.#note?.('Ready');
    const reads = this.#leadership?.takeReads() ?? [];
    const failedReads = this.#failedReads;
    this.#failedReads = [];
    return { messages, snapshot, committed, reads, failedReads };
  }

  #collect(leadership: Leadership, messages: RaftMessage[]): void {
    const sentBefore = messages.length;
    leadership.collect(messages);
    if (leadership.hasDeparted) {
      leadership.nameSuccessor(messages);
      this.#becomeFollower(this.#term, null);
    }
    if (this.#note !== null) for (const message of messages.slice(sentBefore)) this.#noteMessage('Send', message);
  }

  get round(): number {
    return this.#leadership?.round ?? 0;
  }

  snapshotMoved(to: NodeId): void {
    this.#leadership?.snapshotMoved(to);
  }

  quorumRound(): number {
    return this.#leadership?.quorumRound() ?? 0;
  }

  standing(): RaftStanding {
    const leadership = this.#leadership;
    const configuration = this.#configuration;
    return {
      id: this.#options.id,
      role: this.#role,
      term: this.#term,
      vote: this.#vote,
      leader: this.#leader,
      commit: this.#log.commit,
      applied: this.#log.applied,
      firstIndex: this.#log.firstIndex,
      lastIndex: this.#log.lastIndex,
      lastTerm: this.#log.lastTerm,
      snapshotIndex: this.#log.snapshot.meta.index,
      configuration,
      voters: votersOf(configuration),
      settled: leadership?.isSettled ?? false,
      transferee: leadership?.transferee ?? null,
      waived: leadership?.isWaived ?? false,
    };
  }

  status(): RaftStatus {
    const standing = this.standing();
    const progress = this.#leadership?.progress() ?? new Map();
    const ofVoters = [...progress].filter(([id]) => standing.voters.includes(id));
    return { ...standing, match: new Map(ofVoters.map(([id, { match }]) => [id, match])), progress };
  }

  /** For checkers: null where the entry is compacted away or does not exist. */
  termAt(index: LogIndex): Term | null {
    return this.#log.termAt(index);
  }

  /** For checkers: a copy of the entries from `index`, or from the first that is still here. */
  entriesFrom(index: LogIndex): readonly Entry[] {
    return this.#log.slice(Math.max(index, this.#log.firstIndex), this.#log.lastIndex, Number.POSITIVE_INFINITY);
  }

  // ---- Terms --------------------------------------------------------------------------------------------------------

  /**
   * A stale sender is told the newer term. Without the answer, a node whose term ran ahead while it was cut off could
   * neither follow (the leader's term is too old for it) nor win (the others are sticky), for ever.
   */
  #answerOldTerm(message: RaftMessage): void {
    const envelope = { from: this.#options.id, to: message.from, term: this.#term };
    switch (message.type) {
      case 'append':
      case 'snapshot':
        this.#send({ ...envelope, type: 'append-reply', index: 0, rejected: true, hintIndex: 0, hintTerm: 0 });
        return;
      case 'heartbeat':
        this.#send({ ...envelope, type: 'heartbeat-reply', round: 0, regressed: false });
        return;
      case 'pre-vote':
        this.#send({ ...envelope, type: 'pre-vote-reply', granted: false, ...this.#commitClaim });
        return;
      case 'vote':
        this.#send({ ...envelope, type: 'vote-reply', granted: false, ...this.#commitClaim });
        return;
      case 'pre-vote-reply':
      case 'vote-reply':
      case 'append-reply':
      case 'heartbeat-reply':
      case 'timeout-now':
        return;
      default:
        unreachable(message);
    }
  }

  /** A message of a higher term: enters that term where it must. False when the message is to be ignored. */
  #enterTermOf(message: RaftMessage): boolean {
    // The term of a pre-vote, and of a granted one, is not yet anybody's.
    if (message.type === 'pre-vote') return true;
    if (message.type === 'pre-vote-reply' && message.granted) return true;
    if (message.type === 'vote' && !message.transfer && this.#isSticky()) return false;
    this.#becomeFollower(message.term, null);
    return true;
  }

  /** A leader is heard, or is this node, which steps down by itself when its quorum is silent. */
  #isSticky(): boolean {
    return this.#leadership !== null || (this.#leader !== null && this.#timer.isFresh);
  }

  #dispatch(message: RaftMessage): void {
    switch (message.type) {
      case 'pre-vote':
      case 'vote':
        this.#onVoteRequest(message);
        return;
      case 'pre-vote-reply':
        this.#onPreVoteReply(message.from, message.term, message.granted);
        return;
      case 'vote-reply':
        if (this.#role === 'candidate') this.#tally(message.from, message.granted);
        return;
      case 'append':
        this.#followLeader(message.from);
        this.#answerAppend(message.from, acceptAppend(this.#log, message));
        return;
      case 'snapshot':
        this.#followLeader(message.from);
        this.#answerAppend(message.from, acceptSnapshot(this.#log, message.snapshot));
        return;
      case 'heartbeat':
        this.#followLeader(message.from);
        this.#onHeartbeat(message);
        return;
      case 'timeout-now':
        this.#onTimeoutNow(message);
        return;
      case 'append-reply':
        this.#leadership?.onAppendReply(message);
        return;
      case 'heartbeat-reply':
        this.#leadership?.onHeartbeatReply(message);
        return;
      default:
        unreachable(message);
    }
  }

  // ---- Roles --------------------------------------------------------------------------------------------------------

  #becomeFollower(term: Term, leader: NodeId | null): void {
    assert(term >= this.#term, 'the term never falls');
    const wasOther = this.#role !== 'follower' || term > this.#term;
    if (this.#leadership !== null) {
      this.#failedReads.push(...this.#leadership.failReads());
      this.#leadership = null;
    }
    // A word from a leader restarts the timer, a mere newer term does not: a node that cannot win must not keep those
    // that can from standing.
    if (leader !== null || this.#role !== 'follower') this.#timer.reset();
    // The vote goes with its term only: a node that steps down within a term has voted in it.
    if (term > this.#term) this.#enterTerm(term, null);
    this.#role = 'follower';
    this.#leader = leader;
    this.#ballot.clear();
    // A leader repeats itself all the time, and that changes nothing.
    if (wasOther) this.#note?.('BecomeFollower');
  }

  #enterTerm(term: Term, vote: NodeId | null): void {
    this.#term = term;
    this.#vote = vote;
    this.#heardRound = 0;
    this.#isUrged = false;
    this.#disk.dropHeld();
  }

  #followLeader(leader: NodeId): void {
    assert(this.#leadership === null, 'election safety: one leader a term');
    assert(this.#leader === null || this.#leader === leader, 'election safety: one leader a term');
    this.#becomeFollower(this.#term, leader);
  }

  /** What is committed may be a change of the configuration: until it is applied, nobody here knows who elects. */
  get #mayCampaign(): boolean {
    return this.#log.applied === this.#log.commit;
  }

  /** Only a voter can win; and its vote for itself needs the disk, so a node whose disk hangs could only drive the term up. */
  get #canWin(): boolean {
    return isVoter(this.#configuration, this.#options.id) && this.#disk.writeTicks < WRITE_STALLED_TICKS;
  }

  #standForElection(): void {
    this.#timer.reset();
    if (!this.#canWin) return;
    this.#role = 'pre-candidate';
    this.#leader = null;
    this.#ballot.clear();
    this.#askForVotes({ type: 'pre-vote', term: this.#term + 1 });
    this.#tally(this.#options.id, true);
  }

  /** The leader hands over to this node. */
  #onTimeoutNow({ from, round }: TimeoutNow): void {
    // A later round means that the word was long on its way: the leader counts on its being void by now.
    if (this.#leader !== from || round !== this.#heardRound) return;
    this.#isUrged = true;
    this.#campaignAtOnce();
  }

  /** Without a pre-vote: nobody is disturbed by a campaign that the leader itself has asked for. */
  #campaignAtOnce(): void {
    assert(this.#role === 'follower', 'only a follower is urged');
    if (!this.#mayCampaign) return;
    this.#isUrged = false;
    if (!this.#canWin) return;
    this.#timer.reset();
    this.#becomeCandidate(true);
  }

  #becomeCandidate(transfer: boolean): void {
    assert(
      this.#role === (transfer ? 'follower' : 'pre-candidate'),
      'a campaign follows a won pre-vote, or a transfer',
    );
    assert(this.#mayCampaign, 'everything committed is applied before a campaign');
    this.#role = 'candidate';
    this.#leader = null;
    this.#enterTerm(this.#term + 1, this.#options.id);
    this.#ballot.clear();
    this.#note?.('BecomeCandidate');
    this.#askForVotes({ type: 'vote', term: this.#term, transfer });
  }

  #becomeLeader(): void {
    assert(this.#role === 'candidate', 'only a candidate becomes leader');
    assert(this.#disk.holdsVote(this.#term, this.#options.id), 'a leader has its own vote on disk');
    this.#role = 'leader';
    this.#leader = this.#options.id;
    this.#note?.('BecomeLeader');
    this.#leadership = new Leadership({
      term: this.#term,
      raft: this.#options,
      configuration: this.#configuration,
      log: this.#log,
      note: this.#note,
    });
  }

  // ---- Votes --------------------------------------------------------------------------------------------------------

  get #logEnd(): LogEnd {
    return { lastTerm: this.#log.lastTerm, lastIndex: this.#log.lastIndex };
  }

  get #commitClaim(): CommitClaim {
    const { commit } = this.#log;
    return { commit, commitTerm: must(this.#log.termAt(commit), 'the log reaches back to the commit index') };
  }

  /**
   * Another node claims that this entry is committed, in a vote that came to nothing. If it is ours too, then so is all
   * before it. A campaign that began without this knowledge may have asked the wrong ones, and ends.
   */
  #learnCommit({ commit, commitTerm }: CommitClaim): void {
    if (this.#leadership !== null || commit <= this.#log.commit || !this.#log.matches(commit, commitTerm)) return;
    this.#log.commitTo(commit);
    if (this.#role !== 'follower') this.#becomeFollower(this.#term, null);
  }

  #askForVotes(kind: VoteKind): void {
    const { id: from } = this.#options;
    for (const to of votersOf(this.#configuration)) {
      if (to !== from) this.#send({ ...kind, from, to, ...this.#logEnd, ...this.#commitClaim });
    }
  }

  #onVoteRequest(request: VoteRequest): void {
    const isPreVote = request.type === 'pre-vote';
    const isFree = this.#vote === request.from || (this.#vote === null && this.#leader === null);
    // A pre-vote for a coming term binds nobody; but a leader that is heard is not to be disturbed.
    const mayGrant = isPreVote && request.term > this.#term ? !this.#isSticky() : isFree;
    const granted = mayGrant && isUpToDate(request, this.#logEnd);
    if (!granted) this.#learnCommit(request);
    if (granted && !isPreVote) {
      this.#vote = request.from;
      this.#timer.reset();
    }
    const type = isPreVote ? 'pre-vote-reply' : 'vote-reply';
    // A granted pre-vote speaks of the term that was asked for, a refusal of our own.
    const term = granted ? request.term : this.#term;
    this.#send({ type, from: this.#options.id, to: request.from, term, granted, ...this.#commitClaim });
  }

  #onPreVoteReply(from: NodeId, term: Term, granted: boolean): void {
    if (this.#role !== 'pre-candidate') return;
    if (!granted || term === this.#term + 1) this.#tally(from, granted);
  }

  /** Our own vote counts like any other: once the disk has it. */
  #voteForSelf(): void {
    const { id } = this.#options;
    if (this.#disk.holdsVote(this.#term, id) && !this.#ballot.has(id)) this.#tally(id, true);
  }

  #tally(from: NodeId, granted: boolean): void {
    this.#ballot.record(from, granted);
    const result = this.#ballot.result(this.#configuration);
    if (result === 'lost') this.#becomeFollower(this.#term, null);
    if (result !== 'won') return;
    if (this.#role === 'pre-candidate') this.#becomeCandidate(false);
    // The others may all have granted already while our own disk is still busy.
    else if (this.#ballot.has(this.#options.id)) this.#becomeLeader();
  }

  // ---- Following ----------------------------------------------------------------------------------------------------

  #answerAppend(to: NodeId, answer: AppendAnswer): void {
    this.#send({ type: 'append-reply', from: this.#options.id, to, term: this.#term, ...answer });
  }

  #onHeartbeat({ from, commit, match, round }: Heartbeat): void {
    // What we acknowledged to this leader in this term cannot be truncated in it: if it is gone, our disk has lost it.
    const regressed = match > this.#log.lastIndex;
    // The leader never sends more than it knows to match here.
    if (!regressed) this.#log.commitTo(commit);
    if (round > this.#heardRound) {
      this.#heardRound = round;
      this.#isUrged = false;
    }
    const { id } = this.#options;
    this.#send({ type: 'heartbeat-reply', from: id, to: from, term: this.#term, round, regressed });
  }

  #send(message: RaftMessage): void {
    this.#noteMessage('Send', message);
    this.#disk.send(message, this.#term, this.#vote);
  }

  #noteMessage(way: 'Send' | 'Receive', message: RaftMessage): void {
    if (this.#note === null) return;
    const name = traceNameOf(way, message.type);
    if (name !== null) this.#note(name, { message });
  }
}
