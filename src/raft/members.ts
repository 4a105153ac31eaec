/**
 * Members: the configuration as its leader sees it, with what is known of each member.
 *
 * Voters and learners are served alike; the difference is made only where something is counted. So a learner that is
 * promoted goes on from where it is, and a voter that is demoted loses its say and nothing else.
 *
 * Invariants: every member but the leader itself has a progress, and nobody else has one · only voters count, and of
 * them only those that have kept what they acknowledged.
 */
import { must } from '../base/assert.ts';
import type { LogIndex, NodeId } from '../base/types.ts';
import { isVoter, membersOf, votersOf } from './configuration.ts';
import { Progress } from './progress.ts';
import { quorumReached } from './quorum.ts';
import type { Configuration, RaftOptions } from './types.ts';

export class Members {
  readonly #options: RaftOptions;
  #configuration: Configuration;
  /** In id order. */
  #others: readonly Progress[];

  constructor(options: RaftOptions, configuration: Configuration, next: LogIndex) {
    this.#options = options;
    this.#configuration = configuration;
    this.#others = this.#ids().map((id) => this.#progressOf(id, next, 0));
  }

  get configuration(): Configuration {
    return this.#configuration;
  }

  /** All but the leader itself, learners too. */
  get others(): readonly Progress[] {
    return this.#others;
  }

  /** Whether the leader is its own quorum. */
  get isAlone(): boolean {
    const voters = votersOf(this.#configuration);
    return voters.length === 1 && voters[0] === this.#options.id;
  }

  get leaderVotes(): boolean {
    return isVoter(this.#configuration, this.#options.id);
  }

  find(id: NodeId): Progress | null {
    return this.#others.find((member) => member.id === id) ?? null;
  }

  /** The highest number that a quorum has reached: `own` is the leader's, which counts where it is a voter. */
  quorum(own: number, reached: (member: Progress) => number): number {
    return quorumReached(this.#configuration, (id) => {
      if (id === this.#options.id) return own;
      const member = must(this.find(id), 'every other voter has a progress');
      return member.isRegressed ? 0 : reached(member);
    });
  }

  /** The new configuration is in force; `round` is the last one that was sent. Gives those who left. */
  reconfigure(configuration: Configuration, next: LogIndex, round: number): readonly Progress[] {
    const before = this.#others;
    this.#configuration = configuration;
    this.#others = this.#ids().map((id) => {
      const known = before.find((member) => member.id === id);
      if (known !== undefined) return known;
      const added = this.#progressOf(id, next, round);
      // Or the next check of the quorum would hold against it that it was not there before.
      added.hear();
      return added;
    });
    return before.filter((member) => !this.#others.includes(member));
  }

  #ids(): readonly NodeId[] {
    return membersOf(this.#configuration).filter((id) => id !== this.#options.id);
  }

  #progressOf(id: NodeId, next: LogIndex, sinceRound: number): Progress {
    const { inflightMessagesMax, inflightBytesMax } = this.#options;
    return new Progress({ id, next, sinceRound, inflightMessagesMax, inflightBytesMax });
  }
}
