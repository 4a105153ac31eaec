/**
 * The chaos table of docs/chaos.md, its chart, and every row behind it (docs/chaos.json).
 *
 *   tsx test/proof/chaos.ts [--seeds 5] [--lengths 1000,5000,10000,50000] [--compress 10] [--at-once 2] [--go-on]
 *                           [--only TITLE] [--real-time]
 *
 * Each run is one call of `polaris chaos` for one part and one seed; what one gave is written down at once, so that a
 * proof that was cut off can go on (`--go-on`) where it was, and the page says which seeds it has. A run that broke a
 * promise ends the proof in red, and what the machine cannot do is named on the page. `--real-time` adds the run of 50,000 points at the original's own pace.
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

/** Takes so long that it is run only where it is asked for. */
const IN_REAL_TIME = 'In real time';

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
}

/** Short lengths of all kinds come first, so that a proof that is cut off has something of each. */
function parts({ lengths, compress }: Settings): Part[] {
  const all = lengths.split(',');
  const [first = lengths, second = first] = all;
  const mode = (name: string, length: string) => ['--compress', compress, '--lengths', length, '--mode', name];
  const redis = ['--sink', 'redis'];
  const exactly = ['--delivery', 'exactly-once'];
  const real = { title: IN_REAL_TIME, args: ['--lengths', '50000', '--mode', 'kill', ...redis], seeds: 1 };
  const each = all.flatMap((length): Part[] => [
    { title: `Kill -9, ${length} points`, args: [...mode('kill', length), ...redis] },
    {
      title: `At most once, ${length} points`,
      args: [...mode('kill', length), ...redis, '--delivery', 'at-most-once'],
    },
    { title: `Exactly once, ${length} points`, args: [...mode('kill', length), ...exactly, '--sink', 'fenced-redis'] },
    { title: `Exceptions, ${length} points`, args: [...mode('soft', length), ...redis] },
    { title: `Workers and leaders, ${length} points`, args: [...mode('leader', length), ...redis] },
  ]);
  // Leaders that fall every few seconds, pauses and partitions leave little time to work: the shortest length will do.
  const mixed = [...mode('leader', first), '--nemesis', 'pause,partition', ...exactly];
  return [
    real,
    ...each.slice(0, 5),
    { title: 'Exactly once, everything at once', args: [...mixed, '--sink', 'fenced-redis'] },
    { title: 'Exactly once, PostgreSQL', args: [...mode('kill', second), ...exactly, '--sink', 'postgres'] },
    { title: 'Nemeses', args: ['--compress', compress, '--lengths', first, ...redis, '--nemesis', 'each'], seeds: 1 },
    ...each.slice(5),
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

/** One table of all kinds of runs, in the order of the parts, and the command of each below it. */
function tables(measured: readonly Measured[], wanted: readonly Part[]): string {
  const inOrder = wanted.flatMap((part) => measured.filter((one) => one.part === part.title));
  const skipped = new Map(measured.flatMap((one) => one.skipped).map(({ nemesis, reason }) => [nemesis, reason]));
  const commands = wanted.flatMap(({ title, args }) => {
    const seeds = inOrder.filter((one) => one.part === title).map(({ seed }) => seed);
    if (seeds.length === 0) return [];
    return [
      `- ${title}: \`polaris chaos ${args.join(' ')} --seed …\`, seeds ${seeds.sort((a, b) => a - b).join(', ')}`,
    ];
  });
  const skips = [...skipped].map(([nemesis, reason]) => `- skipped: ${nemesis}: ${reason}`);
  return `${summaryTable(inOrder)}\n${[...commands, ...skips].join('\n')}\n`;
}

function writePage(all: readonly Measured[], wanted: readonly Part[]): void {
  const commits = [...new Set(all.map(({ commit }) => commit))].join(', ');
  const machine = `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), Node ${process.version}`;
  const runs = all.flatMap(({ rows }) => rows).length;
  const made = [
    `Measured on ${new Date().toISOString().slice(0, 10)}, commit ${commits}, ${machine}: ${runs} runs, every`,
    'promise kept. Strikes are those of all runs of a row together; every other number is the worst of its runs. Every single',
    'run is in [chaos.json](chaos.json); the chart leaves out what ran in real time.',
  ].join('\n');
  const page = readFileSync(PAGE, 'utf8');
  const [head, tail] = [page.slice(0, page.indexOf(BEGIN)), page.slice(page.indexOf(END))];
  writeFileSync(PAGE, `${head}${BEGIN}\n\n${made}\n\n![Duplicates](chaos.svg)\n\n${tables(all, wanted)}\n${tail}`);
  // A bar is the worst of its kind; a run in real time is another kind than those under pressure.
  const pressed = all.filter(({ compress }) => compress > 1);
  const charted = pressed.flatMap(({ rows }) => rows.filter(({ nemeses }) => nemeses.length === 0));
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
  const wanted = parts(values);
  const all: Measured[] = values['go-on'] && existsSync(ROWS) ? JSON.parse(readFileSync(ROWS, 'utf8')) : [];
  const tasks = wanted.flatMap((part) =>
    Array.from({ length: part.seeds ?? Number(values.seeds) }, (_, at) => ({ part, seed: at + 1 })),
  );
  const open = tasks.filter(
    ({ part, seed }) =>
      (values.only === undefined || values.only === part.title) &&
      (values['real-time'] || part.title !== IN_REAL_TIME) &&
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
    writePage(all, wanted);
  });
  // Also when there was nothing left to run: the page may be another one by now.
  if (all.length > 0) writePage(all, wanted);
  for (const line of broken) process.stdout.write(`${line}\n`);
  process.stdout.write(
    `${all.flatMap(({ rows }) => rows).length} runs kept their promises, ${broken.length} broke one\n`,
  );
  return broken.length > 0 ? EXIT_BROKEN : 0;
}

process.exitCode = await main();
