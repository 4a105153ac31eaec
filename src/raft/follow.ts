/**
 * Follow: how a follower judges what its leader sends, and what it answers.
 *
 * The caller has settled the terms already: the message is from the leader of the current term. That leader holds every
 * committed entry (Raft §5.4.3, Leader Completeness), and so whatever lies at or below our commit index matches without
 * a look. This is what makes late appends, and appends that begin below our snapshot, harmless.
 *
 * Invariants: commit never moves past what this very append proved · nothing at or below commit is cut off.
 */
import { assert, must } from '../base/assert.ts';
import type { RaftLog } from './log.ts';
import type { RaftMessage, Snapshot } from './types.ts';

export type AppendMessage = Extract<RaftMessage, { type: 'append' }>;
export type AppendAnswer = Pick<
  Extract<RaftMessage, { type: 'append-reply' }>,
  'index' | 'rejected' | 'hintIndex' | 'hintTerm'
>;

/** Takes the entries that belong here, and says up to where the logs are now known to match. */
export function acceptAppend(log: RaftLog, message: AppendMessage): AppendAnswer {
  const { prevIndex, prevTerm, entries } = message;
  if (prevIndex > log.commit && !log.matches(prevIndex, prevTerm)) return refuse(log, prevIndex, prevTerm);
  // The part at or below commit is here already, perhaps as a snapshot only: it is no conflict, and it is not looked at.
  const known = Math.max(0, log.commit - prevIndex);
  log.merge(known === 0 ? entries : entries.slice(known));
  const proven = Math.max(prevIndex + entries.length, log.commit);
  // Entries behind the proven ones may be leftovers of another leader: the leader's commit says nothing about them.
  log.commitTo(Math.min(message.commit, proven));
  return accept(proven);
}

/**
 * Per-term backtracking (Raft §5.3, end): the leader's entry at the conflict has `prevTerm`, and terms never fall, so
 * no entry of ours with a higher term can match. One answer skips all of them.
 */
function refuse(log: RaftLog, prevIndex: number, prevTerm: number): AppendAnswer {
  const hintIndex = log.lastNotAbove(prevIndex, prevTerm);
  assert(hintIndex >= log.commit, 'everything committed matches the leader');
  const hintTerm = must(log.termAt(hintIndex), 'the hint is an entry of the log');
  return { index: prevIndex, rejected: true, hintIndex, hintTerm };
}

/** Three cases: we have more already; we have just this in our log; or our log must go. */
export function acceptSnapshot(log: RaftLog, snapshot: Snapshot): AppendAnswer {
  const { index, term } = snapshot.meta;
  if (index <= log.commit) return accept(log.commit);
  if (log.matches(index, term)) log.commitTo(index);
  else log.restore(snapshot);
  return accept(index);
}

function accept(index: number): AppendAnswer {
  return { index, rejected: false, hintIndex: 0, hintTerm: 0 };
}

/** Whether the entries follow `prevIndex` without a gap, with terms that never fall. Anything else counts as lost on the way. */
export function isWellFormed(message: AppendMessage): boolean {
  let index = message.prevIndex;
  let term = message.prevTerm;
  for (const entry of message.entries) {
    if (entry.index !== index + 1 || entry.term < term) return false;
    index = entry.index;
    term = entry.term;
  }
  return term <= message.term;
}
