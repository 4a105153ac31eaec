/**
 * Raft checker: watches what nodes say, what their disks hold and what they apply, from outside, at every step.
 *
 * It knows nothing of the code it judges: leaders are known by their heartbeats, votes by their replies, logs by what
 * became durable, commits by what was applied. So a wrong core cannot talk it into agreeing.
 *
 * Checked: election safety · one vote a term, across crashes · nothing is said before it is synced · log matching ·
 * leader completeness · state machine safety · committed entries are on a majority of disks and never change · term,
 * commit and applied grow, and stay in order.
 */
import { must } from '../../src/base/assert.ts';
import type { LogIndex, NodeId, Term } from '../../src/base/types.ts';
import type { Entry, RaftMessage, RaftStatus } from '../../src/raft/types.ts';
import type { StoreBatch } from '../../src/store/types.ts';
import type { WireMessage } from '../../src/wire/messages.ts';
import type { DurableLog } from './disk.ts';
import type { Electorate } from './electorate.ts';
import type { Process } from './process.ts';
import { expectThat } from './violation.ts';

interface Seen {
  readonly life: number;
  term: Term;
  commit: LogIndex;
  applied: LogIndex;
  /** Whether it led this term already. */
  leading: boolean;
}

interface Voter {
  readonly log: () => DurableLog;
  /** What its disk held when it was taken away. */
  wiped: DurableLog | null;
  seen: Seen | null;
}

/** An entry and the term of the one before it: equal pairs by induction mean equal logs up to there. */
interface Link {
  readonly record: Uint8Array;
  readonly previousTerm: Term;
}

/** Formation is a virtual snapshot at index 1, term 1. */
const FORMED_INDEX = 1;
const FORMED_TERM = 1;

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || Buffer.compare(a, b) === 0;
}

export class RaftChecker {
  readonly #voters = new Map<NodeId, Voter>();
  readonly #leaders = new Map<Term, NodeId>();
  readonly #votes = new Map<string, NodeId>();
  readonly #links = new Map<LogIndex, Map<Term, Link>>();
  /** Entry i + 2: the first index after formation is 2. */
  readonly #committed: Entry[] = [];
  readonly #electorate: Electorate;
  readonly #applied: (entry: Entry) => void;

  /** `applied` hears of each entry once, in order, when the first node applied it. */
  constructor(electorate: Electorate, applied: (entry: Entry) => void) {
    this.#electorate = electorate;
    this.#applied = applied;
  }

  get lastCommitted(): LogIndex {
    return FORMED_INDEX + this.#committed.length;
  }

  get leaderCount(): number {
    return this.#leaders.size;
  }

  addVoter(id: NodeId, log: () => DurableLog): void {
    this.#voters.set(id, { log, wiped: null, seen: null });
  }

  /** To be called while the disk is still there. */
  wiped(id: NodeId): void {
    const voter = this.#voters.get(id);
    if (voter !== undefined) voter.wiped = voter.log();
  }

  // ---- What is said ---------------------------------------------------------------------------------------------------

  sent(process: Process, message: WireMessage): void {
    switch (message.type) {
      case 'heartbeat':
      case 'append':
        return this.#leads(message);
      case 'vote':
        return this.#speaksOfVote(message, message.from, 'asks for votes');
      case 'vote-reply':
        return message.granted ? this.#speaksOfVote(message, message.to, 'grants its vote') : undefined;
      case 'append-reply':
        return message.rejected ? undefined : this.#acknowledges(process, message.from, message.index);
      default:
        return;
    }
  }

  #leads(message: RaftMessage): void {
    const { term, from } = message;
    const leader = this.#leaders.get(term);
    if (leader === from) return;
    expectThat(leader === undefined, () => `election safety: ${leader} and ${from} both lead term ${term}`);
    this.#leaders.set(term, from);
    const log = this.#log(from);
    for (let index = FORMED_INDEX + 1; index <= this.lastCommitted; index++) {
      const entry = must(this.#committed[index - FORMED_INDEX - 1], 'a committed entry');
      if (entry.term > term) break;
      const own = log.entry(index);
      const held = own === undefined ? log.holds(index) : own.term === entry.term;
      expectThat(held, () => `leader completeness: ${from} leads term ${term} without the committed entry ${index}`);
    }
  }

  /** The voter's term and vote must be on its disk before it says so; and a voter has one vote a term for ever. */
  #speaksOfVote(message: RaftMessage, candidate: NodeId, deed: string): void {
    const { term, from } = message;
    const key = `${from} in term ${term}`;
    const before = this.#votes.get(key);
    expectThat(before === undefined || before === candidate, () => `two votes: ${key} for ${before} and ${candidate}`);
    this.#votes.set(key, candidate);
    const hardState = this.#log(from).hardState;
    const synced =
      hardState !== null && (hardState.term > term || (hardState.term === term && hardState.vote === candidate));
    expectThat(
      synced,
      () => `unsynced vote: ${from} ${deed} in term ${term}, its disk says ${JSON.stringify(hardState)}`,
    );
  }

  #acknowledges(process: Process, from: NodeId, index: LogIndex): void {
    const log = this.#log(from);
    const last = log.lastIndex;
    expectThat(index <= last, () => `unsynced ack: ${process.id} acknowledges ${index}, its disk ends at ${last}`);
  }

  // ---- What becomes durable ---------------------------------------------------------------------------------------------

  durable(process: Process, batch: StoreBatch, log: DurableLog): void {
    for (const entry of batch.entries ?? []) {
      const previous = log.entry(entry.index - 1)?.term ?? this.#termBelow(log, entry.index - 1);
      if (previous !== null) this.#link(process.id, entry, previous);
      this.#keepsCommitted(process.id, entry);
    }
  }

  /** A life begins with what its disk really holds, writes included that nobody was told of. */
  opened(process: Process, log: DurableLog): void {
    for (const entry of log.entries) {
      const previous = log.entry(entry.index - 1)?.term ?? this.#termBelow(log, entry.index - 1);
      if (previous !== null) this.#link(process.id, entry, previous);
    }
  }

  #termBelow(log: DurableLog, index: LogIndex): Term | null {
    if (log.snapshot?.index === index) return log.snapshot.term;
    return index === FORMED_INDEX ? FORMED_TERM : null;
  }

  #link(id: NodeId, entry: Entry, previousTerm: Term): void {
    let links = this.#links.get(entry.index);
    if (links === undefined) {
      links = new Map();
      this.#links.set(entry.index, links);
    }
    const link = links.get(entry.term);
    if (link === undefined) {
      links.set(entry.term, { record: entry.record, previousTerm });
      return;
    }
    const matches = link.previousTerm === previousTerm && same(link.record, entry.record);
    expectThat(matches, () => `log matching: ${id} holds another entry ${entry.index} of term ${entry.term}`);
  }

  /** What a node itself knew to be committed, it may write again, but never otherwise. */
  #keepsCommitted(id: NodeId, entry: Entry): void {
    const applied = this.#voters.get(id)?.seen?.applied ?? 0;
    const known = this.#committed[entry.index - FORMED_INDEX - 1];
    if (entry.index > applied || known === undefined) return;
    expectThat(
      known.term === entry.term,
      () => `committed immutable: ${id} overwrites its applied entry ${entry.index}`,
    );
  }

  // ---- What is applied --------------------------------------------------------------------------------------------------

  /** After each turn of a voter. */
  turned(process: Process, status: RaftStatus): void {
    const voter = this.#voters.get(process.id);
    if (voter === undefined) return;
    const { term, commit, applied } = status;
    const { seen } = voter;
    if (seen === null || seen.life !== process.life) {
      voter.seen = { life: process.life, term, commit, applied: 0, leading: false };
    } else {
      expectThat(term >= seen.term, () => `monotonic term: ${process.id} fell from ${seen.term} to ${term}`);
      expectThat(commit >= seen.commit, () => `monotonic commit: ${process.id} fell from ${seen.commit} to ${commit}`);
      expectThat(applied >= seen.applied, () => `monotonic applied: ${process.id} fell from ${seen.applied}`);
    }
    const current = must(voter.seen, 'a voter was seen');
    const leads = status.role === 'leader';
    if (leads && current.leading && current.term === term && commit > current.commit) {
      // Raft §5.4.2: a leader counts for entries of its own term only.
      const counted = voter.log().entry(commit)?.term ?? term;
      expectThat(
        counted === term,
        () => `own-term commit: ${process.id} commits ${commit} of term ${counted} in ${term}`,
      );
    }
    current.leading = leads;
    current.term = term;
    current.commit = commit;
    if (applied === current.applied) return;
    expectThat(applied <= commit, () => `state ordering: ${process.id} applied ${applied} of ${commit} committed`);
    for (let index = Math.max(current.applied, FORMED_INDEX) + 1; index <= applied; index++) {
      this.#applies(process.id, index, voter.log());
    }
    current.applied = applied;
  }

  #applies(id: NodeId, index: LogIndex, log: DurableLog): void {
    const entry = log.entry(index);
    const known = this.#committed[index - FORMED_INDEX - 1];
    if (entry === undefined) {
      const installed = known !== undefined && log.snapshot !== null && log.snapshot.index >= index;
      expectThat(installed, () => `unsynced apply: ${id} applied ${index}, which its disk does not hold`);
      return;
    }
    if (known !== undefined) {
      const agrees = known.term === entry.term && same(known.record, entry.record);
      expectThat(agrees, () => `state machine safety: ${id} applied another entry at ${index}`);
      return;
    }
    expectThat(index === this.lastCommitted + 1, () => `a gap: ${id} applied ${index} after ${this.lastCommitted}`);
    this.#committed.push(entry);
    this.#onMajority(entry, () => false);
    this.#applied(entry);
  }

  // ---- Where committed entries are ----------------------------------------------------------------------------------------

  #onMajority(entry: Entry, isLost: (id: NodeId) => boolean): void {
    const isOn = (log: DurableLog): boolean => {
      const own = log.entry(entry.index);
      return own === undefined ? log.holds(entry.index) : own.term === entry.term;
    };
    const holds = (id: NodeId): boolean => {
      const { log, wiped } = must(this.#voters.get(id), `${id} speaks Raft and is a voter`);
      // An acknowledgement may be on its way when the disk that it speaks of is taken away.
      return isLost(id) || isOn(log()) || (wiped !== null && isOn(wiped));
    };
    expectThat(this.#electorate.isQuorum(holds), () => {
      const holders = [...this.#voters.keys()].filter(holds);
      return `committed on quorum: entry ${entry.index} is on the disks of ${holders.join(' ')} only`;
    });
  }

  /**
   * Everything committed is still on a majority of the disks, of which those may have lost it that were spoilt: dear, so
   * at the end and after power cuts.
   */
  checkDurability(isLost: (id: NodeId) => boolean): void {
    for (const entry of this.#committed) this.#onMajority(entry, isLost);
  }

  #log(id: NodeId): DurableLog {
    return must(this.#voters.get(id), `${id} speaks Raft and is a voter`).log();
  }
}
