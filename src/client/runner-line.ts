/**
 * RunnerLine: one question of a runner, to one node after the other.
 *
 * Unlike a call of PolarisClient a question is not repeated here: what is true at its repetition (which leases are held,
 * how far they are) is another thing each time, and the moment of sending decides how long tasks may run.
 */
import { errorText, PolarisError } from '../base/errors.ts';
import { CLIENT_TRY_MS } from '../base/limits.ts';
import { MEDIA_TYPES } from '../base/media-types.ts';
import type { OutputTicket } from '../http/task-data.ts';
import type { RunnerJson } from '../http/tasks.ts';
import { baseUrl, causeText, parseAnswer, problemError, type Tried } from './answers.ts';
import { download } from './download.ts';
import { Upload } from './upload.ts';

export interface RunnerCall {
  readonly path: string;
  readonly body: object;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

export class RunnerLine {
  readonly #urls: readonly string[];
  /** The address that answered last. */
  #preferred = 0;

  constructor(urls: readonly string[]) {
    if (urls.length === 0) throw new PolarisError('USAGE', 'a runner needs at least one url');
    this.#urls = urls.map(baseUrl);
  }

  get size(): number {
    return this.#urls.length;
  }

  /** @throws PolarisError; after one that may be tried again, the next question goes to another node. */
  ask(call: RunnerCall): Promise<RunnerJson> {
    return this.#atOne(call.signal, (url) => this.#try(url, call));
  }

  /** Sends bytes to one node. @throws PolarisError as `ask` */
  send(path: string, source: () => AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<OutputTicket> {
    const headers = { 'content-type': MEDIA_TYPES.arrow };
    const upload = new Upload(source, { method: 'POST', path: `/v1/tasks/${path}`, headers, signal });
    return this.#atOne(signal, async (url) => gotten(await upload.send<OutputTicket>(url, CLIENT_TRY_MS)));
  }

  /** Bytes as they come from one node. @throws PolarisError as `ask`, and in the middle of the bytes */
  read(path: string, signal: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const wanted = { path: `/v1/tasks/${path}`, headers: { accept: MEDIA_TYPES.arrow }, signal };
    return this.#atOne(signal, async (url) => {
      const content = gotten(await download(url, CLIENT_TRY_MS, wanted, () => ({})));
      if (content === null) throw new PolarisError('INTERNAL', 'an input that was asked for is never unchanged');
      return content.body;
    });
  }

  async #atOne<T>(signal: AbortSignal | undefined, tryIt: (url: string) => Promise<T>): Promise<T> {
    const at = this.#preferred;
    try {
      return await tryIt(this.#urls[at] ?? '');
    } catch (thrown) {
      if (signal?.aborted === true) throw signal.reason;
      const error = thrown instanceof PolarisError ? thrown : new PolarisError('INTERNAL', errorText(thrown));
      // Of many questions that fail together, the first one moves on.
      if (error.row.retry && at === this.#preferred) this.#preferred = (at + 1) % this.#urls.length;
      throw error;
    }
  }

  async #try(url: string, { path, body, timeoutMs, signal }: RunnerCall): Promise<RunnerJson> {
    const timeout = AbortSignal.timeout(Math.ceil(timeoutMs));
    try {
      const response = await fetch(`${url}/v1/tasks/${path}`, {
        method: 'POST',
        signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
        redirect: 'error',
        body: JSON.stringify(body),
        headers: { 'content-type': 'application/json' },
      });
      const text = await response.text();
      if (response.ok) return parseAnswer(text, url) as RunnerJson;
      throw problemError(text, response.status, url);
    } catch (thrown) {
      if (thrown instanceof PolarisError) throw thrown;
      if (timeout.aborted) throw new PolarisError('TIMED_OUT', `no answer from ${url} in time`);
      throw new PolarisError('UNREACHABLE', `cannot reach ${url}: ${causeText(thrown)}`, { cause: thrown });
    }
  }
}

/** @throws PolarisError */
function gotten<T>(tried: Tried<T>): T {
  if (tried.ok) return tried.value;
  throw tried.error;
}
