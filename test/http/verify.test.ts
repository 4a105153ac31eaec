/**
 * The proof of coverage trusts ranges, and no counter.
 */
import { expect, test } from 'vitest';
import type { Range } from '../../src/base/types.ts';
import { rangesJson, verifyJson } from '../../src/http/job-json.ts';
import type { JobView } from '../../src/ranges/types.ts';
import { Pen } from '../ranges/fixtures.ts';

function viewOf(changes: Partial<JobView>): JobView {
  const pen = new Pen();
  pen.submit({ start: 0, end: 100 });
  // The counters claim that all is done.
  return { ...pen.job(), frontier: 100, state: 'done', coveredPoints: 100, ...changes };
}

function rangesOf(...pairs: readonly (readonly [number, number])[]): readonly Range[] {
  return pairs.map(([start, end]) => ({ start, end }));
}

test.each([
  ['nothing', [], [[0, 100]]],
  [
    'a gap in the middle',
    [
      [0, 40],
      [41, 100],
    ],
    [[40, 41]],
  ],
  ['a gap at the start', [[1, 100]], [[0, 1]]],
  ['a gap at the end', [[0, 99]], [[99, 100]]],
] as const)('%s is not covered, whatever the counters say', (_what, pairs, missing) => {
  expect(verifyJson(viewOf({ covered: rangesOf(...pairs) }))).toMatchObject({ covered: false, missing });
});

test.each([
  [
    'an overlap',
    [
      [0, 60],
      [50, 100],
    ],
  ],
  [
    'a range twice',
    [
      [0, 100],
      [0, 100],
    ],
  ],
  ['a range beyond the end', [[0, 101]]],
  ['a range before the start', [[-1, 100]]],
] as const)('%s is no exact tiling, though nothing is missing', (_what, pairs) => {
  expect(verifyJson(viewOf({ covered: rangesOf(...pairs) }))).toMatchObject({ covered: false, missing: [] });
});

test('ranges that touch tile, in any order', () => {
  const covered = rangesOf([50, 100], [0, 20], [20, 50]);
  expect(verifyJson(viewOf({ covered }))).toMatchObject({ covered: true, missing: [] });
});

test('pending is what came back and what was never granted, merged where it touches', () => {
  const back = { touched: 0, attempts: 0, error: '', checkpoint: null };
  const returned = [
    { ...back, start: 30, end: 40 },
    { ...back, start: 10, end: 20 },
    { ...back, start: 20, end: 25 },
  ];
  expect(rangesJson(viewOf({ returned, frontier: 40 })).pending).toEqual([
    [10, 25],
    [30, 100],
  ]);
});
