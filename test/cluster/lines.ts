/**
 * What the job type `append` wrote: one line for each time that a point was worked. These lines are the witnesses from
 * outside; what Polaris says of itself is held against them.
 */
import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import type { VerifyJson } from '../../src/http/job-json.ts';

export interface Line {
  /** Epoch ms by the clock of the thread that wrote it. */
  readonly at: number;
  readonly point: number;
  readonly epoch: number;
  readonly worker: string;
}

/** All whole lines, in the order in which they were written. */
export function readLines(path: string): Line[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  const rows = text.split('\n').slice(0, -1);
  return rows.map((row) => {
    const [at, point, epoch, worker = ''] = row.split('\t');
    return { at: Number(at), point: Number(point), epoch: Number(epoch), worker };
  });
}

export function byPoint(lines: readonly Line[]): Map<number, Line[]> {
  const points = new Map<number, Line[]>();
  for (const line of lines) points.set(line.point, [...(points.get(line.point) ?? []), line]);
  return points;
}

/** Points of [0, end) without a line, and points with a line that are none of them. */
export function missingAndForeign(lines: readonly Line[], end: number): number[] {
  const points = byPoint(lines);
  const missing = Array.from({ length: end }, (_, point) => point).filter((point) => !points.has(point));
  return [...missing, ...[...points.keys()].filter((point) => !(point >= 0 && point < end))];
}

/** Lines whose point was worked again later: what was in vain. */
export function repeated(lines: readonly Line[]): Line[] {
  return [...byPoint(lines).values()].flatMap((all) => all.slice(0, -1));
}

/** Every point has one line and no more. */
export function expectExactlyOnce(lines: readonly Line[], end: number): void {
  expect(missingAndForeign(lines, end)).toEqual([]);
  expect(repeated(lines)).toEqual([]);
}

/**
 * No point is missing; what was repeated belongs to the lost leases alone, lies within what `verify` admits, and is at
 * most `commitEvery` points for each of them.
 */
export function expectBoundedRepeats(
  lines: readonly Line[],
  expected: {
    readonly end: number;
    readonly verify: VerifyJson;
    readonly lost: readonly number[];
    readonly commitEvery: number;
  },
): void {
  const { end, verify, lost, commitEvery } = expected;
  expect(missingAndForeign(lines, end)).toEqual([]);
  const again = repeated(lines);
  expect(again.filter((line) => !lost.includes(line.epoch))).toEqual([]);
  for (const [point, all] of byPoint(again)) {
    const admitted = verify.reexecuted
      .filter((range) => point >= range.start && point < range.end)
      .reduce((times, range) => times + range.times, 0);
    expect(all.length, `point ${point} was repeated within what verify admits`).toBeLessThanOrEqual(admitted);
  }
  for (const epoch of lost) {
    const count = again.filter((line) => line.epoch === epoch).length;
    expect(count, `points of epoch ${epoch} that were repeated`).toBeLessThanOrEqual(commitEvery);
  }
}
