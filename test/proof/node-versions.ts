/**
 * The same seed gives the same trace, on two runs and on every version of Node that is supported.
 *
 *   tsx test/proof/node-versions.ts [SEED…]
 *
 * The npm package `node` brings the other versions. Prints a line a version, and fails when one differs.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAJORS = ['22', '24'];
const SEEDS_DEFAULT = ['1', '2', '3', '4', '5'];

function hashes(node: string, seeds: readonly string[]): string {
  return seeds
    .map((seed) => {
      const args = ['--import', 'tsx', 'test/sim/main.ts', '--seed', seed];
      const output = execFileSync(node, args, { cwd: ROOT, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
      const hash = /trace ([0-9]+-[0-9a-f]+)/.exec(output)?.[1];
      if (hash === undefined) throw new Error(`seed ${seed} gave no trace hash on ${node}: ${output}`);
      return hash;
    })
    .join(' ');
}

const seeds = process.argv.length > 2 ? process.argv.slice(2) : SEEDS_DEFAULT;
const dir = mkdtempSync(join(tmpdir(), 'polaris-nodes-'));
try {
  const expected = hashes(process.execPath, seeds);
  const again = hashes(process.execPath, seeds);
  process.stdout.write(`${process.version}: ${expected}\n`);
  let same = expected === again;
  for (const major of MAJORS) {
    const prefix = join(dir, major);
    const install = ['install', '--no-audit', '--no-fund', '--foreground-scripts', '--prefix', prefix, `node@${major}`];
    execFileSync('npm', install, { stdio: 'ignore' });
    const node = join(prefix, 'node_modules', 'node', 'bin', 'node');
    const version = execFileSync(node, ['--version'], { encoding: 'utf8' }).trim();
    const found = hashes(node, seeds);
    process.stdout.write(`${version}: ${found}\n`);
    same &&= found === expected;
  }
  process.stdout.write(same ? 'the same on every version\n' : 'NOT the same\n');
  process.exitCode = same ? 0 : 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}
