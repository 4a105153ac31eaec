/**
 * Each delivery is held to what it promised, and to nothing else.
 */
import { describe, expect, test } from 'vitest';
import type { SinkCount } from '../../chaos/count.ts';
import { brokenPromises, type Evidence } from '../../chaos/judge.ts';
import type { RowSpec } from '../../chaos/row.ts';

const COUNT: SinkCount = {
  ...{ lines: 100, torn: 0, missing: [], duplicates: [], extraExecutions: 0, foreign: [] },
  ...{ repeatedOfOneLeaseMax: 0, longestGapMs: 10 },
};

function judged(spec: Partial<RowSpec>, count: Partial<SinkCount>, other: Partial<Evidence> = {}): readonly string[] {
  return brokenPromises({
    spec: { length: 100, mode: 'kill', delivery: 'at-least-once', sink: 'redis', nemeses: [], ...spec },
    ...{ commitEvery: 2, strikes: 3, ending: 'did', endedByThemselves: [] },
    verify: { covered: true, uncertain: [], failed: [] },
    ...other,
    count: { ...COUNT, ...count },
  });
}

const points = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

describe('at least once', () => {
  test('may have commitEvery points twice for each strike, and not one more', () => {
    expect(judged({}, { duplicates: points(6), repeatedOfOneLeaseMax: 2 })).toEqual([]);
    expect(judged({}, { duplicates: points(7), repeatedOfOneLeaseMax: 2 })).toEqual([
      'at most 2 twice for each of 3 strikes: 7 points, 0, 1, 2, 3, 4, 5, 6',
    ]);
  });

  test('may not have more of one lease twice, however many strikes there were', () => {
    expect(judged({}, { duplicates: points(3), repeatedOfOneLeaseMax: 3 })).toHaveLength(1);
  });

  test('misses nothing', () => {
    expect(judged({}, { missing: [42] })).toEqual(['nothing is missing: point 42']);
  });

  test('has nothing twice where the code only threw', () => {
    expect(judged({ mode: 'soft' }, { duplicates: [9] })).toEqual(['nothing is there twice: point 9']);
    expect(judged({ mode: 'soft', nemeses: ['kill'] }, { duplicates: [9], repeatedOfOneLeaseMax: 1 })).toEqual([]);
  });
});

describe('at most once', () => {
  const spec = { delivery: 'at-most-once' } as const;

  test('may miss what is listed as uncertain', () => {
    const verify = { covered: true, uncertain: [[10, 12]] as const, failed: [] };
    expect(judged(spec, { missing: [10, 11] }, { verify })).toEqual([]);
    expect(judged(spec, { missing: [10, 12] }, { verify })).toEqual([
      'what is missing is listed as uncertain: point 12 not',
    ]);
  });

  test('misses at most commitEvery for each strike', () => {
    const verify = { covered: true, uncertain: [[0, 100]] as const, failed: [] };
    expect(judged(spec, { missing: points(6) }, { verify })).toEqual([]);
    expect(judged(spec, { missing: points(7) }, { verify })).toHaveLength(1);
  });

  test('has nothing twice', () => {
    expect(judged(spec, { duplicates: [3] })).toEqual(['nothing is there twice: point 3']);
  });
});

describe('exactly once', () => {
  test('misses nothing and has nothing twice', () => {
    const spec = { delivery: 'exactly-once' } as const;
    expect(judged(spec, {})).toEqual([]);
    expect(judged(spec, { missing: [1] })).toHaveLength(1);
    expect(judged(spec, { duplicates: [1] })).toHaveLength(1);
  });
});

describe('whatever the delivery', () => {
  test('the job ends', () => {
    expect(judged({}, {}, { verify: null, ending: 'is paused: held' })).toEqual([
      'every job ends: this one is paused: held',
    ]);
  });

  test('verify says covered, and no point failed', () => {
    expect(judged({}, {}, { verify: { covered: false, uncertain: [], failed: [] } })).toHaveLength(1);
    expect(judged({}, {}, { verify: { covered: true, uncertain: [], failed: [[1, 2]] } })).toHaveLength(1);
  });

  test('no node ends by itself', () => {
    expect(judged({}, {}, { endedByThemselves: ['w1'] })).toEqual(['no node ends by itself: w1 did']);
  });

  test('nothing outside the job is worked', () => {
    expect(judged({}, { foreign: [100] })).toEqual(['nothing outside the job is worked: point 100']);
  });

  test('only the first ten points are named', () => {
    expect(judged({}, { missing: points(12) })[0]).toMatch(/^nothing is missing: 12 points, 0, .*, 9, …$/);
  });
});
