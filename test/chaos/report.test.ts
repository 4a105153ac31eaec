/**
 * Table and chart of rows.
 */
import { describe, expect, test } from 'vitest';
import { feasible, specsOf } from '../../chaos/campaign.ts';
import { chartSvg } from '../../chaos/chart.ts';
import { brokenLines, markdown } from '../../chaos/report.ts';
import { summaryTable } from '../../chaos/summary.ts';
import { rowWith } from './rows.ts';

describe('the table', () => {
  test('has a row for each run, beside what the original had', () => {
    const rows = [rowWith(), rowWith({ length: 50_000, duplicates: 0, regrantMsP99: null, nemeses: ['pause', 'all'] })];
    const lines = markdown({ seed: 7, compress: 1, rows, skipped: [] }).split('\n');
    expect(lines.slice(2, 4)).toEqual([
      '| 1,000 | kill | at-least-once | redis | – | 12 | 15 | 0 | 3 (0.30 %) | 4 | 0 | 1,234 ms | 640 ms | 31.4 | yes | 6 (0.60 %) |',
      '| 50,000 | kill | at-least-once | redis | pause all | 12 | 15 | 0 | 0 | 4 | 0 | 1,234 ms | – | 31.4 | yes | 1,260 (2.52 %) |',
    ]);
    const columns = lines.slice(0, 4).map((line) => line.split('|').length);
    expect(new Set(columns).size).toBe(1);
  });

  test('names what was broken with its seed, and what was skipped with its reason', () => {
    const rows = [rowWith({ broken: ['nothing is missing: point 4'] })];
    const report = { seed: 99, compress: 10, rows, skipped: [{ nemesis: 'clock', reason: 'no library' }] } as const;
    expect(brokenLines(report)).toEqual([
      'BROKEN in 1,000 kill at-least-once redis: nothing is missing: point 4 (--seed 99)',
    ]);
    const text = markdown(report);
    expect(text).toContain('**no**');
    expect(text).toContain('- BROKEN in 1,000 kill');
    expect(text).toContain('- skipped: clock: no library');
    expect(text).toContain('Seed 99, intervals divided by 10.');
  });
});

describe('the summary', () => {
  test('has a row for each kind of run: the worst of its seeds, and the strikes of all', () => {
    const rows = [
      rowWith({ duplicates: 3, strikes: 10, longestGapMs: 100, regrantMsP99: null }),
      rowWith({ mode: 'soft' }),
      rowWith({ duplicates: 1, strikes: 30, longestGapMs: 900, regrantMsP99: 640, missing: 2 }),
    ];
    const reports = [
      { compress: 10, rows },
      { compress: 1, rows: [rowWith({ duplicates: 0 })] },
    ];
    const lines = summaryTable(reports).trimEnd().split('\n');
    expect(lines).toHaveLength(5);
    expect(lines[2]).toBe(
      '| 1,000 | kill | at-least-once | redis | – | ÷ 10 | 2 | 40 | 2 | 3 (0.30 %) | 10 % | 4 | 0 | 900 ms | 640 ms | 31.4 | 6 (0.60 %) |',
    );
    // In real time it is another kind of run.
    expect(lines[4]).toMatch(/redis \| – \| as they are \| 1 \| 15 \| 0 \| 0 \|/);
    expect(new Set(lines.map((line) => line.split('|').length)).size).toBe(1);
  });
});

describe('the chart', () => {
  const rows = [rowWith(), rowWith({ mode: 'soft', duplicates: 0 }), rowWith({ length: 5_000, duplicates: 10 })];

  test('has a bar for each kind of run and length, and one of the original for each length', () => {
    const bars = [...chartSvg(rows).matchAll(/"><title>([^<]*)<\/title>/g)].map((match) => match[1]);
    expect(bars).toEqual([
      'the original, soft crash: 0.60 %',
      'at-least-once, redis, kill: 0.30 %',
      'at-least-once, redis, soft: 0.00 %',
      'the original, soft crash: 1.66 %',
      'at-least-once, redis, kill: 0.20 %',
    ]);
  });

  test('a bar is as high as its share', () => {
    const heights = [...chartSvg(rows).matchAll(/height="([\d.]+)" fill="[^"]*"><title>/g)].map((match) =>
      Number(match[1]),
    );
    const [original, kill, soft] = heights;
    expect((original ?? 0) / (kill ?? 1)).toBeCloseTo(2, 1);
    expect(soft).toBe(1.5);
  });

  test('of several runs of one kind it shows the worst', () => {
    const svg = chartSvg([rowWith({ duplicates: 9 }), rowWith({ duplicates: 1 })]);
    expect(svg).toContain('kill: 0.90 %');
    expect(svg).not.toContain('kill: 0.10 %');
  });

  test('is whole: every element is closed, and no number is missing', () => {
    const svg = chartSvg(rows);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    const opened = [...svg.matchAll(/<(\w+)(?:\s[^<>]*[^/<>])?>/g)].map((match) => match[1]).sort();
    const closed = [...svg.matchAll(/<\/(\w+)>/g)].map((match) => match[1]).sort();
    expect(opened).toEqual(closed);
    expect(chartSvg([])).not.toMatch(/NaN|undefined|Infinity/);
  });
});

describe('the runs of a campaign', () => {
  test('are all combinations, lengths innermost', () => {
    const specs = specsOf({
      ...{ lengths: [1, 2], modes: ['soft', 'kill'], deliveries: ['at-least-once'], sinks: ['file'] },
      nemeses: [[], ['pause', 'clock']],
    });
    expect(specs.map(({ mode, length, nemeses }) => `${mode} ${length} ${nemeses.join('+')}`)).toEqual([
      ...['soft 1 ', 'soft 2 ', 'soft 1 pause+clock', 'soft 2 pause+clock'],
      ...['kill 1 ', 'kill 2 ', 'kill 1 pause+clock', 'kill 2 pause+clock'],
    ]);
  });

  test('leave out what the machine refuses, and say why', () => {
    const specs = specsOf({
      ...{ lengths: [1], modes: ['none', 'kill'], deliveries: ['at-least-once'], sinks: ['file'] },
      nemeses: [[], ['clock'], ['pause', 'clock']],
    });
    const { rows, skipped } = feasible(specs, (name) => (name === 'clock' ? 'no library' : null));
    expect(skipped).toEqual([{ nemesis: 'clock', reason: 'no library' }]);
    expect(rows.map(({ mode, nemeses }) => `${mode} ${nemeses.join('+')}`)).toEqual([
      ...['none ', 'none pause', 'kill ', 'kill ', 'kill pause'],
    ]);
  });
});
