/**
 * Tables: datasets as tables of apache-arrow. Whoever uses nothing of this loads nothing of Arrow: it and what reads and
 * writes its streams come with the first call.
 *
 * What comes is read by the reader of the nodes, which trusts no length and no offset that it was sent.
 */
import type { RecordBatch, Table } from 'apache-arrow';
import { v4 } from 'uuid';
import { errorText, PolarisError } from '../base/errors.ts';
import { CLIENT_LOAD_TRIES_MAX, TABLES_PER_REQUEST_MAX } from '../base/limits.ts';
import { MEDIA_TYPES } from '../base/media-types.ts';
import type { DatasetJson } from '../http/datasets.ts';
import type { Datasets, KeepOptions, ReadOptions } from './datasets.ts';
import type { DatasetContent } from './download.ts';
import { type SizedTable, sendTables } from './table-batch.ts';
import type { Tries } from './tries.ts';

/** Columns by their names, all of one length: numbers become float64, bigints int64, texts utf8. */
export interface Columns {
  readonly [column: string]: readonly unknown[] | (ArrayBufferView & { readonly length: number });
}

/** What can be stored. */
export type TableLike = Table | Columns;

export interface StoreOptions extends KeepOptions {
  /**
   * A UUID is drawn when left out, and not a name made of the content: two who store the same table then have a name
   * each, and one may drop his own. The bytes are kept once all the same.
   */
  readonly name?: string;
}

/** Some of many tables were not stored. Its code is that of the first of them. */
export class StoreBatchError extends PolarisError {
  readonly stored: ReadonlyMap<string, DatasetJson>;
  readonly failed: ReadonlyMap<string, PolarisError>;

  constructor(stored: ReadonlyMap<string, DatasetJson>, failed: ReadonlyMap<string, PolarisError>) {
    const [first] = failed.values();
    const names = [...failed.keys()].join(', ');
    super(first?.code ?? 'INTERNAL', `${names} not stored; ${first?.detail ?? ''}`, { cause: first });
    this.stored = stored;
    this.failed = failed;
  }
}

export class Tables {
  readonly #datasets: Datasets;
  readonly #tries: Tries;

  constructor(datasets: Datasets, tries: Tries) {
    this.#datasets = datasets;
    this.#tries = tries;
  }

  async store(table: TableLike, { name = v4(), ...options }: StoreOptions): Promise<DatasetJson> {
    return this.#datasets.put(name, await streamOf(await tableOf(table)), {
      ...options,
      contentType: MEDIA_TYPES.arrow,
    });
  }

  async storeBatch(
    tables: ReadonlyMap<string, TableLike> | { readonly [name: string]: TableLike },
    options: KeepOptions,
  ): Promise<ReadonlyMap<string, DatasetJson>> {
    const entries: [string, TableLike][] = tables instanceof Map ? [...tables] : Object.entries(tables);
    const outcome = { stored: new Map<string, DatasetJson>(), failed: new Map<string, PolarisError>() };
    const sized: SizedTable[] = [];
    for (const [name, table] of entries) {
      try {
        sized.push(await sizedTable(name, await tableOf(table)));
      } catch (thrown) {
        outcome.failed.set(name, thrown instanceof PolarisError ? thrown : internal(thrown));
      }
    }
    for (let at = 0; at < sized.length; at += TABLES_PER_REQUEST_MAX) {
      await sendTables(this.#tries, sized.slice(at, at + TABLES_PER_REQUEST_MAX), options, outcome);
    }
    if (outcome.failed.size > 0) throw new StoreBatchError(outcome.stored, outcome.failed);
    return outcome.stored;
  }

  async load(name: string, options: ReadOptions): Promise<Table> {
    const { Table: ArrowTable } = await import('apache-arrow');
    for (let tries = 1; ; tries++) {
      const batches: RecordBatch[] = [];
      try {
        for await (const batch of this.loadStream(name, options)) batches.push(batch);
        return new ArrowTable(batches);
      } catch (thrown) {
        // Nobody has seen anything of it yet, so it may begin anew.
        if (!(thrown instanceof PolarisError) || thrown.code !== 'TRANSFER_BROKEN' || tries === CLIENT_LOAD_TRIES_MAX) {
          throw thrown;
        }
      }
    }
  }

  async *loadStream(name: string, options: ReadOptions): AsyncGenerator<RecordBatch, void, void> {
    const { readArrowStream } = await import('../data/arrow-stream.ts');
    const content = await this.#datasets.get(name, { ...options, accept: MEDIA_TYPES.arrow });
    let rows = 0;
    for await (const batch of readArrowStream(content.body)) {
      rows += batch.numRows;
      yield batch;
    }
    checkRows(name, content, rows);
  }
}

/** @throws PolarisError BAD_DATA for no columns, and for some of several lengths, which Arrow would fill up with nulls */
async function tableOf(given: TableLike): Promise<Table> {
  // Not by its class: a program may have another copy of apache-arrow than we have.
  if (isTable(given)) return given;
  const columns = Object.entries(given);
  if (columns.length === 0) throw new PolarisError('BAD_DATA', 'a table has columns: none were given');
  const lengths = new Set(columns.map(([, { length }]) => length));
  if (lengths.size > 1) {
    const said = columns.map(([name, { length }]) => `${name} has ${length}`).join(', ');
    throw new PolarisError('BAD_DATA', `columns of a table have the same length: ${said}`);
  }
  const { tableFromArrays } = await import('apache-arrow');
  return tableFromArrays(given as Parameters<typeof tableFromArrays>[0]);
}

function isTable(given: TableLike): given is Table {
  return typeof (given as Partial<Table>).getChild === 'function';
}

/** @throws PolarisError TRANSFER_BROKEN */
function checkRows(name: string, content: DatasetContent, rows: number): void {
  if (rows === content.rows) return;
  throw new PolarisError('TRANSFER_BROKEN', `"${name}" has ${content.rows} rows, and ${rows} came`);
}

/** What reads the table as an Arrow stream, from its beginning each time. */
async function streamOf(table: Table): Promise<() => AsyncIterable<Uint8Array>> {
  const [{ writeArrowStream }, { plainSchema }] = await Promise.all([
    import('../data/arrow-stream.ts'),
    import('../data/schema.ts'),
  ]);
  return () => writeArrowStream(batchesOf(table), plainSchema(table.schema));
}

/** Its length comes first in a body of many. It is written twice for that, for to hold what was written would double the memory. */
async function sizedTable(name: string, table: Table): Promise<SizedTable> {
  const open = await streamOf(table);
  let bytes = 0;
  for await (const chunk of open()) bytes += chunk.length;
  return { name, bytes, open };
}

async function* batchesOf(table: Table): AsyncGenerator<RecordBatch> {
  // An empty one of apache-arrow may lack its columns; the schema goes before all of them.
  yield* table.batches.filter(({ numRows }) => numRows > 0);
}

function internal(cause: unknown): PolarisError {
  return new PolarisError('INTERNAL', errorText(cause), { cause });
}
