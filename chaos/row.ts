/**
 * Row: one run of the chaos test. What it was to do, what was counted, and what it promised.
 */
import type { Delivery } from '../src/ranges/types.ts';

/** `soft`: the job code throws; `kill`: kill -9 of workers; `leader`: of the leader too; `none`: only what a nemesis does. */
export const MODES = ['soft', 'kill', 'leader', 'none'] as const;
export type Mode = (typeof MODES)[number];

export const SINKS = ['file', 'redis', 'fenced-redis', 'postgres'] as const;
export type SinkKind = (typeof SINKS)[number];

export const NEMESES = [
  'kill',
  'pause',
  'leader',
  'all',
  'partition',
  'slow-links',
  'lossy-links',
  'full-disk',
  'slow-fsync',
  'clock',
  'slow-worker',
  'rolling',
] as const;
export type NemesisName = (typeof NEMESES)[number];

/** `[start, end)` */
export type SpanOfPoints = readonly [start: number, end: number];

export interface RowSpec {
  readonly length: number;
  readonly mode: Mode;
  readonly delivery: Delivery;
  readonly sink: SinkKind;
  readonly nemeses: readonly NemesisName[];
}

/** What the machine could not do, and why. */
export interface Skipped {
  readonly nemesis: NemesisName;
  readonly reason: string;
}

export interface Row extends RowSpec {
  readonly commitEvery: number;
  /** Processes killed with -9; in soft mode, exceptions thrown. */
  readonly kills: number;
  /** Of the kills, those of whoever led just then. */
  readonly leaderKills: number;
  /** Everything that was done to the cluster, the kills among them. */
  readonly strikes: number;
  /** Distinct points of [0, length) that are not in the sink. */
  readonly missing: number;
  /** Distinct points that are in the sink more than once. */
  readonly duplicates: number;
  /** Lines beyond the first of each point. */
  readonly extraExecutions: number;
  /** Points that Polaris lists as uncertain. */
  readonly uncertain: number;
  readonly longestGapMs: number;
  /** From a kill to the moment at which somebody else, or the same worker anew, had the rest; null where none was lost. */
  readonly regrantMsP99: number | null;
  readonly seconds: number;
  /** One sentence for each promise that was broken. */
  readonly broken: readonly string[];
}

export interface ChaosReport {
  readonly seed: number;
  readonly compress: number;
  readonly rows: readonly Row[];
  readonly skipped: readonly Skipped[];
}
