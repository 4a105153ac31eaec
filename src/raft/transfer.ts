/**
 * Transfer: how a leader hands over on purpose (thesis §3.10), and how one that is a voter no longer takes its leave.
 *
 * A transfer brings its target up to date and then tells it to campaign at once, whatever the others hear. From that word
 * on the leader's heartbeats no longer prove that it is alone. The word is void for a target that has heard a later
 * round; so an answer to such a round shows that the word was lost, and that it can do no harm any more.
 *
 * Invariants: the word goes only to a target that holds the whole log · at most one word is in force · a transfer ends
 * after one election timeout.
 */
import type { LogIndex, NodeId } from '../base/types.ts';

export class Transfer {
  readonly to: NodeId;
  readonly #ticksMax: number;
  #ticks = 0;
  /** The last round before the word; null while no word is in force. */
  #wordRound: number | null = null;

  constructor(to: NodeId, ticksMax: number) {
    this.to = to;
    this.#ticksMax = ticksMax;
  }

  /** Whether the target may campaign at any moment. */
  get isWordOut(): boolean {
    return this.#wordRound !== null;
  }

  /** True when the time is over. */
  tick(): boolean {
    return ++this.#ticks >= this.#ticksMax;
  }

  wordSent(round: number): void {
    this.#wordRound = round;
  }

  /** The target follows still: the word did not reach it, or is not obeyed any more. */
  targetAnswered(round: number): void {
    if (this.#wordRound !== null && round > this.#wordRound) this.#wordRound = null;
  }
}

/**
 * A leader that was removed or demoted leads on, without counting itself, until a quorum of those who stay is known to
 * know of the change. Were it to go earlier, they might still need a vote from one who is no longer there.
 */
export class Departure {
  /** The change is at or below this index. */
  readonly #index: LogIndex;
  /** The first round that told a member of the commit. */
  readonly #toldRounds = new Map<NodeId, number>();
  readonly #knowing = new Set<NodeId>();

  constructor(index: LogIndex) {
    this.#index = index;
  }

  roundSent(to: NodeId, round: number, commit: LogIndex): void {
    if (commit >= this.#index && !this.#toldRounds.has(to)) this.#toldRounds.set(to, round);
  }

  roundAnswered(from: NodeId, round: number): void {
    const told = this.#toldRounds.get(from);
    if (told !== undefined && round >= told) this.#knowing.add(from);
  }

  knows(id: NodeId): boolean {
    return this.#knowing.has(id);
  }
}
