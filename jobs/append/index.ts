/**
 * append: writes one line a point to a file or a Redis list. The smallest job type that shows every effect, so that a
 * test can count what ran twice and what never ran.
 *
 * A line is `<epoch ms>\t<point>\t<epoch>\t<worker>\n`, written by one call and before the point is acknowledged: after
 * a crash a line may stand twice, and none is missing.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Client, type TaskContext } from '../../src/jobtype/client.ts';
import { connectRedis } from './redis.ts';

export interface AppendMetadata {
  /** `file:PATH` or `redis://HOST:PORT/DB?list=KEY`. */
  readonly sink: string;
  /** Pause between two points. */
  readonly intervalMs?: number;
}

const FILE_PREFIX = 'file:';

export class Append extends Client<AppendMetadata> {
  static override readonly metadata = {
    type: 'object',
    required: ['sink'],
    additionalProperties: false,
    properties: {
      sink: { type: 'string', pattern: '^(file:.+|redis://[^/?#@]+(:[0-9]+)?(/[0-9]+)?\\?list=.+)$' },
      intervalMs: { type: 'number', minimum: 0, maximum: 3_600_000 },
    },
  };

  override async work(task: TaskContext<AppendMetadata>): Promise<void> {
    const { sink: address, intervalMs = 0 } = task.metadata;
    const sink = address.startsWith(FILE_PREFIX)
      ? openFile(address.slice(FILE_PREFIX.length))
      : await connectRedis(address);
    try {
      for await (const point of task.points()) {
        await sink.append(`${Date.now()}\t${point}\t${task.epoch}\t${task.worker}\n`);
        if (intervalMs > 0) await pause(intervalMs, task.signal);
      }
    } finally {
      await sink.close();
    }
  }
}

interface Sink {
  /** Resolves when the line is where it belongs. */
  append(line: string): Promise<void>;
  close(): Promise<void>;
}

function openFile(path: string): Sink {
  // O_APPEND: the system puts each line behind all others, of whatever process.
  const file = openSync(path, 'a');
  return {
    // Synchronous: this thread has nothing else to do, and a point costs a fifth of it.
    async append(line) {
      const bytes = Buffer.from(line);
      const written = writeSync(file, bytes);
      // A second call for the rest could end up behind the line of somebody else.
      if (written !== bytes.length) throw new Error(`${path}: ${written} of ${bytes.length} bytes written`);
    },
    async close() {
      closeSync(file);
    },
  };
}

/** Ends early, and without an error, when the task must stop: the line before it is written and counts. */
async function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  await sleep(delayMs, undefined, { signal }).catch(() => {});
}
