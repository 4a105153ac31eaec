/**
 * Auditor: holds the promises of section 2 of the design against what was executed.
 *
 * It keeps a job table of its own, fed with every committed entry at the moment the first node applied it, and the
 * history of every lease. The ledger tells it what job hosts really began, and when.
 *
 * Checked: coverage grows only by points that were worked · done means all · the moment a point begins, no later lease
 * of it exists · nothing begins beyond the window · what ran twice is listed · acknowledged cursors are committed · equal
 * applied index means equal bytes · the table's own invariants after each entry.
 */
import { crc32 } from 'node:zlib';
import { must } from '../../src/base/assert.ts';
import { openRecord } from '../../src/base/record.ts';
import type { Epoch, JobId, LogIndex, NodeId, Point, Term } from '../../src/base/types.ts';
import { decodeMemberChange, type Roster } from '../../src/daemon/roster.ts';
import type { Entry } from '../../src/raft/types.ts';
import { decodeCommand } from '../../src/ranges/codec.ts';
import { checkJob } from '../../src/ranges/invariants.ts';
import { JobTable } from '../../src/ranges/table.ts';
import type { Command, JobView, Outcome, Table, TableEvent } from '../../src/ranges/types.ts';
import type { ReportResult } from '../../src/wire/messages.ts';
import type { Electorate } from './electorate.ts';
import { type Block, begunAt, Ledger, type Repeat } from './ledger.ts';
import type { Scheduler } from './scheduler.ts';
import type { Trace } from './trace.ts';
import { expectThat } from './violation.ts';

/** One lease from its grant to long after its end. Times are virtual. */
export interface LeaseRecord {
  readonly epoch: Epoch;
  readonly job: JobId;
  readonly start: Point;
  /** It comes nearer when the task is shrunk. */
  end: Point;
  readonly worker: NodeId;
  readonly grantedAt: number;
  cursor: Point;
  claimed: Point;
  endedAt: number | null;
  endedHow: string | null;
}

export interface AppliedCommand {
  readonly index: LogIndex;
  readonly term: Term;
  /** Virtual time. */
  readonly at: number;
  readonly command: Command | null;
  readonly outcome: Outcome;
  readonly events: readonly TableEvent[];
}

/** Two moments closer than this are one: times are sums of many small ones. */
const ROUNDING_MS = 1e-3;
/** To the table, what an entry that changes the members is. */
const NO_COMMAND = new Uint8Array(0);

export class Auditor {
  readonly table: Table = new JobTable();
  readonly ledger = new Ledger((block, repeats) => this.#executed(block, repeats));
  readonly leases = new Map<Epoch, LeaseRecord>();
  readonly #leasesOfJob = new Map<JobId, LeaseRecord[]>();
  readonly electorate: Electorate;
  readonly #scheduler: Scheduler;
  readonly #trace: Trace;
  /** The first roster that was seen at the present index. */
  #roster: { readonly index: LogIndex; readonly bytes: Uint8Array } | null = null;
  readonly pausedThemselves = new Set<JobId>();
  /** The last run of each job that was announced. */
  readonly #finishedRuns = new Map<JobId, number>();
  readonly #listeners: ((applied: AppliedCommand) => void)[] = [];

  constructor(scheduler: Scheduler, trace: Trace, electorate: Electorate) {
    this.electorate = electorate;
    this.#scheduler = scheduler;
    this.#trace = trace;
    // Formation is a table at index 1.
    this.table.apply(1, new Uint8Array(0));
  }

  onApplied(listener: (applied: AppliedCommand) => void): void {
    this.#listeners.push(listener);
  }

  /** The first node has applied this entry. */
  apply(entry: Entry): void {
    const { payload, index, term } = openRecord(entry.record);
    const change = decodeMemberChange(payload);
    const command = payload.length === 0 || change !== null ? null : decodeCommand(payload);
    const before = command?.kind === 'retry-job' ? copyOf(this.table.job(command.id)) : null;
    const { outcome, events } = this.table.apply(index, change === null ? payload : NO_COMMAND);
    const at = this.#scheduler.now;
    const [first] = change?.change.changes ?? [];
    const kind = first?.kind ?? command?.kind ?? 'no-op';
    this.#trace.line(at, '*', `${index} ${kind} ${first?.id ?? ''}: ${outcome.kind}`);
    this.#trace.count(`applied ${kind}`);
    if (change !== null) this.electorate.apply(change);
    if (command?.kind === 'progress') for (const { epoch } of command.cursors) this.#claimed(epoch);
    if (command?.kind === 'retry-job') this.#retried(before, command);
    if (command?.kind === 'job-notified') this.#notified(command);
    const touched = new Set<JobId>();
    for (const event of events) {
      if ('job' in event) touched.add(event.job);
      this.#event(event);
    }
    for (const id of touched) {
      const job = this.table.job(id);
      if (job !== undefined) checkJob(job);
    }
    for (const listener of this.#listeners) listener({ index, term, at, command, outcome, events });
  }

  #event(event: TableEvent): void {
    switch (event.kind) {
      case 'task-granted':
        return this.#granted(event.job, event.epoch);
      case 'task-progressed': {
        const lease = this.#lease(event.epoch);
        expectThat(
          event.from === lease.cursor,
          () => `epoch ${event.epoch} progressed from ${event.from}, not its cursor`,
        );
        lease.cursor = event.to;
        const missing = this.ledger.missing(event.job, event.from, event.to);
        return expectThat(
          missing === null,
          () => `epoch ${event.epoch} acknowledged point ${missing}, which nobody worked`,
        );
      }
      case 'task-shrunk': {
        const lease = this.#lease(event.epoch);
        expectThat(
          lease.endedAt === null && event.end >= lease.cursor && event.end < lease.end,
          () => `epoch ${event.epoch} of [${lease.cursor}, ${lease.end}) was shrunk to ${event.end}`,
        );
        lease.end = event.end;
        this.#trace.count('task shrunk');
        return;
      }
      case 'task-ended': {
        const lease = this.#lease(event.epoch);
        expectThat(lease.endedAt === null, () => `epoch ${event.epoch} ended twice`);
        lease.endedAt = this.#scheduler.now;
        lease.endedHow = event.how;
        this.#trace.count(`task ${event.how}`);
        return;
      }
      case 'job-state':
        this.#trace.count(`job ${event.state}`);
        if (event.state === 'paused' && event.reason !== 'by request') {
          this.#trace.count('job paused itself');
          this.pausedThemselves.add(event.job);
        }
        if (event.state === 'done') this.#done(must(this.table.job(event.job), 'a job that is done'));
        return;
      case 'job-finished':
        this.#trace.count(event.run > 1 ? 'a later run finished' : 'a first run finished');
        return this.#finished(event.job, event.run);
      default:
        this.#trace.count(event.kind);
    }
  }

  /** What a lease had claimed when it ended still holds for code that has not heard of its end. */
  #claimed(epoch: Epoch): void {
    const lease = this.leases.get(epoch);
    const task = this.table.task(epoch);
    if (lease !== undefined && task !== undefined) lease.claimed = task.claimed;
  }

  /** Nobody strikes off the end of a run that its Master has not taken. */
  #notified({ id, run }: Extract<Command, { kind: 'job-notified' }>): void {
    if (this.table.job(id)?.spec.overseen !== true) return;
    this.#trace.count('a Master was told of an end');
    expectThat(
      this.ledger.wasTold(id, run),
      () => `the Master of ${id} was not told of run ${run}, and it is struck off`,
    );
  }

  /** Only what went wrong is set back, and what is uncertain only for whom asked for it. */
  #retried(before: RetriedJob | null, { id, uncertain }: Extract<Command, { kind: 'retry-job' }>): void {
    const after = this.table.job(id);
    if (before === null || after === undefined) return;
    const again = before.coveredPoints - after.coveredPoints;
    const isAsked = uncertain ? again === before.uncertainPoints - after.uncertainPoints : again === 0;
    expectThat(isAsked, () => `a retry of job ${id} set back ${again} covered points, uncertain: ${uncertain}`);
  }

  /** Each run is announced once, over all leaders. */
  #finished(job: JobId, run: number): void {
    const last = this.#finishedRuns.get(job) ?? 0;
    expectThat(run === last + 1, () => `run ${run} of job ${job} is announced after run ${last}`);
    this.#finishedRuns.set(job, run);
  }

  #granted(job: JobId, epoch: Epoch): void {
    const task = must(this.table.task(epoch), 'a task that was granted');
    const lease: LeaseRecord = {
      epoch,
      job,
      start: task.start,
      end: task.end,
      worker: task.worker,
      grantedAt: this.#scheduler.now,
      cursor: task.start,
      claimed: task.start,
      endedAt: null,
      endedHow: null,
    };
    this.leases.set(epoch, lease);
    const list = this.#leasesOfJob.get(job) ?? [];
    for (const other of list) {
      const overlaps = other.endedAt === null && other.cursor < lease.end && lease.start < other.end;
      expectThat(!overlaps, () => `double lease: epochs ${other.epoch} and ${epoch} both live`);
    }
    list.push(lease);
    this.#leasesOfJob.set(job, list);
  }

  /** Promise 1. */
  #done(job: JobView): void {
    const { start, end, id } = job.spec;
    const only = job.covered.length === 1 ? job.covered[0] : undefined;
    expectThat(only?.start === start && only.end === end, () => `job ${id} is done and does not cover its range`);
    const missing = this.#missing(job, start, end);
    expectThat(missing === null, () => `job ${id} is done and point ${missing} was never worked`);
  }

  // ---- What job hosts did -------------------------------------------------------------------------------------------

  #executed(block: Block, repeats: readonly Repeat[]): void {
    const lease = this.leases.get(block.epoch);
    const what = () => `${block.worker} began [${block.from}, ${block.to}) under epoch ${block.epoch}`;
    expectThat(lease !== undefined, () => `${what()}, which was never granted`);
    expectThat(lease.worker === block.worker && lease.job === block.job, () => `${what()}, a lease of another`);
    expectThat(lease.start <= block.from && block.to <= lease.end, () => `${what()}, beyond its task`);
    expectThat(lease.cursor <= block.from, () => `${what()}, and acknowledged is everything below ${lease.cursor}`);
    const job = must(this.table.job(block.job), 'a job with a lease');
    const { exposure, options } = job.spec;
    const claims = options.delivery === 'at-most-once';
    const windowEnd = claims ? lease.claimed : lease.cursor + options.commitEvery;
    const within = (exposure === 'task' && !claims) || block.to <= windowEnd;
    expectThat(within, () => `${what()}, beyond the window that ends at ${windowEnd}`);
    this.#underLiveLease(block, what);
    for (const repeat of repeats) this.#isListed(job, repeat, what);
  }

  /** Promise 2: the moment a point begins, no later lease of it was granted. */
  #underLiveLease(block: Block, what: () => string): void {
    const leases = this.#leasesOfJob.get(block.job) ?? [];
    for (let at = leases.length - 1; at >= 0; at--) {
      const later = must(leases[at], 'a lease');
      if (later.epoch <= block.epoch) return;
      const last = Math.min(block.to, later.end) - 1;
      if (last < block.from || last < later.start) continue;
      const early = begunAt(block, last) <= later.grantedAt + ROUNDING_MS;
      expectThat(
        early,
        () => `double execution: ${what()}, after epoch ${later.epoch} was granted at ${later.grantedAt}`,
      );
    }
  }

  /** Promise 3. */
  #isListed(job: JobView, repeat: Repeat, what: () => string): void {
    this.#trace.count('points repeated', repeat.to - repeat.from);
    let point = repeat.from;
    for (const listed of job.reexecuted) {
      if (listed.start > point || listed.end <= point) continue;
      if (listed.times < repeat.count - 1) break;
      point = listed.end;
    }
    expectThat(
      point >= repeat.to,
      () => `${what()}, ${point} for time ${repeat.count}, and it is not listed as re-executed`,
    );
  }

  // ---- What the leader said ---------------------------------------------------------------------------------------------

  /** A cursor that a leader acknowledged to a worker is committed. */
  reported(results: readonly ReportResult[]): void {
    for (const { epoch, cursor, state } of results) {
      if (state === 'stale') continue;
      const committed = this.leases.get(epoch)?.cursor ?? -1;
      expectThat(cursor <= committed, () => `epoch ${epoch}: cursor ${cursor} acknowledged, ${committed} committed`);
    }
  }

  /** A replica at the same index has the same bytes. */
  compare(id: NodeId, { table, roster }: { readonly table: Table; readonly roster: Roster }): void {
    if (table.appliedIndex !== this.table.appliedIndex) return;
    this.#compareRoster(id, table.appliedIndex, roster);
    const equal = crc32(table.snapshot()) === crc32(this.table.snapshot());
    expectThat(equal, () => `state hash: ${id} differs at index ${table.appliedIndex}`);
    this.#trace.count('hashes compared');
  }

  #compareRoster(id: NodeId, index: LogIndex, roster: Roster): void {
    const named = roster.members().map((member) => member.id);
    const isWhole =
      named.length === this.electorate.members.size && named.every((one) => this.electorate.members.has(one));
    expectThat(isWhole, () => `roster: ${id} knows ${named.join(' ')} at index ${index}`);
    const bytes = roster.snapshot();
    if (this.#roster?.index !== index) this.#roster = { index, bytes };
    const equal = Buffer.compare(this.#roster.bytes, bytes) === 0;
    expectThat(equal, () => `roster: ${id} has other bytes at index ${index}`);
  }

  /** Everything once more, at the end. */
  checkAll(): void {
    for (const job of this.table.jobs()) {
      checkJob(job);
      if (job.state === 'done') this.#done(job);
      for (const { start, end } of job.covered) {
        const missing = this.#missing(job, start, end);
        expectThat(missing === null, () => `job ${job.spec.id} covers point ${missing}, which nobody worked`);
      }
    }
  }

  /** A covered point that was neither begun nor is uncertain. */
  #missing(job: JobView, start: Point, end: Point): Point | null {
    let from = start;
    for (const uncertain of job.uncertain) {
      if (uncertain.end <= from || uncertain.start >= end) continue;
      const missing = this.ledger.missing(job.spec.id, from, uncertain.start);
      if (missing !== null) return missing;
      from = uncertain.end;
    }
    return this.ledger.missing(job.spec.id, from, end);
  }

  #lease(epoch: Epoch): LeaseRecord {
    return must(this.leases.get(epoch), `epoch ${epoch} was granted`);
  }
}

type RetriedJob = Pick<JobView, 'coveredPoints' | 'uncertainPoints'>;

/** A view shows what is now. */
function copyOf(job: JobView | undefined): RetriedJob | null {
  return job === undefined ? null : { coveredPoints: job.coveredPoints, uncertainPoints: job.uncertainPoints };
}
