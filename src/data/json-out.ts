/**
 * JSON lines out: an object a row.
 *
 * JSON has numbers, and most readers make floats of them. As in the JSON mapping of Protocol Buffers, an integer beyond
 * 2^53 is therefore a text of its digits, and NaN and the infinities are texts; all of them are read back here. Decimals,
 * dates, times and bytes are texts (see value-text.ts), a map is a list of objects with `key` and `value`.
 */
import type { DataType, Field } from 'apache-arrow';
import { elementOf, kindOf } from './column-type.ts';
import type { BatchSource, ByteSource } from './sources.ts';
import { textSource } from './text-out.ts';
import { textOf } from './value-text.ts';
import { reader, type StructValue, type Value } from './values.ts';

export function writeJsonLines(batches: BatchSource): ByteSource {
  return textSource(batches, (batch) => {
    const columns = batch.schema.fields.map((field, at) => ({
      key: `${JSON.stringify(field.name)}:`,
      read: reader(batch.data.children[at]!),
      write: jsonWriter(field.type),
    }));
    return (row) => `{${columns.map(({ key, read, write }) => key + write(read(row))).join(',')}}\n`;
  });
}

/** A function from a value of the type to its JSON. */
export function jsonWriter(type: DataType): (value: Value) => string {
  const write = notNull(type);
  return (value) => (value === null ? 'null' : write(value));
}

function notNull(type: DataType): (value: Value) => string {
  const text = textOf(type);
  if (text !== null) return (value) => `"${text(value)}"`;
  switch (kindOf(type)) {
    case 'bool':
      return String;
    case 'int':
    case 'duration':
      return integerText;
    case 'float':
      return (value) => floatText(value as number);
    case 'utf8':
      return JSON.stringify as (value: Value) => string;
    case 'list':
    case 'fixed-list': {
      const item = jsonWriter(elementOf(type).type);
      return (value) => `[${(value as readonly Value[]).map(item).join(',')}]`;
    }
    case 'map': {
      const [key, entry] = (elementOf(type).type.children as Field[]).map((field) => jsonWriter(field.type));
      const pair = ([one, other]: readonly Value[]) => `{"key":${key!(one!)},"value":${entry!(other!)}}`;
      return (value) => `[${(value as readonly Value[][]).map(pair).join(',')}]`;
    }
    default: {
      const fields = ((type.children ?? []) as Field[]).map(({ name, type: field }) => ({
        name,
        key: `${JSON.stringify(name)}:`,
        write: jsonWriter(field),
      }));
      return (value) =>
        `{${fields.map(({ name, key, write }) => key + write((value as StructValue)[name]!)).join(',')}}`;
    }
  }
}

function integerText(value: Value): string {
  return Number.isSafeInteger(Number(value)) ? String(value) : `"${value}"`;
}

function floatText(value: number): string {
  if (!Number.isFinite(value)) return `"${value}"`;
  return Object.is(value, -0) ? '-0' : String(value);
}
