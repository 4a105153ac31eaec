/**
 * Mutants of the log: what is appended, cut off and committed.
 */
import { type Mutant, SEEDS, test } from './mutant.ts';

export const REPLICATION: readonly Mutant[] = [
  {
    row: 8,
    name: 'entries of an older term are committed by counting',
    why: 'What a majority holds may still be overwritten by a leader of a later term (Raft, Figure 8).',
    edits: [
      {
        file: 'src/raft/leadership.ts',
        find: '|| !this.#log.matches(index, this.term)) return;',
        replace: ') return;',
      },
    ],
    catchers: [
      test(
        'test/raft/classic.test.ts',
        'row 8: a new leader does not commit what its predecessor put on a majority, before its own no-op is there',
      ),
      SEEDS,
    ],
  },
  {
    row: 9,
    name: 'the progress of the voters is not put in order before the majority is read off it',
    why: 'The voter that happens to stand in the middle decides: less than a quorum commits.',
    edits: [
      { file: 'src/raft/quorum.ts', find: 'voters.map(reached).sort((a, b) => b - a)', replace: 'voters.map(reached)' },
    ],
    catchers: [
      test(
        'test/raft/properties.test.ts',
        'the index of a majority is the largest that every member of some quorum has reached',
      ),
      SEEDS,
    ],
  },
  {
    row: 9,
    name: 'while the configuration is joint, a majority of one half commits',
    why: 'Old and new voters decide without each other.',
    edits: [{ file: 'src/raft/quorum.ts', find: '? Math.min(incoming,', replace: '? Math.max(incoming,' }],
    catchers: [
      test(
        'test/raft/classic-membership.test.ts',
        'row 9: a majority of all voters of a joint configuration together is no quorum',
      ),
    ],
  },
  {
    row: 10,
    name: 'learners count towards a commit',
    why: 'What the learners hold is committed, and a majority of the voters may elect a leader that lacks it.',
    edits: [
      {
        file: 'src/raft/members.ts',
        find: 'return quorumReached(this.#configuration, (id) => {',
        replace:
          'const voters = membersOf(this.#configuration);\n    return quorumReached({ ...this.#configuration, voters }, (id) => {',
      },
    ],
    catchers: [
      test(
        'test/raft/classic-membership.test.ts',
        'row 10: what learners hold commits nothing, and neither does what a leader holds that is no voter',
      ),
    ],
  },
  {
    row: 10,
    name: 'the leader counts itself for what its own disk does not hold yet',
    why: 'After a crash of the leader a committed entry is on less than a majority.',
    edits: [
      { file: 'src/raft/leadership.ts', find: 'quorum(this.#log.persisted,', replace: 'quorum(this.#log.lastIndex,' },
    ],
    catchers: [
      test(
        'test/raft/classic.test.ts',
        'row 10: an answer of a stranger commits nothing, and the leader itself counts only what its disk holds',
      ),
    ],
  },
  {
    row: 11,
    name: 'an append cuts off whatever follows it, though it matches',
    why: 'One that comes late removes entries that the leader has counted already.',
    edits: [{ file: 'src/raft/log.ts', find: 'if (this.matches(entry.index, entry.term)) continue;', replace: '' }],
    catchers: [
      test('test/raft/classic.test.ts', 'row 11: a late, shorter or empty append removes nothing that matches'),
      SEEDS,
    ],
  },
  {
    row: 12,
    name: 'a follower commits up to the end of its own log',
    why: 'Behind what the append proved may lie leftovers of another leader.',
    edits: [
      {
        file: 'src/raft/follow.ts',
        find: 'Math.min(message.commit, proven)',
        replace: 'Math.min(message.commit, log.lastIndex)',
      },
    ],
    catchers: [
      test(
        'test/raft/classic.test.ts',
        'row 12: a follower commits no further than this append proved, whatever the leader has committed',
      ),
    ],
  },
  {
    row: 12,
    name: 'a heartbeat carries the commit index of the leader, whatever its receiver is known to hold',
    why: 'A heartbeat checks nothing: the receiver commits what may be the leftovers of another leader.',
    edits: [
      {
        file: 'src/raft/leadership.ts',
        find: 'const commit = Math.min(match, this.#log.commit);',
        replace: 'const { commit } = this.#log;',
      },
    ],
    catchers: [
      test(
        'test/raft/classic.test.ts',
        'row 12: a heartbeat carries no commit index beyond what its receiver is known to hold',
      ),
    ],
  },
  {
    row: 13,
    name: 'an append that begins below the snapshot is a conflict',
    why: 'A follower refuses, or cuts off, what it has committed long ago.',
    edits: [
      {
        file: 'src/raft/follow.ts',
        find: 'if (prevIndex > log.commit && !log.matches(prevIndex, prevTerm))',
        replace: 'if (!log.matches(prevIndex, prevTerm))',
      },
    ],
    catchers: [
      test(
        'test/raft/classic.test.ts',
        'row 13: an append that begins below the snapshot is no conflict, and what is new in it is taken',
      ),
      SEEDS,
    ],
  },
  {
    row: 30,
    name: 'a cut of the log does not touch the write that is in flight',
    why: 'An entry that was cut off and came back the same is taken for the one that was written: acknowledged too early.',
    edits: [
      {
        file: 'src/raft/log.ts',
        find: 'if (this.#writing !== null) this.#writing.through = Math.min(this.#writing.through, from - 1);',
        replace: '',
      },
    ],
    catchers: [
      test(
        'test/raft/classic.test.ts',
        'row 30: an entry that was truncated and came back the same is not taken for the one that was written',
      ),
    ],
  },
];
