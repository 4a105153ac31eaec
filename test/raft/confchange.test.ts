/**
 * Confchange: which configurations follow which, and that no two neighbours can decide apart from each other.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { MEMBERS_MAX } from '../../src/base/limits.ts';
import type { NodeId } from '../../src/base/types.ts';
import { changed, enterJoint, LEAVE_JOINT, leaveJoint, simple } from '../../src/raft/confchange.ts';
import { checked, configurationOf, isJoint, membersOf, NOBODY, votersOf } from '../../src/raft/configuration.ts';
import { quorumReached, voteResult } from '../../src/raft/quorum.ts';
import type { ConfChange, Configuration } from '../../src/raft/types.ts';
import { changeOf } from './network.ts';

const POOL: readonly NodeId[] = ['a', 'b', 'c', 'd', 'e'];
const ABC = configurationOf(['a', 'b', 'c']);

/** 'a b c && a b | learners | learners next', with '!' for one that is left by itself. */
function show(configuration: Configuration): string {
  const { voters, votersOutgoing, learners, learnersNext, autoLeave } = configuration;
  const halves = votersOutgoing.length === 0 ? voters.join(' ') : `${voters.join(' ')} && ${votersOutgoing.join(' ')}`;
  const rest = [learners, learnersNext].map((ids) => ids.join(' ')).join(' | ');
  return `${halves} | ${rest}${autoLeave ? ' !' : ''}`.replace(/[ |]+(?=!?$)/, autoLeave ? ' ' : '').trim();
}

function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof PolarisError && error.code === 'BAD_MEMBERSHIP') return error.detail;
    throw error;
  }
  return 'accepted';
}

describe('one change of one voter is made in one step', () => {
  test.each<[string[], string]>([
    [['add-voter d'], 'a b c d'],
    [['remove c'], 'a b'],
    [['remove z'], 'a b c'],
    [['add-voter a'], 'a b c'],
    [['add-learner d'], 'a b c | d'],
    [['add-learner c'], 'a b | c'],
  ])('%j makes %s', (words, expected) => {
    expect(show(changed(ABC, changeOf(words)))).toBe(expected);
  });

  test('a learner is promoted, and is no learner any more', () => {
    expect(show(changed(configurationOf(['a'], ['b']), changeOf(['add-voter b'])))).toBe('a b');
  });

  test('any number of learners may change with it', () => {
    const { changes } = changeOf(['add-learner d', 'add-learner e', 'remove c']);
    expect(show(simple(ABC, changes))).toBe('a b | d e');
  });

  test('a second voter is refused', () => {
    const { changes } = changeOf(['add-voter d', 'remove a']);
    expect(refusal(() => simple(ABC, changes))).toContain('2 voters differ');
  });
});

describe('more than one change goes through a joint configuration', () => {
  test.each<[string[], ConfChange['transition'], string]>([
    [['add-voter d', 'remove a'], 'auto', 'b c d && a b c !'],
    [['add-voter d'], 'joint-implicit', 'a b c d && a b c !'],
    [['add-voter d'], 'joint-explicit', 'a b c d && a b c'],
    [['remove a', 'remove b', 'remove c', 'add-voter d'], 'auto', 'd && a b c !'],
    [['add-learner c', 'add-learner d'], 'joint-explicit', 'a b && a b c | d | c'],
  ])('%j with %s makes %s', (words, transition, expected) => {
    expect(show(changed(ABC, changeOf(words, transition)))).toBe(expected);
  });

  test('leaving it makes learners of those who were waiting for that', () => {
    const joint = changed(ABC, changeOf(['add-learner c', 'add-learner d'], 'joint-explicit'));
    expect(show(leaveJoint(joint))).toBe('a b | c d');
  });

  test('one that waits to become a learner may still be made a voter again, or go', () => {
    const { changes } = changeOf(['add-learner c', 'add-voter c']);
    expect(show(enterJoint(ABC, changes, false))).toBe('a b c && a b c');
    const removed = changeOf(['add-learner c', 'remove c']);
    expect(show(leaveJoint(enterJoint(ABC, removed.changes, false)))).toBe('a b');
  });
});

test('what does not fit is refused with a sentence that says why', () => {
  const joint = enterJoint(ABC, changeOf(['add-voter d']).changes, true);
  const crowd = Array.from({ length: MEMBERS_MAX }, (_, position) => `add-learner n${position}`);
  expect([
    refusal(() => changed(configurationOf(['a']), changeOf(['remove a']))),
    refusal(() => changed(configurationOf(['a']), changeOf(['add-learner a']))),
    refusal(() => changed(ABC, LEAVE_JOINT)),
    refusal(() => changed(joint, changeOf(['add-voter e']))),
    refusal(() => changed(joint, changeOf(['add-voter e'], 'joint-implicit'))),
    refusal(() => changed(NOBODY, changeOf(['add-voter a', 'add-voter b']))),
    refusal(() => changed(ABC, { transition: 'auto', changes: [{ kind: 'remove', id: '' }] })),
    refusal(() => changed(ABC, changeOf(crowd))),
  ]).toEqual([
    'no voter would be left',
    'no voter would be left',
    'there are no changes, and no joint configuration to leave',
    'an earlier change is not finished: the joint configuration must be left first',
    'the configuration is joint already and must be left first',
    'there are no voters that could agree to a change',
    'a member has a name',
    `${MEMBERS_MAX + 3} members are more than ${MEMBERS_MAX}`,
  ]);
});

test('a configuration that contradicts itself breaks an invariant', () => {
  const broken: Partial<Configuration>[] = [
    { voters: ['b', 'a'] },
    { voters: ['a', 'a'] },
    { learners: ['a'] },
    { learnersNext: ['b'] },
    { autoLeave: true },
    { voters: [], votersOutgoing: ['a'] },
  ];
  for (const part of broken) expect(() => checked({ ...ABC, ...part }), JSON.stringify(part)).toThrow();
});

function subsetsOf<T>(items: readonly T[]): T[][] {
  const [first, ...rest] = items;
  if (first === undefined) return [[]];
  return subsetsOf(rest).flatMap((subset) => [subset, [first, ...subset]]);
}

/** The definition itself: more than half of either half. */
function isQuorum(configuration: Configuration, ids: readonly NodeId[]): boolean {
  const halves = [configuration.voters, configuration.votersOutgoing].filter((half) => half.length > 0);
  return halves.every((half) => 2 * half.filter((id) => ids.includes(id)).length > half.length);
}

const id = fc.constantFrom(...POOL);
const kind = fc.constantFrom('add-voter' as const, 'add-learner' as const, 'remove' as const);
const transition = fc.constantFrom('auto' as const, 'joint-implicit' as const, 'joint-explicit' as const);
const change: fc.Arbitrary<ConfChange> = fc.record({
  transition,
  changes: fc.array(fc.record({ kind, id }), { maxLength: 6 }),
});
const voters = fc.uniqueArray(id, { minLength: 1 });

/** The configurations on the way, each made from the one before; what is refused is passed over. */
function wayOf(start: readonly NodeId[], changes: readonly ConfChange[]): Configuration[] {
  const way = [configurationOf(start)];
  for (const one of changes) {
    const last = way.at(-1)!;
    if (refusal(() => changed(last, one)) === 'accepted') way.push(changed(last, one));
  }
  return way;
}

test('any two quorums of neighbouring configurations share a voter, and every configuration keeps its invariants', () => {
  let joint = 0;
  fc.assert(
    fc.property(voters, fc.array(change, { maxLength: 6 }), (start, changes) => {
      const way = wayOf(start, changes);
      for (const [position, next] of way.entries()) {
        checked(next);
        expect(next.voters.length).toBeGreaterThan(0);
        if (isJoint(next)) joint++;
        const before = way[Math.max(0, position - 1)]!;
        const quorums = subsetsOf(membersOf(before)).filter((ids) => isQuorum(before, ids));
        for (const quorum of quorums) {
          const others = votersOf(next).filter((one) => !quorum.includes(one));
          // If those outside of it were a quorum of the neighbour, the two could decide apart.
          expect(isQuorum(next, others)).toBe(false);
        }
      }
    }),
  );
  expect(joint).toBeGreaterThan(50);
});

test('in a joint configuration the index and the vote are what some quorum of both halves says', () => {
  const reached = fc.array(fc.nat(9), { minLength: POOL.length, maxLength: POOL.length });
  const vote = fc.constantFrom(true, false, undefined);
  const votes = fc.array(vote, { minLength: POOL.length, maxLength: POOL.length });
  fc.assert(
    fc.property(voters, fc.uniqueArray(id), reached, votes, (incoming, outgoing, numbers, answers) => {
      const halves = { voters: [...incoming].sort(), votersOutgoing: [...outgoing].sort() };
      const configuration = checked({ ...NOBODY, ...halves });
      const quorums = subsetsOf(POOL).filter((ids) => isQuorum(configuration, ids));
      const of = (one: NodeId): number => numbers[POOL.indexOf(one)]!;
      const brute = Math.max(...quorums.map((ids) => Math.min(...ids.map(of))));
      expect(quorumReached(configuration, of)).toBe(brute);
      const said = (one: NodeId): boolean | undefined => answers[POOL.indexOf(one)];
      const map = new Map(POOL.flatMap((one) => (said(one) === undefined ? [] : [[one, said(one) === true] as const])));
      const won = quorums.some((ids) => ids.every((one) => said(one) === true));
      const open = quorums.some((ids) => ids.every((one) => said(one) !== false));
      expect(voteResult(configuration, map)).toBe(won ? 'won' : open ? 'pending' : 'lost');
    }),
  );
});
