/**
 * Submit: from a request to a job in the table.
 *
 * The node that first gets the request settles everything that needs no cluster, and the id, so that a repeated forward
 * is the same submit. An Idempotency-Key *is* an id in other clothes (its hash, shaped as a UUIDv4), so no table of keys is
 * needed and a key lives exactly as long as its job.
 */
import { v4 } from 'uuid';
import { derivedId } from '../base/derived-id.ts';
import { PolarisError } from '../base/errors.ts';
import { IDEMPOTENCY_KEY_LENGTH_MAX } from '../base/limits.ts';
import type { JobId } from '../base/types.ts';
import type { JobSpec } from '../ranges/types.ts';
import { admitJob, type SoundJob, soundJob, wantedBody } from './admission.ts';
import type { HttpContext } from './route.ts';
import { type JsonObject, parseSubmission } from './schema.ts';
import { type SubmitOutcome, submitJob } from './settle.ts';

/** A submit that is sound in itself. */
export interface ReadySubmission {
  readonly id: JobId;
  readonly job: SoundJob;
  /** The same request with its id, to send on. */
  readonly body: JsonObject;
}

/** @throws PolarisError for everything that is wrong whatever the state of the cluster */
export function readSubmission(context: HttpContext, body: unknown, idempotencyKey: unknown): ReadySubmission {
  const submission = parseSubmission(body);
  const id = chooseId(context, submission.id, idempotencyKey);
  return { id, job: soundJob(submission), body: { id, ...wantedBody(submission) } };
}

/** The whole spec, on the leader. @throws PolarisError UNKNOWN_JOB_TYPE, BAD_METADATA, BAD_OPTION */
export async function admit(context: HttpContext, { id, job }: ReadySubmission): Promise<JobSpec> {
  return { id, ...(await admitJob(context, job, id)) };
}

/** On the leader. @throws PolarisError as `admit` does, SPEC_CONFLICT */
export async function carryOut(context: HttpContext, ready: ReadySubmission): Promise<SubmitOutcome> {
  try {
    return await submitJob(context.api, await admit(context, ready));
  } catch (thrown) {
    // The same words may have been planned twice at the same time: the plan that came first is the one that stands.
    const isPlanned = ready.job.planned !== null && thrown instanceof PolarisError && thrown.code === 'SPEC_CONFLICT';
    if (!isPlanned) throw thrown;
    return submitJob(context.api, await admit(context, ready));
  }
}

function chooseId(context: HttpContext, id: JobId | null, idempotencyKey: unknown): JobId {
  if (idempotencyKey === undefined) return id ?? v4({ random: context.prng.bytes(16) });
  if (typeof idempotencyKey !== 'string' || !/^[\x21-\x7e]+$/.test(idempotencyKey)) {
    throw new PolarisError('BAD_REQUEST', 'Idempotency-Key must be one printable ASCII word');
  }
  if (idempotencyKey.length > IDEMPOTENCY_KEY_LENGTH_MAX) {
    throw new PolarisError('BAD_REQUEST', `Idempotency-Key may have ${IDEMPOTENCY_KEY_LENGTH_MAX} characters`);
  }
  const derived = idOfKey(idempotencyKey);
  if (id === null || id === derived) return derived;
  throw new PolarisError('BAD_REQUEST', `the Idempotency-Key stands for the id ${derived}, but the body says ${id}`);
}

/** The job id that an Idempotency-Key stands for. */
export function idOfKey(key: string): JobId {
  return derivedId('polaris idempotency key', key);
}
