/**
 * RunnerLine: one question of a runner, to one node after the other.
 *
 * Unlike a call of PolarisClient a question is not repeated here: what is true at its repetition (which leases are held,
 * how far they are) is another thing each time, and the moment of sending decides how long tasks may run.
 */
import { errorText, PolarisError } from '../base/errors.ts';
import type { RunnerJson } from '../http/tasks.ts';
import { baseUrl, causeText, parseAnswer, problemError } from './answers.ts';

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
  async ask(call: RunnerCall): Promise<RunnerJson> {
    const at = this.#preferred;
    try {
      return await this.#try(this.#urls[at] ?? '', call);
    } catch (thrown) {
      if (call.signal?.aborted === true) throw call.signal.reason;
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
