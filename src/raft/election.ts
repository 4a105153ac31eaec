/**
 * Election: when to stand, whom to vote for, and who has won.
 *
 * Three guards work together, and each alone has a known hole: a pre-vote asks whether a campaign could win before any
 * term is raised (thesis §9.6); stickiness refuses votes while a leader is heard (§4.2.3 there); and the leader's check
 * of its quorum makes it step down when it is not (leadership.ts). Without the last, a leader that is cut off from most
 * voters but heard by some would be kept for ever by the other two.
 *
 * Invariant: one vote a term. The vote is forgotten only together with its term.
 */
import { assert } from '../base/assert.ts';
import type { Prng } from '../base/prng.ts';
import type { LogIndex, NodeId, Term } from '../base/types.ts';
import { type VoteResult, voteResult } from './quorum.ts';
import type { Configuration } from './types.ts';

/** Counts ticks without a word from a leader. The timeout is drawn anew at each reset, so that ties do not repeat. */
export class ElectionTimer {
  readonly #prng: Prng;
  readonly #ticksMin: number;
  readonly #ticksMax: number;
  #elapsed = 0;
  #timeout: number;

  constructor(options: { prng: Prng; electionTicksMin: number; electionTicksMax: number }) {
    assert(options.electionTicksMin < options.electionTicksMax, 'the election timeout has room to vary');
    this.#prng = options.prng;
    this.#ticksMin = options.electionTicksMin;
    this.#ticksMax = options.electionTicksMax;
    this.#timeout = this.#prng.integer(this.#ticksMin, this.#ticksMax);
  }

  /** True when it runs out. */
  tick(): boolean {
    this.#elapsed++;
    return this.#elapsed >= this.#timeout;
  }

  reset(): void {
    this.#elapsed = 0;
    this.#timeout = this.#prng.integer(this.#ticksMin, this.#ticksMax);
  }

  /** Shorter than any timeout of any node: as long as this holds, nobody has a reason to stand. */
  get isFresh(): boolean {
    return this.#elapsed < this.#ticksMin;
  }
}

/** The answers to one campaign. The first answer of a voter counts; a doubled one changes nothing. */
export class Ballot {
  readonly #votes = new Map<NodeId, boolean>();

  record(id: NodeId, granted: boolean): void {
    if (!this.#votes.has(id)) this.#votes.set(id, granted);
  }

  has(id: NodeId): boolean {
    return this.#votes.has(id);
  }

  clear(): void {
    this.#votes.clear();
  }

  result(configuration: Configuration): VoteResult {
    return voteResult(configuration, this.#votes);
  }
}

export interface LogEnd {
  readonly lastTerm: Term;
  readonly lastIndex: LogIndex;
}

/** Raft §5.4.1: the later last term is more up to date, whatever the lengths; with equal terms the longer log is. */
export function isUpToDate(candidate: LogEnd, own: LogEnd): boolean {
  if (candidate.lastTerm !== own.lastTerm) return candidate.lastTerm > own.lastTerm;
  return candidate.lastIndex >= own.lastIndex;
}
