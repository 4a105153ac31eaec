/**
 * Blobs in a bucket of S3, or of anything that speaks like it. All nodes of a cluster use the same bucket and prefix, each
 * under its own id, as with a shared directory; and as there, two clusters never share a prefix.
 *
 * A blob has at most S3_BLOB_BYTES_MAX. Re-stamping copies the object within S3: no bytes travel, but S3 takes its time for
 * large ones. The bucket should have a lifecycle rule that ends incomplete uploads after a day.
 */
import { PolarisError } from '../../base/errors.ts';
import type { NodeId } from '../../base/types.ts';
import { checkOwner } from './names.ts';
import { createReaderMemory } from './reader.ts';
import { S3Client, type S3Place } from './s3-client.ts';
import { S3Shelf } from './s3-shelf.ts';
import { StampedBlobs } from './stamped.ts';
import type { BlobStore } from './types.ts';

export interface S3BlobsOptions extends S3Place {
  /** The node's id. Two processes that use the place at the same time have different ones. */
  readonly owner: NodeId;
  /** Empty, or folders that each end in a slash. */
  readonly prefix?: string;
}

const PREFIX = /^([A-Za-z0-9_-]+\/)*$/;

/**
 * Asks the bucket once, so that a wrong name or key is noticed here, and clears what a former life left.
 *
 * @throws PolarisError BAD_REQUEST, BLOB_STORE_FAILED.
 */
export async function openS3Blobs(options: S3BlobsOptions): Promise<BlobStore> {
  const { owner, prefix = '' } = options;
  checkOwner(owner);
  if (!PREFIX.test(prefix)) throw new PolarisError('BAD_REQUEST', 'a prefix in S3 is folders that each end in a slash');
  const shelf = new S3Shelf(new S3Client(options), { prefix, owner });
  await shelf.clear();
  return new StampedBlobs(shelf, createReaderMemory());
}
