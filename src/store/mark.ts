/**
 * Mark: the last index and terms that were synced, in a file of their own beside the log.
 *
 * LevelDB takes a log that ends too early for one whose last write was cut by a crash, and says nothing. The mark tells
 * the two apart. It is written after each synced batch and before its acknowledgement, and not synced itself: whoever
 * loses the tail of the log but not the page cache (a cut file, a restored backup, a lying disk) is found out.
 *
 * Invariant: the mark never stands above the log. Before the log is cut, the mark is lowered and synced.
 */
import { closeSync, constants, fdatasyncSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import type { Mark } from './contents.ts';

const MARK_BYTES = 29;
const NOTHING: Mark = { index: 0, term: 0, savedTerm: 0, voted: false };
/** Made when it is not there; never emptied. */
const OPEN_FLAGS = constants.O_RDWR | constants.O_CREAT;

export class MarkFile {
  readonly #descriptor: number;
  /** As read at open; null when there is none, or when a power cut tore it. */
  readonly found: Mark | null;
  #current: Mark;

  constructor(path: string) {
    this.#descriptor = openSync(path, OPEN_FLAGS, 0o600);
    const bytes = Buffer.alloc(MARK_BYTES);
    const length = readSync(this.#descriptor, bytes, 0, MARK_BYTES, 0);
    this.found = length === MARK_BYTES ? decode(bytes) : null;
    this.#current = this.found ?? NOTHING;
    syncDirectory(dirname(path));
  }

  /** The log is synced up to here. A few microseconds into the page cache. */
  raise(mark: Mark): void {
    const { index, term, savedTerm, voted } = this.#current;
    if (mark.index === index && mark.term === term && mark.savedTerm === savedTerm && mark.voted === voted) return;
    this.#write(mark);
  }

  /**
   * The log is about to be cut. All the way to nothing, until the next `raise` a moment later: what stands behind the
   * cut has another term, perhaps. On disk when it returns; cuts are rare enough to wait for it.
   */
  lower(): void {
    this.#write({ ...this.#current, index: 0, term: 0 });
    fdatasyncSync(this.#descriptor);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #write(mark: Mark): void {
    writeSync(this.#descriptor, encode(mark), 0, MARK_BYTES, 0);
    this.#current = mark;
  }
}

/** Makes the names in a directory survive a power cut. */
export function syncDirectory(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function encode(mark: Mark): Buffer {
  const bytes = Buffer.alloc(MARK_BYTES);
  bytes.writeBigUInt64BE(BigInt(mark.index), 4);
  bytes.writeBigUInt64BE(BigInt(mark.term), 12);
  bytes.writeBigUInt64BE(BigInt(mark.savedTerm), 20);
  bytes.writeUInt8(mark.voted ? 1 : 0, 28);
  bytes.writeUInt32BE(crc32(bytes.subarray(4)), 0);
  return bytes;
}

function decode(bytes: Buffer): Mark | null {
  if (bytes.readUInt32BE(0) !== crc32(bytes.subarray(4))) return null;
  return {
    index: Number(bytes.readBigUInt64BE(4)),
    term: Number(bytes.readBigUInt64BE(12)),
    savedTerm: Number(bytes.readBigUInt64BE(20)),
    voted: bytes.readUInt8(28) === 1,
  };
}
