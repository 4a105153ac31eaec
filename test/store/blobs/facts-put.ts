/** Facts about storing: what is kept, and of what nothing is kept. */
import { expect } from 'vitest';
import { BLOB_PIECE_BYTES as PIECE } from '../../../src/base/limits.ts';
import type { BlobFact, BlobHarness } from './conformance.ts';
import { chunksOf, content, gather, hashOf } from './content.ts';

const SIZES = [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 5];

async function expectNothingKept(harness: BlobHarness, owner = 'n1'): Promise<void> {
  expect(await harness.leftovers()).toEqual([]);
  expect(await (await harness.open(owner)).usage()).toEqual({ blobs: 0, bytes: 0 });
}

export const putFacts: readonly BlobFact[] = [
  ...SIZES.map((bytes) => ({
    name: `${bytes} bytes come back as they were, in this life and the next`,
    check: async (harness: BlobHarness) => {
      const blob = content(1, bytes);
      const store = await harness.open();
      const put = await store.put(chunksOf(blob), { stamp: 7, maxBytes: bytes });
      expect(put).toEqual({ hash: hashOf(blob), bytes });
      for (const each of [store, await harness.open()]) {
        expect((await gather(each.read(put.hash))).equals(blob)).toBe(true);
        expect(await each.stat(put.hash)).toEqual({ bytes, stamp: 7 });
      }
      expect(await harness.leftovers()).toEqual([]);
    },
  })),
  {
    name: 'the hash is of the content alone, however it is cut',
    check: async (harness) => {
      const store = await harness.open();
      const blob = content(2, PIECE + 77);
      for (const chunkBytes of [PIECE + 77, PIECE, 65_537]) {
        const put = await store.put(chunksOf(blob, chunkBytes), { stamp: 1, maxBytes: 2 * PIECE });
        expect(put.hash).toBe(hashOf(blob));
      }
      const drops = content(3, 500);
      const put = await store.put(chunksOf(drops, 1), { stamp: 1, maxBytes: 500 });
      expect(put.hash).toBe(hashOf(drops));
    },
  },
  {
    name: 'nobody changes a blob by changing what was handed in or out',
    check: async (harness) => {
      const store = await harness.open();
      const blob = content(4, 1_000);
      async function* reused(): AsyncGenerator<Uint8Array> {
        const chunk = Buffer.alloc(100);
        for (let at = 0; at < blob.length; at += 100) {
          blob.copy(chunk, 0, at, at + 100);
          yield chunk;
          chunk.fill(0);
        }
      }
      const { hash } = await store.put(reused(), { stamp: 1, maxBytes: 1_000 });
      for await (const chunk of store.read(hash)) chunk.fill(0);
      expect((await gather(store.read(hash))).equals(blob)).toBe(true);
    },
  },
  {
    name: 'content of exactly maxBytes is taken, one byte more is refused and leaves nothing',
    check: async (harness) => {
      const store = await harness.open();
      for (const bytes of [10, 2 * PIECE]) {
        const blob = content(5, bytes + 1);
        const refused = store.put(chunksOf(blob), { stamp: 1, maxBytes: bytes });
        await expect(refused).rejects.toMatchObject({ code: 'BLOB_TOO_LARGE' });
        await expectNothingKept(harness);
      }
      const exactly = await store.put(chunksOf(content(5, 10)), { stamp: 1, maxBytes: 10 });
      expect(exactly.bytes).toBe(10);
    },
  },
  {
    name: 'a source that is too long is asked for no more than the limit',
    check: async (harness) => {
      let chunks = 0;
      async function* endless(): AsyncGenerator<Uint8Array> {
        for (;;) {
          chunks += 1;
          yield new Uint8Array(1_000);
        }
      }
      const store = await harness.open();
      const refused = store.put(endless(), { stamp: 1, maxBytes: 10_000 });
      await expect(refused).rejects.toMatchObject({ code: 'BLOB_TOO_LARGE' });
      expect(chunks).toBe(11);
    },
  },
  {
    name: 'other content than expected is refused, and leaves nothing',
    check: async (harness) => {
      const store = await harness.open();
      const [blob, other] = [content(6, PIECE + 9), content(7, PIECE + 9)];
      const expected = hashOf(blob);
      const refused = store.put(chunksOf(other), { stamp: 1, maxBytes: 2 * PIECE, expected });
      await expect(refused).rejects.toMatchObject({ code: 'BLOB_DAMAGED', detail: expect.stringContaining(expected) });
      await expectNothingKept(harness);
      await store.put(chunksOf(blob), { stamp: 1, maxBytes: 2 * PIECE, expected });
      expect(await store.scrub(expected)).toBe(true);
    },
  },
  {
    name: 'what the source throws is passed on as it is, and leaves nothing',
    check: async (harness) => {
      const store = await harness.open();
      const fault = new Error('the client went away');
      for (const bytes of [0, 10, 2 * PIECE + 3]) {
        const blob = content(8, bytes);
        async function* failing(): AsyncGenerator<Uint8Array> {
          yield* chunksOf(blob);
          throw fault;
        }
        for (const expected of [undefined, hashOf(blob)]) {
          const options = { stamp: 1, maxBytes: 3 * PIECE, ...(expected === undefined ? {} : { expected }) };
          await expect(store.put(failing(), options)).rejects.toBe(fault);
          await expectNothingKept(harness);
        }
      }
    },
  },
  {
    name: 'nothing can be seen of a blob before it is whole',
    check: async (harness) => {
      const store = await harness.open();
      const other = await harness.open('n2');
      const blob = content(9, 2 * PIECE + 3);
      const hash = hashOf(blob);
      async function* watched(): AsyncGenerator<Uint8Array> {
        for await (const chunk of chunksOf(blob, PIECE / 2)) {
          yield chunk;
          for (const each of [store, other]) {
            expect(await each.stat(hash)).toBeNull();
            expect(await each.usage()).toEqual({ blobs: 0, bytes: 0 });
          }
        }
      }
      await store.put(watched(), { stamp: 1, maxBytes: blob.length, expected: hash });
      expect(await other.scrub(hash)).toBe(true);
    },
  },
  {
    name: 'storing what is there keeps one copy, with the higher stamp',
    check: async (harness) => {
      const store = await harness.open();
      const blob = content(10, PIECE + 1);
      const put = (stamp: number) => store.put(chunksOf(blob), { stamp, maxBytes: 2 * PIECE });
      for (const [stamp, expected] of [
        [5, 5],
        [9, 9],
        [7, 9],
        [9, 9],
      ] as const) {
        const { hash } = await put(stamp);
        expect(await store.stat(hash)).toEqual({ bytes: blob.length, stamp: expected });
        expect(await store.usage()).toEqual({ blobs: 1, bytes: blob.length });
      }
      expect(await harness.leftovers()).toEqual([]);
    },
  },
  {
    name: 'many who store the same at once leave one whole copy with the highest stamp',
    check: async (harness) => {
      const stores = await Promise.all(['n1', 'n2', 'n3'].map((owner) => harness.open(owner)));
      const blob = content(11, PIECE + 1);
      const stamps = [4, 8, 2, 6, 8, 1];
      await Promise.all(
        stamps.map((stamp, at) => stores[at % 3]?.put(chunksOf(blob), { stamp, maxBytes: blob.length })),
      );
      for (const store of stores) {
        expect(await store.stat(hashOf(blob))).toEqual({ bytes: blob.length, stamp: 8 });
        expect((await gather(store.read(hashOf(blob)))).equals(blob)).toBe(true);
        expect(await store.usage()).toEqual({ blobs: 1, bytes: blob.length });
      }
      expect(await harness.leftovers()).toEqual([]);
    },
  },
];
