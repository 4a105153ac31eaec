/**
 * Clocks: a clock on the wall that can be moved under a running process, by libfaketime. Its monotonic clock stays as it
 * is, as it does on a machine whose time is set.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const LIBRARY = 'faketime/libfaketimeMT.so.1';

/** Path of the library; null when it is not installed. */
export function faketimeLibrary(): string | null {
  const roots = ['/usr/lib', '/usr/local/lib'].filter(existsSync);
  const folders = roots.flatMap((root) => [root, ...readdirSync(root).map((name) => join(root, name))]);
  return folders.map((folder) => join(folder, LIBRARY)).find(existsSync) ?? null;
}

/** What goes before a program whose clock follows `file`: `+3600s` or `-60s`. It is read anew at every look at the clock. */
export function faketimeCommand(library: string, file: string): readonly string[] {
  const settings = ['FAKETIME_NO_CACHE=1', 'FAKETIME_DONT_FAKE_MONOTONIC=1', 'DONT_FAKE_MONOTONIC=1'];
  return ['env', `LD_PRELOAD=${library}`, `FAKETIME_TIMESTAMP_FILE=${file}`, ...settings];
}
