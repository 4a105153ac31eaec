/**
 * Shapes of what runners send: who speaks, for which session, and about which task. As everywhere nothing is coerced and
 * nothing unknown is passed over; whether a session or an epoch lives is the leader's to say.
 */
import { z } from 'zod';
import { unreachable } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import {
  CLAIM_WAIT_MS_MAX,
  HASH_LENGTH_MAX,
  NAME_LENGTH_MAX,
  OFFERS_MAX,
  OUTPUTS_PER_REPORT_MAX,
  SLOTS_MAX,
} from '../base/limits.ts';
import { RUNNER_NAME, runnerId } from '../base/runner-id.ts';
import type { Epoch, Point, Range } from '../base/types.ts';
import type { RunnerClaim, RunnerJoin, RunnerReport } from '../daemon/runner-api.ts';
import { handleSchema } from './dataset-schema.ts';
import { parse, UUID_V4 } from './schema.ts';

/** What can be said of one task. */
export type TaskWord = 'progress' | 'complete' | 'release' | 'fail';

const point = z
  .number('must be an integer')
  .refine((value) => Number.isSafeInteger(value), 'must be an integer within ±(2^53-1)')
  // Minus zero is zero: the log knows one of them.
  .transform((value) => value + 0);
const index = z
  .number('must be an integer')
  .refine((value) => Number.isSafeInteger(value) && value > 0, 'must be a positive integer');
const speaker = {
  worker: z
    .string('must be the name of the runner')
    .regex(RUNNER_NAME, 'may have 1 to 63 of A-Z a-z 0-9 . _ -, without the @')
    .transform(runnerId),
  instance: z.string('must be a UUIDv4').regex(UUID_V4, 'must be a UUIDv4, in lower case, drawn anew by each process'),
};
const epochs = z.array(index, 'must be a list of epochs').max(SLOTS_MAX, `may have ${SLOTS_MAX} epochs`);
const living = { ...speaker, session: index, draining: z.boolean('must be true or false').default(false) };

const joinSchema = z.strictObject({
  ...speaker,
  replaces: index.optional(),
  slots: z
    .number('must be an integer')
    .refine((value) => Number.isInteger(value) && value >= 1 && value <= SLOTS_MAX, `must be from 1 to ${SLOTS_MAX}`)
    .default(1),
  offers: z
    .array(
      z.strictObject({
        name: z.string().min(1).max(NAME_LENGTH_MAX),
        hash: z.string().max(HASH_LENGTH_MAX).default(''),
      }),
      'must be a list such as [{"name": "thumbnails"}]; without a session a claim begins one, and says what it can do',
    )
    .min(1, 'must name a job type')
    .max(OFFERS_MAX, `may have ${OFFERS_MAX} job types`),
});

const claimSchema = z.strictObject({
  ...living,
  epochs: epochs.default([]),
  max: z
    .number('must be an integer')
    .refine((value) => Number.isInteger(value) && value >= 0 && value <= SLOTS_MAX, `must be from 0 to ${SLOTS_MAX}`)
    .default(SLOTS_MAX),
  waitMs: z
    .number('must be a number')
    .refine((value) => value >= 0 && value <= CLAIM_WAIT_MS_MAX, `must be from 0 to ${CLAIM_WAIT_MS_MAX}`)
    .default(0),
});

const natural = z.number('must be a number').int().min(0).max(Number.MAX_SAFE_INTEGER);
/** A ticket, as POST …/output was answered with it. */
const ticket = z
  .strictObject({
    start: point,
    end: point,
    handle: handleSchema,
    stamp: natural,
  })
  .refine(({ start, end }) => start < end, 'must each have a start before its end');
const outputs = z
  .array(ticket, 'must be a list of what POST …/output was answered with')
  .max(OUTPUTS_PER_REPORT_MAX, `may have ${OUTPUTS_PER_REPORT_MAX} outputs; report more often`)
  .default([]);

const aboutTask = { ...living, epochs: epochs.optional(), cursor: point, outputs };
const completeSchema = z.strictObject(aboutTask);
const progressSchema = z.strictObject({ ...aboutTask, claimed: point.optional(), keep: point.optional() });
const releaseSchema = z.strictObject({ ...aboutTask, begun: point.optional() });
const failSchema = z.strictObject({
  ...aboutTask,
  begun: point.optional(),
  error: z.string('must be the text of the error').min(1, 'must say what went wrong'),
});

/** @throws PolarisError BAD_REQUEST that names the field */
export function parseClaim(body: unknown): RunnerJoin | RunnerClaim {
  if (typeof body === 'object' && body !== null && Object.hasOwn(body, 'session')) {
    const { instance: instanceId, max: tasksMax, ...rest } = parse(claimSchema, body, 'the body');
    return { kind: 'claim', instanceId, tasksMax, ...rest };
  }
  const { instance: instanceId, replaces = null, ...rest } = parse(joinSchema, body, 'the body');
  return { kind: 'join', instanceId, replaces, ...rest };
}

/** @throws PolarisError BAD_REQUEST that names the field */
export function parseReport(word: TaskWord, path: unknown, body: unknown): RunnerReport {
  const epoch = parseEpoch(path);
  switch (word) {
    case 'progress': {
      const { claimed = null, keep = null, ...rest } = parse(progressSchema, body, 'the body');
      return { ...reportOf(epoch, rest), claimed, keep };
    }
    case 'complete': {
      const rest = parse(completeSchema, body, 'the body');
      return { ...reportOf(epoch, rest), ending: word, begun: rest.cursor };
    }
    case 'release': {
      const { begun = null, ...rest } = parse(releaseSchema, body, 'the body');
      return { ...reportOf(epoch, rest), ending: word, begun };
    }
    case 'fail': {
      const { begun = null, error, ...rest } = parse(failSchema, body, 'the body');
      return { ...reportOf(epoch, rest), ending: word, begun, error };
    }
    default:
      return unreachable(word);
  }
}

const pointText = z
  .string('may be given once')
  .regex(/^-?\d{1,16}$/, 'must be an integer')
  .transform((text) => Number(text) + 0)
  .refine((value) => Number.isSafeInteger(value), 'must be an integer within ±(2^53-1)');
const inputQuery = z.strictObject({ from: pointText.optional(), to: pointText.optional() });
const outputQuery = z.strictObject({
  start: pointText,
  end: pointText,
  types: z.string('may be given once').optional(),
});

export interface InputQuery {
  /** Null: the cursor. */
  readonly from: Point | null;
  /** Null: the end of the task. */
  readonly to: Point | null;
}

/** @throws PolarisError BAD_REQUEST */
export function parseInputQuery(query: unknown): InputQuery {
  const { from = null, to = null } = parse(inputQuery, query, 'the query');
  return { from, to };
}

export interface OutputQuery extends Range {
  /** Types of columns for formats that carry none: `column:type,…`. */
  readonly types: string | null;
}

/** @throws PolarisError BAD_REQUEST, BAD_RANGE */
export function parseOutputQuery(query: unknown): OutputQuery {
  const { start, end, types = null } = parse(outputQuery, query, 'the query');
  if (start < end) return { start, end, types };
  throw new PolarisError('BAD_RANGE', `an output is of points from start to before end, not [${start}, ${end})`);
}

/** One that says no more than how far the task is. */
function reportOf(epoch: Epoch, fields: z.infer<typeof completeSchema>): RunnerReport {
  const { instance: instanceId, epochs: held = null, ...rest } = fields;
  const unsaid = { begun: null, claimed: null, ending: null, error: '', keep: null };
  return { kind: 'report', epoch, instanceId, epochs: held, ...rest, ...unsaid };
}

/** Of a path. @throws PolarisError BAD_REQUEST */
export function parseEpoch(text: unknown): Epoch {
  const epoch = typeof text === 'string' && /^[1-9]\d{0,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(epoch)) return epoch;
  throw new PolarisError('BAD_REQUEST', 'the path must have the epoch of a task, as its claim was answered');
}
