/**
 * The content hash of a job type: workers with the same name but other code can be told apart.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { JOB_TYPE_BYTES_MAX, JOB_TYPE_FILES_MAX } from '../base/limits.ts';

/** SHA-256, hex, over names and contents of all files below the folder, in name order. */
export async function hashFolder(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  if (files.length > JOB_TYPE_FILES_MAX) {
    throw new Error(`${files.length} files; a job type may have ${JOB_TYPE_FILES_MAX}`);
  }
  const named = files.map((path) => ({ path, name: relative(folder, path).split(sep).join('/') }));
  named.sort((left, right) => (left.name < right.name ? -1 : 1));
  const hash = createHash('sha256');
  let bytes = 0;
  for (const { path, name } of named) {
    const content = await readFile(path);
    bytes += content.length;
    if (bytes > JOB_TYPE_BYTES_MAX) throw new Error(`more than ${JOB_TYPE_BYTES_MAX} bytes of files`);
    // Lengths first, so that no two folders can give the same stream of bytes.
    hash.update(`${Buffer.byteLength(name)} ${name} ${content.length}\n`).update(content);
  }
  return hash.digest('hex');
}
