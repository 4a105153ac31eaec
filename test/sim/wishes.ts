/**
 * Wishes: what people want of their jobs beyond a range that is worked. Shares and limits, hooks that hold a job back,
 * jobs that come after others or at a time, word of the end, and jobs that come again and again.
 *
 * Half of all seeds have none, and are what they were before there were any; a wish may hide a bug as well as find one.
 * All lots are drawn from a generator of their own.
 */
import { PRIORITY_MAX, WEIGHT_MAX } from '../../src/base/limits.ts';
import { createPrng, type Prng } from '../../src/base/prng.ts';
import type { JobId } from '../../src/base/types.ts';
import { fillOptions } from '../../src/ranges/options.ts';
import type { Controls, JobOptions, ScheduleSpec } from '../../src/ranges/types.ts';
import type { JobModel } from './attempt.ts';
import { hookFor } from './outside.ts';
import type { JobPlan, SeedPlan } from './plan.ts';
import { WALL_EPOCH_MS } from './process.ts';

export interface SchedulePlan {
  readonly schedule: ScheduleSpec;
  readonly model: JobModel;
  readonly putAt: number;
}

/** What people do while the jobs run. Mean virtual milliseconds between two of a kind; infinite for never. */
export interface WishPlan {
  readonly schedules: readonly SchedulePlan[];
  readonly setEveryMs: number;
  readonly restEveryMs: number;
  /** What is kept beside the jobs; null for nothing. */
  readonly library: LibraryPlan | null;
}

/** Datasets, and the blobs behind them: few of each, so that they meet. */
export interface LibraryPlan {
  readonly nameCount: number;
  readonly blobCount: number;
  /** Mean virtual milliseconds between two requests. */
  readonly actEveryMs: number;
  /** Mean virtual milliseconds between two walks of one keeper. */
  readonly keepEveryMs: number;
}

export const NO_WISHES: WishPlan = {
  schedules: [],
  setEveryMs: Number.POSITIVE_INFINITY,
  restEveryMs: Number.POSITIVE_INFINITY,
  library: null,
};

const WISHES_CHANCE = 0.5;
const LIBRARY_CHANCE = 0.4;
const AT_MS_MAX = 40_000;
const SCHEDULES_MAX = 2;

function spread(prng: Prng, low: number, high: number): number {
  return low * (high / low) ** prng.next();
}

export function drawWishes(plan: SeedPlan): SeedPlan {
  const prng = createPrng(plan.seed ^ 0x3154);
  if (!prng.chance(WISHES_CHANCE)) return plan;
  const jobs: JobPlan[] = [];
  for (const job of plan.jobs) jobs.push(drawJobWishes(prng, job, jobs));
  const schedules = prng.chance(0.5) ? [...Array(prng.integer(1, SCHEDULES_MAX + 1)).keys()] : [];
  return {
    ...plan,
    jobs,
    wishes: {
      ...plan.wishes,
      schedules: schedules.map((number) => drawSchedule(prng, `schedule-${number}`, plan.faultsToMs)),
      setEveryMs: prng.chance(0.7) ? spread(prng, 300, 5_000) : Number.POSITIVE_INFINITY,
      restEveryMs: prng.chance(0.5) ? spread(prng, 1_500, 10_000) : Number.POSITIVE_INFINITY,
    },
  };
}

/** With lots of its own, too: a seed without a library is what it was before there was any. */
export function drawLibrary(plan: SeedPlan): SeedPlan {
  const prng = createPrng(plan.seed ^ 0xb00c);
  if (!prng.chance(LIBRARY_CHANCE)) return plan;
  const library: LibraryPlan = {
    nameCount: prng.integer(1, 4),
    blobCount: prng.integer(1, 5),
    actEveryMs: spread(prng, 50, 1_000),
    keepEveryMs: spread(prng, 200, 5_000),
  };
  return { ...plan, wishes: { ...plan.wishes, library } };
}

function drawJobWishes(prng: Prng, job: JobPlan, earlier: readonly JobPlan[]): JobPlan {
  const { spec, model } = job;
  const { id } = spec;
  const before = prng.chance(0.3) ? earlier[prng.integer(0, Math.max(1, earlier.length))] : undefined;
  const options: JobOptions = {
    ...spec.options,
    priority: prng.chance(0.5) ? drawPriority(prng) : 0,
    weight: prng.chance(0.4) ? drawWeight(prng) : 1,
    maxConcurrency: prng.chance(0.4) ? drawLimit(prng) : null,
    pointsPerSecond: prng.chance(0.3) ? drawRate(prng, job) : null,
    throttle: prng.chance(0.3) ? drawHook(prng, id) : null,
    onDone: prng.chance(0.5) ? `http://done.test/${id}` : null,
    after: before?.spec.id ?? null,
    at: prng.chance(0.2) ? WALL_EPOCH_MS + Math.floor(prng.next() * AT_MS_MAX) : null,
  };
  const submitAt = Math.max(job.submitAt, before?.submitAt ?? 0);
  return { spec: { ...spec, options }, model, submitAt };
}

function drawHook(prng: Prng, id: JobId): JobOptions['throttle'] {
  const kinds = ['command', 'url', 'prometheus'] as const;
  const kind = kinds[prng.integer(0, kinds.length)] ?? 'url';
  return hookFor(kind, id, Math.floor(spread(prng, 100, 2_000)));
}

/** A few levels only, so that jobs meet on one. */
function drawPriority(prng: Prng): number {
  return prng.chance(0.1) ? PRIORITY_MAX : prng.integer(-2, 3);
}

function drawWeight(prng: Prng): number {
  return prng.chance(0.1) ? WEIGHT_MAX : prng.integer(1, 6);
}

function drawLimit(prng: Prng): number {
  return prng.integer(1, 4);
}

/** All its points in some seconds. A job whose points are tried again and again pays for them each time, and has no rate. */
function drawRate(prng: Prng, { spec, model }: JobPlan): number | null {
  if (model.poison.size > 0) return null;
  return Math.max(1, Math.ceil((spec.end - spec.start) / spread(prng, 2, 20)));
}

/** One change of the controls of a job that is there. */
export function drawChange(prng: Prng, job: JobPlan): Partial<Controls> {
  switch (prng.integer(0, 4)) {
    case 0:
      return { priority: drawPriority(prng) };
    case 1:
      return { weight: drawWeight(prng) };
    case 2:
      return { maxConcurrency: prng.chance(0.7) ? drawLimit(prng) : null };
    default:
      return { pointsPerSecond: prng.chance(0.7) ? drawRate(prng, job) : null };
  }
}

/** Its jobs take from a moment to longer than the time between two of them. */
function drawSchedule(prng: Prng, key: string, faultsToMs: number): SchedulePlan {
  const everySeconds = prng.integer(1, 5);
  const model: JobModel = { pointMs: 2 ** prng.integer(0, 6), poison: new Set(), exposure: 'window' };
  const points = Math.max(1, Math.floor((everySeconds * 1_000 * spread(prng, 0.1, 3)) / model.pointMs));
  const options = fillOptions({
    commitEvery: Math.max(1, Math.floor(points / 4)),
    commitIntervalMs: 100,
    priority: prng.chance(0.3) ? drawPriority(prng) : 0,
  });
  const spec = {
    name: 'points',
    start: 0,
    end: points,
    metadata: '{}',
    options,
    exposure: 'window',
    overseen: true,
    input: null,
    inputName: null,
    collects: false,
  } as const;
  const schedule = { key, cron: `*/${everySeconds} * * * * *`, timeZone: 'UTC', spec };
  return { schedule, model, putAt: prng.next() * faultsToMs * 0.5 };
}
