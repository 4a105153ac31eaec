/**
 * Counting: what stands in the sink, over the whole of [0, N). Polaris is not asked; its own view is held against this one.
 *
 * A line is `<epoch ms>\t<point>\t<epoch>\t<worker>`. One that was torn by a crash of the writer is no line: its point counts
 * as missing unless another has it.
 */
import type { SpanOfPoints } from './row.ts';

export interface SinkLine {
  /** Epoch ms by the clock of the thread that wrote it. */
  readonly at: number;
  readonly point: number;
  readonly epoch: number;
  readonly worker: string;
}

export interface SinkCount {
  readonly lines: number;
  readonly torn: number;
  /** Points of [0, N) without a line, ascending. */
  readonly missing: readonly number[];
  /** Points with more than one line, ascending. */
  readonly duplicates: readonly number[];
  /** Lines beyond the first of their point. */
  readonly extraExecutions: number;
  /** Points with a line that are none of the job's. */
  readonly foreign: readonly number[];
  /** Of one lease, the most lines whose point was written again later. */
  readonly repeatedOfOneLeaseMax: number;
  /** The longest time in which no new point came: from the start to the first, between two, and to the end of the job. */
  readonly longestGapMs: number;
}

const FIELDS = /^(\d{1,16})\t(-?\d{1,16})\t(\d{1,16})\t(\S+)$/;

/** Null for what is no whole line. */
export function parseLine(text: string): SinkLine | null {
  const match = FIELDS.exec(text.trimEnd());
  if (match === null) return null;
  const [, at, point, epoch, worker = ''] = match;
  return { at: Number(at), point: Number(point), epoch: Number(epoch), worker };
}

/** @param texts in the order in which they were written, as far as the sink keeps one */
export function countLines(
  texts: readonly string[],
  job: { readonly length: number; readonly startedAt: number; readonly endedAt: number },
): SinkCount {
  const parsed = texts.map(parseLine);
  const lines = parsed.filter((line) => line !== null);
  const byPoint = new Map<number, SinkLine[]>();
  for (const line of lines) {
    const same = byPoint.get(line.point);
    if (same === undefined) byPoint.set(line.point, [line]);
    else same.push(line);
  }
  const points = [...byPoint.keys()].sort((left, right) => left - right);
  const own = points.filter((point) => point >= 0 && point < job.length);
  return {
    lines: lines.length,
    torn: parsed.length - lines.length,
    missing: Array.from({ length: job.length }, (_, point) => point).filter((point) => !byPoint.has(point)),
    duplicates: points.filter((point) => (byPoint.get(point)?.length ?? 0) > 1),
    extraExecutions: lines.length - byPoint.size,
    foreign: points.filter((point) => point < 0 || point >= job.length),
    repeatedOfOneLeaseMax: repeatedOfOneLease([...byPoint.values()]),
    longestGapMs: longestGap(
      own.map((point) => Math.min(...(byPoint.get(point) ?? []).map((line) => line.at))),
      job,
    ),
  };
}

/** All lines of a point but its last were in vain; their leases were lost. */
function repeatedOfOneLease(pointsLines: readonly (readonly SinkLine[])[]): number {
  const byEpoch = new Map<number, number>();
  for (const lines of pointsLines) {
    for (const { epoch } of lines.slice(0, -1)) byEpoch.set(epoch, (byEpoch.get(epoch) ?? 0) + 1);
  }
  return [...byEpoch.values()].reduce((most, count) => Math.max(most, count), 0);
}

function longestGap(times: number[], { startedAt, endedAt }: { startedAt: number; endedAt: number }): number {
  const moments = [startedAt, ...times.sort((left, right) => left - right), endedAt];
  return moments.reduce((longest, at, index) => Math.max(longest, at - (moments[index - 1] ?? at)), 0);
}

/** The points that are in none of the ranges. */
export function outside(points: readonly number[], ranges: readonly SpanOfPoints[]): number[] {
  return points.filter((point) => !ranges.some(([start, end]) => point >= start && point < end));
}

/** The value below which 99 of 100 lie, by nearest rank; null when there is none. */
export function p99(values: readonly number[]): number | null {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.ceil(sorted.length * 0.99) - 1] ?? null;
}
