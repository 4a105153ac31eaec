/**
 * Hook: how a throttle hook is asked, and what its answer means. Pure; `throttles.ts` says when.
 *
 * A command that exits with 0 and a URL that answers with a status from 200 to 299 say go; so does a Prometheus query of
 * which no value is above the bound. Everything else says hold, and an answer that cannot be had or read does so too:
 * whoever asked for a throttle would rather wait than do harm.
 */
import { unreachable } from '../base/assert.ts';
import { THROTTLE_WORD_MAX } from '../base/limits.ts';
import type { JobId } from '../base/types.ts';
import type { Throttle } from '../ranges/types.ts';
import type { Probe, ProbeAnswer, ProbeDone } from './probe.ts';

/** Null says go; a text says why not. */
export type Hold = string | null;

const QUERY_PATH = '/api/v1/query';

export function askHook(probe: Probe, job: JobId, hook: Throttle, done: (hold: Hold) => void): void {
  const judged: ProbeDone = (answer) => done(holdOf(hook, answer));
  switch (hook.kind) {
    case 'command':
      return probe.run(hook.command, { POLARIS_JOB: job }, judged);
    case 'url':
      return probe.fetch({ method: 'GET', url: hook.url, headers: { 'polaris-job': job }, body: null }, judged);
    case 'prometheus':
      return probe.fetch({ method: 'GET', url: queryUrl(hook.url, hook.query), headers: {}, body: null }, judged);
    default:
      return unreachable(hook);
  }
}

export function holdOf(hook: Throttle, answer: ProbeAnswer): Hold {
  if (answer.kind === 'unreachable') return clip(`it cannot be asked: ${answer.why}`);
  const { status, text } = answer;
  switch (hook.kind) {
    case 'command':
      return status === 0 ? null : word(text, `the command exited with ${status}`);
    case 'url':
      return isSuccess(status) ? null : word(text, `it answered ${status}`);
    case 'prometheus':
      if (!isSuccess(status)) return word(text, `Prometheus answered ${status}`);
      return holdOfValues(valuesOf(text), hook.holdAbove);
    default:
      return unreachable(hook);
  }
}

/** The base address of Prometheus, or that of its query endpoint. */
function queryUrl(url: string, query: string): string {
  const base = url.replace(/\/+$/, '');
  const endpoint = base.endsWith(QUERY_PATH) ? base : base + QUERY_PATH;
  return `${endpoint}?query=${encodeURIComponent(query)}`;
}

function holdOfValues(values: readonly number[] | null, holdAbove: number): Hold {
  if (values === null) return 'Prometheus gave neither a vector nor a scalar';
  if (values.length === 0) return 'the query has no value';
  const worst = values.reduce((left, right) => (Number.isNaN(left) || left > right ? left : right));
  if (Number.isNaN(worst)) return 'the query has no value: NaN';
  return worst > holdAbove ? `${worst} is above ${holdAbove}` : null;
}

/** The numbers of an answer of Prometheus; null when it is none that has any. */
function valuesOf(text: string): readonly number[] | null {
  const { status, data } = objectOf(parsed(text));
  const { resultType, result } = objectOf(data);
  if (status !== 'success' || !Array.isArray(result)) return null;
  if (resultType === 'scalar') return [numberOf(result)];
  if (resultType !== 'vector') return null;
  return result.map((sample) => numberOf(objectOf(sample)['value']));
}

/** Of a sample `[time, "value"]`; NaN when it has none. */
function numberOf(sample: unknown): number {
  const value: unknown = Array.isArray(sample) ? sample[1] : undefined;
  if (value === '+Inf') return Number.POSITIVE_INFINITY;
  if (value === '-Inf') return Number.NEGATIVE_INFINITY;
  return typeof value === 'string' && value !== '' ? Number(value) : Number.NaN;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function objectOf(value: unknown): { readonly [key: string]: unknown } {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

function isSuccess(status: number): boolean {
  return status >= 200 && status <= 299;
}

/** What happened, and the first line of what was said about it. */
function word(text: string, what: string): string {
  const line = text.split('\n').find((one) => one.trim() !== '');
  return clip(line === undefined ? what : `${what}: ${line.trim()}`);
}

function clip(text: string): string {
  return text.length <= THROTTLE_WORD_MAX ? text : `${text.slice(0, THROTTLE_WORD_MAX - 1)}…`;
}
