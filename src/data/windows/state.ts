/**
 * State: open windows as one Arrow batch, and back.
 *
 * The first row is the header: a JSON text that names the version, the description of the windows, the watermark and the
 * counts. It is a row, and not metadata of the schema, because metadata is no part of what a batch is compared by. Every
 * other row is one layer of one window, in the order of keys, start and layer.
 *
 * Invariant: equal windows give equal bytes.
 */
import { Bool, Field, Int64, type RecordBatch, Schema, Utf8 } from 'apache-arrow';
import { must } from '../../base/assert.ts';
import { PolarisError } from '../../base/errors.ts';
import { badState, wholeOf } from './accumulators.ts';
import { buildBatch, type Cell, cellReader } from './columns.ts';
import { compareKeys, keyText, type Layer, type OpenWindow } from './open.ts';
import type { WindowsPlan } from './plan.ts';

const VERSION = 1;

export interface Counts {
  /** All that were added. */
  readonly rows: number;
  /** A row counts once for every window that it was too late for. */
  readonly late: number;
  /** Rows without an event time. */
  readonly untimed: number;
  /** Rows between two windows, where windows slide by more than their size. */
  readonly outside: number;
}

export interface StateHeader {
  readonly partial: boolean;
  /** Minus infinity before the first row. */
  readonly watermark: number;
  readonly counts: Counts;
}

export interface SavedWindow {
  readonly keys: readonly Cell[];
  readonly start: number;
  readonly end: number;
  readonly fired: boolean;
  main: Layer | null;
  late: Layer | null;
}

export function saveState(plan: WindowsPlan, header: StateHeader, windows: readonly OpenWindow[]): RecordBatch {
  const sorted = [...windows].sort(
    (left, right) => compareKeys(left.group.keys, right.group.keys) || left.start - right.start,
  );
  const schema = stateSchema(plan);
  const columns: Cell[][] = schema.fields.map((_field, at) => [at === 0 ? headerText(plan, header) : null]);
  for (const window of sorted) {
    for (const name of ['main', 'late'] as const) {
      const layer = window[name];
      if (layer === null) continue;
      const { group, start, end, fired } = window;
      const saved = layer.accumulators.flatMap((accumulator) => accumulator.saved());
      const cells = [null, start, end, name === 'late', fired, layer.count, ...group.keys, ...saved];
      for (const [at, column] of columns.entries()) column.push(cells[at] ?? null);
    }
  }
  return buildBatch(schema, columns, must(columns[0], 'a state has columns').length);
}

/** Of the state, whole or cut. @throws PolarisError BAD_WINDOWS when it is not one of windows that are described the same. */
export function openState(
  plan: WindowsPlan,
  ...pieces: readonly RecordBatch[]
): { readonly header: StateHeader; readonly windows: readonly SavedWindow[] } {
  const rows = rowsOf(plan, pieces);
  const [first] = rows.next().value ?? [];
  const header = openHeader(plan, first ?? null);
  const windows = new Map<string, SavedWindow>();
  for (const [, start, end, late, fired, count, ...rest] of rows) {
    const keys = rest.slice(0, plan.keys.length);
    const place = { keys, start: wholeOf(start), end: wholeOf(end), fired: fired === true };
    const id = `${place.start}/${keyText(keys)}`;
    const window = windows.get(id) ?? { ...place, main: null, late: null };
    windows.set(id, window);
    const layer = { count: wholeOf(count), accumulators: restoreLayer(plan, rest.slice(plan.keys.length)) };
    if (late === true) window.late = layer;
    else window.main = layer;
  }
  return { header, windows: [...windows.values()] };
}

/** Rows of all pieces, one after the other. */
function* rowsOf(plan: WindowsPlan, pieces: readonly RecordBatch[]): Generator<Cell[], undefined> {
  const schema = stateSchema(plan);
  for (const piece of pieces) {
    if (shapeOf(piece.schema) !== shapeOf(schema)) {
      throw new PolarisError('BAD_WINDOWS', 'the saved state has other columns than these windows would give it');
    }
    const read = schema.fields.map((_field, at) => cellReader(must(piece.getChildAt(at), 'the schema was compared')));
    for (let row = 0; row < piece.numRows; row++) yield read.map((each) => each(row));
  }
}

function restoreLayer(plan: WindowsPlan, cells: readonly Cell[]): Layer['accumulators'] {
  let at = 0;
  return plan.aggregates.map(({ kind }) => {
    const from = at;
    at += kind.savedFields.length;
    return kind.restore(cells.slice(from, at));
  });
}

function stateSchema({ keyFields, aggregates }: WindowsPlan): Schema {
  // Names may meet those of keys: a state is read by position.
  return new Schema([
    new Field('header', new Utf8(), true),
    new Field('start', new Int64(), true),
    new Field('end', new Int64(), true),
    new Field('late', new Bool(), true),
    new Field('fired', new Bool(), true),
    new Field('rows', new Int64(), true),
    ...keyFields.map(({ name, type }) => new Field(`key.${name}`, type, true)),
    ...aggregates.flatMap(({ kind }) => kind.savedFields),
  ]);
}

function shapeOf(schema: Schema): string {
  return JSON.stringify(schema.fields.map(({ name, type }) => [name, String(type)]));
}

function headerText(plan: WindowsPlan, { partial, watermark, counts }: StateHeader): string {
  const { rows, late, untimed, outside } = counts;
  const told = Number.isFinite(watermark) ? watermark + 0 : null;
  return JSON.stringify([VERSION, plan.identity, partial, told, rows, late, untimed, outside]);
}

function openHeader(plan: WindowsPlan, text: Cell): StateHeader {
  const [version, identity, partial, watermark, ...counts] = parseHeader(text);
  if (version !== VERSION) throw new PolarisError('BAD_WINDOWS', 'the state was saved by another version of Polaris');
  if (identity !== plan.identity) {
    throw new PolarisError('BAD_WINDOWS', 'the state was saved by windows that are described otherwise');
  }
  const [rows, late, untimed, outside] = counts.map((count) => wholeOf(typeof count === 'number' ? count : null));
  if (typeof partial !== 'boolean' || outside === undefined) throw badState();
  return {
    partial,
    watermark:
      watermark === null ? Number.NEGATIVE_INFINITY : wholeOf(typeof watermark === 'number' ? watermark : null),
    counts: { rows: rows ?? 0, late: late ?? 0, untimed: untimed ?? 0, outside },
  };
}

function parseHeader(text: Cell): readonly unknown[] {
  try {
    const header: unknown = JSON.parse(String(text));
    if (Array.isArray(header)) return header;
  } catch {
    // Told below, like any other text that is no header.
  }
  throw badState();
}
