/** Copies: every interleaving of storing, re-stamping, listing and deleting keeps what was promised. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { deleteBelow, install, newestOf, removeOlder, restamp } from '../../../src/store/blobs/copies.ts';
import type { Shelf } from '../../../src/store/blobs/shelf.ts';
import { content, hashOf } from './content.ts';
import { ModelShelf } from './model.ts';

const HASH = hashOf(content(90, 10));
/** Deletes go below this index; stamps lie on both sides of it. */
const INDEX = 5;

interface Acts {
  readonly put: (shelf: Shelf, stamp: number) => Promise<void>;
  readonly restamp: typeof restamp;
  readonly deleteBelow: typeof deleteBelow;
}

const REAL: Acts = {
  put: async (shelf, stamp) => install(shelf, await shelf.draft(), { hash: HASH, bytes: 10, stamp }),
  restamp,
  deleteBelow,
};

type Act = { readonly kind: 'put' | 'restamp' | 'delete' | 'list'; readonly stamp: number };

const act: fc.Arbitrary<Act> = fc.record({
  kind: fc.constantFrom('put', 'put', 'restamp', 'restamp', 'delete', 'delete', 'list'),
  stamp: fc.integer({ min: 1, max: 9 }),
});

/** Each process does its acts one after the other; the processes run at once, step by step as the scheduler draws. */
async function keepsPromises(acts: Acts, scheduler: fc.Scheduler, processes: readonly Act[][]): Promise<void> {
  let promised = 0;
  const highest = () => newestOf(shelf.now)?.stamp ?? 0;
  const shelf = new ModelShelf(
    () => scheduler.schedule(Promise.resolve()),
    () => expect(highest()).toBeGreaterThanOrEqual(promised),
  );
  const promise = (stamp: number) => {
    if (stamp >= INDEX) promised = Math.max(promised, stamp);
    expect(highest()).toBeGreaterThanOrEqual(promised);
  };
  const perform = async ({ kind, stamp }: Act) => {
    if (kind === 'delete') await acts.deleteBelow(shelf, HASH, INDEX);
    else if (kind === 'list') await removeOlder(shelf, HASH);
    else if (kind === 'put') await acts.put(shelf, stamp).then(() => promise(stamp));
    else if (await acts.restamp(shelf, HASH, stamp)) promise(stamp);
  };
  const run = async (process: readonly Act[]) => {
    for (const each of process) await perform(each);
  };
  await scheduler.waitFor(Promise.all(processes.map(run)));
  await scheduler.waitFor(removeOlder(shelf, HASH));
  expect(shelf.now.length).toBeLessThanOrEqual(1);
  const before = highest();
  const removed = await scheduler.waitFor(acts.deleteBelow(shelf, HASH, INDEX));
  expect(removed).toBe(before > 0 && before < INDEX);
  expect(highest()).toBe(before < INDEX ? 0 : before);
}

function interleavings(acts: Acts, numRuns: number): Promise<void> {
  const processes = fc.array(fc.array(act, { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 4 });
  const property = fc.asyncProperty(fc.scheduler(), processes, (...each) => keepsPromises(acts, ...each));
  return Promise.resolve(fc.assert(property, { numRuns, seed: 90, endOnFailure: true }));
}

test('what was promised above the index is there at every step, and one copy is left', async () => {
  await interleavings(REAL, 600);
});

test('what is stored anew lies on top, though the old copy is re-stamped above it meanwhile', async () => {
  let steps = 0;
  let meddle = async () => {};
  const shelf: ModelShelf = new ModelShelf(
    async () => {
      steps += 1;
      if (steps === 1) await meddle();
    },
    () => {},
  );
  await REAL.put(shelf, 3);
  const [old] = shelf.now;
  // The second step of the next store is to publish, after it has looked at stamp 3.
  meddle = async () => void (await shelf.move(must(old, 'there is a copy'), 9));
  steps = -1;
  await REAL.put(shelf, 5);
  expect(shelf.now).toEqual([{ hash: HASH, bytes: 10, stamp: 9 }]);
  expect(shelf.now.map((copy) => shelf.generationOf(copy))).toEqual([2]);
});

test('the interleavings find a delete that removes what it did not judge', async () => {
  const judgeFirst: Acts['deleteBelow'] = async (shelf, hash, index) => {
    const judged = newestOf(await shelf.copies(hash));
    if (judged === null || judged.stamp >= index) return false;
    for (const copy of await shelf.copies(hash)) await shelf.remove(copy);
    return true;
  };
  await expect(interleavings({ ...REAL, deleteBelow: judgeFirst }, 2_000)).rejects.toThrow('Property failed');
});

test('the interleavings find a re-stamp that believes what it looked at', async () => {
  const believing: Acts['restamp'] = async (shelf, hash, stamp) => {
    const newest = newestOf(await shelf.copies(hash));
    if (newest === null) return false;
    if (newest.stamp < stamp) await shelf.move(newest, stamp);
    return true;
  };
  await expect(interleavings({ ...REAL, restamp: believing }, 2_000)).rejects.toThrow('Property failed');
});

test('the interleavings find a store that clears the old copies before it has its own', async () => {
  const clearing: Acts['put'] = async (shelf, stamp) => {
    const before = await shelf.copies(HASH);
    for (const copy of before) await shelf.remove(copy);
    await REAL.put(shelf, Math.max(stamp, newestOf(before)?.stamp ?? 0));
  };
  await expect(interleavings({ ...REAL, put: clearing }, 2_000)).rejects.toThrow('Property failed');
});
