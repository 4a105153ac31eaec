/**
 * What a runner asks of the leader, and what it is answered: the words of nodes (wire/messages.ts), one question at a
 * time. Whoever asks may go away before the answer; what comes then is for nobody.
 */
import type { Epoch, Incarnation, InstanceId, NodeId, Point } from '../base/types.ts';
import type { Offer, StampedOutput } from '../ranges/types.ts';
import type { ReportResult, TaskOrder, TaskReport } from '../wire/messages.ts';

/** Who speaks. The instance is drawn anew by each process; without it nobody can speak for a session. */
interface Speaker {
  readonly worker: NodeId;
  readonly instanceId: InstanceId;
}

/** Every word within a session is a keep-alive. */
interface Living extends Speaker {
  readonly session: Incarnation;
  /** The leases that it holds; null where it does not say, and then it is told of none that it may lack. */
  readonly epochs: readonly Epoch[] | null;
  /** It knows that it is to hold nothing. */
  readonly draining: boolean;
}

/**
 * Asks for a session. Where the instance has one it is answered with that, for the question may be an old one that was
 * delivered again; only the session that it names itself is ended for a new one.
 */
export interface RunnerJoin extends Speaker {
  readonly kind: 'join';
  /** The last session of this process, of which nothing runs any more; null: there was none. */
  readonly replaces: Incarnation | null;
  readonly slots: number;
  readonly offers: readonly Offer[];
}

/** It would take so many more tasks, and waits for the first of them. */
export interface RunnerClaim extends Living {
  readonly kind: 'claim';
  readonly epochs: readonly Epoch[];
  readonly tasksMax: number;
  readonly waitMs: number;
}

/** How far one task is, or how it ended. */
export interface RunnerReport extends Living {
  readonly kind: 'report';
  readonly epoch: Epoch;
  readonly cursor: Point;
  /** First point not begun; null: everything may have been that was allowed. */
  readonly begun: Point | null;
  /** At most once: the points below are to be claimed; null: as many as the window has. */
  readonly claimed: Point | null;
  readonly ending: TaskReport['ending'];
  readonly error: string;
  /** What points below the cursor emitted, as in the reports of nodes. */
  readonly outputs: readonly StampedOutput[];
  /** It hands out nothing at or beyond this end any more; null where it was not asked. */
  readonly keep: Point | null;
}

export type RunnerRequest = RunnerJoin | RunnerClaim | RunnerReport;

/** Where a task stands: nothing at or beyond `limit` may be begun. */
export interface TaskStanding extends Omit<ReportResult, 'state'> {
  readonly state: 'live' | 'ended';
  readonly limit: Point;
}

export interface RunnerAnswer {
  readonly worker: NodeId;
  readonly session: Incarnation;
  readonly sessionTtlMs: number;
  /** Of the task that was reported. */
  readonly task: TaskStanding | null;
  /** Leases that the runner did not name. */
  readonly orders: readonly TaskOrder[];
  /** Of those that it named, the ones that are over: nothing that their code still does counts. */
  readonly stop: readonly Epoch[];
  /** Leases that are wanted back at the next point. */
  readonly release: readonly Epoch[];
  /** Leases whose far half others could take. */
  readonly shrink: readonly Epoch[];
  /** It is to hold nothing until it is told otherwise. */
  readonly drain: boolean;
}
