/**
 * Trace: what a listener hears of a node, and that there is nothing to hear without one.
 */
import { expect, test } from 'vitest';
import type { NodeId } from '../../src/base/types.ts';
import type { TraceEvent } from '../../src/raft/trace.ts';
import { Cluster } from './network.ts';

function listening(voters: readonly NodeId[]): { cluster: Cluster; events: TraceEvent[]; names: () => string[] } {
  const events: TraceEvent[] = [];
  const cluster = new Cluster({ voters, raft: { trace: (event) => events.push(event) } });
  const names = (): string[] => events.filter(({ nodeId }) => nodeId === 'a').map(({ name }) => name);
  return { cluster, events, names };
}

test('an election and a proposal, as one node lives through them', () => {
  const { cluster, names } = listening(['a', 'b', 'c']);
  cluster.filter = ({ to }) => to !== 'c';
  cluster.elect('a');
  cluster.propose('a', 'x');
  cluster.settle();
  expect(names().filter((name) => name !== 'Ready')).toEqual([
    'InitState',
    'BecomeCandidate',
    ...['SendRequestVoteRequest', 'SendRequestVoteRequest', 'ReceiveRequestVoteResponse'],
    ...['BecomeLeader', 'Replicate'],
    // A heartbeat and the no-op to either, and one answer each from b; the commit, and word of it.
    ...Array(4).fill('SendAppendEntriesRequest'),
    ...Array(2).fill('ReceiveAppendEntriesResponse'),
    ...['Commit', 'SendAppendEntriesRequest', 'ReceiveAppendEntriesResponse'],
    ...['Replicate', 'SendAppendEntriesRequest', 'ReceiveAppendEntriesResponse'],
    ...['Commit', 'SendAppendEntriesRequest', 'ReceiveAppendEntriesResponse'],
  ]);
});

test('an event has the state after it, both halves of the configuration, and its message', () => {
  const { cluster, events } = listening(['a', 'b']);
  cluster.elect('a');
  const leader = events.find(({ name }) => name === 'BecomeLeader');
  expect(leader).toMatchObject({
    nodeId: 'a',
    role: 'leader',
    state: { term: 2, vote: 'a', commit: 1 },
    logSize: 1,
    config: [['a', 'b'], []],
  });
  const received = events.find(({ name, nodeId }) => name === 'ReceiveRequestVoteRequest' && nodeId === 'b');
  expect(received?.message).toMatchObject({ type: 'vote', from: 'a', to: 'b', term: 2 });
});

test('a change of the membership is heard when it is proposed and when it comes into force', () => {
  const { cluster, events, names } = listening(['a']);
  cluster.elect('a');
  cluster.add('b');
  cluster.change('a', ['add-voter b'], 'joint-implicit');
  cluster.settle();
  const changes = names().filter((name) => name.endsWith('Conf') || name.endsWith('ConfChange'));
  expect(changes).toEqual(['ChangeConf', 'ApplyConfChange', 'ChangeConf', 'ApplyConfChange']);
  const [first] = events.filter(({ name }) => name === 'ApplyConfChange');
  expect(first).toMatchObject({ config: [['a', 'b'], ['a']], change: { changes: [{ kind: 'add-voter', id: 'b' }] } });
});

test('a leader that steps down becomes a follower once, and a heartbeat makes nobody a follower anew', () => {
  const { cluster, names } = listening(['a', 'b', 'c']);
  cluster.elect('a');
  cluster.run(20);
  expect(names()).not.toContain('BecomeFollower');
  cluster.inject({ type: 'heartbeat', from: 'b', to: 'a', term: 9, commit: 1, match: 0, round: 1 });
  cluster.inject({ type: 'heartbeat', from: 'b', to: 'a', term: 9, commit: 1, match: 0, round: 2 });
  expect(names().filter((name) => name === 'BecomeFollower')).toHaveLength(1);
});
