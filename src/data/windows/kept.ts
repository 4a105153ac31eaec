/**
 * Kept: windows over what the tasks of a job emit, in a form that a Master can write down whole and go on from.
 *
 * Tasks emit rows, or partials of their rows. A partial is packed: the columns that it was made of, and its state, each as
 * bytes in a row of its own, so that whoever opens it needs to know nothing else. The state of a Master is packed the same way:
 * columns, open windows, and what was told; each part is cut, and each piece is a batch, so that a state may be larger than a
 * batch. A window that is told again, with rows that came late, takes the place of what was told of it before. Rows
 * that were too late for every window are never replaced: with late 'fire' each stands alone, with 'side' they are kept as they
 * came, and stand in the result behind the windows.
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
import { must } from '../../base/assert.ts';
import { PolarisError } from '../../base/errors.ts';
import { emptyBatch } from '../build.ts';
import { cutBatch } from '../cut.ts';
import { AsideTable, joined } from './aside.ts';
import { buildBatch, type Cell, cellReader } from './columns.ts';
import type { WindowsSpec } from './spec.ts';
import { createPartialWindows, createWindows, restoreWindows, type Windows } from './windows.ts';

const PART = 'polaris_part';
const BYTES = 'polaris_bytes';

type Part = 'columns' | 'partial' | 'open' | 'told' | 'aside';

/** The windows of some rows, packed, to be merged where the rows in front of them are known. */
export function packPartial(spec: WindowsSpec, rows: RecordBatch): RecordBatch {
  const partial = createPartialWindows(spec, rows.schema);
  partial.add(rows);
  return pack([
    ['columns', emptyBatch(rows.schema)],
    ['partial', partial.save()],
  ]);
}

export class KeptWindows {
  readonly #spec: WindowsSpec;
  /** Null before the first batch: nobody knows the columns. */
  #open: { readonly schema: Schema; readonly windows: Windows } | null = null;
  #told: RecordBatch[] = [];
  /** With late 'side': rows that were too late, in the order in which they came. */
  #aside: RecordBatch[] = [];

  constructor(spec: WindowsSpec) {
    this.#spec = spec;
  }

  /** Takes rows, or a packed partial, that come behind all that was taken before. @throws PolarisError as `Windows` do */
  take(batch: RecordBatch): void {
    const parts = unpack(batch);
    if (parts === null) this.#windows(batch.schema).add(batch);
    else {
      const windows = this.#windows(partOf(parts, 'columns').schema);
      for (const partial of piecesOf(parts, 'partial')) windows.merge(partial);
    }
    const { windows } = must(this.#open, 'it is open');
    this.#hear(windows.advance());
    this.#aside.push(...windows.late());
  }

  /** All that must be known to go on; nothing before the first batch. */
  state(): RecordBatch[] {
    if (this.#open === null) return [];
    const { schema, windows } = this.#open;
    this.#told = this.#standing(windows.schema);
    if (this.#aside.length > 0) this.#aside = [joined(schema, this.#aside)];
    const whole: readonly [Part, readonly RecordBatch[]][] = [
      ['columns', [emptyBatch(schema)]],
      ['open', [windows.save()]],
      ['told', this.#told],
      ['aside', this.#aside],
    ];
    const pieces = whole.flatMap(([part, batches]) => {
      return batches.flatMap((batch) => [...cutBatch(batch)].map((piece): [Part, RecordBatch] => [part, piece]));
    });
    return pieces.map((piece) => pack([piece]));
  }

  restore(batches: readonly RecordBatch[]): void {
    if (batches.length === 0) return;
    const parts = batches.flatMap((batch) => {
      const found = unpack(batch);
      if (found === null) throw new PolarisError('BAD_WINDOWS', 'this is no state of windows');
      return found;
    });
    const { schema } = partOf(parts, 'columns');
    this.#open = { schema, windows: restoreWindows(this.#spec, schema, ...piecesOf(parts, 'open')) };
    this.#told = piecesOf(parts, 'told');
    this.#aside = piecesOf(parts, 'aside');
  }

  /** Every window as it was told last; nothing when there was no batch. Nothing can be taken after it. */
  finish(): RecordBatch[] {
    if (this.#open === null) return [];
    const { schema, windows } = this.#open;
    this.#hear(windows.close());
    const [standing] = this.#standing(windows.schema);
    const result = standing ?? emptyBatch(windows.schema);
    if (this.#spec.late !== 'side') return [result];
    const table = new AsideTable(windows.schema, schema);
    return [table.windows(result), table.rows(joined(schema, this.#aside))];
  }

  #windows(schema: Schema): Windows {
    if (this.#open !== null) return this.#open.windows;
    const windows = createWindows(this.#spec, schema);
    // What the result cannot be made of is said with the first rows.
    if (this.#spec.late === 'side') new AsideTable(windows.schema, schema);
    this.#open = { schema, windows };
    return windows;
  }

  #hear(told: RecordBatch): void {
    if (told.numRows > 0) this.#told.push(told);
  }

  /** One batch of what was told and not replaced, in the order in which each window was told first. */
  #standing(schema: Schema): RecordBatch[] {
    if (this.#told.length === 0) return [];
    const at = (name: string) => schema.fields.findIndex((field) => field.name === name);
    const places = ['window_start', 'window_end', ...(this.#spec.keys ?? [])].map(at);
    const alone = at('alone');
    const standing = new Map<string, Cell[]>();
    for (const batch of this.#told) {
      const read = schema.fields.map((_field, column) => {
        return cellReader(must(batch.getChildAt(column), 'all told windows have the same columns'));
      });
      for (let row = 0; row < batch.numRows; row++) {
        const cells = read.map((cell) => cell(row));
        const isAlone = alone >= 0 && cells[alone] === true;
        standing.set(
          isAlone ? `alone ${standing.size}` : JSON.stringify(places.map((place) => text(cells[place]))),
          cells,
        );
      }
    }
    const rows = [...standing.values()];
    const columns = schema.fields.map((_field, column) => rows.map((row) => row[column] ?? null));
    return [buildBatch(schema, columns, rows.length)];
  }
}

/** JSON has no large integers; a text is not a number that looks the same. */
function text(cell: Cell | undefined): string | null {
  return cell === null || cell === undefined ? null : `${typeof cell} ${cell}`;
}

function pack(parts: readonly (readonly [Part, RecordBatch])[]): RecordBatch {
  const table = new Table({
    [PART]: vectorFromArray(
      parts.map(([part]) => part),
      new Utf8(),
    ),
    [BYTES]: vectorFromArray(
      parts.map(([, batch]) => RecordBatchStreamWriter.writeAll([batch]).toUint8Array(true)),
      new Binary(),
    ),
  });
  return must(table.batches[0], 'a table of rows has a batch');
}

/** Null for a batch of anything else. */
function unpack(batch: RecordBatch): [Part, RecordBatch][] | null {
  const [names, bytes] = [batch.getChild(PART), batch.getChild(BYTES)];
  if (names === null || bytes === null || batch.schema.fields.length !== 2) return null;
  return Array.from({ length: batch.numRows }, (_, row) => {
    const reader = RecordBatchReader.from(bytes.get(row) as Uint8Array).open();
    const [found] = reader;
    return [names.get(row) as Part, found ?? emptyBatch(reader.schema)];
  });
}

function partOf(parts: readonly [Part, RecordBatch][], wanted: Part): RecordBatch {
  const [found] = piecesOf(parts, wanted);
  if (found === undefined) throw new PolarisError('BAD_WINDOWS', `a packed batch lacks its part "${wanted}"`);
  return found;
}

function piecesOf(parts: readonly [Part, RecordBatch][], wanted: Part): RecordBatch[] {
  return parts.flatMap(([part, piece]) => (part === wanted ? [piece] : []));
}
