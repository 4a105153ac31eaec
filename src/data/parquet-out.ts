/**
 * Parquet out: row groups of some tens of thousands of rows, each sent as soon as it is full.
 *
 * The writer of hyparquet keeps what it wrote in one growing buffer. Its index into that buffer is apart from the
 * offset in the file, so after each row group the bytes are taken and the index is set back: what stays in memory is one
 * row group, and some hundred bytes a column of each for the footer. Statistics are left out, for they would be wrong for
 * unsigned integers and short of the decimals.
 */
import type { RecordBatch, Schema } from 'apache-arrow';
import { ByteWriter, ParquetWriter } from 'hyparquet-writer';
import { errorText, PolarisError } from '../base/errors.ts';
import { PARQUET_GROUP_BYTES, PARQUET_GROUP_ROWS } from '../base/limits.ts';
import { batchBytes, cutBatch } from './cut.ts';
import { orNull, type WrittenColumn, writtenColumn } from './parquet-types.ts';
import { plainBatch } from './plain.ts';
import { requireSameSchema } from './schema.ts';
import type { BatchSource, ByteSource } from './sources.ts';
import { type Value, valuesOf } from './values.ts';

export async function* writeParquet(batches: BatchSource): ByteSource {
  let writing: ParquetWriting | null = null;
  for await (const given of batches) {
    const batch = plainBatch(given);
    writing ??= new ParquetWriting(batch.schema);
    requireSameSchema(writing.schema, batch.schema);
    for (const part of cutBatch(batch)) {
      const group = writing.add(part);
      if (group.byteLength > 0) yield group;
    }
  }
  if (writing === null) throw new PolarisError('BAD_SCHEMA', 'There is no batch, so nobody knows the columns.');
  yield writing.end();
}

class ParquetWriting {
  readonly schema: Schema;
  readonly #columns: readonly WrittenColumn[];
  readonly #bytes = new ByteWriter();
  readonly #writer: ParquetWriter;
  #group: RecordBatch[] = [];
  #groupRows = 0;
  #groupBytes = 0;

  constructor(schema: Schema) {
    this.schema = schema;
    this.#columns = schema.fields.map(writtenColumn);
    if (this.#columns.length === 0)
      throw new PolarisError('BAD_SCHEMA', 'Parquet cannot hold a table without columns.');
    const root = { name: 'schema', num_children: this.#columns.length };
    this.#writer = new ParquetWriter({
      writer: this.#bytes,
      schema: [root, ...this.#columns.flatMap((column) => column.elements)],
      statistics: false,
      createdBy: 'polaris',
    });
  }

  /** What became ready; nothing while the row group grows. */
  add(batch: RecordBatch): Uint8Array {
    const bytes = batchBytes(batch);
    const isFull =
      this.#groupRows + batch.numRows > PARQUET_GROUP_ROWS || this.#groupBytes + bytes > PARQUET_GROUP_BYTES;
    const ready = isFull ? this.#flush() : new Uint8Array(0);
    this.#group.push(batch);
    this.#groupRows += batch.numRows;
    this.#groupBytes += bytes;
    return ready;
  }

  end(): Uint8Array {
    const last = this.#flush();
    this.#writer.finish();
    return Buffer.concat([last, this.#take()]);
  }

  #flush(): Uint8Array {
    const group = this.#group;
    if (this.#groupRows === 0) return new Uint8Array(0);
    [this.#group, this.#groupRows, this.#groupBytes] = [[], 0, 0];
    const columnData = this.schema.fields.map((field, at) => ({
      name: field.name,
      data: columnOf(group, at, this.#columns[at]!),
      offsetIndex: false,
    }));
    try {
      this.#writer.write({ columnData, rowGroupSize: PARQUET_GROUP_ROWS });
    } catch (error) {
      // A second beyond the range of milliseconds, for example.
      throw new PolarisError('BAD_DATA', `Parquet cannot hold a value: ${errorText(error)}.`, { cause: error });
    }
    return this.#take();
  }

  /** A copy, since the writer goes on in the same memory. */
  #take(): Uint8Array {
    const bytes = this.#bytes.getBytes().slice();
    this.#bytes.index = 0;
    return bytes;
  }
}

function columnOf(group: readonly RecordBatch[], at: number, { write }: WrittenColumn): Value[] {
  return group.flatMap((batch) => valuesOf(batch.data.children[at]!).map(orNull(write)));
}
