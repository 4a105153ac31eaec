/**
 * Output checker: what a cluster says that points emitted, held against what they must have emitted, and by whom.
 *
 * It keeps books of its own: under which epoch each stretch was acknowledged, which copies were counted for which handle,
 * and how far a pipeline was known to have come with a range when it was granted.
 *
 * Checked: the outputs of a job, and what its Master has of them, tile exactly the loud points that are acknowledged, each
 * once, from the epoch that acknowledged them · a Master that asks for order takes in ascending points, and a result holds
 * them all · no job has two schemas · an output that is committed lies on the nodes that were counted, and stays
 * there · a stage whose checkpoint was committed before the grant does not begin again · the table's own invariants.
 * Disks that were taken away excuse the copies on them.
 */
import { must } from '../../src/base/assert.ts';
import type { BlobHash, Handle } from '../../src/base/handle.ts';
import type { Prng } from '../../src/base/prng.ts';
import type { Epoch, JobId, LogIndex, NodeId, Point, Range } from '../../src/base/types.ts';
import { checkTable } from '../../src/ranges/invariants.ts';
import type { Command, Output, TableEvent } from '../../src/ranges/types.ts';
import type { TaskOrder } from '../../src/wire/messages.ts';
import type { JobModel } from './attempt.ts';
import type { AppliedCommand, Auditor } from './auditor.ts';
import { type DataModel, loudPieces, type Made } from './emission.ts';
import type { Takings } from './masters.ts';
import type { Shelves, Stored } from './shelves.ts';
import type { Trace } from './trace.ts';
import { expectThat } from './violation.ts';

/** Few enough that some of them are still on their way into the log. */
const NEWEST_MAX = 4;

export interface OutputCheckerOptions {
  readonly auditor: Auditor;
  readonly trace: Trace;
  readonly takings: Takings;
  readonly shelves: () => Pick<Shelves, 'has'>;
  readonly model: (job: JobId) => JobModel | undefined;
}

export class OutputChecker {
  readonly #options: OutputCheckerOptions;
  /** Nodes whose copies were counted, by what was said of them. */
  readonly #counted = new Map<string, Set<NodeId>>();
  /** Nodes whose copies are counted on. */
  readonly #reliedOn = new Map<BlobHash, Set<NodeId>>();
  readonly #condemned = new Map<BlobHash, LogIndex>();
  /** Stored last. */
  readonly #newest: BlobHash[] = [];
  readonly #made = new Map<JobId, Made[]>();
  /** How often points were made to run again that had come to an end. */
  readonly #retries = new Map<JobId, number>();
  /** The last stage whose checkpoint is committed, by job and range. */
  readonly #stages = new Map<string, number>();
  /** That of its range, when a lease was granted. */
  readonly #stageAtGrant = new Map<Epoch, number>();

  constructor(options: OutputCheckerOptions) {
    this.#options = options;
    options.auditor.onApplied((applied) => this.#applied(applied));
  }

  /** Copies were made on behalf of somebody who is about to tell of them. */
  stored(handle: Handle, { stamp, nodes }: Stored): void {
    const key = keyOf(handle, stamp);
    this.#counted.set(key, new Set([...nodes, ...(this.#counted.get(key) ?? [])]));
    this.#newest.push(handle.hash);
    if (this.#newest.length > NEWEST_MAX) this.#newest.shift();
  }

  wiped(id: NodeId): void {
    for (const nodes of [...this.#counted.values(), ...this.#reliedOn.values()]) nodes.delete(id);
  }

  /** Whether an output or a checkpoint refers to it. */
  holds(hash: BlobHash): boolean {
    return this.#reliedOn.has(hash) && this.#options.auditor.table.isHeld(hash);
  }

  /** Of something that was emitted, most often just now, so that no entry may name it yet; null when nothing was. */
  anyBlob(prng: Prng): BlobHash | null {
    const hashes = prng.chance(0.7) ? this.#newest : [...this.#reliedOn.keys()];
    return hashes.length === 0 ? null : must(hashes[prng.integer(0, hashes.length)], 'one of them');
  }

  /** A keeper has deleted a copy. */
  deleted(id: NodeId, hash: BlobHash): void {
    const isReliedOn = this.holds(hash) && this.#reliedOn.get(hash)?.has(id) === true;
    expectThat(!isReliedOn, () => `${id} deletes its copy of blob ${hash}, and an output or a checkpoint stands on it`);
  }

  stageBegins({ job, epoch, start, end }: TaskOrder, stage: number): void {
    const known = this.#stageAtGrant.get(epoch) ?? -1;
    this.#options.trace.count(
      stage > 0 && known === stage - 1 ? 'stage: goes on behind a checkpoint' : 'stage: begins',
    );
    expectThat(
      stage > known,
      () =>
        `stage ${stage} of job ${job} [${start}, ${end}) runs again under epoch ${epoch}, and ${known} was committed`,
    );
  }

  checkAll(): void {
    for (const [hash, nodes] of this.#reliedOn) {
      if (this.holds(hash)) for (const id of nodes) this.#isThere(id, hash);
    }
    for (const { spec } of this.#options.auditor.table.jobs()) this.#compareAll(spec.id);
  }

  #applied({ index, command, outcome, events }: AppliedCommand): void {
    let isAboutData = false;
    for (const event of events) isAboutData = this.#event(event, index) || isAboutData;
    if (command?.kind === 'progress') for (const one of command.cursors) this.#committed(one.epoch, one.outputs);
    else if (command !== null && 'outputs' in command && 'begun' in command) {
      this.#committed(command.epoch, command.outputs);
    }
    if (command?.kind === 'checkpoint' && events.some(({ kind }) => kind === 'task-checkpointed')) {
      this.#rely(command.checkpoint.handle, command.stamp);
    }
    if (command?.kind === 'retry-job' && outcome.kind === 'ok') {
      this.#retries.set(command.id, (this.#retries.get(command.id) ?? 0) + 1);
    }
    if (command?.kind === 'fold' && outcome.kind !== 'refused') this.#folded(command);
    if (command?.kind === 'finish-master' && outcome.kind !== 'refused') this.#finished(command);
    const isRefused = outcome.kind === 'refused' && outcome.code === 'BLOB_CONDEMNED';
    if ((isRefused && command?.kind !== 'put-dataset') || (outcome.kind === 'progressed' && outcome.refused)) {
      this.#options.trace.count('output: refused');
    }
    if (isAboutData) checkTable(this.#options.auditor.table);
  }

  /** Whether it says something about data. */
  #event(event: TableEvent, index: LogIndex): boolean {
    const { auditor, trace } = this.#options;
    switch (event.kind) {
      case 'task-granted':
        this.#stageAtGrant.set(event.epoch, this.#stages.get(this.#rangeOf(event.epoch)) ?? -1);
        return auditor.table.task(event.epoch)?.checkpoint !== null;
      case 'task-progressed':
        this.#stages.delete(this.#rangeOf(event.epoch));
        return this.#progressed(event.job, event.epoch, event);
      case 'task-checkpointed':
        this.#stages.set(this.#rangeOf(event.epoch), event.stage);
        return true;
      case 'outputs-folded':
        return true;
      case 'master-taken':
        trace.count(auditor.table.job(event.job)?.master?.state ? 'master: taken with a state' : 'master: taken');
        return true;
      case 'range-failed':
        if (event.error.includes('of schema')) trace.count('output: of another schema');
        this.#forgetStages(event.job, event.range);
        return true;
      case 'job-state':
        if (event.state === 'paused' && event.reason?.startsWith('its Master') === true) {
          trace.count('master: paused its job');
        }
        if (event.state === 'cancelled') this.#forgetStages(event.job, null);
        return true;
      case 'job-evicted':
        this.#made.delete(event.job);
        this.#retries.delete(event.job);
        return true;
      case 'blobs-condemned':
        for (const hash of event.hashes) {
          if (this.#reliedOn.delete(hash)) trace.count('output: let go and condemned');
          this.#condemned.set(hash, index);
        }
        return true;
      default:
        return false;
    }
  }

  #progressed(job: JobId, epoch: Epoch, { from, to }: { readonly from: Point; readonly to: Point }): boolean {
    const data = this.#dataOf(job);
    if (data === null) return false;
    const made = loudPieces(data, from, to).map((piece) => ({ ...piece, epoch }));
    this.#made.set(job, [...(this.#made.get(job) ?? []), ...made]);
    const { outputs } = must(this.#options.auditor.table.job(job), 'a job with a lease');
    this.#compare(job, made, piecesOf(outputs.filter((output) => output.start < to && from < output.end)));
    return true;
  }

  #folded({ job, state, stamp, outputs }: Extract<Command, { kind: 'fold' }>): void {
    const { trace } = this.#options;
    trace.count(outputs.length > 1 ? 'master: folded several' : 'master: folded one');
    if (state !== null) this.#rely(state, stamp);
    const { spec } = must(this.#options.auditor.table.job(job), 'a job of which something was folded');
    const taken = this.#options.takings.read(state);
    const isBack = ({ start }: Made, at: number): boolean => at > 0 && must(taken[at - 1], 'there').end > start;
    const back = taken.filter(isBack).length;
    if (back > 0) trace.count('master: took in what was retried');
    // What a retry makes good comes behind what was taken in before it.
    expectThat(
      spec.name !== 'roll' || back <= (this.#retries.get(job) ?? 0),
      () => `the Master of job ${job} took in ${told(taken)}, not in order`,
    );
    this.#compareAll(job);
  }

  #finished({ job, result, stamp }: Extract<Command, { kind: 'finish-master' }>): void {
    this.#options.trace.count('master: finished');
    if (result !== null) this.#rely(result, stamp);
    this.#compare(job, this.#made.get(job) ?? [], this.#options.takings.read(result));
  }

  /** Of a whole job: what its Master has, and what waits for it. */
  #compareAll(job: JobId): void {
    const { outputs, master } = must(this.#options.auditor.table.job(job), 'a job that emits');
    if (this.#dataOf(job) === null) return;
    const taken = this.#options.takings.read(master?.state ?? null);
    this.#compare(job, this.#made.get(job) ?? [], [...taken, ...piecesOf(outputs)]);
  }

  /** What was made must be told by outputs of the same epoch, point for point, and nothing else is told. */
  #compare(job: JobId, made: readonly Made[], told: readonly Made[]): void {
    const [wanted, found] = [textOf(made), textOf(told)];
    expectThat(wanted === found, () => `job ${job} emitted ${wanted}, and what is there of it is ${found}`);
  }

  /** Those of a live lease: what became of the rest of a report shows in the table. */
  #committed(epoch: Epoch, outputs: AppliedOutputs): void {
    const job = this.#options.auditor.leases.get(epoch)?.job;
    const view = job === undefined ? undefined : this.#options.auditor.table.job(job);
    if (view === undefined || outputs.length === 0) return;
    for (const { start, handle, stamp } of outputs) {
      const known = view.outputs.find((output) => output.start === start);
      if (known?.handle.hash === handle.hash && known.handle.rows === handle.rows) this.#rely(handle, stamp);
    }
    if (outputs.length > 1) this.#options.trace.count('output: several in a report');
    this.#options.trace.count('output: committed');
  }

  #rely(handle: Handle, stamp: LogIndex): void {
    const { hash } = handle;
    const reliedOn = this.#reliedOn.get(hash);
    if (stamp < (this.#condemned.get(hash) ?? 0)) {
      this.#options.trace.count('output: on the copies of another');
      return expectThat(
        reliedOn !== undefined,
        () => `blob ${hash} was condemned after ${stamp}, and an output has it`,
      );
    }
    const counted = this.#counted.get(keyOf(handle, stamp));
    expectThat(counted !== undefined, () => `an output has blob ${hash} of stamp ${stamp}, which nobody has stored`);
    for (const id of counted) this.#isThere(id, hash);
    this.#reliedOn.set(hash, new Set([...counted, ...(reliedOn ?? [])]));
  }

  #isThere(id: NodeId, hash: BlobHash): void {
    const isThere = this.#options.shelves().has(id, hash);
    expectThat(isThere, () => `an output or a checkpoint stands on the copy of blob ${hash} on ${id}, which is gone`);
  }

  #forgetStages(job: JobId, range: Range | null): void {
    for (const key of this.#stages.keys()) {
      const [id, start = '', end = ''] = key.split('/');
      const isWithin = range === null || (Number(start) < range.end && range.start < Number(end));
      if (id === job && isWithin) this.#stages.delete(key);
    }
  }

  #rangeOf(epoch: Epoch): string {
    const { job, start, end } = must(this.#options.auditor.leases.get(epoch), 'a lease that was granted');
    return `${job}/${start}/${end}`;
  }

  #dataOf(job: JobId): DataModel | null {
    return this.#options.model(job)?.data ?? null;
  }
}

type AppliedOutputs = readonly (Output & { readonly stamp: LogIndex })[];

function keyOf({ hash, rows }: Handle, stamp: LogIndex): string {
  return `${hash}/${rows}/${stamp}`;
}

function piecesOf(outputs: readonly Output[]): Made[] {
  return outputs.map(({ start, end, handle }) => ({ start, end, epoch: handle.rows }));
}

function told(pieces: readonly Made[]): string {
  return pieces.map(({ start, end, epoch }) => `[${start}, ${end}) of ${epoch}`).join(', ');
}

/** In range order, with neighbours of one epoch as one: however they were cut, equal texts say the same of every point. */
function textOf(pieces: readonly Made[]): string {
  const merged: Made[] = [];
  for (const piece of pieces.toSorted((left, right) => left.start - right.start)) {
    const last = merged.at(-1);
    if (last?.end === piece.start && last.epoch === piece.epoch)
      merged[merged.length - 1] = { ...last, end: piece.end };
    else merged.push(piece);
  }
  return told(merged);
}
