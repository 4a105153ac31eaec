/**
 * wordcount: counts as columns.
 */
import { Field, Int64, type RecordBatch, Schema, Utf8 } from 'apache-arrow';
import { batchOf, dataOf } from '../../src/data/build.ts';

const SCHEMA = new Schema([new Field('word', new Utf8(), false), new Field('count', new Int64(), false)]);

/** In the order of the words, so that equal counts are equal bytes. */
export function countsBatch(counts: ReadonlyMap<string, bigint>): RecordBatch {
  const sorted = [...counts.keys()].sort();
  const columns = [
    dataOf(new Utf8(), sorted),
    dataOf(
      new Int64(),
      sorted.map((word) => counts.get(word)),
    ),
  ];
  return batchOf(SCHEMA, columns);
}

/** Each word of a batch of counts. */
export function* countsOf(batch: RecordBatch): Generator<[word: string, count: bigint]> {
  const [words, counts] = [batch.getChild('word'), batch.getChild('count')];
  for (let row = 0; row < batch.numRows; row++) yield [String(words?.get(row)), BigInt(counts?.get(row))];
}
