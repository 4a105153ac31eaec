/**
 * Schema: what the columns of a batch are called and what they hold, and whether two of them are the same.
 *
 * The fingerprint of a handle is the hash of a text that a person could read, so that "why do these two differ" always
 * has an answer. Metadata of fields and schema is carried, but is no part of it: a comment changes no value.
 *
 * Invariants: equal hashes mean equal columns in equal order · a schema that was checked has no two columns of one name,
 * no type that we do not carry, and at most COLUMNS_MAX columns at all depths together.
 */
import { createHash } from 'node:crypto';
import { type DataType, type Field, Schema } from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import type { SchemaHash } from '../base/handle.ts';
import { COLUMNS_MAX, SCHEMA_COLUMNS_SHOWN, SCHEMA_DEPTH_MAX } from '../base/limits.ts';
import { fieldText, kindOf, nameText, plainField, typeText } from './column-type.ts';

const HASH_DIGITS = 16;

/** SHA-256 over names, types, nullability and order, cut to 64 bits: it tells mistakes apart, not adversaries. */
export function schemaHash(schema: Schema): SchemaHash {
  const text = schema.fields.map(fieldText).join(', ');
  return createHash('sha256').update(text).digest('hex').slice(0, HASH_DIGITS);
}

/** As in `word: utf8, count: int64`, cut where it grows beyond what a message should hold. */
export function describeSchema(schema: Schema): string {
  if (schema.fields.length === 0) return 'no columns';
  const shown = schema.fields.slice(0, SCHEMA_COLUMNS_SHOWN).map(fieldText).join(', ');
  const more = schema.fields.length - SCHEMA_COLUMNS_SHOWN;
  return more > 0 ? `${shown} and ${more} more` : shown;
}

export function sameSchema(one: Schema, other: Schema): boolean {
  return one === other || schemaDifference(one, other) === null;
}

/** The first column that differs, in words that name both sides; `null` where none does. */
export function schemaDifference(
  one: Schema,
  other: Schema,
  { one: oneName, other: otherName }: { one: string; other: string } = { one: 'the first', other: 'the second' },
): string | null {
  const count = Math.max(one.fields.length, other.fields.length);
  for (let at = 0; at < count; at++) {
    const here = one.fields[at];
    const there = other.fields[at];
    if (here === undefined || there === undefined) {
      const [has, lacks] = here === undefined ? [otherName, oneName] : [oneName, otherName];
      return `column ${at + 1} (${fieldText((here ?? there) as Field)}) is in ${has} and missing in ${lacks}`;
    }
    if (fieldText(here) === fieldText(there)) continue;
    return `column ${at + 1} is ${fieldText(here)} in ${oneName} and ${fieldText(there)} in ${otherName}`;
  }
  return null;
}

/** Throws where a batch does not have the columns that its source began with. */
export function requireSameSchema(expected: Schema, found: Schema): void {
  if (expected === found) return;
  const difference = schemaDifference(expected, found, { one: 'the first batch', other: 'a later one' });
  if (difference !== null) throw new PolarisError('BAD_SCHEMA', `All batches need the same columns: ${difference}.`);
}

/** The schema with one layout a meaning; refuses what cannot be carried, and names it. */
export function plainSchema(schema: Schema): Schema {
  checkSchema(schema);
  return new Schema(schema.fields.map(plainField), schema.metadata);
}

export function checkSchema(schema: Schema): void {
  const seen = { count: 0 };
  checkFields(schema.fields, { path: '', depth: 1, seen });
}

interface Place {
  readonly path: string;
  readonly depth: number;
  readonly seen: { count: number };
}

function checkFields(fields: readonly Field[], { path, depth, seen }: Place): void {
  const names = new Set<string>();
  for (const field of fields) {
    const column = path === '' ? nameText(field.name) : `${path}.${nameText(field.name)}`;
    seen.count++;
    if (seen.count > COLUMNS_MAX) {
      throw new PolarisError('BAD_SCHEMA', `At column ${column} there are more than ${COLUMNS_MAX} columns.`);
    }
    if (names.has(field.name)) throw new PolarisError('BAD_SCHEMA', `There are two columns ${column}.`);
    names.add(field.name);
    checkType(field, { path: column, depth, seen });
  }
}

function checkType(field: Field, { path, depth, seen }: Place): void {
  if (depth > SCHEMA_DEPTH_MAX) {
    throw new PolarisError('BAD_SCHEMA', `Column ${path} lies deeper than ${SCHEMA_DEPTH_MAX} columns.`);
  }
  const kind = kindOf(field.type);
  if (kind === null) {
    throw new PolarisError('BAD_SCHEMA', `Column ${path} is of type ${typeText(field.type)}, which is not carried.`);
  }
  const inner = kind === 'dictionary' ? field.type.dictionary : field.type;
  // One nested value may be large and be named by every row: decoded, a few bytes would fill the memory.
  if (kind === 'dictionary' && !isLeaf(inner)) {
    throw new PolarisError('BAD_SCHEMA', `Column ${path} is a dictionary of ${typeText(inner)}, which is not carried.`);
  }
  checkFields((inner.children as Field[] | null) ?? [], { path, depth: depth + 1, seen });
}

function isLeaf(type: DataType): boolean {
  const kind = kindOf(type);
  return kind !== null && kind !== 'dictionary' && kind !== 'view' && (type.children?.length ?? 0) === 0;
}
