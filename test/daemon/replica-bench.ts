/**
 * Replica bench: one replica whose disk and peers are the test.
 */
import { expect } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { ELECTION_TICKS_MAX, TICK_MS } from '../../src/base/limits.ts';
import type { Result } from '../../src/daemon/api.ts';
import { formationBatch } from '../../src/daemon/formation.ts';
import { Replica } from '../../src/daemon/replica.ts';
import type { RaftMessage } from '../../src/raft/types.ts';
import type { Command, Outcome } from '../../src/ranges/types.ts';
import { MemoryDisk } from '../../src/store/memory.ts';
import type { StoreContents } from '../../src/store/types.ts';
import { jobId, specOf } from '../ranges/fixtures.ts';
import { type HandEnv, HandTime, handEnv } from './fakes.ts';

/** Leaves out what replicas say to each other beside Raft. */
function isRaft(message: { readonly type: string }): message is RaftMessage {
  return 'term' in message && 'to' in message;
}

/** A replica whose disk and peers are the test. */
export class Bench {
  readonly hand: HandEnv;
  readonly replica: Replica;
  readonly sent: RaftMessage[] = [];
  /** Writes that wait to be durable. */
  readonly writes: (() => void)[];
  readonly snapshots: number[] = [];
  #isWoken = false;
  isAutomatic = true;

  constructor(voters: readonly string[] = ['n1'], options: { disk?: MemoryDisk; snapshotEveryEntries?: number } = {}) {
    const { disk = new MemoryDisk(), snapshotEveryEntries } = options;
    const writes: (() => void)[] = [];
    this.writes = writes;
    this.hand = handEnv({ time: new HandTime(), disk, schedule: (run) => void writes.push(run) });
    this.replica = new Replica({
      env: this.hand.env,
      id: 'n1',
      contents: formed(this.hand.contents, voters),
      ...(snapshotEveryEntries === undefined ? {} : { snapshotEveryEntries, logTailEntries: 5 }),
      send: (_to, message) => {
        if (isRaft(message)) this.sent.push(message);
      },
      wake: () => {
        this.#isWoken = true;
      },
      onApplied: () => {},
      onRestored: () => {},
      onMembers: () => {},
    });
    if (this.hand.contents.formation === null) {
      // As membership does it: the record is synced before there is a replica.
      const { formation } = formed(this.hand.contents, voters);
      this.hand.store.write(formationBatch(must(formation, 'formed')), () => {});
      this.sync();
    }
  }

  /** Makes the write in flight durable. */
  sync(): boolean {
    const write = this.writes.shift();
    write?.();
    return write !== undefined;
  }

  /** Turns until nothing is left to do; writes become durable when they are automatic. */
  settle(): void {
    for (let turns = 0; turns < 1_000; turns++) {
      this.#isWoken = false;
      const isMore = this.replica.pump();
      const isSynced = this.isAutomatic && this.sync();
      if (!isMore && !isSynced && !this.#isWoken) return;
    }
    throw new Error('the replica never rests');
  }

  tick(count: number): void {
    for (let ticks = 0; ticks < count; ticks++) {
      this.hand.time.stall(TICK_MS);
      this.replica.raft.tick();
      this.settle();
    }
  }

  step(message: RaftMessage): void {
    this.replica.raft.step(message);
    this.settle();
  }

  /** Grants every vote and pre-vote of the others until this node leads. */
  elect(): this {
    for (let ticks = 0; ticks < 4 * ELECTION_TICKS_MAX && this.replica.status().role !== 'leader'; ticks++) {
      this.tick(1);
      for (const ask of this.take('pre-vote')) this.#grant('pre-vote-reply', ask.to, ask.term);
      for (const ask of this.take('vote')) this.#grant('vote-reply', ask.to, ask.term);
    }
    expect(this.replica.status().role).toBe('leader');
    return this;
  }

  #grant(type: 'pre-vote-reply' | 'vote-reply', from: string, term: number): void {
    const reply = { from, to: 'n1', term, granted: true, commit: 0, commitTerm: 0 };
    this.step(type === 'vote-reply' ? { type, ...reply } : { type, ...reply });
  }

  /** n2 has on its disk what it was sent. */
  ack(index = this.replica.status().lastIndex): void {
    const { term } = this.replica.status();
    this.step({
      type: 'append-reply',
      from: 'n2',
      to: 'n1',
      term,
      index,
      rejected: false,
      hintIndex: 0,
      hintTerm: 0,
    });
  }

  beat(round = this.replica.raft.round): void {
    this.step({
      type: 'heartbeat-reply',
      from: 'n2',
      to: 'n1',
      term: this.replica.status().term,
      round,
      regressed: false,
    });
  }

  take<T extends RaftMessage['type']>(type: T): Extract<RaftMessage, { readonly type: T }>[] {
    const taken = this.sent.filter((one) => one.type === type);
    for (const one of taken) this.sent.splice(this.sent.indexOf(one), 1);
    return taken as Extract<RaftMessage, { readonly type: T }>[];
  }

  submit(number: number): string[] {
    return this.propose({ kind: 'submit-job', stamp: null, at: 1, spec: specOf({ id: jobId(number) }) });
  }

  /** What the proposal is answered with, as it comes. */
  propose(command: Command): string[] {
    const answers: string[] = [];
    this.replica.propose(command, (result: Result<Outcome>) =>
      answers.push(result.ok ? result.value.kind : result.error.code),
    );
    return answers;
  }

  read(): string[] {
    const answers: string[] = [];
    this.replica.read((result) => answers.push(result.ok ? 'ok' : result.error.code));
    return answers;
  }
}

function formed(contents: StoreContents, voters: readonly string[]): StoreContents {
  if (contents.formation !== null) return contents;
  const members = voters.map((id) => ({ id, instanceId: id === 'n1' ? contents.instanceId : `i-${id}`, address: id }));
  const formation = { clusterId: '00000000-0000-4000-8000-00000000000c', members };
  const batch = formationBatch(formation);
  return {
    ...contents,
    clusterId: formation.clusterId,
    formation,
    hardState: batch.hardState ?? null,
    snapshot: batch.snapshot ?? null,
  };
}
