/**
 * Upload: one body on its way to a node, as often as its source can be read.
 *
 * A chunk is taken from the source when the socket has room for it and not before, so that no more than one is held here.
 */
import { PolarisError } from '../base/errors.ts';
import { BLOB_PIECE_BYTES, CLIENT_COPY_BYTES_PER_MS, CONNECTION_SILENCE_MS } from '../base/limits.ts';
import { noAnswer, parseAnswer, problemError, type Tried } from './answers.ts';
import { Silence } from './silence.ts';

/** Bytes, or a function that reads them from their beginning. What can be read once only is sent once only. */
export type DataSource = Uint8Array | (() => AsyncIterable<Uint8Array>) | AsyncIterable<Uint8Array>;

export interface UploadOptions {
  /** PUT when left out. */
  readonly method?: 'PUT' | 'POST';
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal | undefined;
  /** What the answer may take beside a try and the copying. */
  readonly answerMs?: number;
  /** Bytes of this sending so far, with each chunk that goes out. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** What the source itself threw is the caller's own, and goes to him as it is. */
interface Failure {
  readonly thrown: unknown;
}

export class Upload {
  readonly #source: DataSource;
  readonly #options: UploadOptions;
  #isTaken = false;

  constructor(source: DataSource, options: UploadOptions) {
    this.#source = source;
    this.#options = options;
  }

  /** Sends it whole to one node and gives what that answers. @throws what the source throws */
  async send<T>(url: string, tryMs: number): Promise<Tried<T>> {
    const { method = 'PUT', path, headers, signal } = this.#options;
    const silence = new Silence(signal);
    const failed: { failure: Failure | null } = { failure: null };
    try {
      silence.await(tryMs);
      const response = await fetch(`${url}${path}`, {
        ...{ method, headers, signal: silence.signal, redirect: 'error', duplex: 'half' },
        body: this.#chunks(silence, tryMs, failed),
      });
      const text = await response.text();
      if (response.ok) return { ok: true, value: parseAnswer(text, url) as T };
      return this.#failed(problemError(text, response.status, url));
    } catch (thrown) {
      if (failed.failure !== null) throw failed.failure.thrown;
      if (signal?.aborted === true) throw signal.reason;
      if (thrown instanceof PolarisError) throw thrown;
      return this.#failed(noAnswer(thrown, url, !silence.isOver));
    } finally {
      silence.rest();
    }
  }

  #failed<T>(error: PolarisError): Tried<T> {
    if (this.#isRepeatable || !this.#isTaken || !error.row.retry) return { ok: false, error };
    const detail = `${error.detail} (not sent again: its source can be read once only)`;
    return { ok: false, final: true, error: new PolarisError(error.code, detail, { cause: error }) };
  }

  get #isRepeatable(): boolean {
    return this.#source instanceof Uint8Array || typeof this.#source === 'function';
  }

  async *#chunks(silence: Silence, tryMs: number, failed: { failure: Failure | null }): AsyncGenerator<Uint8Array> {
    const { answerMs = 0, onProgress } = this.#options;
    const chunks = this.#open();
    let bytes = 0;
    try {
      for (;;) {
        silence.rest();
        const { done, value } = await chunks.next().catch((thrown: unknown) => {
          failed.failure = { thrown };
          throw thrown;
        });
        // The last silence is the longest: all of it is made durable and copied before the answer.
        const workMs = answerMs + bytes / CLIENT_COPY_BYTES_PER_MS;
        silence.await(Math.max(tryMs, Math.min(tryMs + workMs, CONNECTION_SILENCE_MS)));
        if (done === true) return;
        bytes += value.length;
        onProgress?.(bytes);
        yield value;
      }
    } finally {
      await chunks.return?.();
    }
  }

  #open(): AsyncIterator<Uint8Array> {
    this.#isTaken = true;
    const source = this.#source;
    if (source instanceof Uint8Array) return pieces(source);
    return (typeof source === 'function' ? source() : source)[Symbol.asyncIterator]();
  }
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += BLOB_PIECE_BYTES) yield bytes.subarray(at, at + BLOB_PIECE_BYTES);
}
