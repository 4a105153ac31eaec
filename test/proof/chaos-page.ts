/**
 * What the proof of the chaos test decides and prints, without running anything: which runs are still to be made, what
 * their goals are, and what docs/chaos.md and its chart say of those that were.
 *
 * Pure: equal records give equal bytes. Whatever is recorded is on the page, also a run that broke a promise, and such a
 * run is not made again: a seed counts once, however it ended.
 */
import { chartSvg } from '../../chaos/chart.ts';
import { brokenLines, counted, percentOf } from '../../chaos/report.ts';
import type { ChaosReport, Row } from '../../chaos/row.ts';
import { summaryTable } from '../../chaos/summary.ts';

/** At this length the shortest of tasks weigh little, and the share says how often a kill repeats a point at all. */
const SHARE_LENGTH = 50_000;
const SHARE_PERCENT_MAX = 0.5;
/** Takes so long that it is run only where it is asked for. */
export const IN_REAL_TIME = 'In real time';

const BEGIN = '<!-- measured: begin -->';
const END = '<!-- measured: end -->';

export interface Part {
  readonly title: string;
  readonly args: readonly string[];
  /** How many seeds, where it is not as many as were asked for. */
  readonly seeds?: number;
}

/** One call of the program, as docs/chaos.json keeps it. */
export interface Measured extends ChaosReport {
  readonly part: string;
  readonly commit: string;
  /** The day of the run, `2026-11-21`; the oldest runs do not say it. */
  readonly date?: string;
  /** Cores, processor and Node; the oldest runs do not say it. */
  readonly machine?: string;
}

export interface Task {
  readonly part: Part;
  readonly seed: number;
}

export interface Settings {
  readonly lengths: string;
  readonly compress: string;
}

export const SETTINGS_DEFAULT: Settings = { lengths: '1000,5000,10000,50000', compress: '10' };

/** Short lengths of all kinds come first, so that a proof that is cut off has something of each. */
export function partsOf({ lengths, compress }: Settings): Part[] {
  const all = lengths.split(',');
  const [first = lengths, second = first, third = second] = all;
  const mode = (name: string, length: string) => ['--compress', compress, '--lengths', length, '--mode', name];
  const redis = ['--sink', 'redis'];
  const exactly = ['--delivery', 'exactly-once'];
  const real = { title: IN_REAL_TIME, args: ['--lengths', '50000', '--mode', 'kill', ...redis], seeds: 1 };
  // Eight minutes each: at this length the goals speak of kill -9 and of exceptions, and the rest is run once.
  const once = (length: string) => (Number(length) >= SHARE_LENGTH ? { seeds: 1 } : {});
  const each = all.flatMap((length): Part[] => [
    { title: `Kill -9, ${length} points`, args: [...mode('kill', length), ...redis] },
    {
      title: `At most once, ${length} points`,
      args: [...mode('kill', length), ...redis, '--delivery', 'at-most-once'],
      ...once(length),
    },
    {
      title: `Exactly once, ${length} points`,
      args: [...mode('kill', length), ...exactly, '--sink', 'fenced-redis'],
      ...once(length),
    },
    { title: `Exceptions, ${length} points`, args: [...mode('soft', length), ...redis] },
    { title: `Workers and leaders, ${length} points`, args: [...mode('leader', length), ...redis], ...once(length) },
  ]);
  // Leaders that fall every few seconds, pauses and partitions leave little time to work: the shortest length will do.
  const mixed = [...mode('leader', first), '--nemesis', 'pause,partition', ...exactly];
  return [
    real,
    ...each.slice(0, 5),
    { title: 'Exactly once, everything at once', args: [...mixed, '--sink', 'fenced-redis'] },
    { title: 'Exactly once, PostgreSQL', args: [...mode('kill', second), ...exactly, '--sink', 'postgres'] },
    // Some strike only now and then: a job that is over before they do shows nothing.
    {
      title: `Nemeses, ${third} points`,
      args: ['--compress', compress, '--lengths', third, ...redis, '--nemesis', 'each'],
      seeds: 1,
    },
    ...each.slice(5),
  ];
}

/** The runs that are wanted and not recorded, in order. */
export function openTasks(options: {
  readonly parts: readonly Part[];
  readonly recorded: readonly Measured[];
  readonly seeds: number;
  /** The one part that is wanted; null for all. */
  readonly only: string | null;
  readonly realTime: boolean;
}): Task[] {
  const { parts, recorded, seeds, only, realTime } = options;
  return parts
    .filter(({ title }) => (only === null || only === title) && (realTime || title !== IN_REAL_TIME))
    .flatMap((part) => Array.from({ length: part.seeds ?? seeds }, (_, at) => ({ part, seed: at + 1 })))
    .filter(({ part, seed }) => !recorded.some((one) => one.part === part.title && one.seed === seed));
}

// ---- goals ----------------------------------------------------------------------------------------------------------

/** The report with what it missed of the goals of the proof among what it broke. */
export function judged<T extends ChaosReport>(report: T): T {
  return { ...report, rows: report.rows.map((row) => ({ ...row, broken: [...row.broken, ...goalsMissed(row)] })) };
}

function goalsMissed({ length, mode, delivery, nemeses, commitEvery, duplicates, strikes }: Row): string[] {
  if (nemeses.length > 0 && strikes === 0) return ['nobody struck before the job was done: this shows nothing'];
  const has = mode === 'kill' && nemeses.length === 0 && delivery === 'at-least-once' && commitEvery === 1;
  const percent = percentOf(duplicates, length);
  if (!has || length !== SHARE_LENGTH || percent < SHARE_PERCENT_MAX) return [];
  const share = `${counted(duplicates)} (${percent.toFixed(2)} %)`;
  return [`under ${SHARE_PERCENT_MAX} % of ${counted(length)} points are there twice: ${share} are`];
}

// ---- page -----------------------------------------------------------------------------------------------------------

/** The page with what is recorded between its two lines. @throws Error when it has them not */
export function pageWith(page: string, recorded: readonly Measured[], parts: readonly Part[]): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`the page has no "${BEGIN}" with a "${END}" below it: put them back`);
  const body = [verdict(recorded), '![Duplicates](chaos.svg)', tables(recorded, parts)].join('\n\n');
  return `${page.slice(0, begin)}${BEGIN}\n\n${body}\n${page.slice(end)}`;
}

/** A bar is the worst of its kind; a run in real time is another kind than those under pressure. */
export function chartOf(recorded: readonly Measured[]): string {
  const pressed = recorded.filter(({ compress }) => compress > 1);
  return chartSvg(pressed.flatMap(({ rows }) => rows.filter(({ nemeses }) => nemeses.length === 0)));
}

/** `2 of 64 runs broke a promise`, for the page and for the last line of the proof. */
export function toll(recorded: readonly ChaosReport[]): string {
  const rows = recorded.flatMap((one) => one.rows);
  const broke = rows.filter(({ broken }) => broken.length > 0).length;
  return `${broke === 0 ? 'none' : counted(broke)} of ${counted(rows.length)} runs broke a promise`;
}

/** How many broke a promise and which, where each was measured, and how the table is to be read. */
function verdict(recorded: readonly Measured[]): string {
  const broken = recorded.flatMap(brokenLines).map((line) => `- ${line}`);
  const said = toll(recorded);
  const head = [
    `${said.charAt(0).toUpperCase()}${said.slice(1)}${broken.length === 0 ? '.' : ':'}`,
    ...(broken.length === 0 ? [] : [broken.join('\n')]),
  ];
  const reading = [
    'Strikes are those of all runs of a row together; every other number is the worst of its runs. Every single run, with its',
    'commit and its day, is in [chaos.json](chaos.json); the chart leaves out what ran in real time.',
  ];
  return [...head, origins(recorded).join('\n'), reading.join('\n')].join('\n\n');
}

/** One line for each day, commit and machine, with the number of its runs. */
function origins(recorded: readonly Measured[]): string[] {
  const runs = new Map<string, number>();
  for (const { commit, date, machine, rows } of recorded) {
    const origin = [`commit ${commit}`, date, machine].filter((word) => word !== undefined).join(', ');
    runs.set(origin, (runs.get(origin) ?? 0) + rows.length);
  }
  return [...runs].map(([origin, count]) => `- ${origin}: ${counted(count)} ${count === 1 ? 'run' : 'runs'}`);
}

/** One table of all kinds of runs, in the order of the parts, and the command of each below it. */
function tables(recorded: readonly Measured[], parts: readonly Part[]): string {
  const titles = new Set([...parts.map(({ title }) => title), ...recorded.map(({ part }) => part)]);
  const inOrder = [...titles].flatMap((title) => recorded.filter(({ part }) => part === title));
  const skipped = new Map(recorded.flatMap((one) => one.skipped).map(({ nemesis, reason }) => [nemesis, reason]));
  const commands = parts.flatMap(({ title, args }) => {
    const seeds = inOrder.filter((one) => one.part === title).map(({ seed }) => seed);
    if (seeds.length === 0) return [];
    return [
      `- ${title}: \`polaris chaos ${args.join(' ')} --seed …\`, seeds ${seeds.sort((a, b) => a - b).join(', ')}`,
    ];
  });
  const skips = [...skipped].map(([nemesis, reason]) => `- skipped: ${nemesis}: ${reason}`);
  return `${summaryTable(inOrder)}\n${[...commands, ...skips].join('\n')}\n`;
}
