/**
 * Client: the half of a job type that an author writes.
 *
 * Think of a clerk with a tray: `points()` lays one sheet on the desk at a time, and reaching for the next sheet says
 * that the last one is done. The tray holds no more sheets than the office may lose: nothing at or beyond the committed
 * cursor + `commitEvery` is handed out, so that a clerk who drops dead leaves at most so many sheets to be done again.
 * At most once, every sheet is signed for before it is handed out, and one that was signed for is not handed out again.
 *
 * A job type is a folder. Its name is the job type's name, and its `index.js` exports exactly one class with a `work`
 * method; extending `Client` gives that class its types and nothing else, so plain JavaScript may leave it out.
 *
 * Invariants: asking for the next acknowledges all before it · a point that was not handed out is never acknowledged ·
 * one task has one sequence: every `points()` and `chunks()` of it goes on where the other stopped.
 */
import type { RecordBatch, StructRowProxy, Table } from 'apache-arrow';
import type { Epoch, JobId, Json, NodeId, Point, Range } from '../base/types.ts';
import type { Delivery } from '../ranges/types.ts';

/** Rows of the input, and the points that they belong to: point `start` is the first row. */
export interface BatchPiece extends Range {
  readonly batch: RecordBatch;
}

/** A row of the input, and the point that it belongs to. Its columns are its properties. */
export interface PointRow {
  readonly point: Point;
  readonly row: StructRowProxy;
}

/** One attempt at one task, as job code sees it. */
export interface TaskContext<M = Readonly<Record<string, Json>>> {
  readonly job: JobId;
  /** The task is `[start, end)`; a task that was begun before is handed out from its first unacknowledged point. */
  readonly start: Point;
  readonly end: Point;
  /** The fencing token: a sink that refuses a lower epoch than it has seen cannot be written by a lost worker. */
  readonly epoch: Epoch;
  /** Times this range failed before. */
  readonly attempts: number;
  /** What the job asked for. At most once, a point that throws is uncertain, and never comes again by itself. */
  readonly delivery: Delivery;
  /** The node that runs it. */
  readonly worker: NodeId;
  readonly metadata: M;
  /** Aborts when the task must stop; code that ignores it for a second is terminated. */
  readonly signal: AbortSignal;
  /**
   * Headers for a call that has an effect: `polaris-job` and `polaris-epoch`, the fencing token. With a point also
   * `idempotency-key`, `<job>/<point>`: the same for every attempt at it, on whatever worker and under whatever epoch.
   */
  headers(point?: Point): Record<string, string>;
  /** One line for the log of the node. Lines beyond a rate are counted and dropped. */
  log(line: string): void;
  /**
   * The points of the task, ascending. Asking for the next acknowledges the last. When the task must stop, the
   * iteration ends early and without an error, so that code behind the loop closes what it opened; `signal.aborted`
   * tells such an end from the real one. Points worked side by side want `chunks` and a `Promise.all` for each.
   */
  points(): AsyncIterableIterator<Point>;
  /**
   * The same as pieces `[start, end)` of `min(size, commitEvery)` points, the last one shorter. A piece that is half of
   * `commitEvery` or less is worked while the one before is being committed.
   */
  chunks(size: number): AsyncIterableIterator<Range>;
  /**
   * Acknowledges every point that was handed out, this moment's included, before the next is asked for: for code that
   * waits between two points, so that a crash while it waits repeats nothing. At most once, the points after them are
   * claimed in their place, and the same crash would leave those uncertain: better not acknowledge early there.
   */
  acknowledge(): void;
  /** The same, and waits until that is committed. Rejects with `signal.reason` when the task must stop first. */
  commit(): Promise<void>;
  /**
   * The points of the task as `points()` gives them, each with its row: row p of the input of the job is point p.
   *
   * @throws PolarisError BAD_OPTION when the job has no input.
   */
  rows(): AsyncIterableIterator<PointRow>;
  /** The same as pieces of at most `commitEvery` points, as `chunks()` gives them, each with its rows as one record batch. */
  batches(): AsyncIterableIterator<BatchPiece>;
  /**
   * The rows of the task from its first unacknowledged point on, without a word about points: for code that takes its range
   * as a whole. The same ones for every attempt at the same points.
   */
  input(): AsyncIterable<RecordBatch>;
  /**
   * Hands over what the point, or the piece, at work has made: a result of the job that is there once, exactly when its
   * points are committed. Resolves when there is room for the next. A point that throws afterwards leaves nothing of it.
   *
   * @throws PolarisError BAD_OPTION when no point is at work; BAD_SCHEMA for other columns than the first batch of the task had;
   * BATCH_TOO_LARGE, BLOB_TOO_LARGE. Nothing was taken then, and the point is not acknowledged unless another emit succeeds.
   */
  emit(batch: RecordBatch | Table): Promise<void>;
}

/**
 * Base of a job type. Polaris makes one instance for each attempt; what should outlive a task belongs to the module,
 * which is loaded once in each worker thread.
 */
export abstract class Client<M = Readonly<Record<string, Json>>> {
  /** JSON Schema that the metadata of a job must meet at submit. Without one, any object is taken. */
  declare static readonly metadata?: Readonly<Record<string, unknown>>;

  /**
   * The deliveries that jobs of this type may ask for: 'at-least-once' and 'at-most-once', which Polaris keeps by itself,
   * unless it says otherwise. 'exactly-once' belongs here only where every effect goes through a sink that fences.
   */
  declare static readonly deliveries?: readonly Delivery[];

  /**
   * Deliveries that hang on the metadata: each with the JSON Schema that it must meet besides. A type that writes to
   * several kinds of sinks says here which of them keep 'exactly-once'.
   */
  declare static readonly deliveriesWhen?: { readonly [delivery in Delivery]?: Readonly<Record<string, unknown>> };

  /**
   * Returning says that every point that was handed out is done; short of the end, the rest goes back without a failure
   * (with not a single point taken it is a failure, else it would come back for ever). Throwing fails the task at the
   * last acknowledged point; whatever is thrown after `signal` aborted counts as stopping, not as a failure.
   */
  abstract work(task: TaskContext<M>): Promise<void>;
}
