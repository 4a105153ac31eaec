/**
 * Chart: the share of duplicates by length of the job, ours beside the original's, as SVG text.
 *
 * Pure: equal rows give equal bytes. It has its colours and letters with it, so that it can be read wherever it is put.
 */
import { ORIGINAL_DUPLICATES, percentOf } from './report.ts';
import type { Row } from './row.ts';

interface Series {
  readonly name: string;
  /** Percent by length. */
  readonly shares: ReadonlyMap<number, number>;
}

const WIDTH = 760;
const HEIGHT = 400;
const LEFT = 56;
const RIGHT = 24;
const TOP = 48;
const LEGEND_LINE = 18;
const PLOT_HEIGHT = 220;
const GRID_LINES = 4;
const SERIES_GAP = 2;
const BAR_WIDTH_MAX = 36;
/** A bar of nothing is still to be seen. */
const BAR_HEIGHT_MIN = 1.5;
const ORIGINAL_COLOUR = '#9aa0a6';
/** Told apart also by those who see no red or no green. */
const COLOURS = ['#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#f0e442', '#000000'];

export function chartSvg(rows: readonly Row[]): string {
  const series = [originalSeries(rows), ...ownSeries(rows)];
  const lengths = [...new Set(rows.map((row) => row.length))].sort((left, right) => left - right);
  const most = Math.max(1, ...series.flatMap(({ shares }) => [...shares.values()]));
  const scale = PLOT_HEIGHT / (Math.ceil(most * 2) / 2);
  const height = HEIGHT - 80 + series.length * LEGEND_LINE;
  const body = [
    text(LEFT, 26, 'Points executed twice, % of the job', 'font-size="16" font-weight="600"'),
    ...grid(Math.ceil(most * 2) / 2, scale),
    ...lengths.flatMap((length, group) => bars({ length, group, groups: lengths.length, series, scale })),
    ...series.map(({ name }, at) => legend(name, at)),
  ];
  const size = `width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`;
  const head = `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="system-ui, sans-serif" font-size="12">`;
  const title = '<title>Points executed twice, in per cent of each job</title>';
  return [head, title, `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`, ...body, '</svg>', ''].join('\n');
}

function originalSeries(rows: readonly Row[]): Series {
  const shares = new Map<number, number>();
  for (const { length } of rows) {
    const duplicates = ORIGINAL_DUPLICATES.get(length);
    if (duplicates !== undefined) shares.set(length, percentOf(duplicates, length));
  }
  return { name: 'the original, soft crash', shares };
}

/** One for each kind of run. Of several runs of one kind and length, the worst is shown. */
function ownSeries(rows: readonly Row[]): Series[] {
  const byName = new Map<string, Map<number, number>>();
  for (const row of rows) {
    const name = [row.delivery, row.sink, row.mode, ...row.nemeses].join(', ');
    const shares = byName.get(name) ?? new Map<number, number>();
    shares.set(row.length, Math.max(shares.get(row.length) ?? 0, percentOf(row.duplicates, row.length)));
    byName.set(name, shares);
  }
  return [...byName].map(([name, shares]) => ({ name, shares }));
}

function grid(most: number, scale: number): string[] {
  return Array.from({ length: GRID_LINES + 1 }, (_, at) => {
    const value = (most * at) / GRID_LINES;
    const y = rounded(TOP + PLOT_HEIGHT - value * scale);
    const line = `<line x1="${LEFT}" y1="${y}" x2="${WIDTH - RIGHT}" y2="${y}" stroke="#e0e0e0"/>`;
    return `${line}${text(LEFT - 8, y + 4, `${rounded(value)} %`, 'text-anchor="end" fill="#444444"')}`;
  });
}

function bars(options: {
  readonly length: number;
  readonly group: number;
  readonly groups: number;
  readonly series: readonly Series[];
  readonly scale: number;
}): string[] {
  const { length, group, groups, series, scale } = options;
  const room = (WIDTH - LEFT - RIGHT) / groups;
  const width = Math.min(BAR_WIDTH_MAX, (room * 0.8) / series.length - SERIES_GAP);
  const middle = LEFT + room * (group + 0.5);
  const first = middle - (series.length * (width + SERIES_GAP)) / 2;
  const drawn = series.flatMap(({ name, shares }, at) => {
    const share = shares.get(length);
    if (share === undefined) return [];
    const high = Math.max(BAR_HEIGHT_MIN, share * scale);
    const [x, y] = [rounded(first + at * (width + SERIES_GAP)), rounded(TOP + PLOT_HEIGHT - high)];
    const title = `<title>${escaped(name)}: ${share.toFixed(2)} %</title>`;
    return [
      `<rect x="${x}" y="${y}" width="${rounded(width)}" height="${rounded(high)}" fill="${colour(at)}">${title}</rect>`,
    ];
  });
  return [...drawn, text(rounded(middle), TOP + PLOT_HEIGHT + 18, `${length} points`, 'text-anchor="middle"')];
}

function legend(name: string, at: number): string {
  const y = TOP + PLOT_HEIGHT + 40 + at * LEGEND_LINE;
  return `<rect x="${LEFT}" y="${y - 10}" width="12" height="12" fill="${colour(at)}"/>${text(LEFT + 20, y, name, '')}`;
}

function colour(at: number): string {
  return at === 0 ? ORIGINAL_COLOUR : (COLOURS[(at - 1) % COLOURS.length] ?? ORIGINAL_COLOUR);
}

function text(x: number, y: number, words: string, attributes: string): string {
  return `<text x="${x}" y="${y}"${attributes === '' ? '' : ` ${attributes}`}>${escaped(words)}</text>`;
}

function escaped(words: string): string {
  return words.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}

function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}
