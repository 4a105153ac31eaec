/**
 * Paper: the rules of the Raft paper (Ongaro and Ousterhout, extended version), one test for each, in its order; those of
 * the thesis are in thesis.test.ts. Where our Raft leaves the paper on purpose, the test says what we do instead.
 */
import { describe, expect, test } from 'vitest';
import { SNAPSHOT_LOST_TICKS } from '../../src/base/limits.ts';
import { createPrng } from '../../src/base/prng.ts';
import type { LogIndex, NodeId, Term } from '../../src/base/types.ts';
import { ElectionTimer, isUpToDate } from '../../src/raft/election.ts';
import type { RaftMessage, Role } from '../../src/raft/types.ts';
import { CLAIM, Cluster, diskWith, ELECTION_TICKS_MAX, entry, HEARTBEAT_TICKS, snapshotAt } from './network.ts';

const ABC: readonly NodeId[] = ['a', 'b', 'c'];
const FIVE: readonly NodeId[] = ['a', 'b', 'c', 'd', 'e'];

function heartbeat(from: NodeId, to: NodeId, term: Term, commit: LogIndex = 1, round = 1): RaftMessage {
  return { type: 'heartbeat', from, to, term, commit, match: 0, round };
}

function vote(from: NodeId, to: NodeId, term: Term, lastTerm: Term, lastIndex: LogIndex): RaftMessage {
  return { type: 'vote', from, to, term, lastTerm, lastIndex, transfer: false, ...CLAIM };
}

describe('§5.1 terms', () => {
  test('a leader that hears of a higher term becomes a follower in it', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    cluster.inject(heartbeat('b', 'a', 9));
    expect(cluster.raft('a').status()).toMatchObject({ role: 'follower', term: 9, leader: 'b', vote: null });
  });

  test('a candidate that hears of a higher term becomes a follower in it', () => {
    const cluster = new Cluster();
    cluster.filter = (message) => message.type === 'pre-vote' || message.type === 'pre-vote-reply';
    cluster.campaign('a');
    expect(cluster.raft('a').status().role).toBe('candidate');
    cluster.inject({ type: 'vote-reply', from: 'b', to: 'a', term: 9, granted: false, ...CLAIM });
    expect(cluster.raft('a').status()).toMatchObject({ role: 'follower', term: 9 });
  });

  test('a request of an older term changes nothing and is answered with the newer term', () => {
    const cluster = new Cluster({ disks: { a: diskWith([4], ABC, { vote: 'c' }) } });
    const before = cluster.raft('a').status();
    cluster.inject(heartbeat('b', 'a', 3));
    cluster.inject(vote('b', 'a', 3, 3, 9));
    cluster.inject({ type: 'pre-vote', from: 'b', to: 'a', term: 3, lastTerm: 3, lastIndex: 9, ...CLAIM });
    const entries = [entry(3, 2)];
    cluster.inject({ type: 'append', from: 'b', to: 'a', term: 3, prevIndex: 1, prevTerm: 1, entries, commit: 2 });
    expect(cluster.raft('a').status()).toEqual(before);
    expect(cluster.bag.map(({ type, term }) => [type, term])).toEqual([
      ['heartbeat-reply', 4],
      ['vote-reply', 4],
      ['pre-vote-reply', 4],
      ['append-reply', 4],
    ]);
    expect(cluster.sent('vote-reply')[0]?.granted).toBe(false);
    expect(cluster.sent('pre-vote-reply')[0]?.granted).toBe(false);
    expect(cluster.sent('append-reply')[0]?.rejected).toBe(true);
  });
});

describe('§5.2 leader election', () => {
  test('a node starts as a follower, with the term and vote that its disk holds', () => {
    const cluster = new Cluster({ disks: { a: diskWith([2, 3], ABC, { term: 5, vote: 'b' }) } });
    expect(cluster.raft('a').status()).toMatchObject({ role: 'follower', term: 5, vote: 'b', leader: null });
  });

  test('a leader sends heartbeats to all followers at each interval, and no election starts', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    for (let tick = 0; tick < HEARTBEAT_TICKS; tick++) cluster.tick('a');
    expect(cluster.sent('heartbeat').map((message) => message.to)).toEqual(['b', 'c']);
    cluster.run(5 * ELECTION_TICKS_MAX);
    expect(cluster.leaders.size).toBe(1);
    expect(cluster.raft('a').status().term).toBe(2);
  });

  test('a follower that hears nothing asks for pre-votes, then raises its term, votes for itself and asks all for votes', () => {
    const cluster = new Cluster();
    for (let tick = 0; tick < ELECTION_TICKS_MAX; tick++) {
      if (cluster.raft('a').status().role === 'follower') cluster.tick('a');
    }
    expect(cluster.sent('pre-vote')).toMatchObject([
      { to: 'b', term: 2 },
      { to: 'c', term: 2 },
    ]);
    expect(cluster.raft('a').status()).toMatchObject({ role: 'pre-candidate', term: 1 });
    cluster.inject({ type: 'pre-vote-reply', from: 'b', to: 'a', term: 2, granted: true, ...CLAIM });
    expect(cluster.raft('a').status()).toMatchObject({ role: 'candidate', term: 2, vote: 'a' });
    cluster.sync('a');
    expect(cluster.sent('vote')).toMatchObject([
      { to: 'b', term: 2 },
      { to: 'c', term: 2 },
    ]);
  });

  test.each<{ voters: readonly NodeId[]; granting: readonly NodeId[]; role: Role }>([
    { voters: ['a'], granting: [], role: 'leader' },
    { voters: ABC, granting: [], role: 'candidate' },
    { voters: ABC, granting: ['b'], role: 'leader' },
    { voters: FIVE, granting: ['b'], role: 'candidate' },
    { voters: FIVE, granting: ['b', 'c'], role: 'leader' },
  ])('of $voters.length voters, own vote and $granting.length others make a $role', ({ voters, granting, role }) => {
    const cluster = new Cluster({ voters });
    cluster.filter = (message) => message.type !== 'vote' || granting.includes(message.to);
    cluster.campaign('a');
    expect(cluster.raft('a').status().role).toBe(role);
  });

  test('refusals of a majority end a campaign', () => {
    const cluster = new Cluster();
    cluster.filter = (message) => message.type === 'pre-vote' || message.type === 'pre-vote-reply';
    cluster.campaign('a');
    for (const from of ['b', 'c'])
      cluster.inject({ type: 'vote-reply', from, to: 'a', term: 2, granted: false, ...CLAIM });
    expect(cluster.raft('a').status()).toMatchObject({ role: 'follower', term: 2, vote: 'a' });
  });

  test('a voter votes for the first that asks in a term, for it again, and for no other', () => {
    const cluster = new Cluster();
    for (const from of ['b', 'c', 'b']) {
      cluster.inject(vote(from, 'a', 2, 1, 1));
      cluster.sync('a');
    }
    expect(cluster.sent('vote-reply')).toMatchObject([
      { to: 'b', granted: true },
      { to: 'c', granted: false },
      { to: 'b', granted: true },
    ]);
  });

  test('a candidate that hears the leader of its term follows it', () => {
    const cluster = new Cluster();
    cluster.filter = (message) => message.type === 'pre-vote' || message.type === 'pre-vote-reply';
    cluster.campaign('a');
    cluster.inject(heartbeat('b', 'a', 2));
    expect(cluster.raft('a').status()).toMatchObject({ role: 'follower', term: 2, leader: 'b', vote: 'a' });
  });

  test('election timeouts are drawn anew each time, from the whole interval and nothing beyond it', () => {
    const options = { prng: createPrng(1), electionTicksMin: 10, electionTicksMax: 20 };
    const timer = new ElectionTimer(options);
    const drawn = new Set<number>();
    for (let round = 0; round < 500; round++) {
      let ticks = 1;
      while (!timer.tick()) ticks++;
      drawn.add(ticks);
      timer.reset();
    }
    expect([...drawn].sort((a, b) => a - b)).toEqual([10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);
  });
});

describe('§5.3 log replication', () => {
  test('an entry is committed once a majority has it on disk, and then all apply it in log order', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    cluster.isolated.add('c');
    cluster.propose('a', 'x');
    cluster.propose('a', 'y');
    cluster.settle();
    expect(cluster.node('a').applied).toEqual(['x', 'y']);
    expect(cluster.node('b').applied).toEqual(['x', 'y']);
    cluster.isolated.clear();
    cluster.run(2 * HEARTBEAT_TICKS + 1);
    expect(cluster.node('c').applied).toEqual(['x', 'y']);
  });

  test('an entry that only a minority has is not committed', () => {
    const cluster = new Cluster({ voters: FIVE });
    cluster.elect('a');
    for (const id of ['c', 'd', 'e']) cluster.isolated.add(id);
    const index = cluster.propose('a', 'x');
    cluster.settle();
    expect(cluster.raft('b').status().lastIndex).toBe(index);
    expect(cluster.raft('a').status().commit).toBe(index - 1);
  });

  test('an append names the index and term of the entry before its own', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    const index = cluster.propose('a', 'x');
    cluster.pump('a');
    expect(cluster.sent('append', 'b')).toMatchObject([{ prevIndex: index - 1, prevTerm: 2 }]);
  });

  test('proposals of one turn go as one append to each follower', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    for (const text of ['x', 'y', 'z']) cluster.propose('a', text);
    cluster.pump('a');
    expect(cluster.sent('append').map(({ to, entries }) => [to, entries.length])).toEqual([
      ['b', 3],
      ['c', 3],
    ]);
  });

  test.each([
    { name: 'too far on', prevIndex: 6, prevTerm: 3, hintIndex: 4, hintTerm: 3 },
    { name: 'of another term', prevIndex: 4, prevTerm: 2, hintIndex: 3, hintTerm: 2 },
    { name: 'of a term that skips ours', prevIndex: 4, prevTerm: 1, hintIndex: 1, hintTerm: 1 },
  ])('an append after an entry $name is refused, with the last entry that may match', ({ name: _, ...answer }) => {
    const cluster = new Cluster({ disks: { a: diskWith([2, 2, 3], ABC) } });
    const { prevIndex, prevTerm } = answer;
    cluster.inject({ type: 'append', from: 'b', to: 'a', term: 3, prevIndex, prevTerm, entries: [], commit: 1 });
    const { hintIndex, hintTerm } = answer;
    const refusal = { rejected: true, index: prevIndex, hintIndex, hintTerm };
    expect(cluster.sent('append-reply')).toMatchObject([refusal]);
    expect(cluster.raft('a').status().lastIndex).toBe(4);
  });

  // Figure 7, shifted by one index: its leader of term 8 and its six followers.
  test.each([
    { name: 'a: one missing', terms: [1, 1, 1, 4, 4, 5, 5, 6, 6] },
    { name: 'b: many missing', terms: [1, 1, 1, 4] },
    { name: 'c: one extra', terms: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6] },
    { name: 'd: a whole term extra', terms: [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7] },
    { name: 'e: missing and extra', terms: [1, 1, 1, 4, 4, 4, 4] },
    { name: 'f: two terms extra', terms: [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3] },
  ])('Figure 7, follower $name: the leader makes its log equal in at most two refusals', ({ terms }) => {
    const leader = diskWith([1, 1, 1, 4, 4, 5, 5, 6, 6, 6], ABC, { term: 7 });
    const follower = diskWith(terms, ABC, { term: 7 });
    const cluster = new Cluster({ disks: { a: leader, b: diskWith([], ABC, { term: 7 }), c: follower } });
    let refusals = 0;
    cluster.filter = (message) => {
      if (message.type === 'append-reply' && message.from === 'c' && message.rejected) refusals++;
      return true;
    };
    cluster.elect('a');
    cluster.run(HEARTBEAT_TICKS);
    expect(cluster.raft('c').entriesFrom(2)).toEqual(cluster.raft('a').entriesFrom(2));
    expect(cluster.raft('c').status().commit).toBe(12);
    expect(refusals).toBeLessThanOrEqual(2);
  });

  test('appends follow each other without waiting, up to the window in messages', () => {
    const cluster = new Cluster({ raft: { inflightMessagesMax: 3 } });
    cluster.elect('a');
    for (const text of ['1', '2', '3', '4', '5']) {
      cluster.propose('a', text);
      cluster.pump('a');
    }
    expect(cluster.sent('append', 'b')).toHaveLength(3);
    cluster.settle();
    expect(cluster.node('b').applied).toEqual(['1', '2', '3', '4', '5']);
  });

  test('appends stop at the window in bytes', () => {
    const cluster = new Cluster({ raft: { inflightBytesMax: 100 } });
    cluster.elect('a');
    for (let count = 0; count < 8; count++) {
      cluster.propose('a', 'x'.repeat(40));
      cluster.pump('a');
    }
    expect(cluster.sent('append', 'b')).toHaveLength(3);
    cluster.settle();
    expect(cluster.node('b').applied).toHaveLength(8);
  });

  test('a message is cut at its byte limit, and one entry above it goes alone', () => {
    const cluster = new Cluster({ raft: { appendBytesMax: 64 } });
    cluster.elect('a');
    for (const length of [20, 20, 20, 200, 20]) cluster.propose('a', 'x'.repeat(length));
    cluster.pump('a');
    expect(cluster.sent('append', 'b').map((message) => message.entries.length)).toEqual([2, 1, 1, 1]);
  });

  test('a leader refuses proposals beyond its quota of uncommitted bytes, and takes them again after the commit', () => {
    const cluster = new Cluster({ raft: { uncommittedBytesMax: 100 } });
    cluster.elect('a');
    cluster.propose('a', 'x'.repeat(200));
    const refused = cluster.raft('a').propose(Buffer.from('y'));
    expect(refused).toEqual({ ok: false, reason: 'overloaded' });
    cluster.settle();
    expect(cluster.raft('a').propose(Buffer.from('y')).ok).toBe(true);
  });

  test('a follower takes no proposals', () => {
    const cluster = new Cluster();
    expect(cluster.raft('b').propose(Buffer.from('x'))).toEqual({ ok: false, reason: 'not-leader' });
  });
});

describe('§5.4 safety', () => {
  test.each([
    { candidate: [2, 5], own: [2, 5], granted: true },
    { candidate: [2, 6], own: [2, 5], granted: true },
    { candidate: [3, 2], own: [2, 5], granted: true },
    { candidate: [2, 4], own: [2, 5], granted: false },
    { candidate: [1, 9], own: [2, 5], granted: false },
  ])('§5.4.1: a log that ends with (term, index) $candidate against our $own is granted: $granted', (row) => {
    const end = ([lastTerm = 0, lastIndex = 0]: number[]) => ({ lastTerm, lastIndex });
    expect(isUpToDate(end(row.candidate), end(row.own))).toBe(row.granted);
  });

  test('§5.4.1: a voter refuses a candidate whose log lacks what it has', () => {
    const cluster = new Cluster({ disks: { a: diskWith([2, 3], ABC) } });
    cluster.inject(vote('b', 'a', 4, 2, 9));
    cluster.sync('a');
    expect(cluster.sent('vote-reply')).toMatchObject([{ term: 4, granted: false }]);
    expect(cluster.raft('a').status()).toMatchObject({ term: 4, vote: null });
  });

  test('§5.4.2, Figure 8: an older entry on a majority is not committed until one of the own term is', () => {
    // Index 2 of term 2 is on a and b; a leads again in term 4 and brings it to c.
    const disks = { a: diskWith([2], FIVE, { term: 3 }), b: diskWith([2], FIVE, { term: 3 }) };
    const cluster = new Cluster({ voters: FIVE, disks });
    // The no-op of term 4 is cut off every append, so that only the old entry spreads.
    const cut = new WeakSet<RaftMessage>();
    cluster.filter = (message) => {
      if (message.type !== 'append' || cut.has(message)) return true;
      const old = { ...message, entries: message.entries.filter((one) => one.term < 4) };
      cut.add(old);
      cluster.bag.push(old);
      return false;
    };
    cluster.elect('a');
    cluster.run(HEARTBEAT_TICKS);
    const { match, commit } = cluster.raft('a').status();
    expect([...match.values()].filter((index) => index >= 2).length).toBeGreaterThanOrEqual(3);
    expect(commit).toBe(1);
    cluster.filter = () => true;
    cluster.run(3 * HEARTBEAT_TICKS);
    expect(cluster.raft('a').status()).toMatchObject({ commit: 3, settled: true });
  });
});

describe('§5.5 crashes', () => {
  test('a follower that crashes is sent again what it had not synced', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    const index = cluster.propose('a', 'x');
    cluster.pump('a');
    while (cluster.bag.length > 0) cluster.deliver();
    expect(cluster.raft('b').status().lastIndex).toBe(index);
    cluster.crash('b');
    cluster.restart('b');
    expect(cluster.raft('b').status().lastIndex).toBe(index - 1);
    cluster.run(4 * HEARTBEAT_TICKS);
    expect(cluster.node('b').applied).toEqual(['x']);
  });

  test('an append that is delivered twice is answered twice and changes nothing the second time', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    cluster.propose('a', 'x');
    cluster.pump('a');
    const append = cluster.sent('append', 'b')[0]!;
    cluster.settle();
    const before = cluster.raft('b').status();
    cluster.inject(append);
    expect(cluster.raft('b').status()).toEqual(before);
    expect(cluster.sent('append-reply')).toMatchObject([{ rejected: false, index: before.lastIndex }]);
  });
});

describe('§6 and thesis §4.2.3, disruptive servers', () => {
  test('a vote of a higher term is not even looked at while a leader is heard', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    const terms = ABC.map((id) => cluster.raft(id).status().term);
    for (const to of ['a', 'b']) cluster.inject(vote('c', to, 9, 9, 99));
    expect(ABC.map((id) => cluster.raft(id).status().term)).toEqual(terms);
    expect(cluster.bag).toEqual([]);
  });

  test('an answer of one who was not asked is ignored, whatever it says', () => {
    const cluster = new Cluster();
    cluster.elect('a');
    const before = cluster.raft('a').status();
    const reply = { from: 'z', to: 'a', term: 9 } as const;
    cluster.inject({ ...reply, type: 'heartbeat-reply', round: 1, regressed: false });
    cluster.inject({ ...reply, type: 'append-reply', index: 2, rejected: false, hintIndex: 0, hintTerm: 0 });
    cluster.inject({ ...reply, type: 'vote-reply', granted: false, ...CLAIM });
    expect(cluster.raft('a').status()).toEqual(before);
  });
});

describe('§7 log compaction', () => {
  function lagging(): Cluster {
    const cluster = new Cluster();
    cluster.elect('a');
    cluster.isolated.add('c');
    for (const text of ['1', '2', '3']) cluster.propose('a', text);
    cluster.settle();
    cluster.compact('a');
    cluster.isolated.clear();
    return cluster;
  }

  test('a follower that needs what is compacted away gets one snapshot, and then the log goes on', () => {
    const cluster = lagging();
    let snapshots = 0;
    cluster.filter = (message) => {
      if (message.type === 'snapshot') snapshots++;
      return true;
    };
    cluster.run(4 * HEARTBEAT_TICKS);
    cluster.propose('a', '4');
    cluster.settle();
    expect(cluster.node('c').applied).toEqual(['1', '2', '3', '4']);
    expect(snapshots).toBe(1);
    cluster.crash('c');
    cluster.restart('c');
    cluster.run(HEARTBEAT_TICKS);
    expect(cluster.node('c').applied).toEqual(['1', '2', '3', '4']);
  });

  test('a snapshot that is lost is missed after a bounded time and sent again', () => {
    const cluster = lagging();
    let lost = 0;
    cluster.filter = (message) => message.type !== 'snapshot' || lost++ > 0;
    cluster.run(SNAPSHOT_LOST_TICKS / 2);
    expect(lost).toBe(1);
    cluster.run(SNAPSHOT_LOST_TICKS);
    expect(lost).toBe(2);
    expect(cluster.node('c').applied).toEqual(['1', '2', '3']);
  });

  test('a snapshot is handed to the state machine, and acknowledged, only once it is synced', () => {
    const cluster = new Cluster();
    const snapshot = snapshotAt(5, 2, ABC, 'x\ny');
    cluster.inject({ type: 'snapshot', from: 'b', to: 'a', term: 2, snapshot });
    cluster.sync('a');
    expect(cluster.node('a').disk.snapshot).toBe(snapshot);
    expect(cluster.node('a').disk.hardState).toMatchObject({ term: 2, commit: 5 });
    expect(cluster.node('a').applied).toEqual(['x', 'y']);
    expect(cluster.sent('append-reply')).toMatchObject([{ rejected: false, index: 5 }]);

    const slow = new Cluster();
    slow.inject({ type: 'snapshot', from: 'b', to: 'a', term: 2, snapshot });
    expect(slow.node('a').applied).toEqual([]);
    expect(slow.bag).toEqual([]);
  });

  test('a snapshot that describes a prefix of the log keeps what follows, and only moves the commit index', () => {
    const cluster = new Cluster({ disks: { a: diskWith([2, 2, 2], ABC) } });
    cluster.inject({ type: 'snapshot', from: 'b', to: 'a', term: 2, snapshot: snapshotAt(3, 2, ABC) });
    expect(cluster.raft('a').status()).toMatchObject({ commit: 3, lastIndex: 4, snapshotIndex: 1 });
    expect(cluster.node('a').applied).toEqual(['2-2', '2-3']);
  });

  test('an old snapshot is answered with the commit index and changes nothing', () => {
    const cluster = new Cluster({ disks: { a: diskWith([2, 2, 2], ABC, { commit: 4 }) } });
    cluster.pump('a');
    const before = cluster.raft('a').status();
    cluster.inject({ type: 'snapshot', from: 'b', to: 'a', term: 2, snapshot: snapshotAt(3, 2, ABC) });
    expect(cluster.raft('a').status()).toEqual({ ...before, leader: 'b' });
    expect(cluster.sent('append-reply')).toMatchObject([{ rejected: false, index: 4 }]);
  });
});
