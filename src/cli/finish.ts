/**
 * Waiting for a job's end, and what that end is worth as an exit code: shared by submit --wait, wait and watch.
 */
import { ERRORS } from '../base/errors.ts';
import type { JobJson } from '../http/job-json.ts';
import type { CliClient, CliIo } from './io.ts';
import type { ProgressView } from './progress.ts';

/** 128 + SIGINT, as shells count it. */
export const EXIT_INTERRUPTED = 130;
const EXIT_CANCELLED = 1;

/** The exit code of a finished job: 0 done, 3 finished with failed ranges, 1 cancelled. */
export function exitOf(job: JobJson): number {
  if (job.state === 'done') return 0;
  return job.state === 'failed' ? ERRORS.FAILED_RANGES.exit : EXIT_CANCELLED;
}

/** Waits with a view of the progress. Ctrl-C ends the wait, never the job. @throws PolarisError TIMED_OUT, NO_LEADER */
export async function waitForJob(
  io: CliIo,
  client: CliClient,
  id: string,
  options: { readonly timeoutMs: number | null; readonly view: Pick<ProgressView, 'show' | 'end'> },
): Promise<{ readonly exit: number; readonly job: JobJson | null }> {
  const { signal, release } = io.interruptible();
  try {
    const job = await client.wait(id, {
      signal,
      onLook: options.view.show,
      ...(options.timeoutMs === null ? {} : { timeoutMs: options.timeoutMs }),
    });
    options.view.end();
    return { exit: exitOf(job), job };
  } catch (thrown) {
    options.view.end();
    if (!signal.aborted) throw thrown;
    io.stderr.write(`The job goes on. polaris job watch ${id} | polaris job cancel ${id}\n`);
    return { exit: EXIT_INTERRUPTED, job: null };
  } finally {
    release();
  }
}
