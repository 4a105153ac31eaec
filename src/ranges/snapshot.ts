/**
 * Snapshot: the whole table as canonical bytes.
 *
 * Replicas compare hashes of these bytes, so equal states must give equal bytes whatever way each took to get there:
 * positional arrays only, in an order that is itself part of the state (jobs by submission, workers by id), and nothing
 * that can be worked out from the rest. Reading is as strict as for commands: a snapshot may come from a peer.
 */
import { PolarisError } from '../base/errors.ts';
import {
  ADDRESS_LENGTH_MAX,
  CONDEMNED_MAX,
  DATASETS_MAX,
  ERROR_TEXT_MAX,
  FAILED_RANGES_MAX,
  FINISHED_JOBS_MAX,
  ID_LENGTH_MAX,
  NAME_LENGTH_MAX,
  OFFERED_NAMES_MAX,
  OPEN_JOBS_MAX,
  OPEN_RANGES_MAX,
  OUTPUTS_HELD_MAX,
  REEXECUTED_RANGES_MAX,
  REEXECUTED_WORKERS_MAX,
  SCHEDULES_MAX,
  SLOTS_MAX,
  SUSPECT_QUARTERS_MAX,
  UNCERTAIN_RANGES_MAX,
  UNTOLD_RUNS_MAX,
  WORKERS_MAX,
} from '../base/limits.ts';
import type { JobId, LogIndex, Range } from '../base/types.ts';
import type { Condemned } from './blobs.ts';
import {
  fieldsToOffers,
  fieldsToSchedule,
  fieldsToSpec,
  offersToFields,
  readControls,
  scheduleToFields,
  specToFields,
  wholeControlsToFields,
} from './codec.ts';
import {
  checkpointToFields,
  handleOrNone,
  handleToFields,
  outputToFields,
  readBlobHash,
  readCheckpoint,
  readDatasetName,
  readHandle,
  readHandleOrNone,
  readOutput,
  readSchemaHash,
  readTtl,
} from './codec-data.ts';
import type { Dataset } from './datasets.ts';
import { type Fields, type Packed, packFields, unpackFields } from './fields.ts';
import type { JobImage } from './job.ts';
import type { Lease } from './lease.ts';
import type {
  FailedRange,
  JobState,
  MasterView,
  OutputSchema,
  Reexecuted,
  Returned,
  RunEnd,
  Schedule,
  StageCheckpoint,
  Uncertain,
} from './types.ts';
import type { WorkerImage } from './workers.ts';

export interface TableImage {
  /** In order of submission. */
  readonly jobs: readonly JobImage[];
  /** Places in `jobs` of the finished ones, in the order in which they finished. */
  readonly finished: readonly number[];
  /** In id order. */
  readonly workers: readonly WorkerImage[];
  /** The longest unseen first. */
  readonly offeredNames: readonly string[];
  /** In key order. */
  readonly schedules: readonly Schedule[];
  /** In name order. */
  readonly datasets: readonly Dataset[];
  /** The longest condemned first. */
  readonly condemned: readonly Condemned[];
  readonly condemnedFloor: LogIndex;
}

/** Of this layout. A node that reads another refuses it, and does not guess. */
const FORMAT = 1;
/** A state's place in this list is its number on disk: add at the end. */
const STATES = ['pending', 'running', 'paused', 'done', 'failed', 'cancelled'] as const satisfies readonly JobState[];
const ENDS = ['done', 'failed', 'cancelled'] as const satisfies readonly RunEnd['state'][];
/** One range for every hole, and holes are made by open and failed ranges. */
const COVERED_RANGES_MAX = OPEN_RANGES_MAX + FAILED_RANGES_MAX + 2;
const JOBS_MAX = OPEN_JOBS_MAX + FINISHED_JOBS_MAX;

export function encodeTable(image: TableImage): Uint8Array {
  return packFields([
    FORMAT,
    image.jobs.map(jobToFields),
    image.finished,
    image.workers.map(workerToFields),
    image.offeredNames,
    image.schedules.map((schedule) => {
      const { nextAt, lastJob, skipped } = schedule;
      return [scheduleToFields(schedule), nextAt, lastJob, skipped];
    }),
    image.datasets.map(({ name, handle, version, putAt, ttlMs, pinned }) => {
      return [name, handleToFields(handle), version, putAt, ttlMs, pinned ? 1 : 0];
    }),
    image.condemned.map(({ hash, index }) => [hash, index]),
    image.condemnedFloor,
  ]);
}

/** @throws PolarisError LOG_DAMAGED */
export function decodeTable(bytes: Uint8Array): TableImage {
  const fields = unpackFields(bytes, 'a snapshot');
  const format = fields.natural();
  if (format !== FORMAT) throw new PolarisError('LOG_DAMAGED', `a snapshot has format ${format}, not ${FORMAT}`);
  const jobs = fields.list(JOBS_MAX, 'a job of a snapshot', fieldsToJob);
  const image = {
    jobs,
    finished: fields.items(JOBS_MAX, 'finished jobs', (some) => some.integer(0, jobs.length - 1)),
    workers: fields.list(WORKERS_MAX, 'a worker of a snapshot', fieldsToWorker),
    offeredNames: fields.items(OFFERED_NAMES_MAX, 'offered names', (some) => some.text(1, NAME_LENGTH_MAX)),
    schedules: fields.list(SCHEDULES_MAX, 'a schedule', readSchedule),
    datasets: fields.list(DATASETS_MAX, 'a dataset', readDataset),
    condemned: fields.list(CONDEMNED_MAX, 'a condemned blob', readCondemned),
    condemnedFloor: fields.natural(),
  };
  fields.close();
  return image;
}

function jobToFields(job: JobImage): Packed {
  return [
    specToFields(job.spec),
    wholeControlsToFields(job.controls),
    job.waitsFor,
    job.untold.map(({ run, state }) => [run, ENDS.indexOf(state)]),
    STATES.indexOf(job.state),
    job.reason,
    job.createdAt,
    job.startedAt,
    job.finishedAt,
    job.frontier,
    job.covered.map(({ start, end }) => [start, end]),
    job.returned.map(returnedToFields),
    job.tasks.map(leaseToFields),
    job.failed.map(({ start, end, error, attempts, worker, at }) => [start, end, error, attempts, worker, at]),
    job.uncertain.map(({ start, end, epoch, worker, at }) => [start, end, epoch, worker, at]),
    job.reexecuted.map(({ start, end, times, workers }) => [start, end, times, workers]),
    job.run,
    job.forgiven,
    job.firstFailures,
    job.outputs.map(outputToFields),
    job.schema === null ? null : [job.schema.start, job.schema.end, job.schema.schema],
    job.master === null ? null : [job.master.epoch, handleOrNone(job.master.state), job.master.folded],
    handleOrNone(job.result),
  ];
}

function readRunEnd(fields: Fields): RunEnd {
  return { run: fields.integer(1, Number.MAX_SAFE_INTEGER), state: fields.choice(ENDS) };
}

function fieldsToJob(fields: Fields): JobImage {
  const spec = fields.nested('the spec of a job', fieldsToSpec);
  return {
    spec,
    controls: fields.nested('the controls of a job', readControls),
    waitsFor: fields.nullable((some) => some.text(1, ID_LENGTH_MAX)),
    untold: fields.list(UNTOLD_RUNS_MAX, 'the end of a run', readRunEnd),
    state: fields.choice(STATES),
    reason: fields.nullable((some) => some.text(0, ERROR_TEXT_MAX)),
    createdAt: fields.natural(),
    startedAt: fields.nullable((some) => some.natural()),
    finishedAt: fields.nullable((some) => some.natural()),
    frontier: fields.point(),
    covered: fields.list(COVERED_RANGES_MAX, 'a covered range', readRange),
    returned: fields.list(OPEN_RANGES_MAX, 'a returned range', readReturned),
    tasks: fields.list(OPEN_RANGES_MAX, 'a task', (some) => readLease(some, spec.id)),
    failed: fields.list(FAILED_RANGES_MAX, 'a failed range', readFailed),
    // What was leased when the job paused may still add to the uncertain ranges.
    uncertain: fields.list(UNCERTAIN_RANGES_MAX + OPEN_RANGES_MAX, 'an uncertain range', readUncertain),
    reexecuted: fields.list(REEXECUTED_RANGES_MAX, 'a re-executed range', readReexecuted),
    run: fields.integer(1, Number.MAX_SAFE_INTEGER),
    forgiven: fields.natural(),
    firstFailures: fields.nullable((some) => some.natural()),
    outputs: fields.list(OUTPUTS_HELD_MAX, 'an output', readOutput),
    schema: fields.nullable((some) => some.nested('the schema of outputs', readOutputSchema)),
    master: fields.nullable((some) => some.nested('a Master', readMaster)),
    result: readHandleOrNone(fields),
  };
}

function readSchedule(fields: Fields): Schedule {
  return {
    ...fields.nested('what a schedule submits', fieldsToSchedule),
    nextAt: fields.nullable((some) => some.natural()),
    lastJob: fields.nullable((some) => some.text(1, ID_LENGTH_MAX)),
    skipped: fields.natural(),
  };
}

function readDataset(fields: Fields): Dataset {
  return {
    name: readDatasetName(fields),
    handle: fields.nested('a handle', readHandle),
    version: fields.natural(),
    putAt: fields.natural(),
    ttlMs: fields.nullable(readTtl),
    pinned: fields.integer(0, 1) === 1,
  };
}

function readCondemned(fields: Fields): Condemned {
  return { hash: readBlobHash(fields), index: fields.natural() };
}

function readRange(fields: Fields): Range {
  return { start: fields.point(), end: fields.point() };
}

function readOutputSchema(fields: Fields): OutputSchema {
  return { ...readRange(fields), schema: readSchemaHash(fields) };
}

function readMaster(fields: Fields): MasterView {
  return { epoch: fields.natural(), state: readHandleOrNone(fields), folded: fields.natural() };
}

function returnedToFields({ start, end, touched, attempts, error, checkpoint }: Returned): Packed {
  return [start, end, touched, attempts, error, checkpointOrNone(checkpoint)];
}

function checkpointOrNone(checkpoint: StageCheckpoint | null): Packed {
  return checkpoint === null ? null : checkpointToFields(checkpoint);
}

function readCheckpointOrNone(fields: Fields): StageCheckpoint | null {
  return fields.nullable((some) => some.nested('a checkpoint', readCheckpoint));
}

function readReturned(fields: Fields): Returned {
  return {
    ...readRange(fields),
    touched: fields.point(),
    attempts: fields.natural(),
    error: fields.text(0, ERROR_TEXT_MAX),
    checkpoint: readCheckpointOrNone(fields),
  };
}

function leaseToFields(lease: Lease): Packed {
  const { epoch, start, end, cursor, claimed, worker, incarnation, attempts, error, checkpoint } = lease;
  return [epoch, start, end, cursor, claimed, worker, incarnation, attempts, error, checkpointOrNone(checkpoint)];
}

function readLease(fields: Fields, job: JobId): Lease {
  return {
    epoch: fields.natural(),
    job,
    ...readRange(fields),
    cursor: fields.point(),
    claimed: fields.point(),
    worker: fields.text(1, ID_LENGTH_MAX),
    incarnation: fields.natural(),
    attempts: fields.natural(),
    error: fields.text(0, ERROR_TEXT_MAX),
    checkpoint: readCheckpointOrNone(fields),
  };
}

function readFailed(fields: Fields): FailedRange {
  return {
    ...readRange(fields),
    error: fields.text(0, ERROR_TEXT_MAX),
    attempts: fields.natural(),
    worker: fields.text(1, ID_LENGTH_MAX),
    at: fields.natural(),
  };
}

function readUncertain(fields: Fields): Uncertain {
  return {
    ...readRange(fields),
    epoch: fields.natural(),
    worker: fields.text(1, ID_LENGTH_MAX),
    at: fields.natural(),
  };
}

function readReexecuted(fields: Fields): Reexecuted {
  return {
    ...readRange(fields),
    times: fields.integer(1, Number.MAX_SAFE_INTEGER),
    workers: fields.items(REEXECUTED_WORKERS_MAX, 'workers', (some) => some.text(1, ID_LENGTH_MAX)),
  };
}

function workerToFields(worker: WorkerImage): Packed {
  const { id, incarnation, instanceId, address, slots, suspectQuarters } = worker;
  return [id, incarnation, instanceId, address, slots, offersToFields(worker.offers), suspectQuarters];
}

function fieldsToWorker(fields: Fields): WorkerImage {
  return {
    id: fields.text(1, ID_LENGTH_MAX),
    incarnation: fields.natural(),
    instanceId: fields.text(1, ID_LENGTH_MAX),
    address: fields.text(1, ADDRESS_LENGTH_MAX),
    slots: fields.integer(0, SLOTS_MAX),
    offers: fieldsToOffers(fields),
    suspectQuarters: fields.integer(0, SUSPECT_QUARTERS_MAX),
  };
}
