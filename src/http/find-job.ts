/**
 * Finding a job by the id in a path, which may be shortened as long as it fits one job only.
 */
import { PolarisError } from '../base/errors.ts';
import { CANDIDATES_MAX } from '../base/limits.ts';
import type { JobId } from '../base/types.ts';
import type { JobView, Table } from '../ranges/types.ts';
import { UUID_V4 } from './schema.ts';

/** Whether it is the whole id of a job that may exist: anything else must not reach the log. */
export function isFullId(id: string): boolean {
  return UUID_V4.test(id.toLowerCase());
}

/** @throws PolarisError JOB_NOT_FOUND, AMBIGUOUS_ID */
export function findJob(table: Table, given: string): JobView {
  const id = given.toLowerCase();
  const exact = table.job(id);
  if (exact !== undefined) return exact;
  const candidates = /^[0-9a-f-]{1,35}$/.test(id) ? table.jobIdsWith(id, CANDIDATES_MAX + 1) : [];
  if (candidates.length > 1) throw ambiguous(id, candidates);
  const only = candidates[0] === undefined ? undefined : table.job(candidates[0]);
  if (only === undefined) throw new PolarisError('JOB_NOT_FOUND', `there is no job "${given.slice(0, 64)}"`);
  return only;
}

function ambiguous(id: string, candidates: readonly JobId[]): PolarisError {
  const named = candidates.slice(0, CANDIDATES_MAX).join(', ');
  const more = candidates.length > CANDIDATES_MAX ? ', …' : '';
  return new PolarisError('AMBIGUOUS_ID', `"${id}" fits several jobs: ${named}${more}`);
}
