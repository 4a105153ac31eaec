/**
 * Handle: how the log speaks of bytes that never travel in it.
 *
 * Think of a claim check: a few words that name a parcel exactly, whoever keeps it. The hash is of the content alone, so two
 * who store the same bytes have the same handle, and a handle can never come to mean something else.
 */
import { assert } from './assert.ts';

/**
 * Name of a blob: SHA-256, as 64 lower-case hex digits, over the SHA-256 digests of its pieces in order. A piece is
 * BLOB_PIECE_BYTES long, the last one shorter; an empty blob has no piece. So every piece can be judged by itself, in
 * whatever order it is read, and no wrong byte is handed on while a whole gigabyte is on its way.
 */
export type BlobHash = string;

/** Fingerprint of an Arrow schema, its fields' names, types and nullability: 16 lower-case hex digits. */
export type SchemaHash = string;

/** Arrow batches as one blob, in the IPC file format: its footer says where each batch lies. */
export interface Handle {
  readonly hash: BlobHash;
  readonly bytes: number;
  readonly rows: number;
  readonly schema: SchemaHash;
}

const BLOB_HASH = /^[0-9a-f]{64}$/;
const SCHEMA_HASH = /^[0-9a-f]{16}$/;

/** Whether a text names a blob; nothing else ever becomes part of a path. */
export function isBlobHash(text: string): text is BlobHash {
  return BLOB_HASH.test(text);
}

export function isSchemaHash(text: string): text is SchemaHash {
  return SCHEMA_HASH.test(text);
}

/** The same bytes, and the same said of them. */
export function sameHandle(one: Handle, other: Handle): boolean {
  return one.hash === other.hash && one.bytes === other.bytes && one.rows === other.rows && one.schema === other.schema;
}

export function assertHandle({ hash, bytes, rows, schema }: Handle): void {
  assert(isBlobHash(hash) && isSchemaHash(schema), 'a handle names its blob and its schema by their hashes');
  assert(Number.isSafeInteger(bytes) && bytes >= 0 && Number.isSafeInteger(rows) && rows >= 0, 'a handle counts');
}
