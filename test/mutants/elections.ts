/**
 * Mutants of terms, votes and campaigns.
 */
import { type Mutant, SEEDS, test } from './mutant.ts';

export const ELECTIONS: readonly Mutant[] = [
  {
    row: 1,
    name: 'a vote is said before it is on disk',
    why: 'After a crash the voter votes again in the same term, and the term has two leaders.',
    edits: [{ file: 'src/raft/disk.ts', find: 'if (!this.holdsVote(term, vote)) return false;', replace: '' }],
    catchers: [
      test('test/raft/classic.test.ts', 'row 1: a vote leaves only after it is on disk, and survives a crash'),
      SEEDS,
    ],
  },
  {
    row: 1,
    name: 'a candidate leads on the votes of others, while its own is not on disk',
    why: 'After a crash it votes for another in the term in which it led.',
    edits: [
      {
        file: 'src/raft/raft.ts',
        find: 'else if (this.#ballot.has(this.#options.id)) this.#becomeLeader();',
        replace: 'else this.#becomeLeader();',
      },
    ],
    catchers: [
      test(
        'test/raft/classic.test.ts',
        'row 1: a candidate asks for votes, and counts its own, only after its own is on disk',
      ),
    ],
  },
  {
    row: 4,
    name: 'a leader that steps down within its term forgets its vote',
    why: 'It votes for another in the term in which it led itself: two leaders.',
    edits: [
      {
        file: 'src/raft/raft.ts',
        find: 'if (term > this.#term) this.#enterTerm(term, null);',
        replace:
          "if (term > this.#term) this.#enterTerm(term, null); else if (this.#role === 'leader') this.#vote = null;",
      },
    ],
    catchers: [
      test(
        'test/raft/classic.test.ts',
        'row 4: a leader that steps down within its term keeps its vote, and so does a refused candidate',
      ),
    ],
  },
  {
    row: 5,
    name: 'a vote of an old term counts in the present one',
    why: 'A late answer to an earlier campaign makes a leader that no majority elected.',
    edits: [
      {
        file: 'src/raft/raft.ts',
        find: "case 'pre-vote-reply':\n      case 'vote-reply':\n",
        replace:
          "case 'vote-reply':\n        if (this.#role === 'candidate') this.#tally(message.from, message.granted);\n        return;\n      case 'pre-vote-reply':\n",
      },
    ],
    catchers: [test('test/raft/classic.test.ts', 'row 5: doubled votes and votes of an old term do not count')],
  },
  {
    row: 6,
    name: 'the longer log is the more up to date, whatever its last term',
    why: 'A leader wins that lacks what was committed in a later term, and overwrites it.',
    edits: [
      {
        file: 'src/raft/election.ts',
        find: 'if (candidate.lastTerm !== own.lastTerm) return candidate.lastTerm > own.lastTerm;',
        replace: '',
      },
    ],
    catchers: [
      test(
        'test/raft/classic.test.ts',
        'row 6: a longer log of an older last term does not win against a shorter one of a newer',
      ),
    ],
  },
  {
    row: 7,
    name: 'an answer to an old term carries that old term',
    why: 'Whoever asked never learns that the term has moved on, and asks for ever.',
    edits: [
      {
        file: 'src/raft/raft.ts',
        find: 'to: message.from, term: this.#term };',
        replace: 'to: message.from, term: message.term };',
      },
    ],
    catchers: [
      test('test/raft/classic.test.ts', 'row 7: whoever asks for a vote in an old term is told the present one'),
    ],
  },
  {
    row: 24,
    name: 'what comes from an old term is not answered',
    why: 'A node whose term ran ahead can neither follow nor win: it is lost for ever.',
    edits: [
      {
        file: 'src/raft/raft.ts',
        find: 'if (term < this.#term) this.#answerOldTerm(message);',
        replace: 'if (term < this.#term) return;',
      },
    ],
    catchers: [
      test(
        'test/raft/classic.test.ts',
        'row 24: a node whose term ran ahead comes back, though it cannot follow the old term and the others are sticky',
      ),
    ],
  },
  {
    row: 24,
    name: 'a vote of a higher term is looked at while a leader is heard',
    why: 'A node that was removed, or cut off, unseats a healthy leader whenever it stands.',
    edits: [
      {
        file: 'src/raft/raft.ts',
        find: "if (message.type === 'vote' && !message.transfer && this.#isSticky()) return false;",
        replace: '',
      },
    ],
    catchers: [
      test('test/raft/paper.test.ts', 'a vote of a higher term is not even looked at while a leader is heard'),
    ],
  },
  {
    row: 25,
    name: 'votes are given though a leader is heard',
    why: 'A node that reaches some of the others, but not the leader, unseats one leader after the other.',
    edits: [
      {
        file: 'src/raft/raft.ts',
        find: 'return this.#leadership !== null || (this.#leader !== null && this.#timer.isFresh);',
        replace: 'return false;',
      },
    ],
    catchers: [
      test(
        'test/raft/classic.test.ts',
        'row 25: a node that reaches only one follower does not unseat the leader again and again',
      ),
    ],
  },
  {
    row: 26,
    name: 'a leader leads on while its disk hangs',
    why: 'Its heartbeats need no disk, so nobody else stands, and nothing is committed in time.',
    edits: [
      { file: 'src/raft/raft.ts', find: 'if (!leadership.tick() || isStalled)', replace: 'if (!leadership.tick())' },
    ],
    catchers: [
      test(
        'test/raft/classic.test.ts',
        'row 26: a leader whose disk hangs steps down, does not stand again, and another takes over',
      ),
    ],
  },
];
