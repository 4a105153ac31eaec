/**
 * Shapes of what comes in: the edge at which untrusted input becomes values of our own, or a PolarisError that names
 * the field. Nothing is coerced: "5" is no integer, and an unknown field is refused by name, since a misspelt one that
 * is ignored would run another job than was meant.
 *
 * Points are read as IEEE doubles, as JSON is: 9007199254740993 reaches us as …992, which is no safe integer and so is
 * refused. A fraction beyond a double's precision (5.00000000000000000001) cannot be told from 5.
 */
import { z } from 'zod';
import { type ErrorCode, PolarisError } from '../base/errors.ts';
import { ADDRESS_LENGTH_MAX, DATASET_NAME_LENGTH_MAX, NAME_LENGTH_MAX } from '../base/limits.ts';
import { isRunner, RUNNER_NAME } from '../base/runner-id.ts';
import type { JobId, Json, NodeId, Range } from '../base/types.ts';
import type { RosterMember } from '../daemon/roster.ts';
import { isDatasetName } from '../ranges/datasets.ts';

const forceSchema = z.strictObject({ force: z.enum(['true', 'false'], 'must be true or false').default('false') });

/** `?force=true`. @throws PolarisError BAD_REQUEST */
export function parseForce(query: unknown): boolean {
  return parse(forceSchema, query, 'the query').force === 'true';
}

export const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

export type JsonObject = { readonly [key: string]: Json };

/** A job as it is asked for; `options` are judged by `fillOptions`. */
export interface WantedJob {
  readonly name: string;
  /** Null where it is to be all rows of the input, or what the Master of its type plans. */
  readonly range: Range | null;
  /** Name of the dataset that it works through; null when it has none. */
  readonly input: string | null;
  /** What a Master planned; null where there is no plan, or none yet. */
  readonly planned: Planned | null;
  readonly metadata: JsonObject;
  readonly options: JsonObject;
}

/** What `POST /v1/jobs` asks for. */
export interface Submission extends WantedJob {
  readonly id: JobId | null;
}

export const jsonObject = z.custom<JsonObject>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  'must be a JSON object',
);

const wantedSchema = z.strictObject({
  name: z
    .string('must be the name of a job type')
    .min(1, 'must not be empty')
    .max(NAME_LENGTH_MAX, `may have ${NAME_LENGTH_MAX} characters`),
  start: z.unknown().optional(),
  end: z.unknown().optional(),
  metadata: jsonObject.optional(),
  options: jsonObject.optional(),
});
const POINT = z.number().refine(Number.isSafeInteger, 'must be an integer within ±(2^53-1)');
const plannedSchema = z.strictObject({
  input: z.strictObject({ name: z.string(), version: z.number() }).nullable(),
  start: POINT.nullable(),
  end: POINT.nullable(),
});
/** What a Master planned, on its way to the leader: rows of a version of a dataset, or a range of its own. */
export type Planned = z.infer<typeof plannedSchema>;

const submissionSchema = wantedSchema.extend({
  id: z.string('must be a UUIDv4').optional(),
  input: z
    .string('must be the name of a dataset')
    .refine(
      isDatasetName,
      `may have 1 to ${DATASET_NAME_LENGTH_MAX} of A-Z a-z 0-9 . _ -, beginning with a letter or a digit`,
    )
    .optional(),
  /** From one node to another: what the Master at the first one said. */
  planned: plannedSchema.optional(),
});

const CODE_OF_FIELD: { readonly [field: string]: ErrorCode } = {
  id: 'BAD_ID',
  metadata: 'BAD_METADATA',
  options: 'BAD_OPTION',
};

/** @throws PolarisError BAD_JSON, BAD_REQUEST, BAD_ID, BAD_RANGE, BAD_METADATA or BAD_OPTION */
export function parseSubmission(body: unknown): Submission {
  if (body === undefined) throw new PolarisError('BAD_JSON', 'the body is empty; send a JSON object');
  const { id, input = null, planned = null, start, end, ...rest } = parse(submissionSchema, body, 'the body');
  const { metadata = {}, options = {}, name } = rest;
  const range = start === undefined && end === undefined ? null : parseRange(start, end);
  return { id: id === undefined ? null : parseJobId(id), name, metadata, options, input, range, planned };
}

/** A job without an id; `what` names it in an error. @throws PolarisError as parseSubmission does */
export function parseWanted(value: unknown, what: string): WantedJob {
  return wantedJob(parse(wantedSchema, value, what));
}

function wantedJob({ name, start, end, metadata = {}, options = {} }: z.infer<typeof wantedSchema>): WantedJob {
  return { name, range: parseRange(start, end), input: null, planned: null, metadata, options };
}

/** A UUIDv4, lower case whatever the case it came in (RFC 9562 §4). @throws PolarisError BAD_ID */
export function parseJobId(text: string): JobId {
  const id = text.toLowerCase();
  if (!UUID_V4.test(id)) throw new PolarisError('BAD_ID', `id ${shown(text)} is not a UUIDv4`);
  return id;
}

const NODE_ID = z.string('must be a node id').regex(/^[A-Za-z0-9._-]{1,64}$/, 'may have 1 to 64 of A-Z a-z 0-9 . _ -');
const memberSchema = z.strictObject({
  id: NODE_ID,
  instanceId: z.string('must be a UUIDv4').regex(UUID_V4, 'must be a UUIDv4'),
  address: z
    .string('must be HOST:PORT')
    .max(ADDRESS_LENGTH_MAX, `may have ${ADDRESS_LENGTH_MAX} characters`)
    .regex(/^(\[[0-9A-Fa-f:.]+\]|[^\s:[\]/]+):\d{1,5}$/, 'must be HOST:PORT'),
  promote: z.boolean('must be true or false').default(true),
});

/** @throws PolarisError BAD_REQUEST */
export function parseMember(body: unknown): RosterMember {
  return parse(memberSchema, body, 'the body');
}

/** @throws PolarisError BAD_REQUEST */
export function parseTransfer(body: unknown): NodeId {
  return parse(z.strictObject({ to: NODE_ID }), body, 'the body').to;
}

/** A node, or a runner with its mark. @throws PolarisError BAD_REQUEST */
export function parseWorkerId(text: unknown): NodeId {
  if (typeof text === 'string' && isRunner(text) && RUNNER_NAME.test(text.slice(1))) return text;
  return parse(NODE_ID, text, 'the id');
}

/** @throws PolarisError BAD_REQUEST */
export function parseNodeId(text: unknown): NodeId {
  return parse(NODE_ID, text, 'the id');
}

const retrySchema = z.strictObject({
  range: z.tuple([z.unknown(), z.unknown()], 'must be [start, end]').optional(),
  uncertain: z.boolean('must be true or false').default(false),
});

export interface RetryRequest {
  /** Null for the whole job. */
  readonly range: Range | null;
  readonly uncertain: boolean;
}

/** No body asks for all that failed. @throws PolarisError BAD_REQUEST or BAD_RANGE */
export function parseRetry(body: unknown): RetryRequest {
  const { range, uncertain } = parse(retrySchema, body ?? {}, 'the body');
  return { range: range === undefined ? null : parseRange(range[0], range[1]), uncertain };
}

const emptySchema = z.strictObject({});

/** For requests that take neither a query nor a body. @throws PolarisError BAD_REQUEST */
export function expectNothing(value: unknown, what: 'the query' | 'the body'): void {
  if (value !== undefined) parse(emptySchema, value, what);
}

/** @throws PolarisError that names the field */
export function parse<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  if (issue === undefined) throw new PolarisError('BAD_REQUEST');
  if (issue.code === 'unrecognized_keys') {
    const names = issue.keys.slice(0, 5).map(shown).join(', ');
    throw new PolarisError('BAD_REQUEST', `${what} has what is not known here: ${names}`);
  }
  const field = String(issue.path[0] ?? '');
  if (field === '') throw new PolarisError('BAD_REQUEST', `${what} must be a JSON object`);
  const missing = typeof value === 'object' && value !== null && !Object.hasOwn(value, field);
  throw new PolarisError(CODE_OF_FIELD[field] ?? 'BAD_REQUEST', `${field} ${missing ? 'is missing' : issue.message}`);
}

function parseRange(start: unknown, end: unknown): Range {
  const range = { start: parsePoint(start, 'start'), end: parsePoint(end, 'end') };
  const refuse = (why: string): never => {
    throw new PolarisError('BAD_RANGE', `${why} (start ${range.start}, end ${range.end})`);
  };
  if (range.start === range.end) refuse('the range is empty: end is the first point that is not worked');
  if (range.start > range.end) refuse('start is beyond end');
  if (!Number.isSafeInteger(range.end - range.start)) refuse('the range has more than 2^53-1 points');
  return range;
}

function parsePoint(value: unknown, field: 'start' | 'end'): number {
  const refuse = (why: string): never => {
    throw new PolarisError('BAD_RANGE', `${field} ${why}`);
  };
  if (value === undefined) return refuse('is missing');
  if (typeof value !== 'number') return refuse(`must be a number, not ${shown(value)}`);
  if (!Number.isInteger(value)) return refuse(`must be an integer, not ${value}`);
  if (!Number.isSafeInteger(value)) return refuse('is beyond ±(2^53-1)');
  // Minus zero is zero: canonical JSON knows one of them.
  return value + 0;
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
