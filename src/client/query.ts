/**
 * Queries: SQL over datasets, and what comes back. A query changes nothing, so it is asked again where a node was lost;
 * what has begun to come is not, since part of it may have been used.
 */
import type { RecordBatch, Table } from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import { CLIENT_LOAD_TRIES_MAX, CLIENT_TIMEOUT_MS } from '../base/limits.ts';
import { QUERY_MS_MAX } from '../base/limits-query.ts';
import { MEDIA_TYPES } from '../base/media-types.ts';
import type { PlanJson } from '../http/query.ts';
import { noAnswer, parseAnswer, problemError, type Tried } from './answers.ts';
import { receive } from './download.ts';
import { Silence } from './silence.ts';
import type { Tries } from './tries.ts';

export interface QueryOptions {
  /** Ends the query on its node, too. */
  readonly signal?: AbortSignal;
}

export interface QueryContent {
  readonly contentType: string;
  readonly rows: number;
  /** Of each dataset that was read, the version that was. */
  readonly versions: ReadonlyMap<string, number>;
  /** To be read once. @throws PolarisError TRANSFER_BROKEN in the middle, when the rest does not come */
  readonly body: AsyncIterable<Uint8Array>;
  /** For a body that is not read to its end. */
  cancel(): Promise<void>;
}

/** A query may wait for two others before its own time begins. */
const ANSWER_MS = 2 * QUERY_MS_MAX + CLIENT_TIMEOUT_MS;

export class Queries {
  readonly #tries: Tries;

  constructor(tries: Tries) {
    this.#tries = tries;
  }

  /** The answer in a media type of datasets. @throws PolarisError BAD_QUERY, NOT_FOUND, NOT_ACCEPTABLE, QUERY_TOO_LARGE, TIMED_OUT */
  get(
    sql: string,
    { accept = MEDIA_TYPES.arrow, signal }: QueryOptions & { readonly accept?: string } = {},
  ): Promise<QueryContent> {
    // The engine's own end is not tried again: the same query would end the next one.
    const options = { signal, isLong: true, timeoutMs: ANSWER_MS, finals: ['QUERY_LOST', 'TIMED_OUT'] as const };
    return this.#tries.run(options, (url, tryMs) => ask(url, tryMs, { sql, accept, signal }));
  }

  /** What would run where; nothing is run. @throws PolarisError BAD_QUERY, NOT_FOUND */
  explain(sql: string, { signal }: QueryOptions = {}): Promise<PlanJson> {
    return this.#tries.run({ signal }, (url, tryMs) => explain(url, tryMs, sql, signal));
  }

  async table(sql: string, options: QueryOptions): Promise<Table> {
    const { Table: ArrowTable } = await import('apache-arrow');
    for (let tries = 1; ; tries++) {
      const batches: RecordBatch[] = [];
      try {
        for await (const batch of this.batches(sql, options)) batches.push(batch);
        return new ArrowTable(batches);
      } catch (thrown) {
        const isBroken = thrown instanceof PolarisError && thrown.code === 'TRANSFER_BROKEN';
        if (!isBroken || tries === CLIENT_LOAD_TRIES_MAX) throw thrown;
      }
    }
  }

  async *batches(sql: string, options: QueryOptions): AsyncGenerator<RecordBatch, void, void> {
    const { readArrowStream } = await import('../data/arrow-stream.ts');
    const { body, rows } = await this.get(sql, options);
    let came = 0;
    for await (const batch of readArrowStream(body)) {
      came += batch.numRows;
      yield batch;
    }
    if (came !== rows) throw new PolarisError('TRANSFER_BROKEN', `the answer has ${rows} rows, and ${came} came`);
  }
}

interface Asked {
  readonly sql: string;
  readonly accept: string;
  readonly signal: AbortSignal | undefined;
}

async function ask(url: string, tryMs: number, { sql, accept, signal }: Asked): Promise<Tried<QueryContent>> {
  const silence = new Silence(signal);
  try {
    silence.await(tryMs);
    const response = await fetch(`${url}/v1/query`, {
      method: 'POST',
      signal: silence.signal,
      redirect: 'error',
      headers: { accept, 'content-type': 'application/json' },
      body: JSON.stringify({ sql }),
    });
    if (!response.ok) return { ok: false, error: problemError(await response.text(), response.status, url) };
    return { ok: true, value: contentOf(response, silence, signal, url) };
  } catch (thrown) {
    if (signal?.aborted === true) throw signal.reason;
    if (thrown instanceof PolarisError) throw thrown;
    return { ok: false, error: noAnswer(thrown, url, !silence.isOver) };
  } finally {
    silence.rest();
  }
}

async function explain(
  url: string,
  tryMs: number,
  sql: string,
  signal: AbortSignal | undefined,
): Promise<Tried<PlanJson>> {
  const silence = new Silence(signal);
  try {
    silence.await(tryMs);
    const response = await fetch(`${url}/v1/query/plan`, {
      method: 'POST',
      signal: silence.signal,
      redirect: 'error',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ sql }),
    });
    const text = await response.text();
    if (!response.ok) return { ok: false, error: problemError(text, response.status, url) };
    return { ok: true, value: parseAnswer(text, url) as PlanJson };
  } catch (thrown) {
    if (signal?.aborted === true) throw signal.reason;
    if (thrown instanceof PolarisError) throw thrown;
    return { ok: false, error: noAnswer(thrown, url, !silence.isOver) };
  } finally {
    silence.rest();
  }
}

function contentOf(response: Response, silence: Silence, signal: AbortSignal | undefined, url: string): QueryContent {
  const rows = response.headers.get('polaris-rows');
  const { body } = response;
  if (rows === null || body === null) {
    throw new PolarisError('INTERNAL', `${url} answered with what is no result; is it a Polaris node?`);
  }
  const chunks: AsyncIterator<Uint8Array> = body[Symbol.asyncIterator]();
  return {
    contentType: response.headers.get('content-type') ?? '',
    rows: Number(rows),
    versions: versionsOf(response.headers.get('polaris-versions') ?? ''),
    body: receive(chunks, silence, signal, url),
    cancel: async () => {
      await chunks.return?.();
    },
  };
}

/** `trades=17, orders=22` */
function versionsOf(text: string): ReadonlyMap<string, number> {
  const pairs = text.split(', ').filter((pair) => pair !== '');
  return new Map(
    pairs.map((pair) => [pair.slice(0, pair.lastIndexOf('=')), Number(pair.slice(pair.lastIndexOf('=') + 1))]),
  );
}
