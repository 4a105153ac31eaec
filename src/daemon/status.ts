/**
 * Status: the cluster as one node sees it, for `GET /v1/cluster` and `cluster status`.
 */
import type { NodeId } from '../base/types.ts';
import type { RaftStatus } from '../raft/types.ts';
import type { ClusterStatus, MemberStatus } from './api.ts';
import type { Features } from './features.ts';
import type { Membership } from './membership.ts';
import type { Replica } from './replica.ts';

export interface StatusSource {
  readonly replica: Replica | null;
  readonly leads: boolean;
  readonly leader: NodeId | null;
  readonly membership: Membership;
  readonly features: Features;
}

export function clusterStatus({ replica, leads, leader, membership, features }: StatusSource): ClusterStatus {
  const raft = replica?.status() ?? null;
  const workers = replica === null ? [] : [...replica.table.workers()];
  return {
    id: membership.clusterId,
    leader,
    term: raft?.term ?? membership.guessTerm,
    commitIndex: raft?.commit ?? 0,
    appliedIndex: replica?.table.appliedIndex ?? 0,
    protocol: leads ? features.level(membership.members().map(({ id }) => id)) : null,
    members: membership.members().map(({ id, address }): MemberStatus => {
      const matchIndex = leads ? (raft?.progress.get(id)?.match ?? null) : null;
      return { id, address, role: memberRole(id, leader, raft), matchIndex };
    }),
    workers: workers.map(({ id, slots, epochs }) => ({ id, slots, busy: epochs.length })),
  };
}

export interface CheckSource {
  readonly replica: Replica | null;
  readonly role: 'voter' | 'worker';
  readonly isFormed: boolean;
  readonly hasLeader: boolean;
  readonly isStopping: boolean;
}

/** What `/readyz` says. A worker-role node has no replica and applies nothing. */
export function nodeChecks(source: CheckSource): readonly { readonly name: string; readonly ok: boolean }[] {
  const { replica, role, isFormed, hasLeader, isStopping } = source;
  const applied = replica === null ? role === 'worker' : replica.table.appliedIndex >= replica.standing().commit;
  return [
    { name: 'formed', ok: isFormed },
    { name: 'leader', ok: hasLeader },
    { name: 'applied', ok: applied },
    { name: 'not-stopping', ok: !isStopping },
  ];
}

function memberRole(id: NodeId, leader: NodeId | null, raft: RaftStatus | null): MemberStatus['role'] {
  if (id === leader) return 'leader';
  if (raft?.configuration.learners.includes(id)) return 'learner';
  if (raft !== null && id === raft.id)
    return raft.role === 'follower' || raft.role === 'leader' ? 'follower' : 'candidate';
  return leader === null ? 'unknown' : 'follower';
}
