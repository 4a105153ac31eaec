/**
 * Damage: how the bytes of a disk are spoilt for good. Whoever starts on such a disk must notice, and refuse.
 *
 * LevelDB keeps a batch as one record with a checksum. What it cannot read at recovery it drops, says so in its LOG, and
 * carries on; what it can read may still be wrong, for a flipped bit in a table file passes unseen. Hence the kinds: a
 * flipped bit, a record that recovery dropped, a log that ends early as if nothing had ever stood behind, and a record
 * that went to the place of another one.
 *
 * Invariant: nothing is done here that the store does not promise to find; a tail is cut only below its mark.
 */
import { crc32 } from 'node:zlib';
import { must } from '../../src/base/assert.ts';
import type { Prng } from '../../src/base/prng.ts';
import { logIndexOf, logKey } from '../../src/store/cells.ts';
import type { MemoryDisk } from '../../src/store/memory.ts';
import type { StoreBatch } from '../../src/store/types.ts';

export const DAMAGES = ['bit-rot', 'cut-tail', 'dropped', 'misdirected'] as const;
export type Damage = (typeof DAMAGES)[number];

/** Most of the bytes of a disk are entries, but a rotten HardState is the more dangerous find. */
const ENTRY_CHANCE = 0.7;
const CRC_BYTES = 4;

/** False when there is nothing to spoil, or nothing that could be found out. */
export function damageCells(disk: MemoryDisk, kind: Exclude<Damage, 'misdirected'>, prng: Prng): boolean {
  const entries = [...disk.cells.keys()].filter((key) => logIndexOf(key) !== null).sort();
  if (entries.length === 0) return false;
  switch (kind) {
    case 'bit-rot':
      return flipBit(disk, entries, prng);
    case 'cut-tail':
      return cutTail(disk, entries, prng);
    case 'dropped': {
      const first = prng.integer(0, entries.length);
      for (const key of entries.slice(first, first + prng.integer(1, 4))) disk.cells.delete(key);
      disk.dropped = 'LevelDB says: dropping some bytes; checksum mismatch';
      return true;
    }
  }
}

function flipBit(disk: MemoryDisk, entries: readonly string[], prng: Prng): boolean {
  const meta = [...disk.cells.keys()].filter((key) => logIndexOf(key) === null).sort();
  const keys = prng.chance(ENTRY_CHANCE) ? entries : meta;
  const cell = must(disk.cells.get(must(keys[prng.integer(0, keys.length)], 'a key')), 'a cell');
  const at = prng.integer(0, cell.length);
  cell[at] = must(cell[at], 'a byte') ^ (1 << prng.integer(0, 8));
  return true;
}

/** Some entries up to the end are gone, among them one that the mark knows. */
function cutTail(disk: MemoryDisk, entries: readonly string[], prng: Prng): boolean {
  const marked = disk.mark?.index ?? 0;
  const candidates = entries.filter((key) => must(logIndexOf(key), 'the key of an entry') <= marked).slice(-8);
  const first = candidates[prng.integer(0, Math.max(1, candidates.length))];
  if (first === undefined) return false;
  for (const key of entries.slice(entries.indexOf(first))) disk.cells.delete(key);
  return true;
}

/**
 * Makes ready for the write of `batch`: the last entry of it will go to a neighbour's place. The result does so once the
 * write has landed; null when the batch has no entry.
 */
export function misdirect(disk: MemoryDisk, batch: StoreBatch): (() => void) | null {
  const last = batch.entries?.at(-1);
  if (last === undefined) return null;
  const key = logKey(last.index);
  const before = disk.cells.get(key);
  return () => {
    const record = must(disk.cells.get(key), 'the write has landed');
    const wrong = logKey(last.index - 1);
    disk.cells.set(disk.cells.has(wrong) ? wrong : logKey(last.index + 1), record);
    if (before === undefined) disk.cells.delete(key);
    else disk.cells.set(key, before);
  };
}

/** A store that looks at no checksum: every cell gets the one that its bytes would have. */
export function believeCells(disk: MemoryDisk): void {
  for (const [key, cell] of disk.cells) {
    if (cell.length < CRC_BYTES) continue;
    const body = cell.subarray(CRC_BYTES);
    const crc = logIndexOf(key) === null ? crc32(body, crc32(key)) : crc32(body);
    new DataView(cell.buffer, cell.byteOffset, cell.byteLength).setUint32(0, crc);
  }
}
