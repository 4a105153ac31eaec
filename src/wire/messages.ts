/**
 * Everything that nodes say to each other, beside the hello: Raft, snapshots in chunks, hashes of the table, formation,
 * and the talk between leader and workers.
 */
import type { Handle } from '../base/handle.ts';
import type {
  Address,
  ClusterId,
  Epoch,
  Incarnation,
  InstanceId,
  LogIndex,
  NodeId,
  Point,
  Term,
} from '../base/types.ts';
import type { RaftMessage, SnapshotMeta } from '../raft/types.ts';
import type { JobOptions, Offer, StageCheckpoint, StampedCheckpoint, StampedOutput } from '../ranges/types.ts';
import type { Formation } from '../store/types.ts';

/** A task as its worker needs it. */
export interface TaskOrder {
  readonly epoch: Epoch;
  readonly job: string;
  /** Job type. */
  readonly name: string;
  readonly start: Point;
  readonly end: Point;
  readonly cursor: Point;
  readonly claimed: Point;
  /** Canonical JSON text. */
  readonly metadata: string;
  readonly options: JobOptions;
  readonly attempts: number;
  /** Point p is row p of it. */
  readonly input: Handle | null;
  /** From which the whole range may go on. */
  readonly checkpoint: StageCheckpoint | null;
}

/** How far a task is. `ending` is null while it runs. */
export interface TaskReport {
  readonly epoch: Epoch;
  readonly cursor: Point;
  /** First point not begun. */
  readonly begun: Point;
  /** At most once: the worker wants to begin the points below. The cursor, or what is claimed, when it wants no more. */
  readonly claimed: Point;
  readonly ending: null | 'complete' | 'fail' | 'release';
  /** Empty unless it failed. */
  readonly error: string;
  /** What points below the cursor emitted, ascending and disjoint, as far as no answer has told that it is committed. */
  readonly outputs: readonly StampedOutput[];
  /** The last one, until it is committed. */
  readonly checkpoint: StampedCheckpoint | null;
}

/**
 * What became of a report: `cursor`, `claimed` and `end` are committed; 'live' goes on, 'ended' is settled, 'stale' counts
 * for nothing. 'refused' is live, and must end: what it emitted cannot be kept.
 */
export interface ReportResult {
  readonly epoch: Epoch;
  readonly cursor: Point;
  readonly claimed: Point;
  readonly end: Point;
  readonly state: 'live' | 'ended' | 'stale' | 'refused';
  /** Stage of the last checkpoint of the lease that is committed; null when there is none. */
  readonly checkpoint: number | null;
}

/** The end that a worker keeps of a task. */
export interface LeaseOffer {
  readonly epoch: Epoch;
  readonly end: Point;
}

/** From worker to leader. */
export type WorkerMessage =
  | {
      readonly type: 'join';
      /** Chosen anew for each attempt; comes back in the answer. */
      readonly nonce: number;
      readonly instanceId: InstanceId;
      readonly address: Address;
      readonly slots: number;
      readonly offers: readonly Offer[];
    }
  | {
      readonly type: 'keep-alive';
      readonly incarnation: Incarnation;
      /** Grows by one with each keep-alive of an incarnation. */
      readonly sequence: number;
      /** The leases that the worker holds. */
      readonly epochs: readonly Epoch[];
      /** It takes no new task. */
      readonly draining: boolean;
    }
  /** To the leader that asked: the worker hands out nothing at or beyond these ends any more. */
  | { readonly type: 'keep'; readonly incarnation: Incarnation; readonly offers: readonly LeaseOffer[] }
  | {
      readonly type: 'report';
      readonly incarnation: Incarnation;
      readonly sequence: number;
      readonly reports: readonly TaskReport[];
    };

/** A member and where it listens. */
export interface Place {
  readonly id: NodeId;
  readonly address: Address;
}

/** From leader (or, for 'leader', from any voter) to worker. */
export type LeaderMessage =
  | {
      readonly type: 'joined';
      readonly nonce: number;
      readonly incarnation: Incarnation;
      readonly sessionTtlMs: number;
    }
  | { readonly type: 'join-refused'; readonly nonce: number; readonly code: string; readonly detail: string }
  /**
   * Answer to a keep-alive (`sequence` > 0), or a push after a grant (`sequence` 0, which proves nothing about the
   * session). `epochs` are all live leases of the worker at `appliedIndex`; a lease it holds with a lower or equal epoch
   * that is not among them has ended. `orders` tells of those it did not name. `release` asks for some back.
   */
  | {
      readonly type: 'leases';
      readonly incarnation: Incarnation;
      readonly sequence: number;
      readonly appliedIndex: LogIndex;
      readonly epochs: readonly Epoch[];
      readonly orders: readonly TaskOrder[];
      readonly release: readonly Epoch[];
      /** Asks which end of each it would keep, if others took the rest. */
      readonly shrink: readonly Epoch[];
      /** The worker is to give back what it has and to take nothing, until it is told otherwise. */
      readonly drain: boolean;
    }
  | {
      readonly type: 'reported';
      readonly incarnation: Incarnation;
      readonly sequence: number;
      readonly results: readonly ReportResult[];
    }
  /** The incarnation is over: join again. */
  | { readonly type: 'ended'; readonly incarnation: Incarnation }
  /**
   * Who leads, as far as the sender knows; sent when a worker asks a node that does not lead, and at every change of the
   * leader or of the members: a worker that no newcomer told of itself could lose one voter after the other.
   */
  | {
      readonly type: 'leader';
      readonly leader: NodeId | null;
      readonly term: Term;
      readonly members: readonly Place[];
    };

/** Between a node that wants to join and those that are members. */
export type EnlistMessage =
  /** To the leader: take me in as a learner, and with `promote` as a voter once I have caught up. */
  | { readonly type: 'enlist'; readonly promote: boolean }
  /**
   * This node was taken in: the leader says it to the newcomer, and the newcomer to those who met it as a guest, until
   * they answer with 'formed'.
   */
  | { readonly type: 'enlisted'; readonly id: NodeId; readonly clusterId: ClusterId }
  | { readonly type: 'enlist-refused'; readonly code: string; readonly detail: string }
  /** From the leader to a member that can take no further part: it must stop. */
  | { readonly type: 'expelled'; readonly code: string; readonly detail: string };

export type FormationMessage =
  /** To every founding peer, again and again until all have it. */
  | { readonly type: 'form'; readonly formation: Formation }
  /** The record is synced on the sender. */
  | { readonly type: 'formed' };

/**
 * A snapshot on its way to a follower. Within the sender's term, `attempt` names one offer and everything that follows
 * from it, so that what is left over of an earlier one is told apart.
 */
export type TransferMessage =
  | {
      readonly type: 'snapshot-offer';
      readonly term: Term;
      readonly attempt: number;
      readonly meta: SnapshotMeta;
      readonly bytes: number;
      /** Of the whole, in hexadecimal. */
      readonly hash: string;
    }
  /** On the bulk channel. */
  | {
      readonly type: 'snapshot-chunk';
      readonly term: Term;
      readonly attempt: number;
      readonly offset: number;
      readonly crc: number;
      readonly data: Uint8Array;
    }
  /** From the follower: it holds everything below `offset`. The first one answers the offer and says where to go on. */
  | { readonly type: 'snapshot-ack'; readonly term: Term; readonly attempt: number; readonly offset: number };

/** From voter to voter: what the sender's table comes to at this applied index. */
export interface StateHashMessage {
  readonly type: 'state-hash';
  readonly index: LogIndex;
  /** In hexadecimal. */
  readonly hash: string;
}

/** What of Raft travels as it is: a snapshot goes in chunks. */
export type RaftWireMessage = Exclude<RaftMessage, { type: 'snapshot' }>;

export type WireMessage =
  | RaftWireMessage
  | TransferMessage
  | StateHashMessage
  | WorkerMessage
  | LeaderMessage
  | FormationMessage
  | EnlistMessage;

/** First frame of each side of a connection. */
export interface Hello {
  readonly protocol: number;
  readonly protocolMin: number;
  /** Null until the node has formed or joined a cluster. */
  readonly clusterId: string | null;
  readonly nodeId: NodeId;
  readonly instanceId: InstanceId;
  readonly role: 'voter' | 'worker';
  /** Where the sender listens. */
  readonly address: Address;
  /** A voter without a cluster that asks to be taken into this one. */
  readonly joining: boolean;
  /** All voters must have the same, since each may lead and judge the sessions that another gave. */
  readonly sessionTtlMs: number;
  /** Neither formation record nor HardState nor entry on its disk. */
  readonly empty: boolean;
  /** The voters and where they listen, as far as the sender knows: how a worker finds the others. */
  readonly members: readonly Place[];
}

/** Sent instead of messages when a hello is refused; then the connection closes. */
export interface Refusal {
  readonly code: string;
  readonly detail: string;
}
