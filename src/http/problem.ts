/**
 * Problem: every error leaves as application/problem+json (RFC 9457) made from the one error table.
 *
 * Callers match `code`; `retryable` says whether the same request may succeed later, unchanged. The code is also a
 * header, so that a forwarding node can judge an answer without reading its body.
 */
import type { FastifyError, FastifyReply } from 'fastify';
import { InvariantError } from '../base/assert.ts';
import { ERRORS, type ErrorCode, errorText, PolarisError } from '../base/errors.ts';
import { BODY_BYTES_MAX, RETRY_AFTER_SECONDS } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';

export const PROBLEM_TYPE = 'application/problem+json';
export const CODE_HEADER = 'polaris-code';

export interface Problem {
  /** A stable name of the kind of error. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: string;
  readonly retryable: boolean;
}

/** What ended a request of which a part was carried out: that stays so, and the answer says of each part what became of it. */
export class PartlyDone extends PolarisError {
  readonly results: readonly unknown[];

  constructor(cause: PolarisError, results: readonly unknown[]) {
    super(cause.code, cause.detail, { cause });
    this.results = results;
  }
}

export function problemOf(error: PolarisError): Problem {
  const row = ERRORS[error.code];
  return {
    type: `urn:polaris:error:${error.code}`,
    title: row.text,
    status: row.status,
    code: error.code,
    detail: error.detail,
    retryable: row.retry,
  };
}

export function sendProblem(reply: FastifyReply, error: PolarisError): FastifyReply {
  const problem = problemOf(error);
  if (problem.status === 503) reply.header('retry-after', RETRY_AFTER_SECONDS);
  const results = error instanceof PartlyDone ? { results: error.results } : {};
  const text = JSON.stringify({ ...problem, ...results });
  return reply.code(problem.status).header(CODE_HEADER, problem.code).type(PROBLEM_TYPE).send(text);
}

/** The row for anything that a handler or Fastify itself threw. */
export function toPolarisError(thrown: FastifyError | Error | unknown, log: Logger): PolarisError {
  if (thrown instanceof PolarisError) return thrown;
  const framework = frameworkError(thrown);
  if (framework !== null) return framework;
  // Whoever goes away in the middle of a request is no fault of ours, and must not fill the log.
  if (isBrokenOff(thrown)) return new PolarisError('BAD_REQUEST', 'the connection ended within the request');
  log.error({ error: errorText(thrown), stack: thrown instanceof Error ? thrown.stack : undefined }, 'http-fault');
  if (thrown instanceof InvariantError) {
    // A broken invariant ends the process (exit 70): it is thrown again where nobody catches it.
    setImmediate(() => {
      throw thrown;
    });
  }
  return new PolarisError('INTERNAL', undefined, { cause: thrown });
}

/** Node's word for a body whose sender has gone. */
function isBrokenOff(thrown: unknown): boolean {
  return thrown instanceof Error && (thrown as NodeJS.ErrnoException).code === 'ECONNRESET';
}

/** What Fastify refuses on its own, in our words; null for anything else. */
function frameworkError(thrown: unknown): PolarisError | null {
  const code = (thrown as { code?: unknown } | null)?.code;
  if (typeof code !== 'string' || !code.startsWith('FST_ERR_')) return null;
  const options = { cause: thrown };
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new PolarisError('BODY_TOO_LARGE', `the body may have ${BODY_BYTES_MAX} bytes`, options);
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new PolarisError('UNSUPPORTED_MEDIA_TYPE', 'the Content-Type is not application/json', options);
    case 'FST_ERR_BAD_URL':
      return new PolarisError('BAD_REQUEST', 'the path of the URL is not percent-encoded UTF-8', options);
    default: {
      const status = (thrown as { statusCode?: unknown }).statusCode;
      return typeof status === 'number' && status < 500
        ? new PolarisError('BAD_REQUEST', errorText(thrown), options)
        : null;
    }
  }
}
