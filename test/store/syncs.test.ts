/**
 * Syncs: what a power cut would take with it, seen through the calls that the store makes of LevelDB and of the file
 * system.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { Level } from 'level';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createPrng } from '../../src/base/prng.ts';
import { openLevelStore } from '../../src/store/level.ts';

const files = vi.hoisted(() => ({ pathOf: new Map<number, string>(), synced: [] as string[] }));

vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  const openSync: typeof real.openSync = (path, flags, mode) => {
    const descriptor = real.openSync(path, flags, mode);
    files.pathOf.set(descriptor, String(path));
    return descriptor;
  };
  const fsyncSync: typeof real.fsyncSync = (descriptor) => {
    real.fsyncSync(descriptor);
    files.synced.push(files.pathOf.get(descriptor) ?? '');
  };
  return { ...real, openSync, fsyncSync };
});

let top: string;
beforeEach(async () => {
  top = await mkdtemp(join(tmpdir(), 'polaris-syncs-'));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(top, { recursive: true, force: true });
});

/** Watches every batch of LevelDB, whoever makes it. */
async function watchWrites() {
  const database = new Level(join(top, 'any'));
  await database.open();
  const chained = database.batch();
  const prototype: typeof chained = Object.getPrototypeOf(chained);
  await chained.close();
  await database.close();
  return vi.spyOn(prototype, 'write');
}

test('row 28: every directory on the way that was made is synced into its parent', async () => {
  const data = join(top, 'made', 'on', 'the', 'way');
  const { store } = await openLevelStore(data, { prng: createPrng(1) });
  await store.close();
  for (let made = join(data, 'log'); made !== top; made = dirname(made)) {
    expect(files.synced, `the parent of ${made}`).toContain(dirname(made));
  }
});

test('row 29: every batch is synced before it is acknowledged', async () => {
  const write = await watchWrites();
  const { store } = await openLevelStore(join(top, 'data'), { prng: createPrng(1) });
  for (const term of [1, 2]) {
    await new Promise<void>((resolve) => {
      store.write({ hardState: { term, vote: null, commit: 0 } }, (error) => {
        expect(error).toBeNull();
        expect(write.mock.settledResults.at(-1)).toMatchObject({ type: 'fulfilled' });
        resolve();
      });
    });
    // The first is the instance id.
    expect(write.mock.calls).toEqual(Array(1 + term).fill([{ sync: true }]));
  }
  await store.close();
});
