/**
 * CSV in: a header line, then rows; the types are given, or inferred from the first rows.
 *
 * An empty cell is null in a column of numbers or booleans, and an empty text in a column of texts: CSV cannot say both.
 * A later cell that does not fit its column is an error, never a null and never another type for the rest: half a
 * table that is silently different is worse than none. Empty lines are skipped.
 */
import { type DataType, Field, type RecordBatch, Schema } from 'apache-arrow';
import { must } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { COLUMNS_MAX } from '../base/limits.ts';
import { batchOf, dataOf, emptyBatch } from './build.ts';
import {
  type CellType,
  cellDataType,
  type GivenTypes,
  givenType,
  inferCells,
  misfit,
  parseCell,
  shown,
} from './cells.ts';
import { type Cells, readRecords } from './csv-records.ts';
import { chunksOf, type Row } from './rows.ts';
import { checkSchema } from './schema.ts';
import type { BatchSource, ByteSource } from './sources.ts';

export async function* readCsv(source: ByteSource, types: GivenTypes = {}): BatchSource {
  const records = readRecords(source);
  const { value: header } = await records.next();
  try {
    const names = headerOf(header?.[0]?.row ?? []);
    requireKnownColumns(types, names);
    const first = header?.slice(1) ?? [];
    let columns: Columns | null = null;
    for await (const chunk of chunksOf(withFirst(first, names, records))) {
      columns ??= columnsOf(names, types, chunk);
      yield batch(columns, chunk);
    }
    if (columns === null) yield emptyBatch(columnsOf(names, types, []).schema);
  } finally {
    await records.return(undefined);
  }
}

async function* withFirst(first: Row<Cells>[], names: Cells, rest: AsyncIterable<Row<Cells>[]>) {
  requireWidth(first, names);
  yield first;
  for await (const rows of rest) {
    requireWidth(rows, names);
    yield rows;
  }
}

function requireWidth(rows: readonly Row<Cells>[], names: Cells): void {
  for (const { row, line } of rows) {
    if (row.length === names.length) continue;
    const found = `${row.length} ${row.length === 1 ? 'cell' : 'cells'}`;
    throw new PolarisError('BAD_DATA', `Line ${line} has ${found} and the header ${names.length}.`);
  }
}

function headerOf(names: Cells): Cells {
  if (names.length === 0) throw new PolarisError('BAD_DATA', 'CSV needs a header line with the names of the columns.');
  if (names.length > COLUMNS_MAX) {
    throw new PolarisError('BAD_SCHEMA', `The header has ${names.length} columns; ${COLUMNS_MAX} are allowed.`);
  }
  const unnamed = names.indexOf('');
  if (unnamed >= 0) throw new PolarisError('BAD_DATA', `Line 1: column ${unnamed + 1} of the header has no name.`);
  return names;
}

function requireKnownColumns(types: GivenTypes, names: Cells): void {
  const unknown = Object.keys(types).find((name) => !names.includes(name));
  if (unknown === undefined) return;
  throw new PolarisError('BAD_DATA', `A type is given for column ${shown(unknown)}, which is not there.`);
}

interface Columns {
  readonly schema: Schema;
  readonly types: readonly CellType[];
}

function columnsOf(names: Cells, given: GivenTypes, sample: readonly Row<Cells>[]): Columns {
  const types = names.map((name, at) => givenType(given, name) ?? inferCells(sample.map(({ row }) => row[at]!)));
  const schema = new Schema(names.map((name, at) => new Field(name, cellDataType(types[at]!), true)));
  checkSchema(schema);
  return { schema, types };
}

function batch({ schema, types }: Columns, rows: readonly Row<Cells>[]): RecordBatch {
  const columns = schema.fields.map((field, at) => {
    const type = must(types[at], 'a column has a type');
    const values = rows.map(({ row, line }) => {
      const cell = row[at]!;
      const value = parseCell(type, cell);
      if (value === undefined) throw misfit({ line, column: field.name, cell, type });
      return value;
    });
    return dataOf(field.type as DataType, values);
  });
  return batchOf(schema, columns, rows.length);
}
