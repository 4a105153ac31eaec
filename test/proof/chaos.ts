/**
 * The chaos table of docs/chaos.md, its chart, and every row behind it (docs/chaos.json).
 *
 *   tsx test/proof/chaos.ts [--seeds 5] [--lengths 1000,5000,10000,50000] [--compress 10] [--at-once 2] [--go-on]
 *                           [--only TITLE] [--real-time]
 *
 * Each run is one call of `polaris chaos` for one part and one seed; what one gave is written down at once, so that a
 * proof that was cut off can go on (`--go-on`) where it was. The page is written only when every promise was kept; what
 * the machine cannot do is named on it. `--real-time` adds the run of 50,000 points at the original's own pace.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chartSvg } from '../../chaos/chart.ts';
import { PROGRAM } from '../../chaos/cluster.ts';
import { brokenLines } from '../../chaos/report.ts';
import type { ChaosReport } from '../../chaos/row.ts';
import { summaryTable } from '../../chaos/summary.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const PAGE = fileURLToPath(new URL('../../docs/chaos.md', import.meta.url));
const ROWS = fileURLToPath(new URL('../../docs/chaos.json', import.meta.url));
const CHART = fileURLToPath(new URL('../../docs/chaos.svg', import.meta.url));
const BEGIN = '<!-- measured: begin -->';
const END = '<!-- measured: end -->';
/** Beyond the exit codes of a kept and of a broken promise the run itself went wrong. */
const EXIT_BROKEN = 1;

interface Part {
  readonly title: string;
  readonly args: readonly string[];
  /** How many seeds, where it is not as many as were asked for. */
  readonly seeds?: number;
}

interface Measured extends ChaosReport {
  readonly part: string;
  readonly commit: string;
}

interface Settings {
  readonly lengths: string;
  readonly compress: string;
  readonly realTime: boolean;
}

function parts({ lengths, compress, realTime }: Settings): Part[] {
  const [first = lengths, second = first] = lengths.split(',');
  const all = ['--compress', compress, '--lengths', lengths];
  const few = ['--compress', compress, '--lengths', second];
  const redis = ['--sink', 'redis'];
  const exactly = ['--delivery', 'exactly-once'];
  // Leaders that fall every few seconds, pauses and partitions leave little time to work: the shortest length will do.
  const mixed = ['--compress', compress, '--lengths', first, '--mode', 'leader', '--nemesis', 'pause,partition'];
  const real = { title: 'In real time', args: ['--lengths', '50000', '--mode', 'kill', ...redis], seeds: 1 };
  return [
    ...(realTime ? [real] : []),
    { title: 'Kill -9', args: [...all, '--mode', 'kill', ...redis] },
    { title: 'Exactly once, everything at once', args: [...mixed, ...exactly, '--sink', 'fenced-redis'] },
    { title: 'At most once', args: [...all, '--mode', 'kill', ...redis, '--delivery', 'at-most-once'] },
    { title: 'Exceptions', args: [...all, '--mode', 'soft', ...redis] },
    { title: 'Exactly once', args: [...all, '--mode', 'kill', ...exactly, '--sink', 'fenced-redis'] },
    { title: 'Workers and leaders', args: [...all, '--mode', 'leader', ...redis] },
    { title: 'Exactly once, PostgreSQL', args: [...few, '--mode', 'kill', ...exactly, '--sink', 'postgres'] },
    { title: 'Nemeses', args: [...few, ...redis, '--nemesis', 'each'], seeds: 1 },
  ];
}

/** What one call of the program counted. @throws Error when it did not get as far as counting */
async function measure({ title, args }: Part, seed: number): Promise<ChaosReport> {
  const dir = mkdtempSync(join(tmpdir(), 'polaris-chaos-proof-'));
  try {
    const json = join(dir, 'rows.json');
    const all = [PROGRAM, 'chaos', ...args, '--seed', String(seed), '--json', json];
    const child = spawn(process.execPath, all, { stdio: ['ignore', 'ignore', 'inherit'] });
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0 && code !== EXIT_BROKEN) throw new Error(`${title}, seed ${seed}: exit code ${code}`);
    return JSON.parse(readFileSync(json, 'utf8')) as ChaosReport;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Runs them so many at a time, in order; the first failure ends it. */
async function pooled<T>(tasks: readonly T[], atOnce: number, run: (task: T) => Promise<void>): Promise<void> {
  const waiting = [...tasks];
  const lanes = Array.from({ length: atOnce }, async () => {
    for (let task = waiting.shift(); task !== undefined; task = waiting.shift()) await run(task);
  });
  await Promise.all(lanes);
}

function section({ title, args }: Part, measured: readonly Measured[]): string {
  const skipped = new Map(measured.flatMap((one) => one.skipped).map(({ nemesis, reason }) => [nemesis, reason]));
  const seeds = measured.map(({ seed }) => seed).sort((left, right) => left - right);
  const lines = [...skipped].map(([nemesis, reason]) => `- skipped: ${nemesis}: ${reason}\n`);
  const table = summaryTable(measured.flatMap(({ rows }) => rows));
  return `### ${title}\n\n\`polaris chaos ${args.join(' ')}\`, seeds ${seeds.join(', ')}\n\n${[table, ...lines].join('\n')}`;
}

function writePage(all: readonly Measured[], wanted: readonly Part[], atOnce: number): void {
  const commits = [...new Set(all.map(({ commit }) => commit))].join(', ');
  const machine = `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), Node ${process.version}`;
  const runs = all.flatMap(({ rows }) => rows).length;
  const made = [
    `Measured on ${new Date().toISOString().slice(0, 10)}, commit ${commits}, ${machine}, ${atOnce} calls at a time:`,
    `${runs} runs, every promise kept. Strikes are those of all runs of a row together; every other number is the worst of its runs.`,
    'Every single run is in [chaos.json](chaos.json).',
  ].join('\n');
  const sections = wanted.map((part) => {
    const own = all.filter((one) => one.part === part.title);
    return own.length === 0 ? '' : section(part, own);
  });
  const page = readFileSync(PAGE, 'utf8');
  const [head, tail] = [page.slice(0, page.indexOf(BEGIN)), page.slice(page.indexOf(END))];
  writeFileSync(PAGE, `${head}${BEGIN}\n\n${made}\n\n![Duplicates](chaos.svg)\n\n${sections.join('\n')}\n${tail}`);
  const charted = all.flatMap(({ rows }) => rows.filter(({ nemeses }) => nemeses.length === 0));
  writeFileSync(CHART, chartSvg(charted));
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '5' },
      lengths: { type: 'string', default: '1000,5000,10000,50000' },
      compress: { type: 'string', default: '10' },
      only: { type: 'string' },
      'at-once': { type: 'string', default: '2' },
      'real-time': { type: 'boolean', default: false },
      'go-on': { type: 'boolean', default: false },
    },
  });
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim();
  const wanted = parts({ ...values, realTime: values['real-time'] });
  const all: Measured[] = values['go-on'] && existsSync(ROWS) ? JSON.parse(readFileSync(ROWS, 'utf8')) : [];
  const tasks = wanted.flatMap((part) =>
    Array.from({ length: part.seeds ?? Number(values.seeds) }, (_, at) => ({ part, seed: at + 1 })),
  );
  const open = tasks.filter(
    ({ part, seed }) =>
      (values.only === undefined || values.only === part.title) &&
      !all.some((one) => one.part === part.title && one.seed === seed),
  );
  const atOnce = Number(values['at-once']);
  const broken: string[] = [];
  await pooled(open, atOnce, async ({ part, seed }) => {
    const report = await measure(part, seed);
    broken.push(...brokenLines(report));
    if (brokenLines(report).length > 0) return;
    all.push({ part: part.title, commit, ...report });
    writeFileSync(ROWS, `${JSON.stringify(all)}\n`);
  });
  for (const line of broken) process.stdout.write(`${line}\n`);
  process.stdout.write(
    `${all.flatMap(({ rows }) => rows).length} runs kept their promises, ${broken.length} broke one\n`,
  );
  if (broken.length > 0) return EXIT_BROKEN;
  writePage(all, wanted, atOnce);
  return 0;
}

process.exitCode = await main();
