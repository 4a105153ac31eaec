/**
 * What the proof of the chaos test decides and prints: a run that broke a promise stays recorded, named and counted.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { rowWith } from '../chaos/rows.ts';
import {
  chartOf,
  IN_REAL_TIME,
  judged,
  type Measured,
  openTasks,
  pageWith,
  partsOf,
  SETTINGS_DEFAULT,
  toll,
} from './chaos-page.ts';

const PARTS = partsOf(SETTINGS_DEFAULT);
const KILL = 'Kill -9, 1000 points';
const EMPTY = 'before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nafter\n';
const LOST = 'nothing is missing: point 4';
const KEPT: Measured = {
  ...{ part: KILL, commit: 'abc1234', date: '2026-11-20', machine: '2 cores (slow), Node v20', seed: 1, compress: 10 },
  ...{ rows: [rowWith()], skipped: [] },
};
const BROKEN: Measured = { ...KEPT, seed: 2, rows: [rowWith({ missing: 1, broken: [LOST] })] };

function titlesOf(recorded: readonly Measured[], changes: Partial<Parameters<typeof openTasks>[0]> = {}): string[] {
  const tasks = openTasks({ parts: PARTS, recorded, seeds: 3, only: null, realTime: false, ...changes });
  return tasks.map(({ part, seed }) => `${part.title} ${seed}`);
}

describe('what is still to be run', () => {
  test('is no recorded seed, whether it kept its promises or broke one', () => {
    expect(titlesOf([KEPT, BROKEN], { only: KILL })).toEqual([`${KILL} 3`]);
    expect(titlesOf([KEPT, BROKEN])).toHaveLength(titlesOf([]).length - 2);
  });

  test('is in real time only where that is asked for, and then once', () => {
    expect(titlesOf([]).filter((title) => title.startsWith(IN_REAL_TIME))).toEqual([]);
    expect(titlesOf([], { realTime: true })[0]).toBe(`${IN_REAL_TIME} 1`);
    expect(titlesOf([], { realTime: true, only: IN_REAL_TIME })).toHaveLength(1);
  });
});

describe('the share of points that are there twice', () => {
  const half = { length: 50_000, duplicates: 250, strikes: 400 };
  const sentence = 'under 0.5 % of 50,000 points are there twice: 250 (0.50 %) are';
  const brokenOf = (row: Parameters<typeof rowWith>[0]) => judged({ ...KEPT, rows: [rowWith(row)] }).rows[0]?.broken;

  test('is broken at half a per cent and kept below it', () => {
    expect(brokenOf(half)).toEqual([sentence]);
    expect(brokenOf({ ...half, duplicates: 249 })).toEqual([]);
    expect(brokenOf({ ...half, broken: [LOST] })).toEqual([LOST, sentence]);
  });

  test('is a goal of kill -9 at this length with a commit for each point, and of nothing else', () => {
    for (const other of [
      { length: 10_000 },
      { mode: 'leader' },
      { delivery: 'exactly-once' },
      { commitEvery: 2 },
      { nemeses: ['pause'] },
    ] as const) {
      expect(brokenOf({ ...half, ...other }), JSON.stringify(other)).toEqual([]);
    }
  });
});

test('a run of nemeses in which nobody struck shows nothing, and is said to', () => {
  const brokenOf = (row: Parameters<typeof rowWith>[0]) => judged({ ...KEPT, rows: [rowWith(row)] }).rows[0]?.broken;
  const row = { mode: 'none', nemeses: ['all'], kills: 0, leaderKills: 0 } as const;
  expect(brokenOf({ ...row, strikes: 0 })).toEqual(['nobody struck before the job was done: this shows nothing']);
  expect(brokenOf({ ...row, strikes: 1 })).toEqual([]);
});

describe('the page', () => {
  test('says that none broke a promise only where none did', () => {
    expect(toll([KEPT])).toBe('none of 1 runs broke a promise');
    expect(pageWith(EMPTY, [KEPT], PARTS)).toContain('None of 1 runs broke a promise.\n');
  });

  test('says how many of how many broke a promise, and which', () => {
    const page = pageWith(EMPTY, [KEPT, BROKEN], PARTS);
    expect(page).toContain(
      `1 of 2 runs broke a promise:\n\n- BROKEN in 1,000 kill at-least-once redis: ${LOST} (--seed 2)\n\n`,
    );
    expect(page).toMatch(/^\| 1,000 \| kill .* \| 2 \| 30 \| 1 \|/m);
    expect(page).toContain('seeds 1, 2');
  });

  test('names the day, the commit and the machine of each run, and of the oldest what they say', () => {
    const { date: _date, machine: _machine, ...old } = KEPT;
    const later = { ...BROKEN, commit: 'def5678', date: '2026-11-23' };
    const page = pageWith(EMPTY, [old, KEPT, { ...KEPT, seed: 3 }, later], PARTS);
    expect(page.split('\n').filter((line) => line.startsWith('- commit'))).toEqual([
      '- commit abc1234: 1 run',
      '- commit abc1234, 2026-11-20, 2 cores (slow), Node v20: 2 runs',
      '- commit def5678, 2026-11-23, 2 cores (slow), Node v20: 1 run',
    ]);
  });

  test('keeps what is around the measured part, and drops what was in it', () => {
    const page = pageWith(EMPTY, [KEPT], PARTS);
    expect(page).toMatch(/^before\n<!-- measured: begin -->\n\n[\s\S]*\n<!-- measured: end -->\nafter\n$/);
    expect(page).not.toContain('old');
    expect(pageWith(page, [KEPT], PARTS)).toBe(page);
    expect(() => pageWith('nothing', [KEPT], PARTS)).toThrow('measured: begin');
  });

  test('has also what is recorded under a part of other lengths', () => {
    const page = pageWith(EMPTY, [{ ...KEPT, part: 'Kill -9, 77 points', rows: [rowWith({ length: 77 })] }], PARTS);
    expect(page).toContain('| 77 | kill |');
  });
});

describe('what is published', () => {
  const read = (name: string) => readFileSync(resolve(import.meta.dirname ?? '.', `../../docs/${name}`), 'utf8');
  const recorded = JSON.parse(read('chaos.json')) as Measured[];

  test('is what the record gives', () => {
    expect(read('chaos.md')).toBe(pageWith(read('chaos.md'), recorded, PARTS));
    expect(read('chaos.svg')).toBe(chartOf(recorded));
  });

  test('is judged by the goals of the proof', () => {
    const sharesMissed = (one: Measured) => judged(one).rows.map(({ broken }) => new Set(broken).size);
    const saysSo = (one: Measured) => one.rows.map(({ broken }) => broken.length);
    for (const one of recorded) expect(sharesMissed(one), `${one.part}, seed ${one.seed}`).toEqual(saysSo(one));
  });
});
