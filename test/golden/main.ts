/**
 * npx tsx test/golden/main.ts: writes the files of the present version anew. Only for a version that was never released:
 * once it was, its files are what others wrote and what must be read for ever, and a change needs a new version.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PROTOCOL } from '../../src/base/limits.ts';
import { makeBackup, makeDataDir, makeFrames, replay, viewOf } from './make.ts';
import { openGolden } from './open.ts';

const dir = join(import.meta.dirname, `v${PROTOCOL}`);
const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
mkdirSync(dir, { recursive: true });
writeFileSync(join(dir, 'frames.json'), json(makeFrames()));
writeFileSync(join(dir, 'data.json'), json(await makeDataDir()));
const contents = await openGolden(dir);
const { table, roster } = replay(contents, Number.MAX_SAFE_INTEGER);
writeFileSync(join(dir, 'table.json'), json(viewOf(table, roster.members())));
writeFileSync(join(dir, 'backup.json'), json(makeBackup(contents)));
process.stdout.write(`written: ${dir}\n`);
