import { describe, expect, test } from 'vitest';
import { PROPOSALS_WAITING_MAX } from '../../src/base/limits.ts';
import { MemoryDisk } from '../../src/store/memory.ts';
import { jobId, specOf } from '../ranges/fixtures.ts';
import { Bench } from './replica-bench.ts';

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
    expect(bench.propose({ kind: 'submit-job', stamp: null, at: 1, spec: specOf({ name }) })).toEqual(['BAD_REQUEST']);
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
