/** The golden data directory of a version, unpacked and opened by the store of today. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createPrng } from '../../src/base/prng.ts';
import { openLevelStore } from '../../src/store/level.ts';
import type { StoreContents } from '../../src/store/types.ts';

export async function openGolden(versionDir: string): Promise<StoreContents> {
  const files = JSON.parse(readFileSync(join(versionDir, 'data.json'), 'utf8')) as { readonly [path: string]: string };
  const dir = mkdtempSync(join(tmpdir(), 'polaris-golden-'));
  try {
    for (const [path, base64] of Object.entries(files)) {
      mkdirSync(dirname(join(dir, path)), { recursive: true });
      writeFileSync(join(dir, path), Buffer.from(base64, 'base64'));
    }
    const { store, contents } = await openLevelStore(dir, { prng: createPrng(1) });
    await store.close();
    return contents;
  } finally {
    rmSync(dir, { recursive: true });
  }
}
