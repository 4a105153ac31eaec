/**
 * What really happens: workers that run points one by one and say so late, wrongly never, or not at all.
 *
 * The model keeps for every point how often it truly ran, and for every lease how far. It obeys the two rules that real
 * workers obey (no point beyond the window of its delivery; nothing after the lease), and everything else is
 * left to the moves. After each of them the table must agree with the truth.
 */
import { isDeepStrictEqual } from 'node:util';
import { expect } from 'vitest';
import { assert, must } from '../../src/base/assert.ts';
import { encodeCommand } from '../../src/ranges/codec.ts';
import { checkTable } from '../../src/ranges/invariants.ts';
import { windowEnd } from '../../src/ranges/lease.ts';
import { JobTable } from '../../src/ranges/table.ts';
import type { Command, JobView, Outcome, Task } from '../../src/ranges/types.ts';
import { jobId, specOf } from './fixtures.ts';

export interface Move {
  readonly kind:
    | 'submit'
    | 'control'
    | 'join'
    | 'expire'
    | 'suspect'
    | 'grant'
    | 'retry'
    | 'again'
    | 'run'
    | 'progress'
    | 'complete'
    | 'fail'
    | 'release'
    | 'late'
    | 'restore';
  /** Two free choices, each folded into what there is to choose from. */
  readonly one: number;
  readonly two: number;
}

const WORKERS = ['w1', 'w2', 'w3'];
const JOBS = 3;
export const POINTS = 40;
const COMMIT_EVERY = 4;

export class ClusterModel {
  readonly table = new JobTable();
  /** Another replica, from the same log. */
  readonly twin = new JobTable();
  /** A replica that takes a snapshot now and then and goes on from there. */
  restored = new JobTable();
  /** Of each point of each job: how often it ran. */
  readonly runs = new Map<string, number[]>();
  /** Of each live lease: first point that has not run under it. */
  readonly ran = new Map<number, number>();
  readonly ended: number[] = [];
  /** Of each job: how many points all its ended leases may have left begun and not acknowledged. */
  readonly exposed = new Map<string, number>();

  move({ kind, one, two }: Move): void {
    switch (kind) {
      case 'submit':
        return this.#submit(one % JOBS, two);
      case 'control':
        this.apply({
          kind: 'control-job',
          at: 1,
          id: jobId(one % JOBS),
          action: pick(['pause', 'resume', 'cancel'], two),
        });
        return;
      case 'join':
        return this.#join(pick(WORKERS, one), two % 5 === 0);
      case 'expire':
        return this.#expire(pick(WORKERS, one), two % 4 === 0);
      case 'suspect':
        return this.#suspect(pick(WORKERS, one), two);
      case 'grant':
        return this.grant(jobId(one % JOBS), pick(WORKERS, two), 1 + (one % 13), null);
      case 'retry':
        return this.#retry(jobId(one % JOBS), pick(WORKERS, two));
      case 'again':
        return this.#again(jobId(one % JOBS), two);
      case 'late':
        return this.#late(one, two);
      case 'restore':
        return this.#restore();
      default:
        return this.#work(kind, one, two);
    }
  }

  /** Applies on all replicas and compares them. */
  apply(command: Command): Outcome {
    const payload = encodeCommand(command);
    const index = this.table.appliedIndex + 1;
    const before = this.#tasks();
    const result = this.table.apply(index, payload);
    for (const replica of [this.twin, this.restored]) {
      const same = isDeepStrictEqual(replica.apply(index, payload), result);
      assert(same, 'replicas give the same outcome and the same events');
    }
    this.#settle(before, command);
    this.#compare();
    return result.outcome;
  }

  grant(job: string, worker: string, size: number, retry: number | null): void {
    const incarnation = this.table.worker(worker)?.incarnation ?? 0;
    const outcome = this.apply({ kind: 'grant', at: 2, job, worker, incarnation, size, retry });
    if (outcome.kind === 'nothing') return;
    const epoch: number = this.table.appliedIndex;
    expect(outcome).toEqual({ kind: 'granted', epoch });
    const task = must(this.table.task(epoch), 'a granted task is live');
    expect(this.ended).not.toContain(epoch);
    if (retry === null) expect(task.end - task.start).toBeLessThanOrEqual(size);
    this.ran.set(epoch, task.start);
  }

  /** Runs what a worker may run before its next commit. */
  run(task: Task, count: number): void {
    const { exposure, options } = this.view(task.job).spec;
    const beginsAll = exposure === 'task' && options.delivery !== 'at-most-once';
    const limit = beginsAll ? task.end : windowEnd(task, options);
    const from = must(this.ran.get(task.epoch), 'a live task is known');
    const to = Math.min(limit, from + count);
    const runs = must(this.runs.get(task.job), 'a job is known');
    for (let point = from; point < to; point++) runs[point]! += 1;
    this.ran.set(task.epoch, Math.max(from, to));
  }

  complete(epoch: number): void {
    for (;;) {
      const task = must(this.table.task(epoch), 'a task to complete is live');
      this.run(task, POINTS);
      const cursor = must(this.ran.get(epoch), 'a live task is known');
      if (cursor === task.end) break;
      const claimed = Math.min(task.end, cursor + COMMIT_EVERY);
      this.apply({ kind: 'progress', at: 3, cursors: [{ epoch, cursor, claimed, outputs: [] }] });
    }
    const { end } = must(this.table.task(epoch), 'a task to complete is live');
    expect(this.apply({ kind: 'complete', outputs: [], at: 3, epoch, cursor: end, begun: end })).toEqual({
      kind: 'ok',
    });
  }

  view(id: string): JobView {
    return must(this.table.job(id), 'a job is known');
  }

  #tasks(): Map<number, Task> {
    const tasks = new Map<number, Task>();
    for (const job of this.table.jobs()) for (const task of job.tasks) tasks.set(task.epoch, task);
    return tasks;
  }

  #submit(number: number, choice: number): void {
    const id = jobId(number);
    const exposure = choice % 3 === 0 ? 'task' : 'window';
    const delivery = choice % 4 === 1 ? 'at-most-once' : 'at-least-once';
    const options = { commitEvery: COMMIT_EVERY, maxAttempts: 2, delivery };
    const fresh = Array.from({ length: POINTS }, () => 0);
    if (!this.runs.has(id)) this.runs.set(id, fresh);
    this.apply({ kind: 'submit-job', stamp: null, at: 1, spec: specOf({ id, end: POINTS, exposure, options }) });
  }

  #join(worker: string, stranger: boolean): void {
    const instanceId = stranger ? 'stranger' : `i-${worker}`;
    const known = this.table.worker(worker);
    const offers = [{ name: 'mail', hash: 'h' }];
    const outcome = this.apply({ kind: 'worker-join', at: 1, worker, instanceId, address: 'h:1', slots: 4, offers });
    const welcome = known === undefined || known.instanceId === instanceId;
    expect(outcome.kind).toBe(welcome ? 'joined' : 'refused');
  }

  #expire(worker: string, late: boolean): void {
    const incarnation = (this.table.worker(worker)?.incarnation ?? 0) - (late ? 1 : 0);
    if (incarnation < 0) return;
    const outcome = this.apply({ kind: 'worker-expire', at: 4, worker, incarnation, reason: 'silence' });
    expect(outcome.kind).toBe(late || incarnation === 0 ? 'nothing' : 'ok');
  }

  #suspect(worker: string, quarters: number): void {
    const incarnation = this.table.worker(worker)?.incarnation ?? 0;
    if (quarters % 2 === 0) this.apply({ kind: 'worker-heard', worker, incarnation });
    else this.apply({ kind: 'worker-suspect', worker, incarnation, quarters: quarters % 5 });
  }

  #retry(job: string, worker: string): void {
    const tried = this.table.job(job)?.returned.find((range) => range.attempts > 0);
    if (tried !== undefined) this.grant(job, worker, 1, tried.start);
  }

  #work(kind: 'run' | 'progress' | 'complete' | 'fail' | 'release', one: number, two: number): void {
    const tasks = [...this.#tasks().values()];
    if (tasks.length === 0) return;
    const task = pick(tasks, one);
    const { epoch } = task;
    if (kind === 'run') return this.run(task, 1 + (two % 5));
    if (kind === 'complete') return this.complete(epoch);
    const begun = must(this.ran.get(epoch), 'a live task is known');
    const cursor = task.cursor + (two % (begun - task.cursor + 1));
    const claimed = Math.min(task.end, cursor + (two % (COMMIT_EVERY + 1)));
    if (kind === 'progress') this.apply({ kind, at: 3, cursors: [{ epoch, cursor, claimed, outputs: [] }] });
    else if (kind === 'release') this.apply({ kind, at: 3, epoch, cursor, begun, outputs: [] });
    else this.apply({ kind, at: 3, epoch, cursor, begun, outputs: [], error: `error ${two % 2}` });
  }

  /** A person wants another try at what went wrong, somewhere or everywhere. */
  #again(job: string, choice: number): void {
    const before = this.table.job(job);
    if (before === undefined) return;
    const { failedPoints, uncertainPoints, run, finishedAt } = before;
    const start = choice % POINTS;
    const range = choice % 3 === 0 ? null : { start, end: start + 1 + (choice % 17) };
    const outcome = this.apply({ kind: 'retry-job', at: 6, id: job, range, uncertain: choice % 2 === 0 });
    if (outcome.kind !== 'ok') return;
    const after = this.view(job);
    const back = failedPoints - after.failedPoints + uncertainPoints - after.uncertainPoints;
    expect(back).toBeGreaterThan(0);
    expect(after.run).toBe(finishedAt === null ? run : run + 1);
    this.exposed.set(job, (this.exposed.get(job) ?? 0) + back);
  }

  /** A paused worker wakes and speaks of a lease that it lost. */
  #late(one: number, two: number): void {
    if (this.ended.length === 0) return;
    const epoch = pick(this.ended, one);
    const before = this.table.snapshot();
    if (two % 2 === 0) {
      const outcome = this.apply({
        kind: 'progress',
        at: 5,
        cursors: [{ epoch, cursor: two % POINTS, claimed: two % POINTS, outputs: [] }],
      });
      expect(outcome).toEqual({ kind: 'progressed', stale: [epoch] });
    } else {
      const outcome = this.apply({ kind: 'complete', outputs: [], at: 5, epoch, cursor: two % POINTS, begun: POINTS });
      expect(outcome).toMatchObject({ kind: 'refused', code: 'STALE_EPOCH' });
    }
    assert(sameBytes(this.table.snapshot(), before), 'a late report changes nothing');
  }

  #restore(): void {
    const bytes = this.restored.snapshot();
    const copy = new JobTable();
    copy.restore(this.restored.appliedIndex, bytes);
    assert(sameBytes(copy.snapshot(), bytes), 'a restored table gives the snapshot it was made of');
    this.restored = copy;
  }

  /** Notes which leases have ended with the command, and what they may have left begun. */
  #settle(before: ReadonlyMap<number, Task>, command: Command): void {
    for (const task of before.values()) {
      if (this.table.task(task.epoch) !== undefined) continue;
      const { spec } = this.view(task.job);
      const said = command.kind === 'fail' || command.kind === 'release' || command.kind === 'complete';
      const cursor = said ? Math.max(task.cursor, command.cursor) : task.cursor;
      const window = spec.exposure === 'task' ? task.end : Math.min(task.end, cursor + COMMIT_EVERY);
      const claims = spec.options.delivery === 'at-most-once';
      const touched = claims ? cursor : said ? command.begun : window;
      this.exposed.set(task.job, (this.exposed.get(task.job) ?? 0) + Math.max(0, touched - cursor));
      this.ended.push(task.epoch);
      this.ran.delete(task.epoch);
    }
  }

  #compare(): void {
    checkTable(this.table);
    const bytes = this.table.snapshot();
    assert(sameBytes(bytes, this.twin.snapshot()), 'two tables of the same log have the same bytes');
    assert(sameBytes(bytes, this.restored.snapshot()), 'a restored table goes on like the others');
    const alive = this.ended.find((epoch) => this.table.task(epoch) !== undefined);
    assert(alive === undefined, 'no epoch lives again');
    for (const job of this.table.jobs()) this.#compareJob(job);
  }

  #compareJob(job: JobView): void {
    const runs = must(this.runs.get(job.spec.id), 'a job is known');
    const times: number[] = Array.from({ length: POINTS }, () => 0);
    for (const range of job.reexecuted) times.fill(range.times, range.start, range.end);
    assert(
      runs.every((count, point) => count - 1 <= times[point]!),
      'no point ran again more often than is recorded',
    );
    const isUncertain = (point: number) => job.uncertain.some(({ start, end }) => start <= point && point < end);
    const ranAll = job.covered.every(({ start, end }) =>
      runs.slice(start, end).every((count, place) => count > 0 || isUncertain(start + place)),
    );
    assert(ranAll, 'every covered point ran, or is uncertain');
    const exposed = this.exposed.get(job.spec.id) ?? 0;
    assert(job.reexecutedPoints <= exposed, 'no more is recorded than ended leases may have left begun');
  }
}

function sameBytes(left: Uint8Array, right: Uint8Array): boolean {
  return Buffer.compare(left, right) === 0;
}

function pick<T>(choices: readonly T[], choice: number): T {
  return choices[choice % choices.length]!;
}
