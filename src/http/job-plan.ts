/**
 * The plan of a job: what it works on where whoever submitted it left that to the Master of its type.
 *
 * The node that is asked has the Master say it, if it has the type; else the leader does. The plan goes to the leader as
 * words about names and versions, never as bytes to be believed: a dataset that was put anew meanwhile is refused, since
 * the rows that were counted are no more those of its name. A job that is there already is what it was planned to be at first.
 *
 * Invariant: the rows that a plan counted are the rows that its job gets.
 */
import type { FastifyRequest } from 'fastify';
import { PolarisError } from '../base/errors.ts';
import type { Range } from '../base/types.ts';
import type { JobSpec } from '../ranges/types.ts';
import { checkMetadata } from './admission.ts';
import type { DatasetJson } from './datasets.ts';
import { atLeader } from './forward.ts';
import { rangeWithin } from './job-input.ts';
import type { HttpContext } from './route.ts';
import type { Planned } from './schema.ts';
import { readTable } from './settle.ts';
import type { ReadySubmission } from './submit.ts';

export type JobPoints = Pick<JobSpec, 'start' | 'end' | 'input' | 'inputName'>;

/**
 * The submission with its plan, if it wants one and this node can have it made; else as it is.
 *
 * @throws PolarisError BAD_METADATA, BAD_PLAN, OVERLOADED, NOT_FOUND for a dataset, NO_LEADER
 */
export async function withPlan(
  context: HttpContext,
  request: FastifyRequest,
  submission: ReadySubmission,
): Promise<ReadySubmission> {
  const { id, job, body } = submission;
  const { planner } = context;
  const { name, metadata, options } = job.spec;
  const type = context.api.types.find((candidate) => candidate.name === name);
  const isWanted = job.range === null && job.input === null && job.planned === null;
  if (!isWanted || planner === undefined || type?.plans !== true || (await isThere(context, id))) return submission;
  checkMetadata(type, job.metadata);
  const versions = new Map<string, number>();
  const rows = async (dataset: string): Promise<number> => {
    const { version, handle } = await lookUp(context, request, dataset);
    versions.set(dataset, version);
    return handle.rows;
  };
  const { input, start, end } = await planner.plan({ job: id, name, metadata, memoryMb: options.memoryMb, rows });
  if (input !== null && !versions.has(input)) await rows(input);
  const version = input === null ? undefined : versions.get(input);
  const planned = { input: input === null || version === undefined ? null : { name: input, version }, start, end };
  return { id, job: { ...job, planned }, body: { ...body, planned } };
}

/** On the leader. @throws PolarisError NOT_FOUND, BAD_RANGE, BAD_PLAN, DATASET_CONFLICT */
export async function pointsOfPlan(
  context: Pick<HttpContext, 'api'>,
  { input, start, end }: Planned,
): Promise<JobPoints> {
  if (input === null) return { ...rangeOf(start, end), input: null, inputName: null };
  const { name, version } = input;
  const dataset = await readTable(context.api, 'linearizable', (table) => table.dataset(name));
  if (dataset === undefined) throw new PolarisError('NOT_FOUND', `there is no dataset "${name}"`);
  if (dataset.version !== version) {
    throw new PolarisError(
      'DATASET_CONFLICT',
      `dataset "${name}" was put anew while the job was planned; submit again`,
    );
  }
  const { handle } = dataset;
  const wanted = start === null && end === null ? null : rangeOf(start ?? 0, end ?? handle.rows);
  return { input: handle, inputName: name, ...rangeWithin(handle.rows, name, wanted) };
}

/** Of a job that neither said nor has a plan. */
export function refusePlanless(name: string): never {
  const detail = `start and end are missing, and no Master of "${name}" that could plan them is at hand: say them, or an input`;
  throw new PolarisError('BAD_RANGE', detail);
}

function rangeOf(start: number | null, end: number | null): Range {
  if (start === null || end === null || start >= end || !Number.isSafeInteger(end - start)) {
    throw new PolarisError('BAD_PLAN', `it planned the points from ${start} to ${end}, which are none or too many`);
  }
  return { start, end };
}

/** As far as this node knows; whether it is, the leader says. */
async function isThere(context: Pick<HttpContext, 'api'>, id: string): Promise<boolean> {
  return readTable(context.api, 'local', (table) => table.job(id) !== undefined).catch(() => false);
}

/** As it stands now. */
async function lookUp(context: HttpContext, request: FastifyRequest, name: string): Promise<DatasetLook> {
  const path = `/v1/datasets/${encodeURIComponent(name)}/info`;
  return atLeader<DatasetLook>(context, { request, method: 'GET', path, write: false }, async () => {
    const dataset = await readTable(context.api, 'linearizable', (table) => table.dataset(name));
    if (dataset !== undefined) return dataset;
    throw new PolarisError('NOT_FOUND', `there is no dataset "${name}"`);
  });
}

type DatasetLook = Pick<DatasetJson, 'version' | 'handle'>;
