/**
 * What stands behind the question mark of a result: how new, which points, and whether to wait for the rest.
 */
import { z } from 'zod';
import { PolarisError } from '../base/errors.ts';
import type { Range } from '../base/types.ts';
import type { Consistency } from '../daemon/api.ts';
import { parse } from './schema.ts';

const consistency = z.enum(['linearizable', 'local'], 'must be linearizable or local').default('linearizable');
const range = z
  .string('may be given once')
  .regex(/^-?\d{1,16}:-?\d{1,16}$/, 'must be A:B, from A to before B')
  .optional();
const infoSchema = z.strictObject({ consistency, range });
const resultSchema = infoSchema.extend({
  // A bare `?follow` says it too.
  follow: z
    .enum(['true', 'false', ''], 'must be true or false')
    .default('false')
    .transform((text) => text !== 'false'),
});

export interface ResultInfoQuery {
  readonly consistency: Consistency;
  /** Null for all points. */
  readonly range: Range | null;
}

export interface ResultQuery extends ResultInfoQuery {
  /** Gives what is there, and then what comes, until the job is over. */
  readonly follow: boolean;
}

/** @throws PolarisError BAD_REQUEST, BAD_RANGE */
export function parseResultQuery(query: unknown): ResultQuery {
  const { range: text, ...rest } = parse(resultSchema, query, 'the query');
  return { ...rest, range: rangeOf(text) };
}

/** @throws PolarisError BAD_REQUEST, BAD_RANGE */
export function parseResultInfoQuery(query: unknown): ResultInfoQuery {
  const { range: text, ...rest } = parse(infoSchema, query, 'the query');
  return { ...rest, range: rangeOf(text) };
}

function rangeOf(text: string | undefined): Range | null {
  if (text === undefined) return null;
  const [start = Number.NaN, end = Number.NaN] = text.split(':').map(Number);
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start < end) return { start, end };
  throw new PolarisError('BAD_RANGE', `range ${text} must be A:B with A < B, both within ±(2^53-1)`);
}
