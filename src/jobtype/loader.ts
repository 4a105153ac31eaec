/**
 * Loader: which job types a node has, found out without running a line of user code in the node.
 *
 * A job type is a folder `<name>/index.js`; folders without an `index.js`, and those whose name begins with a dot, are no
 * job types and are passed over. What a type says of itself (its schema, its kind) is asked of a child process that
 * imports it and ends; the bundled types are part of Polaris and are asked in place.
 *
 * Invariants: names are unique over both directories · the hash covers every byte of the folder.
 */
import { type Dirent, existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { errorText, PolarisError } from '../base/errors.ts';
import { NAME_LENGTH_MAX, OFFERS_MAX } from '../base/limits.ts';
import { builtPath } from '../base/package.ts';
import type { JobTypeInfo } from '../daemon/env.ts';
import { describeInChild } from './describe.ts';
import { type Description, describeModule } from './exported.ts';
import { hashFolder } from './hash.ts';
import type { JobTypeKind } from './protocol.ts';

export interface LoadedType {
  readonly info: JobTypeInfo;
  readonly kind: JobTypeKind;
  /** Absolute path of its `index.js`. */
  readonly module: string;
}

/** By name, in name order. */
export type LoadedTypes = ReadonlyMap<string, LoadedType>;

export interface LoadOptions {
  readonly bundledDir: string;
  /** From `--jobs`; null when there is none. */
  readonly userDir: string | null;
  /** Path of the compiled describer.js, where this file does not run compiled itself. */
  readonly describerEntry?: string;
}

const INDEX_FILE = 'index.js';
const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

export async function loadTypes(options: LoadOptions): Promise<LoadedTypes> {
  const describerEntry = options.describerEntry ?? builtPath('src/jobtype/describer.js');
  const bundled = await typeFolders(options.bundledDir);
  const user = options.userDir === null ? [] : await typeFolders(options.userDir);
  const loaded = new Map<string, LoadedType>();
  for (const folder of bundled) loaded.set(folder.name, await load(folder, describeModule));
  for (const folder of user) {
    if (loaded.has(folder.name)) {
      throw new PolarisError('USAGE', `job type ${folder.path}: the name ${folder.name} is that of a bundled job type`);
    }
    loaded.set(folder.name, await load(folder, (module) => describeInChild(describerEntry, module)));
  }
  if (loaded.size > OFFERS_MAX) throw new PolarisError('USAGE', `${loaded.size} job types; ${OFFERS_MAX} are allowed`);
  return new Map([...loaded].sort(([left], [right]) => (left < right ? -1 : 1)));
}

interface TypeFolder {
  readonly name: string;
  readonly path: string;
}

async function typeFolders(directory: string): Promise<readonly TypeFolder[]> {
  let entries: Dirent[];
  try {
    entries = await readdir(directory, { withFileTypes: true });
  } catch (thrown) {
    throw new PolarisError('USAGE', `the job types of ${directory} cannot be read: ${errorText(thrown)}`);
  }
  const names = entries.map((entry) => entry.name).filter((name) => !name.startsWith('.'));
  const folders = names.sort().map((name) => ({ name, path: resolve(directory, name) }));
  // By the file and not by the entry, so that a link to a folder counts too.
  return folders.filter((folder) => existsSync(join(folder.path, INDEX_FILE)));
}

async function load(folder: TypeFolder, describe: (module: string) => Promise<Description>): Promise<LoadedType> {
  const { name, path } = folder;
  if (!NAME_PATTERN.test(name) || name.length > NAME_LENGTH_MAX) {
    throw new PolarisError('USAGE', `job type ${path}: a name is 1 to ${NAME_LENGTH_MAX} of A-Z a-z 0-9 . _ -`);
  }
  const module = join(path, INDEX_FILE);
  try {
    const { kind, ...declared } = await describe(module);
    const exposure = kind === 'client' ? 'window' : 'task';
    return { info: { name, hash: await hashFolder(path), exposure, ...declared }, kind, module };
  } catch (thrown) {
    throw new PolarisError('USAGE', `job type ${path}: ${errorText(thrown)}`, { cause: thrown });
  }
}
