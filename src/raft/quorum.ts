/**
 * Quorum: what a majority of the voters has said or stored.
 *
 * Everything here is a function of values. The rest of the core asks only these functions what a quorum is, so the rule
 * for joint configurations, where a decision needs a majority of either half, stands in this room and in no other.
 *
 * Invariant: any two quorums of one configuration share a voter, and so do any two of neighbouring configurations. All
 * of Raft leans on that one sentence.
 */
import { assert } from '../base/assert.ts';
import type { NodeId } from '../base/types.ts';
import { isJoint } from './configuration.ts';
import type { Configuration } from './types.ts';

export type VoteResult = 'won' | 'lost' | 'pending';

export function majorityOf(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1;
}

/** The largest number that a quorum has reached, where `reached` tells it of one voter. */
export function quorumReached(configuration: Configuration, reached: (id: NodeId) => number): number {
  const { voters, votersOutgoing } = configuration;
  const incoming = majorityReached(voters, reached);
  return isJoint(configuration) ? Math.min(incoming, majorityReached(votersOutgoing, reached)) : incoming;
}

function majorityReached(voters: readonly NodeId[], reached: (id: NodeId) => number): number {
  assert(voters.length > 0, 'a decision needs voters');
  const numbers = voters.map(reached).sort((a, b) => b - a);
  return numbers[majorityOf(numbers.length) - 1]!;
}

/** Votes of those that are no voters do not count, whatever the map holds. */
export function voteResult(configuration: Configuration, votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  const { voters, votersOutgoing } = configuration;
  const incoming = majorityResult(voters, votes);
  if (!isJoint(configuration) || incoming === 'lost') return incoming;
  const outgoing = majorityResult(votersOutgoing, votes);
  return incoming === 'won' ? outgoing : outgoing === 'lost' ? 'lost' : 'pending';
}

function majorityResult(voters: readonly NodeId[], votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  assert(voters.length > 0, 'a decision needs voters');
  const needed = majorityOf(voters.length);
  let granted = 0;
  let refused = 0;
  for (const id of voters) {
    const vote = votes.get(id);
    if (vote === true) granted++;
    if (vote === false) refused++;
  }
  if (granted >= needed) return 'won';
  return refused > voters.length - needed ? 'lost' : 'pending';
}
