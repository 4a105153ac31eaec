/**
 * Names: `<hash>.<bytes>.<stamp>`, and nothing else ever names a copy, in a directory or in a bucket.
 *
 * The stamp is part of the name so that the store itself, and no lock of ours, decides every race about it: re-stamping
 * renames, deleting removes exactly the name that was looked at, and of the two only one finds it. The length is part of
 * the name so that a list needs no look at the files. Numbers are decimal without leading zeros: a copy has one name.
 */
import { assert } from '../../base/assert.ts';
import { PolarisError } from '../../base/errors.ts';
import { isBlobHash } from '../../base/handle.ts';
import type { LogIndex, NodeId } from '../../base/types.ts';
import type { BlobEntry } from './types.ts';

/** One copy, as its name tells it. */
export type Copy = BlobEntry;

const NAME = /^([0-9a-f]{64})\.(0|[1-9][0-9]{0,15})\.(0|[1-9][0-9]{0,15})$/;
const OWNER = /^[A-Za-z0-9._-]{1,64}$/;

export function nameOf({ hash, bytes, stamp }: Copy): string {
  assert(isBlobHash(hash), 'a copy is named by a hash');
  assert(Number.isSafeInteger(bytes) && bytes >= 0, 'a copy has a length');
  checkStamp(stamp);
  return `${hash}.${bytes}.${stamp}`;
}

/** Null for every other name: what lies between the copies is left alone. */
export function copyOf(name: string): Copy | null {
  const match = NAME.exec(name);
  if (match === null) return null;
  const [, hash = '', bytes, stamp] = match;
  const copy = { hash, bytes: Number(bytes), stamp: Number(stamp) };
  return Number.isSafeInteger(copy.bytes) && Number.isSafeInteger(copy.stamp) ? copy : null;
}

export function sameCopy(one: Copy, other: Copy): boolean {
  return one.hash === other.hash && one.bytes === other.bytes && one.stamp === other.stamp;
}

/** What comes from outside, before any path is made of it. @throws PolarisError BAD_REQUEST. */
export function checkHash(text: string): void {
  if (typeof text === 'string' && isBlobHash(text)) return;
  throw new PolarisError('BAD_REQUEST', 'a blob is named by its hash, 64 lower-case hexadecimal digits');
}

export function checkStamp(stamp: LogIndex): void {
  assert(Number.isSafeInteger(stamp) && stamp >= 0, `a stamp is a log index: ${stamp}`);
}

/** Whose unfinished files are whose. @throws PolarisError BAD_REQUEST. */
export function checkOwner(owner: NodeId): void {
  if (!OWNER.test(owner)) throw new PolarisError('BAD_REQUEST', 'the owner of a blob store is named like a node');
}
