/**
 * Thesis: the rules that Ongaro's thesis adds to the paper, as far as they are in the core: reads, check-quorum, pre-vote
 * and the leader's write in parallel.
 */
import { describe, expect, test } from 'vitest';
import type { LogIndex, NodeId, Term } from '../../src/base/types.ts';
import type { RaftMessage } from '../../src/raft/types.ts';
import { CLAIM, Cluster, diskWith, ELECTION_TICKS_MAX, ELECTION_TICKS_MIN, entry, HEARTBEAT_TICKS } from './network.ts';

const ABC: readonly NodeId[] = ['a', 'b', 'c'];

function heartbeat(from: NodeId, to: NodeId, term: Term, commit: LogIndex = 1, round = 1): RaftMessage {
  return { type: 'heartbeat', from, to, term, commit, match: 0, round };
}

describe('§8 and thesis §6.4, reads', () => {
  test('a leader opens its term with a no-op, and is settled once that is committed', () => {
    const cluster = new Cluster();
    cluster.filter = (message) => message.type !== 'append';
    cluster.elect('a');
    expect(cluster.raft('a').entriesFrom(2)).toEqual([entry(2, 2)]);
    expect(cluster.raft('a').status().settled).toBe(false);
    cluster.filter = () => true;
    cluster.run(3 * HEARTBEAT_TICKS);
    expect(cluster.raft('a').status()).toMatchObject({ settled: true, commit: 2 });
  });

  test('a read asks for a round of its own at once, and is confirmed by a quorum that answers it', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    const before = cluster.raft('a').round;
    const read = cluster.read('a');
    cluster.pump('a');
    expect(cluster.raft('a').round).toBe(before + 1);
    expect(cluster.node('a').reads).toEqual([]);
    expect(cluster.raft('a').quorumRound()).toBe(before);
    cluster.settle();
    expect(cluster.node('a').reads).toEqual([{ id: read, index: 2 }]);
    expect(cluster.raft('a').quorumRound()).toBe(before + 1);
  });

  test('one round serves all reads that wait for it', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    const reads = [cluster.read('a'), cluster.read('a'), cluster.read('a')];
    cluster.pump('a');
    expect(cluster.sent('heartbeat', 'b')).toHaveLength(1);
    cluster.settle();
    expect(cluster.node('a').reads.map((read) => read.id)).toEqual(reads);
  });

  test('a follower takes no reads', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    expect(cluster.read('b')).toBeNull();
  });

  test('a single voter confirms its reads at once', () => {
    const cluster = new Cluster({ voters: ['a'] });
    cluster.elect('a');
    const read = cluster.read('a');
    cluster.pump('a');
    expect(cluster.node('a').reads).toEqual([{ id: read, index: 2 }]);
  });
});

describe('thesis §6.2 and §9.6, check-quorum and pre-vote', () => {
  test('a leader that hears no quorum within the shortest election timeout steps down, and its reads fail', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    cluster.isolated.add('a');
    const read = cluster.read('a');
    for (let tick = 0; tick < 2 * ELECTION_TICKS_MIN; tick++) cluster.tick('a');
    expect(cluster.raft('a').status()).toMatchObject({ role: 'follower', leader: null, term: 2 });
    expect(cluster.node('a').failedReads).toEqual([read]);
    expect(cluster.raft('a').round).toBe(0);
    expect(cluster.raft('a').quorumRound()).toBe(0);
  });

  test('a leader that is heard by a bare quorum leads on', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    cluster.isolated.add('c');
    cluster.run(10 * ELECTION_TICKS_MAX);
    expect(cluster.raft('a').status()).toMatchObject({ role: 'leader', term: 2 });
  });

  test('a node that is cut off does not raise its term, and comes back without an election', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    cluster.isolated.add('c');
    cluster.run(10 * ELECTION_TICKS_MAX);
    expect(cluster.raft('c').status().term).toBe(2);
    cluster.isolated.clear();
    cluster.run(2 * ELECTION_TICKS_MAX);
    expect(cluster.raft('c').status()).toMatchObject({ role: 'follower', leader: 'a', term: 2 });
    expect(cluster.leaders.size).toBe(1);
  });

  test('a pre-vote changes neither term nor vote nor timer of the one that grants it', () => {
    const cluster = new Cluster();
    const before = cluster.raft('a').status();
    cluster.inject({ type: 'pre-vote', from: 'b', to: 'a', term: 2, lastTerm: 1, lastIndex: 1, ...CLAIM });
    cluster.inject({ type: 'pre-vote', from: 'c', to: 'a', term: 2, lastTerm: 1, lastIndex: 1, ...CLAIM });
    expect(cluster.sent('pre-vote-reply')).toMatchObject([
      { to: 'b', term: 2, granted: true },
      { to: 'c', term: 2, granted: true },
    ]);
    expect(cluster.raft('a').status()).toEqual(before);
    expect(cluster.node('a').writing).toBeNull();
  });

  test('a pre-vote is refused while a leader is heard, and to a shorter log', () => {
    const cluster = new Cluster({ disks: { a: diskWith([1], ABC) } });
    cluster.inject({ type: 'pre-vote', from: 'b', to: 'a', term: 2, lastTerm: 1, lastIndex: 1, ...CLAIM });
    cluster.inject(heartbeat('c', 'a', 1));
    cluster.inject({ type: 'pre-vote', from: 'b', to: 'a', term: 2, lastTerm: 1, lastIndex: 2, ...CLAIM });
    expect(cluster.sent('pre-vote-reply').map((message) => message.granted)).toEqual([false, false]);
  });
});

describe('thesis §10.2.1, writing in parallel', () => {
  test('a leader sends before its own sync, and a quorum of others commits without it', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    const index = cluster.propose('a', 'x');
    cluster.pump('a');
    expect(cluster.node('a').writing?.entries.at(-1)?.index).toBe(index);
    while (cluster.bag.length > 0) cluster.deliver();
    for (const id of ['b', 'c']) cluster.sync(id);
    while (cluster.bag.length > 0) cluster.deliver();
    expect(cluster.raft('a').status().commit).toBe(index);
    expect(cluster.raft('a').status().match.get('a')).toBe(index - 1);
    // Applied only once it is on the own disk too.
    expect(cluster.node('a').applied).toEqual([]);
    cluster.sync('a');
    expect(cluster.node('a').applied).toEqual(['x']);
  });

  test('one write is in flight, and what arrives meanwhile goes with the next', () => {
    const cluster = new Cluster({ voters: ['a'] });
    cluster.elect('a');
    cluster.propose('a', '1');
    cluster.pump('a');
    for (const text of ['2', '3', '4']) cluster.propose('a', text);
    expect(cluster.raft('a').takeWrite()).toBeNull();
    cluster.sync('a');
    expect(cluster.node('a').writing?.entries).toHaveLength(3);
    cluster.sync('a');
    expect(cluster.node('a').writing).toBeNull();
    expect(cluster.node('a').applied).toEqual(['1', '2', '3', '4']);
  });

  test('a commit index alone causes no write', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    cluster.settle();
    const commit = cluster.raft('a').status().commit;
    expect(cluster.node('b').disk.hardState.commit).toBeLessThan(commit);
    cluster.run(4 * HEARTBEAT_TICKS);
    expect(cluster.raft('b').status().commit).toBe(commit);
    expect(cluster.node('b').writing).toBeNull();
    expect(cluster.node('b').disk.hardState.commit).toBeLessThan(commit);
  });
});
