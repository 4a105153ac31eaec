/**
 * Mutants of snapshots and of the compaction behind them.
 */
import { type Mutant, test } from './mutant.ts';

export const SNAPSHOTS: readonly Mutant[] = [
  {
    row: 14,
    name: 'an entry at the index of a snapshot is kept, whatever its term',
    why: 'The follower refuses all that follows the snapshot, and is sent the same snapshot for ever.',
    edits: [
      {
        file: 'src/raft/follow.ts',
        find: 'if (log.matches(index, term)) log.commitTo(index);',
        replace: 'if (log.termAt(index) !== null) log.commitTo(index);',
      },
    ],
    catchers: [
      test(
        'test/raft/classic.test.ts',
        'row 14: a conflicting entry at the index of a snapshot goes with the whole log, and replication goes on from it',
      ),
    ],
  },
  {
    row: 15,
    name: 'a write in flight that a snapshot overtook counts for the log behind the snapshot',
    why: 'Snapshot and entries are of different moments: what is acknowledged is not what is on disk.',
    edits: [
      {
        file: 'src/raft/log.ts',
        find: 'if (this.#writing !== null) this.#writing = { through: 0, snapshot: null };',
        replace: 'if (this.#writing !== null) this.#writing = { through: index, snapshot };',
      },
    ],
    catchers: [
      test('test/raft/classic.test.ts', 'row 15: a write in flight that a snapshot overtook makes nothing durable'),
    ],
  },
  {
    row: 16,
    name: 'the log is compacted while a snapshot is under way',
    why: 'The snapshot is outdated when it arrives; under load the follower never catches up.',
    edits: [
      {
        file: 'src/raft/leadership.ts',
        find: 'if (snapshotIndex !== null) keepFrom = Math.min(keepFrom, snapshotIndex + 1);',
        replace: 'if (snapshotIndex === 0) keepFrom = 0;',
      },
    ],
    catchers: [
      test(
        'test/raft/classic.test.ts',
        'row 16: compaction waits for a snapshot that is under way, so that it is not outdated when it arrives',
      ),
    ],
  },
  {
    row: 17,
    name: 'a member that has acknowledged nothing is sent no snapshot',
    why: 'A learner that was cut off when it was added finds the log compacted away, and waits for ever.',
    edits: [
      {
        file: 'src/raft/leadership.ts',
        find: 'const { snapshot } = this.#log;',
        replace: 'if (member.match === 0) return member.sent(0, 0, 0);\n      const { snapshot } = this.#log;',
      },
    ],
    catchers: [
      test(
        'test/raft/classic-membership.test.ts',
        'row 17: a learner that was cut off when it was added, and whose log is compacted away meanwhile, still catches up',
      ),
    ],
  },
  {
    row: 34,
    name: 'a snapshot that was lost on its way is never missed',
    why: 'One failure stops the replication to this follower for ever.',
    edits: [
      {
        file: 'src/raft/progress.ts',
        find: "if (this.state === 'snapshot' && this.#snapshotTicks >= SNAPSHOT_LOST_TICKS)",
        replace: 'if (this.#snapshotTicks === Number.POSITIVE_INFINITY)',
      },
    ],
    catchers: [
      test('test/raft/paper.test.ts', 'a snapshot that is lost is missed after a bounded time and sent again'),
    ],
  },
  {
    row: 34,
    name: 'a probe that was lost on its way is never sent again',
    why: 'One lost message stops the replication to this follower for ever.',
    edits: [
      { file: 'src/raft/progress.ts', find: "if (this.state === 'probe') this.#probeSent = false;", replace: '' },
    ],
    catchers: [
      test(
        'test/raft/classic-membership.test.ts',
        'row 17: a learner that was cut off when it was added, and whose log is compacted away meanwhile, still catches up',
      ),
    ],
  },
];
