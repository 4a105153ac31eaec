/**
 * Configuration: who belongs to the cluster, as a value.
 *
 * A configuration is never changed; `confchange.ts` makes the next one from it. It stands in every snapshot, and so its
 * lists are sorted: equal memberships are equal bytes on every node.
 *
 * Invariants: a learner is no voter of either half · `learnersNext` are voters of the outgoing half, and of it alone ·
 * outside of a joint configuration there is neither `learnersNext` nor `autoLeave`.
 */
import { assert } from '../base/assert.ts';
import type { NodeId } from '../base/types.ts';
import type { Configuration } from './types.ts';

/** What a node knows before its first snapshot: nobody. It can only listen. */
export const NOBODY: Configuration = {
  voters: [],
  votersOutgoing: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

/** A configuration that is not joint. */
export function configurationOf(voters: readonly NodeId[], learners: readonly NodeId[] = []): Configuration {
  return checked({ ...NOBODY, voters: sorted(voters), learners: sorted(learners) });
}

export function sorted(ids: Iterable<NodeId>): readonly NodeId[] {
  return [...ids].sort();
}

/** The configuration itself, once it is known to keep its invariants. */
export function checked(configuration: Configuration): Configuration {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = configuration;
  for (const ids of [voters, votersOutgoing, learners, learnersNext]) {
    assert(
      ids.every((id, position) => position === 0 || ids[position - 1]! < id),
      'the ids of a configuration are sorted, and each stands there once',
    );
  }
  assert(voters.length > 0 || votersOutgoing.length === 0, 'a joint configuration has voters in both halves');
  assert(!learners.some((id) => voters.includes(id) || votersOutgoing.includes(id)), 'a learner is no voter');
  const isStaged = learnersNext.every((id) => votersOutgoing.includes(id) && !voters.includes(id));
  assert(isStaged, 'who is to become a learner is a voter of the outgoing half alone');
  assert(isJoint(configuration) || !autoLeave, 'only a joint configuration is left');
  return configuration;
}

export function isJoint(configuration: Configuration): boolean {
  return configuration.votersOutgoing.length > 0;
}

/** Of either half. */
export function isVoter(configuration: Configuration, id: NodeId): boolean {
  return configuration.voters.includes(id) || configuration.votersOutgoing.includes(id);
}

export function isMember(configuration: Configuration, id: NodeId): boolean {
  return isVoter(configuration, id) || configuration.learners.includes(id);
}

/** Of both halves, in id order: whatever walks over them does so in the same order on every node. */
export function votersOf(configuration: Configuration): readonly NodeId[] {
  if (!isJoint(configuration)) return configuration.voters;
  return sorted(new Set([...configuration.voters, ...configuration.votersOutgoing]));
}

export function membersOf(configuration: Configuration): readonly NodeId[] {
  return sorted([...votersOf(configuration), ...configuration.learners]);
}
