/**
 * Tables: datasets as tables of apache-arrow. Whoever uses nothing of this loads nothing of Arrow: it and what reads and
 * writes its streams come with the first call.
 *
 * What comes is read by the reader of the nodes, which trusts no length and no offset that it was sent.
 */
import type { RecordBatch, Table } from 'apache-arrow';
import { v4 } from 'uuid';
import { errorText, PolarisError } from '../base/errors.ts';
import { CLIENT_LOAD_TRIES_MAX, CLIENT_STORES_MAX } from '../base/limits.ts';
import { MEDIA_TYPES } from '../base/media-types.ts';
import type { DatasetJson } from '../http/datasets.ts';
import type { Datasets, KeepOptions, ReadOptions } from './datasets.ts';
import type { DatasetContent } from './download.ts';

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

  constructor(datasets: Datasets) {
    this.#datasets = datasets;
  }

  async store(table: Table, { name = v4(), ...options }: StoreOptions): Promise<DatasetJson> {
    const [{ writeArrowStream }, { plainSchema }] = await Promise.all([
      import('../data/arrow-stream.ts'),
      import('../data/schema.ts'),
    ]);
    const source = () => writeArrowStream(batchesOf(table), plainSchema(table.schema));
    return this.#datasets.put(name, source, { ...options, contentType: MEDIA_TYPES.arrow });
  }

  async storeBatch(
    tables: ReadonlyMap<string, Table> | { readonly [name: string]: Table },
    options: KeepOptions,
  ): Promise<ReadonlyMap<string, DatasetJson>> {
    const entries = tables instanceof Map ? [...tables] : Object.entries<Table>(tables as { [name: string]: Table });
    const stored = new Map<string, DatasetJson>();
    const failed = new Map<string, PolarisError>();
    const waiting = entries.values();
    const lane = async (): Promise<void> => {
      for (const [name, table] of waiting) {
        try {
          stored.set(name, await this.store(table, { ...options, name }));
        } catch (thrown) {
          failed.set(name, thrown instanceof PolarisError ? thrown : internal(thrown));
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(CLIENT_STORES_MAX, entries.length) }, lane));
    if (failed.size > 0) throw new StoreBatchError(stored, failed);
    return stored;
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

/** @throws PolarisError TRANSFER_BROKEN */
function checkRows(name: string, content: DatasetContent, rows: number): void {
  if (rows === content.rows) return;
  throw new PolarisError('TRANSFER_BROKEN', `"${name}" has ${content.rows} rows, and ${rows} came`);
}

async function* batchesOf(table: Table): AsyncGenerator<RecordBatch> {
  // An empty one of apache-arrow may lack its columns; the schema goes before all of them.
  yield* table.batches.filter(({ numRows }) => numRows > 0);
}

function internal(cause: unknown): PolarisError {
  return new PolarisError('INTERNAL', errorText(cause), { cause });
}
