/**
 * JobTable: the replicated state machine. Commands of the log go in, in order; outcomes and events come out.
 *
 * Every replica runs this over the same bytes and must come to the same state, so nothing here reads a clock, draws a
 * lot or walks a collection in an order that is not part of the state. The range of a grant is picked here, too: the
 * leader says who and how much, the log says when, and so two grants can never meet.
 *
 * The table's own indexes (which job has an epoch, what a worker holds, which jobs are over) follow the events that its
 * jobs emit, in one place.
 *
 * Invariants: indexes come without a gap · an epoch is the index of its grant and lives in one job · a lease's worker is
 * in the table with the lease's incarnation · open jobs, finished jobs and workers are bounded.
 */
import { assert, InvariantError, must, unreachable } from '../base/assert.ts';
import { PolarisError } from '../base/errors.ts';
import type { BlobHash } from '../base/handle.ts';
import { DATASETS_MAX, OUTPUTS_PER_ENTRY_MAX, OUTPUTS_TOTAL_MAX, SCHEDULES_MAX, WORKERS_MAX } from '../base/limits.ts';
import type { Epoch, Incarnation, JobId, LogIndex, NodeId } from '../base/types.ts';
import { Blobs } from './blobs.ts';
import { decodeCommand } from './codec.ts';
import { isFinished } from './course.ts';
import { type Dataset, Datasets } from './datasets.ts';
import { checkTable } from './invariants.ts';
import { Job } from './job.ts';
import { Jobs } from './jobs.ts';
import { NOTHING, OK, refused } from './outcomes.ts';
import { Schedules } from './schedules.ts';
import { decodeTable, encodeTable, type TableImage } from './snapshot.ts';
import { sameSpec } from './spec.ts';
import type {
  Command,
  JobSpec,
  JobState,
  JobView,
  Outcome,
  Schedule,
  Table,
  TableEvent,
  Task,
  WorkerView,
} from './types.ts';
import { type Worker, Workers } from './workers.ts';

type CommandOf<K extends Command['kind']> = Extract<Command, { readonly kind: K }>;

export class JobTable implements Table {
  #appliedIndex: LogIndex = 0;
  #jobs = new Jobs();
  #jobOfEpoch = new Map<Epoch, Job>();
  #workers = new Workers();
  #schedules = new Schedules();
  #blobs = new Blobs();
  #datasets = new Datasets(this.#blobs);
  /** Jobs that wait for another one, by that one. */
  #waiting = new Map<JobId, Set<Job>>();
  /** Of the command that is being applied. */
  #events: TableEvent[] = [];
  readonly #emit = (event: TableEvent): void => this.#follow(event);

  get appliedIndex(): LogIndex {
    return this.#appliedIndex;
  }

  apply(index: LogIndex, payload: Uint8Array): { readonly outcome: Outcome; readonly events: readonly TableEvent[] } {
    assert(index === this.#appliedIndex + 1, 'entries are applied in order, each once');
    const outcome = payload.length === 0 ? NOTHING : this.#applyCommand(index, decodeCommand(payload));
    if (this.#jobs.outputCount > OUTPUTS_TOTAL_MAX + OUTPUTS_PER_ENTRY_MAX) this.#crowd();
    const events = this.#events;
    this.#events = [];
    this.#appliedIndex = index;
    return { outcome, events };
  }

  job(id: JobId): JobView | undefined {
    return this.#jobs.get(id)?.view;
  }

  *jobs(): Generator<JobView> {
    for (const job of this.#jobs.values()) yield job.view;
  }

  jobIdsWith(prefix: string, limit: number): readonly JobId[] {
    return this.#jobs.idsWith(prefix, limit);
  }

  task(epoch: Epoch): Task | undefined {
    return this.#jobOfEpoch.get(epoch)?.lease(epoch);
  }

  worker(id: NodeId): WorkerView | undefined {
    return this.#workers.get(id)?.view;
  }

  *workers(): Generator<WorkerView> {
    for (const worker of this.#workers.inOrder()) yield worker.view;
  }

  schedules(): Iterable<Schedule> {
    return this.#schedules.inOrder();
  }

  schedule(key: string): Schedule | undefined {
    return this.#schedules.get(key);
  }

  dataset(name: string): Dataset | undefined {
    return this.#datasets.get(name);
  }

  datasets(): Iterable<Dataset> {
    return this.#datasets.inOrder();
  }

  heldBlobs(): Iterable<BlobHash> {
    return this.#blobs.held();
  }

  referencesTo(hash: BlobHash): number {
    return this.#blobs.referencesTo(hash);
  }

  isHeld(hash: BlobHash): boolean {
    return this.#blobs.isHeld(hash);
  }

  mayDeleteBlob(hash: BlobHash, stamp: LogIndex): boolean {
    return this.#blobs.mayDelete(hash, stamp);
  }

  everOffered(name: string): boolean {
    return this.#workers.everOffered(name);
  }

  snapshot(): Uint8Array {
    this.#jobs.check();
    return encodeTable({
      jobs: [...this.#jobs.values()].map((job) => job.image),
      finished: this.#jobs.finishedPlaces(),
      workers: this.#workers.inOrder().map((worker) => worker.view),
      offeredNames: this.#workers.offeredNames,
      schedules: this.#schedules.inOrder(),
      datasets: this.#datasets.inOrder(),
      condemned: this.#blobs.condemned(),
      condemnedFloor: this.#blobs.floor,
    });
  }

  /** @throws PolarisError LOG_DAMAGED, and then the table is as it was. */
  restore(index: LogIndex, snapshot: Uint8Array): void {
    const restored = new JobTable();
    try {
      restored.#load(index, decodeTable(snapshot));
      checkTable(restored);
    } catch (cause) {
      if (!(cause instanceof InvariantError)) throw cause;
      throw new PolarisError('LOG_DAMAGED', `a snapshot contradicts itself: ${cause.message}`, { cause });
    }
    this.#appliedIndex = restored.#appliedIndex;
    this.#jobs = restored.#jobs;
    this.#jobOfEpoch = restored.#jobOfEpoch;
    this.#workers = restored.#workers;
    this.#schedules = restored.#schedules;
    this.#blobs = restored.#blobs;
    this.#datasets = restored.#datasets;
    this.#waiting = restored.#waiting;
  }

  #load(index: LogIndex, image: TableImage): void {
    this.#appliedIndex = index;
    for (const worker of image.workers) this.#workers.add(worker);
    this.#workers.setOfferedNames(image.offeredNames);
    for (const jobImage of image.jobs) {
      const job = Job.restore(jobImage, this.#blobs);
      this.#jobs.add(job);
      for (const task of jobImage.tasks) this.#link(job, task);
    }
    this.#blobs.restore(image.condemned, image.condemnedFloor);
    for (const dataset of image.datasets) this.#datasets.restore(dataset);
    for (const schedule of image.schedules) this.#schedules.restore(schedule);
    for (const job of this.#jobs.values()) if (job.view.waitsFor !== null) this.#awaits(job, job.view.waitsFor);
    for (const worker of this.#workers.inOrder()) worker.sortEpochs();
    for (const place of image.finished) this.#jobs.finish(must(image.jobs[place], 'a finished job is a job').spec.id);
    const finished = image.jobs.filter((job) => isFinished(job.state));
    assert(finished.length === image.finished.length, 'every finished job stands in line');
  }

  /** `index` becomes the epoch of what is granted and the incarnation of who joins. */
  #applyCommand(index: number, command: Command): Outcome {
    if ('at' in command) this.#jobs.evict(command.at, this.#emit);
    switch (command.kind) {
      case 'submit-job':
        return this.#submit(command);
      case 'control-job':
        return this.#control(command);
      case 'retry-job':
        return this.#retry(command);
      case 'set-job':
        return this.#set(command);
      case 'job-notified':
        return this.#jobs.get(command.id)?.notified(command.run) ? OK : NOTHING;
      case 'put-schedule': {
        if (this.#schedules.put(command.schedule, command.nextAt)) return OK;
        return refused('OVERLOADED', `there are ${SCHEDULES_MAX} schedules; drop one of them`);
      }
      case 'drop-schedule':
        if (this.#schedules.drop(command.key)) return OK;
        return refused('NOT_FOUND', `there is no schedule "${command.key}"`);
      case 'fire-schedule':
        return this.#fire(command);
      case 'put-dataset':
        return this.#putDataset(index, command);
      case 'drop-dataset':
        return this.#dropDataset(command);
      case 'pin-dataset':
        return this.#pinDataset(command);
      case 'condemn':
        return this.#condemn(index, command.hashes);
      case 'checkpoint': {
        const { epoch } = command;
        const job = this.#jobOfEpoch.get(epoch);
        return job?.checkpoint(command, this.#emit) ?? refused('STALE_EPOCH', `epoch ${epoch} has ended`);
      }
      case 'take-master':
      case 'fold':
      case 'finish-master':
      case 'master-failed':
        return this.#collect(index, command);
      case 'shrink': {
        const { epoch, end } = command;
        if (this.#jobOfEpoch.get(epoch)?.shrink(epoch, end, this.#emit)) return OK;
        return refused('STALE_EPOCH', `epoch ${epoch} has ended`);
      }
      case 'worker-join':
        return this.#join(index, command);
      case 'worker-expire':
        return this.#expire(command);
      case 'worker-suspect':
      case 'worker-heard':
        return this.#judgeSilence(command);
      case 'grant':
        return this.#grant(index, command);
      case 'progress':
        return this.#progress(command);
      case 'complete':
      case 'fail':
      case 'release':
        return this.#end(command);
      default:
        return unreachable(command);
    }
  }

  #submit({ spec, at, stamp }: CommandOf<'submit-job'>): Outcome {
    const known = this.#jobs.get(spec.id);
    if (known !== undefined) {
      if (sameSpec(known.spec, spec)) return { kind: 'exists', id: spec.id };
      return refused('SPEC_CONFLICT', `job ${spec.id} exists and was asked for otherwise`);
    }
    const lost = this.#lostInput(spec, stamp);
    if (lost !== null) return refused('BLOB_CONDEMNED', lost);
    const refusal = this.#jobs.refusal(spec);
    if (refusal !== null) return refused('TOO_MANY_JOBS', refusal);
    const { after } = spec.options;
    const before = after === null ? undefined : this.#jobs.get(after);
    if (after !== null && before === undefined) {
      return refused('JOB_NOT_FOUND', `there is no job ${after}, after which ${spec.id} is to run`);
    }
    const job = new Job(spec, at, this.#blobs);
    this.#jobs.add(job);
    this.#emit({ kind: 'job-submitted', job: spec.id });
    if (before !== undefined) this.#chain(job, before);
    // At last, since it may be the one that this one comes after.
    this.#jobs.evict(at, this.#emit);
    return { kind: 'created', id: spec.id };
  }

  /** Why the input of a job is not to be relied on; null when it is. */
  #lostInput({ input }: JobSpec, stamp: LogIndex | null): string | null {
    if (input === null || this.#blobs.isHeld(input.hash)) return null;
    if (stamp !== null) return this.#blobs.refusal(input.hash, stamp);
    return `nothing refers to blob ${input.hash} any more; store it again`;
  }

  #control({ id, action, at }: CommandOf<'control-job'>): Outcome {
    const job = this.#jobs.get(id);
    if (job === undefined) return refused('JOB_NOT_FOUND', `there is no job ${id}`);
    if (this.#act(job, action, at)) return OK;
    return refused('WRONG_STATE', `job ${id} is ${job.view.state}: there is nothing to ${action}`);
  }

  #act(job: Job, action: CommandOf<'control-job'>['action'], at: number): boolean {
    switch (action) {
      case 'pause':
        return job.pause(this.#emit);
      case 'resume':
        return job.resume(this.#emit);
      case 'cancel':
        return job.cancel(at, this.#emit);
      default:
        return unreachable(action);
    }
  }

  #retry({ id, range, uncertain }: CommandOf<'retry-job'>): Outcome {
    const job = this.#jobs.get(id);
    if (job === undefined) return refused('JOB_NOT_FOUND', `there is no job ${id}`);
    const { finished } = job;
    const crowded = finished ? this.#jobs.refusal(job.spec) : null;
    if (crowded !== null) return refused('TOO_MANY_JOBS', crowded);
    const refusal = job.retry(range, uncertain, this.#emit);
    if (refusal !== null) return refused('WRONG_STATE', `job ${id} has nothing to retry: ${refusal}`);
    if (finished) this.#jobs.reopen(id);
    return OK;
  }

  #chain(job: Job, before: Job): void {
    const { state, spec } = before.view;
    if (state === 'done') return;
    job.waitFor(spec.id);
    if (before.finished) job.followed(state, this.#emit);
    this.#awaits(job, spec.id);
  }

  #awaits(job: Job, id: JobId): void {
    const waiting = this.#waiting.get(id) ?? new Set();
    this.#waiting.set(id, waiting.add(job));
  }

  #set({ id, changes }: CommandOf<'set-job'>): Outcome {
    const job = this.#jobs.get(id);
    if (job === undefined) return refused('JOB_NOT_FOUND', `there is no job ${id}`);
    if (job.set(changes, this.#emit)) return OK;
    return refused('WRONG_STATE', `job ${id} is ${job.view.state}: there is nothing to set`);
  }

  /** A time that was fired already is not due any more. */
  #fire({ key, at, due, next, missed, id }: CommandOf<'fire-schedule'>): Outcome {
    const schedule = this.#schedules.get(key);
    if (schedule === undefined || schedule.nextAt !== due) return NOTHING;
    const { lastJob, spec } = schedule;
    const isBusy = lastJob !== null && this.#jobs.get(lastJob)?.finished === false;
    const outcome = isBusy ? NOTHING : this.#submit({ kind: 'submit-job', at, spec: { id, ...spec }, stamp: null });
    const isMade = outcome.kind === 'created';
    this.#schedules.passed(key, next, missed + (isMade ? 0 : 1), isMade ? id : null);
    return outcome;
  }

  #putDataset(
    version: LogIndex,
    { name, handle, stamp, expected, at, ttlMs, pinned }: CommandOf<'put-dataset'>,
  ): Outcome {
    const conflict = this.#datasets.conflict(name, expected);
    if (conflict !== null) return refused('DATASET_CONFLICT', conflict);
    const lost = this.#blobs.refusal(handle.hash, stamp);
    if (lost !== null) return refused('BLOB_CONDEMNED', lost);
    const dataset = { name, handle, version, putAt: at, ttlMs, pinned };
    if (!this.#datasets.put(dataset)) {
      return refused('OVERLOADED', `there are ${DATASETS_MAX} datasets; drop one of them`);
    }
    this.#emit({ kind: 'dataset-put', name, version, hash: handle.hash });
    return { kind: 'put', dataset };
  }

  #pinDataset({ name, pinned }: CommandOf<'pin-dataset'>): Outcome {
    const dataset = this.#datasets.pin(name, pinned);
    return dataset === undefined ? noDataset(name) : { kind: 'pinned', dataset };
  }

  #dropDataset({ name, expected }: CommandOf<'drop-dataset'>): Outcome {
    const conflict = this.#datasets.conflict(name, expected);
    if (conflict !== null) return refused('DATASET_CONFLICT', conflict);
    const dataset = this.#datasets.drop(name);
    if (dataset === undefined) return noDataset(name);
    this.#emit({ kind: 'dataset-dropped', name });
    return { kind: 'dropped', dataset };
  }

  #condemn(index: LogIndex, hashes: readonly BlobHash[]): Outcome {
    const condemned = hashes.filter((hash) => this.#blobs.condemn(hash, index));
    if (condemned.length === 0) return NOTHING;
    this.#emit({ kind: 'blobs-condemned', hashes: condemned });
    return OK;
  }

  #join(incarnation: Incarnation, command: CommandOf<'worker-join'>): Outcome {
    const { worker: id, instanceId, address, slots, offers, at } = command;
    const former = this.#workers.get(id);
    if (former !== undefined && former.view.instanceId !== instanceId) {
      return refused('INSTANCE_MISMATCH', `worker ${id} has a session from another data directory`);
    }
    if (former === undefined && this.#workers.count >= WORKERS_MAX) {
      return refused('OVERLOADED', `${WORKERS_MAX} workers have a session`);
    }
    if (former !== undefined) this.#endWorker(former, 'it joined again', at);
    this.#workers.add({ id, incarnation, instanceId, address, slots, offers, suspectQuarters: 0 });
    this.#emit({ kind: 'worker-joined', worker: id, incarnation });
    return { kind: 'joined', incarnation };
  }

  #expire({ worker: id, incarnation, reason, at }: CommandOf<'worker-expire'>): Outcome {
    const worker = this.#workers.current(id, incarnation);
    if (worker === undefined) return NOTHING;
    this.#endWorker(worker, reason, at);
    return OK;
  }

  #endWorker(worker: Worker, reason: string, at: number): void {
    const { id, incarnation } = worker.view;
    this.#emit({ kind: 'worker-ended', worker: id, incarnation, reason });
    for (const epoch of worker.view.epochs) this.#jobAt(epoch).expire(epoch, at, this.#emit);
    this.#workers.remove(id);
  }

  #judgeSilence(command: CommandOf<'worker-suspect' | 'worker-heard'>): Outcome {
    const worker = this.#workers.current(command.worker, command.incarnation);
    if (worker === undefined) return NOTHING;
    if (command.kind === 'worker-heard') worker.heard();
    else worker.suspect(command.quarters);
    return OK;
  }

  #grant(epoch: Epoch, command: CommandOf<'grant'>): Outcome {
    const job = this.#jobs.get(command.job);
    const worker = this.#workers.current(command.worker, command.incarnation);
    if (job === undefined || worker === undefined || !worker.offersType(job.spec.name)) return NOTHING;
    const { incarnation, size, retry, at } = command;
    const lease = job.grant({ epoch, worker: command.worker, incarnation, size, retry, at }, this.#emit);
    return lease === null ? NOTHING : { kind: 'granted', epoch: lease.epoch };
  }

  #progress({ cursors }: CommandOf<'progress'>): Outcome {
    const stale: Epoch[] = [];
    const refused: Epoch[] = [];
    for (const headway of cursors) {
      const { epoch } = headway;
      const how = this.#jobOfEpoch.get(epoch)?.progress(headway, this.#emit) ?? 'stale';
      if (how !== 'live') stale.push(epoch);
      if (how === 'refused') refused.push(epoch);
    }
    return { kind: 'progressed', stale, ...(refused.length > 0 && { refused }) };
  }

  #end(command: CommandOf<'complete' | 'fail' | 'release'>): Outcome {
    const job = this.#jobOfEpoch.get(command.epoch);
    if (job === undefined) return refused('STALE_EPOCH', `epoch ${command.epoch} has ended`);
    switch (command.kind) {
      case 'complete':
        return job.complete(command, command.at, this.#emit);
      case 'fail':
        return job.fail(command, command.error, command.at, this.#emit);
      case 'release':
        return job.release(command, command.at, this.#emit);
      default:
        return unreachable(command);
    }
  }

  /** What Masters say. */
  #collect(index: LogIndex, command: CommandOf<'take-master' | 'fold' | 'finish-master' | 'master-failed'>): Outcome {
    const job = this.#jobs.get(command.job);
    if (job === undefined) return refused('JOB_NOT_FOUND', `there is no job ${command.job}`);
    switch (command.kind) {
      case 'take-master':
        return job.takeMaster(index, this.#emit);
      case 'fold':
        return job.fold(command, this.#emit);
      case 'finish-master':
        return job.finishMaster(command, this.#emit);
      case 'master-failed':
        return job.masterFailed(command, this.#emit);
      default:
        return unreachable(command);
    }
  }

  /** Each entry first evicts what it can; with so many outputs more than may be, they are of open jobs. */
  #crowd(): void {
    for (const event of [...this.#events]) {
      if (event.kind === 'outputs-added') this.#jobs.get(event.job)?.crowd(this.#emit);
    }
  }

  /** Keeps the indexes of the table with what its jobs say has happened. */
  #follow(event: TableEvent): void {
    this.#events.push(event);
    if (event.kind === 'task-granted') {
      const job = must(this.#jobs.get(event.job), 'a lease is of a job of the table');
      this.#link(job, must(job.lease(event.epoch), 'a granted lease is live'));
    } else if (event.kind === 'task-ended') {
      this.#jobOfEpoch.delete(event.epoch);
      must(this.#workers.get(event.worker), 'the worker of a lease is in the table').lost(event.epoch);
    } else if (event.kind === 'job-state' && isFinished(event.state)) {
      this.#jobs.finish(event.job);
    } else if (event.kind === 'job-finished') {
      this.#followUp(event.job, event.state);
    } else if (event.kind === 'outputs-added') {
      this.#jobs.countOutputs(event.count);
    } else if (event.kind === 'outputs-folded') {
      this.#jobs.countOutputs(-event.count);
    }
  }

  /** Those that wait for a job that has ended, in the order in which they were submitted. */
  #followUp(id: JobId, how: JobState): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    // After another end the jobs stay, paused: a retry may still lead to the one that they wait for.
    if (how === 'done') this.#waiting.delete(id);
    for (const job of waiting) if (job.view.waitsFor === id) job.followed(how, this.#emit);
  }

  #link(job: Job, task: Task): void {
    assert(!this.#jobOfEpoch.has(task.epoch), 'an epoch is granted once');
    this.#jobOfEpoch.set(task.epoch, job);
    const worker = this.#workers.current(task.worker, task.incarnation);
    must(worker, 'the worker of a lease is in the table').took(task.epoch);
  }

  #jobAt(epoch: Epoch): Job {
    return must(this.#jobOfEpoch.get(epoch), 'a live epoch has a job');
  }
}

function noDataset(name: string): Outcome {
  return refused('NOT_FOUND', `there is no dataset "${name}"`);
}
