/**
 * Real text, made on the spot: the sources and pages of the packages of this project.
 */
import { readFileSync } from 'node:fs';
import { packageFiles } from '../../chaos/package-files.ts';

const TEXTS = /\.(md|txt|ts|mts|cts|js|mjs|cjs|json)$/;

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
