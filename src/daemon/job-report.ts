/**
 * Job report: a job as its Master and its webhook hear of it.
 */
import type { JobView } from '../ranges/types.ts';
import type { Executor, JobReport, MasterCall } from './env.ts';

/** Of a run that ended, if one is given: the job may have been tried again since. */
export function reportOf(job: JobView, { run, state }: Pick<JobView, 'run' | 'state'> = job): JobReport {
  const { id, name, start, end } = job.spec;
  const progress = {
    total: end - start,
    done: job.coveredPoints,
    failed: job.failedPoints,
    uncertain: job.uncertainPoints,
    reexecuted: job.reexecutedPoints,
  };
  return { job: id, name, start, end, run, state, progress };
}

export function masterCall(kind: MasterCall['kind'], job: JobView, report = reportOf(job)): MasterCall {
  const { name, metadata, options } = job.spec;
  return { kind, name, metadata, memoryMb: options.memoryMb, report };
}

/** Whether this node has the Master of a job type. */
export function isOverseenBy({ types }: Pick<Executor, 'types'>, name: string): boolean {
  return types.some((type) => type.name === name && type.overseen);
}
