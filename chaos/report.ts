/**
 * Report: the rows as a Markdown table, beside what the original Polaris published of the same experiment.
 */
import type { ChaosReport, Row } from './row.ts';

/**
 * Points that the original had twice, by length. It crashed by an exception that still sent its last report, counted
 * between the smallest and the largest point seen, and missed nothing.
 */
export const ORIGINAL_DUPLICATES: ReadonlyMap<number, number> = new Map([
  [1_000, 6],
  [5_000, 83],
  [10_000, 149],
  [50_000, 1_260],
]);

const COLUMNS: readonly (readonly [title: string, cell: (row: Row) => string])[] = [
  ['length', (row) => counted(row.length)],
  ['mode', (row) => row.mode],
  ['delivery', (row) => row.delivery],
  ['sink', (row) => row.sink],
  ['nemeses', (row) => row.nemeses.join(' ') || '–'],
  ['kills', (row) => counted(row.kills)],
  ['strikes', (row) => counted(row.strikes)],
  ['missing', (row) => counted(row.missing)],
  ['duplicates', (row) => withShare(row.duplicates, row.length)],
  ['extra executions', (row) => counted(row.extraExecutions)],
  ['uncertain', (row) => counted(row.uncertain)],
  ['longest gap', (row) => `${counted(row.longestGapMs)} ms`],
  ['re-grant p99', (row) => (row.regrantMsP99 === null ? '–' : `${counted(row.regrantMsP99)} ms`)],
  ['seconds', (row) => row.seconds.toFixed(1)],
  ['kept', (row) => (row.broken.length === 0 ? 'yes' : '**no**')],
  ['original duplicates', (row) => originalOf(row.length)],
];

/** The table, and below it what was broken and what was skipped. */
export function markdown(report: ChaosReport): string {
  const lines = [
    tableRow(COLUMNS.map(([title]) => title)),
    tableRow(COLUMNS.map(() => '---')),
    ...report.rows.map((row) => tableRow(COLUMNS.map(([, cell]) => cell(row)))),
  ];
  const broken = brokenLines(report);
  if (broken.length > 0) lines.push('', ...broken.map((line) => `- ${line}`));
  if (report.skipped.length > 0) {
    lines.push('', ...report.skipped.map(({ nemesis, reason }) => `- skipped: ${nemesis}: ${reason}`));
  }
  lines.push('', `Seed ${report.seed}, intervals divided by ${report.compress}.`);
  return `${lines.join('\n')}\n`;
}

/** One line a broken promise: which run, which promise, which points, which seed. */
export function brokenLines({ rows, seed }: ChaosReport): string[] {
  return rows.flatMap((row) => row.broken.map((promise) => `BROKEN in ${titleOf(row)}: ${promise} (--seed ${seed})`));
}

/** `5,000 kill at-least-once redis`, and the nemeses. */
export function titleOf(row: Pick<Row, 'length' | 'mode' | 'delivery' | 'sink' | 'nemeses'>): string {
  const nemeses = row.nemeses.length === 0 ? [] : [row.nemeses.join('+')];
  return [counted(row.length), row.mode, row.delivery, row.sink, ...nemeses].join(' ');
}

export function percentOf(part: number, whole: number): number {
  return whole === 0 ? 0 : (100 * part) / whole;
}

export function originalOf(length: number): string {
  const duplicates = ORIGINAL_DUPLICATES.get(length);
  return duplicates === undefined ? '–' : withShare(duplicates, length);
}

export function withShare(count: number, length: number): string {
  return count === 0 ? '0' : `${counted(count)} (${percentOf(count, length).toFixed(2)} %)`;
}

export function counted(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ',');
}

export function tableRow(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
