/**
 * Emission: what the points of a job emit, as a function of the point, so that everybody can say what must be there.
 *
 * Points emit in blocks: some blocks are loud, every other one is silent. The bytes of a range are the same whoever makes
 * them, as those of honest code are; the number of rows in a handle is the epoch under which they were made.
 */
import { createHash } from 'node:crypto';
import type { BlobHash, Handle, SchemaHash } from '../../src/base/handle.ts';
import type { Epoch, JobId, NodeId, Point, Range } from '../../src/base/types.ts';
import type { TaskOrder } from '../../src/wire/messages.ts';
import type { Stored } from './shelves.ts';

export interface DataModel {
  /** Length of a block. */
  readonly blockPoints: number;
  /** Points from here on emit other columns than those before. */
  readonly oddFrom: Point;
  /** A pipeline goes through so many stages with its whole range before it begins the points; 0: no pipeline. */
  readonly stageCount: number;
  readonly stageMs: number;
}

/** Loud points, and the lease under which they were made. */
export interface Made extends Range {
  readonly epoch: Epoch;
}

/** What job hosts need of their surroundings to emit, and Masters to take in what was emitted. */
export interface Blobs {
  /** Null: too few copies could be made. */
  store(handle: Handle, done: (stored: Stored | null) => void): void;
  /** Whether a node that can be reached has a copy. */
  isReadable(hash: BlobHash): boolean;
  /** A pipeline begins a stage of its whole range. */
  stageBegins(order: TaskOrder, stage: number): void;
}

/** Where the copies of a node begin, or those of somebody who asks a node. */
export type Entrance = () => NodeId;

const SCHEMA: SchemaHash = '5c4e3a0000000001';
const OTHER_SCHEMA: SchemaHash = '5c4e3a0000000002';

/** The loud points of [from, to), as ranges of one schema each. */
export function loudPieces({ blockPoints, oddFrom }: DataModel, from: Point, to: Point): Range[] {
  const pieces: Range[] = [];
  for (let start = from; start < to; ) {
    const block = Math.floor(start / blockPoints);
    const next = (block + 1) * blockPoints;
    const end = Math.min(to, next, start < oddFrom ? oddFrom : to);
    const last = pieces.at(-1);
    if (block % 2 !== 0) {
      // A silent block.
    } else if (last?.end === start && start !== oddFrom) pieces[pieces.length - 1] = { start: last.start, end };
    else pieces.push({ start, end });
    start = end;
  }
  return pieces;
}

export function schemaOf({ oddFrom }: DataModel, start: Point): SchemaHash {
  return start < oddFrom ? SCHEMA : OTHER_SCHEMA;
}

/** In the order in which a Master took it in. The bytes of two states are the same when they hold the same. */
export function handleOfTaken(job: JobId, taken: readonly Made[]): Handle {
  const told = taken.map(({ start, end, epoch }) => `${start}-${end}:${epoch}`).join();
  const hash: BlobHash = createHash('sha256').update(`${job}/taken/${told}`).digest('hex');
  return { hash, bytes: 1_000, rows: taken.length, schema: SCHEMA };
}

/** Of what a worker made of these points, `what` they are. */
export function handleFor(job: JobId, { start, end }: Range, what: string, epoch: Epoch, schema = SCHEMA): Handle {
  const hash: BlobHash = createHash('sha256').update(`${job}/${start}/${end}/${what}`).digest('hex');
  return { hash, bytes: 1_000, rows: epoch, schema };
}
