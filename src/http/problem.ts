/**
 * Problem: every error leaves as application/problem+json (RFC 9457) made from the one error table.
 *
 * Callers match `code`; `retryable` says whether the same request may succeed later, unchanged. The code is also a
 * header, so that a forwarding node can judge an answer without reading its body.
 */
import type { FastifyError, FastifyReply } from 'fastify';
import { InvariantError } from '../base/assert.ts';
import { ERRORS, type ErrorCode, errorText, PolarisError } from '../base/errors.ts';
import { RETRY_AFTER_SECONDS } from '../base/limits.ts';
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
  return reply.code(problem.status).header(CODE_HEADER, problem.code).type(PROBLEM_TYPE).send(JSON.stringify(problem));
}

/** The row for anything that a handler or Fastify itself threw. */
export function toPolarisError(thrown: FastifyError | Error | unknown, log: Logger): PolarisError {
  if (thrown instanceof PolarisError) return thrown;
  const framework = frameworkCode(thrown);
  if (framework !== null) return new PolarisError(framework, errorText(thrown), { cause: thrown });
  log.error({ error: errorText(thrown), stack: thrown instanceof Error ? thrown.stack : undefined }, 'http-fault');
  if (thrown instanceof InvariantError) {
    // A broken invariant ends the process (exit 70): it is thrown again where nobody catches it.
    setImmediate(() => {
      throw thrown;
    });
  }
  return new PolarisError('INTERNAL', undefined, { cause: thrown });
}

function frameworkCode(thrown: unknown): ErrorCode | null {
  const code = (thrown as { code?: unknown } | null)?.code;
  if (typeof code !== 'string' || !code.startsWith('FST_ERR_')) return null;
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return 'BODY_TOO_LARGE';
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return 'UNSUPPORTED_MEDIA_TYPE';
    default: {
      const status = (thrown as { statusCode?: unknown }).statusCode;
      return typeof status === 'number' && status < 500 ? 'BAD_REQUEST' : null;
    }
  }
}
