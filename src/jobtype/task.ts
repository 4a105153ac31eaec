/**
 * RunningTask: the TaskContext that job code holds, on the thread's side of the cell.
 *
 * While the window has room, a point costs three atomic operations and one resolved promise: no message, no timer. When
 * half a window was acknowledged the host is nudged to report it, so that the commit is back before the other half is
 * used up and a job of cheap points never stands still.
 *
 * What points emit goes through `TaskData`. A point whose last emit failed is not acknowledged, nor is one with an emit under
 * way: whoever forgets to await it is made to wait here.
 *
 * Invariant: nothing at or beyond the limit of the cell is handed out.
 */
import type { RecordBatch, Table } from 'apache-arrow';
import { assert } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import type { Epoch, JobId, Json, NodeId, Point, Range } from '../base/types.ts';
import type { Delivery, JobOptions } from '../ranges/types.ts';
import type { TaskOrder } from '../wire/messages.ts';
import type { Cell } from './cell.ts';
import type { BatchPiece, PointRow } from './client.ts';
import { eachPiece, eachRow } from './input-rows.ts';
import type { BatchTask, CheckpointStore } from './pipeline.ts';
import type { TaskData } from './task-data.ts';

/** Of a task, what its code can come to know. */
export type WorkOrder = Omit<TaskOrder, 'name' | 'claimed' | 'options' | 'input' | 'checkpoint'> & {
  readonly options: Pick<JobOptions, 'delivery' | 'commitEvery'>;
};

export interface RunningTaskOptions {
  readonly order: WorkOrder;
  readonly cell: Cell;
  readonly worker: NodeId;
  /** Asks the host to look at the cell. */
  readonly nudge: () => void;
  readonly log: (line: string) => void;
  /** Makes what carries its batches; null where none are carried. */
  readonly data: ((signal: AbortSignal) => TaskData) | null;
  /** Content hash of the job type. */
  readonly codeHash: string;
  /** It is worked as one piece, however many points it has: a pipeline. */
  readonly isWhole: boolean;
}

export class RunningTask implements BatchTask {
  readonly job: JobId;
  readonly start: Point;
  readonly end: Point;
  readonly epoch: Epoch;
  readonly attempts: number;
  readonly delivery: Delivery;
  readonly worker: NodeId;
  readonly metadata: Readonly<Record<string, Json>>;
  readonly signal: AbortSignal;
  readonly #abort = new AbortController();
  readonly #options: RunningTaskOptions;
  readonly #data: TaskData | null;
  readonly #commitEvery: number;
  readonly #first: Point;
  #cursor: Point;
  #begun: Point;
  /** First point beyond the window, as last read from the cell. */
  #limit: Point;
  /** Cursor at the last nudge. */
  #nudged: Point;
  #wakeUps: (() => void)[] = [];
  /** Emits under way, and what the last one of the point at work failed with. */
  readonly #emits = new Set<Promise<void>>();
  #emitFault: { readonly thrown: unknown } | null = null;

  constructor(options: RunningTaskOptions) {
    const { order } = options;
    assert(order.start <= order.cursor && order.cursor < order.end, 'a task has points left when it begins');
    this.#options = options;
    this.job = order.job;
    this.start = order.start;
    this.end = order.end;
    this.epoch = order.epoch;
    this.attempts = order.attempts;
    this.delivery = order.options.delivery;
    this.worker = options.worker;
    this.metadata = JSON.parse(order.metadata);
    this.signal = this.#abort.signal;
    this.#data = options.data?.(this.signal) ?? null;
    this.#commitEvery = order.options.commitEvery;
    this.#first = order.cursor;
    this.#cursor = order.cursor;
    this.#begun = order.cursor;
    this.#limit = options.cell.limit;
    this.#nudged = order.cursor;
  }

  headers(point?: Point): Record<string, string> {
    const { job, epoch } = this;
    const headers = { 'polaris-job': job, 'polaris-epoch': String(epoch) };
    return point === undefined ? headers : { ...headers, 'idempotency-key': `${job}/${point}` };
  }

  log(line: string): void {
    this.#options.log(String(line));
  }

  points(): AsyncIterableIterator<Point> {
    return this.#iterate(1, (range) => range.start);
  }

  chunks(size: number): AsyncIterableIterator<Range> {
    if (!Number.isSafeInteger(size) || size < 1) {
      throw new PolarisError('BAD_OPTION', `chunks(${size}): the size must be a positive integer`);
    }
    return this.#iterate(this.#options.isWhole ? size : Math.min(size, this.#commitEvery), (range) => range);
  }

  acknowledge(): void {
    if (this.#emits.size > 0) throw new PolarisError('BAD_OPTION', 'await emit() before the point is acknowledged');
    this.#acknowledge(this.#begun);
  }

  async commit(): Promise<void> {
    await this.#emitted();
    this.acknowledge();
    const reached = await this.#await(() => this.#options.cell.committed >= this.#cursor);
    if (!reached) throw this.signal.reason;
  }

  get codeHash(): string {
    return this.#options.codeHash;
  }

  get checkpoint(): CheckpointStore {
    return this.#carrier().checkpoint;
  }

  input(): AsyncIterable<RecordBatch> {
    return this.#carrier().rows(this.#first, this.end);
  }

  rows(): AsyncIterableIterator<PointRow> {
    return eachRow(this.points(), this.#carrier().rows(this.#begun, this.end), this.signal);
  }

  batches(): AsyncIterableIterator<BatchPiece> {
    return eachPiece((size) => this.chunks(size).next(), this.#carrier().rows(this.#begun, this.end), this.signal);
  }

  async emit(batch: RecordBatch | Table): Promise<void> {
    const work = { start: this.#cursor, end: this.#begun };
    if (work.start === work.end) {
      throw new PolarisError(
        'BAD_OPTION',
        'emit() belongs to a point: take one first, and emit before it is acknowledged',
      );
    }
    const emitting = this.#carrier().emit(batch, work);
    this.#emits.add(emitting);
    try {
      await emitting;
      this.#emitFault = null;
    } catch (thrown) {
      this.#emitFault = { thrown };
      throw thrown;
    } finally {
      this.#emits.delete(emitting);
    }
  }

  // ---- for the thread ----

  /** Reads the cell again: something was committed. */
  wake(): void {
    const wakeUps = this.#wakeUps;
    this.#wakeUps = [];
    for (const wakeUp of wakeUps) wakeUp();
  }

  /** The task must stop: told by the host, or found in the cell. */
  stop(): void {
    this.#abort.abort(new DOMException('the task must stop', 'AbortError'));
    this.#data?.wake();
    this.wake();
  }

  get stopped(): boolean {
    if (!this.signal.aborted && this.#options.cell.stopped) this.stop();
    return this.signal.aborted;
  }

  /** `work` returned, and what it emitted is taken. @throws what an emit failed with that nobody awaited */
  async settle(): Promise<void> {
    await this.#emitted();
  }

  /** No more of it counts: what the point at work emitted goes, unless it was acknowledged. */
  close(): void {
    this.#data?.close();
  }

  /** `work` returned: what was handed out is done. */
  finish(): { readonly ending: 'complete' | 'release' | 'fail'; readonly error: string } {
    this.#acknowledge(this.#begun);
    if (this.#cursor === this.#options.cell.end) return { ending: 'complete', error: '' };
    if (this.#cursor > this.#first || this.stopped) return { ending: 'release', error: '' };
    return { ending: 'fail', error: 'work() returned without taking a point' };
  }

  // ---- inside ----

  #iterate<T>(size: number, shape: (range: Range) => T): AsyncIterableIterator<T> {
    let asked = false;
    const next = async (): Promise<IteratorResult<T>> => {
      if (asked) throw new PolarisError('BAD_OPTION', 'the next point was asked for before the last one came');
      if (this.#emits.size > 0 || this.#emitFault !== null) await this.#emitted();
      this.#acknowledge(this.#begun);
      let end = this.#pieceEnd(size);
      if (end === this.#begun || this.stopped) return { done: true, value: undefined };
      if (end > this.#limit) {
        asked = true;
        const room = await this.#awaitRoom(size);
        asked = false;
        if (!room) return { done: true, value: undefined };
        end = this.#pieceEnd(size);
      }
      // The far half may have been given to others at this very moment.
      for (;;) {
        if (end === this.#begun) return { done: true, value: undefined };
        if (this.#options.cell.begin(end)) return { done: false, value: shape(this.#handOut(end)) };
        end = this.#pieceEnd(size);
      }
    };
    return {
      next,
      // Called by a `break` and by a throw in the loop alike, so it cannot mean that the last point is done.
      return: async () => ({ done: true, value: undefined }),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  #carrier(): TaskData {
    if (this.#data !== null) return this.#data;
    throw new PolarisError(
      'BAD_OPTION',
      'this worker carries no batches: it has neither an input nor a place to emit to',
    );
  }

  async #emitted(): Promise<void> {
    while (this.#emits.size > 0) await Promise.allSettled(this.#emits);
    if (this.#emitFault !== null) throw this.#emitFault.thrown;
  }

  #pieceEnd(size: number): Point {
    return Math.min(this.#begun + size, this.#options.cell.end);
  }

  #handOut(end: Point): Range {
    assert(end <= this.#limit, 'nothing beyond the window is handed out');
    const start = this.#begun;
    this.#begun = end;
    return { start, end };
  }

  #acknowledge(cursor: Point): void {
    if (cursor === this.#cursor) return;
    this.#cursor = cursor;
    this.#options.cell.acknowledge(cursor);
    this.#data?.acknowledged(cursor);
    if (cursor - this.#nudged >= this.#commitEvery / 2) this.#nudge();
  }

  #nudge(): void {
    this.#nudged = this.#cursor;
    this.#options.nudge();
  }

  async #awaitRoom(size: number): Promise<boolean> {
    return this.#await(() => {
      this.#limit = this.#options.cell.limit;
      return this.#pieceEnd(size) <= this.#limit;
    });
  }

  /** False when the task must stop first. */
  async #await(reached: () => boolean): Promise<boolean> {
    const { cell } = this.#options;
    if (reached()) return true;
    this.#data?.seal();
    this.#nudge();
    try {
      for (;;) {
        // Waiting is said before the last look: the host commits first and then looks whether somebody waits.
        cell.waiting = true;
        if (reached()) return true;
        if (this.stopped) return false;
        await new Promise<void>((resolve) => this.#wakeUps.push(resolve));
      }
    } finally {
      cell.waiting = this.#wakeUps.length > 0;
    }
  }
}
