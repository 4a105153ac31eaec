/**
 * Blobs as files: in a directory of the node's own, or in one that nodes share. The two are opened in the same way.
 *
 * A shared directory belongs to one cluster: what the log of one condemns, another would miss. Each node opens it under its
 * own id, so that a restart clears up after itself and after nobody else. The directory must be of a file system where
 * rename and unlink are atomic for all who have it mounted, and fsync reaches the disk: local ones, NFS, CephFS.
 */
import { mkdir, realpath } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { NodeId } from '../../base/types.ts';
import { syncDirectory } from '../mark.ts';
import { fileFailure } from './failures.ts';
import { FileShelf, makeFolder } from './file-shelf.ts';
import { checkOwner } from './names.ts';
import { StampedBlobs } from './stamped.ts';
import type { BlobStore } from './types.ts';
import { Unfinished } from './unfinished.ts';

/**
 * Opens the directory, which is made if need be, and clears what a former life of this owner left unfinished.
 *
 * @param options.owner the node's id. Two processes that have the directory open at the same time have different ones.
 * @throws PolarisError BLOB_STORE_FAILED, BLOB_STORE_FULL.
 */
export async function openFileBlobs(directory: string, options: { readonly owner: NodeId }): Promise<BlobStore> {
  checkOwner(options.owner);
  const root = await makeRoot(resolve(directory));
  const folder = join(root, 'unfinished');
  await makeFolder(folder, root);
  const unfinished = new Unfinished(folder, options.owner);
  const shelf = new FileShelf(root, unfinished);
  for (const { path, copy } of await unfinished.clear()) await shelf.putBack(path, copy);
  return new StampedBlobs(shelf);
}

/** Every directory on the way that had to be made is synced into its parent. */
async function makeRoot(directory: string): Promise<string> {
  try {
    const firstMade = await mkdir(directory, { recursive: true, mode: 0o700 });
    if (firstMade !== undefined) {
      for (let path = directory; path.length >= firstMade.length; path = dirname(path)) syncDirectory(dirname(path));
    }
    // The operator may well have led the directory elsewhere; within it nothing is followed.
    return await realpath(directory);
  } catch (cause) {
    throw fileFailure(`making ${directory}`, cause);
  }
}
