/**
 * Reads: linearizable reads without an entry in the log (ReadIndex, Raft thesis §6.4).
 *
 * A read is bound to a heartbeat round that is sent after it was asked, together with the commit index of that moment.
 * When a quorum has answered that round or a later one in the same term, no other leader can have committed anything
 * before the round was sent, and the read may be served once the bound index is applied. One round serves all reads that
 * wait for it, and answers are counted by round number: a late or doubled answer can only ever prove less.
 *
 * Invariant: a read is answered exactly once, as confirmed or as failed.
 */
import type { LogIndex } from '../base/types.ts';
import type { ReadyRead } from './types.ts';

interface BoundReads {
  readonly round: number;
  readonly index: LogIndex;
  readonly ids: readonly number[];
}

export class Reads {
  #waiting: number[] = [];
  /** By round, oldest first. */
  #bound: BoundReads[] = [];

  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  ask(id: number): void {
    this.#waiting.push(id);
  }

  /** All that wait go with the round that is about to be sent. */
  bind(round: number, index: LogIndex): void {
    if (this.#waiting.length === 0) return;
    this.#bound.push({ round, index, ids: this.#waiting });
    this.#waiting = [];
  }

  /** A quorum has answered `quorumRound`: what may be served now is added to `reads`. */
  confirm(quorumRound: number, reads: ReadyRead[]): void {
    let count = 0;
    for (const { round, index, ids } of this.#bound) {
      if (round > quorumRound) break;
      for (const id of ids) reads.push({ id, index });
      count++;
    }
    if (count > 0) this.#bound.splice(0, count);
  }

  /** Leadership is lost: the ids of all that were not confirmed. */
  fail(): number[] {
    const ids = [...this.#bound.flatMap((bound) => bound.ids), ...this.#waiting];
    this.#bound = [];
    this.#waiting = [];
    return ids;
  }
}
