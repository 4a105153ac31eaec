/**
 * Submit: from a request to a job in the table.
 *
 * The node that first gets the request settles everything that needs no cluster: shape, range, options, size, and the
 * id, so that a repeated forward is the same submit. The leader then judges what only it can: whether the job type is
 * known, and whether that type takes the metadata. An Idempotency-Key *is* an id in other clothes (its hash, shaped as
 * a UUIDv4), so no table of keys is needed and a key lives exactly as long as its job.
 */
import { createHash } from 'node:crypto';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { v4 } from 'uuid';
import { errorText, PolarisError } from '../base/errors.ts';
import { CANDIDATES_MAX, IDEMPOTENCY_KEY_LENGTH_MAX, METADATA_BYTES_MAX } from '../base/limits.ts';
import type { JobId, Json } from '../base/types.ts';
import type { JobTypeInfo } from '../daemon/env.ts';
import { fillOptions } from '../ranges/options.ts';
import { canonicalJson } from '../ranges/spec.ts';
import type { Delivery, JobSpec } from '../ranges/types.ts';
import type { HttpContext } from './route.ts';
import { parseSubmission, type Submission } from './schema.ts';
import { readTable } from './settle.ts';

const KEPT_BY_POLARIS: readonly Delivery[] = ['at-least-once', 'at-most-once'];

/** A submit that is sound in itself: `spec` lacks only what the leader adds. */
export interface ReadySubmission {
  readonly spec: Omit<JobSpec, 'exposure'>;
  readonly metadata: Submission['metadata'];
  /** The same request with its id, to send on. */
  readonly body: Json;
}

/** @throws PolarisError for everything that is wrong whatever the state of the cluster */
export function readSubmission(context: HttpContext, body: unknown, idempotencyKey: unknown): ReadySubmission {
  const submission = parseSubmission(body);
  const id = chooseId(context, submission.id, idempotencyKey);
  const { name, range, metadata, options } = submission;
  const text = canonicalJson(metadata);
  const bytes = Buffer.byteLength(text);
  if (bytes > METADATA_BYTES_MAX) {
    throw new PolarisError(
      'METADATA_TOO_LARGE',
      `metadata has ${bytes} bytes as canonical JSON, and may have ${METADATA_BYTES_MAX}`,
    );
  }
  return {
    spec: { id, name, start: range.start, end: range.end, metadata: text, options: fillOptions(options) },
    metadata,
    body: { id, name, start: range.start, end: range.end, metadata, options },
  };
}

/** The whole spec, on the leader. @throws PolarisError UNKNOWN_JOB_TYPE, BAD_METADATA, BAD_OPTION */
export async function admit(context: HttpContext, submission: ReadySubmission): Promise<JobSpec> {
  const { spec, metadata } = submission;
  const type = context.api.types.find((candidate) => candidate.name === spec.name);
  const known = await readTable(context.api, 'local', (table) => ({
    offered: table.everOffered(spec.name),
    // The first submit settled it. A repeat on a leader that knows the type better or worse must stay the same spec.
    exposure: table.job(spec.id)?.spec.exposure ?? null,
  }));
  if (type === undefined && !known.offered) {
    const here = context.api.types.slice(0, CANDIDATES_MAX).map((candidate) => candidate.name);
    const others = here.length === 0 ? '' : `; the leader itself has ${here.join(', ')}`;
    throw new PolarisError('UNKNOWN_JOB_TYPE', `no worker ever offered the job type "${spec.name}"${others}`);
  }
  const refusal = type === undefined ? null : metadataRefusal(type, metadata);
  if (refusal !== null) throw new PolarisError('BAD_METADATA', refusal);
  const { delivery } = spec.options;
  // What a type can keep is known here or nowhere; the two that Polaris keeps by itself need no word of it.
  const kept = type?.deliveries ?? KEPT_BY_POLARIS;
  if (!kept.includes(delivery)) {
    throw new PolarisError(
      'BAD_OPTION',
      `the job type "${spec.name}" cannot keep ${delivery}; it keeps ${kept.join(', ')}`,
    );
  }
  // Offers carry no exposure; 'task' can only overstate what may have run twice.
  return { ...spec, exposure: known.exposure ?? type?.exposure ?? 'task' };
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
  const random = createHash('sha256').update('polaris idempotency key\0').update(key).digest().subarray(0, 16);
  return v4({ random });
}

const ajv = new Ajv2020({ strict: false, validateSchema: false, logger: false });
const validators = new WeakMap<object, ValidateFunction>();

/** Why the job type refuses the metadata, as a sentence; null when it takes it. */
function metadataRefusal(type: JobTypeInfo, metadata: Submission['metadata']): string | null {
  if (type.metadataSchema === null) return null;
  const validate = validators.get(type.metadataSchema) ?? compile(type.name, type.metadataSchema);
  validators.set(type.metadataSchema, validate);
  if (validate(metadata)) return null;
  const issue = validate.errors?.[0];
  const place = `metadata${(issue?.instancePath ?? '').replaceAll('/', '.')}`;
  const named = issue?.params['additionalProperty'] ?? issue?.params['unevaluatedProperty'];
  const which = typeof named === 'string' ? ` ("${named}")` : '';
  return `the job type "${type.name}" refuses it: ${place} ${issue?.message ?? 'does not fit its schema'}${which}`;
}

function compile(name: string, schema: Readonly<Record<string, unknown>>): ValidateFunction {
  try {
    // The dialect is ours to choose: an author's $schema line may name one that is not loaded here.
    const { $schema: _dialect, ...rest } = schema;
    return ajv.compile(rest);
  } catch (cause) {
    throw new PolarisError('INTERNAL', `the metadata schema of "${name}" is broken: ${errorText(cause)}`, { cause });
  }
}
