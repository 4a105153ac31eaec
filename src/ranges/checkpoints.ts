/**
 * Checkpoints: how far a pipeline has come with a whole range, and what becomes of that when its lease ends.
 *
 * A checkpoint lies with its range: with the lease that made it, then with the range that came back, then with the next
 * lease. It stands for all points of the range behind some stage, so the range stays as it is while it has one: granted
 * whole, neither cut, halved nor melted with a neighbour. Once the first point is covered it has done its duty.
 *
 * Invariants: only ranges of which nothing is covered have one · stages only grow while the code is the same · each holds
 * its blob.
 */
import type { Handle } from '../base/handle.ts';
import type { Point } from '../base/types.ts';
import type { Lease } from './lease.ts';
import type { Blame } from './suspects.ts';
import type { JobView, StageCheckpoint } from './types.ts';

/** Whether a checkpoint takes the place of the one that a lease has. Other code begins anew, at any stage. */
export function goesFurther(next: StageCheckpoint, { checkpoint: known }: Pick<Lease, 'checkpoint'>): boolean {
  return known === null || known.fingerprint !== next.fingerprint || next.stage > known.stage;
}

/** As `blame`, for a lease with a checkpoint: its range is tried again as a whole, or failed as a whole. */
export function blameWhole(lease: Lease, begun: Point, error: string, maxAttempts: number): Blame {
  const { start, end, checkpoint } = lease;
  const attempts = lease.attempts + 1;
  if (attempts >= maxAttempts) return { back: [], failed: { start, end, attempts } };
  return { back: [{ start, end, touched: begun, attempts, error, checkpoint }], failed: null };
}

/** Everything that a job holds while it is in the table; what is referred to twice comes twice. */
export function* handlesOf(
  job: Pick<JobView, 'spec' | 'outputs' | 'tasks' | 'returned' | 'master' | 'result'>,
): Generator<Handle> {
  const { spec, outputs, tasks, returned, master, result } = job;
  for (const handle of [spec.input, master?.state ?? null, result]) if (handle !== null) yield handle;
  for (const { handle } of outputs) yield handle;
  for (const { checkpoint } of tasks) if (checkpoint !== null) yield checkpoint.handle;
  for (const { checkpoint } of returned) if (checkpoint !== null) yield checkpoint.handle;
}
