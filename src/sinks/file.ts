/**
 * Files as a sink: a file takes nothing back and refuses nobody, so here it is the reader who makes exactly one of many.
 *
 * A line is `crc32 point epoch value`, and it is on the disk before its point is acknowledged. After a crash a point may
 * have several lines, in one file or in those of several workers; the one of the newest epoch counts. What a power cut
 * tore has a wrong checksum and counts as never written: its point was not acknowledged, and so has a line elsewhere.
 *
 * Invariants: what was pushed is on the disk · a batch is one write, which begins with the end of whatever is torn there.
 */
import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { crc32 } from 'node:zlib';
import { PolarisError } from '../base/errors.ts';
import type { Epoch, Json, Point } from '../base/types.ts';
import { checkEpoch, checkRange } from './fence.ts';

export interface FileRecord {
  readonly epoch: Epoch;
  readonly value: Json;
}

const LINE = /^([0-9a-f]{8})\t((-?\d{1,16})\t(\d{1,16})\t(.+))$/;

/** One lease's way into a file. Several may append to the same one, of this machine. */
export class FileSink {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #epoch: Epoch;
  #broken: PolarisError | null = null;

  private constructor(file: FileHandle, path: string, epoch: Epoch) {
    this.#file = file;
    this.#path = path;
    this.#epoch = epoch;
  }

  /** Makes the file where it is not there yet; its directory must be. */
  static async open(path: string, epoch: Epoch): Promise<FileSink> {
    checkEpoch(epoch);
    const file = await open(path, 'a');
    // The name of a new file is in its directory, which has a sync of its own.
    const directory = await open(dirname(path), 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
    return new FileSink(file, path, epoch);
  }

  /** Resolves when the line is on the disk. @throws PolarisError FILE_FAILED, and from then on for every push. */
  push(point: Point, value: Json): Promise<void> {
    return this.pushMany(point, [value]);
  }

  /** Consecutive points by one write and one sync. */
  async pushMany(first: Point, values: readonly Json[]): Promise<void> {
    if (values.length === 0) return;
    checkRange({ start: first, end: first + values.length });
    if (this.#broken !== null) throw this.#broken;
    const lines = values.map((value, offset) => lineOf(first + offset, this.#epoch, value));
    const bytes = Buffer.from(`\n${lines.join('')}`);
    try {
      const { bytesWritten } = await this.#file.write(bytes);
      // The rest could end up behind the line of somebody else.
      if (bytesWritten !== bytes.length) throw new Error(`${bytesWritten} of ${bytes.length} bytes written`);
      await this.#file.datasync();
    } catch (cause) {
      // After a failed sync nobody knows what the disk has: a later one that succeeds would prove nothing.
      this.#broken = new PolarisError('FILE_FAILED', `${this.#path} takes no more: ${String(cause)}`, { cause });
      throw this.#broken;
    }
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/** What the files hold, one record a point. The map grows with the points. */
export async function readFileSink(paths: Iterable<string>): Promise<Map<Point, FileRecord>> {
  const records = new Map<Point, FileRecord>();
  for (const path of paths) {
    const lines = createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
    for await (const line of lines) {
      const read = readLine(line);
      if (read === null) continue;
      const known = records.get(read.point);
      if (known === undefined || known.epoch <= read.epoch) {
        records.set(read.point, { epoch: read.epoch, value: read.value });
      }
    }
  }
  return records;
}

function lineOf(point: Point, epoch: Epoch, value: Json): string {
  // Two line ends of Unicode are the only ones that JSON leaves as they are.
  const json = JSON.stringify(value).replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
  const text = `${point}\t${epoch}\t${json}`;
  return `${checksum(text)}\t${text}\n`;
}

/** Null for a line that is torn, or none of ours. */
function readLine(line: string): ({ readonly point: Point } & FileRecord) | null {
  const [, sum, text, point, epoch, value] = LINE.exec(line) ?? [];
  if (text === undefined || value === undefined || sum !== checksum(text)) return null;
  return { point: Number(point), epoch: Number(epoch), value: JSON.parse(value) };
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, '0');
}
