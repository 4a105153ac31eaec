/**
 * A node joins a cluster that others founded: real nodes, time by hand.
 */
import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import type { NodeConfig } from '../../src/daemon/env.ts';
import type { Life } from './node-cluster.ts';
import { NodeCluster } from './node-cluster.ts';

const JOINER: Partial<NodeConfig> = { role: 'voter', join: ['there:n1'], slots: 0 };

function formed(...voters: readonly string[]): NodeCluster {
  const cluster = new NodeCluster(...voters);
  for (const id of voters) cluster.start(id);
  cluster.awaitLeader();
  return cluster;
}

function roleOf(leader: Life, id: string): string | undefined {
  return leader.node.status().members.find((member) => member.id === id)?.role;
}

function votes(cluster: NodeCluster, id: string): () => boolean {
  return () => must(cluster.awaitLeader().node.replica, 'it leads').status().configuration.voters.includes(id);
}

/** Asks the leader, and runs until it has answered. */
function change(cluster: NodeCluster, request: Parameters<Life['node']['changeMembers']>[0]): string {
  let answer: string | null = null;
  cluster.awaitLeader().node.changeMembers(request, (result) => {
    answer = result.ok ? 'ok' : result.error.code;
  });
  cluster.until(() => answer !== null, 'the answer to a change of the members');
  return must(answer as string | null, 'answered');
}

describe('a node that joins', () => {
  test('is a learner, then a voter, and has what the others have', () => {
    const cluster = formed('n1');
    const joiner = cluster.start('n4', JOINER);
    cluster.until(votes(cluster, 'n4'), 'n4 votes');
    cluster.until(() => joiner.node.leaderAddress() === 'there:n1', 'n4 knows its leader');
    expect(joiner.node.status().id).toBe(cluster.life('n1').node.status().id);
    expect(joiner.node.replica?.roster.snapshot()).toEqual(cluster.life('n1').node.replica?.roster.snapshot());
    expect(joiner.hand.lines.map(({ event }) => event)).toContain('enlisted');
  });

  test('can lead one who met it as a guest, and has not applied its joining yet', () => {
    const cluster = formed('n1', 'n2', 'n3');
    const behind = cluster.follower();
    const joiner = cluster.start('n4', JOINER);
    behind.isCut = true;
    cluster.until(votes(cluster, 'n4'), 'n4 votes');
    expect(change(cluster, { kind: 'transfer', to: 'n4' })).toBe('ok');
    cluster.until(() => joiner.node.leads(), 'n4 leads');
    behind.isCut = false;
    cluster.until(() => behind.node.replica?.roster.get('n4') !== undefined, 'the other follows');
    expect(behind.node.status().leader).toBe('n4');
    joiner.hand.network.take('enlisted');
    cluster.time.pass(3_000);
    expect(joiner.hand.network.take('enlisted')).toEqual([]);
  });

  test('stays a learner when it asked for no vote', () => {
    const cluster = formed('n1');
    const joiner = cluster.start('n4', { ...JOINER, promote: false });
    cluster.until(() => joiner.node.replica?.roster.get('n4') !== undefined, 'n4 knows that it is a member');
    cluster.time.pass(5_000);
    expect(roleOf(cluster.life('n1'), 'n4')).toBe('learner');
    expect(change(cluster, { kind: 'promote', id: 'n4' })).toBe('ok');
    expect(votes(cluster, 'n4')()).toBe(true);
  });

  test('asks again until it is answered', () => {
    const cluster = formed('n1');
    const leader = cluster.life('n1');
    leader.isCut = true;
    const joiner = cluster.start('n4', JOINER);
    cluster.time.pass(3_000);
    expect(joiner.hand.network.take('enlist').length).toBeGreaterThan(3);
    expect(joiner.node.replica).toBeNull();
    leader.isCut = false;
    cluster.until(votes(cluster, 'n4'), 'n4 votes');
    // And never again once it was.
    joiner.hand.network.take('enlist');
    cluster.time.pass(3_000);
    expect(joiner.hand.network.take('enlist')).toEqual([]);
  });

  test('finds the leader through any member', () => {
    const cluster = formed('n1', 'n2', 'n3');
    const { node } = cluster.follower();
    const joiner = cluster.start('n4', { ...JOINER, join: [node.address] });
    cluster.until(votes(cluster, 'n4'), 'n4 votes');
    expect(joiner.hand.network.take('enlist', cluster.awaitLeader().node.id)).not.toEqual([]);
  });

  test('goes on where it was when it dies between the change and the word of it', () => {
    const cluster = formed('n1');
    cluster.start('n4', JOINER);
    const leader = cluster.life('n1');
    cluster.until(() => roleOf(leader, 'n4') !== undefined, 'the change is in force');
    cluster.kill('n4');
    expect(cluster.disk('n4').cells.size).toBeGreaterThan(0);
    const again = cluster.start('n4', JOINER);
    cluster.until(votes(cluster, 'n4'), 'n4 votes');
    expect(again.hand.fatal).toEqual([]);
    expect(leader.node.replica?.roster.get('n4')?.instanceId).toBe(again.node.instanceId);
  });

  test('is a member without its flags once it was taken in, and founds nothing', () => {
    const cluster = formed('n1');
    cluster.start('n4', JOINER);
    cluster.until(votes(cluster, 'n4'), 'n4 votes');
    const { id } = cluster.life('n1').node.status();
    cluster.kill('n4');
    const again = cluster.start('n4', {
      role: 'voter',
      join: [],
      peers: [{ id: 'n4', address: 'there:n4' }],
      slots: 0,
    });
    cluster.until(() => again.node.status().leader !== null, 'n4 knows its leader');
    expect(again.node.status().id).toBe(id);
    expect(again.node.formation).toBeNull();
  });

  test('with a disk that was wiped meanwhile is turned away, and says so', () => {
    const cluster = formed('n1');
    cluster.start('n4', { ...JOINER, promote: false });
    cluster.until(() => roleOf(cluster.life('n1'), 'n4') === 'learner', 'n4 is a learner');
    cluster.kill('n4');
    cluster.wipe('n4');
    const wiped = cluster.start('n4', JOINER);
    expect(wiped.hand.fatal).toMatchObject([{ code: 'INSTANCE_MISMATCH' }]);
  });

  test('under an id that was removed is turned away, with its old disk or a new one', () => {
    const cluster = formed('n1');
    cluster.start('n4', { ...JOINER, promote: false });
    cluster.until(() => roleOf(cluster.life('n1'), 'n4') === 'learner', 'n4 is a learner');
    cluster.kill('n4');
    expect(change(cluster, { kind: 'remove', id: 'n4' })).toBe('ok');
    expect(cluster.start('n4', JOINER).hand.fatal).toMatchObject([{ code: 'REMOVED' }]);
    cluster.kill('n4');
    cluster.wipe('n4');
    expect(cluster.start('n4', JOINER).hand.fatal).toMatchObject([{ code: 'REMOVED' }]);
  });
});

describe('a node that is removed', () => {
  test('ends with the reason, and the others go on', () => {
    const cluster = formed('n1', 'n2', 'n3');
    const gone = cluster.follower();
    expect(change(cluster, { kind: 'remove', id: gone.node.id })).toBe('ok');
    cluster.until(() => gone.hand.fatal.length > 0, 'it ends');
    expect(gone.hand.fatal).toMatchObject([{ code: 'REMOVED' }]);
    expect(votes(cluster, gone.node.id)()).toBe(false);
  });

  test('ends also as a learner that missed its own removal while it was connected', () => {
    const cluster = formed('n1');
    const learner = cluster.start('n4', { ...JOINER, promote: false });
    cluster.until(() => learner.node.replica?.roster.get('n4') !== undefined, 'n4 knows that it is a member');
    learner.isCut = true;
    expect(change(cluster, { kind: 'remove', id: 'n4' })).toBe('ok');
    learner.isCut = false;
    cluster.until(() => learner.hand.fatal.length > 0, 'it ends');
    expect(learner.hand.fatal).toMatchObject([{ code: 'REMOVED' }]);
  });

  test('and leads hands over first: somebody else leads, and it ends', () => {
    const cluster = formed('n1', 'n2', 'n3');
    const leader = cluster.awaitLeader();
    expect(change(cluster, { kind: 'remove', id: leader.node.id })).toBe('ok');
    cluster.until(() => !leader.node.leads(), 'it leads no more');
    cluster.until(() => leader.hand.fatal.length > 0, 'it ends');
    cluster.lives.delete(leader.node.id);
    expect(cluster.awaitLeader().node.id).not.toBe(leader.node.id);
    expect(votes(cluster, leader.node.id)()).toBe(false);
  });
});

test('workers hear of members that join, and can follow one that leads', () => {
  const cluster = formed('n1');
  const worker = cluster.start('w1', { join: ['there:n1'] });
  cluster.start('n4', JOINER);
  cluster.until(votes(cluster, 'n4'), 'n4 votes');
  expect(worker.hand.network.dialled).toContain('there:n4');
  expect(change(cluster, { kind: 'transfer', to: 'n4' })).toBe('ok');
  cluster.until(() => worker.node.leaderAddress() === 'there:n4', 'the worker follows n4');
});
