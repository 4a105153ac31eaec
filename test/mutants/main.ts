/**
 * `npm run mutants [-- --row N]`: puts each known bug back, into a copy of the tree, and says by what it is caught. A
 * test that no bug makes fail would show nothing.
 *
 * First all that is to catch them is run without any bug. The exit code is 1 when one survives, or cannot be judged.
 */
import { parseArgs } from 'node:util';
import { unreachable } from '../../src/base/assert.ts';
import type { Mutant } from './mutant.ts';
import { MUTANTS } from './mutants.ts';
import { endAll } from './programs.ts';
import { Trees } from './trees.ts';
import { notGreen, type Verdict, verdictOf } from './verdict.ts';

/** One a core of a small machine. */
const LANES = 2;
const WORST_FIRST: readonly Verdict['kind'][] = ['broken', 'survived', 'caught'];
const INTERRUPTED = 130;

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function secondsSince(startedAt: number): string {
  return `${((performance.now() - startedAt) / 1_000).toFixed(1)} s`;
}

function detailOf(verdict: Verdict): string {
  switch (verdict.kind) {
    case 'caught':
      return `\n        by ${verdict.by}\n        ${verdict.finding}`;
    case 'broken':
      return `\n        ${verdict.why}`;
    case 'survived':
      return `\n        not by ${verdict.what}`;
    default:
      return unreachable(verdict);
  }
}

/** The worst that any of its catchers says. */
async function judge(trees: Trees, mutant: Mutant): Promise<Verdict['kind']> {
  const startedAt = performance.now();
  const tree = trees.mutated(mutant);
  const verdicts: Verdict[] = [];
  for (const catcher of mutant.catchers) verdicts.push(await verdictOf(tree, catcher));
  trees.drop(tree);
  const kinds = verdicts.map(({ kind }) => kind);
  const worst = WORST_FIRST.find((kind) => kinds.includes(kind)) ?? 'survived';
  const row = String(mutant.row).padStart(2);
  const details = verdicts.map(detailOf).join('');
  print(`row ${row}  ${worst} after ${secondsSince(startedAt)}: ${mutant.name}${details}`);
  return worst;
}

/** Each lane takes the next one that is left. */
async function judgeAll(trees: Trees, mutants: readonly Mutant[]): Promise<Verdict['kind'][]> {
  const left = [...mutants];
  const kinds: Verdict['kind'][] = [];
  const lane = async (): Promise<void> => {
    for (let mutant = left.shift(); mutant !== undefined; mutant = left.shift()) {
      kinds.push(await judge(trees, mutant));
    }
  };
  await Promise.all(Array.from({ length: LANES }, lane));
  return kinds;
}

async function run(trees: Trees, mutants: readonly Mutant[]): Promise<number> {
  const startedAt = performance.now();
  const catchers = mutants.flatMap((mutant) => mutant.catchers);
  print('without a mutant: all that is to catch one');
  const red = await notGreen(trees.pristine, catchers);
  if (red.length > 0) {
    print(`not green without a mutant:\n${red.join('\n')}`);
    return 1;
  }
  print(`green after ${secondsSince(startedAt)}; ${mutants.length} mutants, ${LANES} at a time`);
  const kinds = await judgeAll(trees, mutants);
  const count = (wanted: Verdict['kind']): number => kinds.filter((kind) => kind === wanted).length;
  const [caught, survived, broken] = [count('caught'), count('survived'), count('broken')];
  print(`${broken} broken, ${secondsSince(startedAt)} in all`);
  // No row is excused: mutants.test.ts demands a mutant of each.
  print(`caught ${caught}, survived ${survived}, excused 0`);
  return caught === mutants.length ? 0 : 1;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { row: { type: 'string', multiple: true, default: [] } } });
  const mutants = MUTANTS.filter(({ row }) => values.row.length === 0 || values.row.includes(String(row)));
  if (mutants.length === 0) throw new Error(`there is no row ${values.row.join(', ')}`);
  const trees = new Trees();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(INTERRUPTED));
  process.once('exit', () => {
    endAll();
    trees.close();
  });
  return await run(trees, mutants);
}

process.exitCode = await main();
