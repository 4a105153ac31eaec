/**
 * Status: what a node knows of itself and, as leader, of the others, as lines of a transcript.
 */
import type { NodeId } from '../../src/base/types.ts';
import type { MemberProgress } from '../../src/raft/types.ts';
import { configurationText, roleName } from './describe.ts';
import type { ScenarioNode } from './node.ts';

const STATE_NAMES: Readonly<Record<MemberProgress['state'], string>> = {
  probe: 'StateProbe',
  replicate: 'StateReplicate',
  snapshot: 'StateSnapshot',
};

/** One line a node, as that node sees itself. */
export function stateLine(node: ScenarioNode): string {
  if (!node.isUp) return `${node.id}: crashed`;
  const { id, role, term, leader, voters } = node.raft.status();
  const kind = voters.includes(id) ? 'Voter' : 'Non-Voter';
  return `${id}: ${roleName(role)} (${kind}) Term:${term} Lead:${leader ?? 'none'}`;
}

export function statusLines(node: ScenarioNode): string[] {
  if (!node.isUp) return [stateLine(node)];
  const status = node.raft.status();
  const { vote, commit, applied, firstIndex, lastIndex, lastTerm, snapshotIndex } = status;
  const lines = [
    stateLine(node),
    `Vote:${vote ?? 'none'} Commit:${commit} Applied:${applied} Log:[${firstIndex},${lastIndex}] LastTerm:${lastTerm} Snapshot:${snapshotIndex}`,
    configurationText(status.configuration),
  ];
  if (status.role !== 'leader') return lines;
  lines.push(status.settled ? 'settled' : 'not settled');
  if (status.transferee !== null) lines.push(`transferring to ${status.transferee}${status.waived ? ', told' : ''}`);
  for (const [id, progress] of status.progress) lines.push(progressLine(id, progress));
  return lines;
}

function progressLine(id: NodeId, progress: MemberProgress): string {
  const { match, next, state, recentActive, pendingSnapshot, regressed } = progress;
  const marks = [
    pendingSnapshot === null ? '' : ` pendingSnap=${pendingSnapshot}`,
    recentActive ? '' : ' inactive',
    regressed ? ' regressed' : '',
  ];
  return `${id}: ${STATE_NAMES[state]} match=${match} next=${next}${marks.join('')}`;
}
