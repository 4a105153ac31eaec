/**
 * Real input that any machine has which has this project: the files of its packages.
 */
import { readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { builtPath } from '../src/base/package.ts';

/** Every regular file of every package under the nearest node_modules, in name order. */
export function packageFiles(): string[] {
  let root = builtPath('');
  const files: string[] = [];
  while (files.length === 0 && dirname(root) !== root) {
    root = dirname(root);
    try {
      for (const entry of readdirSync(join(root, 'node_modules'))) {
        // Folders with a dot are caches of tools, which may change meanwhile.
        if (!entry.startsWith('.')) walk(join(root, 'node_modules', entry), files);
      }
    } catch {
      // No node_modules here: one folder further up.
    }
  }
  return files.sort();
}

function walk(folder: string, files: string[]): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) walk(path, files);
    else if (entry.isFile() && !path.includes('\n')) files.push(path);
  }
}
