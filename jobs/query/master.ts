/**
 * The Master of `query`: plans the range from the dataset, holds what the tasks answer, and asks it the last question.
 *
 * Answers come in the order of the rows, as an ordered job gives them: LIMIT without ORDER BY means the first rows. They are
 * held in memory, so a plan is of use where they are few; QUERY_TASK_BYTES_MAX says how many.
 */
import type { RecordBatch } from 'apache-arrow';
import { PolarisError } from '../../src/base/errors.ts';
import { QUERY_TASK_BYTES_MAX } from '../../src/base/limits-query.ts';
import { Master, type OverseenJob } from '../../src/jobtype/master.ts';
import { queryBatches } from '../../src/query/memory.ts';
import { TABLE_ANSWERS } from '../../src/query/plan.ts';
import type { QueryMetadata } from './metadata.ts';

export class QueryMaster extends Master<QueryMetadata> {
  readonly #answers: RecordBatch[] = [];
  #bytes = 0;
  #final = '';

  override async plan({ metadata }: Pick<OverseenJob<QueryMetadata>, 'metadata'>): Promise<{ readonly input: string }> {
    this.#final = metadata.final;
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

  /** Empty when no part answered: then nobody knows the columns. */
  override async finish(): Promise<readonly RecordBatch[]> {
    if (this.#answers.length === 0) return [];
    return queryBatches(this.#final, { name: TABLE_ANSWERS, batches: this.#answers });
  }
}
