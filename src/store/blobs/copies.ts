/**
 * Copies: what becomes of the names of one blob when several processes want different things of it at once.
 *
 * There is no lock. Whoever wants something looks at the names, does one atomic step on exactly the name that was seen, and
 * looks again if somebody else was first. Therefore a delete that judged stamp 3 can never hit a copy that has become stamp 7.
 *
 * For a moment a blob may have two copies: a new one is published before older ones are removed, so that it is never
 * missing in between. The higher stamp counts. A writer puts its own copy on top of all others, whatever their stamps, for
 * it knows its own to be whole and the others may be damaged.
 *
 * Invariants: once a `put` or `restamp` with a stamp has resolved, there is a copy with this stamp or a higher one until a
 * `deleteBelow` of a higher index · what lies below the highest copy is nobody's and goes.
 */
import { PolarisError } from '../../base/errors.ts';
import type { BlobHash } from '../../base/handle.ts';
import { BLOB_LOOKS_MAX } from '../../base/limits.ts';
import type { LogIndex } from '../../base/types.ts';
import { type Copy, sameCopy } from './names.ts';
import type { Draft, Shelf } from './shelf.ts';

/** The copy that counts. */
export function newestOf(copies: readonly Copy[]): Copy | null {
  return copies.reduce<Copy | null>((best, copy) => (best === null || copy.stamp > best.stamp ? copy : best), null);
}

/** Gives a finished draft its name, in the place of all copies that there are. */
export async function install(shelf: Shelf, draft: Draft, made: Copy): Promise<void> {
  const before = newestOf(await shelf.copies(made.hash));
  let own: Copy = { ...made, stamp: Math.max(made.stamp, before?.stamp ?? 0) };
  await draft.publish(own);
  await looking(made.hash, async () => {
    const copies = await shelf.copies(own.hash);
    // Somebody moved it on, or it was condemned already: whatever lies there now is theirs to look after.
    if (!copies.some((copy) => sameCopy(copy, own))) return true;
    const others = copies.filter((copy) => !sameCopy(copy, own));
    const highest = newestOf(others);
    if (highest !== null && highest.stamp > own.stamp) {
      if (await shelf.move(own, highest.stamp)) own = { ...own, stamp: highest.stamp };
      return null;
    }
    for (const copy of others) await shelf.remove(copy);
    return true;
  });
  await shelf.settle(made.hash);
}

/** @returns whether there is a copy, which then has this stamp or a higher one, durably. */
export async function restamp(shelf: Shelf, hash: BlobHash, stamp: LogIndex): Promise<boolean> {
  const found = await looking(hash, async () => {
    const newest = newestOf(await shelf.copies(hash));
    if (newest === null) return false;
    return newest.stamp >= stamp || (await shelf.move(newest, stamp)) ? true : null;
  });
  // Also when another process raised it: it may not have come to this yet, and could lose power before it does.
  if (found) await shelf.settle(hash);
  return found;
}

/** @returns whether this call removed the copy. */
export async function deleteBelow(shelf: Shelf, hash: BlobHash, index: LogIndex): Promise<boolean> {
  let removed = false;
  return looking(hash, async () => {
    const copies = await shelf.copies(hash);
    if (copies.length === 0) return removed;
    if (copies.some((copy) => copy.stamp >= index)) return false;
    for (const copy of copies) if (await shelf.remove(copy)) removed = true;
    return null;
  });
}

/** Removes what a writer left that died between publishing its copy and removing older ones. */
export async function removeOlder(shelf: Shelf, hash: BlobHash): Promise<Copy | null> {
  const copies = await shelf.copies(hash);
  const newest = newestOf(copies);
  for (const copy of copies) if (newest !== null && !sameCopy(copy, newest)) await shelf.remove(copy);
  return newest;
}

/** Looks until there is an answer. Each time that there is none, somebody else has done something in between. */
export async function looking<T>(hash: BlobHash, look: () => Promise<T | null>): Promise<T> {
  for (let looks = 0; looks < BLOB_LOOKS_MAX; looks++) {
    const answer = await look();
    if (answer !== null) return answer;
  }
  throw new PolarisError('BLOB_STORE_FAILED', `others changed blob ${hash} ${BLOB_LOOKS_MAX} times in a row`);
}
