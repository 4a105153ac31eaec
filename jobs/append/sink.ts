/**
 * Where append writes, and the file, which needs no client.
 */
import { writeSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { APPEND_SYNC_POINTS_MAX } from '../../src/base/limits.ts';
import type { Point, Range } from '../../src/base/types.ts';

/** Of a task, what a sink needs. */
export interface AppendTask extends Range {
  readonly job: string;
  readonly epoch: number;
  points(): AsyncIterable<Point>;
  chunks(size: number): AsyncIterable<Range>;
}

export interface AppendSink {
  /** Those that are to be written; each is asked of the task. */
  readonly points: AsyncIterable<Point>;
  /** When it has resolved for the last of the points that are acknowledged together, all their lines are where they belong. */
  append(point: Point, line: string): Promise<void>;
  close(): Promise<void>;
}

export interface FileOptions {
  readonly path: string;
  /** Each point may be acknowledged before the next is asked for, so it has a sync of its own. */
  readonly syncsEach: boolean;
}

/**
 * Points are taken in pieces and acknowledged with them, and the last line of a piece is followed by the sync of all: so
 * whatever is acknowledged is on the disk, at the price of one sync for as many points as `commitEvery` lets be lost.
 */
export async function openFile(task: AppendTask, { path, syncsEach }: FileOptions): Promise<AppendSink> {
  // O_APPEND: the system puts each line behind all others, of whatever process.
  const file = await open(path, 'a');
  const isOnDisk = await prepared(file, path);
  let lastOfPiece: Point | null = null;
  async function* points(): AsyncGenerator<Point> {
    for await (const { start, end } of task.chunks(syncsEach ? 1 : APPEND_SYNC_POINTS_MAX)) {
      lastOfPiece = end - 1;
      for (let point = start; point < end; point++) yield point;
    }
  }
  return {
    points: points(),
    async append(point, line) {
      // Synchronous: this thread has nothing else to do, and a point costs a fifth of it.
      writeWhole(file, path, line);
      if (isOnDisk && point === lastOfPiece) await file.datasync();
    },
    close: () => file.close(),
  };
}

/**
 * The name of a new file is synced, and a line that a power cut tore is ended, so that it spoils none behind it. False
 * for what has no disk to be on, a pipe or a device: it refuses a sync.
 */
async function prepared(file: FileHandle, path: string): Promise<boolean> {
  try {
    if (!(await file.stat()).isFile()) return false;
    await syncDirectory(dirname(path));
    if (await isTorn(path)) writeWhole(file, path, '\n');
    return true;
  } catch (thrown) {
    await file.close();
    throw thrown;
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function isTorn(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (size === 0) return false;
    const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
    return buffer.toString() !== '\n';
  } finally {
    await file.close();
  }
}

function writeWhole(file: FileHandle, path: string, text: string): void {
  const bytes = Buffer.from(text);
  const written = writeSync(file.fd, bytes);
  // A second call for the rest could end up behind the line of somebody else.
  if (written !== bytes.length) throw new Error(`${path}: ${written} of ${bytes.length} bytes written`);
}
