/**
 * Real text, made on the spot from files that any machine has which has this project: the sources and pages of its packages.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGES = fileURLToPath(new URL('../../node_modules', import.meta.url));
const TEXTS = /\.(md|txt|ts|mts|cts|js|mjs|cjs|json)$/;

/** Every regular file of every package, in the order of their names; folders with a dot are caches, which may change. */
export function* packageFiles(folder = PACKAGES): Generator<string> {
  const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && !entry.name.startsWith('.')) yield* packageFiles(path);
    else if (entry.isFile() && !/[\r\n]/.test(path)) yield path;
  }
}

/** Texts one after the other, until together they have so many bytes. @throws Error where there are not as many */
export function realText(bytes: number): string {
  const parts: string[] = [];
  let missing = bytes;
  for (const path of packageFiles()) {
    if (!TEXTS.test(path)) continue;
    const text = readFileSync(path, 'utf8');
    // What is no UTF-8 would not come back as it went in.
    if (text.includes('\uFFFD') || text.includes('\0')) continue;
    parts.push(text);
    missing -= Buffer.byteLength(text) + 1;
    if (missing <= 0) return parts.join('\n');
  }
  throw new Error(`all packages together have ${missing} bytes of text too few`);
}
