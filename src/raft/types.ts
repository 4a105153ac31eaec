/**
 * Raft, as values: what the core takes in and what it gives out.
 *
 * The core is pure in the manner of etcd-io/raft: it reads no clock, no random, no disk and no socket. Its driver
 * (daemon/replica.ts) feeds it ticks, messages and proposals, and carries out the `Ready` it hands back.
 */
import type { Prng } from '../base/prng.ts';
import type { LogIndex, NodeId, Term } from '../base/types.ts';
import type { TraceEvent } from './trace.ts';

/** One log entry. `record` is opaque here (base/record.ts makes it), and the same bytes everywhere. */
export interface Entry {
  readonly term: Term;
  readonly index: LogIndex;
  readonly record: Uint8Array;
}

/** What must be on disk before anything is said that depends on it. `commit` may lag behind; it is a hint for restart. */
export interface HardState {
  readonly term: Term;
  readonly vote: NodeId | null;
  readonly commit: LogIndex;
}

/**
 * Who takes part, and how: each list sorted, each id once. While the change of a configuration is under way it is joint:
 * `votersOutgoing` is then not empty, and every decision needs a majority of `voters` and one of `votersOutgoing`.
 */
export interface Configuration {
  readonly voters: readonly NodeId[];
  readonly votersOutgoing: readonly NodeId[];
  /** They receive everything and decide nothing. */
  readonly learners: readonly NodeId[];
  /** Voters of the outgoing half that become learners when the joint configuration is left. */
  readonly learnersNext: readonly NodeId[];
  /** The leader leaves the joint configuration by itself. */
  readonly autoLeave: boolean;
}

/**
 * A change of the configuration. No changes at all mean: leave the joint configuration. With 'auto' one change of one
 * voter is made in one step, and more go through a joint configuration that is left by itself; the others always go
 * through one, and 'joint-explicit' is left only by a change of its own.
 */
export interface ConfChange {
  readonly transition: 'auto' | 'joint-implicit' | 'joint-explicit';
  readonly changes: readonly { readonly kind: 'add-voter' | 'add-learner' | 'remove'; readonly id: NodeId }[];
}

/** Where a snapshot stands, and who belonged to the cluster there: compaction cannot lose the membership. */
export interface SnapshotMeta {
  readonly index: LogIndex;
  readonly term: Term;
  readonly configuration: Configuration;
}

export interface Snapshot {
  readonly meta: SnapshotMeta;
  readonly data: Uint8Array;
}

interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  /** The sender's term; for a pre-vote the term it would campaign in. */
  readonly term: Term;
}

/**
 * The last entry that the sender knows to be committed. Whoever holds the same entry knows it then too, and with it the
 * configurations up to there: without this, one that asks by an old configuration and one that refuses by a new one could
 * wait for each other for ever.
 */
export interface CommitClaim {
  readonly commit: LogIndex;
  readonly commitTerm: Term;
}

export type RaftMessage = Envelope &
  (
    | ({ readonly type: 'pre-vote'; readonly lastIndex: LogIndex; readonly lastTerm: Term } & CommitClaim)
    | ({ readonly type: 'pre-vote-reply'; readonly granted: boolean } & CommitClaim)
    /** `transfer`: the leader itself asked for this campaign, so a voter that hears it may vote all the same. */
    | ({
        readonly type: 'vote';
        readonly lastIndex: LogIndex;
        readonly lastTerm: Term;
        readonly transfer: boolean;
      } & CommitClaim)
    | ({ readonly type: 'vote-reply'; readonly granted: boolean } & CommitClaim)
    | {
        readonly type: 'append';
        readonly prevIndex: LogIndex;
        readonly prevTerm: Term;
        readonly entries: readonly Entry[];
        readonly commit: LogIndex;
      }
    /**
     * Accepted: `index` is the last index known to match. Rejected: `index` is the refused prevIndex, and the hint is
     * the largest (index, term) of the follower that may still match (Raft §5.3, per-term backtracking).
     */
    | {
        readonly type: 'append-reply';
        readonly index: LogIndex;
        readonly rejected: boolean;
        readonly hintIndex: LogIndex;
        readonly hintTerm: Term;
      }
    /**
     * `round` counts heartbeat rounds within the term; a reply echoes it. Reads and the quorum's freshness hang on it.
     * `match` is the last index that the receiver acknowledged to this leader; `regressed` answers that it is gone.
     */
    | { readonly type: 'heartbeat'; readonly commit: LogIndex; readonly match: LogIndex; readonly round: number }
    | { readonly type: 'heartbeat-reply'; readonly round: number; readonly regressed: boolean }
    | { readonly type: 'snapshot'; readonly snapshot: Snapshot }
    /** Leadership transfer: campaign at once, unless a later round than this one has been heard. */
    | { readonly type: 'timeout-now'; readonly round: number }
  );

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

export interface RaftOptions {
  readonly id: NodeId;
  readonly prng: Prng;
  /** Ticks without a leader before a campaign: drawn anew from [min, max) each time. */
  readonly electionTicksMin: number;
  readonly electionTicksMax: number;
  readonly heartbeatTicks: number;
  /** Entries of one append message, in bytes of records; at least one entry goes always. */
  readonly appendBytesMax: number;
  /** Appends and bytes on their way to one follower, unacknowledged. */
  readonly inflightMessagesMax: number;
  readonly inflightBytesMax: number;
  /** Bytes proposed and not yet committed; beyond it `propose` says 'overloaded'. */
  readonly uncommittedBytesMax: number;
  /** Makes the record of a new entry. An empty payload is the no-op at the start of a term. */
  readonly seal: (term: Term, index: LogIndex, payload: Uint8Array) => Uint8Array;
  /** Makes the payload with which the leader leaves a joint configuration by itself. */
  readonly encodeConfChange: (change: ConfChange) => Uint8Array;
  /** Hears of every change of state. Without it no event is even made. */
  readonly trace?: (event: TraceEvent) => void;
}

/** What the disk held when the process started. `entries` are contiguous and may begin at or below `snapshot.meta.index + 1`. */
export interface RaftInitial {
  readonly hardState: HardState;
  readonly snapshot: Snapshot;
  readonly entries: readonly Entry[];
}

/** One synced batch for the disk; `messages` may leave only after it is synced. */
export interface Write {
  readonly hardState: HardState | null;
  /** Contiguous; replaces everything on disk from its first index on. */
  readonly entries: readonly Entry[];
  /** Set when a snapshot was received: it replaces the whole log on disk. */
  readonly snapshot: Snapshot | null;
  readonly messages: readonly RaftMessage[];
}

/** A read that may be served once `index` is applied. It is handed out together with the entry at `index`, or after it. */
export interface ReadyRead {
  readonly id: number;
  readonly index: LogIndex;
}

/**
 * What the driver must do now, in this order: send `messages`; serve `failedReads` with NO_LEADER; install `snapshot`
 * into the state machine; apply `committed`; serve `reads` once their index is applied. Disk writes are taken apart with
 * `takeWrite`, because only one is in flight at a time.
 */
export interface Ready {
  readonly messages: readonly RaftMessage[];
  /** A received snapshot that the state machine must take before `committed`. Already durable. */
  readonly snapshot: Snapshot | null;
  readonly committed: readonly Entry[];
  readonly reads: readonly ReadyRead[];
  readonly failedReads: readonly number[];
}

export type ProposeResult =
  | { readonly ok: true; readonly index: LogIndex; readonly term: Term }
  | { readonly ok: false; readonly reason: 'not-leader' | 'overloaded' | 'transferring' | 'conf-change-pending' };

export type TransferResult =
  | { readonly ok: true }
  /** Only a voter of the incoming half may lead next; and while one may campaign at any moment, no other is told to. */
  | { readonly ok: false; readonly reason: 'not-leader' | 'not-a-voter' | 'leads-already' | 'transferring' };

/** What the leader knows of one member. */
export interface MemberProgress {
  /** Last index known to be on its disk. */
  readonly match: LogIndex;
  readonly next: LogIndex;
  readonly state: 'probe' | 'replicate' | 'snapshot';
  /** Heard within the running check of the quorum or the one before. */
  readonly recentActive: boolean;
  /** Index of the snapshot that is under way to it, else null. */
  readonly pendingSnapshot: LogIndex | null;
  /** It lost what it had acknowledged to this leader: it counts no more, and must be removed. */
  readonly regressed: boolean;
}

/** Where a node stands: what its driver asks for several times a turn, and what costs nothing to say. */
export interface RaftStanding {
  readonly id: NodeId;
  readonly role: Role;
  readonly term: Term;
  readonly vote: NodeId | null;
  readonly leader: NodeId | null;
  readonly commit: LogIndex;
  readonly applied: LogIndex;
  readonly firstIndex: LogIndex;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly snapshotIndex: LogIndex;
  /** As of the applied index. */
  readonly configuration: Configuration;
  /** Of both halves. */
  readonly voters: readonly NodeId[];
  /** Leader only: the own-term no-op is committed, so reads and answers are allowed. */
  readonly settled: boolean;
  /** Leader only: who is to lead next. Proposals are refused meanwhile. */
  readonly transferee: NodeId | null;
  /**
   * Leader only: a member was told to campaign whatever the others hear. Heartbeats that a quorum answered then no longer
   * prove that nobody else leads; reads are not touched.
   */
  readonly waived: boolean;
}

/** All of it, for status pages, for changes of the membership and for the invariants of the simulator. */
export interface RaftStatus extends RaftStanding {
  /** Leader only: last index known to be on each voter's disk. */
  readonly match: ReadonlyMap<NodeId, LogIndex>;
  /** Leader only: every member of the configuration, itself included. */
  readonly progress: ReadonlyMap<NodeId, MemberProgress>;
}

/**
 * The pure core, as its driver sees it. Implemented by `Raft` in raft.ts.
 *
 *   loop:  tick() | step(message) | propose(payload) | requestRead(id) | written() | applied(index)
 *          a committed entry that holds a change of the configuration: applyConfChange(change), then applied(index)
 *   then:  while (w = takeWrite()) store.write(w, () => { written(); send(w.messages) })   one in flight
 *          carry out ready()
 */
export interface RaftCore {
  tick(): void;
  /** Requests are taken from anybody, answers only from members: whoever may connect is the driver's business. */
  step(message: RaftMessage): void;
  propose(payload: Uint8Array): ProposeResult;
  /**
   * Proposes the driver's bytes for a change. One may be pending at a time: proposed and not yet applied.
   * @throws PolarisError BAD_MEMBERSHIP when the change does not fit the configuration.
   */
  proposeConfChange(change: ConfChange, payload: Uint8Array): ProposeResult;
  /**
   * A committed entry holds this change: it is in force from now on. Called while that entry is applied, before
   * `applied`, and by every node for every such entry.
   */
  applyConfChange(change: ConfChange): Configuration;
  /**
   * Hands leadership to a voter: it is brought up to date while proposals wait outside, and then told to campaign. Given
   * up after one election timeout. A later call with another id takes its place until the first was told.
   */
  transferLeadership(to: NodeId): TransferResult;
  /** Asks for a linearizable read (ReadIndex). False when this node is no leader. `id` comes back in `reads` or `failedReads`. */
  requestRead(id: number): boolean;
  /** The next batch for the disk, or null when there is nothing to write or one is in flight. */
  takeWrite(): Write | null;
  /** The batch in flight is synced. The driver then sends its messages. */
  written(): void;
  /** Takes what may be done now; each thing is handed out once. `committedBytesMax` bounds one slice of entries. */
  ready(committedBytesMax: number): Ready;
  /** Whether `ready` would hand out anything. */
  hasReady(): boolean;
  /** The state machine has applied up to here. */
  applied(index: LogIndex): void;
  /** A snapshot of the state machine is on its way to the disk: until `compacted` there is no other write. */
  compacting(): void;
  /** A snapshot of the state machine at an applied index is durable; entries up to `keepFrom - 1` may be forgotten. */
  compacted(snapshot: Snapshot, keepFrom: LogIndex): void;
  /** A follower took some more of the snapshot that was handed out for it: it is not to be taken for lost yet. */
  snapshotMoved(to: NodeId): void;
  /** Leader only, else 0: number of the last heartbeat round sent in this term. */
  readonly round: number;
  /** Leader only, else 0: the highest round that a quorum (itself counted) has answered. */
  quorumRound(): number;
  standing(): RaftStanding;
  status(): RaftStatus;
}
