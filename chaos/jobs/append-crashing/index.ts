/**
 * append-crashing: `append` whose code throws between two points, at random times. The original Polaris crashed its workers
 * in this way; here it is the mildest of the modes.
 *
 * The clock of the crashes runs through all tasks of a worker thread, drawn from the seed and the worker's name. Each crash
 * is noted in a journal before it is thrown, so that it can be counted from outside.
 */
import { appendFileSync } from 'node:fs';
import { Append, type AppendMetadata } from '../../../jobs/append/index.ts';
import type { TaskContext } from '../../../src/jobtype/client.ts';
import { createStrikes, type Strike } from '../../schedule.ts';

export interface CrashingMetadata extends AppendMetadata {
  readonly crash: {
    readonly seed: number;
    readonly minMs: number;
    readonly maxMs: number;
    /** A file: `<epoch ms>\t<point>\t<epoch>\t<worker>\n` for each crash. */
    readonly journal: string;
  };
}

interface CrashClock {
  readonly next: () => Strike;
  /** By performance.now(). */
  dueAt: number;
}

/** By job and worker. It outlives the tasks, as long as the thread does. */
const clocks = new Map<string, CrashClock>();

export class AppendCrashing extends Append {
  static override readonly metadata = {
    ...Append.metadata,
    required: [...Append.metadata.required, 'crash'],
    properties: {
      ...Append.metadata.properties,
      crash: {
        type: 'object',
        required: ['seed', 'minMs', 'maxMs', 'journal'],
        additionalProperties: false,
        properties: {
          seed: { type: 'integer' },
          minMs: { type: 'number', minimum: 1 },
          maxMs: { type: 'number', minimum: 1 },
          journal: { type: 'string', minLength: 1 },
        },
      },
    },
  };

  override work(task: TaskContext<AppendMetadata>): Promise<void> {
    // Its own schema was met at submit.
    return super.work(crashing(task as TaskContext<CrashingMetadata>));
  }
}

/** The same task, but that its iterations throw when a crash is due. */
function crashing(task: TaskContext<CrashingMetadata>): TaskContext<CrashingMetadata> {
  return new Proxy(task, {
    get(target, name) {
      if (name === 'points') return () => throwing(target, target.points(), (point) => point);
      if (name === 'chunks') return (size: number) => throwing(target, target.chunks(size), ({ start }) => start);
      const value: unknown = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

async function* throwing<T>(
  task: TaskContext<CrashingMetadata>,
  items: AsyncIterableIterator<T>,
  pointOf: (item: T) => number,
): AsyncGenerator<T> {
  const clock = clockOf(task);
  for await (const item of items) {
    if (performance.now() >= clock.dueAt) crash(task, clock, pointOf(item));
    yield item;
  }
}

function clockOf({ job, worker, metadata }: TaskContext<CrashingMetadata>): CrashClock {
  const key = `${job} ${worker}`;
  let clock = clocks.get(key);
  if (clock === undefined) {
    const { seed, minMs, maxMs } = metadata.crash;
    const next = createStrikes({ seed, label: `soft ${worker}`, every: { minMs, maxMs } });
    clock = { next, dueAt: performance.now() + next().afterMs };
    clocks.set(key, clock);
  }
  return clock;
}

function crash({ epoch, worker, metadata }: TaskContext<CrashingMetadata>, clock: CrashClock, point: number): never {
  clock.dueAt = performance.now() + clock.next().afterMs;
  appendFileSync(metadata.crash.journal, `${Date.now()}\t${point}\t${epoch}\t${worker}\n`);
  throw new Error(`crashed before point ${point}, as the schedule says`);
}
