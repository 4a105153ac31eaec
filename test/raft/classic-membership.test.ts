/**
 * Classic bugs of changing memberships: the rows of classic.test.ts that need one, each as the shortest run that shows it.
 */
import { expect, test } from 'vitest';
import type { LogIndex, NodeId, Term } from '../../src/base/types.ts';
import { configurationOf } from '../../src/raft/configuration.ts';
import type { Configuration } from '../../src/raft/types.ts';
import {
  CLAIM,
  Cluster,
  changeOf,
  diskWith,
  ELECTION_TICKS_MAX,
  ELECTION_TICKS_MIN,
  encodeConfChange,
  entry,
  HEARTBEAT_TICKS,
  MemoryDisk,
  type MessageOf,
  snapshotAt,
} from './network.ts';

const ABC: readonly NodeId[] = ['a', 'b', 'c'];

function accepted(from: NodeId, index: LogIndex): MessageOf<'append-reply'> {
  return { type: 'append-reply', from, to: 'a', term: 2, index, rejected: false, hintIndex: 0, hintTerm: 0 };
}

/** An entry that changes the membership, in these words. */
function changeEntry(term: Term, index: LogIndex, words: readonly string[]): ReturnType<typeof entry> {
  return entry(term, index, Buffer.from(encodeConfChange(changeOf(words))).toString());
}

function roleOf(cluster: Cluster, id: NodeId): string {
  return cluster.raft(id).status().role;
}

test('row 9: a majority of all voters of a joint configuration together is no quorum', () => {
  const joint: Configuration = { ...configurationOf(['a', 'd', 'e']), votersOutgoing: ABC };
  const cluster = new Cluster({ configuration: joint });
  cluster.elect('a');
  cluster.filter = () => false;
  const index = cluster.propose('a', 'x');
  cluster.settle();
  // Three of five, but one of the incoming half.
  for (const from of ['b', 'c']) cluster.inject(accepted(from, index));
  expect(cluster.raft('a').status().commit).toBe(index - 1);
  cluster.inject(accepted('d', index));
  expect(cluster.raft('a').status().commit).toBe(index);
});

test('row 10: what learners hold commits nothing, and neither does what a leader holds that is no voter', () => {
  const cluster = new Cluster({ configuration: configurationOf(ABC, ['d', 'e']) });
  cluster.elect('a');
  cluster.filter = () => false;
  const index = cluster.propose('a', 'x');
  cluster.settle();
  for (const from of ['d', 'e']) cluster.inject(accepted(from, index));
  expect(cluster.raft('a').status().commit).toBe(index - 1);
  cluster.filter = () => true;
  cluster.run(3 * HEARTBEAT_TICKS);
  cluster.change('a', ['remove a']);
  cluster.filter = ({ type }) => type !== 'heartbeat-reply';
  cluster.settle();
  cluster.filter = () => false;
  const later = cluster.propose('a', 'y');
  cluster.settle();
  cluster.inject(accepted('b', later));
  expect(cluster.raft('a').status().commit).toBe(later - 1);
  cluster.inject(accepted('c', later));
  expect(cluster.raft('a').status().commit).toBe(later);
});

test('row 17: a learner that was cut off when it was added, and whose log is compacted away meanwhile, still catches up', () => {
  const cluster = new Cluster();
  cluster.elect('a');
  cluster.add('d');
  cluster.isolated.add('d');
  cluster.change('a', ['add-learner d']);
  for (const text of ['1', '2', '3']) cluster.propose('a', text);
  cluster.run(4 * ELECTION_TICKS_MAX);
  for (const id of ABC) cluster.compact(id);
  expect(cluster.raft('a').status().firstIndex).toBe(cluster.raft('a').status().lastIndex + 1);
  cluster.isolated.clear();
  cluster.run(4 * HEARTBEAT_TICKS);
  expect(cluster.node('d').applied).toEqual(['1', '2', '3']);
  expect(cluster.raft('d').status().configuration).toEqual(configurationOf(ABC, ['d']));
});

test('row 18: a change that was cut off again is not resurrected by a restart', () => {
  const disk = diskWith([2], ABC);
  disk.entries.push(changeEntry(2, 3, ['add-voter d']));
  const cluster = new Cluster({ disks: { a: disk } });
  const entries = [entry(3, 3, 'x')];
  cluster.inject({ type: 'append', from: 'b', to: 'a', term: 3, prevIndex: 2, prevTerm: 2, entries, commit: 3 });
  cluster.sync('a');
  cluster.crash('a');
  cluster.restart('a');
  cluster.pump('a');
  expect(cluster.raft('a').status().configuration).toEqual(configurationOf(ABC));
  expect(cluster.node('a').applied).toContain('x');
});

test('row 19: a change of a former leader that was never committed does not count beside that of the next', () => {
  const cluster = new Cluster({ voters: ['a', 'b', 'c', 'd'] });
  cluster.elect('a');
  cluster.add('e');
  // a adds e, and nobody hears of it.
  cluster.filter = ({ from }) => from !== 'a';
  cluster.change('a', ['add-voter e']);
  cluster.settle();
  cluster.crash('a');
  cluster.filter = ({ type }) => type !== 'append';
  cluster.run(3 * ELECTION_TICKS_MAX);
  const leader = cluster.leader()!;
  // Before an entry of its own is applied, the next leader cannot know what its predecessor has committed.
  expect(cluster.change(leader, ['remove a'])).toEqual({ ok: false, reason: 'conf-change-pending' });
  cluster.filter = () => true;
  cluster.run(3 * HEARTBEAT_TICKS);
  expect(cluster.change(leader, ['remove a']).ok).toBe(true);
  cluster.run(HEARTBEAT_TICKS);
  expect(cluster.raft(leader).status().voters).toEqual(['b', 'c', 'd']);
  // a comes back with its own change in its log: it needs three of four, and the others are three.
  cluster.restart('a');
  expect(cluster.raft('a').status().voters).toEqual(['a', 'b', 'c', 'd']);
  cluster.campaign('a');
  cluster.run(2 * ELECTION_TICKS_MAX);
  expect(roleOf(cluster, 'a')).not.toBe('leader');
});

test('row 20: a learner that does not know yet that it votes answers those who do', () => {
  const learning = configurationOf(['a'], ['b', 'c']);
  const promoted = [changeEntry(1, 2, ['add-voter b', 'add-voter c']), changeEntry(1, 3, [])];
  const knowing = new MemoryDisk({ term: 1, vote: null, commit: 3 }, snapshotAt(1, 1, learning), promoted);
  const cluster = new Cluster({ configuration: learning, disks: { b: knowing } });
  cluster.crash('a');
  expect(cluster.raft('c').status().voters).toEqual(['a']);
  cluster.pump('b');
  cluster.elect('b');
  cluster.run(HEARTBEAT_TICKS);
  expect(cluster.raft('c').status().voters).toEqual(ABC);
});

test('row 20: a voter follows, and votes for, members that it does not know yet', () => {
  const cluster = new Cluster();
  cluster.inject({ type: 'vote', from: 'z', to: 'a', term: 3, lastTerm: 2, lastIndex: 9, transfer: false, ...CLAIM });
  cluster.sync('a');
  expect(cluster.sent('vote-reply', 'z')).toMatchObject([{ granted: true }]);
  const entries = [entry(3, 2, 'x')];
  cluster.inject({ type: 'append', from: 'z', to: 'a', term: 3, prevIndex: 1, prevTerm: 1, entries, commit: 2 });
  cluster.sync('a');
  expect(cluster.raft('a').status()).toMatchObject({ leader: 'z', applied: 2 });
});

test('row 20: one that needs the vote of a former voter learns from its refusal that it needs it no more', () => {
  // a leads alone by now, but has forgotten so; b, a learner since, knows it, and holds an entry more.
  const before: Configuration = {
    ...configurationOf(['a']),
    ...{ votersOutgoing: ['a', 'b'], learnersNext: ['b'], autoLeave: true },
  };
  const leave = changeEntry(2, 2, []);
  const forgetful = new MemoryDisk({ term: 2, vote: 'a', commit: 1 }, snapshotAt(1, 1, before), [leave]);
  const longer = new MemoryDisk({ term: 2, vote: 'a', commit: 2 }, snapshotAt(1, 1, before), [leave, entry(2, 3, 'x')]);
  const cluster = new Cluster({ configuration: before, disks: { a: forgetful, b: longer } });
  expect(cluster.raft('a').status().voters).toEqual(['a', 'b']);
  cluster.run(4 * ELECTION_TICKS_MAX);
  expect(cluster.raft('a').status()).toMatchObject({ role: 'leader', voters: ['a'] });
  expect(cluster.node('b').applied).toEqual(cluster.node('a').applied);
});

test('row 20: one that could win, and does not know that it votes, learns it from those it refuses', () => {
  const before: Configuration = { ...configurationOf(['a', 'b'], ['c']) };
  const promotion = changeEntry(2, 2, ['add-voter c']);
  const knowing = new MemoryDisk({ term: 2, vote: null, commit: 2 }, snapshotAt(1, 1, before), [promotion]);
  const longest = new MemoryDisk({ term: 2, vote: null, commit: 1 }, snapshotAt(1, 1, before), [
    promotion,
    entry(2, 3, 'x'),
  ]);
  const cluster = new Cluster({ configuration: before, disks: { b: knowing, c: longest } });
  cluster.crash('a');
  expect(cluster.raft('c').status().voters).toEqual(['a', 'b']);
  cluster.run(6 * ELECTION_TICKS_MAX);
  expect(cluster.leader()).toBe('c');
  expect(cluster.node('b').applied).toEqual(['x']);
});

test('a claim about an entry that is not ours commits nothing', () => {
  const cluster = new Cluster({ disks: { a: diskWith([2, 2], ABC) } });
  const vote = { type: 'vote', from: 'b', to: 'a', term: 2, lastTerm: 1, lastIndex: 1, transfer: false } as const;
  cluster.inject({ ...vote, commit: 3, commitTerm: 1 });
  cluster.inject({ ...vote, commit: 9, commitTerm: 2 });
  expect(cluster.raft('a').status().commit).toBe(1);
  cluster.inject({ ...vote, commit: 3, commitTerm: 2 });
  expect(cluster.raft('a').status().commit).toBe(3);
});

test('row 24: a removed node that has not heard of it disturbs nobody, and raises no term', () => {
  const cluster = new Cluster();
  cluster.elect('a');
  cluster.isolated.add('c');
  cluster.change('a', ['remove c']);
  cluster.settle();
  cluster.isolated.clear();
  cluster.run(10 * ELECTION_TICKS_MAX);
  expect(cluster.raft('c').status()).toMatchObject({ voters: ABC, term: 2 });
  expect(cluster.raft('a').status()).toMatchObject({ role: 'leader', term: 2 });
});

test('row 24: without a leader a removed node gets no vote of those who know better', () => {
  const cluster = new Cluster();
  cluster.elect('a');
  cluster.isolated.add('c');
  cluster.change('a', ['remove c']);
  cluster.settle();
  cluster.crash('a');
  cluster.isolated.clear();
  for (let tick = 0; tick < 4 * ELECTION_TICKS_MAX; tick++) {
    cluster.tick('c');
    cluster.settle();
  }
  expect(cluster.raft('c').status()).toMatchObject({ role: 'pre-candidate', term: 2 });
});

test('row 33: a follower that lost what it had acknowledged is marked, and counts no more until it is removed', () => {
  const cluster = new Cluster();
  cluster.elect('a');
  cluster.propose('a', 'x');
  cluster.run(HEARTBEAT_TICKS);
  cluster.crash('b');
  cluster.node('b').disk.entries = [];
  cluster.restart('b');
  cluster.run(2 * HEARTBEAT_TICKS);
  expect(cluster.raft('a').status().progress.get('b')).toMatchObject({ regressed: true, match: 3 });
  cluster.isolated.add('c');
  const index = cluster.propose('a', 'y');
  cluster.settle();
  cluster.inject(accepted('b', index));
  expect(cluster.raft('a').status().commit).toBe(index - 1);
  const read = cluster.read('a');
  cluster.run(2 * ELECTION_TICKS_MIN);
  expect(cluster.node('a').failedReads).toEqual([read]);
});

test('row 33: late and doubled messages make nobody look as if it had lost something', () => {
  const cluster = new Cluster();
  cluster.elect('a');
  const old: MessageOf<'heartbeat'>[] = [];
  for (const text of ['1', '2', '3']) {
    cluster.propose('a', text);
    for (let tick = 0; tick < HEARTBEAT_TICKS; tick++) cluster.tick('a');
    old.push(...cluster.sent('heartbeat', 'b'));
    cluster.settle();
  }
  for (const message of [...old].reverse()) cluster.inject(message);
  cluster.settle();
  expect(old.length).toBeGreaterThan(2);
  expect(cluster.raft('a').status().progress.get('b')).toMatchObject({ regressed: false, match: 5 });
});
