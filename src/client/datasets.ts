/**
 * Datasets: named batches as methods. Bytes stream both ways and are never gathered; what they mean is said by a media
 * type alone.
 *
 * A put is tried again like any other call, as long as its source can be read again: the same bytes have the same handle,
 * and another try makes another version of the same content. Where a version was expected, an earlier try that was not
 * answered may have been the one that changed it; then nobody can say whose change it was, and the error says so.
 */
import type { ErrorCode } from '../base/errors.ts';
import { PolarisError } from '../base/errors.ts';
import { CLIENT_SEND_TRIES_MIN, NAMING_TRIES_MAX } from '../base/limits.ts';
import { MEDIA_TYPES } from '../base/media-types.ts';
import type { DatasetJson } from '../http/datasets.ts';
import type { Call } from './client.ts';
import { type DatasetContent, datasetHeading, download } from './download.ts';
import { queryText } from './query-text.ts';
import type { Tries, Unsure } from './tries.ts';
import { type DataSource, Upload } from './upload.ts';

/** A version that the dataset must have, or 'none': there must be none of this name. */
export type IfVersion = number | 'none';

export interface KeepOptions {
  /** Milliseconds from the put on; for ever without it. */
  readonly ttlMs?: number;
  /** Kept whatever its time to live says. */
  readonly pinned?: boolean;
  readonly ifVersion?: IfVersion;
}

export interface PutOptions extends KeepOptions {
  /** An Arrow stream when left out. */
  readonly contentType?: string;
  /** Types of columns for formats that carry none: `column:type,…`. */
  readonly types?: string;
  readonly signal?: AbortSignal;
  /** Bytes sent so far; begins anew with each try. */
  readonly onProgress?: (bytes: number) => void;
}

export interface ReadOptions {
  /** `linearizable` when left out: at least as new as every put that was answered before. */
  readonly consistency?: 'linearizable' | 'local';
  readonly signal?: AbortSignal;
}

export interface GetOptions extends ReadOptions {
  /** The media type to answer with; an Arrow stream when left out. */
  readonly accept?: string;
  /** Null instead of the content when this is its version. */
  readonly ifNoneVersion?: number;
}

export interface DatasetsContext {
  readonly tries: Tries;
  readonly call: <T>(call: Call, unsure?: Unsure) => Promise<T>;
  readonly pages: <T>(name: string, limit: number) => Promise<readonly T[]>;
}

export class Datasets {
  readonly #context: DatasetsContext;

  constructor(context: DatasetsContext) {
    this.#context = context;
  }

  /** Puts the content in place of what has this name. @throws PolarisError DATASET_CONFLICT, and what the source throws */
  put(name: string, source: DataSource, options: PutOptions = {}): Promise<DatasetJson> {
    const { contentType = MEDIA_TYPES.arrow, ttlMs, pinned, types, ifVersion, signal, onProgress } = options;
    const query = queryText({ ttlMs, pinned, types });
    const headers = { 'content-type': contentType, ...expectation(ifVersion) };
    const upload = new Upload(source, { path: `${pathOf(name)}${query}`, headers, signal, onProgress });
    return sureOf(name, ['DATASET_CONFLICT'], (unsure) =>
      this.#context.tries.run({ signal, triesMin: CLIENT_SEND_TRIES_MIN, unsure }, (url, tryMs) =>
        upload.send<DatasetJson>(url, tryMs),
      ),
    );
  }

  /** @throws PolarisError NOT_FOUND, NOT_ACCEPTABLE */
  get(name: string, options?: GetOptions & { readonly ifNoneVersion?: never }): Promise<DatasetContent>;
  get(name: string, options: GetOptions): Promise<DatasetContent | null>;
  get(name: string, options: GetOptions = {}): Promise<DatasetContent | null> {
    const { accept = MEDIA_TYPES.arrow, ifNoneVersion, consistency, signal } = options;
    const path = `${pathOf(name)}${queryText({ consistency })}`;
    const headers = { accept, ...(ifNoneVersion === undefined ? {} : { 'if-none-match': `"${ifNoneVersion}"` }) };
    return this.#context.tries.run({ signal }, (url, tryMs) =>
      download(url, tryMs, { path, headers, signal }, datasetHeading),
    );
  }

  /** What is known of it, without its rows. @throws PolarisError NOT_FOUND */
  info(name: string, { consistency, signal }: ReadOptions = {}): Promise<DatasetJson> {
    return this.#context.call({ method: 'GET', path: `${pathOf(name)}/info${queryText({ consistency })}`, signal });
  }

  /** In the order of their names, fetched page by page; all of them when no limit is given. */
  list({ limit = Number.POSITIVE_INFINITY }: { readonly limit?: number } = {}): Promise<readonly DatasetJson[]> {
    return this.#context.pages('datasets', limit);
  }

  /** The name alone goes; bytes that have another name stay. @throws PolarisError NOT_FOUND, DATASET_CONFLICT */
  async drop(name: string, { ifVersion }: { readonly ifVersion?: number } = {}): Promise<void> {
    const unsure = { outcome: false };
    try {
      await sureOf(
        name,
        ['DATASET_CONFLICT'],
        () => this.#context.call({ method: 'DELETE', path: pathOf(name), headers: expectation(ifVersion) }, unsure),
        unsure,
      );
    } catch (thrown) {
      // An earlier try may have been the one that took it away.
      if (!unsure.outcome || !(thrown instanceof PolarisError) || thrown.code !== 'NOT_FOUND') throw thrown;
    }
  }

  /** Stays whatever its time to live says. */
  pin(name: string): Promise<DatasetJson> {
    return this.#pin(name, true);
  }

  /** Its time to live, if it has one, counts from its put again. */
  unpin(name: string): Promise<DatasetJson> {
    return this.#pin(name, false);
  }

  /** Another name for the content that `from` has now; no bytes travel. */
  async copy(from: string, to: string, { ttlMs, pinned, ifVersion }: KeepOptions = {}): Promise<DatasetJson> {
    const expected = ifVersion === 'none' ? 0 : (ifVersion ?? null);
    for (let tries = 1; ; tries++) {
      const { handle } = await this.info(from);
      const body = { handle, expected, ttlMs: ttlMs ?? null, pinned: pinned ?? false };
      try {
        return await sureOf(to, ['DATASET_CONFLICT'], (unsure) =>
          this.#context.call({ method: 'PUT', path: pathOf(to), body, finals: ['BLOB_CONDEMNED'] }, unsure),
        );
      } catch (thrown) {
        // Replaced or dropped since it was looked at, and its bytes given up: look again.
        const isGone =
          thrown instanceof PolarisError && (thrown.code === 'BLOB_CONDEMNED' || thrown.code === 'BLOB_MISSING');
        if (!isGone || tries === NAMING_TRIES_MAX) throw thrown;
      }
    }
  }

  #pin(name: string, pinned: boolean): Promise<DatasetJson> {
    return this.#context.call({ method: 'POST', path: `${pathOf(name)}/pin`, body: { pinned } });
  }
}

/** Runs a write; one of these refusals after a try without an answer may be the work of that try. */
async function sureOf<T>(
  name: string,
  doubtful: readonly ErrorCode[],
  write: (unsure: Unsure) => Promise<T>,
  unsure: Unsure = { outcome: false },
): Promise<T> {
  try {
    return await write(unsure);
  } catch (cause) {
    if (!unsure.outcome || !(cause instanceof PolarisError) || !doubtful.includes(cause.code)) throw cause;
    const detail = `"${name}" has another version, perhaps by an earlier try that brought no answer: ${cause.detail}`;
    throw new PolarisError('OUTCOME_UNKNOWN', detail, { cause });
  }
}

function pathOf(name: string): string {
  return `/v1/datasets/${encodeURIComponent(name)}`;
}

function expectation(ifVersion: IfVersion | undefined): Record<string, string> {
  if (ifVersion === undefined) return {};
  return ifVersion === 'none' ? { 'if-none-match': '*' } : { 'if-match': `"${ifVersion}"` };
}
