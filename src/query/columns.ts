/**
 * Columns: which of the types that datasets may have a query can read.
 *
 * The engine has one layout for most meanings, and none for two of ours: decimals beyond 128 bits, which it cannot hold, and
 * maps, of which it would make lists and their NULLs empty ones. Both are refused before anything is read, by name.
 * What it widens keeps its value: times of day come back in nanoseconds, dates in milliseconds as timestamps, seconds
 * as milliseconds, dictionaries and views as what they stand for.
 */
import type { Field, Schema } from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import { bitsOf, kindOf, nameText, plainType, typeText } from '../data/column-type.ts';

/** @throws PolarisError BAD_QUERY */
export function checkQueryable(dataset: string, { fields }: Schema): void {
  for (const field of fields) checkField(dataset, nameText(field.name), field);
}

function checkField(dataset: string, path: string, field: Field): void {
  const type = plainType(field.type);
  const kind = kindOf(type);
  if (kind === 'map' || (kind === 'decimal' && bitsOf(type) > 128)) {
    throw new PolarisError(
      'BAD_QUERY',
      `column ${path} of "${dataset}" is of type ${typeText(type)}, which queries do not read`,
    );
  }
  for (const inner of (type.children ?? []) as Field[]) checkField(dataset, `${path}.${nameText(inner.name)}`, inner);
}
