/**
 * The version of this package, found from where this file stands: in the sources or in dist.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** From src/cli it is two folders up, from dist/src/cli three. */
const PLACES = ['../../package.json', '../../../package.json'] as const;

export function packageVersion(): string {
  for (const place of PLACES) {
    const path = fileURLToPath(new URL(place, import.meta.url));
    if (!existsSync(path)) continue;
    const { version } = JSON.parse(readFileSync(path, 'utf8')) as { version?: unknown };
    if (typeof version === 'string') return version;
  }
  return 'unknown';
}
