/** Whoever imports the SDK pays for what he uses: Arrow is loaded by the first call that needs it. */
import { readFileSync } from 'node:fs';
import { dirname, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = resolve(import.meta.dirname ?? '.', '../..');
/** Imports that stay when types are taken out; `import()` is none of them. */
const LOADED = /^(?:import|export)\s+(?!type\b)(?:[^;]*?\sfrom\s+)?'([^']+)'/gm;

/** All modules that are loaded with a file, of others by their names. */
function loadedWith(path: string, found = new Set<string>()): Set<string> {
  if (found.has(relative(ROOT, path))) return found;
  found.add(relative(ROOT, path));
  for (const [, name = ''] of readFileSync(path, 'utf8').matchAll(LOADED)) {
    if (name.startsWith('.')) loadedWith(resolve(dirname(path), name), found);
    else found.add(name);
  }
  return found;
}

test.each(['src/index.ts', 'src/client/client.ts'])('%s loads no Arrow', (path) => {
  const loaded = loadedWith(resolve(ROOT, path));
  expect(loaded).toContain('uuid');
  expect(loaded).toContain('src/client/datasets.ts');
  expect([...loaded].filter((name) => name === 'apache-arrow' || name.startsWith('src/data/arrow'))).toEqual([]);
});
