/**
 * Whole nodes in virtual time: how soon a word of an operator takes effect, and how soon the last task of a job goes on
 * when its worker is lost.
 */
import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import type { Done } from '../../src/daemon/api.ts';
import type { Node } from '../../src/daemon/node.ts';
import type { JobView } from '../../src/ranges/types.ts';
import { jobId, type SpecChanges, specOf } from '../ranges/fixtures.ts';
import { BusyExecutor } from './busy-executor.ts';
import { type Life, NodeCluster } from './node-cluster.ts';

const TTL = 4_000;
const SECOND = 1_000;

/** Three voters that only vote, and workers that work. */
class Plant {
  readonly cluster = new NodeCluster('n1', 'n2', 'n3');
  readonly begun = new Map<number, number>();
  readonly workers: BusyExecutor[] = [];

  constructor(workers: readonly string[], { slots = 4, msPerPoint = 10 } = {}) {
    for (const id of ['n1', 'n2', 'n3']) this.cluster.start(id, { sessionTtlMs: TTL });
    this.cluster.awaitLeader();
    for (const id of workers) this.hire(id, { slots, msPerPoint });
    this.until(() => [...this.table.workers()].length === workers.length, 'all have joined');
  }

  hire(id: string, { slots = 4, msPerPoint = 10 } = {}): BusyExecutor {
    const executor = new BusyExecutor(this.cluster.time, msPerPoint, this.begun);
    this.cluster.start(id, { slots, sessionTtlMs: TTL }, executor);
    this.workers.push(executor);
    return executor;
  }

  get leader(): Life {
    return this.cluster.awaitLeader();
  }

  get table() {
    return must(this.leader.node.replica, 'a leader is a replica').table;
  }

  job(number = 1): JobView {
    return must(this.table.job(jobId(number)), 'it was submitted');
  }

  /** Says something to the leader, and waits for its answer. */
  ask(say: (node: Node, done: Done<unknown>) => void): void {
    let answer: boolean | null = null;
    say(this.leader.node, (result) => {
      answer = result.ok;
    });
    this.until(() => answer !== null, 'it is answered');
    expect(answer).toBe(true);
  }

  submit(changes: SpecChanges): void {
    this.ask((node, done) => node.submit(specOf(changes), done));
  }

  until(isSo: () => boolean, what: string): number {
    const from = this.cluster.time.now();
    this.cluster.until(isSo, what);
    return this.cluster.time.now() - from;
  }

  get running(): number {
    return this.workers.reduce((sum, worker) => sum + worker.running, 0);
  }
}

describe('within a second', () => {
  const LARGE = { end: 1e9, options: { taskSize: 100_000 } };

  test('a pause stops every task, and a resume starts as many', () => {
    const plant = new Plant(['w1', 'w2']);
    plant.submit(LARGE);
    plant.until(() => plant.running === 8, 'all slots work');
    plant.ask((node, done) => node.control(jobId(1), 'pause', done));
    expect(plant.until(() => plant.running === 0, 'nothing runs')).toBeLessThan(SECOND);
    plant.ask((node, done) => node.control(jobId(1), 'resume', done));
    expect(plant.until(() => plant.running === 8, 'all slots work again')).toBeLessThan(SECOND);
  });

  test('a cancel stops every task', () => {
    const plant = new Plant(['w1', 'w2']);
    plant.submit(LARGE);
    plant.until(() => plant.running === 8, 'all slots work');
    plant.ask((node, done) => node.control(jobId(1), 'cancel', done));
    expect(plant.until(() => plant.running === 0, 'nothing runs')).toBeLessThan(SECOND);
  });

  test('another concurrency is kept, downwards and upwards', () => {
    const plant = new Plant(['w1', 'w2']);
    plant.submit(LARGE);
    plant.until(() => plant.running === 8, 'all slots work');
    plant.ask((node, done) => node.set(jobId(1), { maxConcurrency: 3 }, done));
    expect(plant.until(() => plant.running === 3, 'three tasks run')).toBeLessThan(SECOND);
    plant.cluster.time.pass(5 * SECOND);
    expect(plant.running).toBe(3);
    plant.ask((node, done) => node.set(jobId(1), { maxConcurrency: 6 }, done));
    expect(plant.until(() => plant.running === 6, 'six tasks run')).toBeLessThan(SECOND);
  });

  test('another rate is kept', () => {
    const plant = new Plant(['w1', 'w2']);
    plant.submit(LARGE);
    plant.until(() => plant.running === 8, 'all slots work');
    plant.ask((node, done) => node.set(jobId(1), { pointsPerSecond: 50 }, done));
    plant.cluster.time.pass(SECOND);
    const before = plant.begun.size;
    plant.cluster.time.pass(10 * SECOND);
    const begun = plant.begun.size - before;
    // What was granted in the first second may be worked in the next one.
    expect(begun).toBeLessThanOrEqual(50 * 11);
    expect(begun).toBeGreaterThan(50 * 8);
  });

  test('a job that is more urgent gets the next slots', () => {
    const plant = new Plant(['w1', 'w2']);
    plant.submit({ end: 1e9, options: { taskSize: 20 } });
    plant.submit({ ...LARGE, id: jobId(2) });
    plant.until(() => plant.job(2).tasks.length === 4, 'they share');
    plant.ask((node, done) => node.set(jobId(2), { priority: 1 }, done));
    expect(plant.until(() => plant.job(2).tasks.length === 8, 'it has all slots')).toBeLessThan(SECOND);
  });

  test('every grant follows another priority; tasks of the default size that run end first, after about five seconds', () => {
    const plant = new Plant(['w1', 'w2'], { slots: 1 });
    plant.submit({ end: 1e9 });
    plant.submit({ end: 1e9, id: jobId(2) });
    const isLarge = () => plant.job().tasks.some(({ start, end }) => end - start >= 400);
    plant.until(isLarge, 'its tasks have grown to some five seconds');
    const from = plant.cluster.time.now();
    plant.ask((node, done) => node.set(jobId(2), { priority: 1 }, done));
    plant.cluster.time.pass(SECOND);
    const { frontier, tasks } = plant.job();
    expect(tasks).not.toEqual([]);
    plant.until(() => plant.job().tasks.length === 0, 'what ran has ended');
    expect(plant.cluster.time.now() - from).toBeLessThan(6 * SECOND);
    plant.cluster.time.pass(2 * SECOND);
    // Nothing new was granted, and nothing came back.
    expect(plant.job()).toMatchObject({ frontier, coveredPoints: frontier, tasks: [], returned: [] });
    expect(plant.job(2).tasks).toHaveLength(2);
  });

  test('a drained worker holds nothing, its work goes on elsewhere, and it stays', () => {
    const plant = new Plant(['w1', 'w2']);
    plant.submit({ ...LARGE, options: { taskSize: 100_000, maxConcurrency: 4 } });
    plant.until(() => plant.running === 4, 'it works');
    const asked = plant.cluster.time.now();
    plant.ask((node, done) => node.drainWorker('w1', true, done));
    plant.until(() => plant.workers[0]?.running === 0 && plant.workers[1]?.running === 4, 'the other one works');
    expect(plant.cluster.time.now() - asked).toBeLessThan(SECOND);
    plant.cluster.time.pass(2 * TTL);
    expect(plant.leader.node.workers()).toMatchObject([
      { id: 'w1', busy: 0, draining: true },
      { id: 'w2', busy: 4, draining: false },
    ]);
    plant.ask((node, done) => node.drainWorker('w1', false, done));
    plant.ask((node, done) => node.set(jobId(1), { maxConcurrency: null }, done));
    expect(plant.until(() => plant.running === 8, 'both work')).toBeLessThan(SECOND);
  });
});

describe('the last task', () => {
  test('goes on elsewhere within a TTL and a quarter of a second of the death of its worker', () => {
    const plant = new Plant(['w1', 'w2', 'w3'], { slots: 1 });
    plant.submit({ end: 10_000, options: { taskSize: 10_000, maxConcurrency: 1 } });
    plant.until(() => plant.job().coveredPoints > 500, 'it is under way');
    const holder = must(plant.job().tasks[0], 'it is the last one').worker;
    plant.cluster.kill(holder);
    const isElsewhere = () => plant.job().tasks.some(({ worker }) => worker !== holder);
    expect(plant.until(isElsewhere, 'another works on it')).toBeLessThanOrEqual(TTL + 250);
  });

  test('is shared by all that are idle, no point of it is begun twice, and the job ends sooner', () => {
    const plant = new Plant(['w1', 'w2', 'w3', 'w4'], { slots: 1 });
    plant.submit({ end: 2_000, options: { taskSize: 2_000 } });
    // Alone it would take twenty seconds.
    expect(plant.until(() => plant.job().state === 'done', 'it is done')).toBeLessThan(9 * SECOND);
    expect(plant.begun.size).toBe(2_000);
    expect(Math.max(...plant.begun.values())).toBe(1);
    expect(plant.job().reexecutedPoints).toBe(0);
  });

  test('of a worker that is much slower than the others is taken off it', () => {
    const plant = new Plant(['w1', 'w2', 'w3'], { slots: 1, msPerPoint: 1 });
    plant.hire('slow', { slots: 1, msPerPoint: 1_000 });
    plant.submit({ end: 4_000, options: { taskSize: 1_000 } });
    plant.until(() => plant.job().state === 'done', 'it is done');
    expect(Math.max(...plant.begun.values())).toBe(1);
  });
});

test('a worker and then the leader are killed, and the job is done', () => {
  const plant = new Plant(['w1', 'w2'], { slots: 2 });
  plant.submit({ end: 2_000, options: { taskSize: 250, commitEvery: 10 } });
  plant.until(() => plant.job().coveredPoints > 200, 'it is under way');
  plant.cluster.kill('w1');
  plant.cluster.time.pass(SECOND);
  plant.cluster.kill(plant.leader.node.id);
  plant.until(() => plant.job().state === 'done', 'it is done');
  const again = [...plant.begun.values()].reduce((sum, times) => sum + times - 1, 0);
  expect(plant.begun.size).toBe(2_000);
  // Two slots of one lost worker.
  expect(again).toBeLessThanOrEqual(2 * 10);
});

test('a schedule submits its job in time, whoever leads', () => {
  const plant = new Plant(['w1']);
  const { id: _id, ...spec } = specOf({ end: 10 });
  const every = { key: 'k', cron: '*/10 * * * * *', timeZone: 'UTC', spec };
  plant.ask((node, done) => node.putSchedule(every, done));
  plant.until(() => [...plant.table.jobs()].length === 1, 'the first one came');
  plant.cluster.kill(plant.leader.node.id);
  const isNext = () => [...plant.table.jobs()].length === 2;
  expect(plant.until(isNext, 'the next one came')).toBeLessThan(10.2 * SECOND);
  plant.until(() => [...plant.table.jobs()].every((job) => job.state === 'done'), 'both are done');
});

test('whoever waits for the end of a job is told, though the leader is killed in the midst of telling', () => {
  const plant = new Plant(['w1']);
  plant.submit({ end: 10, options: { onDone: 'http://crm/done' } });
  const first = plant.leader;
  plant.until(() => first.hand.probe.asked.length === 1, 'it is told');
  const said = first.hand.probe.asked[0]?.request;
  plant.cluster.kill(first.node.id);
  const next = plant.leader;
  plant.until(() => next.hand.probe.asked.length === 1, 'it is told again');
  expect(next.hand.probe.asked[0]?.request).toEqual(said);
  next.hand.probe.reply({ kind: 'answered', status: 200, text: '' });
  plant.until(() => plant.job().untold.length === 0, 'it is struck off');
});
