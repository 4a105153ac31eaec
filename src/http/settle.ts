/**
 * From the node's callbacks to promises with a deadline. A node that never answers (a leader cut off from its quorum)
 * must not hold a request for ever, and what is thrown by a look at the table must not reach the node's own turn.
 */
import { PolarisError } from '../base/errors.ts';
import { COMMIT_WAIT_MS, READ_WAIT_MS } from '../base/limits.ts';
import type { JobId, NodeId, Range } from '../base/types.ts';
import type { Consistency, DataChange, Done, MemberRequest, NodeApi } from '../daemon/api.ts';
import type { RunnerAnswer, RunnerRequest } from '../daemon/runner-api.ts';
import type { Controls, JobSpec, Outcome, ScheduleSpec, Table } from '../ranges/types.ts';

export type SubmitOutcome = Extract<Outcome, { kind: 'created' | 'exists' }>;
export type JobAction = 'pause' | 'resume' | 'cancel';

export function submitJob(api: NodeApi, spec: JobSpec): Promise<SubmitOutcome> {
  return settle((done) => api.submit(spec, done), COMMIT_WAIT_MS, 'OUTCOME_UNKNOWN');
}

export function controlJob(api: NodeApi, id: JobId, action: JobAction): Promise<void> {
  return settle((done) => api.control(id, action, done), COMMIT_WAIT_MS, 'OUTCOME_UNKNOWN');
}

export function retryJob(api: NodeApi, id: JobId, range: Range | null, uncertain: boolean): Promise<void> {
  return settle((done) => api.retry(id, range, uncertain, done), COMMIT_WAIT_MS, 'OUTCOME_UNKNOWN');
}

export function setControls(api: NodeApi, id: JobId, changes: Partial<Controls>): Promise<void> {
  return settle((done) => api.set(id, changes, done), COMMIT_WAIT_MS, 'OUTCOME_UNKNOWN');
}

export function putSchedule(api: NodeApi, schedule: ScheduleSpec): Promise<void> {
  return settle((done) => api.putSchedule(schedule, done), COMMIT_WAIT_MS, 'OUTCOME_UNKNOWN');
}

export function dropSchedule(api: NodeApi, key: string): Promise<void> {
  return settle((done) => api.dropSchedule(key, done), COMMIT_WAIT_MS, 'OUTCOME_UNKNOWN');
}

export function changeData(api: NodeApi, change: DataChange): Promise<Outcome> {
  return settle((done) => api.changeData(change, done), COMMIT_WAIT_MS, 'OUTCOME_UNKNOWN');
}

export function drainWorker(api: NodeApi, id: NodeId, draining: boolean): Promise<void> {
  return settle((done) => api.drainWorker(id, draining, done), COMMIT_WAIT_MS, 'OUTCOME_UNKNOWN');
}

export function changeMembers(api: NodeApi, request: MemberRequest): Promise<void> {
  return settle((done) => api.changeMembers(request, done), COMMIT_WAIT_MS, 'OUTCOME_UNKNOWN');
}

/** What a runner is answered. A question whose asker has gone is taken back. */
export function askRunner(
  api: NodeApi,
  request: RunnerRequest,
  { waitMs, gone }: { readonly waitMs: number; readonly gone: AbortSignal },
): Promise<RunnerAnswer> {
  const ask = (done: Done<RunnerAnswer>): void => {
    const takeBack = api.runner(request, done);
    const leave = () => {
      takeBack();
      done({ ok: false, error: new PolarisError('OUTCOME_UNKNOWN', 'the asker has gone') });
    };
    if (gone.aborted) leave();
    else gone.addEventListener('abort', leave, { once: true });
  };
  return settle(ask, waitMs + COMMIT_WAIT_MS, 'OUTCOME_UNKNOWN');
}

/** The bytes of a backup. */
export function takeBackup(api: NodeApi): Promise<Uint8Array> {
  return settle((done) => api.backup(done), READ_WAIT_MS, 'NO_LEADER');
}

/** What `look` returns or throws. It runs in the turn of the read, so it must copy whatever it keeps. */
export async function readTable<T>(api: NodeApi, consistency: Consistency, look: (table: Table) => T): Promise<T> {
  type Looked = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly thrown: unknown };
  const careful = (table: Table): Looked => {
    try {
      return { ok: true, value: look(table) };
    } catch (thrown) {
      return { ok: false, thrown };
    }
  };
  const looked = await settle<Looked>((done) => api.read(consistency, careful, done), READ_WAIT_MS, 'NO_LEADER');
  if (!looked.ok) throw looked.thrown;
  return looked.value;
}

function settle<T>(
  start: (done: Done<T>) => void,
  waitMs: number,
  lateCode: 'OUTCOME_UNKNOWN' | 'NO_LEADER',
): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new PolarisError(lateCode)), waitMs);
    start((result) => {
      clearTimeout(timer);
      if (result.ok) resolve(result.value);
      else reject(result.error);
    });
  });
}
