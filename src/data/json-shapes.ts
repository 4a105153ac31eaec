/**
 * JSON shapes: which columns a few objects have, and how a JSON value becomes a value of a column.
 *
 * JSON knows one kind of number and no NaN. As in the JSON mapping of Protocol Buffers, and as we write it ourselves, an
 * integer beyond 2^53 may stand as a text of digits beside integers, and `"NaN"`, `"Infinity"`, `"-Infinity"` beside
 * numbers. By themselves they are texts.
 *
 * Invariant: a value either fits its column exactly or is refused; only `float64` rounds, as it does everywhere.
 */
import { Bool, type DataType, Field, Float64, Int64, List, Struct, Utf8 } from 'apache-arrow';
import { must } from '../base/assert.ts';
import { COLUMNS_MAX, JSON_DEPTH_MAX, SCHEMA_DEPTH_MAX } from '../base/limits.ts';
import { isInt64 } from './cells.ts';
import { elementOf, kindOf } from './column-type.ts';
import { structOf, type Value } from './values.ts';

/** What `JSON.parse` gives, and bigints where digits would be lost. */
export type Json = null | boolean | number | bigint | string | Json[] | { readonly [key: string]: Json };

export type Shape =
  | { readonly kind: 'unknown' | 'bool' | 'int' | 'float' | 'text' | 'int-text' | 'float-text' }
  | { readonly kind: 'list'; readonly element: Shape }
  | { readonly kind: 'struct'; readonly fields: ReadonlyMap<string, Shape> };

const UNKNOWN: Shape = { kind: 'unknown' };
const FLOAT_NAMES: ReadonlyMap<string, number> = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Infinity],
  ['-Infinity', -Infinity],
]);
const DIGITS = /^-?\d{16,19}$/;

/** Thrown with words about the value; the caller knows line and column. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError';
}

export function shapeOf(json: Json, depth = 1): Shape {
  if (depth > SCHEMA_DEPTH_MAX) throw new ShapeError(`lies deeper than ${SCHEMA_DEPTH_MAX} values`);
  switch (typeof json) {
    case 'boolean':
      return { kind: 'bool' };
    case 'number':
      return { kind: Number.isSafeInteger(json) && !Object.is(json, -0) ? 'int' : 'float' };
    case 'bigint':
      return { kind: isInt64(json) ? 'int' : 'text' };
    case 'string':
      return { kind: textKind(json) };
    default:
      break;
  }
  if (json === null) return UNKNOWN;
  if (Array.isArray(json)) {
    let element = UNKNOWN;
    for (const item of json) element = merged(element, shapeOf(item, depth + 1));
    return { kind: 'list', element };
  }
  const fields = new Map<string, Shape>();
  for (const [name, value] of Object.entries(json)) fields.set(name, shapeOf(value, depth + 1));
  return { kind: 'struct', fields };
}

function textKind(text: string): 'text' | 'int-text' | 'float-text' {
  if (FLOAT_NAMES.has(text)) return 'float-text';
  return DIGITS.test(text) && isInt64(BigInt(text)) ? 'int-text' : 'text';
}

/** What each of two kinds becomes beside the other; `undefined` where they cannot stand in one column. */
const BESIDE: Readonly<Record<string, 'int' | 'float' | 'text'>> = {
  'int int-text': 'int',
  'float int': 'float',
  'float float-text': 'float',
  'float-text int': 'float',
  'int-text text': 'text',
  'float-text text': 'text',
  'float-text int-text': 'text',
  'float int-text': 'float',
};

/** The narrowest shape that both fit. */
export function merged(one: Shape, other: Shape): Shape {
  if (one.kind === 'unknown') return other;
  if (other.kind === 'unknown') return one;
  if (one.kind === 'list' && other.kind === 'list')
    return { kind: 'list', element: merged(one.element, other.element) };
  if (one.kind === 'struct' && other.kind === 'struct') {
    const fields = new Map(one.fields);
    for (const [name, shape] of other.fields) fields.set(name, merged(fields.get(name) ?? UNKNOWN, shape));
    if (fields.size > COLUMNS_MAX) throw new ShapeError(`makes more than ${COLUMNS_MAX} columns`);
    return { kind: 'struct', fields };
  }
  if (one.kind === other.kind) return one;
  const kind = BESIDE[[one.kind, other.kind].sort().join(' ')];
  if (kind === undefined) throw new ShapeError(`is ${kindText(other)} where rows before it have ${kindText(one)}`);
  return { kind };
}

function kindText({ kind }: Shape): string {
  return { 'int-text': 'text', 'float-text': 'text', struct: 'an object', list: 'a list' }[kind as string] ?? kind;
}

/** Where no row has a value, nobody knows better than text. */
export function shapeType(shape: Shape): DataType {
  switch (shape.kind) {
    case 'bool':
      return new Bool();
    case 'int':
      return new Int64();
    case 'float':
      return new Float64();
    case 'list':
      return new List(new Field('item', shapeType(shape.element), true));
    case 'struct':
      return new Struct([...shape.fields].map(([name, field]) => new Field(name, shapeType(field), true)));
    default:
      return new Utf8();
  }
}

/** The value for a column of a type that was inferred. */
export function fitted(json: Json | undefined, type: DataType): Value {
  if (json === null || json === undefined) return null;
  switch (kindOf(type)) {
    case 'bool':
      if (typeof json === 'boolean') return json;
      break;
    case 'int':
      return fittedInt(json);
    case 'float':
      return fittedFloat(json);
    case 'utf8':
      if (typeof json === 'string') return json;
      if (typeof json === 'bigint') return json.toString();
      break;
    case 'list':
      if (!Array.isArray(json)) break;
      return json.map((item) => fitted(item, elementOf(type).type));
    default:
      return fittedStruct(json, must(type.children, 'a struct has fields') as Field[]);
  }
  throw new ShapeError(`is ${sayJson(json)}`);
}

function fittedInt(json: Json): bigint {
  if (typeof json === 'number' && Number.isSafeInteger(json)) return BigInt(json);
  if (typeof json === 'bigint' && isInt64(json)) return json;
  if (typeof json === 'string' && /^-?\d{1,19}$/.test(json) && isInt64(BigInt(json))) return BigInt(json);
  throw new ShapeError(`is ${sayJson(json)}, which is no int64`);
}

function fittedFloat(json: Json): number {
  if (typeof json === 'number') return json;
  if (typeof json === 'bigint') return Number(json);
  const named =
    typeof json === 'string' ? (FLOAT_NAMES.get(json) ?? (DIGITS.test(json) ? Number(json) : undefined)) : undefined;
  if (named !== undefined) return named;
  throw new ShapeError(`is ${sayJson(json)}, which is no float64`);
}

function fittedStruct(json: Json, fields: readonly Field[]): Value {
  if (json === null || typeof json !== 'object' || Array.isArray(json))
    throw new ShapeError(`is ${sayJson(json)}, which is no object`);
  requireKnown(json, new Set(fields.map((field) => field.name)));
  return structOf(
    fields.map((field) => field.name),
    (at) => fitted(own(json, fields[at]!.name), fields[at]!.type),
  );
}

/** A key that the first rows did not have has no column to go to. */
export function requireKnown(json: { readonly [key: string]: Json }, names: ReadonlySet<string>): void {
  for (const key of Object.keys(json)) {
    if (!names.has(key)) throw new ShapeError(`has ${JSON.stringify(key)}, which the first rows have not`);
  }
}

export function own(json: { readonly [key: string]: Json }, key: string): Json | undefined {
  return Object.hasOwn(json, key) ? json[key] : undefined;
}

/** A value as JSON text, bigints with all their digits. */
export function jsonText(json: Json, depth = 1): string {
  if (depth > JSON_DEPTH_MAX) throw new ShapeError(`lies deeper than ${JSON_DEPTH_MAX} values`);
  if (typeof json === 'bigint') return json.toString();
  if (Array.isArray(json)) return `[${json.map((item) => jsonText(item, depth + 1)).join(',')}]`;
  if (json === null || typeof json !== 'object') return JSON.stringify(json);
  const entries = Object.entries(json).map(([key, value]) => `${JSON.stringify(key)}:${jsonText(value, depth + 1)}`);
  return `{${entries.join(',')}}`;
}

const SAID_MAX = 60;
function sayJson(json: Json): string {
  const text = jsonText(json);
  return text.length > SAID_MAX ? `${text.slice(0, SAID_MAX)}…` : text;
}
