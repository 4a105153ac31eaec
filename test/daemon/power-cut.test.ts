/**
 * Power cuts: whatever moment one comes at, the disk holds all of a promise or nothing of it (rows 2 and 3 of the classic
 * bugs).
 */
import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { createPrng } from '../../src/base/prng.ts';
import { sealRecord } from '../../src/base/record.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import type { StoreContents } from '../../src/store/types.ts';
import { Bench } from './replica-bench.ts';

const THREE = ['n1', 'n2', 'n3'];

/** A follower that writes only when it is told to. */
function follower(): Bench {
  const bench = new Bench(THREE);
  bench.isAutomatic = false;
  bench.settle();
  return bench;
}

/** What the node would find if the power were cut now. */
function afterPowerCut({ hand }: Bench): StoreContents {
  const disk = new MemoryDisk();
  for (const [key, value] of hand.disk.cells) disk.cells.set(key, value);
  disk.mark = hand.disk.mark;
  return openMemoryStore(disk, { prng: createPrng(1), schedule: (run) => run() }).contents;
}

/** What would be found before the first write is durable, and after each. */
function momentsOf(bench: Bench): StoreContents[] {
  const moments = [afterPowerCut(bench)];
  while (bench.sync()) {
    moments.push(afterPowerCut(bench));
    bench.settle();
  }
  return moments;
}

test('row 2: a power cut finds a term together with its vote, whenever it comes', () => {
  const bench = follower();
  const { term, lastIndex, lastTerm } = bench.replica.status();
  const vote = { type: 'vote', from: 'n2', to: 'n1', term: term + 1, transfer: false, lastIndex, lastTerm } as const;
  bench.step({ ...vote, commit: 0, commitTerm: 0 });
  const moments = momentsOf(bench).map(({ hardState }) => must(hardState, 'a founded node has one'));
  for (const state of moments) expect(state.vote).toBe(state.term > term ? 'n2' : null);
  expect(moments.at(-1)).toMatchObject({ term: term + 1 });
});

test('row 3: a power cut finds entries together with the term of their leader, whenever it comes', () => {
  const bench = follower();
  const { term, lastIndex, lastTerm } = bench.replica.status();
  const next = term + 1;
  const index = lastIndex + 1;
  const entries = [{ term: next, index, record: sealRecord(next, index, new Uint8Array(0)) }];
  const append = { type: 'append', from: 'n2', to: 'n1', term: next, entries, commit: 0 } as const;
  bench.step({ ...append, prevIndex: lastIndex, prevTerm: lastTerm });
  const moments = momentsOf(bench);
  for (const { hardState, entries: found } of moments) {
    expect(found.length > 0).toBe(hardState?.term === next);
  }
  expect(moments.at(-1)?.entries).toHaveLength(1);
});
