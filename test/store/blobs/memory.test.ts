/** Blobs in memory: the shared suite, and the room that a test can take away. */
import { describe, expect, test } from 'vitest';
import { BLOB_PIECE_BYTES as PIECE } from '../../../src/base/limits.ts';
import { MemoryBlobs, openMemoryBlobs } from '../../../src/store/blobs/memory.ts';
import { blobSuite } from './conformance.ts';
import { chunksOf, content } from './content.ts';

blobSuite({
  name: 'blobs in memory',
  create: async () => {
    const place = new MemoryBlobs();
    return {
      open: async () => openMemoryBlobs(place),
      damage: async (hash, change) => place.damage(hash, change),
      leftovers: async () => [],
      readersHoldOn: true,
      dispose: async () => {},
    };
  },
});

describe('room in memory', () => {
  test('what does not fit is refused and leaves nothing, and fits once there is room', async () => {
    const store = openMemoryBlobs(new MemoryBlobs({ capacityBytes: 3 * PIECE }));
    const put = (seed: number) => store.put(chunksOf(content(seed, PIECE)), { stamp: 1, maxBytes: PIECE });
    const { hash } = await put(1);
    await put(2);
    await expect(put(3)).rejects.toMatchObject({ code: 'BLOB_STORE_FULL', row: { retry: true } });
    expect(await store.usage()).toEqual({ blobs: 2, bytes: 2 * PIECE });
    await put(1);
    expect(await store.deleteBelow(hash, 2)).toBe(true);
    await put(3);
    expect(await store.usage()).toEqual({ blobs: 2, bytes: 2 * PIECE });
  });
});
