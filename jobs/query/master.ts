/**
 * The Master of `query`: plans the range from the dataset, holds what the tasks answer, and asks it the last question.
 *
 * Answers come in the order of the rows, as an ordered job gives them: LIMIT without ORDER BY means the first rows. They are
 * held in memory, so a plan is of use where they are few; QUERY_TASK_BYTES_MAX says how many.
 */
import type { RecordBatch } from 'apache-arrow';
import { PolarisError } from '../../src/base/errors.ts';
import { QUERY_TASK_BYTES_MAX } from '../../src/base/limits-query.ts';
import { type CollectingJob, Master, type Plan, type PlannedJob } from '../../src/jobtype/master.ts';
import { queryBatches } from '../../src/query/memory.ts';
import { TABLE_ANSWERS } from '../../src/query/plan.ts';
import type { QueryMetadata } from './metadata.ts';

export class QueryMaster extends Master<QueryMetadata> {
  override readonly ordered = true;
  #answers: RecordBatch[] = [];
  #bytes = 0;

  override plan({ metadata }: Pick<PlannedJob<QueryMetadata>, 'metadata'>): Plan {
    return { input: metadata.dataset };
  }

  /** @throws PolarisError QUERY_TOO_LARGE */
  override collect(batch: RecordBatch): void {
    this.#bytes += batch.data.byteLength;
    if (this.#bytes > QUERY_TASK_BYTES_MAX) {
      throw new PolarisError('QUERY_TOO_LARGE', `the parts answered more than ${QUERY_TASK_BYTES_MAX} bytes together`);
    }
    this.#answers.push(batch);
  }

  override state(): readonly RecordBatch[] {
    return this.#answers;
  }

  override restore(batches: readonly RecordBatch[]): void {
    for (const batch of batches) this.collect(batch);
  }

  /** Nothing when no part answered: then nobody knows the columns. */
  override async finish({
    metadata,
  }: Pick<CollectingJob<QueryMetadata>, 'metadata'>): Promise<readonly RecordBatch[] | null> {
    if (this.#answers.length === 0) return null;
    return queryBatches(metadata.final, { name: TABLE_ANSWERS, batches: this.#answers });
  }
}
