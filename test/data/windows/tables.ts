/**
 * Small tables for tests of windows: rows of cells in, told windows as rows of cells out.
 */
import { type DataType, Field, Int32, type RecordBatch, Schema, TimestampMillisecond, Utf8 } from 'apache-arrow';
import { expect } from 'vitest';
import { type ErrorCode, PolarisError } from '../../../src/base/errors.ts';
import { buildBatch, type Cell, cellReader } from '../../../src/data/windows/columns.ts';
import { tumbling, type WindowsSpec } from '../../../src/data/windows/spec.ts';
import { createWindows } from '../../../src/data/windows/windows.ts';

/** Two columns, `at` and `value`, of any types. */
export function schemaOf(at: DataType, value: DataType = new Int32()): Schema {
  return new Schema([new Field('at', at, true), new Field('value', value, true), new Field('key', new Utf8(), true)]);
}

export const PLAIN = schemaOf(new TimestampMillisecond());

export function batchOf(schema: Schema, rows: readonly (readonly Cell[])[]): RecordBatch {
  const columns = schema.fields.map((_field, at) => rows.map((row) => row[at] ?? null));
  return buildBatch(schema, columns, rows.length);
}

export function specOf(changes: Partial<WindowsSpec> = {}): WindowsSpec {
  return { time: 'at', window: tumbling(10), aggregates: [{ fn: 'sum', column: 'value', as: 'sum' }], ...changes };
}

export function cells(batch: RecordBatch): Cell[][] {
  const read = batch.schema.fields.map((_field, at) => cellReader(batch.getChildAt(at)!));
  return Array.from({ length: batch.numRows }, (_, row) => read.map((cell) => cell(row)));
}

/** What is told of rows that are added at once, first while time goes on and then at the end. */
export function told(spec: WindowsSpec, schema: Schema, rows: readonly (readonly Cell[])[]): Cell[][] {
  const windows = createWindows(spec, schema);
  windows.add(batchOf(schema, rows));
  return [...cells(windows.advance()), ...cells(windows.close())];
}

export function refusal(code: ErrorCode, detail: RegExp, action: () => unknown): void {
  let thrown: unknown;
  try {
    action();
  } catch (caught) {
    thrown = caught;
  }
  expect(thrown).toBeInstanceOf(PolarisError);
  expect(thrown).toMatchObject({ code, detail: expect.stringMatching(detail) });
}
