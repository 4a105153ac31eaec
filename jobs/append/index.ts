/**
 * append: writes one line a point to a file, a Redis list or a PostgreSQL table. The smallest job type that shows every
 * effect, so that a test can count what ran twice and what never ran.
 *
 * A line is `<epoch ms>\t<point>\t<epoch>\t<worker>\n`, written before the point is acknowledged, and in a file synced: after a
 * crash, of the machine too, a line may stand twice, and none is missing. With a fenced sink none stands twice.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type TaskContext } from '../../src/jobtype/client.ts';
import { type AppendSink, openFile } from './sink.ts';

export interface AppendMetadata {
  /**
   * `file:PATH`, `redis://HOST:PORT/DB?list=KEY`, and fenced: `fenced-redis://HOST:PORT/DB?list=KEY` or
   * `postgres://USER@HOST:PORT/DB?table=NAME`. Metadata can be read by everybody, so a password has no place in it:
   * PostgreSQL's comes from PGPASSWORD in the environment of the node.
   */
  readonly sink: string;
  /** Pause between two points. */
  readonly intervalMs?: number;
}

const REDIS = '(fenced-)?redis://[^/?#@]+(:[0-9]+)?(/[0-9]+)?\\?list=.+';
const POSTGRES = 'postgres://([^/?#@:]+@)?[^/?#@]+(:[0-9]+)?/[^/?#]+\\?table=[A-Za-z_][A-Za-z0-9_]{0,62}';

export class Append extends Client<AppendMetadata> {
  static override readonly metadata = {
    type: 'object',
    required: ['sink'],
    additionalProperties: false,
    properties: {
      sink: { type: 'string', pattern: `^(file:.+|${REDIS}|${POSTGRES})$` },
      intervalMs: { type: 'number', minimum: 0, maximum: 3_600_000 },
    },
  };

  static override readonly deliveriesWhen = {
    'exactly-once': {
      type: 'object',
      properties: { sink: { type: 'string', pattern: '^(fenced-redis|postgres)://' } },
    },
  };

  override async work(task: TaskContext<AppendMetadata>): Promise<void> {
    const { intervalMs = 0 } = task.metadata;
    const sink = await openSink(task);
    try {
      for await (const point of sink.points) {
        await sink.append(point, `${Date.now()}\t${point}\t${task.epoch}\t${task.worker}\n`);
        if (intervalMs === 0) continue;
        // Or every crash in the pause would write the line again. At most once, it is the next point that a crash would spoil.
        if (task.delivery !== 'at-most-once') task.acknowledge();
        await pause(intervalMs, task.signal);
      }
    } finally {
      await sink.close();
    }
  }
}

/** What a sink needs is loaded with it: nodes import this file to read the schema, and have no use for the clients. */
async function openSink(task: TaskContext<AppendMetadata>): Promise<AppendSink> {
  const { sink, intervalMs = 0 } = task.metadata;
  if (sink.startsWith('file:')) return openFile(task, { path: sink.slice('file:'.length), syncsEach: intervalMs > 0 });
  if (sink.startsWith('postgres:')) return (await import('./postgres.ts')).openTable(task, sink);
  return (await import('./redis.ts')).openList(task, sink);
}

/** Ends early, and without an error, when the task must stop: the line before it is written and counts. */
async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  await sleep(delayMs, undefined, { signal }).catch(() => {});
}
