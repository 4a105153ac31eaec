/**
 * Properties: what must hold for any input, not for chosen ones.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { SNAPSHOT_LOST_TICKS } from '../../src/base/limits.ts';
import { createPrng } from '../../src/base/prng.ts';
import type { NodeId } from '../../src/base/types.ts';
import { configurationOf } from '../../src/raft/configuration.ts';
import { acceptAppend } from '../../src/raft/follow.ts';
import { logMatching } from '../../src/raft/invariants.ts';
import { RaftLog } from '../../src/raft/log.ts';
import { quorumReached, voteResult } from '../../src/raft/quorum.ts';
import type { Entry } from '../../src/raft/types.ts';
import { Cluster, ELECTION_TICKS_MAX, entry, snapshotAt, stir } from './network.ts';

const VOTERS: readonly NodeId[] = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];

function subsetsOf<T>(items: readonly T[]): T[][] {
  const [first, ...rest] = items;
  if (first === undefined) return [[]];
  return subsetsOf(rest).flatMap((subset) => [subset, [first, ...subset]]);
}

/** The definition itself: a quorum is any set of more than half. */
function quorumsOf(voters: readonly NodeId[]): NodeId[][] {
  return subsetsOf(voters).filter((subset) => subset.length * 2 > voters.length);
}

test('the index of a majority is the largest that every member of some quorum has reached', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(20), { minLength: 1, maxLength: 7 }), (reached) => {
      const voters = VOTERS.slice(0, reached.length);
      const of = (id: NodeId): number => reached[voters.indexOf(id)]!;
      const brute = Math.max(...quorumsOf(voters).map((quorum) => Math.min(...quorum.map(of))));
      expect(quorumReached(configurationOf(voters), of)).toBe(brute);
    }),
  );
});

test('a vote is won when some quorum granted it, lost when no quorum can grant it any more', () => {
  const answers = fc.array(fc.constantFrom(true, false, undefined), { minLength: 1, maxLength: 7 });
  fc.assert(
    fc.property(answers, (votes) => {
      const voters = VOTERS.slice(0, votes.length);
      const map = new Map(voters.flatMap((id, i) => (votes[i] === undefined ? [] : [[id, votes[i]] as const])));
      map.set('stranger', true);
      const quorums = quorumsOf(voters);
      const won = quorums.some((quorum) => quorum.every((id) => map.get(id) === true));
      const open = quorums.some((quorum) => quorum.every((id) => map.get(id) !== false));
      expect(voteResult(configurationOf(voters), map)).toBe(won ? 'won' : open ? 'pending' : 'lost');
    }),
  );
});

/** Terms that never fall, as those of a log: each step adds 0 or more. */
function logOf(steps: readonly number[]): Entry[] {
  let term = 1;
  return steps.map((step, position) => {
    term += step;
    return entry(term, position + 2);
  });
}

function open(entries: readonly Entry[], commit: number): RaftLog {
  return new RaftLog({ hardState: { term: 99, vote: null, commit }, snapshot: snapshotAt(1, 1, ['a']), entries });
}

test('lastNotAbove finds what a walk down the log finds', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(2), { maxLength: 30 }), fc.nat(35), fc.nat(60), (steps, index, term) => {
      const log = open(logOf(steps), 1);
      let walk = Math.min(index, log.lastIndex);
      while (walk >= 1 && log.termAt(walk)! > term) walk--;
      expect(log.lastNotAbove(index, term)).toBe(walk);
    }),
  );
});

test('after any sequence of appends from one leader, late and doubled ones too, the follower matches as far as it says', () => {
  const step = fc.constantFrom(0, 0, 0, 1, 2);
  const append = fc.record({ prev: fc.nat(20), count: fc.nat(6), commit: fc.nat(22) });
  const input = fc.record({
    shared: fc.array(step, { maxLength: 8 }),
    leaders: fc.array(step, { maxLength: 12 }),
    followers: fc.array(step, { maxLength: 12 }),
    appends: fc.array(append, { maxLength: 25 }),
  });
  fc.assert(
    fc.property(input, ({ shared, leaders, followers, appends }) => {
      const leader = logOf([...shared, ...leaders]);
      // The follower parts from the leader with a term of its own, at or after which nothing is committed.
      const own = logOf(shared);
      const partedTerm = (own.at(-1)?.term ?? 1) + 50;
      for (const position of followers.keys()) own.push(entry(partedTerm, shared.length + 2 + position));
      const log = open(own, 1);
      let proven = 1;
      for (const { prev, count, commit } of appends) {
        const prevIndex = 1 + Math.min(prev, leader.length);
        const prevTerm = prevIndex === 1 ? 1 : leader[prevIndex - 2]!.term;
        const entries = leader.slice(prevIndex - 1, prevIndex - 1 + count);
        const before = log.commit;
        const answer = acceptAppend(log, {
          ...{ type: 'append', from: 'b', to: 'a', term: 99, prevIndex, prevTerm },
          ...{ entries, commit: Math.min(commit, leader.length + 1) },
        });
        if (!answer.rejected) proven = Math.max(proven, answer.index);
        expect(log.commit).toBeGreaterThanOrEqual(before);
        expect(log.commit).toBeLessThanOrEqual(proven);
        // What was proven once stays, whatever arrives later.
        for (let index = 2; index <= proven; index++) expect(log.termAt(index)).toBe(leader[index - 2]!.term);
        const mine = { id: 'a', entries: log.slice(2, log.lastIndex, Number.POSITIVE_INFINITY) };
        expect(logMatching(mine, { id: 'b', entries: leader })).toBeNull();
      }
    }),
  );
});

/** Heals everything and gives time: whatever happened, the cluster must come back and agree. */
function heal(cluster: Cluster): void {
  cluster.isolated.clear();
  for (const id of cluster.voters) if (!cluster.node(id).up) cluster.restart(id);
  // Long enough for a snapshot that was lost to be missed.
  cluster.run(SNAPSHOT_LOST_TICKS + 4 * ELECTION_TICKS_MAX);
  const leader = cluster.leader();
  expect(leader).not.toBeNull();
  cluster.propose(leader!, 'last');
  const read = cluster.read(leader!);
  cluster.run(20);
  const applied = cluster.node(leader!).applied;
  expect(applied.at(-1)).toBe('last');
  expect(cluster.node(leader!).reads.some(({ id }) => id === read)).toBe(true);
  for (const id of cluster.voters) expect(cluster.node(id).applied).toEqual(applied);
}

test('under any schedule of loss, reordering, doubling, crashes and compaction the safety properties hold, no read is stale, and a healed cluster agrees', () => {
  let terms = 0;
  let committed = 0;
  let reads = 0;
  for (let seed = 1; seed <= 100; seed++) {
    const prng = createPrng(seed);
    const cluster = new Cluster({ voters: VOTERS.slice(0, 2 * prng.integer(1, 3) + 1), seed });
    try {
      for (let event = 0; event < 2_500; event++) {
        stir(cluster, prng, `${seed}.${event}`);
        if (event % 20 === 0) cluster.checkLogs();
      }
      heal(cluster);
      cluster.checkLogs();
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
    terms += cluster.leaders.size;
    committed += cluster.history.size;
    reads += cluster.readsServed;
  }
  // A schedule under which nothing happens proves nothing.
  expect(terms).toBeGreaterThan(150);
  expect(committed).toBeGreaterThan(1_500);
  expect(reads).toBeGreaterThan(250);
});
