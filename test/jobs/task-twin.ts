/**
 * A task in memory: the real `RunningTask` and cell, without a host. What is emitted is what a job with this range alone
 * would have as its outputs.
 */
import type { RecordBatch } from 'apache-arrow';
import type { Range } from '../../src/base/types.ts';
import { Cell } from '../../src/jobtype/cell.ts';
import { givenBatches } from '../../src/jobtype/given-batches.ts';
import type { Batches } from '../../src/jobtype/master.ts';
import type { Checkpoint } from '../../src/jobtype/pipeline.ts';
import { RunningTask } from '../../src/jobtype/task.ts';

interface TwinOptions extends Range {
  readonly metadata: object;
  /** The whole input of the job. */
  readonly input?: readonly RecordBatch[];
  readonly commitEvery?: number;
  /** Its id, for what is kept by job outside. */
  readonly job?: string;
  /** It was asked back before it began. */
  readonly stopped?: boolean;
}

type Worker = new () => { work(task: RunningTask): Promise<void> };

/** Works a range by itself, and gives what it emitted. */
export async function emittedBy(type: unknown, options: TwinOptions): Promise<RecordBatch[]> {
  const { start, end, metadata, input, commitEvery = 100, job = 'job' } = options;
  const cell = Cell.create(start, end, end, Number.POSITIVE_INFINITY);
  const emitted: RecordBatch[] = [];
  let saved: Checkpoint | null = null;
  const task = new RunningTask({
    order: {
      ...{ epoch: 1, job, start, end, cursor: start, attempts: 0, metadata: JSON.stringify(metadata) },
      options: { delivery: 'at-least-once', commitEvery },
    },
    ...{ cell, worker: 'w1', nudge: () => {}, log: () => {}, codeHash: 'code', isWhole: isPipeline(type) },
    data: () => ({
      checkpoint: {
        load: async () => saved,
        save: async (stage, fingerprint, batches) => {
          const kept: RecordBatch[] = [];
          for await (const batch of batches) kept.push(batch);
          saved = { stage, fingerprint, batches: each(kept) };
        },
      },
      rows: (from, to) => each(rowsOf(input ?? [], from, to)),
      emit: async (given) => void emitted.push(...givenBatches(given)),
      ...{ acknowledged: () => {}, seal: () => {}, close: () => {}, wake: () => {} },
    }),
  });
  if (options.stopped === true) task.stop();
  await new (type as Worker)().work(task);
  await task.settle();
  task.finish();
  if (cell.cursor !== end) throw new Error(`worked up to ${cell.cursor} of ${end}`);
  return emitted;
}

/** The ranges of a job, cut anywhere. */
export function cutAt(start: number, end: number, ...cuts: readonly number[]): Range[] {
  const edges = [start, ...cuts, end];
  return edges.slice(1).map((edge, at) => ({ start: edges[at] ?? start, end: edge }));
}

export async function batchesOf(given: Batches | Promise<Batches>): Promise<RecordBatch[]> {
  const batches: RecordBatch[] = [];
  const all = await given;
  if (Symbol.asyncIterator in all) for await (const one of all) batches.push(...givenBatches(one));
  else if ('batches' in all || 'numRows' in all) batches.push(...givenBatches(all));
  else for (const one of all) batches.push(...givenBatches(one));
  return batches;
}

/** As objects, with numbers for integers that are small. */
export function rowsIn(batches: readonly RecordBatch[]): Record<string, unknown>[] {
  return batches.flatMap((batch) => batch.toArray().map((row) => ({ ...row.toJSON() })));
}

function isPipeline(type: unknown): boolean {
  return typeof type === 'function' && 'kind' in type && type.kind === 'pipeline';
}

function rowsOf(batches: readonly RecordBatch[], start: number, end: number): RecordBatch[] {
  let first = 0;
  return batches.flatMap((batch) => {
    const [from, to] = [Math.max(start - first, 0), Math.min(end - first, batch.numRows)];
    first += batch.numRows;
    return from < to ? [batch.slice(from, to)] : [];
  });
}

async function* each(batches: readonly RecordBatch[]): AsyncGenerator<RecordBatch> {
  yield* batches;
}
