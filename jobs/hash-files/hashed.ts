/**
 * hash-files: one file as a batch of one row.
 */
import { Field, Int64, type RecordBatch, Schema, Utf8 } from 'apache-arrow';
import { batchOf, dataOf } from '../../src/data/build.ts';

const SCHEMA = new Schema([
  new Field('path', new Utf8(), false),
  new Field('bytes', new Int64(), false),
  new Field('sha256', new Utf8(), false),
]);

export interface HashedFile {
  readonly path: string;
  readonly bytes: bigint;
  readonly sha256: string;
}

export function hashedBatch({ path, bytes, sha256 }: HashedFile): RecordBatch {
  const columns = [dataOf(new Utf8(), [path]), dataOf(new Int64(), [bytes]), dataOf(new Utf8(), [sha256])];
  return batchOf(SCHEMA, columns);
}
