/**
 * The invariants of the job table, in full, worked out anew from its public view.
 *
 * Each job keeps running sums and asserts that they add up; that is cheap, but sums that are all wrong together still
 * add up. Here every piece is laid out and measured. Costs the size of the table: for restored snapshots, the simulator
 * and the tests, which call it after every command.
 */
import { assert } from '../base/assert.ts';
import type { BlobHash, Handle } from '../base/handle.ts';
import {
  FAILED_RANGES_MAX,
  OPEN_RANGES_MAX,
  OUTPUTS_HELD_MAX,
  REEXECUTED_RANGES_MAX,
  REEXECUTED_WORKERS_MAX,
  UNCERTAIN_RANGES_MAX,
  UNTOLD_RUNS_MAX,
} from '../base/limits.ts';
import type { Range } from '../base/types.ts';
import { handlesOf } from './checkpoints.ts';
import { isFinished } from './course.ts';
import type { JobView, Table } from './types.ts';

/** @throws InvariantError */
export function checkTable(table: Table): void {
  const epochsOf = new Map<string, number[]>();
  for (const job of table.jobs()) {
    checkJob(job);
    for (const task of job.tasks) {
      assert(task.epoch <= table.appliedIndex, 'an epoch is the index of an applied entry');
      assert(table.task(task.epoch) === task, 'a task is found by its epoch');
      assert(task.job === job.spec.id, 'a task names its job');
      const worker = table.worker(task.worker);
      assert(worker?.incarnation === task.incarnation, 'the worker of a task is in the table, in the same life');
      const epochs = epochsOf.get(task.worker) ?? [];
      epochsOf.set(task.worker, [...epochs, task.epoch]);
    }
  }
  checkHeld(table);
  for (const worker of table.workers()) {
    const epochs = (epochsOf.get(worker.id) ?? []).sort((left, right) => left - right);
    assert(worker.epochs.join() === epochs.join(), 'a worker holds exactly its tasks, in order of their epochs');
    assert(worker.incarnation <= table.appliedIndex, 'an incarnation is the index of an applied entry');
    assert(
      epochs.every((epoch) => epoch > worker.incarnation),
      'a life holds no task from before it began',
    );
  }
}

/** Every blob is held exactly as often as something refers to it. */
function checkHeld(table: Table): void {
  const references = new Map<BlobHash, number>();
  const refer = ({ hash }: Handle): void => void references.set(hash, (references.get(hash) ?? 0) + 1);
  for (const { version, handle } of table.datasets()) {
    assert(version <= table.appliedIndex, 'a version is the index of an applied entry');
    refer(handle);
  }
  for (const job of table.jobs()) for (const handle of handlesOf(job)) refer(handle);
  const held = [...table.heldBlobs()];
  assert(held.length === references.size, 'what is held is referred to');
  for (const hash of held) assert(table.referencesTo(hash) === references.get(hash), 'references are counted right');
}

/** @throws InvariantError */
export function checkJob(job: JobView): void {
  checkTiling(job);
  checkTasks(job);
  checkReturned(job);
  checkUncertain(job);
  checkReexecuted(job);
  checkOutputs(job);
  checkMaster(job);
  checkState(job);
}

/** Covered, rests of tasks, returned, failed and never granted points: every point of the job once. */
function checkTiling(job: JobView): void {
  const { start, end } = job.spec;
  assert(start < end && Number.isSafeInteger(end - start), 'a job has from 1 to 2^53-1 points');
  assert(start <= job.frontier && job.frontier <= end, 'the frontier lies within the job');
  for (let i = 1; i < job.covered.length; i++) {
    assert(job.covered[i - 1]!.end < job.covered[i]!.start, 'covered ranges ascend and do not touch');
  }
  const rests = job.tasks
    .filter((task) => task.cursor < task.end)
    .map((task) => ({ start: task.cursor, end: task.end }));
  const pieces: Range[] = [...job.covered, ...rests, ...job.returned, ...job.failed];
  pieces.sort((left, right) => left.start - right.start);
  let reached = start;
  for (const piece of pieces) {
    assert(piece.start < piece.end, 'no piece of a job is empty');
    assert(piece.start === reached, 'the pieces of a job neither overlap nor leave a hole');
    reached = piece.end;
  }
  assert(reached === job.frontier, 'the pieces of a job end at its frontier');
  assert(sumOf(job.covered) === job.coveredPoints, 'covered points are counted right');
  assert(sumOf(job.failed) === job.failedPoints, 'failed points are counted right');
}

function checkTasks(job: JobView): void {
  assert(job.returned.length + job.tasks.length <= OPEN_RANGES_MAX, 'open ranges are bounded');
  let before = 0;
  for (const task of job.tasks) {
    assert(task.epoch > before, 'tasks come in order of their epochs');
    before = task.epoch;
    assert(task.start <= task.cursor && task.cursor <= task.end, 'a cursor lies within its task');
    assert(task.cursor <= task.claimed && task.claimed <= task.end, 'a claim reaches from the cursor into the task');
    const claims = job.spec.options.delivery === 'at-most-once';
    assert(claims || task.claimed === task.cursor, 'only at-most-once jobs claim');
    const acknowledged = task.cursor === task.start || covers(job.covered, { start: task.start, end: task.cursor });
    assert(acknowledged, 'points below a cursor are covered');
    assert(task.checkpoint === null || task.cursor === task.start, 'a checkpoint is of points that are not covered');
  }
}

function checkReturned(job: JobView): void {
  let before = job.spec.start;
  for (const { start, end, touched, attempts, error } of job.returned) {
    assert(before <= start, 'returned ranges ascend');
    before = end;
    assert(start <= touched && touched <= end, 'touched lies within its range');
    assert(attempts > 0 || error === '', 'only a failure has an error');
  }
}

function checkUncertain(job: JobView): void {
  const { uncertain } = job;
  assert(uncertain.length <= UNCERTAIN_RANGES_MAX + OPEN_RANGES_MAX, 'uncertain ranges are bounded');
  assert(uncertain.length === 0 || job.spec.options.delivery === 'at-most-once', 'only claims leave points uncertain');
  let before = job.spec.start;
  for (const range of uncertain) {
    assert(before <= range.start && range.start < range.end, 'uncertain ranges ascend and are not empty');
    assert(covers(job.covered, range), 'uncertain points are covered');
    before = range.end;
  }
  assert(sumOf(uncertain) === job.uncertainPoints, 'uncertain points are counted right');
}

function checkReexecuted(job: JobView): void {
  assert(job.failed.length <= FAILED_RANGES_MAX, 'failed ranges are bounded');
  assert(job.reexecuted.length <= REEXECUTED_RANGES_MAX, 're-executed ranges are bounded');
  let points = 0;
  let last: { readonly end: number; readonly times: number; readonly workers: readonly string[] } = {
    ...{ end: job.spec.start, times: 0, workers: [] },
  };
  for (const range of job.reexecuted) {
    assert(last.end <= range.start && range.start < range.end, 're-executed ranges ascend and are not empty');
    const differ = last.times !== range.times || last.workers.join() !== range.workers.join();
    assert(last.end < range.start || differ, 're-executed neighbours that touch differ');
    const named = range.workers.length;
    assert(named >= 1 && named <= REEXECUTED_WORKERS_MAX, 'a re-executed range names who ran it again, some of them');
    assert(range.times >= 1, 'a re-executed range ran again at least once');
    points += (range.end - range.start) * range.times;
    last = range;
  }
  assert(last.end <= job.frontier, 'only points that were granted ran again');
  assert(Math.min(points, Number.MAX_SAFE_INTEGER) === job.reexecutedPoints, 're-executed points are counted right');
}

function checkOutputs(job: JobView): void {
  const { outputs, schema } = job;
  assert(outputs.length <= OUTPUTS_HELD_MAX, 'the outputs of a job are bounded');
  assert(outputs.length === 0 || schema !== null, 'the first output says what all look like');
  let before = job.spec.start;
  for (const output of outputs) {
    assert(before <= output.start && output.start < output.end, 'outputs ascend and are not empty');
    assert(output.handle.schema === schema?.schema, 'the outputs of a job have one schema');
    assert(covers(job.covered, output), 'what was emitted belongs to covered points');
    const isKnown = job.uncertain.every(({ start, end }) => end <= output.start || output.end <= start);
    assert(isKnown, 'uncertain points emitted nothing');
    before = output.end;
  }
}

function checkMaster(job: JobView): void {
  const { spec, state, master, result } = job;
  assert(spec.overseen || !spec.collects, 'only a Master collects');
  assert(spec.collects || master === null, 'only a job that collects is taken by its Master');
  assert(result === null || (master !== null && state === 'done'), 'a result is of a done job, by its Master');
  assert(state !== 'done' || !spec.collects || job.outputs.length === 0, 'a done job that collects is folded');
  const rows = spec.input?.rows ?? Number.POSITIVE_INFINITY;
  assert(spec.input === null || (spec.start >= 0 && spec.end <= rows), 'every point of a job with an input has a row');
}

function checkState(job: JobView): void {
  const { state } = job;
  const total = job.spec.end - job.spec.start;
  assert(isFinished(state) === (job.finishedAt !== null), 'exactly finished jobs have a time of finishing');
  assert(!isFinished(state) || job.tasks.length === 0, 'a finished job has no task');
  assert(state !== 'done' || job.coveredPoints === total, 'a done job is covered');
  assert(state !== 'failed' || job.failedPoints > 0, 'a failed job has failed ranges');
  assert(job.run >= 1, 'a job runs at least once');
  assert(job.waitsFor === null || job.startedAt === null, 'a job that waits for another has not begun');
  assert(job.waitsFor === null || !isFinished(state), 'a finished job waits for nobody');
  const { untold, run, spec } = job;
  assert(untold.length === 0 || spec.overseen || spec.options.onDone !== null, 'only who asked is told');
  assert(untold.length <= UNTOLD_RUNS_MAX, 'the ends of runs to be told are bounded');
  const last = isFinished(state) ? run : run - 1;
  assert(
    untold.every((end, at) => end.run > (untold[at - 1]?.run ?? 0) && end.run <= last),
    'runs that ended are told of',
  );
  const over = job.tasks.length === 0 && job.coveredPoints + job.failedPoints === total;
  // A cancel may leave everything that was open uncertain, and so covered.
  const isSettled = state === 'done' || state === 'failed' || (over && state === 'cancelled');
  // And a Master has the last word.
  const isAwaited = spec.collects && job.failedPoints === 0 && !isFinished(state);
  assert(over === isSettled || (over && isAwaited), 'a job is finished when covered and failed ranges tile it');
  assert(state !== 'pending' || job.startedAt === null, 'a pending job was never granted');
  assert(state !== 'running' || job.startedAt !== null, 'a running job was granted');
  assert((job.startedAt === null) === (job.frontier === job.spec.start), 'the first grant moves the frontier');
  assert((state === 'paused' || state === 'failed') === (job.reason !== null), 'a paused or failed job says why');
}

function covers(covered: readonly Range[], wanted: Range): boolean {
  let low = 0;
  let high = covered.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (covered[middle]!.end < wanted.end) low = middle + 1;
    else high = middle;
  }
  const found = covered[low];
  return found !== undefined && found.start <= wanted.start && wanted.end <= found.end;
}

function sumOf(ranges: readonly Range[]): number {
  return ranges.reduce((points, { start, end }) => points + (end - start), 0);
}
