/**
 * polaris chaos: a cluster of real processes on this machine, crashed on schedule, and what stands in the sink counted.
 *
 * The code of the runs is in chaos/, and is loaded only when this command is given.
 */
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { ProgressOfRun } from '../../chaos/experiment.ts';
import { type ChaosReport, MODES, NEMESES, type NemesisName, type Row, type RowSpec, SINKS } from '../../chaos/row.ts';
import type { Span } from '../../chaos/schedule.ts';
import { errorText, PolarisError } from '../base/errors.ts';
import { COMMIT_EVERY_MAX } from '../base/limits.ts';
import { DELIVERIES } from '../ranges/deliveries.ts';
import { type CliArguments, type CliCommand, textOf } from './command.ts';
import { EXIT_INTERRUPTED } from './finish.ts';
import type { CliIo } from './io.ts';

const EXIT_BROKEN = 1;
const WORKERS_MAX = 64;
const LENGTH_MAX = 10_000_000;
const RATE_MAX = 100_000;
const COMPRESS_MAX = 1_000;
const SEED_MAX = 2 ** 31 - 1;
/** Each nemesis alone, and all of them mixed. */
const EACH = 'each';
const CLEAR_LINE = '\r\u001b[2K';

const text = (describe: string, defaultDescription: string) =>
  ({ type: 'string', requiresArg: true, describe, defaultDescription }) as const;

export const chaos: CliCommand = {
  command: 'chaos',
  describe: 'Crash a cluster on this machine and count what came of it',
  build: (parser) =>
    parser
      .options({
        workers: text('Workers, each with one slot, beside three voters without', '4'),
        lengths: text('Points of the job; one run for each', '1000'),
        rate: text('Points a second of each worker', '10'),
        'crash-every': text('Seconds between two crashes of the same worker, drawn from this range', '15..45'),
        mode: text(`${MODES.join(', ')}; one run for each`, 'kill, or none beside --nemesis'),
        delivery: text(`${DELIVERIES.join(', ')}; one run for each`, 'at-least-once'),
        'commit-every': text('Points that a crash may cost', '1'),
        sink: text(`${SINKS.join(', ')}; one run for each`, 'redis, or file where there is none'),
        nemesis: {
          type: 'string',
          requiresArg: true,
          describe: `What else befalls the cluster, mixed in one run: ${NEMESES.join(', ')}; again for another run; or ${EACH}`,
        },
        compress: text('Divides the intervals of crashes and points', '1'),
        seed: text('Repeats the schedule of a run', 'drawn'),
        json: text('Write the rows here', 'nowhere'),
        svg: text('Write a chart of the duplicates here', 'nowhere'),
      })
      .example('$0 chaos --compress 10', 'a run in seconds')
      .example(
        '$0 chaos --lengths 1000,5000 --mode soft,kill,leader',
        'the experiment of the original, and harder ones',
      )
      .epilogue('Exit code 1 says that a promise was broken, and which. stdout is a Markdown table.'),
  run: runChaos,
};

async function runChaos(io: CliIo, args: CliArguments): Promise<number> {
  const { runCampaign, specsOf } = await import('../../chaos/campaign.ts');
  const plan = {
    seed: integerOf(args, 'seed', { min: 0, max: SEED_MAX }) ?? randomInt(SEED_MAX),
    workers: integerOf(args, 'workers', { min: 1, max: WORKERS_MAX }) ?? 4,
    rate: numberOf(args, 'rate', RATE_MAX) ?? 10,
    crashEvery: spanOf(args, 'crash-every') ?? { minMs: 15_000, maxMs: 45_000 },
    commitEvery: integerOf(args, 'commit-every', { min: 1, max: COMMIT_EVERY_MAX }) ?? 1,
    compress: numberOf(args, 'compress', COMPRESS_MAX) ?? 1,
  };
  const nemeses = nemesesOf(args);
  const rows = specsOf({
    lengths: lengthsOf(args),
    modes: wordsOf(args, 'mode', MODES) ?? [nemeses.some((one) => one.length > 0) ? 'none' : 'kill'],
    deliveries: wordsOf(args, 'delivery', DELIVERIES) ?? ['at-least-once'],
    sinks: wordsOf(args, 'sink', SINKS) ?? [await sinkThere(io)],
    nemeses,
  });
  io.stderr.write(`${rows.length} runs, seed ${plan.seed}\n`);
  const interruption = interruptible();
  const view = progressView(io);
  try {
    const report = await runCampaign({ plan, rows, interrupted: interruption.signal, ...view });
    return await publish(io, args, report);
  } catch (thrown) {
    if (!interruption.signal.aborted) throw thrown;
    io.stderr.write('Interrupted; everything that was started is ended.\n');
    return EXIT_INTERRUPTED;
  } finally {
    view.end();
    interruption.release();
  }
}

/** Prints the table, writes the files that were asked for and says what was broken. Gives the exit code. */
export async function publish(
  io: Pick<CliIo, 'stdout' | 'stderr'>,
  args: CliArguments,
  report: ChaosReport,
): Promise<number> {
  const { markdown, brokenLines } = await import('../../chaos/report.ts');
  io.stdout.write(markdown(report));
  const svg = textOf(args, 'svg');
  if (svg !== null) save(svg, (await import('../../chaos/chart.ts')).chartSvg(report.rows));
  const json = textOf(args, 'json');
  if (json !== null) save(json, `${JSON.stringify(report, null, 2)}\n`);
  const broken = brokenLines(report);
  for (const line of broken) io.stderr.write(`polaris: ${line}\n`);
  return broken.length === 0 ? 0 : EXIT_BROKEN;
}

/** Ctrl-C, and whatever else asks a process to go: the cluster is ended first. */
function interruptible(): { readonly signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const abort = (): void => controller.abort();
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, abort);
  return {
    signal: controller.signal,
    release() {
      for (const signal of signals) process.off(signal, abort);
    },
  };
}

function progressView({ stderr }: CliIo) {
  const redraws = stderr.isTTY === true;
  let drawn = false;
  const clear = (): void => {
    if (drawn) stderr.write(CLEAR_LINE);
    drawn = false;
  };
  return {
    onProgress(spec: RowSpec, { done, total, kills }: ProgressOfRun): void {
      if (!redraws) return;
      drawn = true;
      const nemeses = spec.nemeses.length === 0 ? '' : ` ${spec.nemeses.join('+')}`;
      stderr.write(`${CLEAR_LINE}${spec.mode}${nemeses}: ${done} of ${total} points, ${kills} kills`);
    },
    onRow(row: Row, keptIn: string | null): void {
      clear();
      const what = [row.mode, row.delivery, row.sink, ...row.nemeses].join(' ');
      const counts = `${row.strikes} strikes, ${row.kills} kills, ${row.missing} missing, ${row.duplicates} duplicates, ${row.seconds} s`;
      stderr.write(`${row.length} points, ${what}: ${counts}\n`);
      if (keptIn !== null) stderr.write(`  logs and data are kept in ${keptIn}\n`);
    },
    end: clear,
  };
}

/** The default: a Redis where there is one; elsewhere a file, which is said. */
export async function sinkThere(io: Pick<CliIo, 'stderr'>): Promise<'redis' | 'file'> {
  const { sinkRefusal } = await import('../../chaos/sinks.ts');
  const refusal = sinkRefusal('redis');
  if (refusal === null) return 'redis';
  io.stderr.write(`The lines go to a file: ${refusal}.\n`);
  return 'file';
}

function save(path: string, content: string): void {
  try {
    writeFileSync(path, content);
  } catch (cause) {
    throw new PolarisError('FILE_FAILED', `${path}: ${errorText(cause)}`, { cause });
  }
}

// ---- arguments ------------------------------------------------------------------------------------------------------

function lengthsOf(args: CliArguments): readonly number[] {
  const items = textOf(args, 'lengths')?.split(',') ?? ['1000'];
  return items.map((item) => integer(item, 'lengths', { min: 1, max: LENGTH_MAX }));
}

function integerOf(args: CliArguments, name: string, bounds: { min: number; max: number }): number | null {
  const given = textOf(args, name);
  return given === null ? null : integer(given, name, bounds);
}

function integer(given: string, name: string, { min, max }: { min: number; max: number }): number {
  const value = Number(given);
  if (/^\d{1,15}$/.test(given) && value >= min && value <= max) return value;
  throw new PolarisError('USAGE', `--${name} must be an integer from ${min} to ${max}, not "${given}"`);
}

function numberOf(args: CliArguments, name: string, max: number): number | null {
  const given = textOf(args, name);
  if (given === null) return null;
  const value = Number(given);
  if (/^\d{1,9}(\.\d{1,6})?$/.test(given) && value > 0 && value <= max) return value;
  throw new PolarisError('USAGE', `--${name} must be a number above 0 and up to ${max}, not "${given}"`);
}

/** `15..45`, in seconds. */
function spanOf(args: CliArguments, name: string): Span | null {
  const given = textOf(args, name);
  if (given === null) return null;
  const match = /^(\d{1,6}(?:\.\d{1,3})?)\.\.(\d{1,6}(?:\.\d{1,3})?)$/.exec(given);
  const [minMs, maxMs] = [Number(match?.[1]) * 1_000, Number(match?.[2]) * 1_000];
  if (match !== null && minMs > 0 && minMs <= maxMs) return { minMs, maxMs };
  throw new PolarisError('USAGE', `--${name} must be two numbers of seconds such as 15..45, not "${given}"`);
}

function wordsOf<T extends string>(args: CliArguments, name: string, allowed: readonly T[]): readonly T[] | null {
  const given = textOf(args, name);
  return given === null ? null : words(given, name, allowed);
}

function words<T extends string>(given: string, name: string, allowed: readonly T[]): readonly T[] {
  return given.split(',').map((item) => {
    const found = allowed.find((word) => word === item);
    if (found !== undefined) return found;
    throw new PolarisError('USAGE', `--${name} knows ${allowed.join(', ')}, not "${item}"`);
  });
}

/** One list for each run. */
function nemesesOf(args: CliArguments): readonly (readonly NemesisName[])[] {
  const given = args['nemesis'];
  if (given === undefined) return [[]];
  const lists = (Array.isArray(given) ? given : [given]).map(String);
  return lists.flatMap((list) =>
    list === EACH ? [...NEMESES.map((name) => [name]), NEMESES] : [words(list, 'nemesis', NEMESES)],
  );
}
