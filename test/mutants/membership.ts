/**
 * Mutants of the membership, its changes, and leadership that is handed over.
 */
import { type Mutant, test } from './mutant.ts';

export const MEMBERSHIP: readonly Mutant[] = [
  {
    row: 18,
    name: 'a snapshot from the leader does not bring its configuration into force',
    why: 'The follower goes on with the members of long ago, and elects with them.',
    edits: [{ file: 'src/raft/raft.ts', find: 'this.#configuration = checked(meta.configuration);', replace: '' }],
    catchers: [
      test(
        'test/raft/membership.test.ts',
        'that of a snapshot is in force once the state machine has taken the snapshot',
      ),
    ],
  },
  {
    row: 19,
    name: 'a new leader changes the members before an entry of its own is committed',
    why: 'The change of its predecessor, which it does not count, and its own make two quorums that share nobody.',
    edits: [
      { file: 'src/raft/leadership.ts', find: 'this.#confIndex = this.#startIndex;', replace: 'this.#confIndex = 0;' },
    ],
    catchers: [
      test(
        'test/raft/classic-membership.test.ts',
        'row 19: a change of a former leader that was never committed does not count beside that of the next',
      ),
    ],
  },
  {
    row: 20,
    name: 'whoever does not know that it votes answers nobody',
    why: 'A learner that was promoted, and has not applied it yet, may be the vote without which nobody leads.',
    edits: [
      {
        file: 'src/raft/raft.ts',
        find: 'const granted = mayGrant && isUpToDate(request, this.#logEnd);',
        replace:
          'const granted = mayGrant && isUpToDate(request, this.#logEnd) && isVoter(this.#configuration, this.#options.id);',
      },
    ],
    catchers: [
      test(
        'test/raft/classic-membership.test.ts',
        'row 20: a learner that does not know yet that it votes answers those who do',
      ),
    ],
  },
  {
    row: 32,
    name: 'leadership is handed to a target that lags',
    why: 'The target cannot win, and meanwhile the cluster takes no proposal.',
    edits: [
      {
        file: 'src/raft/leadership.ts',
        find: '&& target.match === this.#log.lastIndex;',
        replace: ';',
      },
    ],
    catchers: [
      test('test/raft/transfer.test.ts', 'row 32: a target that does not hold the whole log on its disk is not told'),
    ],
  },
  {
    row: 32,
    name: 'proposals are taken while leadership is handed over',
    why: 'Under load the target never holds everything, and the transfer never comes to its end.',
    edits: [
      {
        file: 'src/raft/leadership.ts',
        find: "if (this.#transfer !== null) return { ok: false, reason: 'transferring' };",
        replace: '',
      },
    ],
    catchers: [
      test(
        'test/raft/transfer.test.ts',
        'row 32: no proposal is taken meanwhile, so that the target can catch up at all',
      ),
    ],
  },
  {
    row: 32,
    name: 'a transfer is never given up',
    why: 'A target that is away keeps the cluster from taking proposals for ever.',
    edits: [
      {
        file: 'src/raft/transfer.ts',
        find: 'return ++this.#ticks >= this.#ticksMax;',
        replace: 'return ++this.#ticks >= Number.POSITIVE_INFINITY;',
      },
    ],
    catchers: [
      test(
        'test/raft/transfer.test.ts',
        'row 32: a transfer to a target that is away is given up after one election timeout, and the leader goes on',
      ),
    ],
  },
  {
    row: 33,
    name: 'a node is known by its id alone, whatever its data directory',
    why: 'A member whose disk was wiped votes again, and what it once acknowledged is lost.',
    edits: [
      {
        file: 'src/daemon/formation.ts',
        find: 'if (member.instanceId !== hello.instanceId) {',
        replace: 'if (member.id !== hello.nodeId) {',
      },
    ],
    catchers: [test('test/daemon/formation.test.ts', 'no wiped disk under the id of a member')],
  },
  {
    row: 33,
    name: 'a follower does not notice that it lost what it had acknowledged',
    why: 'It goes on counting, and ends itself when it is told to commit what it no longer has.',
    edits: [
      {
        file: 'src/raft/raft.ts',
        find: 'const regressed = match > this.#log.lastIndex;',
        replace: 'const regressed = false;',
      },
    ],
    catchers: [
      test(
        'test/raft/classic-membership.test.ts',
        'row 33: a follower that lost what it had acknowledged is marked, and counts no more until it is removed',
      ),
    ],
  },
];
