/**
 * Answers: what a node said, or why none did, as a value or a PolarisError.
 */
import { ERRORS, type ErrorCode, errorText, PolarisError } from '../base/errors.ts';

/** How one try at one node went. */
export type Tried<T> =
  | { readonly ok: true; readonly value: T }
  /** `final`: there can be no other try, whatever the code says. */
  | { readonly ok: false; readonly error: PolarisError; readonly final?: boolean };

export function baseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new PolarisError('USAGE', `"${text}" is no address of a node; it must look like http://HOST:PORT`);
  }
  return url.href.replace(/\/+$/, '');
}

export function parseAnswer(text: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new PolarisError('INTERNAL', `${url} answered with what is no JSON; is it a Polaris node?`, { cause });
  }
}

/** The server's own code; one that this version does not know becomes INTERNAL, with the text kept. */
export function problemError(text: string, status: number, url: string): PolarisError {
  return errorIn(parseAnswer(text, url), status, url);
}

/** Of a problem, or what should be one. */
export function errorIn(said: unknown, status: number, url: string): PolarisError {
  const problem = said as { readonly code?: unknown; readonly detail?: unknown } | null;
  const detail = typeof problem?.detail === 'string' ? problem.detail : `${url} answered ${status}`;
  const code = problem?.code;
  if (typeof code === 'string' && Object.hasOwn(ERRORS, code)) return new PolarisError(code as ErrorCode, detail);
  return new PolarisError('INTERNAL', `${detail} (${String(code ?? status)})`);
}

/** What a call becomes that brought no answer. */
export function noAnswer(thrown: unknown, url: string, inTime: boolean): PolarisError {
  if (!inTime) return new PolarisError('TIMED_OUT', `no answer from ${url} in time`);
  return new PolarisError('UNREACHABLE', `cannot reach ${url}: ${causeText(thrown)}`, { cause: thrown });
}

/** fetch says only "fetch failed"; its cause says why. */
export function causeText(thrown: unknown): string {
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  const code = (cause as { code?: unknown } | undefined)?.code;
  return typeof code === 'string' ? code : errorText(cause ?? thrown);
}
