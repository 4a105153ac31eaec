/**
 * CSV out, as RFC 4180 says, with a header and LF.
 *
 * Null is an empty cell and the empty text is `""`, which many readers tell apart, though not all; only where a row
 * would be an empty line, in a table of one column, null is written `""` too. Floats always have a point or an exponent,
 * so that they are read as floats again. Lists, structs and maps are JSON in a cell.
 */
import type { DataType } from 'apache-arrow';
import { kindOf } from './column-type.ts';
import { jsonWriter } from './json-out.ts';
import type { BatchSource, ByteSource } from './sources.ts';
import { textSource } from './text-out.ts';
import { textOf } from './value-text.ts';
import { reader, type Value } from './values.ts';

export function writeCsv(batches: BatchSource): ByteSource {
  return textSource(
    batches,
    (batch) => {
      const columns = batch.schema.fields.map((field, at) => ({
        read: reader(batch.data.children[at]!),
        write: cellWriter(field.type),
      }));
      const missing = columns.length === 1 ? '""' : '';
      return (row) => `${columns.map(({ read, write }) => writeOr(missing, read(row), write)).join(',')}\n`;
    },
    (schema) => `${schema.fields.map((field) => quoted(field.name)).join(',')}\n`,
  );
}

function writeOr(missing: string, value: Value, write: (value: Value) => string): string {
  return value === null ? missing : write(value);
}

function cellWriter(type: DataType): (value: Value) => string {
  const text = textOf(type);
  if (text !== null) return text;
  switch (kindOf(type)) {
    case 'bool':
    case 'int':
    case 'duration':
      return String;
    case 'float':
      return (value) => floatCell(value as number);
    case 'utf8':
      return (value) => quoted(value as string);
    default: {
      const json = jsonWriter(type);
      return (value) => quoted(json(value));
    }
  }
}

function floatCell(value: number): string {
  if (Object.is(value, -0)) return '-0.0';
  const text = String(value);
  return Number.isInteger(value) && !text.includes('e') ? `${text}.0` : text;
}

/** In quotes where it has to be, and where it would be taken for nothing. */
function quoted(text: string): string {
  if (text === '') return '""';
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
