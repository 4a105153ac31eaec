/**
 * Classic bugs: mistakes that shipped in well-known Raft implementations, each as the shortest run that shows it. The
 * rows are numbered so that other tests and documents can point at them.
 */
import { expect, test } from 'vitest';
import { WRITE_STALLED_TICKS } from '../../src/base/limits.ts';
import type { LogIndex, NodeId, Term } from '../../src/base/types.ts';
import { acceptAppend } from '../../src/raft/follow.ts';
import { RaftLog } from '../../src/raft/log.ts';
import { Progress } from '../../src/raft/progress.ts';
import type { Entry, RaftMessage } from '../../src/raft/types.ts';
import {
  CLAIM,
  Cluster,
  diskWith,
  ELECTION_TICKS_MAX,
  ELECTION_TICKS_MIN,
  entry,
  HEARTBEAT_TICKS,
  type MessageOf,
  snapshotAt,
} from './network.ts';

const ABC: readonly NodeId[] = ['a', 'b', 'c'];
const FIVE: readonly NodeId[] = ['a', 'b', 'c', 'd', 'e'];

function vote(from: NodeId, to: NodeId, term: Term): MessageOf<'vote'> {
  return { type: 'vote', from, to, term, lastTerm: 99, lastIndex: 99, transfer: false, ...CLAIM };
}

/** From b to a, after an entry of `prevTerm`. */
function append(term: Term, prevIndex: LogIndex, prevTerm: Term, entries: Entry[], commit = 1): MessageOf<'append'> {
  return { type: 'append', from: 'b', to: 'a', term, prevIndex, prevTerm, entries, commit };
}

/** Brings a to the point where it campaigns and its vote for itself is in flight. */
function campaigning(voters: readonly NodeId[]): Cluster {
  const cluster = new Cluster({ voters });
  for (let tick = 0; tick < ELECTION_TICKS_MAX; tick++) {
    if (cluster.raft('a').status().role === 'follower') cluster.tick('a');
  }
  for (const from of voters.slice(1)) {
    if (cluster.raft('a').status().role !== 'pre-candidate') break;
    cluster.inject({ type: 'pre-vote-reply', from, to: 'a', term: 2, granted: true, ...CLAIM });
  }
  cluster.bag = [];
  expect(cluster.raft('a').status().role).toBe('candidate');
  return cluster;
}

test('row 1: a vote leaves only after it is on disk, and survives a crash', () => {
  const cluster = new Cluster();
  cluster.inject(vote('b', 'a', 5));
  expect(cluster.bag).toEqual([]);
  cluster.sync('a');
  expect(cluster.sent('vote-reply', 'b')).toMatchObject([{ granted: true, term: 5 }]);
  cluster.crash('a');
  cluster.restart('a');
  cluster.inject(vote('c', 'a', 5));
  expect(cluster.sent('vote-reply', 'c')).toMatchObject([{ granted: false }]);
});

test('row 1: a candidate asks for votes, and counts its own, only after its own is on disk', () => {
  const cluster = campaigning(ABC);
  expect(cluster.sent('vote')).toEqual([]);
  // Not even the votes of all others make it leader before that.
  for (const from of ['b', 'c'])
    cluster.inject({ type: 'vote-reply', from, to: 'a', term: 2, granted: true, ...CLAIM });
  expect(cluster.raft('a').status().role).toBe('candidate');
  cluster.sync('a');
  expect(cluster.raft('a').status().role).toBe('leader');
});

test('row 1: a single voter leads only after its vote is on disk', () => {
  const cluster = campaigning(['a']);
  expect(cluster.raft('a').status().role).toBe('candidate');
  cluster.sync('a');
  expect(cluster.raft('a').status().role).toBe('leader');
});

test('row 1: a vote asked for while another write is in flight waits for its own write, not for that one', () => {
  const cluster = new Cluster();
  cluster.inject(append(1, 1, 1, [entry(1, 2)]));
  expect(cluster.node('a').writing).not.toBeNull();
  // The leader b is heard, so time must pass before a may vote again.
  for (let tick = 0; tick < ELECTION_TICKS_MIN; tick++) cluster.raft('a').tick();
  cluster.inject(vote('c', 'a', 5));
  cluster.sync('a');
  expect(cluster.sent('vote-reply')).toEqual([]);
  cluster.sync('a');
  expect(cluster.sent('vote-reply')).toMatchObject([{ granted: true }]);
});

test('rows 2 and 3: term, vote and entries of one moment go to disk in one write', () => {
  const cluster = new Cluster();
  cluster.raft('a').step(vote('b', 'a', 5));
  cluster.raft('a').step(append(5, 1, 1, [entry(5, 2)]));
  const write = cluster.raft('a').takeWrite();
  expect(write?.hardState).toMatchObject({ term: 5, vote: 'b' });
  expect(write?.entries).toHaveLength(1);
  expect(write?.messages.map((message) => message.type)).toEqual(['vote-reply', 'append-reply']);
});

test('row 4: a leader that steps down within its term keeps its vote, and so does a refused candidate', () => {
  const cluster = new Cluster();
  cluster.elect('a');
  for (let tick = 0; tick < 3 * ELECTION_TICKS_MIN; tick++) {
    if (cluster.raft('a').status().role === 'leader') cluster.tick('a');
  }
  expect(cluster.raft('a').status()).toMatchObject({ role: 'follower', term: 2, vote: 'a' });
  cluster.bag = [];
  cluster.inject(vote('b', 'a', 2));
  expect(cluster.sent('vote-reply')).toMatchObject([{ granted: false }]);
});

test('row 4: a lost pre-vote leaves the vote of the term alone', () => {
  const cluster = new Cluster({ disks: { a: diskWith([], ABC, { term: 3, vote: 'c' }) } });
  for (let tick = 0; tick < ELECTION_TICKS_MAX; tick++) cluster.tick('a');
  for (const from of ['b', 'c'])
    cluster.inject({ type: 'pre-vote-reply', from, to: 'a', term: 3, granted: false, ...CLAIM });
  expect(cluster.raft('a').status()).toMatchObject({ role: 'follower', term: 3, vote: 'c' });
});

test('row 5: doubled votes and votes of an old term do not count', () => {
  const cluster = campaigning(FIVE);
  cluster.sync('a');
  const granted = { type: 'vote-reply', to: 'a', granted: true, ...CLAIM } as const;
  cluster.inject({ ...granted, from: 'b', term: 2 });
  cluster.inject({ ...granted, from: 'b', term: 2 });
  cluster.inject({ ...granted, from: 'c', term: 1 });
  cluster.inject({ ...granted, from: 'z', term: 2 });
  expect(cluster.raft('a').status().role).toBe('candidate');
  cluster.inject({ ...granted, from: 'd', term: 2 });
  expect(cluster.raft('a').status().role).toBe('leader');
});

test('row 6: a longer log of an older last term does not win against a shorter one of a newer', () => {
  const disks = { a: diskWith([2, 2, 2, 2, 2], ABC, { term: 3 }), b: diskWith([3], ABC), c: diskWith([3], ABC) };
  const cluster = new Cluster({ disks });
  cluster.campaign('a');
  expect(cluster.raft('a').status().role).toBe('follower');
  cluster.elect('b');
});

test('row 7: whoever asks for a vote in an old term is told the present one', () => {
  const cluster = new Cluster({ disks: { a: diskWith([], ABC, { term: 5 }) } });
  cluster.inject(vote('b', 'a', 3));
  expect(cluster.sent('vote-reply', 'b')).toMatchObject([{ granted: false, term: 5 }]);
  // One that is granted is of the term in which it is given, and not of the one before.
  cluster.inject(vote('b', 'a', 6));
  cluster.sync('a');
  expect(cluster.sent('vote-reply', 'b')).toMatchObject([{ term: 5 }, { granted: true, term: 6 }]);
});

test('row 8: a new leader does not commit what its predecessor put on a majority, before its own no-op is there', () => {
  const disks = { a: diskWith([2], ABC), b: diskWith([2], ABC) };
  const cluster = new Cluster({ disks });
  // b and c say that they hold the old entry, and nothing of the no-op.
  cluster.filter = (message) => message.type !== 'append';
  cluster.elect('a');
  for (const from of ['b', 'c']) {
    const reply = { index: 2, rejected: false, hintIndex: 0, hintTerm: 0 };
    cluster.inject({ type: 'append-reply', from, to: 'a', term: 3, ...reply });
  }
  expect(cluster.raft('a').status()).toMatchObject({ commit: 1, settled: false });
  const reply = { index: 3, rejected: false, hintIndex: 0, hintTerm: 0 };
  cluster.inject({ type: 'append-reply', from: 'b', to: 'a', term: 3, ...reply });
  expect(cluster.raft('a').status()).toMatchObject({ commit: 3, settled: true });
});

test('row 9: progress of one follower counts once, however often and in whatever order it is told', () => {
  const cluster = new Cluster({ voters: FIVE });
  cluster.elect('a');
  cluster.filter = () => false;
  const index = cluster.propose('a', 'x');
  cluster.settle();
  const reply = { type: 'append-reply', to: 'a', term: 2, rejected: false, hintIndex: 0, hintTerm: 0 } as const;
  for (const told of [index, index - 1, index, 1]) cluster.inject({ ...reply, from: 'b', index: told });
  expect(cluster.raft('a').status().commit).toBe(index - 1);
  expect(cluster.raft('a').status().match.get('b')).toBe(index);
  cluster.inject({ ...reply, from: 'c', index });
  expect(cluster.raft('a').status().commit).toBe(index);
});

test('row 10: an answer of a stranger commits nothing, and the leader itself counts only what its disk holds', () => {
  const cluster = new Cluster();
  cluster.elect('a');
  cluster.filter = () => false;
  const index = cluster.propose('a', 'x');
  cluster.pump('a');
  const reply = { type: 'append-reply', to: 'a', term: 2, index, rejected: false, hintIndex: 0, hintTerm: 0 } as const;
  cluster.inject({ ...reply, from: 'z' });
  cluster.inject({ ...reply, from: 'b' });
  expect(cluster.raft('a').status().commit).toBe(index - 1);
  cluster.sync('a');
  expect(cluster.raft('a').status().commit).toBe(index);
});

test('row 11: a late, shorter or empty append removes nothing that matches', () => {
  const cluster = new Cluster({ disks: { a: diskWith([2, 2, 2, 2], ABC) } });
  const entries = cluster.raft('a').entriesFrom(2);
  cluster.inject(append(2, 1, 1, []));
  cluster.inject(append(2, 1, 1, entries.slice(0, 2)));
  cluster.inject(append(2, 3, 2, []));
  expect(cluster.raft('a').entriesFrom(2)).toEqual(entries);
  expect(cluster.sent('append-reply').map((message) => message.index)).toEqual([1, 3, 3]);
});

test('row 12: a follower commits no further than this append proved, whatever the leader has committed', () => {
  const cluster = new Cluster({ disks: { a: diskWith([2, 2, 2, 2], ABC, { term: 3 }) } });
  cluster.inject(append(3, 2, 2, [], 5));
  expect(cluster.raft('a').status()).toMatchObject({ commit: 2, lastIndex: 5 });
  cluster.inject(append(3, 2, 2, [entry(3, 3)], 5));
  expect(cluster.raft('a').status()).toMatchObject({ commit: 3, lastIndex: 3 });
});

test('row 12: a heartbeat carries no commit index beyond what its receiver is known to hold', () => {
  const cluster = new Cluster();
  cluster.filter = (message) => message.type !== 'append' || message.to !== 'c';
  cluster.elect('a');
  cluster.propose('a', 'x');
  cluster.settle();
  for (let tick = 0; tick < HEARTBEAT_TICKS; tick++) cluster.tick('a');
  expect(cluster.raft('a').status().commit).toBe(3);
  expect(cluster.sent('heartbeat').map(({ to, commit }) => [to, commit])).toEqual([
    ['b', 3],
    ['c', 0],
  ]);
});

test('row 13: an append that begins below the snapshot is no conflict, and what is new in it is taken', () => {
  const disk = diskWith([], ABC);
  disk.snapshot = snapshotAt(4, 2, ABC);
  disk.entries = [entry(2, 5), entry(2, 6)];
  disk.hardState = { term: 2, vote: null, commit: 6 };
  const cluster = new Cluster({ disks: { a: disk } });
  const old = [2, 3, 4, 5, 6].map((index) => entry(2, index));
  cluster.inject(append(2, 1, 1, old, 6));
  cluster.inject(append(2, 1, 1, [...old, entry(2, 7)], 6));
  expect(cluster.raft('a').status()).toMatchObject({ firstIndex: 5, lastIndex: 7, commit: 6, snapshotIndex: 4 });
  cluster.sync('a');
  expect(cluster.sent('append-reply')).toMatchObject([
    { rejected: false, index: 6 },
    { rejected: false, index: 7 },
  ]);
});

test('row 14: a conflicting entry at the index of a snapshot goes with the whole log, and replication goes on from it', () => {
  const cluster = new Cluster({ disks: { a: diskWith([2, 2, 2, 2, 2], ABC) } });
  cluster.inject({ type: 'snapshot', from: 'b', to: 'a', term: 4, snapshot: snapshotAt(4, 3, ABC, 'x') });
  expect(cluster.raft('a').status()).toMatchObject({ commit: 4, lastIndex: 4, lastTerm: 3, firstIndex: 5 });
  cluster.sync('a');
  cluster.inject(append(4, 4, 3, [entry(4, 5)], 5));
  cluster.sync('a');
  expect(cluster.raft('a').status()).toMatchObject({ commit: 5, applied: 5 });
  cluster.crash('a');
  cluster.restart('a');
  expect(cluster.raft('a').status()).toMatchObject({ snapshotIndex: 4, lastIndex: 5, lastTerm: 4 });
});

test('row 15: entries that arrive behind a snapshot not yet synced go to disk behind it, in the same write', () => {
  const cluster = new Cluster({ disks: { a: diskWith([2, 2], ABC) } });
  cluster.raft('a').step({ type: 'snapshot', from: 'b', to: 'a', term: 4, snapshot: snapshotAt(9, 3, ABC) });
  cluster.raft('a').step(append(4, 9, 3, [entry(4, 10)], 10));
  const write = cluster.raft('a').takeWrite();
  expect(write?.snapshot?.meta.index).toBe(9);
  expect(write?.entries.map((one) => one.index)).toEqual([10]);
  // Two answers of one kind became one, and it covers both.
  expect(write?.messages).toMatchObject([{ type: 'append-reply', index: 10, rejected: false }]);
  expect(cluster.raft('a').ready(1_000).committed).toEqual([]);
  cluster.raft('a').written();
  const ready = cluster.raft('a').ready(1_000);
  expect(ready.snapshot?.meta.index).toBe(9);
  expect(ready.committed.map((one) => one.index)).toEqual([10]);
});

test('row 15: a write in flight that a snapshot overtook makes nothing durable', () => {
  const cluster = new Cluster();
  cluster.inject(append(2, 1, 1, [entry(2, 2), entry(2, 3)]));
  cluster.inject({ type: 'snapshot', from: 'b', to: 'a', term: 2, snapshot: snapshotAt(9, 2, ABC) });
  cluster.sync('a');
  expect(cluster.sent('append-reply').filter((message) => message.index >= 9)).toEqual([]);
  expect(cluster.raft('a').status().applied).toBe(1);
  cluster.sync('a');
  expect(cluster.sent('append-reply')).toMatchObject([{ index: 3 }, { index: 9 }]);
  expect(cluster.raft('a').status().applied).toBe(9);
});

test('row 16: compaction waits for a snapshot that is under way, so that it is not outdated when it arrives', () => {
  const cluster = new Cluster();
  cluster.elect('a');
  cluster.isolated.add('c');
  for (const text of ['1', '2', '3']) cluster.propose('a', text);
  cluster.settle();
  cluster.compact('a');
  cluster.isolated.clear();
  const snapshots: RaftMessage[] = [];
  cluster.filter = (message) => message.type !== 'snapshot' || snapshots.push(message) === 0;
  cluster.run(3 * HEARTBEAT_TICKS);
  expect(snapshots).toHaveLength(1);
  cluster.filter = () => true;
  for (const text of ['4', '5', '6']) cluster.propose('a', text);
  cluster.settle();
  cluster.compact('a');
  cluster.inject(snapshots[0]!);
  cluster.settle();
  cluster.run(HEARTBEAT_TICKS);
  expect(cluster.node('c').applied).toEqual(['1', '2', '3', '4', '5', '6']);
  expect(cluster.raft('c').status().snapshotIndex).toBe(5);
});

test('row 21: a read that a new leader takes waits for its own no-op', () => {
  const cluster = new Cluster({ disks: { a: diskWith([2], ABC), b: diskWith([2], ABC, { commit: 2 }) } });
  cluster.filter = (message) => message.type !== 'append';
  cluster.elect('a');
  const read = cluster.read('a');
  for (let tick = 0; tick < 2 * HEARTBEAT_TICKS; tick++) cluster.tick('a');
  cluster.settle();
  expect(cluster.raft('a').quorumRound()).toBeGreaterThan(0);
  expect(cluster.node('a').reads).toEqual([]);
  cluster.filter = () => true;
  cluster.run(3 * HEARTBEAT_TICKS);
  expect(cluster.node('a').reads).toEqual([{ id: read, index: 3 }]);
});

test('row 22: answers to rounds that were sent before a read was asked do not confirm it', () => {
  const cluster = new Cluster();
  cluster.elect('a');
  for (let tick = 0; tick < HEARTBEAT_TICKS; tick++) cluster.tick('a');
  while (cluster.sent('heartbeat').length > 0) cluster.deliver();
  const delayed = cluster.sent('heartbeat-reply', 'a');
  expect(delayed).toHaveLength(2);
  cluster.bag = [];
  const read = cluster.read('a');
  cluster.pump('a');
  for (const reply of [...delayed, ...delayed]) cluster.inject(reply);
  expect(cluster.node('a').reads).toEqual([]);
  cluster.settle();
  expect(cluster.node('a').reads).toMatchObject([{ id: read }]);
});

test('row 22: answers to the rounds of a former term, or to rounds never sent, confirm nothing', () => {
  const cluster = new Cluster();
  cluster.elect('a');
  // Everybody loses sight of everybody, and then a leads again.
  for (const id of ABC) cluster.isolated.add(id);
  for (const id of ABC) for (let tick = 0; tick < 2 * ELECTION_TICKS_MIN; tick++) cluster.tick(id);
  cluster.settle();
  cluster.isolated.clear();
  cluster.inject({ type: 'heartbeat', from: 'b', to: 'a', term: 4, commit: 1, match: 1, round: 1 });
  for (let tick = 0; tick < ELECTION_TICKS_MAX; tick++) cluster.tick('a');
  cluster.settle();
  expect(cluster.raft('a').status()).toMatchObject({ role: 'leader', term: 5, settled: true });
  const read = cluster.read('a');
  cluster.pump('a');
  const { round } = cluster.raft('a');
  for (const from of ['b', 'c']) {
    cluster.inject({ type: 'heartbeat-reply', from, to: 'a', term: 2, round, regressed: false });
    cluster.inject({ type: 'heartbeat-reply', from, to: 'a', term: 5, round: round + 1, regressed: false });
  }
  expect(cluster.node('a').reads).toEqual([]);
  cluster.settle();
  expect(cluster.node('a').reads).toMatchObject([{ id: read }]);
});

test('row 23: a leader that was paused serves no read from memory of its leadership', () => {
  const cluster = new Cluster();
  cluster.elect('a');
  cluster.isolated.add('a');
  for (let tick = 0; tick < 3 * ELECTION_TICKS_MAX; tick++) {
    for (const id of ['b', 'c']) cluster.tick(id);
    cluster.settle();
  }
  expect(cluster.leader()).not.toBe('a');
  cluster.isolated.clear();
  // a has seen no tick in all that time and believes that it leads.
  expect(cluster.raft('a').status().role).toBe('leader');
  const read = cluster.read('a');
  cluster.settle();
  expect(cluster.node('a').reads).toEqual([]);
  expect(cluster.node('a').failedReads).toEqual([read]);
});

test('row 24: a node whose term ran ahead comes back, though it cannot follow the old term and the others are sticky', () => {
  const ahead = diskWith([], ABC, { term: 7 });
  const cluster = new Cluster({ disks: { c: ahead } });
  cluster.isolated.add('c');
  cluster.elect('a');
  cluster.propose('a', 'x');
  cluster.run(1);
  cluster.isolated.clear();
  cluster.run(6 * ELECTION_TICKS_MAX);
  const leader = cluster.leader();
  expect(leader).not.toBeNull();
  for (const id of ABC) {
    expect(cluster.raft(id).status()).toMatchObject({ leader, term: cluster.raft('c').status().term });
    expect(cluster.node(id).applied).toEqual(['x']);
  }
  expect(cluster.raft('c').status().term).toBeGreaterThanOrEqual(7);
});

test('row 25: a node that reaches only one follower does not unseat the leader again and again', () => {
  // c and the leader do not hear each other; both hear b.
  const cluster = new Cluster();
  cluster.elect('a');
  cluster.filter = ({ from, to }) => !((from === 'a' && to === 'c') || (from === 'c' && to === 'a'));
  cluster.run(20 * ELECTION_TICKS_MAX);
  expect(cluster.raft('a').status()).toMatchObject({ role: 'leader', term: 2 });
  expect(cluster.leaders.size).toBe(1);
});

test('row 25: a leader that is cut off from a quorum, but heard by one, is replaced', () => {
  // b and c hear nothing from a but each other; a reaches d only. e and d are heard by b and c.
  const cluster = new Cluster({ voters: FIVE });
  cluster.elect('a');
  cluster.filter = ({ from, to }) => (from !== 'a' && to !== 'a') || from === 'd' || to === 'd';
  cluster.run(10 * ELECTION_TICKS_MAX);
  expect(cluster.leader()).not.toBe('a');
  expect(cluster.raft('a').status().role).not.toBe('leader');
  expect(cluster.leader()).not.toBeNull();
});

test('row 25: a node that cannot win does not keep the others from standing by raising the term', () => {
  const cluster = new Cluster({ disks: { a: diskWith([2], ABC) } });
  for (let tick = 0; tick < ELECTION_TICKS_MAX; tick++) {
    if (cluster.raft('a').status().role === 'follower') cluster.tick('a');
    if (tick < ELECTION_TICKS_MIN) cluster.inject({ ...vote('b', 'a', 3 + tick), lastTerm: 1, lastIndex: 1 });
  }
  expect(cluster.raft('a').status().role).toBe('pre-candidate');
});

test('row 26: a leader whose disk hangs steps down, does not stand again, and another takes over', () => {
  const cluster = new Cluster();
  cluster.elect('a');
  cluster.propose('a', 'x');
  cluster.pump('a');
  for (let tick = 0; tick < WRITE_STALLED_TICKS + 4 * ELECTION_TICKS_MAX; tick++) {
    for (const id of ABC) cluster.tick(id);
    while (cluster.bag.length > 0) {
      cluster.deliver();
      for (const id of ['b', 'c']) cluster.sync(id);
    }
    for (const id of ['b', 'c']) cluster.sync(id);
  }
  expect(cluster.raft('a').status().role).toBe('follower');
  expect(['b', 'c']).toContain(cluster.leader());
  // The disk comes back: the node follows, without having driven the term up.
  const term = cluster.raft('b').status().term;
  cluster.run(ELECTION_TICKS_MAX);
  expect(cluster.raft('a').status()).toMatchObject({ term, leader: cluster.leader() });
});

test('row 26: a node does not stand for election while its disk hangs', () => {
  const cluster = new Cluster();
  cluster.inject(append(2, 1, 1, [entry(2, 2)]));
  for (let tick = 0; tick < WRITE_STALLED_TICKS; tick++) cluster.tick('a');
  cluster.bag = [];
  for (let tick = 0; tick < 3 * ELECTION_TICKS_MAX; tick++) cluster.tick('a');
  expect(cluster.sent('pre-vote')).toEqual([]);
  cluster.sync('a');
  for (let tick = 0; tick < ELECTION_TICKS_MAX; tick++) cluster.tick('a');
  expect(cluster.sent('pre-vote', 'b').length).toBeGreaterThan(0);
});

test('row 26: a disk that hangs does not pile up messages in memory', () => {
  const cluster = new Cluster();
  cluster.inject(append(2, 1, 1, [entry(2, 2)]));
  for (let count = 0; count < 100; count++) cluster.inject(append(2, 2, 2, [entry(2, 3)]));
  cluster.sync('a');
  cluster.sync('a');
  expect(cluster.sent('append-reply').map((message) => message.index)).toEqual([2, 3]);
});

test('row 30: an entry that was truncated and came back the same is not taken for the one that was written', () => {
  const cluster = new Cluster();
  // The write of (2, term 2) is in flight.
  cluster.inject(append(2, 1, 1, [entry(2, 2)]));
  // A leader of term 3 replaces it; one of term 4, that has it from term 2, brings it back.
  cluster.inject({ ...append(3, 1, 1, [entry(3, 2)]), from: 'c' });
  cluster.inject(append(4, 1, 1, [entry(2, 2)], 2));
  cluster.bag = [];
  cluster.sync('a');
  // On disk stands what was written first; that it looks the same is luck, for the write that follows may tear it down.
  expect(cluster.raft('a').status().applied).toBe(1);
  expect(cluster.sent('append-reply').filter((message) => message.term === 4)).toEqual([]);
  expect(cluster.node('a').writing?.entries).toEqual([entry(2, 2)]);
  cluster.sync('a');
  expect(cluster.sent('append-reply').filter((message) => message.term === 4)).toMatchObject([{ index: 2 }]);
  expect(cluster.raft('a').status().applied).toBe(2);
});

test('row 35: a read needs the answers of a quorum, and not one less', () => {
  const cluster = new Cluster({ voters: FIVE });
  cluster.elect('a');
  cluster.settle();
  cluster.filter = () => false;
  const read = cluster.read('a');
  cluster.settle();
  const { round } = cluster.raft('a');
  const answer = { type: 'heartbeat-reply', to: 'a', term: 2, round, regressed: false } as const;
  cluster.inject({ ...answer, from: 'b' });
  cluster.inject({ ...answer, from: 'b' });
  expect(cluster.node('a').reads).toEqual([]);
  cluster.inject({ ...answer, from: 'c' });
  expect(cluster.node('a').reads).toMatchObject([{ id: read }]);
});

test('reads at every turn do not put off the resending of what was lost', () => {
  const cluster = new Cluster();
  cluster.elect('a');
  cluster.settle();
  cluster.filter = (message) => message.type !== 'append' || message.to !== 'c';
  cluster.propose('a', 'x');
  cluster.settle();
  cluster.filter = () => true;
  for (let tick = 0; tick < 4 * HEARTBEAT_TICKS; tick++) {
    cluster.read('a');
    cluster.run(1);
  }
  expect(cluster.node('c').applied).toEqual(['x']);
});

test('a refusal that comes twice moves a probe once', () => {
  const progress = new Progress({ id: 'b', next: 10, sinceRound: 0, inflightMessagesMax: 8, inflightBytesMax: 4096 });
  progress.sent(1, 1, 0);
  progress.refused(9, 5);
  expect(progress.next).toBe(6);
  progress.sent(1, 1, 0);
  progress.refused(9, 2);
  expect(progress.next).toBe(6);
  expect(progress.wantsAppend(10, 0)).toBe(false);
});

function openLog(entries: readonly Entry[], commit: LogIndex): RaftLog {
  return new RaftLog({ hardState: { term: 9, vote: null, commit }, snapshot: snapshotAt(1, 1, ABC), entries });
}

test('an append that would cut off committed entries breaks an invariant and is not carried out', () => {
  const log = openLog([entry(2, 2), entry(2, 3)], 3);
  expect(() => log.merge([entry(5, 3)])).toThrow('never truncated');
  expect(log.termAt(3)).toBe(2);
});

test('an append whose entries have a gap, or whose terms fall, counts as lost', () => {
  const cluster = new Cluster();
  cluster.inject(append(3, 1, 1, [entry(2, 2), entry(2, 4)]));
  cluster.inject(append(3, 1, 1, [entry(3, 2), entry(2, 3)]));
  cluster.inject(append(3, 1, 1, [entry(4, 2)]));
  expect(cluster.raft('a').status()).toMatchObject({ lastIndex: 1, term: 1 });
});

test('a disk that contradicts itself is refused', () => {
  const open = (terms: Term[], term: Term) => new Cluster({ disks: { a: diskWith(terms, ABC, { term }) } });
  expect(() => open([2, 3], 2)).toThrow('LOG_DAMAGED');
  expect(() => open([3, 2], 3)).toThrow('LOG_DAMAGED');
  expect(() => openLog([entry(2, 3)], 1)).toThrow('LOG_DAMAGED');
  expect(() => openLog([entry(2, 2), entry(2, 4)], 1)).toThrow('LOG_DAMAGED');
  expect(() => openLog([entry(2, 1), entry(2, 2)], 1)).toThrow('LOG_DAMAGED');
});

test('entries kept behind a snapshot serve a follower that needs them', () => {
  const log = new RaftLog({
    hardState: { term: 2, vote: null, commit: 5 },
    snapshot: snapshotAt(4, 2, ABC),
    entries: [2, 3, 4, 5].map((index) => entry(2, index)),
  });
  expect([log.firstIndex, log.lastIndex, log.commit, log.applied]).toEqual([3, 5, 5, 4]);
  expect(log.slice(3, 5, 1_000).map((one) => one.index)).toEqual([3, 4, 5]);
  expect(acceptAppend(log, append(2, 2, 2, [entry(2, 3)], 5))).toMatchObject({ rejected: false, index: 5 });
});
