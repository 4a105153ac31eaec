/**
 * Replica: drives the pure Raft core and the job table with a real disk and a real network.
 *
 * The way of a command: `propose` gives it an index; the entry goes to the followers at once and to our disk in the one
 * synced batch that is in flight or in the next; when a quorum's disks have it, it is applied from its own bytes, and
 * the outcome goes to whoever proposed it.
 *
 * Invariants: one write in flight · what a message promises is synced before the message leaves · the table applies each
 * index once, in order · a waiting proposal is answered exactly once.
 */
import { assert } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import {
  APPEND_BYTES_MAX,
  APPLY_BYTES_AT_ONCE_MAX,
  ELECTION_TICKS_MAX,
  ELECTION_TICKS_MIN,
  HEARTBEAT_TICKS,
  INFLIGHT_BYTES_MAX,
  INFLIGHT_MESSAGES_MAX,
  LOG_TAIL_ENTRIES,
  PROPOSALS_WAITING_MAX,
  PROTOCOL,
  READS_WAITING_MAX,
  SNAPSHOT_EVERY_BYTES,
  SNAPSHOT_EVERY_ENTRIES,
  STATE_HASH_EVERY_ENTRIES,
  TICK_MS,
  UNCOMMITTED_BYTES_MAX,
} from '../base/limits.ts';
import { openRecord, sealRecord } from '../base/record.ts';
import type { LogIndex, NodeId, Term } from '../base/types.ts';
import { NOBODY } from '../raft/configuration.ts';
import { Raft } from '../raft/raft.ts';
import type { Entry, ProposeResult, RaftMessage, RaftStanding, RaftStatus, Snapshot } from '../raft/types.ts';
import { encodeCommand } from '../ranges/codec.ts';
import { JobTable } from '../ranges/table.ts';
import type { Command, Outcome, Table, TableEvent } from '../ranges/types.ts';
import type { StoreContents } from '../store/types.ts';
import type { RaftWireMessage, StateHashMessage, TransferMessage } from '../wire/messages.ts';
import type { Done } from './api.ts';
import type { Env } from './env.ts';
import { protocolOf } from './features.ts';
import {
  decodeImage,
  decodeMemberChange,
  encodeImage,
  encodeMemberChange,
  type MemberChange,
  Roster,
} from './roster.ts';
import { SnapshotReceiver } from './snapshot-receiver.ts';
import { SnapshotSender } from './snapshot-sender.ts';
import { StateHashes, tableHash } from './state-hash.ts';

/** What replicas say to each other. */
export type ReplicaMessage = RaftWireMessage | TransferMessage | StateHashMessage;

export interface ReplicaOptions {
  readonly env: Env;
  readonly id: NodeId;
  /** With a formation, hence with a snapshot and a HardState. */
  readonly contents: StoreContents;
  readonly snapshotEveryEntries?: number | undefined;
  readonly logTailEntries?: number | undefined;
  readonly snapshotChunkBytes?: number | undefined;
  readonly stateHashEveryEntries?: number | undefined;
  readonly send: (to: NodeId, message: ReplicaMessage) => void;
  /** The version that all members understand; without it, that of this node. */
  readonly protocol?: () => number;
  /** Something happened outside a pump: run one soon. */
  readonly wake: () => void;
  readonly onApplied: (index: LogIndex, events: readonly TableEvent[]) => void;
  /** The whole table was replaced by a leader's snapshot. */
  readonly onRestored: () => void;
  /** The roster was changed by the log. */
  readonly onMembers: () => void;
}

/** To the table, what the empty payload of a new leader is. */
const NO_COMMAND = new Uint8Array(0);

const WHY_NOT = {
  'not-leader': 'NO_LEADER',
  overloaded: 'OVERLOADED',
  transferring: 'NO_LEADER',
  'conf-change-pending': 'MEMBERSHIP_BUSY',
} as const;

interface WaitingProposal {
  readonly term: Term;
  readonly done: Done<Outcome>;
}

/** When heartbeat rounds of the present term were sent, oldest first. */
interface SentRound {
  readonly round: number;
  readonly at: number;
}

export class Replica {
  readonly table: Table = new JobTable();
  readonly roster = new Roster();
  readonly raft: Raft;
  readonly #options: ReplicaOptions;
  readonly #env: Env;
  readonly #proposals = new Map<LogIndex, WaitingProposal>();
  readonly #reads = new Map<number, Done<void>>();
  #readId = 0;
  #term: Term;
  #leading = false;
  #writing = false;
  #appliedTerm: Term;
  #appliedBytes = 0;
  #ownSnapshot: Snapshot | null = null;
  #rounds: SentRound[] = [];
  readonly #snapshotSender: SnapshotSender;
  readonly #snapshotReceiver: SnapshotReceiver;
  readonly #stateHashes: StateHashes;

  constructor(options: ReplicaOptions) {
    this.#options = options;
    this.#env = options.env;
    const { contents } = options;
    // A node that was just taken in has nothing yet, and can only listen until the leader's snapshot comes.
    const snapshot = contents.snapshot ?? {
      meta: { index: 0, term: 0, configuration: NOBODY },
      data: new Uint8Array(0),
    };
    const hardState = contents.hardState ?? { term: 0, vote: null, commit: 0 };
    if (contents.snapshot !== null) this.#load(contents.snapshot);
    this.#appliedTerm = snapshot.meta.term;
    this.#term = hardState.term;
    this.raft = new Raft(
      {
        id: options.id,
        prng: options.env.prng.fork(),
        electionTicksMin: ELECTION_TICKS_MIN,
        electionTicksMax: ELECTION_TICKS_MAX,
        heartbeatTicks: HEARTBEAT_TICKS,
        appendBytesMax: APPEND_BYTES_MAX,
        inflightMessagesMax: INFLIGHT_MESSAGES_MAX,
        inflightBytesMax: INFLIGHT_BYTES_MAX,
        uncommittedBytesMax: UNCOMMITTED_BYTES_MAX,
        seal: sealRecord,
        encodeConfChange: (change) => encodeMemberChange({ change, newcomers: [] }),
        ...(options.env.trace === undefined ? {} : { trace: options.env.trace }),
      },
      { hardState, snapshot, entries: contents.entries },
    );
    const { id, send, snapshotChunkBytes: chunkBytes } = options;
    const { log } = options.env;
    this.#snapshotSender = new SnapshotSender({
      ...{ log, send, chunkBytes },
      headway: (to) => this.raft.snapshotMoved(to),
    });
    this.#snapshotReceiver = new SnapshotReceiver({
      ...{ id, log, send },
      standing: () => this.raft.standing(),
      complete: (message) => this.raft.step(message),
    });
    this.#stateHashes = new StateHashes({ id, log });
  }

  /** Term of the entry applied last. Equal to the term of a leader, its own no-op is applied. */
  get appliedTerm(): Term {
    return this.#appliedTerm;
  }

  status(): RaftStatus {
    return this.raft.status();
  }

  standing(): RaftStanding {
    return this.raft.standing();
  }

  /**
   * Whether a quorum answered heartbeats that were sent within the shortest election timeout: until then nobody else can
   * have been elected. After a stall of this process the rounds are old and the answer is no, whatever the ticks say.
   */
  fresh(): boolean {
    const { id, role, term, voters, waived } = this.raft.standing();
    // A member that was told to campaign may be elected whatever the others hear.
    if (role !== 'leader' || term !== this.#term || waived) return false;
    if (voters.length === 1 && voters[0] === id) return true;
    const answered = this.raft.quorumRound();
    const sent = this.#rounds.findLast((one) => one.round <= answered);
    return sent !== undefined && this.#env.clock.now() - sent.at < ELECTION_TICKS_MIN * TICK_MS;
  }

  /** Calls back with the outcome once the command is applied; NO_LEADER, OVERLOADED or BAD_REQUEST when it certainly is not. */
  propose(command: Command, done: Done<Outcome>): LogIndex | null {
    if (this.#proposals.size >= PROPOSALS_WAITING_MAX) {
      done({ ok: false, error: new PolarisError('OVERLOADED') });
      return null;
    }
    if (protocolOf(command.kind) > (this.#options.protocol?.() ?? PROTOCOL)) {
      done({ ok: false, error: new PolarisError('NOT_UNDERSTOOD') });
      return null;
    }
    const payload = encoded(command);
    if (payload instanceof PolarisError) {
      done({ ok: false, error: payload });
      return null;
    }
    const result = this.raft.propose(payload);
    if (!result.ok) {
      done({ ok: false, error: new PolarisError(WHY_NOT[result.reason]) });
      return null;
    }
    assert(!this.#proposals.has(result.index), 'one proposal an index');
    this.#proposals.set(result.index, { term: result.term, done });
    this.#options.wake();
    return result.index;
  }

  /** Calls back once the change is in force here. */
  proposeMembers(memberChange: MemberChange, done: Done<void>): void {
    let result: ProposeResult;
    try {
      result = this.raft.proposeConfChange(memberChange.change, encodeMemberChange(memberChange));
    } catch (thrown) {
      if (thrown instanceof PolarisError) return done({ ok: false, error: thrown });
      throw thrown;
    }
    if (!result.ok) return done({ ok: false, error: new PolarisError(WHY_NOT[result.reason]) });
    this.#proposals.set(result.index, {
      term: result.term,
      done: (outcome) => done(outcome.ok ? { ok: true, value: undefined } : outcome),
    });
    this.#options.wake();
  }

  /** Calls back once the table holds everything that was acknowledged before the call. */
  read(done: Done<void>): void {
    if (this.#reads.size >= READS_WAITING_MAX) return done({ ok: false, error: new PolarisError('OVERLOADED') });
    const id = ++this.#readId;
    if (!this.raft.requestRead(id)) return done({ ok: false, error: new PolarisError('NO_LEADER') });
    this.#reads.set(id, done);
    this.#options.wake();
  }

  /** Everything that was applied, for a snapshot or a backup. */
  image(): { readonly index: LogIndex; readonly term: Term; readonly image: Uint8Array } {
    const image = encodeImage(this.roster.snapshot(), this.table.snapshot());
    return { index: this.table.appliedIndex, term: this.#appliedTerm, image };
  }

  /** What another replica says. */
  receive(from: NodeId, message: ReplicaMessage): void {
    const now = this.#env.clock.now();
    switch (message.type) {
      case 'snapshot-offer':
        return this.#snapshotReceiver.offered(from, message, now);
      case 'snapshot-chunk':
        return this.#snapshotReceiver.received(from, message, now);
      case 'snapshot-ack':
        return this.#snapshotSender.acknowledged(from, message, now);
      case 'state-hash':
        return endIf(this.#stateHashes.heard(from, message.index, message.hash, this.raft.standing().voters));
      default:
        return this.raft.step(message);
    }
  }

  /** Transfers go on by time, unlike Raft's ticks by all of it that passed. */
  tickTransfers(now: number): void {
    this.#snapshotSender.tick(now);
    this.#snapshotReceiver.tick(now);
  }

  /** One slice of work; true when more is waiting. */
  pump(): boolean {
    this.#watchTerm();
    this.#startWrite();
    const ready = this.raft.ready(APPLY_BYTES_AT_ONCE_MAX);
    this.#noteRound();
    for (const message of ready.messages) this.#send(message);
    for (const id of ready.failedReads) this.#finishRead(id, new PolarisError('NO_LEADER'));
    if (ready.snapshot !== null) this.#restore(ready.snapshot);
    for (const entry of ready.committed) this.#apply(entry);
    for (const read of ready.reads) {
      assert(read.index <= this.table.appliedIndex, 'a read is served after its index is applied');
      this.#finishRead(read.id, null);
    }
    this.#considerSnapshot();
    this.#startWrite();
    this.#watchTerm();
    return this.raft.hasReady();
  }

  /** Fails what waits, for a node that stops. */
  close(): void {
    this.#failProposals(new PolarisError('STOPPING'));
    for (const id of [...this.#reads.keys()]) this.#finishRead(id, new PolarisError('STOPPING'));
  }

  #watchTerm(): void {
    const { term, role } = this.raft.standing();
    const leading = role === 'leader';
    if (term === this.#term && leading === this.#leading) return;
    if (this.#leading) this.#failProposals(new PolarisError('OUTCOME_UNKNOWN'));
    this.#term = term;
    this.#leading = leading;
    this.#rounds = [];
    this.#snapshotSender.stop();
  }

  /** A whole snapshot goes in chunks, on a channel of its own. */
  #send(message: RaftMessage): void {
    if (message.type === 'snapshot') this.#snapshotSender.start(message, this.#env.clock.now());
    else this.#options.send(message.to, message);
  }

  /** Taken before the messages leave, so that the noted time is never later than the sending. */
  #noteRound(): void {
    const { round } = this.raft;
    const last = this.#rounds.at(-1)?.round ?? 0;
    if (round <= last) return;
    this.#rounds.push({ round, at: this.#env.clock.now() });
    const answered = this.raft.quorumRound();
    const keep = this.#rounds.findLastIndex((one) => one.round <= answered);
    if (keep > 0) this.#rounds.splice(0, keep);
  }

  #startWrite(): void {
    if (this.#writing) return;
    if (this.#ownSnapshot !== null) return this.#writeOwnSnapshot(this.#ownSnapshot);
    const write = this.raft.takeWrite();
    if (write === null) return;
    this.#write(
      { hardState: write.hardState, entries: write.entries, snapshot: write.snapshot, resetLog: true },
      () => {
        this.raft.written();
        for (const message of write.messages) this.#send(message);
      },
    );
  }

  #writeOwnSnapshot(snapshot: Snapshot): void {
    this.#ownSnapshot = null;
    const { snapshotIndex, firstIndex } = this.raft.standing();
    // A snapshot of the leader's that arrived meanwhile stands further on.
    if (snapshot.meta.index <= snapshotIndex) return this.#startWrite();
    const tail = this.#options.logTailEntries ?? LOG_TAIL_ENTRIES;
    const keepFrom = Math.max(firstIndex, snapshot.meta.index + 1 - tail);
    this.raft.compacting();
    this.#write({ snapshot, resetLog: false, keepFrom }, () => this.raft.compacted(snapshot, keepFrom));
  }

  #write(batch: Parameters<Env['store']['write']>[0], synced: () => void): void {
    this.#writing = true;
    this.#env.store.write(batch, (error) => {
      if (error !== null) return this.#env.fatal(error);
      this.#writing = false;
      synced();
      this.#options.wake();
    });
  }

  #apply(entry: Entry): void {
    const { payload, index, term } = openRecord(entry.record);
    assert(index === entry.index && term === entry.term, 'a record stands at its own index and term');
    const memberChange = decodeMemberChange(payload);
    // To the table a change of the members is a no-op: it only counts the index.
    const { outcome, events } = this.table.apply(index, memberChange === null ? payload : NO_COMMAND);
    if (memberChange !== null) this.#changeMembers(index, memberChange);
    this.#appliedTerm = term;
    this.#appliedBytes += entry.record.length;
    this.raft.applied(index);
    if (index % (this.#options.stateHashEveryEntries ?? STATE_HASH_EVERY_ENTRIES) === 0) this.#sayStateHash(index);
    this.#options.onApplied(index, events);
    this.#finishProposal(index, term, outcome);
  }

  /** Before anybody is answered from this table: it may be the wrong one. */
  #sayStateHash(index: LogIndex): void {
    const { voters } = this.raft.standing();
    const { id } = this.#options;
    if (voters.length === 1) return;
    const hash = tableHash(encodeImage(this.roster.snapshot(), this.table.snapshot()));
    for (const to of voters) if (to !== id) this.#options.send(to, { type: 'state-hash', index, hash });
    endIf(this.#stateHashes.own(index, hash, voters));
  }

  #load({ meta, data }: Snapshot): void {
    const { roster, table } = decodeImage(data);
    this.roster.restore(roster);
    this.table.restore(meta.index, table);
  }

  #changeMembers(index: LogIndex, memberChange: MemberChange): void {
    const configuration = this.raft.applyConfChange(memberChange.change);
    this.roster.apply(memberChange, configuration);
    this.#env.log.info({ index, ...configuration }, 'members-changed');
    this.#options.onMembers();
  }

  #finishProposal(index: LogIndex, term: Term, outcome: Outcome): void {
    const waiting = this.#proposals.get(index);
    if (waiting === undefined) return;
    this.#proposals.delete(index);
    // Another leader's entry took the index: ours can never be committed.
    if (waiting.term !== term) return waiting.done({ ok: false, error: new PolarisError('NO_LEADER') });
    waiting.done({ ok: true, value: outcome });
  }

  #restore(snapshot: Snapshot): void {
    assert(snapshot.meta.index > this.table.appliedIndex, 'a snapshot leads forward');
    this.#load(snapshot);
    this.#appliedTerm = snapshot.meta.term;
    this.#appliedBytes = 0;
    this.raft.applied(snapshot.meta.index);
    this.#options.onRestored();
    this.#options.onMembers();
  }

  /**
   * Also while a write is under way, for on a busy node one always is: the log would never be cut. Only what our own disk
   * holds is applied, so the snapshot cannot pass the log there; it is the next write.
   */
  #considerSnapshot(): void {
    if (this.#ownSnapshot !== null) return;
    const { snapshotIndex, configuration } = this.raft.standing();
    const entries = this.table.appliedIndex - snapshotIndex;
    const due = entries >= (this.#options.snapshotEveryEntries ?? SNAPSHOT_EVERY_ENTRIES);
    if (entries === 0 || (!due && this.#appliedBytes < SNAPSHOT_EVERY_BYTES)) return;
    this.#appliedBytes = 0;
    const { index, term, image: data } = this.image();
    this.#ownSnapshot = { meta: { index, term, configuration }, data };
  }

  #finishRead(id: number, error: PolarisError | null): void {
    const done = this.#reads.get(id);
    this.#reads.delete(id);
    done?.(error === null ? { ok: true, value: undefined } : { ok: false, error });
  }

  #failProposals(error: PolarisError): void {
    const waiting = [...this.#proposals.values()];
    this.#proposals.clear();
    for (const one of waiting) one.done({ ok: false, error });
  }
}

/** The command's bytes, or what is wrong with it: the word of a client or a worker must not end the leader. */
function encoded(command: Command): Uint8Array | PolarisError {
  try {
    return encodeCommand(command);
  } catch (thrown) {
    if (thrown instanceof PolarisError) return thrown;
    throw thrown;
  }
}

/** Thrown, an error ends this very turn, and with it the node. */
function endIf(error: PolarisError | null): void {
  if (error !== null) throw error;
}
