/**
 * Restored: the job table of an old cluster as the first table of a new one.
 *
 * Whoever worked for the old cluster may still be at it, and nobody of the new one will ever hear of them. So every
 * worker counts as lost: what it held goes back, and what it was allowed to begin counts as touched. Nothing is given
 * out again until a person says so, since only a person knows what happened after the backup was taken: unfinished jobs
 * come back paused.
 *
 * Invariants: covered points stay covered and finished jobs stay as they were · no lease and no worker is left · every
 * epoch of the new cluster is above every epoch of the old one.
 */
import { assert, InvariantError } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import { RESTORE_INDEX_GAP } from '../base/limits.ts';
import type { LogIndex } from '../base/types.ts';
import { Blobs } from './blobs.ts';
import { isFinished } from './course.ts';
import { Job, type JobImage } from './job.ts';
import { decodeTable, encodeTable, type TableImage } from './snapshot.ts';
import { JobTable } from './table.ts';

export const RESTORED_REASON = 'restored';

/** The index at which the log of a new cluster begins, when the old one stood at `index`. @throws PolarisError BAD_BACKUP */
export function restoredIndex(index: LogIndex): LogIndex {
  const first = index + RESTORE_INDEX_GAP;
  // The new cluster may be backed up and restored in its turn.
  if (Number.isSafeInteger(first + RESTORE_INDEX_GAP)) return first;
  throw new PolarisError('BAD_BACKUP', `behind index ${index} there is no room for another cluster's epochs`);
}

/**
 * @param at stamp of the old leader when the backup was taken.
 * @returns the snapshot of the new table, to be read at `restoredIndex(index)` or above.
 * @throws PolarisError LOG_DAMAGED when the bytes are no table, or one that contradicts itself at this index.
 */
export function restoreTable(index: LogIndex, table: Uint8Array, at: number): Uint8Array {
  // Reads it with all checks: a backup lay on disks that nobody watched.
  new JobTable().restore(index, table);
  const restored = encodeTable(withoutWorkers(decodeTable(table), at));
  checkRestored(index, restored);
  return restored;
}

function withoutWorkers(image: TableImage, at: number): TableImage {
  const jobs = image.jobs.map((job) => withoutLeases(job, at));
  const wasFinished = new Set(image.finished);
  const finished = [...image.finished];
  // A job of which nothing was left but the last word of its worker finishes here, behind all that finished before.
  jobs.forEach((job, place) => {
    if (isFinished(job.state) && !wasFinished.has(place)) finished.push(place);
  });
  // Times that came meanwhile are nobody's business, and those to come a person's.
  const schedules = image.schedules.map((schedule) => ({ ...schedule, nextAt: null }));
  return { ...image, jobs, finished, workers: [], schedules };
}

function withoutLeases(image: JobImage, at: number): JobImage {
  if (isFinished(image.state)) return image;
  const job = Job.restore(image, new Blobs());
  for (const { epoch } of image.tasks) job.expire(epoch, at, () => {});
  if (job.finished) return job.image;
  return { ...job.image, state: 'paused', reason: RESTORED_REASON };
}

/** Asserted on what was written, not on what was meant. */
function checkRestored(index: LogIndex, restored: Uint8Array): void {
  const table = new JobTable();
  try {
    table.restore(restoredIndex(index), restored);
  } catch (cause) {
    throw new InvariantError('a restored table can be read', { cause });
  }
  for (const job of table.jobs()) {
    assert(job.tasks.length === 0, 'a restored job has no lease');
    assert(isFinished(job.state) || job.state === 'paused', 'an unfinished job comes back paused');
  }
  assert([...table.workers()].length === 0, 'a restored table has no worker');
  assert(table.appliedIndex >= index + RESTORE_INDEX_GAP, 'new epochs are above all that the old cluster gave');
}
