/**
 * csv-clean: what each stage makes of a batch. Columns keep their names, types and order; rows may go.
 */
import { type RecordBatch, Type } from 'apache-arrow';
import { must } from '../../src/base/assert.ts';
import { batchOf, dataOf } from '../../src/data/build.ts';
import { batchValues, type Value } from '../../src/data/values.ts';

/** Texts without white space around them; what is empty then has no value, where the column allows that. */
export function trim(batch: RecordBatch): RecordBatch {
  return mapTexts(
    batch,
    () => true,
    (text) => text.trim() || null,
  );
}

/** Rows that have a value in each of these columns. */
export function complete(batch: RecordBatch, required: readonly string[]): RecordBatch {
  const columns = batchValues(batch);
  const needed = required.map((name) => columns[placeOf(batch, name)] ?? []);
  const kept = Array.from({ length: batch.numRows }, (_, row) => row).filter((row) =>
    needed.every((column) => column[row] !== null),
  );
  return build(
    batch,
    columns.map((column) => kept.map((row) => column[row] ?? null)),
  );
}

/** These columns of texts in lower case. */
export function lower(batch: RecordBatch, names: readonly string[]): RecordBatch {
  for (const name of names) placeOf(batch, name);
  return mapTexts(
    batch,
    (name) => names.includes(name),
    (text) => text.toLowerCase(),
  );
}

function mapTexts(
  batch: RecordBatch,
  isMeant: (name: string) => boolean,
  change: (text: string) => string | null,
): RecordBatch {
  const columns = batchValues(batch).map((values, at) => {
    const { name, typeId, nullable } = must(batch.schema.fields[at], 'every column has its field');
    if (typeId !== Type.Utf8 || !isMeant(name)) return values;
    return values.map((value) => (typeof value === 'string' ? (change(value) ?? (nullable ? null : '')) : value));
  });
  return build(batch, columns);
}

function placeOf({ schema }: RecordBatch, name: string): number {
  const at = schema.fields.findIndex((field) => field.name === name);
  if (at < 0) throw new Error(`the dataset has no column "${name}"`);
  return at;
}

function build({ schema }: RecordBatch, columns: readonly Value[][]): RecordBatch {
  const data = schema.fields.map(({ type }, at) => dataOf(type, columns[at] ?? []));
  return batchOf(schema, data, columns[0]?.length ?? 0);
}
