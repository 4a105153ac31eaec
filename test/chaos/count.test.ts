/**
 * What stands in the sink is counted over the whole range, and by itself.
 */
import { describe, expect, test } from 'vitest';
import { countLines, outside, p99, parseLine } from '../../chaos/count.ts';

const JOB = { length: 4, startedAt: 1_000, endedAt: 2_000 };

function line(point: number, { at = 1_000, epoch = 5, worker = 'w1' } = {}): string {
  return `${at}\t${point}\t${epoch}\t${worker}`;
}

describe('a line', () => {
  test('is read with and without its end', () => {
    const read = { at: 1_000, point: 3, epoch: 5, worker: 'w1' };
    expect(parseLine(line(3))).toEqual(read);
    expect(parseLine(`${line(3)}\n`)).toEqual(read);
  });

  test('that was torn is none', () => {
    for (const text of ['', '1000', '1000\t3', '1000\t3\t5', '1000\t3\t5\t', 'x\t3\t5\tw1', `${line(1)}\t9`]) {
      expect(parseLine(text), JSON.stringify(text)).toBeNull();
    }
  });
});

describe('the count', () => {
  test('of a sink in which every point stands once', () => {
    const count = countLines([line(2), line(0), line(3), line(1)], JOB);
    expect(count).toMatchObject({ lines: 4, torn: 0, missing: [], duplicates: [], extraExecutions: 0, foreign: [] });
    expect(count.repeatedOfOneLeaseMax).toBe(0);
  });

  test('sees the first and the last point missing', () => {
    expect(countLines([line(1), line(2)], JOB).missing).toEqual([0, 3]);
    expect(countLines([], JOB).missing).toEqual([0, 1, 2, 3]);
  });

  test('a point three times is one duplicate and two extra executions', () => {
    const count = countLines([line(0), line(1), line(1), line(1), line(2), line(3), line(3)], JOB);
    expect(count.duplicates).toEqual([1, 3]);
    expect(count.extraExecutions).toBe(3);
  });

  test('a torn line is no execution, and its point is missing', () => {
    const count = countLines([line(0), line(1), '1000\t2\t', line(3)], JOB);
    expect(count).toMatchObject({ lines: 3, torn: 1, missing: [2] });
  });

  test('a point that is none of the job is foreign, not missing elsewhere', () => {
    const count = countLines([line(0), line(1), line(2), line(3), line(4), line(-1)], JOB);
    expect(count.foreign).toEqual([-1, 4]);
    expect(count.missing).toEqual([]);
  });

  test('of each lease it counts the lines that were written again later', () => {
    const lost = [line(0, { epoch: 5 }), line(1, { epoch: 5 })];
    const again = [line(0, { epoch: 9 }), line(1, { epoch: 10 }), line(2, { epoch: 9 }), line(3, { epoch: 8 })];
    expect(countLines([...lost, ...again], JOB).repeatedOfOneLeaseMax).toBe(2);
  });

  test('the longest gap lies between new points, or at the beginning, or at the end', () => {
    const at = (times: readonly number[]) => times.map((time, point) => line(point, { at: time }));
    expect(countLines(at([1_100, 1_200, 1_700, 1_900]), JOB).longestGapMs).toBe(500);
    expect(countLines(at([1_600, 1_700, 1_800, 1_900]), JOB).longestGapMs).toBe(600);
    expect(countLines(at([1_100, 1_150, 1_200, 1_250]), JOB).longestGapMs).toBe(750);
    // What is only repeated is no progress.
    expect(countLines([...at([1_100, 1_150, 1_200]), line(0, { at: 1_600 })], JOB).longestGapMs).toBe(800);
  });
});

test('points outside of ranges are found, ends included', () => {
  expect(
    outside(
      [1, 2, 3, 7],
      [
        [2, 3],
        [7, 9],
      ],
    ),
  ).toEqual([1, 3]);
});

test('p99 is one of the values', () => {
  expect(p99([])).toBeNull();
  expect(p99([5])).toBe(5);
  expect(p99(Array.from({ length: 200 }, (_, at) => 200 - at))).toBe(198);
});
