/** The cache: what is counted, what is fetched, and what is let go. */
import { expect, test } from 'vitest';
import { BLOB_PIECE_BYTES as PIECE } from '../../../src/base/limits.ts';
import { PieceCache, readThrough } from '../../../src/store/blobs/cache.ts';
import { MemoryBlobs, openMemoryBlobs } from '../../../src/store/blobs/memory.ts';
import type { BlobStore } from '../../../src/store/blobs/types.ts';
import { chunksOf, content, gather, hashOf } from './content.ts';

const HASH = hashOf(content(70, 1));

function piece(bytes: number): () => Promise<Uint8Array> {
  return async () => new Uint8Array(bytes);
}

const unasked = (): Promise<Uint8Array> => expect.unreachable('it is in the cache');

/** A store in memory that counts the ranges that are read from it. */
async function countingStore(blob: Buffer): Promise<{ store: BlobStore; reads: () => number; place: MemoryBlobs }> {
  const place = new MemoryBlobs();
  const store = openMemoryBlobs(place);
  await store.put(chunksOf(blob), { stamp: 1, maxBytes: blob.length });
  let reads = 0;
  const read: BlobStore['read'] = (hash, range) => {
    reads += 1;
    return store.read(hash, range);
  };
  const counting: BlobStore = Object.assign(Object.create(store), { read, stat: (hash: string) => store.stat(hash) });
  return { store: counting, reads: () => reads, place };
}

test('a piece is fetched once and then here; hits, misses, pieces and bytes are counted', async () => {
  const cache = new PieceCache({ bytesMax: 1_000 });
  const first = await cache.piece(HASH, 0, piece(300));
  expect(await cache.piece(HASH, 0, unasked)).toBe(first);
  await cache.piece(HASH, 1, piece(200));
  expect(cache.counts).toEqual({ hits: 1, misses: 2, evictions: 0, pieces: 2, bytes: 500 });
});

test('the bound is of bytes, and the least recently used goes first', async () => {
  const cache = new PieceCache({ bytesMax: 1_000 });
  await cache.piece(HASH, 0, piece(400));
  await cache.piece(HASH, 1, piece(400));
  await cache.piece(HASH, 0, unasked);
  await cache.piece(HASH, 2, piece(400));
  await cache.piece(HASH, 0, unasked);
  await cache.piece(HASH, 2, unasked);
  expect(cache.counts).toEqual({ hits: 3, misses: 3, evictions: 1, pieces: 2, bytes: 800 });
  await cache.piece(HASH, 1, piece(1_000));
  expect(cache.counts).toMatchObject({ misses: 4, evictions: 3, pieces: 1, bytes: 1_000 });
});

test('a piece larger than the cache passes through, and nothing goes for it', async () => {
  const cache = new PieceCache({ bytesMax: 1_000 });
  await cache.piece(HASH, 0, piece(600));
  for (let again = 0; again < 2; again++) expect(await cache.piece(HASH, 1, piece(1_001))).toHaveLength(1_001);
  await cache.piece(HASH, 0, unasked);
  expect(cache.counts).toEqual({ hits: 1, misses: 3, evictions: 0, pieces: 1, bytes: 600 });
});

test('many who ask at once wait for one fetch', async () => {
  const cache = new PieceCache({ bytesMax: 8 * PIECE });
  let arrive: (piece: Uint8Array) => void = () => {};
  let fetches = 0;
  const slow = () => {
    fetches += 1;
    return new Promise<Uint8Array>((resolve) => {
      arrive = resolve;
    });
  };
  const asking = Array.from({ length: 10 }, () => cache.piece(HASH, 0, slow));
  arrive(new Uint8Array(5));
  const pieces = await Promise.all(asking);
  expect(new Set(pieces).size).toBe(1);
  expect(fetches).toBe(1);
  expect(cache.counts).toMatchObject({ hits: 9, misses: 1, pieces: 1 });
});

test('a fetch that fails, fails for all who wait, and the next one is a new one', async () => {
  const cache = new PieceCache({ bytesMax: 8 * PIECE });
  const fault = new Error('the store is away');
  const failing = async () => {
    throw fault;
  };
  const asking = Array.from({ length: 3 }, () => cache.piece(HASH, 0, failing));
  expect(await Promise.allSettled(asking)).toEqual(asking.map(() => ({ status: 'rejected', reason: fault })));
  expect(await cache.piece(HASH, 0, piece(7))).toHaveLength(7);
  expect(cache.counts).toMatchObject({ hits: 2, misses: 2, pieces: 1, bytes: 7 });
});

test('a blob read through the cache is the blob, and read again costs the store nothing', async () => {
  const blob = content(71, 2 * PIECE + 5);
  const { store, reads } = await countingStore(blob);
  const cache = new PieceCache({ bytesMax: 8 * PIECE });
  const hash = hashOf(blob);
  const sized = { hash, bytes: blob.length };
  const range = { start: PIECE + 2, end: PIECE + 9 };
  expect((await gather(readThrough(cache, store, sized, range))).equals(blob.subarray(range.start, range.end))).toBe(
    true,
  );
  for (let again = 0; again < 2; again++) {
    expect((await gather(readThrough(cache, store, sized))).equals(blob)).toBe(true);
  }
  // One for the piece in the middle, one for each side of it.
  expect(reads()).toBe(3);
  expect(cache.counts).toEqual({ hits: 4, misses: 3, evictions: 0, pieces: 3, bytes: blob.length });
});

test('pieces side by side come by one read of the store, as far as somebody wants them', async () => {
  const blob = content(74, 2 * PIECE + 5);
  const { store, reads } = await countingStore(blob);
  const cache = new PieceCache({ bytesMax: 8 * PIECE });
  const sized = { hash: hashOf(blob), bytes: blob.length };
  expect((await gather(readThrough(cache, store, sized))).equals(blob)).toBe(true);
  expect(reads()).toBe(1);
  expect(await gather(readThrough(cache, store, sized, { start: 7, end: 7 }))).toHaveLength(0);
});

test('damage is no piece and is not kept', async () => {
  const blob = content(72, PIECE + 5);
  const { store, place } = await countingStore(blob);
  const hash = hashOf(blob);
  const flip = (stored: Buffer) => {
    stored[1] = ~(stored[1] ?? 0);
    return stored;
  };
  place.damage(hash, flip);
  const cache = new PieceCache({ bytesMax: 8 * PIECE });
  const sized = { hash, bytes: blob.length };
  await expect(gather(readThrough(cache, store, sized))).rejects.toMatchObject({ code: 'BLOB_DAMAGED' });
  place.damage(hash, flip);
  expect((await gather(readThrough(cache, store, sized))).equals(blob)).toBe(true);
  const missing = hashOf(content(73, 1));
  await expect(gather(readThrough(cache, store, { hash: missing, bytes: 1 }))).rejects.toMatchObject({
    code: 'BLOB_MISSING',
  });
  await expect(gather(readThrough(cache, store, { hash: '../../etc', bytes: 1 }))).rejects.toMatchObject({
    code: 'BAD_REQUEST',
  });
});
