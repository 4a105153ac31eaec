/**
 * Trace: one event for each change of a node's state, for eyes and for checkers of recorded runs.
 *
 * Names and fields are those of etcd-io/raft's state trace, so that a trace can be held against a specification of Raft
 * as theirs is. An event is made only when somebody listens: the core asks `trace?.(…)`, and what stands in the brackets
 * is not even computed without a listener.
 */
import type { LogIndex, NodeId, Term } from '../base/types.ts';
import type { ConfChange, RaftMessage, Role } from './types.ts';

export type TraceName =
  | 'InitState'
  | 'BecomeFollower'
  | 'BecomeCandidate'
  | 'BecomeLeader'
  | 'Commit'
  | 'Replicate'
  | 'ChangeConf'
  | 'ApplyConfChange'
  | 'Ready'
  | 'SendAppendEntriesRequest'
  | 'ReceiveAppendEntriesRequest'
  | 'SendAppendEntriesResponse'
  | 'ReceiveAppendEntriesResponse'
  | 'SendRequestVoteRequest'
  | 'ReceiveRequestVoteRequest'
  | 'SendRequestVoteResponse'
  | 'ReceiveRequestVoteResponse';

/** What a single event adds to the state of the node. */
export interface TraceDetail {
  readonly message?: RaftMessage;
  readonly change?: ConfChange;
}

/** The state is that after the change. */
export interface TraceEvent extends TraceDetail {
  readonly name: TraceName;
  readonly nodeId: NodeId;
  readonly state: { readonly term: Term; readonly vote: NodeId | null; readonly commit: LogIndex };
  readonly role: Role;
  /** Last index of the log. */
  readonly logSize: LogIndex;
  /** Voters of the incoming half, and of the outgoing one. */
  readonly config: readonly [readonly NodeId[], readonly NodeId[]];
}

/** Tells of an event; null when nobody listens. */
export type Note = ((name: TraceName, detail?: TraceDetail) => void) | null;

type Way = 'Send' | 'Receive';

/** Null for messages that a trace does not speak of: pre-votes and the word to campaign change no state by themselves. */
export function traceNameOf(way: Way, type: RaftMessage['type']): TraceName | null {
  switch (type) {
    case 'append':
    case 'heartbeat':
    case 'snapshot':
      return `${way}AppendEntriesRequest`;
    case 'append-reply':
    case 'heartbeat-reply':
      return `${way}AppendEntriesResponse`;
    case 'vote':
      return `${way}RequestVoteRequest`;
    case 'vote-reply':
      return `${way}RequestVoteResponse`;
    default:
      return null;
  }
}
