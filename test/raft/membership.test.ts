/**
 * Membership: §6 of the paper and chapter 4 of the thesis. Where a configuration is in force only once it is applied, as
 * divergence.md explains, the test says what that means.
 */
import { describe, expect, test } from 'vitest';
import type { NodeId } from '../../src/base/types.ts';
import { configurationOf } from '../../src/raft/configuration.ts';
import type { Configuration } from '../../src/raft/types.ts';
import {
  Cluster,
  changeOf,
  diskWith,
  ELECTION_TICKS_MAX,
  ELECTION_TICKS_MIN,
  emptyDisk,
  encodeConfChange,
  entry,
  HEARTBEAT_TICKS,
  MemoryDisk,
  snapshotAt,
} from './network.ts';

const ABC: readonly NodeId[] = ['a', 'b', 'c'];
const REPLACE_ALL = ['remove a', 'remove b', 'remove c', 'add-voter d', 'add-voter e', 'add-voter f'];

function configuration(cluster: Cluster, id: NodeId): Configuration {
  return cluster.raft(id).status().configuration;
}

/** Led by a, with these nodes beside it that nobody knows yet. */
function led(newcomers: readonly NodeId[] = [], voters: readonly NodeId[] = ABC): Cluster {
  const cluster = new Cluster({ voters });
  cluster.elect('a');
  for (const id of newcomers) cluster.add(id);
  return cluster;
}

function isolate(cluster: Cluster, ids: readonly NodeId[]): void {
  cluster.isolated.clear();
  for (const id of ids) cluster.isolated.add(id);
}

/** Proposes on a, and says whether it was committed with what is reachable. */
function commits(cluster: Cluster, text: string): boolean {
  const index = cluster.propose('a', text);
  cluster.run(2 * HEARTBEAT_TICKS);
  return cluster.raft('a').status().commit >= index;
}

describe('thesis §4.2.1, catching up new servers', () => {
  test('a learner receives everything, and counts for nothing', () => {
    const cluster = led(['d', 'e']);
    cluster.propose('a', 'x');
    expect(cluster.change('a', ['add-learner d', 'add-learner e'], 'auto').ok).toBe(true);
    cluster.run(4 * HEARTBEAT_TICKS);
    expect(cluster.node('d').applied).toEqual(['x']);
    expect(configuration(cluster, 'd')).toEqual(configurationOf(ABC, ['d', 'e']));
    isolate(cluster, ['b', 'c']);
    expect(commits(cluster, 'y')).toBe(false);
    expect(cluster.raft('a').status().progress.get('d')?.match).toBe(cluster.raft('a').status().lastIndex);
    const read = cluster.read('a');
    cluster.run(2 * ELECTION_TICKS_MIN);
    // Nor do their answers confirm reads, or keep a leader in office.
    expect(cluster.node('a').failedReads).toEqual([read]);
    expect(cluster.raft('a').status().role).toBe('follower');
  });

  test('a learner that is promoted goes on from where it is, and counts', () => {
    const cluster = led(['b'], ['a']);
    cluster.change('a', ['add-learner b']);
    cluster.settle();
    const { match } = cluster.raft('a').status().progress.get('b')!;
    expect(match).toBe(3);
    cluster.change('a', ['add-voter b']);
    cluster.settle();
    expect(configuration(cluster, 'a')).toEqual(configurationOf(['a', 'b']));
    expect(cluster.raft('a').status().progress.get('b')).toMatchObject({ state: 'replicate', match: 4 });
    isolate(cluster, ['b']);
    expect(commits(cluster, 'x')).toBe(false);
  });

  test('a node of which nobody has heard gets a snapshot and the log behind it', () => {
    const cluster = led(['d']);
    for (const text of ['1', '2', '3']) cluster.propose('a', text);
    cluster.settle();
    cluster.compact('a');
    cluster.propose('a', '4');
    cluster.change('a', ['add-voter d']);
    cluster.run(4 * HEARTBEAT_TICKS);
    expect(cluster.node('d').applied).toEqual(['1', '2', '3', '4']);
    // The snapshot was older than the change that made d a member.
    expect(configuration(cluster, 'd')).toEqual(configurationOf(['a', 'b', 'c', 'd']));
  });

  test('a node that knows nobody waits, however long it takes', () => {
    const cluster = new Cluster({ voters: ['a'] });
    cluster.add('z');
    for (let tick = 0; tick < 3 * ELECTION_TICKS_MAX; tick++) cluster.tick('z');
    expect(cluster.raft('z').status()).toMatchObject({ role: 'follower', term: 0 });
    expect(cluster.bag).toEqual([]);
  });
});

describe('§6, joint consensus', () => {
  test('a decision needs a majority of both halves', () => {
    const cluster = led(['d', 'e', 'f']);
    cluster.change('a', REPLACE_ALL, 'joint-explicit');
    cluster.run(4 * HEARTBEAT_TICKS);
    expect(configuration(cluster, 'f')).toMatchObject({ voters: ['d', 'e', 'f'], votersOutgoing: ABC });
    isolate(cluster, ['d', 'e']);
    expect(commits(cluster, 'without the new half')).toBe(false);
    isolate(cluster, ['b', 'c']);
    expect(commits(cluster, 'without the old half')).toBe(false);
    isolate(cluster, ['b', 'd']);
    expect(commits(cluster, 'with two of either')).toBe(true);
  });

  test('an election needs a majority of both halves', () => {
    const joint = { ...configurationOf(['c', 'd', 'e']), votersOutgoing: ABC };
    for (const [away, role] of [
      [['a', 'b'], 'pre-candidate'],
      [['d', 'e'], 'pre-candidate'],
      [['a', 'd'], 'leader'],
    ] as const) {
      const cluster = new Cluster({ configuration: joint });
      isolate(cluster, away);
      cluster.campaign('c');
      expect(cluster.raft('c').status().role).toBe(role);
    }
  });

  test('a read and the leader itself need a majority of both halves', () => {
    const cluster = led(['d', 'e', 'f']);
    cluster.change('a', REPLACE_ALL, 'joint-explicit');
    cluster.run(4 * HEARTBEAT_TICKS);
    isolate(cluster, ['d', 'e']);
    const read = cluster.read('a');
    cluster.run(HEARTBEAT_TICKS);
    expect(cluster.node('a').reads).toEqual([]);
    cluster.run(2 * ELECTION_TICKS_MIN);
    expect(cluster.node('a').failedReads).toEqual([read]);
    expect(cluster.raft('a').status().role).toBe('follower');
  });

  test('the leader leaves by itself as soon as the joint configuration is in force', () => {
    const cluster = led(['d']);
    cluster.change('a', ['add-voter d', 'remove c']);
    cluster.run(4 * HEARTBEAT_TICKS);
    for (const id of ['a', 'b', 'd']) expect(configuration(cluster, id)).toEqual(configurationOf(['a', 'b', 'd']));
    expect([...cluster.configurations.keys()]).toEqual([3, 4]);
  });

  test('a leader that crashes in the joint configuration leaves the leaving to the next one', () => {
    const cluster = led(['d']);
    cluster.filter = (message) => message.type !== 'append' || message.entries.every((one) => one.index < 4);
    cluster.change('a', ['add-voter d', 'remove c']);
    cluster.run(4 * HEARTBEAT_TICKS);
    expect(configuration(cluster, 'b')).toMatchObject({ votersOutgoing: ABC, autoLeave: true });
    cluster.crash('a');
    cluster.filter = () => true;
    cluster.run(3 * ELECTION_TICKS_MAX);
    expect(cluster.leader()).not.toBeNull();
    expect(configuration(cluster, cluster.leader()!)).toEqual(configurationOf(['a', 'b', 'd']));
  });

  test('an explicit one is left when it is told so, by whoever leads then', () => {
    const cluster = led(['d']);
    cluster.change('a', ['add-voter d'], 'joint-explicit');
    cluster.run(4 * ELECTION_TICKS_MAX);
    expect(configuration(cluster, 'a').votersOutgoing).toEqual(ABC);
    cluster.raft('a').transferLeadership('b');
    cluster.settle();
    expect(cluster.change('b', []).ok).toBe(true);
    cluster.settle();
    expect(configuration(cluster, 'b')).toEqual(configurationOf(['a', 'b', 'c', 'd']));
  });

  test('the automatic leave goes past the quota and past a transfer', () => {
    const cluster = new Cluster({ raft: { uncommittedBytesMax: 1 } });
    cluster.elect('a');
    cluster.add('d');
    cluster.filter = ({ to, type }) => type !== 'append' || to !== 'c';
    cluster.change('a', ['add-voter d', 'remove b']);
    cluster.raft('a').transferLeadership('c');
    cluster.run(2 * HEARTBEAT_TICKS);
    expect(cluster.raft('a').status()).toMatchObject({ role: 'leader', transferee: 'c' });
    cluster.filter = () => true;
    cluster.run(2 * ELECTION_TICKS_MAX);
    expect(configuration(cluster, 'c')).toEqual(configurationOf(['a', 'c', 'd']));
  });
});

describe('one change at a time', () => {
  test('a second one is refused until the first is applied, and one that does not fit is never proposed', () => {
    const cluster = led(['d', 'e']);
    expect(cluster.change('a', ['add-voter d']).ok).toBe(true);
    expect(cluster.change('a', ['add-voter e'])).toEqual({ ok: false, reason: 'conf-change-pending' });
    cluster.run(HEARTBEAT_TICKS);
    const { lastIndex } = cluster.raft('a').status();
    expect(() => cluster.change('a', [])).toThrow('BAD_MEMBERSHIP');
    expect(cluster.raft('a').status().lastIndex).toBe(lastIndex);
    expect(cluster.change('a', ['add-voter e']).ok).toBe(true);
    expect(cluster.change('b', ['add-voter e'])).toEqual({ ok: false, reason: 'not-leader' });
  });

  test('a change is in force when it is applied, not when it is in the log', () => {
    const cluster = led(['d']);
    cluster.node('b').sluggish = true;
    cluster.change('a', ['add-voter d']);
    cluster.run(HEARTBEAT_TICKS);
    expect(cluster.raft('b').status().commit).toBe(3);
    expect(configuration(cluster, 'b')).toEqual(configurationOf(ABC));
    expect(configuration(cluster, 'a')).toEqual(configurationOf(['a', 'b', 'c', 'd']));
  });

  test('nobody campaigns before it has applied what it knows to be committed, and then it asks the right ones', () => {
    const change = encodeConfChange(changeOf(['remove b', 'remove c', 'add-voter d', 'add-voter e']));
    const entries = [entry(1, 2, Buffer.from(change).toString())];
    const disk = new MemoryDisk({ term: 1, vote: null, commit: 2 }, snapshotAt(1, 1, ABC), entries);
    const cluster = new Cluster({ disks: { a: disk } });
    cluster.node('a').sluggish = true;
    for (let tick = 0; tick < 2 * ELECTION_TICKS_MAX; tick++) cluster.tick('a');
    expect(cluster.bag).toEqual([]);
    cluster.node('a').sluggish = false;
    cluster.tick('a');
    cluster.tick('a');
    expect(cluster.sent('pre-vote').map((message) => message.to)).toEqual(['b', 'c', 'd', 'e']);
  });

  test('that a change is committed goes to disk by itself', () => {
    const cluster = led(['d']);
    cluster.change('a', ['add-learner d']);
    cluster.run(HEARTBEAT_TICKS);
    for (const id of ABC) expect(cluster.node(id).disk.hardState.commit).toBe(3);
  });
});

describe('thesis §4.2.2, removing the current leader', () => {
  test('it leads on without counting itself, tells the others, and names one that takes over at once', () => {
    const cluster = led();
    cluster.change('a', ['remove a']);
    // Everybody has the entry; nobody has heard yet that it is committed.
    cluster.filter = (message) => message.type !== 'append' || message.commit < 3;
    cluster.settle();
    expect(configuration(cluster, 'a')).toEqual(configurationOf(['b', 'c']));
    expect(cluster.raft('a').status()).toMatchObject({ role: 'leader', voters: ['b', 'c'] });
    expect(cluster.raft('a').status().match.has('a')).toBe(false);
    cluster.filter = () => true;
    // A heartbeat tells them, its answer says that they know.
    cluster.run(2 * HEARTBEAT_TICKS);
    expect(cluster.raft('a').status().role).toBe('follower');
    expect(cluster.leader()).not.toBeNull();
    expect(configuration(cluster, 'b')).toEqual(configurationOf(['b', 'c']));
    for (let tick = 0; tick < 3 * ELECTION_TICKS_MAX; tick++) cluster.tick('a');
    expect(cluster.sent('pre-vote')).toEqual([]);
  });

  test('a leader that becomes a learner steps down too, and goes on as a learner', () => {
    const cluster = led();
    cluster.change('a', ['add-learner a']);
    cluster.run(3 * HEARTBEAT_TICKS);
    const leader = cluster.leader();
    expect(['b', 'c']).toContain(leader);
    cluster.propose(leader!, 'x');
    cluster.run(2 * HEARTBEAT_TICKS);
    expect(cluster.node('a').applied).toEqual(['x']);
    expect(cluster.raft('a').status().role).toBe('follower');
  });

  test('a leader that is made a voter again in time stays', () => {
    const cluster = led();
    cluster.filter = (message) => message.type !== 'heartbeat-reply';
    cluster.change('a', ['add-learner a']);
    cluster.settle();
    cluster.change('a', ['add-voter a']);
    cluster.settle();
    cluster.filter = () => true;
    cluster.run(4 * HEARTBEAT_TICKS);
    expect(cluster.raft('a').status()).toMatchObject({ role: 'leader', term: 2, voters: ABC });
  });

  test('of two nodes either can remove the other, or itself', () => {
    for (const removed of ['a', 'b']) {
      const cluster = led([], ['a', 'b']);
      cluster.change('a', [`remove ${removed}`]);
      cluster.run(3 * ELECTION_TICKS_MAX);
      const stays = removed === 'a' ? 'b' : 'a';
      expect(cluster.raft(stays).status()).toMatchObject({ role: 'leader', voters: [stays] });
    }
  });
});

describe('thesis §4.2.3, those who were removed', () => {
  test('a removed follower is told once, and never campaigns', () => {
    const cluster = led();
    cluster.change('a', ['remove c']);
    cluster.settle();
    expect(configuration(cluster, 'c')).toEqual(configurationOf(['a', 'b']));
    expect(cluster.raft('a').status().progress.has('c')).toBe(false);
    for (let tick = 0; tick < 3 * ELECTION_TICKS_MAX; tick++) cluster.tick('c');
    expect(cluster.bag).toEqual([]);
  });

  test('one that comes back asks for what it was, and gets its log anew', () => {
    const cluster = led();
    cluster.change('a', ['remove c']);
    cluster.settle();
    cluster.propose('a', 'x');
    cluster.run(HEARTBEAT_TICKS);
    cluster.change('a', ['add-voter c']);
    cluster.run(4 * HEARTBEAT_TICKS);
    expect(cluster.node('c').applied).toEqual(['x']);
    expect(configuration(cluster, 'c')).toEqual(configurationOf(ABC));
  });

  test('answers to rounds of an earlier membership confirm nothing', () => {
    const cluster = led([], ['a', 'b']);
    for (let tick = 0; tick < HEARTBEAT_TICKS; tick++) cluster.tick('a');
    const { round } = cluster.raft('a');
    cluster.settle();
    cluster.change('a', ['remove b']);
    cluster.settle();
    cluster.change('a', ['add-voter b']);
    cluster.settle();
    cluster.filter = () => false;
    cluster.settle();
    const regressed = true;
    cluster.inject({ type: 'heartbeat-reply', from: 'b', to: 'a', term: 2, round, regressed });
    expect(cluster.raft('a').status().progress.get('b')?.regressed).toBe(false);
  });
});

describe('where a configuration comes from', () => {
  test('after a restart it is that of the snapshot and the changes behind it', () => {
    const cluster = led(['d', 'e']);
    cluster.change('a', ['add-learner d']);
    cluster.settle();
    cluster.compact('a');
    cluster.change('a', ['add-learner e']);
    cluster.run(HEARTBEAT_TICKS);
    cluster.crash('a');
    cluster.restart('a');
    expect(configuration(cluster, 'a')).toEqual(configurationOf(ABC, ['d', 'e']));
  });

  test('that of a snapshot is in force once the state machine has taken the snapshot', () => {
    const cluster = led(['d']);
    const learners = configurationOf(ABC, ['d']);
    const snapshot = snapshotAt(9, 2, learners, 'x');
    cluster.node('b').sluggish = true;
    cluster.inject({ type: 'snapshot', from: 'a', to: 'b', term: 2, snapshot });
    cluster.sync('b');
    expect(configuration(cluster, 'b')).toEqual(configurationOf(ABC));
    cluster.node('b').sluggish = false;
    cluster.pump('b');
    expect(configuration(cluster, 'b')).toEqual(learners);
  });

  test('a snapshot that brings nothing new takes no configuration back', () => {
    const cluster = led(['d']);
    cluster.change('a', ['add-learner d']);
    cluster.run(HEARTBEAT_TICKS);
    cluster.inject({ type: 'snapshot', from: 'a', to: 'b', term: 2, snapshot: snapshotAt(2, 2, ABC) });
    cluster.pump('b');
    expect(configuration(cluster, 'b')).toEqual(configurationOf(ABC, ['d']));
  });

  test('a disk without a snapshot makes a node that only listens', () => {
    const { snapshot } = emptyDisk();
    expect(snapshot.meta.configuration.voters).toEqual([]);
    const cluster = new Cluster({ disks: { c: emptyDisk() } });
    cluster.elect('a');
    cluster.run(2 * HEARTBEAT_TICKS);
    expect(configuration(cluster, 'c')).toEqual(configurationOf(ABC));
  });
});

describe('what a leader shows of its members', () => {
  test('each has its match, its state, and whether it was heard lately', () => {
    const cluster = led(['d']);
    cluster.isolated.add('c');
    cluster.propose('a', 'x');
    cluster.settle();
    cluster.change('a', ['add-learner d']);
    cluster.run(2 * ELECTION_TICKS_MIN);
    const { progress, match } = cluster.raft('a').status();
    expect([...progress.keys()]).toEqual(['a', 'b', 'c', 'd']);
    expect([...match.keys()]).toEqual(ABC);
    expect(progress.get('b')).toMatchObject({ match: 4, next: 5, state: 'replicate', recentActive: true });
    expect(progress.get('c')).toMatchObject({ match: 2, recentActive: false, regressed: false });
    expect(progress.get('d')).toMatchObject({
      match: 4,
      state: 'replicate',
      recentActive: true,
      pendingSnapshot: null,
    });
    expect(cluster.raft('b').status().progress.size).toBe(0);
  });

  test('a snapshot under way shows as such', () => {
    const disks = { a: diskWith([2, 2], ABC), b: diskWith([2, 2], ABC) };
    const cluster = new Cluster({ disks });
    cluster.filter = ({ to }) => to !== 'c';
    cluster.elect('a');
    cluster.compact('a');
    cluster.filter = ({ type }) => type !== 'snapshot';
    cluster.run(3 * HEARTBEAT_TICKS);
    const { commit } = cluster.raft('a').status();
    expect(cluster.raft('a').status().progress.get('c')).toMatchObject({ state: 'snapshot', pendingSnapshot: commit });
  });
});
