/**
 * HostedData: the batches of one task, on the node's side: segments and checkpoints go from the disk to the blobs of the
 * cluster, and input comes the other way.
 *
 * The node tells no cursor beyond a segment that is not kept, and tells each kept one with the first cursor that covers it.
 * A copy that cannot be made just now is tried again as long as the task lives; a file that is no Arrow fails it.
 *
 * Invariants: segments are kept one after the other, in order · what is told once is not told again · nothing is told, kept
 * or answered after the close, and then the folder goes.
 */
import { rm } from 'node:fs/promises';
import { errorText, PolarisError } from '../base/errors.ts';
import type { Point } from '../base/types.ts';
import type { TaskBlobs } from '../daemon/env.ts';
import { patiently } from '../data/patience.ts';
import type { StageCheckpoint, StampedCheckpoint, StampedOutput } from '../ranges/types.ts';
import type { TaskOrder } from '../wire/messages.ts';
import {
  DATA_REQUEST,
  type DataAnswer,
  type MadeCheckpoint,
  type ReadingSource,
  type SealedSegment,
} from './data-words.ts';
import { Readings } from './readings.ts';
import { checkpointFile, segmentFile } from './spool-files.ts';

export interface HostedDataOptions {
  readonly order: TaskOrder;
  readonly spool: string;
  readonly blobs: TaskBlobs;
  /** To the code of the task. */
  readonly answer: (answer: DataAnswer) => void;
  /** A segment was sealed that ends here: all points below are acknowledged. */
  readonly sealed: (end: Point) => void;
  /** The cursor may be told further than before, or nothing is waited for any more. */
  readonly moved: () => void;
  readonly checkpoint: (checkpoint: StampedCheckpoint) => void;
  /** What was emitted cannot be kept, now or ever. */
  readonly failed: (error: string) => void;
}

interface Segment extends SealedSegment {
  kept: StampedOutput | null;
}

export class HostedData {
  readonly #options: HostedDataOptions;
  readonly #readings: Readings;
  readonly #close = new AbortController();
  /** Sealed and not told. */
  #segments: Segment[] = [];
  #lastSegment = 0;
  /** Where the last segment ends. */
  #end: Point;
  /** What is being kept, one after the other; those behind a failure are passed over. */
  #keeping: Promise<void> = Promise.resolve();
  #keepingCount = 0;
  #failed = false;
  #checkpoint: StageCheckpoint | null;
  /** Told, and not known to be committed. */
  #told: StageCheckpoint | null = null;
  #reading = new Set<Promise<void>>();

  constructor(options: HostedDataOptions) {
    this.#options = options;
    this.#end = options.order.cursor;
    this.#checkpoint = options.order.checkpoint;
    const { spool, answer } = options;
    this.#readings = new Readings({ spool, answer, open: (source) => this.#open(source) });
  }

  /** Whether something is still to be kept. */
  get isBusy(): boolean {
    return this.#keepingCount > 0 && !this.#failed;
  }

  /** From the code of the task. False when no honest host would say that. */
  receive(said: unknown): boolean {
    const { success, data: request } = DATA_REQUEST.safeParse(said);
    if (!success) return false;
    switch (request.kind) {
      case 'sealed':
        return this.#sealed(request);
      case 'checkpoint':
        this.#keep(() => this.#keepCheckpoint(request));
        return true;
      case 'read':
        this.#track(this.#readings.read(request.reading, request.source));
        return true;
      case 'close':
        this.#track(this.#readings.close(request.reading));
        return true;
    }
  }

  /** As far as the cursor may be told. */
  hold(cursor: Point): Point {
    const open = this.#segments.find(({ kept }) => kept === null);
    return open === undefined ? cursor : Math.min(cursor, open.start);
  }

  /** Outputs below a cursor, to be told with it. */
  take(cursor: Point): readonly StampedOutput[] {
    const taken: StampedOutput[] = [];
    this.#segments = this.#segments.filter(({ end, kept }) => {
      if (kept === null || end > cursor) return true;
      taken.push(kept);
      return false;
    });
    return taken;
  }

  checkpointed(stage: number): void {
    if (this.#told === null || stage < this.#told.stage) return;
    this.#checkpoint = this.#told;
    this.#told = null;
    this.#options.answer({ kind: 'checkpointed', stage });
  }

  /** The attempt is over. */
  close(): void {
    this.#close.abort();
    const settled = Promise.allSettled([this.#readings.end(), this.#keeping, ...this.#reading]);
    // What stays behind on a broken disk goes at the next start.
    void settled.then(() => rm(this.#options.spool, { recursive: true, force: true })).catch(() => {});
  }

  // ---- inside ----

  #sealed({ segment, start, end }: SealedSegment): boolean {
    if (segment !== this.#lastSegment + 1 || start < this.#end || end <= start || end > this.#options.order.end)
      return false;
    this.#lastSegment = segment;
    this.#end = end;
    const sealed: Segment = { segment, start, end, kept: null };
    this.#segments.push(sealed);
    this.#keep(() => this.#keepSegment(sealed));
    this.#options.sealed(end);
    return true;
  }

  #keep(one: () => Promise<void>): void {
    this.#keepingCount += 1;
    this.#keeping = this.#keeping.then(async () => {
      try {
        if (!this.#failed && !this.#close.signal.aborted) await one();
      } catch (thrown) {
        if (!this.#close.signal.aborted) this.#fail(errorText(thrown));
      }
      this.#keepingCount -= 1;
      if (!this.#close.signal.aborted) this.#options.moved();
    });
  }

  #fail(error: string): void {
    this.#failed = true;
    this.#options.failed(error);
  }

  async #keepSegment(sealed: Segment): Promise<void> {
    const { segment, start, end } = sealed;
    const { handle, stamp } = await this.#keepFile(segmentFile(this.#options.spool, segment));
    sealed.kept = { start, end, handle, stamp };
    this.#options.answer({ kind: 'kept', segment });
  }

  async #keepCheckpoint({ number, stage, fingerprint }: MadeCheckpoint): Promise<void> {
    const { handle, stamp } = await this.#keepFile(checkpointFile(this.#options.spool, number));
    this.#told = { stage, fingerprint, handle };
    this.#options.checkpoint({ stage, fingerprint, handle, stamp });
  }

  async #keepFile(path: string): ReturnType<TaskBlobs['keep']> {
    const { signal } = this.#close;
    return patiently(signal, async () => {
      const kept = await this.#options.blobs.keep(path, signal);
      signal.throwIfAborted();
      await rm(path, { force: true });
      return kept;
    });
  }

  #track(reading: Promise<void>): void {
    this.#reading.add(reading);
    void reading.finally(() => this.#reading.delete(reading)).catch(() => {});
  }

  #open(source: ReadingSource): AsyncIterable<Uint8Array> {
    const { blobs, order } = this.#options;
    const { signal } = this.#close;
    if (source.of === 'checkpoint') {
      if (this.#checkpoint === null) throw new PolarisError('BAD_OPTION', 'the task has no checkpoint to read');
      const { handle } = this.#checkpoint;
      return blobs.rows(handle, 0, handle.rows, signal);
    }
    const { input, start, end } = order;
    if (input === null || source.start < start || source.end > end || source.start > source.end) {
      throw new PolarisError('BAD_OPTION', `the task has no input rows ${source.start} to ${source.end}`);
    }
    return blobs.rows(input, source.start, source.end, signal);
  }
}
