/**
 * The chaos table of docs/chaos.md, its chart, and every row behind it (docs/chaos.json).
 *
 *   tsx test/proof/chaos.ts [--seeds 5] [--lengths 1000,5000,10000,50000] [--compress 10] [--at-once 2] [--go-on]
 *                           [--only TITLE] [--real-time] [--page]
 *
 * Each run is one call of `polaris chaos` for one part and one seed; what one gave is written down at once, whatever it
 * gave. A run that broke a promise ends nothing: the others are made too, the page names it, and the proof ends in red.
 * So does one that did not come as far as counting: of that there is nothing to write down, and it is named at the end.
 *
 * `--go-on` keeps what is recorded and makes only the runs that are missing there: a seed that broke a promise stays what
 * it was. `--only` keeps the other parts, and so goes on too. Without either, all of them are made anew. `--real-time` adds
 * the run of 50,000 points at the original's own pace. `--page` runs nothing and writes the page anew.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { PROGRAM } from '../../chaos/cluster.ts';
import { brokenLines } from '../../chaos/report.ts';
import type { ChaosReport } from '../../chaos/row.ts';
import { errorText } from '../../src/base/errors.ts';
import {
  chartOf,
  judged,
  type Measured,
  openTasks,
  type Part,
  pageWith,
  partsOf,
  SETTINGS_DEFAULT,
  type Task,
  toll,
} from './chaos-page.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = fileURLToPath(new URL('../../docs/chaos.md', import.meta.url));
const ROWS = fileURLToPath(new URL('../../docs/chaos.json', import.meta.url));
const CHART = fileURLToPath(new URL('../../docs/chaos.svg', import.meta.url));
/** Beyond the exit codes of a kept and of a broken promise the run itself went wrong. */
const EXIT_BROKEN = 1;
const EXIT_USAGE = 2;

/** What one call of the program counted. @throws Error when it did not get as far as counting */
async function measure({ part: { args }, seed }: Task): Promise<ChaosReport> {
  const dir = mkdtempSync(join(tmpdir(), 'polaris-chaos-proof-'));
  try {
    const json = join(dir, 'rows.json');
    const all = [PROGRAM, 'chaos', ...args, '--seed', String(seed), '--json', json];
    const child = spawn(process.execPath, all, { stdio: ['ignore', 'ignore', 'inherit'] });
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0 && code !== EXIT_BROKEN) throw new Error(`exit code ${code}`);
    return JSON.parse(readFileSync(json, 'utf8')) as ChaosReport;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Runs them so many at a time, in order. */
async function pooled<T>(tasks: readonly T[], atOnce: number, run: (task: T) => Promise<void>): Promise<void> {
  const waiting = [...tasks];
  const lanes = Array.from({ length: atOnce }, async () => {
    for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) await run(task);
  });
  await Promise.all(lanes);
}

/** Makes the runs and writes each down. Gives one line for each that did not come as far as counting. */
async function measureAll(options: {
  readonly tasks: readonly Task[];
  readonly atOnce: number;
  readonly all: Measured[];
  readonly parts: readonly Part[];
}): Promise<string[]> {
  const { tasks, atOnce, all, parts } = options;
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim();
  const machine = `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), Node ${process.version}`;
  const uncounted: string[] = [];
  await pooled(tasks, atOnce, async (task) => {
    try {
      const report = judged(await measure(task));
      const date = new Date().toISOString().slice(0, 10);
      all.push({ part: task.part.title, commit, date, machine, ...report });
    } catch (thrown) {
      uncounted.push(`NOT COUNTED: ${task.part.title}, seed ${task.seed}: ${errorText(thrown)}`);
      return;
    }
    writeFileSync(ROWS, `${JSON.stringify(all)}\n`);
    writePage(all, parts);
  });
  return uncounted;
}

function writePage(all: readonly Measured[], parts: readonly Part[]): void {
  writeFileSync(PAGE, pageWith(readFileSync(PAGE, 'utf8'), all, parts));
  writeFileSync(CHART, chartOf(all));
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '5' },
      lengths: { type: 'string', default: SETTINGS_DEFAULT.lengths },
      compress: { type: 'string', default: SETTINGS_DEFAULT.compress },
      only: { type: 'string' },
      'at-once': { type: 'string', default: '2' },
      'real-time': { type: 'boolean', default: false },
      'go-on': { type: 'boolean', default: false },
      page: { type: 'boolean', default: false },
    },
  });
  const parts = partsOf(values);
  const only = values.only ?? null;
  if (only !== null && parts.every(({ title }) => title !== only)) {
    process.stderr.write(`No part is called "${only}": ${parts.map(({ title }) => `"${title}"`).join(', ')}.\n`);
    return EXIT_USAGE;
  }
  const keeps = values['go-on'] || values.page || only !== null;
  const all: Measured[] = keeps && existsSync(ROWS) ? JSON.parse(readFileSync(ROWS, 'utf8')) : [];
  const wanted = { parts, recorded: all, seeds: Number(values.seeds), only, realTime: values['real-time'] };
  const tasks = values.page ? [] : openTasks(wanted);
  const uncounted = await measureAll({ tasks, atOnce: Number(values['at-once']), all, parts });
  // Also when there was nothing left to run: the page may be another one by now.
  if (all.length > 0) writePage(all, parts);
  const broken = all.flatMap(brokenLines);
  for (const line of [...broken, ...uncounted]) process.stdout.write(`${line}\n`);
  process.stdout.write(`${toll(all)}\n`);
  return broken.length + uncounted.length > 0 ? EXIT_BROKEN : 0;
}

process.exitCode = await main();
