/** Facts about stamps: they never fall, and decide what may go. */
import { expect } from 'vitest';
import { createPrng } from '../../../src/base/prng.ts';
import type { BlobStore } from '../../../src/store/blobs/types.ts';
import type { BlobFact } from './conformance.ts';
import { chunksOf, content, gather, hashOf } from './content.ts';

const BLOB = content(50, 1_000);
const HASH = hashOf(BLOB);

function put(store: BlobStore, stamp: number): Promise<unknown> {
  return store.put(chunksOf(BLOB), { stamp, maxBytes: BLOB.length });
}

export const stampFacts: readonly BlobFact[] = [
  {
    name: 're-stamping raises a stamp and never lowers it',
    check: async (harness) => {
      const store = await harness.open();
      await put(store, 5);
      for (const [stamp, expected] of [
        [9, 9],
        [7, 9],
        [0, 9],
        [9, 9],
        [10, 10],
      ] as const) {
        expect(await store.restamp(HASH, stamp)).toBe(true);
        for (const each of [store, await harness.open()]) {
          expect(await each.stat(HASH)).toEqual({ bytes: BLOB.length, stamp: expected });
        }
      }
      expect((await gather(store.read(HASH))).equals(BLOB)).toBe(true);
    },
  },
  {
    name: 'a copy goes only while its stamp is below the index',
    check: async (harness) => {
      const store = await harness.open();
      await put(store, 5);
      for (const index of [0, 4, 5]) {
        expect(await store.deleteBelow(HASH, index)).toBe(false);
        expect(await store.scrub(HASH)).toBe(true);
      }
      expect(await store.deleteBelow(HASH, 6)).toBe(true);
      expect(await store.stat(HASH)).toBeNull();
      expect(await (await harness.open()).usage()).toEqual({ blobs: 0, bytes: 0 });
      expect(await store.deleteBelow(HASH, 6)).toBe(false);
    },
  },
  {
    name: 'a copy that was re-stamped or stored again outlives what would have taken it',
    check: async (harness) => {
      const store = await harness.open();
      await put(store, 5);
      await store.restamp(HASH, 8);
      expect(await store.deleteBelow(HASH, 8)).toBe(false);
      await put(store, 12);
      expect(await store.deleteBelow(HASH, 12)).toBe(false);
      expect((await gather(store.read(HASH))).equals(BLOB)).toBe(true);
    },
  },
  {
    name: 'what was deleted can be stored again, with a lower stamp too',
    check: async (harness) => {
      const store = await harness.open();
      await put(store, 5);
      await store.deleteBelow(HASH, 6);
      await put(store, 2);
      expect(await store.stat(HASH)).toEqual({ bytes: BLOB.length, stamp: 2 });
    },
  },
  {
    name: 'whoever re-stamps, stores and deletes at once: what was promised above the index is there',
    check: async (harness) => {
      const prng = createPrng(51);
      const stores = [await harness.open('n1'), await harness.open('n2')];
      for (let round = 1; round <= 30; round++) {
        // Everything of this round is stamped in ten numbers of its own, and deleted below their middle.
        const base = round * 10;
        const promised: number[] = [];
        const pick = () => stores[prng.integer(0, 2)] ?? expect.unreachable();
        const act = async () => {
          const stamp = base + prng.integer(0, 10);
          if (prng.chance(0.4)) await pick().deleteBelow(HASH, base + 5);
          else if (prng.chance(0.5)) await put(pick(), stamp).then(() => promised.push(stamp));
          else if (await pick().restamp(HASH, stamp)) promised.push(stamp);
        };
        await Promise.all(Array.from({ length: 6 }, act));
        const highest = Math.max(0, ...promised);
        const stat = await stores[0]?.stat(HASH);
        if (highest >= base + 5) {
          expect(stat?.stamp).toBeGreaterThanOrEqual(highest);
          expect((await gather(pick().read(HASH))).equals(BLOB)).toBe(true);
        } else if (stat) expect(await pick().scrub(HASH)).toBe(true);
        expect(await harness.leftovers()).toEqual([]);
      }
    },
  },
];
