/**
 * Verdict: what became of a mutant, or of the tree without one.
 *
 * Caught is only what fails in the named test, or in a seed, by an expectation or an invariant. A test that cannot even
 * be loaded, a mutant that trips over its own code and one that hangs are broken: they show nothing.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Catcher, CatchingSeeds, CatchingTest } from './mutant.ts';
import { runNode } from './programs.ts';

export type Verdict =
  | { readonly kind: 'caught'; readonly by: string; readonly finding: string }
  | { readonly kind: 'survived'; readonly what: string }
  | { readonly kind: 'broken'; readonly why: string };

/** Many times what any of them takes on a quiet machine. */
const CATCH_MS_MAX = 180_000;
const PRISTINE_MS_MAX = 600_000;
const REPORT = 'mutants-report.json';
const FINDING_CHARACTERS_MAX = 160;
/** The mutant itself does not work. */
const OWN_FAULT = /\b(TypeError|ReferenceError|SyntaxError)\b/;

/** As the JSON reporter writes it. */
interface Report {
  readonly testResults: readonly {
    readonly message: string;
    readonly assertionResults: readonly {
      readonly title: string;
      readonly status: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

/** Of one catcher. */
export function verdictOf(tree: string, catcher: Catcher): Promise<Verdict> {
  return catcher.kind === 'test' ? verdictOfTest(tree, catcher) : verdictOfSeeds(tree, catcher);
}

/** Whatever of the catchers is not green without any mutant: such a one would catch everything. */
export async function notGreen(tree: string, catchers: readonly Catcher[]): Promise<string[]> {
  const tests = catchers.filter((catcher) => catcher.kind === 'test');
  const campaigns = new Set(catchers.filter((catcher) => catcher.kind === 'seeds'));
  const found = await Promise.all([redTests(tree, tests), ...[...campaigns].map((one) => redSeeds(tree, one))]);
  return found.flat();
}

async function redTests(tree: string, tests: readonly CatchingTest[]): Promise<string[]> {
  // Without a name the runner would run everything.
  if (tests.length === 0) return [];
  const report = await runTests(tree, tests, PRISTINE_MS_MAX);
  if (typeof report === 'string') return [report];
  return tests.flatMap(({ file, title }) => {
    const statuses = resultsFor(report, title).map(({ status }) => status);
    return statuses.length > 0 && statuses.every((status) => status === 'passed')
      ? []
      : [`${file}: ${title}: ${statuses.join(', ') || 'there is no such test'}`];
  });
}

async function redSeeds(tree: string, seeds: CatchingSeeds): Promise<string[]> {
  const verdict = await verdictOfSeeds(tree, seeds);
  return verdict.kind === 'survived' ? [] : [`${seeds.count} seeds from ${seeds.from}: ${JSON.stringify(verdict)}`];
}

async function verdictOfTest(tree: string, catcher: CatchingTest): Promise<Verdict> {
  const report = await runTests(tree, [catcher], CATCH_MS_MAX);
  if (typeof report === 'string') return { kind: 'broken', why: report };
  const results = resultsFor(report, catcher.title);
  const why = report.testResults.map(({ message }) => message).join('\n');
  if (results.length === 0) return { kind: 'broken', why: why || 'the test was not run' };
  const what = `${catcher.file}: ${catcher.title}`;
  const failed = results.find(({ status }) => status === 'failed');
  if (failed === undefined) return { kind: 'survived', what };
  return failure(what, failed.failureMessages?.[0] ?? '');
}

/** The report, or why there is none. */
async function runTests(tree: string, tests: readonly CatchingTest[], msMax: number): Promise<Report | string> {
  const path = join(tree, REPORT);
  rmSync(path, { force: true });
  const files = [...new Set(tests.map(({ file }) => file))];
  const titles = tests.map(({ title }) => title.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const ended = await runNode({
    tree,
    args: [
      ...['node_modules/vitest/vitest.mjs', 'run', ...files, '--testNamePattern', `(^| )(${titles.join('|')})$`],
      ...['--reporter=json', `--outputFile=${REPORT}`, '--cache=false'],
    ],
    msMax,
  });
  if (ended.isStuck) return `no end within ${msMax / 1_000} s`;
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as Report;
  } catch {
    return `no report: ${ended.tail}`;
  }
}

/** Of the tests with this title that were run. */
function resultsFor({ testResults }: Report, title: string): Report['testResults'][number]['assertionResults'] {
  return testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter((result) => result.title === title && (result.status === 'passed' || result.status === 'failed'));
}

async function verdictOfSeeds(tree: string, { from, count }: CatchingSeeds): Promise<Verdict> {
  let found: Verdict | null = null;
  const ended = await runNode({
    tree,
    args: ['--import', 'tsx', 'test/sim/main.ts', '--seeds', String(count), '--from', String(from)],
    msMax: CATCH_MS_MAX,
    line: (line) => {
      const seed = /^seed (\d+) (.*)/.exec(line);
      if (seed === null) return false;
      found ??= failure(`seed ${seed[1]}`, seed[2] ?? '');
      return true;
    },
  });
  if (found !== null) return found;
  if (ended.code === 0) return { kind: 'survived', what: `${count} seeds from ${from}` };
  return { kind: 'broken', why: ended.isStuck ? `no end within ${CATCH_MS_MAX / 1_000} s` : ended.tail };
}

function failure(by: string, text: string): Verdict {
  const finding = (text.split('\n')[0] ?? '').slice(0, FINDING_CHARACTERS_MAX);
  return OWN_FAULT.test(finding) ? { kind: 'broken', why: text } : { kind: 'caught', by, finding };
}
