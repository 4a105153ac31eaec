/**
 * Download: a dataset or a result on its way from a node. A chunk is taken from the socket when it is asked for, so that a reader who
 * takes his time holds the node back and not his memory.
 *
 * Invariant: the body ends without an error only when all of it has come.
 */
import { PolarisError } from '../base/errors.ts';
import { CONNECTION_SILENCE_MS } from '../base/limits.ts';
import { causeText, noAnswer, problemError, type Tried } from './answers.ts';
import { Silence } from './silence.ts';

/** Bytes as they come. */
export interface Content {
  readonly contentType: string;
  /** To be read once. @throws PolarisError TRANSFER_BROKEN in the middle, when the rest does not come */
  readonly body: AsyncIterable<Uint8Array>;
  /** For a body that is not read to its end. */
  cancel(): Promise<void>;
}

export interface DatasetContent extends Content {
  readonly version: number;
  readonly rows: number;
}

export interface DownloadOptions {
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
}

/** What the headers say beside the bytes; null where they are none of ours. */
export type Heading<T> = (headers: Headers) => T | null;

/** Null when it has not changed (304). The body is still to come. */
export async function download<T extends object>(
  url: string,
  tryMs: number,
  { path, headers, signal }: DownloadOptions,
  heading: Heading<T>,
): Promise<Tried<(Content & T) | null>> {
  const silence = new Silence(signal);
  try {
    silence.await(tryMs);
    const response = await fetch(`${url}${path}`, { headers, signal: silence.signal, redirect: 'error' });
    if (response.status === 304) return { ok: true, value: null };
    if (!response.ok) return { ok: false, error: problemError(await response.text(), response.status, url) };
    const said = heading(response.headers);
    if (said === null || response.body === null) {
      throw new PolarisError('INTERNAL', `${url} answered with what it was not asked for; is it a Polaris node?`);
    }
    return { ok: true, value: { ...said, ...contentOf(response, response.body, silence, signal, url) } };
  } catch (thrown) {
    if (signal?.aborted === true) throw signal.reason;
    if (thrown instanceof PolarisError) throw thrown;
    return { ok: false, error: noAnswer(thrown, url, !silence.isOver) };
  } finally {
    silence.rest();
  }
}

export function datasetHeading(headers: Headers): Omit<DatasetContent, keyof Content> | null {
  const [, version] = /^"(\d+)"$/.exec(headers.get('etag') ?? '') ?? [];
  const rows = headers.get('polaris-rows');
  return version === undefined || rows === null ? null : { version: Number(version), rows: Number(rows) };
}

function contentOf(
  response: Response,
  body: ReadableStream<Uint8Array>,
  silence: Silence,
  signal: AbortSignal | undefined,
  url: string,
): Content {
  const chunks: AsyncIterator<Uint8Array> = body[Symbol.asyncIterator]();
  return {
    contentType: response.headers.get('content-type') ?? '',
    body: receive(chunks, silence, signal, url),
    cancel: async () => {
      await chunks.return?.();
    },
  };
}

/** The body of an answer, as it is asked for. @throws PolarisError TRANSFER_BROKEN when the rest does not come */
export async function* receive(
  chunks: AsyncIterator<Uint8Array>,
  silence: Silence,
  signal: AbortSignal | undefined,
  url: string,
): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  const next = async () => {
    silence.await(CONNECTION_SILENCE_MS);
    try {
      return await chunks.next();
    } catch (cause) {
      if (signal?.aborted === true) throw signal.reason;
      const why = silence.isOver ? 'nothing more came in time' : causeText(cause);
      throw new PolarisError('TRANSFER_BROKEN', `the data from ${url} broke off after ${bytes} bytes: ${why}`, {
        cause,
      });
    } finally {
      silence.rest();
    }
  };
  try {
    for (let chunk = await next(); chunk.done !== true; chunk = await next()) {
      bytes += chunk.value.length;
      yield chunk.value;
    }
  } finally {
    // A body that failed has nothing left to cancel.
    await chunks.return?.().catch(() => {});
  }
}
