/**
 * Transfer: leadership handed over on purpose (thesis §3.10), and what can go wrong with it (row 32 of the classic bugs).
 */
import { expect, test } from 'vitest';
import type { NodeId } from '../../src/base/types.ts';
import { configurationOf } from '../../src/raft/configuration.ts';
import { CLAIM, Cluster, ELECTION_TICKS_MAX, ELECTION_TICKS_MIN, HEARTBEAT_TICKS } from './network.ts';

function led(): Cluster {
  const cluster = new Cluster();
  cluster.elect('a');
  return cluster;
}

function roleOf(cluster: Cluster, id: NodeId): string {
  return cluster.raft(id).status().role;
}

test('the target takes over at once, though everybody hears the old leader, and without a pre-vote', () => {
  const cluster = led();
  expect(cluster.raft('a').transferLeadership('b')).toEqual({ ok: true });
  cluster.pump('a');
  expect(cluster.sent('timeout-now', 'b')).toHaveLength(1);
  const seen: string[] = [];
  cluster.filter = ({ type }) => seen.push(type) > 0;
  cluster.settle();
  expect(cluster.raft('b').status()).toMatchObject({ role: 'leader', term: 3, settled: true });
  expect(cluster.raft('a').status()).toMatchObject({ role: 'follower', leader: 'b', transferee: null });
  expect(seen).not.toContain('pre-vote');
});

test('a target that lags is brought up to date first, and takes over with everything', () => {
  const cluster = led();
  cluster.isolated.add('b');
  for (const text of ['1', '2', '3']) cluster.propose('a', text);
  cluster.settle();
  cluster.raft('a').transferLeadership('b');
  cluster.settle();
  expect(roleOf(cluster, 'a')).toBe('leader');
  cluster.isolated.clear();
  cluster.run(3 * HEARTBEAT_TICKS);
  expect(roleOf(cluster, 'b')).toBe('leader');
  expect(cluster.node('b').applied).toEqual(['1', '2', '3']);
});

test('row 32: a target that does not hold the whole log on its disk is not told', () => {
  const cluster = led();
  cluster.propose('a', 'x');
  cluster.raft('a').transferLeadership('b');
  cluster.pump('a');
  // b has the entry, and has not synced it.
  while (cluster.sent('append').length > 0) cluster.deliver();
  expect(cluster.node('b').writing?.entries).toHaveLength(1);
  expect(cluster.sent('timeout-now')).toEqual([]);
  cluster.sync('b');
  while (cluster.sent('append-reply').length > 0) cluster.deliver();
  expect(cluster.sent('timeout-now', 'b')).toHaveLength(1);
});

test('row 32: no proposal is taken meanwhile, so that the target can catch up at all', () => {
  const cluster = led();
  cluster.isolated.add('b');
  cluster.raft('a').transferLeadership('b');
  const refused = { ok: false, reason: 'transferring' };
  expect(cluster.raft('a').propose(Buffer.from('x'))).toEqual(refused);
  expect(cluster.change('a', ['remove c'])).toEqual(refused);
  expect(cluster.raft('a').status().transferee).toBe('b');
});

test('row 32: a transfer to a target that is away is given up after one election timeout, and the leader goes on', () => {
  const cluster = led();
  cluster.isolated.add('b');
  cluster.propose('a', 'x');
  cluster.settle();
  cluster.raft('a').transferLeadership('b');
  cluster.run(ELECTION_TICKS_MIN - 1);
  expect(cluster.raft('a').status().transferee).toBe('b');
  cluster.run(1);
  expect(cluster.raft('a').status()).toMatchObject({ role: 'leader', transferee: null, waived: false });
  expect(cluster.raft('a').propose(Buffer.from('y')).ok).toBe(true);
});

test('learners, strangers and the leader itself are refused, and so is a follower that is asked', () => {
  const cluster = new Cluster({ configuration: configurationOf(['a', 'b'], ['c']) });
  cluster.elect('a');
  expect(cluster.raft('a').transferLeadership('c')).toEqual({ ok: false, reason: 'not-a-voter' });
  expect(cluster.raft('a').transferLeadership('z')).toEqual({ ok: false, reason: 'not-a-voter' });
  expect(cluster.raft('a').transferLeadership('a')).toEqual({ ok: false, reason: 'leads-already' });
  expect(cluster.raft('b').transferLeadership('a')).toEqual({ ok: false, reason: 'not-leader' });
});

test('another target takes the place of the first, until the first was told', () => {
  const cluster = led();
  cluster.isolated.add('b');
  cluster.propose('a', 'x');
  cluster.settle();
  expect(cluster.raft('a').transferLeadership('b')).toEqual({ ok: true });
  expect(cluster.raft('a').transferLeadership('c')).toEqual({ ok: true });
  cluster.pump('a');
  expect(cluster.raft('a').transferLeadership('b')).toEqual({ ok: false, reason: 'transferring' });
  cluster.settle();
  expect(roleOf(cluster, 'c')).toBe('leader');
});

test('from the word on the leader does not count on being alone, until its target is known to follow still', () => {
  const cluster = led();
  cluster.filter = ({ type }) => type !== 'timeout-now';
  cluster.raft('a').transferLeadership('b');
  expect(cluster.raft('a').status().waived).toBe(false);
  cluster.settle();
  expect(cluster.raft('a').status().waived).toBe(true);
  cluster.filter = ({ type }) => type !== 'heartbeat-reply';
  cluster.run(HEARTBEAT_TICKS);
  expect(cluster.raft('a').status().waived).toBe(true);
  // The answer to a later round shows that the word was lost, and so it is said again.
  cluster.filter = () => true;
  cluster.run(HEARTBEAT_TICKS);
  expect(roleOf(cluster, 'b')).toBe('leader');
});

test('a leader whose target got the word and fell silent steps down, for the word may still be obeyed', () => {
  const cluster = led();
  cluster.raft('a').transferLeadership('b');
  cluster.pump('a');
  cluster.isolated.add('b');
  cluster.run(ELECTION_TICKS_MIN);
  expect(cluster.raft('a').status()).toMatchObject({ role: 'follower', term: 2, waived: false });
});

test('a word that comes after a later round, of an old term, or from another than the leader, is not obeyed', () => {
  const cluster = led();
  cluster.settle();
  const { round } = cluster.raft('a');
  const word = { type: 'timeout-now', to: 'b', term: 2, round } as const;
  cluster.inject({ ...word, from: 'c' });
  cluster.inject({ ...word, from: 'a', term: 1 });
  cluster.inject({ ...word, from: 'a', round: round - 1 });
  expect(roleOf(cluster, 'b')).toBe('follower');
  cluster.inject({ ...word, from: 'a' });
  expect(roleOf(cluster, 'b')).toBe('candidate');
});

test('a target whose state machine lags behind campaigns when it has caught up, and not if a later round came first', () => {
  for (const isLate of [false, true]) {
    const cluster = led();
    cluster.node('b').sluggish = true;
    cluster.propose('a', 'x');
    cluster.settle();
    cluster.run(HEARTBEAT_TICKS);
    expect(cluster.raft('b').status().applied).toBeLessThan(cluster.raft('b').status().commit);
    const { round } = cluster.raft('a');
    cluster.inject({ type: 'timeout-now', from: 'a', to: 'b', term: 2, round });
    expect(roleOf(cluster, 'b')).toBe('follower');
    if (isLate) {
      cluster.inject({ type: 'heartbeat', from: 'a', to: 'b', term: 2, commit: 3, match: 3, round: round + 1 });
    }
    cluster.node('b').sluggish = false;
    cluster.pump('b');
    expect(roleOf(cluster, 'b')).toBe(isLate ? 'follower' : 'candidate');
  }
});

test('only a vote that says so overrides the leader that is heard', () => {
  const cluster = led();
  const vote = { type: 'vote', from: 'b', to: 'c', term: 3, lastTerm: 2, lastIndex: 2, ...CLAIM } as const;
  cluster.inject({ ...vote, transfer: false });
  expect(cluster.raft('c').status().term).toBe(2);
  cluster.inject({ ...vote, transfer: true });
  expect(cluster.raft('c').status()).toMatchObject({ term: 3, vote: 'b' });
});

test('reads asked of the old leader fail or are right, and none hangs', () => {
  const cluster = led();
  cluster.raft('a').transferLeadership('b');
  const read = cluster.read('a');
  cluster.run(2 * ELECTION_TICKS_MAX);
  const answered = [...cluster.node('a').reads.map(({ id }) => id), ...cluster.node('a').failedReads];
  expect(answered).toEqual([read]);
});
