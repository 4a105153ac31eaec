/**
 * Shelf: the few steps that a place to keep copies must be able to do, each of them atomic in that place.
 *
 * A directory and a bucket differ in these steps and in nothing else; what is built of them (copies.ts, stamped.ts) is
 * the same for both, and is tested with every interleaving of the steps.
 */
import type { BlobHash } from '../../base/handle.ts';
import type { LogIndex } from '../../base/types.ts';
import type { Copy } from './names.ts';

export interface Shelf {
  /** Longest content that fits. */
  readonly contentBytesMax: number;
  /** All copies of one blob; more than one only while somebody changes them, or died doing so. */
  copies(hash: BlobHash): Promise<Copy[]>;
  /** Every copy of every blob, in the order of the hashes. */
  all(): AsyncIterable<Copy>;
  /** Gives the copy another stamp, in the place of whatever has that name. False when it is not there any more. */
  move(copy: Copy, stamp: LogIndex): Promise<boolean>;
  /** Removes what has exactly this name. False when the place knows that it was not there. */
  remove(copy: Copy): Promise<boolean>;
  /** Names one thing that lies there, so that `removeOnly` can tell it from what replaced it. Null when it is gone. */
  identify(copy: Copy): Promise<string | null>;
  /** Removes the copy if it still is the thing so identified, else leaves it alone. */
  removeOnly(copy: Copy, identity: string): Promise<boolean>;
  /** What the names of this blob have become survives a power cut. */
  settle(hash: BlobHash): Promise<void>;
  draft(): Promise<Draft>;
  /** Null when it is not there any more. @throws PolarisError BLOB_DAMAGED for what cannot be a copy. */
  open(copy: Copy): Promise<OpenCopy | null>;
}

/** A copy that is being written. It has no name by which it could be taken for one. */
export interface Draft {
  /** The bytes are the caller's again when it resolves. */
  append(bytes: Uint8Array): Promise<void>;
  /** All of it is durable, and then it has this name, in the place of whatever had it. */
  publish(copy: Copy): Promise<void>;
  /** Leaves nothing behind, as far as that is possible, and never throws. After `publish` it does nothing. */
  abandon(): Promise<void>;
}

export interface OpenCopy {
  /**
   * Stored bytes `[start, end)`, for the caller to keep; fewer where the copy ends before. More of them, up to `ahead`, may
   * be fetched in the same go. Null when the copy is gone, which happens only where nothing can be held open.
   */
  read(start: number, end: number, ahead: number): Promise<Uint8Array | null>;
  close(): Promise<void>;
}
