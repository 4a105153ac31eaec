/**
 * Text out: rows as text, in pieces of a size that a socket likes, however large the batches are.
 */
import type { RecordBatch, Schema } from 'apache-arrow';
import { ANSWER_PIECE_CHARACTERS } from '../base/limits.ts';
import { plainBatch } from './plain.ts';
import { requireSameSchema } from './schema.ts';
import type { BatchSource, ByteSource } from './sources.ts';

/** For one batch, a function from the number of a row to its text. */
type RowWriter = (batch: RecordBatch) => (row: number) => string;

export async function* textSource(
  batches: BatchSource,
  rowWriter: RowWriter,
  header?: (schema: Schema) => string,
): ByteSource {
  let known: Schema | null = null;
  let text = '';
  for await (const given of batches) {
    const batch = plainBatch(given);
    if (known === null) text = header?.(batch.schema) ?? '';
    else requireSameSchema(known, batch.schema);
    known = batch.schema;
    // A batch without rows is a pause: what is there goes out.
    if (batch.numRows === 0 && text !== '') {
      yield Buffer.from(text);
      text = '';
    }
    const write = rowWriter(batch);
    for (let row = 0; row < batch.numRows; row++) {
      text += write(row);
      if (text.length < ANSWER_PIECE_CHARACTERS) continue;
      yield Buffer.from(text);
      text = '';
    }
  }
  if (text !== '') yield Buffer.from(text);
}
