/** Facts about damage: it is found, named, never handed on, and mended by storing anew. */
import { expect } from 'vitest';
import { BLOB_PIECE_BYTES as PIECE } from '../../../src/base/limits.ts';
import type { BlobStore } from '../../../src/store/blobs/types.ts';
import type { BlobFact } from './conformance.ts';
import { chunksOf, content, gather, hashOf } from './content.ts';

const BLOB = content(40, 2 * PIECE + 5);
const HASH = hashOf(BLOB);
const LIST = BLOB.length;

function flipped(at: number): (stored: Buffer) => Buffer {
  return (stored) => {
    stored.writeUInt8(stored.readUInt8(at) ^ 0x10, at);
    return stored;
  };
}

function store(blobs: BlobStore): Promise<unknown> {
  return blobs.put(chunksOf(BLOB), { stamp: 3, maxBytes: BLOB.length });
}

/** Reads to the end or the first error. Every byte before it is right, whatever it is. */
async function readUntilDamage(blobs: BlobStore): Promise<{ bytes: number; error: unknown }> {
  let bytes = 0;
  try {
    for await (const chunk of blobs.read(HASH)) {
      expect(Buffer.compare(chunk, BLOB.subarray(bytes, bytes + chunk.length))).toBe(0);
      bytes += chunk.length;
    }
    return { bytes, error: null };
  } catch (error) {
    return { bytes, error };
  }
}

const damaged = (what: string) => ({
  code: 'BLOB_DAMAGED',
  detail: expect.stringMatching(new RegExp(`${HASH}.*${what}`)),
});

export const damageFacts: readonly BlobFact[] = [
  ...([
    [0, 0],
    [PIECE - 1, 0],
    [PIECE, 1],
    [2 * PIECE + 4, 2],
  ].map(([at = 0, piece = 0]) => ({
    name: `a flipped byte at ${at} is damage of piece ${piece}, and the pieces before it are right`,
    check: async (harness) => {
      await store(await harness.open());
      await harness.damage(HASH, flipped(at));
      const blobs = await harness.open();
      const { bytes, error } = await readUntilDamage(blobs);
      expect(error).toMatchObject(damaged(`piece ${piece}`));
      expect(bytes).toBe(piece * PIECE);
      await expect(blobs.scrub(HASH)).rejects.toMatchObject(damaged(`piece ${piece}`));
      const touching = { start: at, end: at + 1 };
      await expect(gather(blobs.read(HASH, touching))).rejects.toMatchObject(damaged(`piece ${piece}`));
    },
  })) satisfies BlobFact[]),
  {
    name: 'a range beside the damage is read',
    check: async (harness) => {
      await store(await harness.open());
      await harness.damage(HASH, flipped(PIECE + 5));
      const read = await gather((await harness.open()).read(HASH, { start: 2 * PIECE, end: BLOB.length }));
      expect(read.equals(BLOB.subarray(2 * PIECE))).toBe(true);
    },
  },
  ...([LIST, LIST + 33, LIST + 95].map((at) => ({
    name: `a flipped byte at ${at - LIST} of the list of digests is found before any byte comes out`,
    check: async (harness) => {
      await store(await harness.open());
      await harness.damage(HASH, flipped(at));
      const blobs = await harness.open();
      const { bytes, error } = await readUntilDamage(blobs);
      expect(error).toMatchObject(damaged('digests'));
      expect(bytes).toBe(0);
      await expect(blobs.digests(HASH)).rejects.toMatchObject(damaged('digests'));
      await expect(blobs.scrub(HASH)).rejects.toMatchObject(damaged('digests'));
    },
  })) satisfies BlobFact[]),
  {
    name: 'a piece and its digest that were changed together are found by the hash',
    check: async (harness) => {
      await store(await harness.open());
      const other = Buffer.from(BLOB);
      other[3] = ~(other[3] ?? 0);
      const liar = await harness.open();
      const { hash } = await liar.put(chunksOf(other), { stamp: 1, maxBytes: other.length });
      const digests = await liar.digests(hash);
      await harness.damage(HASH, () => Buffer.concat([other, digests]));
      const { bytes, error } = await readUntilDamage(await harness.open());
      expect([bytes, error]).toEqual([0, expect.objectContaining({ code: 'BLOB_DAMAGED' })]);
    },
  },
  ...([0, 1, PIECE, BLOB.length, BLOB.length + 95].map((bytes) => ({
    name: `a copy that was cut off after ${bytes} bytes is damaged, and nothing wrong comes out`,
    check: async (harness) => {
      await store(await harness.open());
      await harness.damage(HASH, (stored) => stored.subarray(0, bytes));
      const blobs = await harness.open();
      const { error } = await readUntilDamage(blobs);
      expect(error).toMatchObject(damaged('.'));
      await expect(blobs.scrub(HASH)).rejects.toMatchObject(damaged('.'));
    },
  })) satisfies BlobFact[]),
  {
    name: 'the store that wrote a copy finds its damage too: scrubbing asks the store and no memory',
    check: async (harness) => {
      const blobs = await harness.open();
      await store(blobs);
      await gather(blobs.read(HASH));
      await harness.damage(HASH, flipped(LIST));
      await expect(blobs.scrub(HASH)).rejects.toMatchObject(damaged('digests'));
    },
  },
  {
    name: 'storing a damaged blob anew mends it, though its stamp is higher',
    check: async (harness) => {
      const blobs = await harness.open();
      await store(blobs);
      await blobs.restamp(HASH, 9);
      await harness.damage(HASH, flipped(1));
      await store(blobs);
      expect((await readUntilDamage(blobs)).error).toBeNull();
      expect(await blobs.stat(HASH)).toEqual({ bytes: BLOB.length, stamp: 9 });
    },
  },
  {
    name: 'discarding removes a damaged copy, and no sound one',
    check: async (harness) => {
      const blobs = await harness.open();
      await store(blobs);
      expect(await blobs.discard(HASH)).toBe(false);
      expect(await blobs.scrub(HASH)).toBe(true);
      for (const change of [flipped(1), flipped(LIST + 1), (stored: Buffer) => stored.subarray(0, 10)]) {
        await harness.damage(HASH, change);
        expect(await blobs.discard(HASH)).toBe(true);
        expect(await blobs.stat(HASH)).toBeNull();
        expect(await harness.leftovers()).toEqual([]);
        await store(blobs);
      }
      expect(await blobs.scrub(HASH)).toBe(true);
    },
  },
];
