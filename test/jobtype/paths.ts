/** Where the compiled half of the job host tests lies. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type LoadedTypes, loadTypes } from '../../src/jobtype/loader.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const HOST_ENTRY = join(ROOT, 'dist/src/jobtype/host.js');
export const DESCRIBER_ENTRY = join(ROOT, 'dist/src/jobtype/describer.js');
export const BUNDLED_DIR = join(ROOT, 'dist/jobs');
export const TYPES_DIR = join(ROOT, 'test/jobtype/types');
export const PARENT_ENTRY = join(ROOT, 'test/jobtype/parent.ts');

export function loadTestTypes(): Promise<LoadedTypes> {
  return loadTypes({ bundledDir: BUNDLED_DIR, userDir: TYPES_DIR, describerEntry: DESCRIBER_ENTRY });
}
