/**
 * Aside: windows, and the rows that were too late for them, as one table.
 *
 * A result has one schema, and rows have other columns than windows have. So the table has the columns of both: where a window
 * stands there is no row, where a row stands there is no window, and one column says which of the two it is.
 */
import { Bool, type Data, type DataType, Field, type RecordBatch, Schema } from 'apache-arrow';
import { must } from '../../base/assert.ts';
import { PolarisError } from '../../base/errors.ts';
import { batchOf, dataOf } from '../build.ts';
import { valuesOf } from '../values.ts';

const ASIDE = 'aside';
const ROW_PREFIX = 'row.';

export class AsideTable {
  readonly #windows: Schema;
  readonly #rows: Schema;
  readonly #schema: Schema;

  /** @throws PolarisError BAD_WINDOWS when two columns would have one name. */
  constructor(windows: Schema, rows: Schema) {
    this.#windows = windows;
    this.#rows = rows;
    this.#schema = new Schema([
      ...windows.fields.map(({ name, type }) => new Field(name, type, true)),
      new Field(ASIDE, new Bool(), false),
      ...rows.fields.map(({ name, type }) => new Field(`${ROW_PREFIX}${name}`, type, true)),
    ]);
    const names = this.#schema.fields.map(({ name }) => name);
    const twice = names.find((name, at) => names.indexOf(name) < at);
    if (twice === undefined) return;
    throw new PolarisError('BAD_WINDOWS', `two columns of the result would be called "${twice}"`);
  }

  windows({ data, numRows }: RecordBatch): RecordBatch {
    return this.#batch([...data.children, all(new Bool(), numRows, false), ...this.#none(this.#rows, numRows)]);
  }

  rows({ data, numRows }: RecordBatch): RecordBatch {
    return this.#batch([...this.#none(this.#windows, numRows), all(new Bool(), numRows, true), ...data.children]);
  }

  #none(schema: Schema, length: number): Data[] {
    return schema.fields.map(({ type }) => all(type, length, null));
  }

  #batch(columns: Data[]): RecordBatch {
    return batchOf(this.#schema, columns);
  }
}

/** One batch of all rows of these, which may be many and small. */
export function joined(schema: Schema, batches: readonly RecordBatch[]): RecordBatch {
  const columns = schema.fields.map(({ type }, at) => {
    const values = batches.flatMap(({ data }) => valuesOf(must(data.children[at], 'every field has a column')));
    return dataOf(type, values);
  });
  return batchOf(schema, columns);
}

function all(type: DataType, length: number, value: boolean | null): Data {
  return dataOf(type, new Array<boolean | null>(length).fill(value));
}
