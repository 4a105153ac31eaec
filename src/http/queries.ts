/**
 * What stands behind the question mark of a read: how new the answer must be, which piece of a list, in which form.
 */
import { z } from 'zod';
import { DATASET_NAME_LENGTH_MAX, PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX } from '../base/limits.ts';
import type { Consistency } from '../daemon/api.ts';
import type { JobState } from '../ranges/types.ts';
import { parse } from './schema.ts';

const STATES = ['pending', 'running', 'paused', 'done', 'failed', 'cancelled'] as const satisfies readonly JobState[];

/** The longest one is the name of a dataset. */
const CURSOR = new RegExp(`^[A-Za-z0-9._-]{1,${DATASET_NAME_LENGTH_MAX}}$`);
const pageSchema = z.strictObject({
  limit: z
    .string('may be given once')
    .regex(/^[1-9]\d{0,3}$/, `must be an integer from 1 to ${PAGE_ITEMS_MAX}`)
    .transform(Number)
    .refine((limit) => limit <= PAGE_ITEMS_MAX, `must be an integer from 1 to ${PAGE_ITEMS_MAX}`)
    .default(PAGE_ITEMS_DEFAULT),
  after: z.string('may be given once').regex(CURSOR, 'must be the "next" of the page before').optional(),
  consistency: z.enum(['linearizable', 'local'], 'must be linearizable or local').default('linearizable'),
});
const listSchema = pageSchema.extend({ state: z.enum(STATES, `must be one of ${STATES.join(', ')}`).optional() });

export interface PageQuery {
  readonly limit: number;
  /** The cursor that the page before gave. */
  readonly after?: string | undefined;
  readonly consistency: Consistency;
}

export interface ListQuery extends PageQuery {
  readonly state?: JobState | undefined;
}

/** @throws PolarisError BAD_REQUEST */
export function parsePageQuery(query: unknown): PageQuery {
  return parse(pageSchema, query, 'the query');
}

/** @throws PolarisError BAD_REQUEST */
export function parseListQuery(query: unknown): ListQuery {
  return parse(listSchema, query, 'the query');
}

const readSchema = pageSchema.pick({ consistency: true });
const failuresSchema = readSchema.extend({ format: z.enum(['json', 'csv'], 'must be json or csv').optional() });

/** @throws PolarisError BAD_REQUEST */
export function parseConsistency(query: unknown): Consistency {
  return parse(readSchema, query, 'the query').consistency;
}

export interface FailuresQuery {
  readonly consistency: Consistency;
  readonly format?: 'json' | 'csv' | undefined;
}

/** @throws PolarisError BAD_REQUEST */
export function parseFailuresQuery(query: unknown): FailuresQuery {
  return parse(failuresSchema, query, 'the query');
}
