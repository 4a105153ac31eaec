/**
 * Table batch: many tables in one request, and what became of each.
 *
 * What was stored is not sent again: another try takes only those that may do better. So one that no node will ever take
 * costs the others nothing.
 */
import { PolarisError } from '../base/errors.ts';
import { CLIENT_NAMING_MS, CLIENT_SEND_TRIES_MIN } from '../base/limits.ts';
import { TABLES_TYPE } from '../base/media-types.ts';
import type { TableResult, TableResults } from '../http/dataset-batch.ts';
import type { DatasetJson } from '../http/datasets.ts';
import { errorIn } from './answers.ts';
import type { KeepOptions } from './datasets.ts';
import type { Tries } from './tries.ts';
import { Upload } from './upload.ts';

export interface SizedTable {
  readonly name: string;
  readonly bytes: number;
  /** From its beginning each time, and always the same. */
  readonly open: () => AsyncIterable<Uint8Array>;
}

/** By the names of the tables. */
export interface BatchOutcome {
  readonly stored: Map<string, DatasetJson>;
  readonly failed: Map<string, PolarisError>;
}

/** @param tables as many as one request takes. Adds each to what was stored or to what failed. @throws what a source throws */
export async function sendTables(
  tries: Tries,
  tables: readonly SizedTable[],
  options: KeepOptions,
  { stored, failed }: BatchOutcome,
): Promise<void> {
  const waiting = new Map(tables.map((table) => [table.name, table]));
  const unsure = { outcome: false };
  const judge = (result: TableResult, url: string): PolarisError | null => {
    const { name, dataset, problem } = result;
    if (name === null || !waiting.has(name)) return null;
    if (dataset !== null) {
      waiting.delete(name);
      stored.set(name, dataset);
      return null;
    }
    const error = ownDoing(errorIn(problem, problem?.status ?? 0, url), unsure.outcome);
    failed.set(name, error);
    if (error.row.retry && error.code !== 'OUTCOME_UNKNOWN') return error;
    waiting.delete(name);
    return null;
  };
  try {
    await tries.run({ triesMin: CLIENT_SEND_TRIES_MIN, unsure }, async (url, tryMs) => {
      const sent = [...waiting.values()];
      const answerMs = sent.length * CLIENT_NAMING_MS;
      const headers = { 'content-type': TABLES_TYPE };
      const how = { method: 'POST', path: '/v1/datasets', headers, answerMs } as const;
      const tried = await new Upload(() => framesOf(sent, options), how).send<TableResults>(url, tryMs);
      if (!tried.ok) return tried;
      const again = tried.value.results.map((result) => judge(result, url)).find((error) => error !== null);
      return again === undefined ? { ok: true, value: null } : { ok: false, error: again };
    });
  } catch (thrown) {
    if (!(thrown instanceof PolarisError)) throw thrown;
    for (const name of waiting.keys()) failed.set(name, failed.get(name) ?? thrown);
  }
  for (const name of stored.keys()) failed.delete(name);
}

/** A conflict after a try without an answer may be the work of that try. */
function ownDoing(error: PolarisError, unsure: boolean): PolarisError {
  if (error.code !== 'DATASET_CONFLICT' || !unsure) return error;
  const detail = `perhaps by an earlier try that brought no answer: ${error.detail}`;
  return new PolarisError('OUTCOME_UNKNOWN', detail, { cause: error });
}

async function* framesOf(
  tables: readonly SizedTable[],
  { ttlMs = null, pinned = false, ifVersion = null }: { readonly [Key in keyof KeepOptions]: KeepOptions[Key] | null },
): AsyncGenerator<Uint8Array> {
  const expected = ifVersion === 'none' ? 0 : ifVersion;
  for (const { name, bytes, open } of tables) {
    yield Buffer.from(`${JSON.stringify({ name, bytes, ttlMs, pinned, expected })}\n`);
    yield* open();
  }
}
