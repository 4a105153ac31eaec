/**
 * Branches: notes which rare ways a run has taken, from what nodes say, what their disks do and where they stand. It
 * judges nothing; a campaign fails when a way was never taken (coverage.ts), for then it has not tested what it says.
 *
 * Invariant: nothing in the daemon knows that it is watched.
 */
import type { LogIndex, NodeId, Term } from '../../src/base/types.ts';
import type { RaftStatus } from '../../src/raft/types.ts';
import type { StoreBatch } from '../../src/store/types.ts';
import type { WireMessage } from '../../src/wire/messages.ts';
import type { CrashedWrite, DurableLog, SimDisk } from './disk.ts';
import type { Process } from './process.ts';
import type { Trace } from './trace.ts';

interface Seen {
  readonly life: number;
  term: Term;
  commit: LogIndex;
  leads: boolean;
}

/** A write that takes so long is one of a stalled disk: just below the limit at which a leader steps down. */
const STALLED_MS = 1_800;

export class Branches {
  readonly #trace: Trace;
  readonly #seen = new Map<NodeId, Seen>();
  readonly #lastIndex = new Map<NodeId, LogIndex>();
  #lastLedTerm: Term = 1;

  constructor(trace: Trace) {
    this.#trace = trace;
  }

  sent(message: WireMessage): void {
    switch (message.type) {
      case 'heartbeat':
      case 'append':
        if (message.term > this.#lastLedTerm + 1 && this.#lastLedTerm > 1) this.#take('a term without a leader');
        this.#lastLedTerm = Math.max(this.#lastLedTerm, message.term);
        return;
      case 'append-reply':
        if (!message.rejected) return;
        this.#take('an append meets another log');
        if (message.hintIndex + 1 < message.index) this.#take('backtracked more than one entry at once');
        return;
      case 'vote-reply':
        if (!message.granted) this.#take('a vote is refused');
        return;
      case 'pre-vote-reply':
        if (!message.granted) this.#take('a pre-vote is refused');
        return;
      default:
        return;
    }
  }

  opened(id: NodeId, log: DurableLog): void {
    this.#lastIndex.set(id, log.lastIndex);
  }

  durable(id: NodeId, batch: StoreBatch, log: DurableLog): void {
    const first = batch.entries?.[0]?.index ?? Number.POSITIVE_INFINITY;
    if (first <= (this.#lastIndex.get(id) ?? 0)) this.#take('entries that were synced are overwritten');
    if (batch.snapshot && batch.resetLog === true && batch.snapshot.meta.index > 1)
      this.#take('a snapshot is installed');
    this.#lastIndex.set(id, log.lastIndex);
  }

  /** After each turn of a voter. */
  turned(process: Process, { term, commit, role }: RaftStatus, disk: SimDisk, now: number): void {
    const leads = role === 'leader';
    const seen = this.#seen.get(process.id);
    if (seen === undefined || seen.life !== process.life) {
      this.#seen.set(process.id, { life: process.life, term, commit, leads });
      return;
    }
    if (seen.leads && !leads) this.#stepsDown(seen.term === term, now - (disk.writingSince ?? now));
    if (leads && seen.leads && commit > seen.commit) {
      if (commit > disk.log.lastIndex) this.#take('committed before the leader has synced it');
      const oldest = disk.log.entry(seen.commit + 1);
      if (oldest !== undefined && oldest.term < term) this.#take('a leader commits what an earlier one left');
    }
    seen.term = term;
    seen.commit = commit;
    seen.leads = leads;
  }

  #stepsDown(inItsTerm: boolean, writingMs: number): void {
    if (!inItsTerm) return this.#take('a leader is deposed');
    this.#take(
      writingMs >= STALLED_MS ? 'a leader with a stalled disk steps down' : 'a leader without a quorum steps down',
    );
  }

  /** `status` is that of the last moment; null before the node was formed. */
  crashed(status: RaftStatus | null, write: CrashedWrite | null, log: DurableLog): void {
    if (write !== null) this.#trace.count(`write ${write.leftover} in a crash`);
    if (status === null) return this.#take('a crash before formation');
    if (status.role === 'leader' && status.lastIndex > status.commit) {
      this.#take('a leader dies between append and commit');
    }
    const vote = write?.batch.hardState;
    if (write === null || !vote || vote.vote === null || vote.term === log.hardState?.term) return;
    this.#take(
      write.leftover === 'kept' ? 'a vote outlives the crash that kept it secret' : 'a vote is lost in a crash',
    );
  }

  #take(branch: string): void {
    this.#trace.count(`branch: ${branch}`);
  }
}
