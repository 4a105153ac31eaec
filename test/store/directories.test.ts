/**
 * Directories: what a power cut would take with it, seen through the calls that the store makes of the file system.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
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
  top = await mkdtemp(join(tmpdir(), 'polaris-directories-'));
});
afterEach(() => rm(top, { recursive: true, force: true }));

test('row 28: every directory on the way that was made is synced into its parent', async () => {
  const data = join(top, 'made', 'on', 'the', 'way');
  const { store } = await openLevelStore(data, { prng: createPrng(1) });
  await store.close();
  for (let made = join(data, 'log'); made !== top; made = dirname(made)) {
    expect(files.synced, `the parent of ${made}`).toContain(dirname(made));
  }
});
