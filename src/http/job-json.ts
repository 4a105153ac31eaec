/**
 * The job resource: what a job looks like outside. Everything is computed from the job's ranges in the turn of the
 * read, and copied, since a view must not be kept.
 *
 * Invariant of `verify`: covered points (the `uncertain` among them), `missing` and `failed` tile the range of the job,
 * and `covered` is read off the ranges themselves, never off a counter.
 */
import { unreachable } from '../base/assert.ts';
import type { Handle } from '../base/handle.ts';
import type { Json, NodeId, Range } from '../base/types.ts';
import type { JobPace } from '../daemon/api.ts';
import type {
  Controls,
  FailedRange,
  JobOptions,
  JobState,
  JobView,
  Reexecuted,
  Uncertain,
  WorkerView,
} from '../ranges/types.ts';

/** `[start, end)` as a pair. */
export type RangeJson = readonly [start: number, end: number];

export interface ProgressJson {
  readonly total: number;
  readonly done: number;
  readonly failed: number;
  readonly uncertain: number;
  /** Points of live tasks that are not yet acknowledged. */
  readonly leased: number;
  readonly pending: number;
  readonly reexecuted: number;
  /** Null where the speed is not known: on a node that does not lead, and before anything was measured. */
  readonly ratePerSecond: number | null;
  readonly etaSeconds: number | null;
}

export interface JobJson {
  readonly id: string;
  readonly name: string;
  readonly start: number;
  readonly end: number;
  readonly metadata: Json;
  /** What it works through, a row a point; null when it has none. */
  readonly input: InputJson | null;
  /** As they were submitted. */
  readonly options: JobOptions;
  /** What of them may change, as it is now. */
  readonly controls: Controls;
  readonly state: JobState;
  /** Why it is paused, failed or not getting on; null otherwise. */
  readonly reason: string | null;
  readonly progress: ProgressJson;
  /** 1, and one more for each retry after it had finished. */
  readonly run: number;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
}

/** The rows that a job was given. */
export interface InputJson {
  /** The dataset under whose name they stood at the submit; null when it was planned otherwise. */
  readonly dataset: string | null;
  readonly handle: Handle;
}

export interface RangesJson {
  readonly done: readonly RangeJson[];
  readonly pending: readonly RangeJson[];
  readonly tasks: readonly {
    readonly start: number;
    readonly end: number;
    readonly cursor: number;
    readonly epoch: number;
    readonly worker: NodeId;
  }[];
  readonly failed: readonly {
    readonly start: number;
    readonly end: number;
    readonly error: string;
    readonly attempts: number;
  }[];
}

export interface VerifyJson {
  /** Whether the acknowledged ranges tile the job's range exactly. */
  readonly covered: boolean;
  /** Neither acknowledged nor failed. */
  readonly missing: readonly RangeJson[];
  readonly failed: readonly RangeJson[];
  readonly uncertain: readonly RangeJson[];
  readonly reexecuted: readonly Reexecuted[];
  /** What may be claimed of it, as a sentence. */
  readonly claim: string;
}

export type FailedJson = Omit<FailedRange, 'at'> & { readonly at: string };
export type UncertainJson = Omit<Uncertain, 'at'> & { readonly at: string };

/** What went wrong, for `GET /v1/jobs/:id/failures`. */
export interface FailuresJson {
  readonly failed: readonly FailedJson[];
  readonly uncertain: readonly UncertainJson[];
}

/** What there is to say of a job that its record does not hold. */
export interface Surroundings {
  readonly pace: JobPace | null;
  /** Why its leader gives it nothing. */
  readonly hold: string | null;
  /** Job types that some worker with a slot offers just now. */
  readonly offered: ReadonlySet<string>;
  /** Epoch ms. */
  readonly now: number;
}

/** Names of the job types that some worker with a slot offers just now. */
export function offeredNames(workers: Iterable<WorkerView>): ReadonlySet<string> {
  const names = new Set<string>();
  for (const worker of workers) {
    if (worker.slots > 0) for (const offer of worker.offers) names.add(offer.name);
  }
  return names;
}

export function jobJson(job: JobView, around: Surroundings): JobJson {
  const { id, name, start, end, metadata, input, inputName, options } = job.spec;
  return {
    ...{ id, name, start, end },
    metadata: JSON.parse(metadata),
    input: input === null ? null : { dataset: inputName, handle: input },
    options,
    controls: job.controls,
    state: job.state,
    reason: job.reason ?? waitReason(job, around),
    progress: progressJson(job, around.pace),
    run: job.run,
    createdAt: isoTime(job.createdAt),
    startedAt: job.startedAt === null ? null : isoTime(job.startedAt),
    finishedAt: job.finishedAt === null ? null : isoTime(job.finishedAt),
  };
}

function progressJson(job: JobView, pace: JobPace | null): ProgressJson {
  const total = job.spec.end - job.spec.start;
  const leased = job.tasks.reduce((sum, task) => sum + (task.end - task.cursor), 0);
  return {
    total,
    done: job.coveredPoints - job.uncertainPoints,
    failed: job.failedPoints,
    uncertain: job.uncertainPoints,
    leased,
    pending: total - job.coveredPoints - job.failedPoints - leased,
    reexecuted: job.reexecutedPoints,
    ratePerSecond: pace?.pointsPerSecond ?? null,
    etaSeconds: pace?.etaSeconds ?? null,
  };
}

/** Why an open job does not get on, where its record itself has no reason. */
function waitReason({ spec, state, startedAt, waitsFor }: JobView, around: Surroundings): string | null {
  const { offered, hold, now } = around;
  if (state !== 'pending' && state !== 'running') return null;
  if (waitsFor !== null) return `waits for job ${waitsFor}`;
  const { at } = spec.options;
  if (startedAt === null && at !== null && at > now) return `starts at ${isoTime(at)}`;
  return offered.has(spec.name) ? hold : `no worker offers "${spec.name}"`;
}

export function rangesJson(job: JobView): RangesJson {
  const pending: Range[] = [...job.returned];
  if (job.frontier < job.spec.end) pending.push({ start: job.frontier, end: job.spec.end });
  return {
    done: job.covered.map(pair),
    pending: merged(pending).map(pair),
    tasks: job.tasks.map(({ start, end, cursor, epoch, worker }) => ({ start, end, cursor, epoch, worker })),
    failed: job.failed.map(({ start, end, error, attempts }) => ({ start, end, error, attempts })),
  };
}

export function verifyJson(job: JobView): VerifyJson {
  const whole = { start: job.spec.start, end: job.spec.end };
  const failed = merged(job.failed);
  return {
    covered: tilesExactly(job.covered, whole),
    missing: gaps(merged([...job.covered, ...failed]), whole).map(pair),
    failed: failed.map(pair),
    uncertain: job.uncertain.map(pair),
    reexecuted: job.reexecuted.map(({ start, end, times, workers }) => ({ start, end, times, workers })),
    claim: claimOf(job),
  };
}

/** "0 duplicates" is only ever said where the sink takes part. */
function claimOf({ spec, reexecutedPoints, uncertainPoints }: JobView): string {
  switch (spec.options.delivery) {
    case 'exactly-once':
      return '0 duplicates: its sink refuses what it has, and what comes under an old epoch';
    case 'at-most-once':
      return `no point ran twice, unless it was retried; ${uncertainPoints} points ran once or not at all`;
    case 'at-least-once':
      return `re-executed at most ${reexecutedPoints} times in all`;
    default:
      return unreachable(spec.options.delivery);
  }
}

export function failedJson({ start, end, error, attempts, worker, at }: FailedRange): FailedJson {
  return { start, end, error, attempts, worker, at: isoTime(at) };
}

export function uncertainJson({ start, end, epoch, worker, at }: Uncertain): UncertainJson {
  return { start, end, epoch, worker, at: isoTime(at) };
}

/** Whether the ranges, in any order, fill `whole` without a gap, an overlap or anything outside. */
function tilesExactly(ranges: readonly Range[], whole: Range): boolean {
  let next = whole.start;
  for (const range of byStart(ranges)) {
    if (range.start !== next) return false;
    next = range.end;
  }
  return next === whole.end;
}

/** The parts of `whole` in none of the ranges, which ascend and do not overlap. */
function gaps(ranges: readonly Range[], whole: Range): readonly Range[] {
  const found: Range[] = [];
  let next = whole.start;
  for (const range of ranges) {
    if (range.start > next) found.push({ start: next, end: range.start });
    next = Math.max(next, range.end);
  }
  if (next < whole.end) found.push({ start: next, end: whole.end });
  return found;
}

/** Ascending, and one where two touch. */
function merged(ranges: readonly Range[]): readonly Range[] {
  const result: { start: number; end: number }[] = [];
  for (const range of byStart(ranges)) {
    const last = result.at(-1);
    if (last !== undefined && range.start <= last.end) last.end = Math.max(last.end, range.end);
    else result.push({ start: range.start, end: range.end });
  }
  return result;
}

function byStart(ranges: readonly Range[]): readonly Range[] {
  return [...ranges].sort((a, b) => a.start - b.start);
}

function pair(range: Range): RangeJson {
  return [range.start, range.end];
}

/** ISO 8601. */
export function isoTime(epochMs: number): string {
  return new Date(epochMs).toISOString();
}
