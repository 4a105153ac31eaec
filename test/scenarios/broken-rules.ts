/**
 * Broken rules: known bugs of Raft cores, put back one at a time, each with a scenario whose transcript must change. A
 * transcript that no bug can change would show nothing.
 *
 * Each rule bends one method of the core, and `install` gives back what straightens it.
 */
import { Disk } from '../../src/raft/disk.ts';
import { Ballot, ElectionTimer } from '../../src/raft/election.ts';
import { Leadership } from '../../src/raft/leadership.ts';
import { RaftLog } from '../../src/raft/log.ts';
import { Progress } from '../../src/raft/progress.ts';
import { Reads } from '../../src/raft/reads.ts';
import { Departure, Transfer } from '../../src/raft/transfer.ts';

export interface BrokenRule {
  readonly name: string;
  /** The file in data/, without its ending. */
  readonly scenario: string;
  readonly install: () => () => void;
}

/** Replaces a method until the returned function is called. */
function bend<T extends object, K extends keyof T>(target: T, name: K, make: (straight: T[K]) => T[K]): () => void {
  const straight = target[name];
  target[name] = make(straight);
  return () => {
    target[name] = straight;
  };
}

/** An entry of an older term matches the leader's own term, but only while commits are counted. */
function countOldTerms(): () => void {
  let isCounting = false;
  const restoreCommit = bend(Leadership.prototype, 'advanceCommit', (straight) => {
    return function bent(this: Leadership) {
      isCounting = true;
      straight.call(this);
      isCounting = false;
    };
  });
  const restoreMatches = bend(RaftLog.prototype, 'matches', (straight) => {
    return function bent(this: RaftLog, index, term) {
      return isCounting || straight.call(this, index, term);
    };
  });
  return () => {
    restoreCommit();
    restoreMatches();
  };
}

/** A getter cannot be assigned to; so it is defined anew. */
function neverFresh(): () => void {
  const straight = Object.getOwnPropertyDescriptor(ElectionTimer.prototype, 'isFresh') ?? {};
  Object.defineProperty(ElectionTimer.prototype, 'isFresh', { configurable: true, get: () => false });
  return () => {
    Object.defineProperty(ElectionTimer.prototype, 'isFresh', straight);
  };
}

/** The second vote of a voter is taken for that of its neighbour. */
function countTwice(): () => void {
  return bend(Ballot.prototype, 'record', (straight) => {
    return function bent(this: Ballot, id, granted) {
      straight.call(this, this.has(id) ? String(Number(id) + 1) : id, granted);
    };
  });
}

/** Reads are confirmed by whatever comes first. */
function confirmAtOnce(): () => void {
  return bend(Reads.prototype, 'confirm', (straight) => {
    return function bent(this: Reads, _quorumRound, reads) {
      straight.call(this, Number.POSITIVE_INFINITY, reads);
    };
  });
}

export const BROKEN_RULES: readonly BrokenRule[] = [
  {
    name: 'entries of an older term are committed by counting',
    scenario: 'figure_8_overwritten',
    install: countOldTerms,
  },
  { name: 'nobody is loyal to a leader', scenario: 'stickiness_one_broken_link', install: neverFresh },
  { name: 'a removed node is listened to', scenario: 'change_removed_node_disturbs_nobody', install: neverFresh },
  { name: 'a vote counts twice', scenario: 'votes_doubled', install: countTwice },
  { name: 'a read needs no quorum', scenario: 'reads_ignore_late_answers', install: confirmAtOnce },
  { name: 'a deposed leader serves reads', scenario: 'reads_of_a_deposed_leader', install: confirmAtOnce },
  {
    name: 'a vote is asked for before the own vote is on disk',
    scenario: 'election_own_vote_on_slow_disk',
    install: () => bend(Disk.prototype, 'holdsVote', () => () => true),
  },
  {
    name: 'a leader without a quorum leads on',
    scenario: 'check_quorum_leader_cut_off',
    install: () =>
      bend(Leadership.prototype, 'tick', (straight) => {
        return function bent(this: Leadership) {
          straight.call(this);
          return true;
        };
      }),
  },
  {
    name: 'the follower skips no term',
    scenario: 'backtracking_follower_side',
    install: () =>
      bend(RaftLog.prototype, 'lastNotAbove', () => {
        return function bent(this: RaftLog, index) {
          return Math.min(index - 1, this.lastIndex);
        };
      }),
  },
  {
    name: 'a beat resends nothing',
    scenario: 'append_lost_last',
    install: () => bend(Progress.prototype, 'beat', () => () => undefined),
  },
  {
    name: 'entries behind a snapshot under way are forgotten',
    scenario: 'snapshot_while_entries_flow',
    install: () => bend(Leadership.prototype, 'keepFromMax', () => () => Number.MAX_SAFE_INTEGER),
  },
  {
    name: 'a transfer never ends',
    scenario: 'transfer_given_up',
    install: () => bend(Transfer.prototype, 'tick', () => () => false),
  },
  {
    name: 'a removed leader goes before the others know',
    scenario: 'change_remove_leader',
    install: () => bend(Departure.prototype, 'knows', () => () => true),
  },
];
