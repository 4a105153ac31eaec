/**
 * `npm run sim -- --seeds N [--from S]` runs a campaign; `npm run sim -- --seed S [--trace]` replays one seed, whose trace
 * is all of stdout: what else there is to say goes to stderr.
 *
 * The only clock in this folder is here, for the progress line.
 */
import { parseArgs } from 'node:util';
import { type CampaignResult, runCampaign } from './campaign.ts';
import { countsText, SEEDS_FOR_COVERAGE, unfired } from './coverage.ts';
import { runSeed } from './run.ts';

const USAGE = `usage: npm run sim -- --seeds N [--from S]
       npm run sim -- --seed S [--trace]
`;
const SEEDS_DEFAULT = '200';
const FAILURES_MAX = 10;
/** Few enough to see that it lives. */
const PROGRESS_EVERY_SEEDS = 20;

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function replay(seed: number, trace: boolean): number {
  const result = runSeed(seed, trace ? { trace: print } : {});
  const say = trace ? (text: string) => process.stderr.write(`${text}\n`) : print;
  say(
    `seed ${seed}: ${result.ok ? 'ok' : 'FAILED'}, ${seconds(result.virtualMs)} virtual s, trace ${result.traceHash}`,
  );
  say(countsText(result.counts));
  if (result.failure !== null) say(result.failure);
  return result.ok ? 0 : 1;
}

async function campaign(from: number, count: number): Promise<number> {
  const startedAt = performance.now();
  const line = (soFar: CampaignResult): string => {
    const minutes = (performance.now() - startedAt) / 60_000;
    const perMinute = Math.round(soFar.seedCount / minutes);
    return `${soFar.seedCount} seeds (${perMinute} a minute), ${seconds(soFar.virtualMs)} virtual s, ${soFar.eventCount} events, ${soFar.failures.length} failed`;
  };
  let shown = 0;
  const result = await runCampaign({
    from,
    count,
    failuresMax: FAILURES_MAX,
    progress: (soFar) => {
      for (const failure of soFar.failures.slice(shown)) print(failure.failure ?? '');
      shown = soFar.failures.length;
      if (soFar.seedCount % PROGRESS_EVERY_SEEDS === 0) print(line(soFar));
    },
  });
  print(countsText(result.counts));
  print(line(result));
  const missing = unfired(result.counts);
  if (missing.length > 0) print(`never fired: ${missing.join(', ')}`);
  const isUncovered = missing.length > 0 && count >= SEEDS_FOR_COVERAGE;
  return result.failures.length > 0 || isUncovered ? 1 : 0;
}

function seconds(ms: number): number {
  return Math.round(ms / 1_000);
}

/** A whole number from the command line, or null. */
function integer(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null;
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: SEEDS_DEFAULT },
      from: { type: 'string', default: '1' },
      seed: { type: 'string' },
      trace: { type: 'boolean', default: false },
    },
  });
  const seed = integer(values.seed);
  if (values.seed !== undefined && seed !== null) return replay(seed, values.trace);
  const count = integer(values.seeds);
  const from = integer(values.from);
  if (values.seed === undefined && count !== null && from !== null) return campaign(from, count);
  process.stderr.write(USAGE);
  return 2;
}

process.exitCode = await main();
