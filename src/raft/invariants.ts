/**
 * Invariants: what must hold across several nodes at once, for checkers that see all of them.
 *
 * Each function takes a picture of the cluster and says what is wrong with it, or null. They are pure and cheap enough
 * to run after every event of a simulation.
 */
import type { LogIndex, NodeId, Term } from '../base/types.ts';
import type { Entry, RaftStatus } from './types.ts';

/** A node's log as `Raft` shows it. */
export interface LogView {
  readonly id: NodeId;
  readonly entries: readonly Entry[];
}

/** Election Safety: at most one leader a term. `leaders` carries the memory from picture to picture. */
export function electionSafety(statuses: readonly RaftStatus[], leaders: Map<Term, NodeId>): string | null {
  for (const { id, role, term } of statuses) {
    if (role !== 'leader') continue;
    const known = leaders.get(term);
    if (known !== undefined && known !== id) return `term ${term} has two leaders, ${known} and ${id}`;
    leaders.set(term, id);
  }
  return null;
}

/** State Ordering: base < first, snapshot <= commit, applied <= commit <= last. */
export function stateOrdering(status: RaftStatus): string | null {
  const { id, firstIndex, snapshotIndex, applied, commit, lastIndex } = status;
  const isOrdered =
    firstIndex <= snapshotIndex + 1 && snapshotIndex <= commit && applied <= commit && commit <= lastIndex;
  if (isOrdered) return null;
  return `${id} is out of order: first ${firstIndex}, snapshot ${snapshotIndex}, applied ${applied}, commit ${commit}, last ${lastIndex}`;
}

/**
 * Log Matching: entries of the same index and term are the same, and so is everything before them. Two logs therefore
 * agree up to some index and, by term, nowhere after it.
 */
export function logMatching(left: LogView, right: LogView): string | null {
  const rightFirst = right.entries[0]?.index ?? 0;
  let partedAt: LogIndex | null = null;
  for (const entry of left.entries) {
    const other = right.entries[entry.index - rightFirst];
    if (other === undefined) continue;
    if (entry.term !== other.term) partedAt ??= entry.index;
    else if (partedAt !== null || !sameBytes(entry.record, other.record)) {
      return `${left.id} and ${right.id} hold term ${entry.term} at ${entry.index}, but differ at ${partedAt ?? entry.index}`;
    }
  }
  return null;
}

/** State Machine Safety and Committed Immutable: what one node applied at an index, every node applies there. */
export function committedImmutable(
  id: NodeId,
  committed: readonly Entry[],
  history: Map<LogIndex, Entry>,
): string | null {
  for (const entry of committed) {
    const known = history.get(entry.index);
    if (known === undefined) history.set(entry.index, entry);
    else if (known.term !== entry.term || !sameBytes(known.record, entry.record)) {
      return `${id} commits term ${entry.term} at ${entry.index}, where term ${known.term} was committed`;
    }
  }
  return null;
}

/** Leader Completeness: a new leader's log holds everything that was committed before. */
export function leaderCompleteness(leader: LogView, history: ReadonlyMap<LogIndex, Entry>): string | null {
  const first = leader.entries[0]?.index ?? Number.POSITIVE_INFINITY;
  for (const [index, entry] of history) {
    if (index >= first && leader.entries[index - first]?.term !== entry.term) {
      return `leader ${leader.id} lacks entry ${index} of term ${entry.term}, which was committed`;
    }
  }
  return null;
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left === right || (left.length === right.length && left.every((byte, position) => byte === right[position]));
}
