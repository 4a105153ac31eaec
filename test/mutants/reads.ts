/**
 * Mutants of reads, and of what a leader believes of its leadership.
 */
import { type Mutant, test } from './mutant.ts';

export const READS: readonly Mutant[] = [
  {
    row: 21,
    name: 'a new leader serves reads before an entry of its own is committed',
    why: 'It does not know yet what its predecessor has acknowledged: the read is stale.',
    edits: [
      {
        file: 'src/raft/leadership.ts',
        find: 'if (this.isSettled) this.#reads.bind(',
        replace: 'this.#reads.bind(',
      },
    ],
    catchers: [test('test/raft/classic.test.ts', 'row 21: a read that a new leader takes waits for its own no-op')],
  },
  {
    row: 22,
    name: 'a read is bound to the round that is under way already',
    why: 'Answers that were sent before the read was asked confirm it, and another may lead by then.',
    edits: [
      {
        file: 'src/raft/leadership.ts',
        find: 'this.#reads.bind(this.#round, this.#log.commit)',
        replace: 'this.#reads.bind(this.#round - 1, this.#log.commit)',
      },
    ],
    catchers: [
      test(
        'test/raft/classic.test.ts',
        'row 22: answers to rounds that were sent before a read was asked do not confirm it',
      ),
    ],
  },
  {
    row: 23,
    name: 'an answered round is a lease that never runs out',
    why: 'After a pause a leader reads answers that are old, and promises sessions that another leader has ended.',
    edits: [
      {
        file: 'src/daemon/replica.ts',
        find: 'return sent !== undefined && this.#env.clock.now() - sent.at < ELECTION_TICKS_MIN * TICK_MS;',
        replace: 'return sent !== undefined;',
      },
    ],
    catchers: [
      test('test/daemon/replica.test.ts', 'is void after a stall, though answers from before it are read first'),
    ],
  },
  {
    row: 35,
    name: 'one answer less than a quorum confirms a read',
    why: 'A leader that was replaced, and that a minority still hears, serves stale reads.',
    edits: [
      {
        file: 'src/raft/leadership.ts',
        find: 'return this.#members.quorum(this.#round, (member) => member.round);',
        replace:
          'const rounds = [this.#round, ...this.#members.others.map((member) => member.round)].sort((a, b) => b - a);\n    return rounds[Math.max(0, Math.floor(rounds.length / 2) - 1)]!;',
      },
    ],
    catchers: [test('test/raft/classic.test.ts', 'row 35: a read needs the answers of a quorum, and not one less')],
  },
];
