/**
 * trades: windows of turnover, as the tasks make them and as the Master keeps them.
 */
import {
  Binary,
  type RecordBatch,
  RecordBatchReader,
  RecordBatchStreamWriter,
  type Schema,
  Table,
  Utf8,
  vectorFromArray,
} from 'apache-arrow';
import { must } from '../../src/base/assert.ts';
import { buildBatch, type Cell, cellReader } from '../../src/data/windows/columns.ts';
import { createPartialWindows, createWindows, restoreWindows, type Windows } from '../../src/data/windows/windows.ts';
import { ENRICHED_SCHEMA, TURNOVER } from './stages.ts';

/** The windows of some orders, to be merged where those before them are known. */
export function partialOf(orders: RecordBatch): RecordBatch {
  const partial = createPartialWindows(TURNOVER, ENRICHED_SCHEMA);
  partial.add(orders);
  return partial.save();
}

export function emptyWindows(): Windows {
  return createWindows(TURNOVER, ENRICHED_SCHEMA);
}

/** The open windows and what was told are of two kinds, so each batch stands as bytes in a row of its own. */
export function stateTable(windows: Windows, told: readonly RecordBatch[]): Table {
  const batches = [windows.save(), ...told];
  return new Table({
    part: vectorFromArray(
      batches.map((_batch, at) => (at === 0 ? 'open' : 'told')),
      new Utf8(),
    ),
    batch: vectorFromArray(
      batches.map((batch) => RecordBatchStreamWriter.writeAll([batch]).toUint8Array(true)),
      new Binary(),
    ),
  });
}

export function fromState(state: readonly RecordBatch[]): { windows: Windows; told: RecordBatch[] } {
  const [open, ...told] = state.flatMap((batch) =>
    Array.from({ length: batch.numRows }, (_, row) => fromBytes(batch.getChild('batch')?.get(row))),
  );
  const windows = restoreWindows(TURNOVER, ENRICHED_SCHEMA, must(open, 'a state begins with the open windows'));
  return { windows, told };
}

function fromBytes(bytes: Uint8Array): RecordBatch {
  const [batch] = RecordBatchReader.from(bytes);
  return must(batch, 'each row of a state is a batch');
}

/** A window that was told again, with orders that came late, takes the place of what was told of it before. */
export function lastTold(told: readonly RecordBatch[], schema: Schema): RecordBatch {
  const at = (name: string) => schema.fields.findIndex((field) => field.name === name);
  const places = ['window_start', ...(TURNOVER.keys ?? [])].map(at);
  const last = new Map<string, Cell[]>();
  for (const batch of told) {
    const read = schema.fields.map((_field, column) =>
      cellReader(must(batch.getChildAt(column), 'all told windows have the same columns')),
    );
    for (let row = 0; row < batch.numRows; row++) {
      const cells = read.map((cell) => cell(row));
      last.set(places.map((place) => String(cells[place])).join('\n'), cells);
    }
  }
  const rows = [...last.values()];
  const columns = schema.fields.map((_field, column) => rows.map((row) => row[column] ?? null));
  return buildBatch(schema, columns, rows.length);
}
