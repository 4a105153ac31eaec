/**
 * Where this package lies, as its own code sees it: the build joins modules into files whose places say nothing, and the
 * tests run the sources. Programs that are started as processes or threads of their own are the built ones in any case.
 */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assert } from './assert.ts';

/** The folder of package.json. */
export const PACKAGE_DIR = find(dirname(fileURLToPath(import.meta.url)));

/** Path of a built file, named as it is in the sources: `builtPath('src/jobtype/host.js')`. */
export function builtPath(source: string): string {
  return join(PACKAGE_DIR, 'dist', source);
}

function find(folder: string): string {
  if (existsSync(join(folder, 'package.json'))) return folder;
  assert(dirname(folder) !== folder, 'this program lies within its package');
  return find(dirname(folder));
}
