/**
 * Shapes of what is said about datasets: names, versions as entity tags, how long one is kept, and a handle that stands for
 * the bytes themselves.
 */
import { z } from 'zod';
import { PolarisError } from '../base/errors.ts';
import { type Handle, isBlobHash, isSchemaHash } from '../base/handle.ts';
import { BLOB_BYTES_MAX, DATASET_NAME_LENGTH_MAX, DATASET_TTL_MS_MAX } from '../base/limits.ts';
import { MEDIA_TYPES } from '../base/media-types.ts';
import type { LogIndex } from '../base/types.ts';
import { type ExpectedVersion, isDatasetName } from '../ranges/datasets.ts';
import { parse } from './schema.ts';

const NAME = z
  .string('must be a text')
  .refine(
    isDatasetName,
    `may have 1 to ${DATASET_NAME_LENGTH_MAX} of A-Z a-z 0-9 . _ -, beginning with a letter or a digit`,
  );
const NATURAL = z.number('must be a number').int().min(0).max(Number.MAX_SAFE_INTEGER);

/** @throws PolarisError BAD_REQUEST */
export function parseName(text: unknown): string {
  return parse(NAME, text, 'the name of a dataset');
}

/** How it is kept. */
export interface Keeping {
  readonly ttlMs: number | null;
  readonly pinned: boolean;
}

const switchText = z.enum(['true', 'false'], 'must be true or false').transform((text) => text === 'true');
const keepingSchema = z.strictObject({
  ttlMs: z
    .string('may be given once')
    .regex(/^[1-9][0-9]{0,12}$/, `must be an integer from 1 to ${DATASET_TTL_MS_MAX}`)
    .transform(Number)
    .refine((ttlMs) => ttlMs <= DATASET_TTL_MS_MAX, `must be an integer from 1 to ${DATASET_TTL_MS_MAX}`)
    .optional(),
  pinned: switchText.optional(),
  types: z.string('may be given once').optional(),
});

export interface PutQuery extends Keeping {
  /** Types of columns for formats that carry none: `column:type,…`. */
  readonly types: string | null;
}

/** @throws PolarisError BAD_REQUEST */
export function parsePutQuery(query: unknown): PutQuery {
  const { ttlMs = null, pinned = false, types = null } = parse(keepingSchema, query, 'the query');
  return { ttlMs, pinned, types };
}

/** A version as an entity tag. */
export function etagOf(version: LogIndex): string {
  return `"${version}"`;
}

/** What If-Match and If-None-Match expect of the name. @throws PolarisError BAD_REQUEST */
export function parseExpected(headers: {
  readonly 'if-match'?: string | undefined;
  readonly 'if-none-match'?: string | undefined;
}): ExpectedVersion {
  const match = headers['if-match'];
  const noneMatch = headers['if-none-match'];
  if (noneMatch !== undefined) {
    if (noneMatch.trim() === '*' && match === undefined) return 0;
    throw new PolarisError('BAD_REQUEST', 'If-None-Match may be *, and stand without If-Match: only if there is none');
  }
  if (match === undefined) return null;
  const [, version] = /^"([1-9][0-9]{0,15})"$/.exec(match.trim()) ?? [];
  if (version !== undefined && Number.isSafeInteger(Number(version))) return Number(version);
  throw new PolarisError('BAD_REQUEST', `If-Match must be one ETag of the dataset, such as "17", not ${match}`);
}

/** A handle as JSON. */
export const handleSchema = z.strictObject({
  hash: z.string('must be a text').refine(isBlobHash, 'must be 64 lower-case hex digits'),
  bytes: NATURAL.max(BLOB_BYTES_MAX),
  rows: NATURAL,
  schema: z.string('must be a text').refine(isSchemaHash, 'must be 16 lower-case hex digits'),
});
const keptAs = {
  expected: NATURAL.nullable().default(null),
  ttlMs: NATURAL.min(1).max(DATASET_TTL_MS_MAX).nullable().default(null),
  pinned: z.boolean('must be true or false').default(false),
};
const commitSchema = z.strictObject({
  handle: handleSchema,
  stamp: NATURAL.nullable().default(null),
  ...keptAs,
});
const tableSchema = z.strictObject({
  name: NAME,
  bytes: NATURAL,
  contentType: z.string('must be a media type').default(MEDIA_TYPES.arrow),
  types: z.string('must be a text').nullable().default(null),
  ...keptAs,
});

/** A put of what is stored already: of another name, or by the node that took it in. */
export interface Naming extends Keeping {
  readonly handle: Handle;
  /** The smallest of the copies that count. */
  readonly stamp: LogIndex;
  readonly expected: ExpectedVersion;
}

/** As somebody says it; null: he is no node. */
export interface StatedNaming extends Omit<Naming, 'stamp'> {
  readonly stamp: LogIndex | null;
}

/** @throws PolarisError BAD_REQUEST */
export function parseNaming(body: unknown): StatedNaming {
  return parse(commitSchema, body, 'the body');
}

/** One of many tables of a body. */
export interface TableToPut extends PutQuery {
  readonly name: string;
  readonly contentType: string;
  readonly expected: ExpectedVersion;
}

/** @throws PolarisError BAD_REQUEST */
export function parseTableHead(head: unknown): TableToPut {
  const { bytes: _, ...table } = parse(tableSchema, head, 'the head');
  return table;
}

const pinSchema = z.strictObject({ pinned: z.boolean('must be true or false').default(true) });

/** No body pins. @throws PolarisError BAD_REQUEST */
export function parsePin(body: unknown): boolean {
  return parse(pinSchema, body ?? {}, 'the body').pinned;
}
