/**
 * Admission: whether a job may be submitted as it is asked for, now or by a schedule.
 *
 * Shape, range, options and size are judged by the node that is asked; the leader then judges what only it can: whether
 * the job type is known, whether that type takes the metadata, and whether it can keep the delivery that is wanted.
 */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { errorText, PolarisError } from '../base/errors.ts';
import { CANDIDATES_MAX, METADATA_BYTES_MAX } from '../base/limits.ts';
import { isRunner } from '../base/runner-id.ts';
import type { JobId } from '../base/types.ts';
import type { JobTypeInfo, JsonSchema } from '../daemon/env.ts';
import { fillOptions } from '../ranges/options.ts';
import { canonicalJson } from '../ranges/spec.ts';
import type { Delivery, JobSpec, Table } from '../ranges/types.ts';
import { inputBefore, resolveInput } from './job-input.ts';
import { type JobPoints, pointsOfPlan, refusePlanless } from './job-plan.ts';
import type { HttpContext } from './route.ts';
import type { JsonObject, WantedJob } from './schema.ts';
import { readTable } from './settle.ts';

const KEPT_BY_POLARIS: readonly Delivery[] = ['at-least-once', 'at-most-once'];

/** A job that is sound in itself: `spec` lacks its id and what the leader adds. */
export interface SoundJob extends Pick<WantedJob, 'range' | 'input' | 'planned' | 'metadata'> {
  readonly spec: Pick<JobSpec, 'name' | 'metadata' | 'options'>;
}

/** @throws PolarisError METADATA_TOO_LARGE, BAD_METADATA, BAD_OPTION */
export function soundJob({ name, range, input, planned, metadata, options }: WantedJob): SoundJob {
  const text = canonicalJson(metadata);
  const bytes = Buffer.byteLength(text);
  if (bytes > METADATA_BYTES_MAX) {
    throw new PolarisError(
      'METADATA_TOO_LARGE',
      `metadata has ${bytes} bytes as canonical JSON, and may have ${METADATA_BYTES_MAX}`,
    );
  }
  return { spec: { name, metadata: text, options: fillOptions(options) }, range, input, planned, metadata };
}

/** The same wish as a body, to send on. */
export function wantedBody({ name, range, input, planned, metadata, options }: WantedJob): JsonObject {
  const points = range === null ? {} : { start: range.start, end: range.end };
  return {
    name,
    ...points,
    ...(input === null ? {} : { input }),
    ...(planned === null ? {} : { planned }),
    metadata,
    options,
  };
}

/**
 * The spec without its id, on the leader. `id` names the job that may have it already, null where none can.
 *
 * @throws PolarisError UNKNOWN_JOB_TYPE, BAD_METADATA, BAD_OPTION, NOT_FOUND, BAD_RANGE or DATASET_CONFLICT for its input
 */
export async function admitJob(context: HttpContext, job: SoundJob, id: JobId | null): Promise<Omit<JobSpec, 'id'>> {
  const { spec, metadata } = job;
  const type = context.api.types.find((candidate) => candidate.name === spec.name);
  const known = await readTable(context.api, 'local', (table) => ({
    offered: table.everOffered(spec.name),
    byRunners: isOnlyOfRunners(table, spec.name),
    // The first submit settled it. A repeat on a leader that knows the type better or worse must stay the same spec.
    before: (id === null ? undefined : table.job(id))?.spec,
  }));
  if (type === undefined && !known.offered) {
    const here = context.api.types.slice(0, CANDIDATES_MAX).map((candidate) => candidate.name);
    const others = here.length === 0 ? '' : `; the leader itself has ${here.join(', ')}`;
    throw new PolarisError('UNKNOWN_JOB_TYPE', `no worker ever offered the job type "${spec.name}"${others}`);
  }
  if (type !== undefined) checkMetadata(type, metadata);
  checkDelivery(spec, metadata, type);
  checkMemory(spec, type);
  // Offers carry no exposure. Runners are held to the window; for others 'task' can only overstate what may run twice.
  const exposure = known.before?.exposure ?? type?.exposure ?? (known.byRunners ? 'window' : 'task');
  const overseen = known.before?.overseen ?? type?.overseen ?? false;
  const collects = known.before?.collects ?? (type?.collects ?? null) !== null;
  return { ...spec, ...(await pointsOf(context, job, known.before)), exposure, overseen, collects };
}

/** The same words mean what they meant at the first submit, though the dataset has moved on since. */
async function pointsOf(
  context: HttpContext,
  { spec: { name }, input, range, planned }: SoundJob,
  before: JobSpec | undefined,
): Promise<JobPoints> {
  if (input !== null) return inputBefore(before, input, range) ?? resolveInput(context, input, range);
  if (range !== null) return { ...range, input: null, inputName: null };
  // Who said neither takes what was planned for the job when it was new.
  if (before !== undefined) return pointsIn(before);
  return planned === null ? refusePlanless(name) : pointsOfPlan(context, planned);
}

function pointsIn({ start, end, input, inputName }: JobSpec): JobPoints {
  return { start, end, input, inputName };
}

/** Whether those that offer it now are runners, all of them. */
function isOnlyOfRunners(table: Table, name: string): boolean {
  const offering = [...table.workers()].filter(({ offers }) => offers.some((offer) => offer.name === name));
  return offering.length > 0 && offering.every(({ id }) => isRunner(id));
}

/** What a type can keep is known here or nowhere; the two that Polaris keeps by itself need no word of it. */
function checkDelivery(spec: SoundJob['spec'], metadata: JsonObject, type: JobTypeInfo | undefined): void {
  const { delivery } = spec.options;
  const kept = type?.deliveries ?? KEPT_BY_POLARIS;
  if (kept.includes(delivery)) return;
  const says = `the job type "${spec.name}"`;
  const condition = type?.deliveriesWhen?.[delivery];
  if (condition === undefined) {
    throw new PolarisError('BAD_OPTION', `${says} cannot keep ${delivery}; it keeps ${kept.join(', ')}`);
  }
  const complaint = complaintOf(condition, spec.name, metadata);
  if (complaint === null) return;
  const detail = `${says} keeps ${delivery} only for some metadata: ${complaint}; otherwise it keeps ${kept.join(', ')}`;
  throw new PolarisError('BAD_OPTION', detail);
}

/** A program is a process of its own, and we do not watch its memory. */
function checkMemory({ name, options: { memoryMb } }: SoundJob['spec'], type: JobTypeInfo | undefined): void {
  if (memoryMb === null || type?.exposure !== 'task') return;
  throw new PolarisError(
    'BAD_OPTION',
    `"${name}" runs a program, and memoryMb limits job threads; limit the program in its own command, as with ulimit -v`,
  );
}

const ajv = new Ajv2020({ strict: false, validateSchema: false, logger: false });
const validators = new WeakMap<object, ValidateFunction>();

/** @throws PolarisError BAD_METADATA where the job type refuses it */
export function checkMetadata({ name, metadataSchema }: JobTypeInfo, metadata: JsonObject): void {
  const complaint = metadataSchema === null ? null : complaintOf(metadataSchema, name, metadata);
  if (complaint !== null) throw new PolarisError('BAD_METADATA', `the job type "${name}" refuses it: ${complaint}`);
}

/** What is wrong with the metadata by a schema of the type; null when nothing is. */
function complaintOf(schema: JsonSchema, name: string, metadata: JsonObject): string | null {
  const validate = validators.get(schema) ?? compile(name, schema);
  validators.set(schema, validate);
  if (validate(metadata)) return null;
  const issue = validate.errors?.[0];
  const place = `metadata${(issue?.instancePath ?? '').replaceAll('/', '.')}`;
  const named = issue?.params['additionalProperty'] ?? issue?.params['unevaluatedProperty'];
  const which = typeof named === 'string' ? ` ("${named}")` : '';
  return `${place} ${issue?.message ?? 'does not fit its schema'}${which}`;
}

function compile(name: string, schema: JsonSchema): ValidateFunction {
  try {
    // The dialect is ours to choose: an author's $schema line may name one that is not loaded here.
    const { $schema: _dialect, ...rest } = schema;
    return ajv.compile(rest);
  } catch (cause) {
    throw new PolarisError('INTERNAL', `a metadata schema of "${name}" is broken: ${errorText(cause)}`, { cause });
  }
}
