import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { ELECTION_TICKS_MAX, PROPOSALS_WAITING_MAX, TICK_MS } from '../../src/base/limits.ts';
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
class Bench {
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
    return this.propose({ kind: 'submit-job', at: 1, spec: specOf({ id: jobId(number) }) });
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

const THREE = ['n1', 'n2', 'n3'];

describe('proposals', () => {
  test('are answered once they are applied, and once only', () => {
    const bench = new Bench().elect();
    const answers = bench.submit(1);
    expect(answers).toEqual([]);
    bench.settle();
    expect(answers).toEqual(['created']);
    bench.tick(10);
    expect(answers).toEqual(['created']);
    bench.replica.close();
    expect(answers).toEqual(['created']);
  });

  test('need a quorum', () => {
    const bench = new Bench(THREE).elect();
    const answers = bench.submit(1);
    bench.settle();
    expect(answers).toEqual([]);
    bench.ack();
    expect(answers).toEqual(['created']);
  });

  test('on a node that does not lead are refused at once', () => {
    expect(new Bench(THREE).submit(1)).toEqual(['NO_LEADER']);
  });

  test('have an unknown outcome when leadership is lost, whatever becomes of the entry', () => {
    const bench = new Bench(THREE).elect();
    bench.ack();
    const answers = bench.submit(1);
    bench.settle();
    const { term, lastIndex } = bench.replica.status();
    bench.step({ type: 'heartbeat', from: 'n3', to: 'n1', term: term + 1, commit: 0, match: 0, round: 1 });
    expect(answers).toEqual(['OUTCOME_UNKNOWN']);
    // The next leader has the entry after all, and it is applied here.
    const empty = { type: 'append', from: 'n3', to: 'n1', term: term + 1, entries: [] } as const;
    bench.step({ ...empty, prevIndex: lastIndex, prevTerm: term, commit: lastIndex });
    expect(bench.replica.table.job(jobId(1))).toBeDefined();
    expect(answers).toEqual(['OUTCOME_UNKNOWN']);
  });

  test('of a node that stops are answered with STOPPING', () => {
    const bench = new Bench(THREE).elect();
    const answers = [bench.submit(1), bench.read()];
    bench.replica.close();
    expect(answers).toEqual([['STOPPING'], ['STOPPING']]);
  });

  test('that cannot be encoded are refused, and cost nobody anything', () => {
    const bench = new Bench().elect();
    const name = 'x'.repeat(10_000);
    expect(bench.propose({ kind: 'submit-job', at: 1, spec: specOf({ name }) })).toEqual(['BAD_REQUEST']);
    const answers = bench.submit(1);
    bench.settle();
    expect(answers).toEqual(['created']);
  });

  test('beyond the limit are refused', () => {
    const bench = new Bench(THREE).elect();
    const heard = { kind: 'worker-heard', worker: 'w', incarnation: 1 } as const;
    for (let count = 0; count < PROPOSALS_WAITING_MAX; count++) bench.replica.propose(heard, () => {});
    expect(bench.propose(heard)).toEqual(['OVERLOADED']);
  });
});

describe('reads', () => {
  test('are served when a quorum has answered a round that was sent after them', () => {
    const bench = new Bench(THREE).elect();
    bench.ack();
    bench.beat();
    const answers = bench.read();
    bench.settle();
    expect(answers).toEqual([]);
    bench.beat(bench.replica.raft.round - 1);
    expect(answers).toEqual([]);
    bench.beat();
    expect(answers).toEqual(['ok']);
  });

  test('are not served before their index is applied', () => {
    const bench = new Bench(THREE).elect();
    bench.ack();
    bench.isAutomatic = false;
    bench.submit(1);
    bench.settle();
    // The two others have the entry, so it is committed; our own disk has not, so it is not applied.
    const { lastIndex, term } = bench.replica.status();
    const reply = { type: 'append-reply', to: 'n1', term, index: lastIndex, rejected: false } as const;
    for (const from of ['n2', 'n3']) bench.step({ ...reply, from, hintIndex: 0, hintTerm: 0 });
    expect(bench.replica.status().commit).toBe(lastIndex);
    const seen: boolean[] = [];
    bench.replica.read(() => seen.push(bench.replica.table.job(jobId(1)) !== undefined));
    bench.settle();
    bench.beat();
    expect(seen).toEqual([]);
    bench.sync();
    bench.settle();
    expect(seen).toEqual([true]);
  });

  test('fail with NO_LEADER when leadership is lost, and on a node that does not lead', () => {
    const bench = new Bench(THREE);
    expect(bench.read()).toEqual(['NO_LEADER']);
    bench.elect().ack();
    const answers = bench.read();
    bench.settle();
    const { term } = bench.replica.status();
    bench.step({ type: 'heartbeat', from: 'n3', to: 'n1', term: term + 1, commit: 0, match: 0, round: 1 });
    expect(answers).toEqual(['NO_LEADER']);
  });
});

describe('freshness', () => {
  test('lasts for the shortest election timeout after the sending of an answered round', () => {
    const bench = new Bench(THREE).elect();
    expect(bench.replica.fresh()).toBe(false);
    bench.ack();
    bench.tick(5);
    bench.hand.time.stall(300);
    bench.beat();
    expect(bench.replica.fresh()).toBe(true);
    bench.hand.time.stall(199);
    expect(bench.replica.fresh()).toBe(true);
    bench.hand.time.stall(1);
    expect(bench.replica.fresh()).toBe(false);
  });

  test('is void after a stall, though answers from before it are read first', () => {
    const bench = new Bench(THREE).elect();
    bench.ack();
    bench.tick(5);
    bench.hand.time.stall(2_000);
    bench.beat();
    expect(bench.replica.fresh()).toBe(false);
  });

  test('of a single voter never ends; a follower has none', () => {
    const bench = new Bench().elect();
    bench.hand.time.stall(60_000);
    expect(bench.replica.fresh()).toBe(true);
    expect(new Bench(THREE).replica.fresh()).toBe(false);
  });
});

describe('the disk', () => {
  test('has what a message promises before the message leaves', () => {
    const bench = new Bench(THREE);
    bench.isAutomatic = false;
    const status = bench.replica.status();
    const vote = { type: 'vote', from: 'n2', to: 'n1', term: status.term + 1, transfer: false } as const;
    bench.step({ ...vote, lastIndex: status.lastIndex, lastTerm: status.lastTerm, commit: 0, commitTerm: 0 });
    expect(bench.sent).toEqual([]);
    bench.sync();
    expect(bench.sent).toMatchObject([{ type: 'vote-reply', to: 'n2', granted: true }]);
  });

  test('takes one write at a time, and what arrives meanwhile goes into the next', () => {
    const bench = new Bench().elect();
    bench.isAutomatic = false;
    const answers = [bench.submit(1)];
    bench.settle();
    answers.push(bench.submit(2), bench.submit(3));
    bench.settle();
    expect(bench.writes).toHaveLength(1);
    bench.sync();
    bench.settle();
    expect(answers).toEqual([['created'], [], []]);
    bench.sync();
    bench.settle();
    expect(answers).toEqual([['created'], ['created'], ['created']]);
  });

  test('that fails ends the node, and nothing is sent, acknowledged or written afterwards', () => {
    const bench = new Bench(THREE).elect();
    bench.ack();
    bench.isAutomatic = false;
    const answers = bench.submit(1);
    bench.settle();
    bench.ack();
    bench.sent.length = 0;
    bench.hand.disk.failNextWrite('kept');
    bench.sync();
    expect(bench.hand.fatal).toMatchObject([{ code: 'DISK_FAILED' }]);
    expect(answers).toEqual([]);
    bench.replica.pump();
    expect(bench.writes).toEqual([]);
    expect(answers).toEqual([]);
  });
});

describe('snapshots', () => {
  test('are taken after their number of entries, and a restart needs no more than one and its tail', () => {
    const disk = new MemoryDisk();
    const bench = new Bench(['n1'], { disk, snapshotEveryEntries: 20 }).elect();
    for (let number = 1; number <= 50; number++) {
      bench.submit(number);
      bench.settle();
    }
    expect(bench.replica.status().snapshotIndex).toBeGreaterThanOrEqual(40);
    expect(bench.replica.status().lastIndex - bench.replica.status().firstIndex).toBeLessThan(30);
    disk.crash();
    const again = new Bench(['n1'], { disk, snapshotEveryEntries: 20 }).elect();
    expect([...again.replica.table.jobs()]).toHaveLength(50);
  });

  test('are taken although the disk is never idle', () => {
    const bench = new Bench(['n1'], { snapshotEveryEntries: 20 }).elect();
    bench.isAutomatic = false;
    const { snapshotIndex } = bench.replica.status();
    for (let number = 1; number <= 100; number++) {
      bench.submit(number);
      bench.settle();
      // By the time that the last write is durable, the next one waits.
      bench.submit(1_000 + number);
      bench.sync();
      bench.settle();
    }
    expect(bench.replica.status().snapshotIndex).toBeGreaterThan(snapshotIndex + 20);
  });
});
