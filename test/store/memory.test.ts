/** The store in memory: the shared suite, and the crashes and faults that only it can have. */
import { describe, expect, test } from 'vitest';
import { createPrng } from '../../src/base/prng.ts';
import { MemoryDisk, openMemoryStore } from '../../src/store/memory.ts';
import { entries, hardState, storeSuite, write } from './conformance.ts';

storeSuite({
  name: 'memory store',
  create: async () => {
    const disk = new MemoryDisk();
    const prng = createPrng(1);
    return {
      open: async () => openMemoryStore(disk, { prng, schedule: setImmediate }),
      edit: async (change) => change(disk.cells),
      dispose: async () => disk.crash(),
    };
  },
});

/** A disk whose writes become durable when the test says so. */
function heldDisk() {
  const disk = new MemoryDisk();
  const due: (() => void)[] = [];
  const prng = createPrng(2);
  return {
    disk,
    open: () => openMemoryStore(disk, { prng, schedule: (run) => due.push(run) }),
    land: () => {
      for (const run of due.splice(0)) run();
    },
  };
}

describe('memory disk', () => {
  test('a crash loses the write on its way, and its done never comes', () => {
    const { disk, open, land } = heldDisk();
    let calls = 0;
    open().store.write({ hardState: hardState(1), entries: entries(1, 2, 1) }, () => {
      calls += 1;
    });
    disk.crash();
    land();
    expect(calls).toBe(0);
    expect(open().contents.entries).toEqual([]);
  });

  test('a crash may keep the write on its way, though nobody was told', () => {
    const { disk, open, land } = heldDisk();
    let calls = 0;
    open().store.write({ hardState: hardState(1), entries: entries(1, 2, 1) }, () => {
      calls += 1;
    });
    disk.crash('kept');
    land();
    expect(calls).toBe(0);
    expect(open().contents.entries).toHaveLength(2);
  });

  test('a store of a crashed process writes nothing any more', () => {
    const { disk, open, land } = heldDisk();
    const old = open().store;
    disk.crash();
    const next = open();
    old.write({ hardState: hardState(9) }, () => expect.unreachable());
    land();
    disk.crash();
    expect(next.contents.hardState).toBeNull();
    expect(open().contents.hardState).toBeNull();
  });

  for (const batch of ['lost', 'kept'] as const) {
    test(`after a failed write whose batch is ${batch} every later write fails`, async () => {
      const disk = new MemoryDisk();
      const options = { prng: createPrng(3), schedule: setImmediate };
      const { store } = openMemoryStore(disk, options);
      await write(store, { hardState: hardState(1), entries: entries(1, 1, 1) });
      disk.failNextWrite(batch);
      await expect(write(store, { entries: entries(2, 2, 1) })).rejects.toMatchObject({ code: 'DISK_FAILED' });
      await expect(write(store, { entries: entries(3, 3, 1) })).rejects.toMatchObject({ code: 'DISK_FAILED' });
      await store.close();
      expect(openMemoryStore(disk, options).contents.entries).toHaveLength(batch === 'kept' ? 2 : 1);
    });
  }

  test('a disk that lost its tail is refused', async () => {
    const disk = new MemoryDisk();
    const options = { prng: createPrng(4), schedule: setImmediate };
    const { store } = openMemoryStore(disk, options);
    await write(store, { hardState: hardState(1), entries: entries(1, 5, 1) });
    await store.close();
    disk.loseTail(2);
    expect(() => openMemoryStore(disk, options)).toThrow('LOG_DAMAGED');
  });

  test('nobody changes the disk by changing what was written or read', async () => {
    const disk = new MemoryDisk();
    const options = { prng: createPrng(5), schedule: setImmediate };
    const { store } = openMemoryStore(disk, options);
    const written = entries(1, 1, 1);
    await write(store, { hardState: hardState(1), entries: written });
    written[0]?.record.fill(0);
    await store.close();
    const { contents, store: next } = openMemoryStore(disk, options);
    contents.entries[0]?.record.fill(0);
    await next.close();
    expect(openMemoryStore(disk, options).contents.entries).toHaveLength(1);
  });
});
