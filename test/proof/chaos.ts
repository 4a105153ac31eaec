/**
 * The chaos table of docs/chaos.md, and its chart.
 *
 *   tsx test/proof/chaos.ts [--seeds 5] [--lengths 1000,5000,10000,50000] [--compress 10] [--only TITLE] [--uncompressed]
 *
 * Each part is one call of `polaris chaos` for each seed. The page is written only when every promise was kept; what a
 * machine cannot do is named on it. `--uncompressed` adds the run of 50,000 points in real time, which takes half an hour.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { chartSvg } from '../../chaos/chart.ts';
import { PROGRAM } from '../../chaos/cluster.ts';
import { markdown } from '../../chaos/report.ts';
import type { ChaosReport } from '../../chaos/row.ts';

const PAGE = fileURLToPath(new URL('../../docs/chaos.md', import.meta.url));
const CHART = fileURLToPath(new URL('../../docs/chaos.svg', import.meta.url));
const BEGIN = '<!-- measured: begin -->';
const END = '<!-- measured: end -->';
const REAL_TIME_LENGTH = '50000';
/** Beyond the exit codes of a kept and of a broken promise the run itself went wrong. */
const EXIT_BROKEN = 1;

interface Part {
  readonly title: string;
  readonly args: readonly string[];
}

interface Settings {
  readonly lengths: string;
  readonly compress: string;
  readonly realTime: boolean;
}

function parts({ lengths, compress, realTime }: Settings): Part[] {
  const fast = ['--compress', compress, '--lengths', lengths];
  const one = ['--compress', compress, '--lengths', lengths.split(',')[1] ?? lengths];
  const fenced = ['--delivery', 'exactly-once', '--mode', 'leader'];
  return [
    { title: 'The experiment of the original', args: [...fast, '--mode', 'soft,kill,leader', '--sink', 'redis'] },
    { title: 'At most once', args: [...fast, '--mode', 'kill', '--sink', 'redis', '--delivery', 'at-most-once'] },
    {
      title: 'Exactly once',
      args: [...fast, ...fenced, '--sink', 'fenced-redis,postgres', '--nemesis', 'pause,partition'],
    },
    { title: 'Nemeses', args: [...one, '--sink', 'redis', '--nemesis', 'each'] },
    ...(realTime
      ? [{ title: 'In real time', args: ['--lengths', REAL_TIME_LENGTH, '--mode', 'kill', '--sink', 'redis'] }]
      : []),
  ];
}

/** What one call of the program counted. @throws Error when it did not get as far as counting */
async function measured(part: Part, seed: number, dir: string): Promise<ChaosReport> {
  const json = join(dir, 'rows.json');
  rmSync(json, { force: true });
  const args = [PROGRAM, 'chaos', ...part.args, '--seed', String(seed), '--json', json];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0 && code !== EXIT_BROKEN) throw new Error(`${part.title}, seed ${seed}: exit code ${code}`);
  return JSON.parse(readFileSync(json, 'utf8')) as ChaosReport;
}

function section(part: Part, reports: readonly ChaosReport[]): string {
  const tables = reports.map((report) => markdown(report));
  return `### ${part.title}\n\n\`polaris chaos ${part.args.join(' ')}\`\n\n${tables.join('\n')}`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '5' },
      lengths: { type: 'string', default: '1000,5000,10000,50000' },
      compress: { type: 'string', default: '10' },
      only: { type: 'string' },
      uncompressed: { type: 'boolean', default: false },
    },
  });
  const wanted = parts({ ...values, realTime: values.uncompressed }).filter(
    ({ title }) => values.only === undefined || title === values.only,
  );
  const dir = mkdtempSync(join(tmpdir(), 'polaris-chaos-proof-'));
  const all: ChaosReport[] = [];
  const sections: string[] = [];
  try {
    for (const part of wanted) {
      const reports: ChaosReport[] = [];
      for (let seed = 1; seed <= Number(values.seeds); seed++) reports.push(await measured(part, seed, dir));
      all.push(...reports);
      sections.push(section(part, reports));
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  const broken = all.flatMap(({ rows }) => rows.flatMap((row) => row.broken)).length;
  const rows = all.flatMap((report) => report.rows);
  process.stdout.write(`${rows.length} runs, ${broken} broken promises\n${sections.join('\n')}\n`);
  if (broken > 0) return EXIT_BROKEN;
  const machine = `${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), Node ${process.version}`;
  const made = `Measured on ${new Date().toISOString().slice(0, 10)}: ${machine}. Every promise was kept.`;
  const page = readFileSync(PAGE, 'utf8');
  const [head, tail] = [page.slice(0, page.indexOf(BEGIN)), page.slice(page.indexOf(END))];
  writeFileSync(PAGE, `${head}${BEGIN}\n\n${made}\n\n![Duplicates](chaos.svg)\n\n${sections.join('\n')}\n${tail}`);
  writeFileSync(CHART, chartSvg(all.find(({ rows: found }) => found.length > 0)?.rows ?? []));
  return 0;
}

process.exitCode = await main();
