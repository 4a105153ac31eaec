/** What all members understand bounds what the leader writes. */
import { describe, expect, test } from 'vitest';
import { ANNOUNCED_MAX, PROTOCOL, PROTOCOL_MIN } from '../../src/base/limits.ts';
import { Features } from '../../src/daemon/features.ts';
import { Replica } from '../../src/daemon/replica.ts';
import { specOf } from '../ranges/fixtures.ts';
import { handEnv, helloOf } from './fakes.ts';
import { NodeCluster } from './node-cluster.ts';

function voter(nodeId: string, protocol: number) {
  return { nodeId, protocol, role: 'voter' } as const;
}

describe('the level of a cluster', () => {
  test('is that of its oldest member, and never more than our own', () => {
    const features = new Features('n1');
    expect(features.level(['n1'])).toBe(PROTOCOL);
    features.heard(voter('n2', PROTOCOL + 1));
    expect(features.level(['n1', 'n2'])).toBe(PROTOCOL);
    features.heard(voter('n3', 0));
    expect(features.level(['n1', 'n2', 'n3'])).toBe(0);
    expect(features.level(['n1', 'n2'])).toBe(PROTOCOL);
    features.heard(voter('n3', PROTOCOL));
    expect(features.level(['n1', 'n2', 'n3'])).toBe(PROTOCOL);
  });

  test('takes a member that was never heard for the oldest that may connect', () => {
    expect(new Features('n1').level(['n1', 'n2'])).toBe(PROTOCOL_MIN);
  });

  test('is not lowered by a worker, which reads no log', () => {
    const features = new Features('n1');
    features.heard({ nodeId: 'n2', protocol: 0, role: 'worker' });
    expect(features.level(['n1', 'n2'])).toBe(PROTOCOL_MIN);
  });

  test('forgets the longest unheard first, however many come and go', () => {
    const features = new Features('n1');
    for (let i = 0; i <= ANNOUNCED_MAX; i++) {
      features.heard(voter(`x${i}`, 0));
      features.heard(voter('n2', 0));
    }
    expect(features.level(['n2'])).toBe(0);
    expect(features.level(['x0'])).toBe(PROTOCOL_MIN);
    expect(features.level([`x${ANNOUNCED_MAX}`])).toBe(0);
  });
});

describe('a cluster with a member of an older version', () => {
  test('refuses a command that came after it, and takes it once the member is upgraded', () => {
    const cluster = new NodeCluster('n1', 'n2', 'n3');
    for (const id of ['n1', 'n2', 'n3']) cluster.start(id);
    const leader = cluster.awaitLeader();
    const other = cluster.follower().node;
    const says = (protocol: number) => {
      const { clusterId } = leader.hand.network.handler?.hello() ?? { clusterId: null };
      const hello = helloOf({ nodeId: other.id, instanceId: other.instanceId, clusterId, empty: false, protocol });
      leader.hand.network.handler?.connected(hello);
    };
    const submit = (): string => {
      let answer = '';
      leader.node.submit(specOf(), (result) => {
        answer = result.ok ? result.value.kind : result.error.code;
      });
      cluster.until(() => answer !== '', 'an answer');
      return answer;
    };
    expect(leader.node.status().protocol).toBe(PROTOCOL);
    expect(other.status().protocol).toBeNull();
    // Every command of today came with version 1: one that understands none of them plays the older version.
    says(0);
    expect(leader.node.status().protocol).toBe(0);
    const index = leader.node.replica?.raft.status().lastIndex;
    expect(submit()).toBe('NOT_UNDERSTOOD');
    expect(leader.node.replica?.raft.status().lastIndex).toBe(index);
    says(PROTOCOL);
    expect(submit()).toBe('created');
  });

  test('is asked for its level at each command, and not once', () => {
    const { env, contents } = handEnv();
    const levels = [0, 1];
    const ignore = () => {};
    const handlers = { send: ignore, wake: ignore, onApplied: ignore, onRestored: ignore, onMembers: ignore };
    const replica = new Replica({ env, id: 'n1', contents, ...handlers, protocol: () => levels.shift() ?? 1 });
    const codes: string[] = [];
    for (let i = 0; i < 2; i++) {
      replica.propose({ kind: 'submit-job', stamp: null, at: 1, spec: specOf() }, (result) => {
        codes.push(result.ok ? 'ok' : result.error.code);
      });
    }
    expect(codes).toEqual(['NOT_UNDERSTOOD', 'NO_LEADER']);
  });
});
