/**
 * Rendering for a terminal: plain tables in the manner of kubectl, without lines, so that `awk` can read them too.
 */
import { styleText } from 'node:util';
import type { JobJson, RangeJson } from '../http/job-json.ts';
import type { JobState } from '../ranges/types.ts';

const COLUMN_GAP = '   ';

/** Header in capitals, columns as wide as their widest cell; one row a line, each line ended. */
export function renderTable(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [header.map((title) => title.toUpperCase()), ...rows.map((row) => row.map(plainText))];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const lines = all.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(COLUMN_GAP));
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
}

/** `name  value` lines, names aligned. */
export function renderFields(fields: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...fields.map(([name]) => name.length));
  return fields.map(([name, value]) => `${name.padEnd(width)}  ${value}\n`).join('');
}

/** `key=value key=value`; what is null is left out, and times and lists are as one writes them. */
export function renderSettings(settings: object): string {
  const given = Object.entries(settings).filter(([, value]) => value !== null);
  return given.map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`).join(' ');
}

export function renderJson(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

/** Text from outside must not move the cursor or change colours of the terminal that shows it. */
export function plainText(text: string): string {
  return text.replace(/\p{Cc}/gu, ' ');
}

export function percentOf(job: JobJson): string {
  const { done, failed, uncertain, total } = job.progress;
  const settled = done + failed + uncertain;
  // Floored: 100.0 % is said only of what is finished.
  return `${(Math.floor((settled / total) * 1_000) / 10).toFixed(1)}%`;
}

export function renderRate(job: JobJson): string {
  const rate = job.progress.ratePerSecond;
  // The speed of what is over says nothing.
  return rate === null || job.finishedAt !== null ? '-' : `${rate >= 10 ? Math.round(rate) : rate.toFixed(1)}/s`;
}

/** `1h 2m`, `3m 4s`, `5s`: two units are enough. */
export function renderSeconds(seconds: number | null): string {
  if (seconds === null) return '-';
  const whole = Math.max(0, Math.round(seconds));
  const parts: readonly (readonly [number, string])[] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3_600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'm'],
    [whole % 60, 's'],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return '0s';
  const shown = parts.slice(first, first + 2).filter(([count]) => count > 0);
  return shown.map(([count, unit]) => `${count}${unit}`).join(' ');
}

export function renderRanges(ranges: readonly RangeJson[], countMax: number): string {
  if (ranges.length === 0) return 'none';
  const shown = ranges.slice(0, countMax).map(([start, end]) => `[${start}, ${end})`);
  return ranges.length > countMax ? `${shown.join(' ')} and ${ranges.length - countMax} more` : shown.join(' ');
}

const STATE_STYLE: { readonly [state in JobState]: Parameters<typeof styleText>[0] } = {
  pending: 'gray',
  running: 'cyan',
  paused: 'yellow',
  done: 'green',
  failed: 'red',
  cancelled: 'gray',
};

export function renderState(state: JobState, coloured: boolean): string {
  return coloured ? styleText(STATE_STYLE[state], state, { validateStream: false }) : state;
}
