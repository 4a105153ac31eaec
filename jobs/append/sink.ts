/**
 * Where append writes, and the file, which needs no client.
 */
import { closeSync, openSync, writeSync } from 'node:fs';
import type { Point, Range } from '../../src/base/types.ts';

/** Of a task, what a sink needs. */
export interface AppendTask extends Range {
  readonly job: string;
  readonly epoch: number;
  points(): AsyncIterable<Point>;
}

export interface AppendSink {
  /** Those that are to be written; each is asked of the task. */
  readonly points: AsyncIterable<Point>;
  /** Resolves when the line is where it belongs. */
  append(point: Point, line: string): Promise<void>;
  close(): Promise<void>;
}

export function openFile(task: AppendTask, path: string): AppendSink {
  // O_APPEND: the system puts each line behind all others, of whatever process.
  const file = openSync(path, 'a');
  return {
    points: task.points(),
    // Synchronous: this thread has nothing else to do, and a point costs a fifth of it.
    async append(_point, line) {
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
