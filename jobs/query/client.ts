/**
 * query: SQL over one dataset as a range job, a point a row. Each task asks the rows of its range, and what they answer is put
 * together at the end: for datasets that are too large for one node, or for one moment.
 *
 * What is asked of the parts and of the answers is a plan, as `polaris query SQL --plan -o json` gives it, and whoever made
 * it vouches for it: this type runs both halves and adds nothing. A plan holds for every cut of the rows, so a task may ask
 * its rows in pieces, as many at a time as fit into memory.
 *
 * Both halves are judged again here, as every query is: they read what they are given, and no file.
 */
import { Client } from '../../src/jobtype/client.ts';
import type { BatchTask } from '../../src/jobtype/pipeline.ts';
import { gatherBatches } from '../../src/query/gather.ts';
import { queryBatches } from '../../src/query/memory.ts';
import { TABLE_PART } from '../../src/query/plan.ts';
import { METADATA, type QueryMetadata } from './metadata.ts';

export class Query extends Client<QueryMetadata> {
  static override readonly metadata = METADATA;
  static override readonly deliveries = ['at-least-once'] as const;

  /** A range is answered as a unit, like that of a pipeline: it is at work until everything is emitted. */
  static readonly kind = 'pipeline';

  override async work(task: BatchTask<QueryMetadata>): Promise<void> {
    const { metadata, signal } = task;
    const pieces = task.chunks(task.end - task.start);
    await pieces.next();
    for await (const batches of gatherBatches(task.input())) {
      signal.throwIfAborted();
      for (const answer of await queryBatches(metadata.partial, { name: TABLE_PART, batches })) await task.emit(answer);
    }
    signal.throwIfAborted();
    // Asking for more says that this is done.
    await pieces.next();
  }
}
