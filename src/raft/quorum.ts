/**
 * Quorum: who votes, and what a majority of them has said or stored.
 *
 * Everything here is a value or a function of values. The rest of the core asks only these functions what a quorum is,
 * so that joint consensus, where a decision needs a majority of two sets, changes this room and no other.
 *
 * Invariant: any two quorums of one configuration share a voter. All of Raft leans on that one sentence.
 */
import { assert } from '../base/assert.ts';
import type { NodeId } from '../base/types.ts';

/** The voters, each once, in id order: whatever walks over them does so in the same order on every node. */
export interface Configuration {
  readonly voters: readonly NodeId[];
}

export type VoteResult = 'won' | 'lost' | 'pending';

export function configurationOf(voters: readonly NodeId[]): Configuration {
  const sorted = [...new Set(voters)].sort();
  assert(sorted.length > 0, 'a configuration has at least one voter');
  assert(sorted.length === voters.length, 'a voter stands once in a configuration');
  return { voters: sorted };
}

export function isVoter(configuration: Configuration, id: NodeId): boolean {
  return configuration.voters.includes(id);
}

export function majorityOf(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1;
}

/** The largest number that a majority of the voters has reached, where `reached` tells it of one voter. */
export function majorityReached(configuration: Configuration, reached: (id: NodeId) => number): number {
  const numbers = configuration.voters.map(reached).sort((a, b) => b - a);
  return numbers[majorityOf(numbers.length) - 1]!;
}

/** Votes of those that are no voters do not count, whatever the map holds. */
export function voteResult(configuration: Configuration, votes: ReadonlyMap<NodeId, boolean>): VoteResult {
  const needed = majorityOf(configuration.voters.length);
  let granted = 0;
  let refused = 0;
  for (const id of configuration.voters) {
    const vote = votes.get(id);
    if (vote === true) granted++;
    if (vote === false) refused++;
  }
  if (granted >= needed) return 'won';
  return refused > configuration.voters.length - needed ? 'lost' : 'pending';
}
