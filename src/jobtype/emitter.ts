/**
 * Emitter: what the points of a task emit becomes segments, each a file that covers some points whole.
 *
 * Think of a tray of castings. What a point makes is laid on the tray as it comes; when the point is acknowledged its things
 * are counted as good, and when the tray is full, or has waited long enough, or the clerk would wait for it, it is carried
 * off whole. A point that breaks in the middle has its things swept from the tray. The cursor that the host reads never
 * passes a point whose things are still on a tray.
 *
 * Invariants: a segment covers points that were acknowledged, all of them · segments ascend and do not overlap · all batches
 * of a task have one schema · a call that throws has written nothing.
 */
import type { RecordBatch, Schema } from 'apache-arrow';
import { assert } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { OUTPUT_BYTES_MAX, OUTPUT_SEAL_BYTES, OUTPUT_SEAL_MS, OUTPUT_UNKEPT_BYTES_MAX } from '../base/limits.ts';
import type { Point, Range } from '../base/types.ts';
import { batchBytes } from '../data/cut.ts';
import { requireSameSchema } from '../data/schema.ts';
import type { Cell } from './cell.ts';
import type { SealedSegment } from './data-words.ts';
import { givenBatches } from './given-batches.ts';
import { SpoolFile, type SpoolMark } from './spool-file.ts';
import { segmentFile } from './spool-files.ts';

export interface EmitterOptions {
  readonly spool: string;
  readonly cell: Cell;
  /** A segment lies whole on the disk. */
  readonly sealed: (segment: SealedSegment) => void;
}

interface Segment {
  readonly start: Point;
  readonly file: SpoolFile;
  readonly begunAt: number;
  readonly timer: NodeJS.Timeout;
  /** Where the points end that were acknowledged, and how far the file went then; null before the first. */
  good: { readonly end: Point; readonly mark: SpoolMark } | null;
  /** The point at work has something in it. */
  isOpen: boolean;
  /** Bytes of that. */
  openBytes: number;
}

export class Emitter {
  readonly #options: EmitterOptions;
  #schema: Schema | null = null;
  #segment: Segment | null = null;
  #last = 0;
  /** Bytes of the segments that are sealed and not kept, by their number. */
  readonly #unkept = new Map<number, number>();
  #unkeptBytes = 0;
  #wakeUps: (() => void)[] = [];
  #isOver = false;

  constructor(options: EmitterOptions) {
    this.#options = options;
  }

  /** @throws PolarisError BAD_SCHEMA, BATCH_TOO_LARGE, BLOB_TOO_LARGE; what the disk says */
  write(given: unknown, work: Range): void {
    if (this.#isOver) throw new PolarisError('WRONG_STATE', 'the task has ended: it emits nothing more');
    const batches = givenBatches(given).filter((batch) => this.#fits(batch) && batch.numRows > 0);
    if (batches.length === 0) return;
    const bytes = batches.reduce((sum, batch) => sum + batchBytes(batch), this.#segment?.openBytes ?? 0);
    if (bytes > OUTPUT_BYTES_MAX) {
      throw new PolarisError(
        'BLOB_TOO_LARGE',
        `one point, or one task of a pipeline, may emit ${OUTPUT_BYTES_MAX} bytes`,
      );
    }
    this.#segment ??= this.#begin(work.start);
    const { file } = this.#segment;
    const mark = file.mark();
    this.#segment.isOpen = true;
    try {
      for (const batch of batches) file.add(batch);
    } catch (thrown) {
      file.rewind(mark);
      throw thrown;
    }
    this.#segment.openBytes = bytes;
  }

  /** All points below are good. */
  acknowledged(cursor: Point): void {
    const segment = this.#segment;
    if (segment === null) return;
    if (segment.isOpen) {
      segment.isOpen = false;
      segment.openBytes = 0;
      segment.good = { end: cursor, mark: segment.file.mark() };
    }
    const isOld = performance.now() - segment.begunAt >= OUTPUT_SEAL_MS;
    if (isOld || segment.file.bytes >= OUTPUT_SEAL_BYTES) this.seal();
  }

  /** Sends off what is acknowledged, unless the point at work has begun to add to it. */
  seal(): void {
    const segment = this.#segment;
    if (segment === null || segment.isOpen || segment.good === null) return;
    const { start, file, good, timer } = segment;
    clearTimeout(timer);
    file.end();
    this.#segment = null;
    this.#last += 1;
    this.#unkept.set(this.#last, file.bytes);
    this.#unkeptBytes += file.bytes;
    this.#options.cell.seal();
    this.#options.sealed({ segment: this.#last, start, end: good.end });
    this.#options.cell.hold(null);
  }

  /** Nothing more is emitted: what the point at work left goes, and the rest is sent off. */
  close(): void {
    this.#isOver = true;
    const segment = this.#segment;
    if (segment?.isOpen) this.#sweep(segment);
    this.seal();
  }

  kept(segment: number): void {
    this.#unkeptBytes -= this.#unkept.get(segment) ?? 0;
    this.#unkept.delete(segment);
    this.wake();
  }

  /** Whether so much waits to be kept that more should not be made. */
  get isFull(): boolean {
    return this.#unkeptBytes > OUTPUT_UNKEPT_BYTES_MAX;
  }

  /** Resolves when something was kept, or the task is to stop. */
  async room(): Promise<void> {
    await new Promise<void>((resolve) => this.#wakeUps.push(resolve));
  }

  wake(): void {
    const wakeUps = this.#wakeUps;
    this.#wakeUps = [];
    for (const wakeUp of wakeUps) wakeUp();
  }

  // ---- inside ----

  #fits(batch: RecordBatch): boolean {
    this.#schema ??= batch.schema;
    requireSameSchema(this.#schema, batch.schema);
    return true;
  }

  #begin(start: Point): Segment {
    assert(this.#schema !== null, 'a batch was looked at before it is written');
    const file = new SpoolFile(segmentFile(this.#options.spool, this.#last + 1), this.#schema);
    this.#options.cell.hold(start);
    const timer = setTimeout(() => this.seal(), OUTPUT_SEAL_MS);
    timer.unref();
    return { start, file, begunAt: performance.now(), timer, good: null, isOpen: false, openBytes: 0 };
  }

  #sweep(segment: Segment): void {
    segment.isOpen = false;
    segment.openBytes = 0;
    if (segment.good !== null) return segment.file.rewind(segment.good.mark);
    clearTimeout(segment.timer);
    segment.file.discard();
    this.#segment = null;
    this.#options.cell.hold(null);
  }
}
