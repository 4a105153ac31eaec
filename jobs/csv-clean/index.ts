/**
 * csv-clean: a CSV dataset through three stages, each with a checkpoint behind it.
 *
 *     polaris dataset put people people.csv
 *     polaris job submit csv-clean --metadata '{"dataset":"people","required":["email"],"lower":["email"]}'
 *
 * Text that is nothing but white space becomes no value, rows that lack a required one go, and columns that are read
 * without regard to case are written in one. A worker that is lost in the third stage costs the third stage.
 */
import { Master, type PlannedJob } from '../../src/jobtype/master.ts';
import { pipeline } from '../../src/jobtype/pipeline.ts';

export interface CsvCleanMetadata {
  readonly dataset: string;
  /** Columns without which a row is worth nothing. */
  readonly required?: readonly string[];
  /** Columns of texts to be written in lower case. */
  readonly lower?: readonly string[];
}

const NAMES = { type: 'array', items: { type: 'string' } };
const METADATA = {
  type: 'object',
  required: ['dataset'],
  additionalProperties: false,
  properties: { dataset: { type: 'string' }, required: NAMES, lower: NAMES },
};

/** Every node reads this file when it starts: what knows Arrow is loaded with the first batch. */
const clean = () => import('./clean.ts');

export const CsvClean = pipeline<CsvCleanMetadata>('csv-clean', { metadata: METADATA })
  .stage('trim', async (batch) => (await clean()).trim(batch))
  .stage('complete', async (batch, { task }) => (await clean()).complete(batch, task.metadata.required ?? []))
  .stage('lower', async (batch, { task }) => (await clean()).lower(batch, task.metadata.lower ?? []))
  .checkpoints('every-stage');

export class CleanedTable extends Master<CsvCleanMetadata> {
  override plan({ metadata }: PlannedJob<CsvCleanMetadata>): { readonly input: string } {
    return { input: metadata.dataset };
  }
}
