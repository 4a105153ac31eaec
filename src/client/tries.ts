/**
 * Tries: the patience that a cluster asks for. A call is given to one node after the other, the one that answered last
 * first, until it is answered for good or its time is up.
 *
 * Invariant: only what the table of errors calls retryable is tried again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, PolarisError } from '../base/errors.ts';
import { CLIENT_RETRY_MS_MAX, CLIENT_RETRY_MS_MIN, CLIENT_TRY_MS, CLIENT_UNREACHABLE_MS } from '../base/limits.ts';
import { baseUrl, type Tried } from './answers.ts';

/** Whether a try may have had its effect though it brought no answer. */
export interface Unsure {
  outcome: boolean;
}

export interface TryOptions {
  /** For all tries together. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Goes on for its whole time even while no node can be reached: for waits, which outlive a restart. */
  readonly patient?: boolean | undefined;
  /** One try may take all of the time: its answer is long. */
  readonly isLong?: boolean | undefined;
  /** Tries that are made though the time is up: one alone may take hours. */
  readonly triesMin?: number | undefined;
  /** Retryable ones that the caller has an answer of its own for. */
  readonly finals?: readonly ErrorCode[] | undefined;
  readonly unsure?: Unsure | undefined;
}

/** After these, what was asked for may have been done. */
const UNSURE: readonly ErrorCode[] = ['OUTCOME_UNKNOWN', 'UNREACHABLE', 'TIMED_OUT'];

export class Tries {
  readonly urls: readonly string[];
  readonly #timeoutMs: number;
  /** The address that answered last comes first. */
  #preferred = 0;

  constructor(urls: readonly string[], timeoutMs: number) {
    if (urls.length === 0) throw new PolarisError('USAGE', 'a client needs at least one url');
    this.urls = urls.map(baseUrl);
    this.#timeoutMs = timeoutMs;
  }

  /** @param tryOnce asks the node at `url` and gives up after `tryMs`. @throws PolarisError of the last try */
  async run<T>(options: TryOptions, tryOnce: (url: string, tryMs: number) => Promise<Tried<T>>): Promise<T> {
    const { urls } = this;
    const { signal, triesMin = 0, finals = [], unsure } = options;
    const giveUpAt = performance.now() + (options.timeoutMs ?? this.#timeoutMs);
    const unreachableAt =
      options.patient === true ? giveUpAt : Math.min(giveUpAt, performance.now() + CLIENT_UNREACHABLE_MS);
    let reached = false;
    let pauseMs = CLIENT_RETRY_MS_MIN;
    for (let tries = 1; ; tries++) {
      const leftMs = Math.max(giveUpAt - performance.now(), tries <= triesMin ? CLIENT_TRY_MS : 1);
      const tryMs = urls.length > 1 && options.isLong !== true ? Math.min(leftMs, CLIENT_TRY_MS) : leftMs;
      const result = await tryOnce(urls[this.#preferred] ?? '', tryMs);
      if (result.ok) return result.value;
      const { error, final = false } = result;
      if (unsure !== undefined && UNSURE.includes(error.code)) unsure.outcome = true;
      this.#preferred = (this.#preferred + 1) % urls.length;
      const roundDone = tries % urls.length === 0;
      const waitMs = roundDone ? pauseMs * (0.5 + Math.random() / 2) : 0;
      if (error.code !== 'UNREACHABLE') reached = true;
      const isLate = tries >= triesMin && performance.now() + waitMs >= (reached ? giveUpAt : unreachableAt);
      if (final || !error.row.retry || finals.includes(error.code) || isLate) throw error;
      await sleep(waitMs, undefined, signal === undefined ? {} : { signal });
      if (roundDone) pauseMs = Math.min(pauseMs * 2, CLIENT_RETRY_MS_MAX);
    }
  }
}
