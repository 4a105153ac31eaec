/**
 * wordcount: how often each word stands in a dataset of texts.
 *
 * A point is a row. The Client counts the words of some rows at a time and emits their counts; the Master adds them up. Its
 * state is the sum so far, and so a word is in the result as often as it is in the text, whoever was lost on the way.
 *
 * What knows Arrow is loaded with the first task: every node reads this file when it starts.
 */
import type { RecordBatch } from 'apache-arrow';
import { Client, type TaskContext } from '../../src/jobtype/client.ts';
import { Master, type PlannedJob } from '../../src/jobtype/master.ts';
import { add, words } from './words.ts';

export interface WordCountMetadata {
  /** The dataset, and its column of texts. */
  readonly dataset: string;
  readonly column: string;
}

export class WordCounter extends Client<WordCountMetadata> {
  static override readonly metadata = {
    type: 'object',
    required: ['dataset', 'column'],
    additionalProperties: false,
    properties: { dataset: { type: 'string' }, column: { type: 'string' } },
  };

  override async work(task: TaskContext<WordCountMetadata>): Promise<void> {
    const { countsBatch } = await import('./counts.ts');
    for await (const { batch } of task.batches()) {
      const counts = new Map<string, bigint>();
      for (const text of columnOf(batch, task.metadata.column)) for (const word of words(text)) add(counts, word);
      await task.emit(countsBatch(counts));
    }
  }
}

export class WordCount extends Master<WordCountMetadata> {
  readonly #counts = new Map<string, bigint>();

  override plan({ metadata }: PlannedJob<WordCountMetadata>): { readonly input: string } {
    return { input: metadata.dataset };
  }

  override async collect(batch: RecordBatch): Promise<void> {
    const { countsOf } = await import('./counts.ts');
    for (const [word, count] of countsOf(batch)) add(this.#counts, word, count);
  }

  override async state(): Promise<RecordBatch> {
    const { countsBatch } = await import('./counts.ts');
    return countsBatch(this.#counts);
  }

  override async restore(batches: readonly RecordBatch[]): Promise<void> {
    for (const batch of batches) await this.collect(batch);
  }

  override finish(): Promise<RecordBatch> {
    return this.state();
  }
}

/** The texts of a column; a row without one has no words. */
function* columnOf(batch: RecordBatch, name: string): Generator<string> {
  const column = batch.getChild(name);
  if (column === null) throw new Error(`the dataset has no column "${name}"`);
  for (const text of column) if (text !== null) yield String(text);
}
