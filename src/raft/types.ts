/**
 * Raft, as values: what the core takes in and what it gives out.
 *
 * The core is pure in the manner of etcd-io/raft: it reads no clock, no random, no disk and no socket. Its driver
 * (daemon/replica.ts) feeds it ticks, messages and proposals, and carries out the `Ready` it hands back.
 */
import type { Prng } from '../base/prng.ts';
import type { LogIndex, NodeId, Term } from '../base/types.ts';

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

/** Where a snapshot stands, and who voted there. Membership rides in the snapshot so that compaction cannot lose it. */
export interface SnapshotMeta {
  readonly index: LogIndex;
  readonly term: Term;
  readonly voters: readonly NodeId[];
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

export type RaftMessage = Envelope &
  (
    | { readonly type: 'pre-vote'; readonly lastIndex: LogIndex; readonly lastTerm: Term }
    | { readonly type: 'pre-vote-reply'; readonly granted: boolean }
    | { readonly type: 'vote'; readonly lastIndex: LogIndex; readonly lastTerm: Term }
    | { readonly type: 'vote-reply'; readonly granted: boolean }
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
    /** `round` counts heartbeat rounds within the term; a reply echoes it. Reads and the quorum's freshness hang on it. */
    | { readonly type: 'heartbeat'; readonly commit: LogIndex; readonly round: number }
    | { readonly type: 'heartbeat-reply'; readonly round: number }
    | { readonly type: 'snapshot'; readonly snapshot: Snapshot }
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
  | { readonly ok: false; readonly reason: 'not-leader' | 'overloaded' };

/** For status pages and for the invariants of the simulator. */
export interface RaftStatus {
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
  readonly voters: readonly NodeId[];
  /** Leader only: the own-term no-op is committed, so reads and answers are allowed. */
  readonly settled: boolean;
  /** Leader only: last index known to be on each voter's disk. */
  readonly match: ReadonlyMap<NodeId, LogIndex>;
}

/**
 * The pure core, as its driver sees it. Implemented by `Raft` in raft.ts.
 *
 *   loop:  tick() | step(message) | propose(payload) | requestRead(id) | written() | applied(index)
 *   then:  while (w = takeWrite()) store.write(w, () => { written(); send(w.messages) })   one in flight
 *          carry out ready()
 */
export interface RaftCore {
  tick(): void;
  /** Messages of strangers (not voters) are ignored. */
  step(message: RaftMessage): void;
  propose(payload: Uint8Array): ProposeResult;
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
  /** A snapshot of the state machine at an applied index is durable; entries up to `keepFrom - 1` may be forgotten. */
  compacted(snapshot: Snapshot, keepFrom: LogIndex): void;
  /** Leader only, else 0: number of the last heartbeat round sent in this term. */
  readonly round: number;
  /** Leader only, else 0: the highest round that a quorum (itself counted) has answered. */
  quorumRound(): number;
  status(): RaftStatus;
}
