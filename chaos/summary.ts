/**
 * Summary: runs of one kind with several seeds as one row, the worst of each count.
 */

import { counted, originalOf, tableRow, withShare } from './report.ts';
import type { ChaosReport, Row } from './row.ts';

const COLUMNS = [
  ...[
    'length',
    'mode',
    'delivery',
    'sink',
    'nemeses',
    'intervals',
    'runs',
    'strikes',
    'missing',
    'duplicates',
    'of all strikes',
  ],
  ...['extra executions', 'uncertain', 'longest gap', 're-grant p99', 'seconds', 'original duplicates'],
];

/** Markdown. Strikes are those of all runs together; every other number is the worst of them. */
export function summaryTable(reports: readonly Pick<ChaosReport, 'compress' | 'rows'>[]): string {
  const kinds = new Map<string, { readonly compress: number; readonly rows: Row[] }>();
  for (const { compress, rows } of reports) {
    for (const row of rows) {
      const { length, mode, delivery, sink, nemeses } = row;
      const key = JSON.stringify([length, mode, delivery, sink, nemeses, compress]);
      const kind = kinds.get(key) ?? { compress, rows: [] };
      kind.rows.push(row);
      kinds.set(key, kind);
    }
  }
  const body = [...kinds.values()].map((kind) => tableRow(cells(kind.rows, kind.compress)));
  return `${[tableRow(COLUMNS), tableRow(COLUMNS.map(() => '---')), ...body].join('\n')}\n`;
}

function cells(rows: readonly Row[], compress: number): string[] {
  const [first] = rows;
  if (first === undefined) return [];
  const worst = (of: (row: Row) => number) => rows.reduce((most, row) => Math.max(most, of(row)), 0);
  const sum = (of: (row: Row) => number) => rows.reduce((total, row) => total + of(row), 0);
  const strikes = sum((row) => row.strikes);
  const duplicates = sum((row) => row.duplicates);
  const regrants = rows.flatMap((row) => (row.regrantMsP99 === null ? [] : [row.regrantMsP99]));
  return [
    counted(first.length),
    first.mode,
    first.delivery,
    first.sink,
    first.nemeses.join(' ') || '–',
    compress === 1 ? 'as they are' : `÷ ${compress}`,
    counted(rows.length),
    counted(strikes),
    counted(worst((row) => row.missing)),
    withShare(
      worst((row) => row.duplicates),
      first.length,
    ),
    strikes === 0 ? '–' : `${Math.round((100 * duplicates) / strikes)} %`,
    counted(worst((row) => row.extraExecutions)),
    counted(worst((row) => row.uncertain)),
    `${counted(worst((row) => row.longestGapMs))} ms`,
    regrants.length === 0 ? '–' : `${counted(Math.max(...regrants))} ms`,
    worst((row) => row.seconds).toFixed(1),
    originalOf(first.length),
  ];
}
