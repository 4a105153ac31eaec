/**
 * Formation: how nodes with empty disks become one cluster, exactly once.
 *
 * The voter whose id sorts first founds. Once every other voter has said "empty" it syncs one record that names the
 * cluster and binds each id to one data directory, and sends it on. Forming is nothing but installing a snapshot at
 * index 1, term 1: an empty job table, the same bytes everywhere. Whoever finds its own instance id in the record syncs
 * it; without it nobody votes or campaigns.
 *
 * Invariants: a founder makes one record in its life, and only after all were empty · a node takes the record only if it
 * binds this very data directory · a disk that was wiped comes back with another instance id, so it can neither vote
 * under its old name nor found a second cluster beside the first.
 */
import type { ErrorCode } from '../base/errors.ts';
import type { Address, ClusterId, InstanceId, NodeId } from '../base/types.ts';
import { configurationOf } from '../raft/configuration.ts';
import { JobTable } from '../ranges/table.ts';
import type { Formation, StoreBatch } from '../store/types.ts';
import type { Hello, Refusal } from '../wire/messages.ts';
import type { NodeConfig } from './env.ts';
import { encodeImage, foundingRoster, type Roster } from './roster.ts';

/** The record of a cluster that all founding voters have seen empty, or null while some have not. */
export function found(
  config: NodeConfig,
  instanceId: InstanceId,
  empties: ReadonlyMap<NodeId, InstanceId>,
  makeClusterId: () => ClusterId,
): Formation | null {
  const ids = config.peers.map((peer) => peer.id).sort();
  if (config.role !== 'voter' || ids[0] !== config.id) return null;
  const members: { id: NodeId; instanceId: InstanceId; address: Address }[] = [];
  for (const id of ids) {
    const bound = id === config.id ? instanceId : empties.get(id);
    const address = config.peers.find((peer) => peer.id === id)?.address;
    if (bound === undefined || address === undefined) return null;
    members.push({ id, instanceId: bound, address });
  }
  return { clusterId: makeClusterId(), members };
}

/** What a voter syncs to become part of the cluster. */
export function formationBatch(formation: Formation): StoreBatch {
  const configuration = configurationOf(formation.members.map((member) => member.id));
  return {
    formation,
    hardState: { term: 1, vote: null, commit: 1 },
    snapshot: {
      meta: { index: 1, term: 1, configuration },
      data: encodeImage(foundingRoster(formation.members), emptyTable()),
    },
    resetLog: true,
  };
}

/** Bytes of the job table at index 1. */
function emptyTable(): Uint8Array {
  const table = new JobTable();
  table.apply(1, new Uint8Array(0));
  return table.snapshot();
}

/** Whether this data directory is the one that the record binds to the id. */
export function binds(formation: Formation, id: NodeId, instanceId: InstanceId): boolean {
  return formation.members.some((member) => member.id === id && member.instanceId === instanceId);
}

/**
 * Whether the other side of a connection may talk to a member. A voter of this cluster that we do not know is let in: it
 * may have been added by an entry that we have not applied yet, and without it we might never come to apply that.
 */
export function admitToCluster(clusterId: ClusterId, roster: Roster, hello: Hello): Refusal | null {
  if (hello.clusterId !== null && hello.clusterId !== clusterId) {
    return refusal(
      'CLUSTER_MISMATCH',
      `node "${hello.nodeId}" belongs to cluster ${hello.clusterId}, this is ${clusterId}`,
    );
  }
  const member = roster.get(hello.nodeId);
  if (hello.role === 'worker') {
    if (member === undefined) return null;
    return refusal('STRANGER', `the id "${hello.nodeId}" is that of a voter; start the worker under another id`);
  }
  if (member === undefined) {
    if (roster.wasRemoved(hello.nodeId)) {
      return refusal(
        'REMOVED',
        `"${hello.nodeId}" was removed from the cluster; join with an empty data directory under a new id`,
      );
    }
    if (hello.clusterId !== null || hello.joining) return null;
    return refusal('STRANGER', `node "${hello.nodeId}" is not a member of cluster ${clusterId}`);
  }
  if (member.instanceId !== hello.instanceId) {
    return refusal(
      'INSTANCE_MISMATCH',
      `the id "${hello.nodeId}" is bound to another data directory; a node that lost its disk must join under a new id`,
    );
  }
  return null;
}

/**
 * Voters must agree on the TTL: a worker keeps the one of the leader that it joined under, and a next leader with a
 * shorter one would give its tasks away while it still runs them.
 */
export function admitTtl(config: NodeConfig, hello: Hello): Refusal | null {
  if (config.role !== 'voter' || hello.role !== 'voter' || hello.sessionTtlMs === config.sessionTtlMs) return null;
  const detail = `node "${hello.nodeId}" has --session-ttl-ms ${hello.sessionTtlMs}, node "${config.id}" has ${config.sessionTtlMs}; all voters need the same`;
  return refusal('CONFIG_MISMATCH', detail);
}

/** Whether the other side may talk to a node that is not yet formed: only those it was told of. */
export function admitBeforeFormation(config: NodeConfig, clusterId: string | null, hello: Hello): Refusal | null {
  if (clusterId !== null && hello.clusterId !== null && hello.clusterId !== clusterId) {
    return refusal(
      'CLUSTER_MISMATCH',
      `node "${config.id}" belongs to cluster ${clusterId}, not to ${hello.clusterId}`,
    );
  }
  if (config.role === 'worker') {
    return hello.role === 'voter'
      ? null
      : refusal('STRANGER', `node "${config.id}" is a worker and talks to voters only`);
  }
  if (config.join.length > 0 && hello.role === 'voter') return null;
  if (hello.role === 'voter' && config.peers.some((peer) => peer.id === hello.nodeId)) return null;
  const detail = `node "${config.id}" is not formed yet and waits for its --peers only`;
  // Whoever joins may have been started before its cluster was: it tries again.
  return refusal(hello.role === 'worker' || hello.joining ? 'NO_LEADER' : 'STRANGER', detail);
}

function refusal(code: ErrorCode, detail: string): Refusal {
  return { code, detail };
}
