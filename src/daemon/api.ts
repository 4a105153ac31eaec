/**
 * What a node offers to those above it (HTTP, the simulator's clients). Callbacks, called exactly once, in a later turn
 * or at once.
 */
import type { PolarisError } from '../base/errors.ts';
import type { Address, ClusterId, InstanceId, JobId, LogIndex, NodeId, Range, Term } from '../base/types.ts';
import type { Command, Controls, JobSpec, JobView, Outcome, ScheduleSpec, Table } from '../ranges/types.ts';
import type { JobTypeInfo } from './env.ts';
import type { RosterMember } from './roster.ts';
import type { RunnerAnswer, RunnerRequest } from './runner-api.ts';

export type Result<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: PolarisError };
export type Done<T> = (result: Result<T>) => void;

export type Consistency = 'linearizable' | 'local';

export interface MemberStatus {
  readonly id: NodeId;
  readonly address: Address;
  readonly role: 'leader' | 'follower' | 'candidate' | 'learner' | 'unknown';
  /** Known to the leader only; null elsewhere. */
  readonly matchIndex: LogIndex | null;
}

export interface ClusterStatus {
  /** Null until the cluster is formed. */
  readonly id: ClusterId | null;
  /** Named only after its own-term commit. */
  readonly leader: NodeId | null;
  readonly term: Term;
  readonly commitIndex: LogIndex;
  readonly appliedIndex: LogIndex;
  /** The lowest protocol version that all members announced, which bounds what may be used. Null elsewhere than on the leader. */
  readonly protocol: number | null;
  readonly members: readonly MemberStatus[];
  readonly workers: readonly { readonly id: NodeId; readonly slots: number; readonly busy: number }[];
}

/** Speed of a job as its leader measures it. */
export interface JobPace {
  readonly pointsPerSecond: number;
  /** Null when nothing moves or nothing is left. */
  readonly etaSeconds: number | null;
}

/** A worker as its leader sees it. */
export interface WorkerStatus {
  readonly id: NodeId;
  readonly address: Address;
  readonly slots: number;
  /** Tasks that it holds. */
  readonly busy: number;
  /** It takes nothing new: it was told to drain, or it is stopping. */
  readonly draining: boolean;
}

type Unstamped<C> = C extends unknown ? Omit<C, 'at'> : never;
/** A change of what is kept: names for handles, and what becomes of blobs without one. The leader stamps it. */
export type DataChange = Unstamped<
  Extract<Command, { readonly kind: 'put-dataset' | 'drop-dataset' | 'pin-dataset' | 'condemn' }>
>;

/** A change of the membership, or of who leads. */
export type MemberRequest =
  | { readonly kind: 'add'; readonly member: RosterMember }
  | { readonly kind: 'promote'; readonly id: NodeId }
  | { readonly kind: 'remove'; readonly id: NodeId }
  | { readonly kind: 'transfer'; readonly to: NodeId };

export interface NodeApi {
  readonly id: NodeId;
  readonly address: Address;
  /** Of its data directory. */
  readonly instanceId: InstanceId;
  /** Local, at once, never fails. */
  status(): ClusterStatus;
  /** This node leads, and its own-term no-op is committed. */
  leads(): boolean;
  /** Where the leader listens: null when this node knows none. A worker-role node knows one by hearsay. */
  leaderAddress(): Address | null;
  /** Calls back with true as soon as there is a leader (this node or another), with false after `waitMs`. */
  awaitLeader(waitMs: number, done: (found: boolean) => void): void;
  /** Leader only, else NO_LEADER. Fails with OUTCOME_UNKNOWN when leadership is lost before the commit. */
  submit(spec: JobSpec, done: Done<Extract<Outcome, { kind: 'created' | 'exists' }>>): void;
  control(id: JobId, action: 'pause' | 'resume' | 'cancel', done: Done<void>): void;
  /** What failed within the range, or everywhere, is pending again. WRONG_STATE when there is nothing of it. */
  retry(id: JobId, range: Range | null, uncertain: boolean, done: Done<void>): void;
  /** Leader only, else NO_LEADER. WRONG_STATE where the job is finished. */
  set(id: JobId, changes: Partial<Controls>, done: Done<void>): void;
  /** Leader only, else NO_LEADER: puts a schedule in place of the one of its key. Its next time is reckoned here. */
  putSchedule(schedule: ScheduleSpec, done: Done<void>): void;
  /** Leader only, else NO_LEADER; NOT_FOUND where there is none. The jobs that it submitted stay. */
  dropSchedule(key: string, done: Done<void>): void;
  /** Leader only, else NO_LEADER; what the table refuses is the error: NOT_FOUND, DATASET_CONFLICT, BLOB_CONDEMNED, OVERLOADED. */
  changeData(change: DataChange, done: Done<Outcome>): void;
  /** Leader only, else NO_LEADER; NOT_FOUND. Calls back once the worker knows that it is to hold nothing, or may again. */
  drainWorker(id: NodeId, draining: boolean, done: Done<void>): void;
  /** Leader only, else NO_LEADER: what a worker asks that is no node. Calls back once, unless it is taken back with what this gives. */
  runner(request: RunnerRequest, done: Done<RunnerAnswer>): () => void;
  /** In id order. Known to the leader alone; null elsewhere. */
  workers(): readonly WorkerStatus[] | null;
  /** Why an open job is given nothing just now, or what of it stands still, where the table does not say it. Null where this node does not lead. */
  holdOf(id: JobId): string | null;
  /** Leader only, else NO_LEADER; BAD_MEMBERSHIP with the reason when it cannot or should not be done. */
  changeMembers(request: MemberRequest, done: Done<void>): void;
  /** 'linearizable' is for the leader, else NO_LEADER; 'local' works everywhere. `look` runs in the turn of the read. */
  read<T>(consistency: Consistency, look: (table: Table) => T, done: Done<T>): void;
  /** Leader only, else NO_LEADER: the bytes of a backup (backup.ts), as new as everything acknowledged before the call. */
  backup(done: Done<Uint8Array>): void;
  /** Null on nodes that do not lead, or before anything was measured. */
  pace(job: JobView): JobPace | null;
  /** The job types of this node itself. */
  readonly types: readonly JobTypeInfo[];
  /** What `/readyz` says, by name: 'formed', 'leader', 'applied', 'stopping'. */
  readiness(): readonly { readonly name: string; readonly ok: boolean }[];
}
