/**
 * JSON lines in: one object a line, its keys the columns; types are given, or inferred from the first rows.
 *
 * Columns stand in the order in which they are first seen. A key that is missing, or null, is null. A key that the first
 * rows did not have is an error that says how to give its type, for a column cannot be added to batches that are gone.
 * Lists become lists and objects structs, at any depth up to SCHEMA_DEPTH_MAX.
 */
import { Field, type RecordBatch, Schema } from 'apache-arrow';
import { JSONParse } from 'json-with-bigint';
import { PolarisError } from '../base/errors.ts';
import { batchOf, dataOf, emptyBatch } from './build.ts';
import { type CellType, cellDataType, type GivenTypes, givenType, parseCell, shown } from './cells.ts';
import {
  fitted,
  type Json,
  jsonText,
  merged,
  own,
  requireKnown,
  type Shape,
  ShapeError,
  shapeOf,
  shapeType,
} from './json-shapes.ts';
import { readLines } from './lines.ts';
import { chunksOf, type Row } from './rows.ts';
import { checkSchema } from './schema.ts';
import type { BatchSource, ByteSource } from './sources.ts';
import type { Value } from './values.ts';

type JsonObject = { readonly [key: string]: Json };

export async function* readJsonLines(source: ByteSource, types: GivenTypes = {}): BatchSource {
  let columns: Columns | null = null;
  for await (const chunk of chunksOf(readObjects(source))) {
    columns ??= columnsOf(types, chunk);
    yield batch(columns, chunk);
  }
  if (columns === null) yield emptyBatch(columnsOf(types, []).schema);
}

async function* readObjects(source: ByteSource): AsyncGenerator<Row<JsonObject>[]> {
  for await (const { first, lines } of readLines(source)) {
    const rows: Row<JsonObject>[] = [];
    lines.forEach((bytes, at) => {
      const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
      if (text.trim() === '') return;
      rows.push({ row: parseObject(text, first + at), line: first + at, bytes: text.length });
    });
    if (rows.length > 0) yield rows;
  }
}

/** So many digits may be more than a float holds; then they are read by a parser that keeps them, and is slower. */
const MANY_DIGITS = /\d{16}/;

function parseObject(text: string, line: number): JsonObject {
  let json: Json;
  try {
    json = MANY_DIGITS.test(text) ? JSONParse(text) : JSON.parse(text);
  } catch (error) {
    throw new PolarisError('BAD_DATA', `Line ${line} is no JSON: ${shown(text)}.`, { cause: error });
  }
  if (json !== null && typeof json === 'object' && !Array.isArray(json)) return json;
  throw new PolarisError('BAD_DATA', `Line ${line} is no object, so it has no columns: ${shown(text)}.`);
}

interface Columns {
  readonly schema: Schema;
  /** Types that were given rather than inferred, by column. */
  readonly given: readonly (CellType | undefined)[];
  readonly names: ReadonlySet<string>;
}

function columnsOf(types: GivenTypes, sample: readonly Row<JsonObject>[]): Columns {
  const shapes = new Map<string, Shape>();
  for (const { row, line } of sample) {
    for (const [name, json] of Object.entries(row)) {
      if (givenType(types, name) === undefined) placed(line, name, () => addShape(shapes, name, json));
      else shapes.set(name, { kind: 'unknown' });
    }
  }
  for (const name of Object.keys(types)) if (!shapes.has(name)) shapes.set(name, { kind: 'unknown' });
  const given = [...shapes.keys()].map((name) => givenType(types, name));
  const fields = [...shapes].map(([name, shape], at) => {
    const cells = given[at];
    return new Field(name, cells === undefined ? shapeType(shape) : cellDataType(cells), true);
  });
  const schema = new Schema(fields);
  checkSchema(schema);
  return { schema, given, names: new Set(shapes.keys()) };
}

function addShape(shapes: Map<string, Shape>, name: string, json: Json): void {
  shapes.set(name, merged(shapes.get(name) ?? { kind: 'unknown' }, shapeOf(json)));
}

/** What is wrong with a value, with its place and the way out. */
function placed<T>(line: number, name: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof ShapeError)) throw error;
    const hint = `give the type with types: { ${JSON.stringify(name)}: 'utf8' }`;
    throw new PolarisError('BAD_DATA', `Line ${line}, column ${shown(name)}: the value ${error.message}; ${hint}.`);
  }
}

function batch({ schema, given, names }: Columns, rows: readonly Row<JsonObject>[]): RecordBatch {
  for (const { row, line } of rows) {
    const unknown = Object.keys(row).find((name) => !names.has(name));
    if (unknown !== undefined) placed(line, unknown, () => requireKnown(row, names));
  }
  const columns = schema.fields.map((field, at) => {
    const type = given[at];
    const values = rows.map(({ row, line }) =>
      placed(line, field.name, () =>
        type === undefined ? fitted(own(row, field.name), field.type) : asGiven(own(row, field.name), type),
      ),
    );
    return dataOf(field.type, values);
  });
  return batchOf(schema, columns, rows.length);
}

/** A given `utf8` takes anything, as its JSON; the other types take what they can read. */
function asGiven(json: Json | undefined, type: CellType): Value {
  if (json === null || json === undefined) return null;
  if (type === 'utf8') return typeof json === 'string' ? json : jsonText(json);
  if (typeof json !== 'string') return fitted(json, cellDataType(type));
  const value = parseCell(type, json);
  if (value === undefined) throw new ShapeError(`is ${shown(json)}, which is no ${type}`);
  return value;
}
