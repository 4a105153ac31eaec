/** Facts about reading, listing and names. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { BLOB_PIECE_BYTES as PIECE } from '../../../src/base/limits.ts';
import { checkDigests, DIGEST_BYTES, digestNow } from '../../../src/store/blobs/pieces.ts';
import type { BlobStore } from '../../../src/store/blobs/types.ts';
import type { BlobFact } from './conformance.ts';
import { chunksOf, content, gather, hashOf } from './content.ts';

/** Every way of naming a blob, so that a hostile name meets all of them. */
const BY_NAME: readonly ((store: BlobStore, hash: string) => Promise<unknown>)[] = [
  (store, hash) => store.stat(hash),
  (store, hash) => gather(store.read(hash)),
  (store, hash) => store.digests(hash),
  (store, hash) => store.restamp(hash, 1),
  (store, hash) => store.deleteBelow(hash, 1),
  (store, hash) => store.scrub(hash),
  (store, hash) => store.discard(hash),
  (store, expected) => store.put(chunksOf(content(1, 1)), { stamp: 1, maxBytes: 1, expected }),
];

const HASH = hashOf(content(20, 20));
const HOSTILE = [
  '',
  '.',
  '..',
  '../'.repeat(20),
  `../${HASH.slice(3)}`,
  '%2e%2e%2f'.repeat(7).slice(0, 64),
  '/etc/passwd',
  `${HASH.slice(0, 63)}/`,
  `${HASH.slice(0, 63)}\0`,
  `${HASH}\n`,
  `${HASH}\0`,
  `${HASH}.1.1`,
  HASH.toUpperCase(),
  HASH.slice(1),
  'a'.repeat(4_096),
  `${'０'.repeat(64)}`,
];

export const readFacts: readonly BlobFact[] = [
  {
    name: 'any range gives what the same range of the content is',
    check: async (harness) => {
      const store = await harness.open();
      const blob = content(21, 3 * PIECE + 5);
      const { hash } = await store.put(chunksOf(blob), { stamp: 1, maxBytes: blob.length });
      const border = fc
        .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: -3, max: 5 }))
        .map(([piece, off]) => Math.max(0, piece * PIECE + off));
      const place = fc.oneof(border, fc.integer({ min: 0, max: blob.length }));
      await fc.assert(
        fc.asyncProperty(place, place, async (one, other) => {
          const [start, end] = one < other ? [one, other] : [other, one];
          const read = await gather(store.read(hash, { start, end }));
          expect(read.equals(blob.subarray(start, end))).toBe(true);
        }),
        { numRuns: 25 },
      );
    },
  },
  {
    name: 'each chunk lies within one piece',
    check: async (harness) => {
      const store = await harness.open();
      const blob = content(22, 2 * PIECE + 5);
      const { hash } = await store.put(chunksOf(blob), { stamp: 1, maxBytes: blob.length });
      const lengths: number[] = [];
      for await (const chunk of store.read(hash, { start: PIECE - 3, end: 2 * PIECE + 2 })) lengths.push(chunk.length);
      expect(lengths).toEqual([3, PIECE, 2]);
    },
  },
  {
    name: 'a range beyond the content is refused, and so is one that is none',
    check: async (harness) => {
      const store = await harness.open();
      const { hash } = await store.put(chunksOf(content(23, 10)), { stamp: 1, maxBytes: 10 });
      expect(await gather(store.read(hash, { start: 10, end: 10 }))).toHaveLength(0);
      for (const [start, end] of [
        [0, 11],
        [11, 11],
        [-1, 5],
        [5, 4],
        [0.5, 5],
        [0, Number.NaN],
        [0, Number.POSITIVE_INFINITY],
      ] as const) {
        await expect(gather(store.read(hash, { start, end }))).rejects.toMatchObject({ code: 'BAD_REQUEST' });
      }
    },
  },
  {
    name: 'the digests vouch for every piece, and the hash for the digests',
    check: async (harness) => {
      const store = await harness.open();
      const blob = content(24, 2 * PIECE + 5);
      const { hash, bytes } = await store.put(chunksOf(blob), { stamp: 1, maxBytes: blob.length });
      const digests = await store.digests(hash);
      checkDigests(hash, bytes, digests);
      const last = digestNow(blob.subarray(2 * PIECE));
      expect(Buffer.from(digests.subarray(2 * DIGEST_BYTES)).equals(last)).toBe(true);
      digests.fill(0);
      expect(await gather(store.read(hash))).toHaveLength(bytes);
    },
  },
  {
    name: 'a blob that is not there is missing, whatever is asked of it',
    check: async (harness) => {
      const store = await harness.open();
      await store.put(chunksOf(content(25, 20)), { stamp: 1, maxBytes: 20 });
      expect(await store.stat(HASH)).toBeNull();
      expect(await store.restamp(HASH, 5)).toBe(false);
      expect(await store.deleteBelow(HASH, 5)).toBe(false);
      expect(await store.discard(HASH)).toBe(false);
      for (const ask of [() => gather(store.read(HASH)), () => store.digests(HASH), () => store.scrub(HASH)]) {
        await expect(ask()).rejects.toMatchObject({ code: 'BLOB_MISSING', detail: expect.stringContaining(HASH) });
      }
    },
  },
  {
    name: 'a name that is no hash is refused before anything is done',
    check: async (harness) => {
      const store = await harness.open();
      for (const name of HOSTILE) {
        for (const ask of BY_NAME) {
          await expect(ask(store, name), JSON.stringify(name)).rejects.toMatchObject({ code: 'BAD_REQUEST' });
        }
      }
      expect(await harness.leftovers()).toEqual([]);
      expect(await store.usage()).toEqual({ blobs: 0, bytes: 0 });
    },
  },
  {
    name: 'the list names every blob once in the order of the hashes, and usage adds it up',
    check: async (harness) => {
      const store = await harness.open();
      const blobs = [content(26, 0), content(27, 100), content(28, PIECE + 1), content(29, 7), content(30, 8)];
      for (const [stamp, blob] of blobs.entries()) {
        await store.put(chunksOf(blob), { stamp, maxBytes: blob.length });
      }
      const expected = blobs.map((blob, stamp) => ({ hash: hashOf(blob), bytes: blob.length, stamp }));
      const listed = [];
      for await (const entry of (await harness.open()).list()) listed.push(entry);
      expect(listed).toEqual(expected.sort((one, other) => (one.hash < other.hash ? -1 : 1)));
      expect(await store.usage()).toEqual({ blobs: 5, bytes: 100 + PIECE + 1 + 7 + 8 });
    },
  },
  {
    name: 'a reader that has begun gets the whole blob though the copy is re-stamped and replaced',
    check: async (harness) => {
      const store = await harness.open();
      const other = await harness.open('n2');
      const blob = content(31, 3 * PIECE);
      const { hash } = await store.put(chunksOf(blob), { stamp: 1, maxBytes: blob.length });
      const changes = [
        () => other.restamp(hash, 4),
        () => other.put(chunksOf(blob), { stamp: 6, maxBytes: blob.length }),
        async () => {},
      ];
      const chunks: Uint8Array[] = [];
      for await (const chunk of store.read(hash)) {
        chunks.push(chunk);
        await changes.shift()?.();
      }
      expect(Buffer.concat(chunks).equals(blob)).toBe(true);
    },
  },
  {
    name: 'a reader whose copy is deleted goes on where copies can be held open, and gets no other bytes anywhere',
    check: async (harness) => {
      const store = await harness.open();
      // More than any store fetches in one go.
      const blob = content(32, 10 * PIECE);
      const { hash } = await store.put(chunksOf(blob), { stamp: 1, maxBytes: blob.length });
      const chunks: Uint8Array[] = [];
      const reading = (async () => {
        for await (const chunk of store.read(hash)) {
          chunks.push(chunk);
          if (chunks.length === 1) expect(await store.deleteBelow(hash, 2)).toBe(true);
        }
      })();
      if (harness.readersHoldOn) await reading;
      else await expect(reading).rejects.toMatchObject({ code: 'BLOB_MISSING' });
      const read = Buffer.concat(chunks);
      expect(read.equals(blob.subarray(0, read.length))).toBe(true);
      expect(read.length).toBe(harness.readersHoldOn ? blob.length : 8 * PIECE);
    },
  },
  {
    name: 'a reader that stops early leaves a store that works',
    check: async (harness) => {
      const store = await harness.open();
      const blob = content(33, 2 * PIECE);
      const { hash } = await store.put(chunksOf(blob), { stamp: 1, maxBytes: blob.length });
      for await (const chunk of store.read(hash)) {
        expect(chunk.length).toBe(PIECE);
        break;
      }
      expect(await store.deleteBelow(hash, 2)).toBe(true);
      expect(await harness.leftovers()).toEqual([]);
    },
  },
];
