/**
 * Input rows: points and rows side by side, where row p of the input is point p.
 *
 * A row is there before its point is handed out, so that a task that must stop while it waits for rows has begun nothing
 * that it was not given. The points lead otherwise: they wait for commits, and they end early when the task has become
 * shorter.
 */
import type { RecordBatch, StructRowProxy } from 'apache-arrow';
import { must } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import type { Point, Range } from '../base/types.ts';
import type { BatchPiece, PointRow } from './client.ts';

export async function* eachRow(
  points: AsyncIterator<Point>,
  batches: AsyncIterable<RecordBatch>,
  signal: AbortSignal,
): AsyncGenerator<PointRow> {
  for await (const batch of untilStopped(batches, signal)) {
    for (let at = 0; at < batch.numRows; at++) {
      const { value: point, done } = await points.next();
      if (done === true) return;
      yield { point, row: rowOf(batch, at) };
    }
  }
  const { value, done } = await points.next();
  if (done !== true) throw tooShort(value);
}

/** `take` hands out at most so many points. */
export async function* eachPiece(
  take: (size: number) => Promise<IteratorResult<Range>>,
  batches: AsyncIterable<RecordBatch>,
  signal: AbortSignal,
): AsyncGenerator<BatchPiece> {
  for await (const batch of untilStopped(batches, signal)) {
    for (let at = 0; at < batch.numRows; ) {
      const { value, done } = await take(batch.numRows - at);
      if (done === true) return;
      const { start, end } = value;
      yield { start, end, batch: batch.slice(at, at + end - start) };
      at += end - start;
    }
  }
  const { value, done } = await take(1);
  if (done !== true) throw tooShort(value.start);
}

/** A task that must stop ends here without an error, as its points do. */
async function* untilStopped(batches: AsyncIterable<RecordBatch>, signal: AbortSignal): AsyncGenerator<RecordBatch> {
  try {
    yield* batches;
  } catch (thrown) {
    if (!signal.aborted) throw thrown;
  }
}

function rowOf(batch: RecordBatch, at: number): StructRowProxy {
  return must(batch.get(at), 'a batch has each of its rows');
}

function tooShort(point: Point): PolarisError {
  return new PolarisError('BAD_DATA', `the input has no row for point ${point}`);
}
