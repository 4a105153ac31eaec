/**
 * The store of a node: HardState, log entries and snapshot, in one synced batch at a time.
 *
 * Invariant: when `done(null)` is called, the whole batch survives a power cut. A batch is atomic: all of it or nothing.
 * After `done(error)` the outcome is indeterminate (LevelDB may bring a failed batch back at the next open), so the
 * process must stop and rebuild from disk.
 */
import type { Address, ClusterId, InstanceId, LogIndex, NodeId } from '../base/types.ts';
import type { Entry, HardState, Snapshot } from '../raft/types.ts';

/** The one record that founds a cluster: the same bytes on every founding member. */
export interface Formation {
  readonly clusterId: ClusterId;
  /** In id order. `instanceId` binds each id to one data directory. */
  readonly members: readonly { readonly id: NodeId; readonly instanceId: InstanceId; readonly address: Address }[];
}

export interface StoreBatch {
  readonly hardState?: HardState | null;
  /** Contiguous; everything on disk from the first index on is replaced. */
  readonly entries?: readonly Entry[];
  readonly snapshot?: Snapshot | null;
  /** With `snapshot`: true drops the whole log (a snapshot from the leader), false keeps it (one of our own). */
  readonly resetLog?: boolean;
  /** Entries below this index are deleted. */
  readonly keepFrom?: LogIndex;
  readonly formation?: Formation;
  /** The cluster that a worker-role node joined; a founding member has it in its formation. */
  readonly clusterId?: ClusterId;
}

/** What the disk held at open, checked: CRC of every record, indexes without a gap, terms that never fall. */
export interface StoreContents {
  /** Made and synced at the first open. */
  readonly instanceId: InstanceId;
  /** The cluster that a worker-role node joined, or that the formation names. */
  readonly clusterId: ClusterId | null;
  readonly formation: Formation | null;
  readonly hardState: HardState | null;
  readonly snapshot: Snapshot | null;
  readonly entries: readonly Entry[];
}

export interface Store {
  /** One at a time: a second call before `done` is a broken invariant. Calls `done` in a later turn, never at once. */
  write(batch: StoreBatch, done: (error: Error | null) => void): void;
  close(): Promise<void>;
}
