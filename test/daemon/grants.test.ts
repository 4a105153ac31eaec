import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { BUCKET_CHUNK_MS, GRANTS_IN_FLIGHT_MAX, RETRY_MS_MIN } from '../../src/base/limits.ts';
import { createPrng } from '../../src/base/prng.ts';
import { type GrantCommand, Grants } from '../../src/daemon/grants.ts';
import { Pace } from '../../src/daemon/pace.ts';
import { Vacancies } from '../../src/daemon/vacancies.ts';
import type { Controls } from '../../src/ranges/types.ts';
import { jobId, MAIL, Pen, type SpecChanges } from '../ranges/fixtures.ts';

/** A leader's grants over a table, at a time that the test sets. */
class Desk {
  readonly pen = new Pen();
  readonly pace = new Pace();
  readonly held = new Set<string>();
  readonly behind = new Set<string>();
  readonly vacancies: Vacancies = new Vacancies({
    table: this.pen.table,
    freeSlots: (worker) => this.grants.freeSlots(worker),
  });
  readonly grants = new Grants({
    table: this.pen.table,
    pace: this.pace,
    prng: createPrng(1),
    vacancies: this.vacancies,
    isHeld: (job) => this.held.has(job),
    isBehind: ({ spec }) => this.behind.has(spec.id),
    leasesMax: ({ slots }) => slots,
  });
  now = 0;

  constructor(workers: readonly string[], jobs: readonly SpecChanges[]) {
    for (const worker of workers) this.join(worker);
    for (const job of jobs) this.pen.submit(job);
  }

  join(worker: string, names?: readonly string[]): void {
    this.pen.join(worker, names);
    this.vacancies.staffChanged();
  }

  /** The stamp is the time; every worker was heard of. */
  plan(): GrantCommand[] {
    for (const { id } of this.pen.table.workers()) this.vacancies.note(id);
    return this.grants.plan({ now: this.now, at: Math.floor(this.now) });
  }

  set(changes: Partial<Controls>, id = jobId(1)): void {
    this.pen.apply({ kind: 'set-job', id, changes });
  }

  /** Commits planned grants, and gives their epochs; null where one found nothing. */
  commit(planned: readonly GrantCommand[]): (number | null)[] {
    return planned.map((grant) => {
      const outcome = this.pen.apply(grant);
      if (outcome.kind !== 'granted') {
        this.grants.settled(grant, 0, this.now);
        return null;
      }
      const { start, end } = must(this.pen.table.task(outcome.epoch), 'what was granted is live');
      this.grants.settled(grant, end - start, this.now);
      return outcome.epoch;
    });
  }
}

function slotsOf(planned: readonly GrantCommand[]): { readonly [job: string]: number } {
  const slots: { [job: string]: number } = {};
  for (const { job } of planned) slots[Number(job.slice(-3))] = (slots[Number(job.slice(-3))] ?? 0) + 1;
  return slots;
}

const LARGE = { end: 1e9 };

describe('which job', () => {
  test('the job with the fewest slots goes first', () => {
    const desk = new Desk(['w1'], [{ ...LARGE, id: jobId(1) }]);
    desk.commit(desk.plan().slice(0, 9));
    desk.pen.submit({ ...LARGE, id: jobId(2) });
    desk.join('w2');
    expect(slotsOf(desk.plan())).toEqual({ 2: 9 });
  });

  test('equals share, and the odd slot goes to the one submitted first', () => {
    const desk = new Desk(['w1'], [LARGE, { ...LARGE, id: jobId(2) }]);
    expect(slotsOf(desk.plan())).toEqual({ 1: 5, 2: 4 });
  });

  test('slots in flight count', () => {
    const desk = new Desk(['w1'], [LARGE, { ...LARGE, id: jobId(2) }]);
    expect(slotsOf(desk.plan())).toEqual({ 1: 5, 2: 4 });
    desk.join('w2');
    expect(slotsOf(desk.plan())).toEqual({ 1: 4, 2: 5 });
  });

  test('a job that no worker offers is not granted, and keeps nobody from the others', () => {
    const desk = new Desk(
      ['w1'],
      [
        { ...LARGE, name: 'unknown' },
        { ...LARGE, id: jobId(2) },
      ],
    );
    expect(slotsOf(desk.plan())).toEqual({ 2: 9 });
  });

  test('a paused, a cancelled and a done job are not granted; a resumed one is', () => {
    const desk = new Desk(['w1'], [LARGE, { ...LARGE, id: jobId(2) }, { id: jobId(3), end: 1 }]);
    desk.pen.control('pause', jobId(1));
    desk.pen.control('cancel', jobId(2));
    desk.pen.complete(desk.pen.grant(1, { job: jobId(3) }));
    expect(desk.plan()).toEqual([]);
    desk.pen.control('resume', jobId(1));
    expect(slotsOf(desk.plan())).toEqual({ 1: 9 });
  });
});

test('of a job whose Master is behind nothing new is granted, and what came back is', () => {
  const desk = new Desk(['w1'], [{ ...LARGE, options: { taskSize: 10 } }]);
  const epoch = desk.pen.grant(10, { job: jobId(1) });
  desk.behind.add(jobId(1));
  expect(desk.plan()).toEqual([]);
  desk.pen.release(epoch, 0, 0);
  expect(desk.plan()).toMatchObject([{ job: jobId(1), size: 10 }]);
  desk.behind.clear();
  // The first plan is still under way.
  expect(desk.plan()).toHaveLength(8);
});

describe('priority and weight', () => {
  test('a higher priority goes first, strictly; what is left goes to the next', () => {
    const desk = new Desk(
      ['w1'],
      [LARGE, { id: jobId(2), end: 5, options: { taskSize: 1, priority: 1 } }, { ...LARGE, id: jobId(3) }],
    );
    expect(slotsOf(desk.plan())).toEqual({ 1: 2, 2: 5, 3: 2 });
  });

  test('a job of high priority that can be given nothing keeps nobody from the others', () => {
    const options = { priority: 100 };
    const desk = new Desk(
      ['w1'],
      [
        { ...LARGE, options: { ...options, pointsPerSecond: 1 } },
        { ...LARGE, id: jobId(2), options },
        { ...LARGE, id: jobId(3), options: { ...options, at: 5_000 } },
        { ...LARGE, id: jobId(4), name: 'unknown', options },
        { ...LARGE, id: jobId(5), options: { ...options, maxConcurrency: 1 } },
        { ...LARGE, id: jobId(6) },
      ],
    );
    desk.held.add(jobId(2));
    expect(slotsOf(desk.plan())).toEqual({ 5: 1, 6: 8 });
  });

  test('slots are shared by weight', () => {
    const desk = new Desk(['w1'], [LARGE, { ...LARGE, id: jobId(2), options: { weight: 2 } }]);
    expect(slotsOf(desk.plan())).toEqual({ 1: 3, 2: 6 });
  });

  test('what is set while a job runs counts from the next grant on', () => {
    const desk = new Desk(['w1'], [LARGE, { ...LARGE, id: jobId(2) }]);
    const planned = desk.plan();
    desk.commit(planned);
    desk.join('w2');
    desk.set({ weight: 3 }, jobId(2));
    expect(slotsOf(desk.plan())).toEqual({ 2: 9 });
    desk.join('w3');
    desk.set({ priority: 1 });
    expect(slotsOf(desk.plan())).toEqual({ 1: 9 });
  });
});

describe('limits of a job', () => {
  test('live tasks and those in flight are no more than its concurrency', () => {
    const desk = new Desk(['w1'], [{ ...LARGE, options: { maxConcurrency: 3 } }]);
    const planned = desk.plan();
    expect(planned).toHaveLength(3);
    expect(desk.plan()).toEqual([]);
    desk.commit(planned);
    expect(desk.plan()).toEqual([]);
    desk.set({ maxConcurrency: 5 });
    expect(desk.plan()).toHaveLength(2);
  });

  test('grants are cut to the bucket, and the leader knows when the next one can be made', () => {
    const desk = new Desk(['w1'], [{ ...LARGE, options: { pointsPerSecond: 40, taskSize: 1_000 } }]);
    expect(desk.plan()).toEqual([]);
    expect(desk.grants.nextLookAt).toBe(BUCKET_CHUNK_MS);
    desk.now = BUCKET_CHUNK_MS;
    expect(desk.plan()).toMatchObject([{ size: 10 }]);
    expect(desk.grants.nextLookAt).toBe(2 * BUCKET_CHUNK_MS);
    desk.now = 60_000;
    // A whole second has gathered, and no more.
    expect(desk.plan()).toMatchObject([{ size: 40 }]);
  });

  test('whatever happens, the points granted are no more than the rate times the time', () => {
    const desk = new Desk(['w1', 'w2'], [{ ...LARGE, options: { pointsPerSecond: 100 } }]);
    const prng = createPrng(3);
    let granted = 0;
    for (; desk.now < 60_000; desk.now += prng.integer(1, 200)) {
      for (const epoch of desk.commit(desk.plan())) {
        const task = must(epoch === null ? null : desk.pen.table.task(epoch), 'nothing else changes the job');
        granted += task.end - task.start;
        if (prng.chance(0.2)) desk.pen.release(task.epoch, task.start, task.start);
        else if (prng.chance(0.5)) desk.pen.complete(task.epoch);
      }
      for (const task of desk.pen.job().tasks.slice(0, -6)) desk.pen.complete(task.epoch);
      expect(granted).toBeLessThanOrEqual(desk.now / 10 + 1e-3);
    }
    expect(granted).toBeGreaterThan(5_000);
  });

  test('a failed range larger than the bucket is granted whole once the bucket is full', () => {
    const desk = new Desk(['w1'], [{ end: 100, options: { pointsPerSecond: 20, taskSize: 100 } }]);
    const epoch = desk.pen.grant(100);
    desk.pen.fail(epoch, 0, 100);
    expect(desk.plan()).toEqual([]);
    desk.now = 999;
    desk.plan();
    expect(desk.grants.nextLookAt).toBe(1_000);
    desk.now = 1_000;
    const planned = desk.plan();
    expect(planned).toMatchObject([{ retry: 0, size: 100 }]);
    desk.pen.fail(must(desk.commit(planned)[0], 'it was granted'), 0, 100);
    // It owes four seconds, and then the bucket has to fill.
    desk.now = 5_999;
    expect(desk.plan()).toEqual([]);
  });

  test('a job that comes after another waits until that is done', () => {
    const desk = new Desk(
      ['w1'],
      [
        { end: 1, options: { taskSize: 1 } },
        { ...LARGE, id: jobId(2), options: { after: jobId(1) } },
      ],
    );
    const [first] = desk.commit(desk.plan());
    expect(desk.plan()).toEqual([]);
    desk.pen.complete(must(first, 'it was granted'));
    expect(slotsOf(desk.plan())).toEqual({ 2: 9 });
  });

  test('a time before which a job may not begin is waited for', () => {
    const desk = new Desk(['w1'], [{ ...LARGE, options: { at: 7_000 } }]);
    desk.now = 2_000;
    expect(desk.plan()).toEqual([]);
    expect(desk.grants.nextLookAt).toBe(7_000);
    desk.now = 7_000;
    desk.pen.at = 7_000;
    expect(desk.commit(desk.plan())).not.toContain(null);
  });
});

describe('which worker', () => {
  test('a small job is spread over the workers, slot by slot', () => {
    const desk = new Desk(['w1', 'w2', 'w3'], [{ end: 3, options: { taskSize: 1 } }]);
    expect(desk.plan().map((grant) => grant.worker)).toEqual(['w1', 'w2', 'w3']);
  });

  test('a worker gets no more than its slots, live and in flight together', () => {
    const desk = new Desk(['w1'], [LARGE]);
    const planned = desk.plan();
    expect(planned).toHaveLength(9);
    expect(desk.plan()).toEqual([]);
    desk.commit(planned);
    expect(desk.plan()).toEqual([]);
    desk.pen.release(desk.pen.job().tasks[0]?.epoch ?? 0, 0, 0);
    expect(desk.plan()).toHaveLength(1);
  });

  test('no more grants than their limit are on their way, however many workers are free', () => {
    const names = Array.from({ length: GRANTS_IN_FLIGHT_MAX + 40 }, (_, at) => `w${String(at).padStart(4, '0')}`);
    const desk = new Desk(names, [LARGE]);
    expect(desk.plan()).toHaveLength(GRANTS_IN_FLIGHT_MAX);
    expect(desk.plan()).toEqual([]);
  });
});

describe('a plan', () => {
  test('looks at no worker of which nothing was heard since it was found full', () => {
    const names = Array.from({ length: 30 }, (_, at) => `w${String(at).padStart(4, '0')}`);
    const desk = new Desk(names, [LARGE, { ...LARGE, id: jobId(2) }]);
    for (let planned = desk.plan(); planned.length > 0; planned = desk.plan()) desk.commit(planned);
    let looks = 0;
    const { table } = desk.pen;
    const looked = table.worker.bind(table);
    table.worker = (id) => {
      looks++;
      return looked(id);
    };
    desk.pen.complete(must(desk.pen.job().tasks[0], 'it has tasks').epoch);
    desk.vacancies.note('w0007');
    expect(desk.grants.plan({ now: 0, at: 0 })).toEqual([]);
    desk.vacancies.note('w0000');
    looks = 0;
    expect(desk.grants.plan({ now: 0, at: 0 })).toMatchObject([{ worker: 'w0000' }]);
    expect(looks).toBeLessThan(5);
  });
});

describe('how much', () => {
  test('a fixed task size is kept', () => {
    const desk = new Desk(['w1'], [{ ...LARGE, options: { taskSize: 7 } }]);
    expect(new Set(desk.plan().map((grant) => grant.size))).toEqual(new Set([7]));
  });

  test('points that grants in flight will take are not given out twice', () => {
    const desk = new Desk(['w1', 'w2'], [{ end: 3, options: { taskSize: 1 } }]);
    const planned = desk.plan();
    expect(planned).toHaveLength(3);
    expect(desk.plan()).toEqual([]);
    expect(desk.commit(planned)).not.toContain(null);
  });
});

describe('a range that failed', () => {
  /** A job of one task that has failed once. */
  function failedOnce(): Desk {
    const desk = new Desk(['w1'], [{ end: 10, options: { taskSize: 10 } }]);
    const [epoch] = desk.commit(desk.plan());
    desk.pen.fail(epoch ?? 0, 3, 10);
    return desk;
  }

  test('waits for its back-off, and the leader knows when that ends', () => {
    const desk = failedOnce();
    expect(desk.plan()).toEqual([]);
    const at = desk.grants.nextLookAt;
    expect(at).toBeGreaterThanOrEqual(RETRY_MS_MIN / 2);
    expect(at).toBeLessThanOrEqual(RETRY_MS_MIN);
    desk.now = at - 1;
    expect(desk.plan()).toEqual([]);
    desk.now = at;
    expect(desk.plan()).toMatchObject([{ retry: 3, size: 7 }]);
  });

  test('waits longer after each failure', () => {
    const desk = failedOnce();
    desk.plan();
    desk.now = desk.grants.nextLookAt;
    const [epoch] = desk.commit(desk.plan());
    desk.pen.fail(epoch ?? 0, 3, 10);
    desk.plan();
    expect(desk.grants.nextLookAt - desk.now).toBeGreaterThanOrEqual(RETRY_MS_MIN);
  });

  test('is on its way once only, however long the log takes', () => {
    const desk = failedOnce();
    desk.plan();
    desk.now = desk.grants.nextLookAt;
    const planned = desk.plan();
    expect(planned).toHaveLength(1);
    desk.now += 60_000;
    expect(desk.plan()).toEqual([]);
    desk.now += 60_000;
    expect(desk.plan()).toEqual([]);
    expect(desk.commit(planned)).not.toContain(null);
  });

  test('and failed again is another one, though it begins at the same point and has as many points', () => {
    const desk = new Desk(['w1'], [{ end: 1, options: { taskSize: 1, maxAttempts: 5 } }]);
    desk.pen.fail(must(desk.commit(desk.plan())[0], 'it was granted'), 0, 1);
    desk.plan();
    desk.now = desk.grants.nextLookAt;
    const retried = must(desk.commit(desk.plan())[0], 'it was granted again');
    // Nobody looked between the two failures.
    desk.pen.fail(retried, 0, 1);
    expect(desk.plan()).toEqual([]);
    expect(desk.grants.nextLookAt - desk.now).toBeGreaterThanOrEqual(RETRY_MS_MIN);
  });

  test('does not keep the rest of its job waiting', () => {
    const desk = new Desk(['w1'], [{ end: 1_000, options: { taskSize: 10 } }]);
    const [first] = desk.commit(desk.plan());
    desk.pen.fail(first ?? 0, 0, 1);
    expect(desk.plan()).toMatchObject([{ retry: null, size: 10 }]);
  });
});

describe('a grant that found nothing', () => {
  test('lets its job rest, so that a wrong guess does not spin', () => {
    const desk = new Desk(['w1'], [LARGE]);
    const planned = desk.plan();
    desk.pen.control('pause');
    expect(new Set(desk.commit(planned))).toEqual(new Set([null]));
    desk.pen.control('resume');
    expect(desk.plan()).toEqual([]);
    expect(desk.grants.nextLookAt).toBeGreaterThan(desk.now);
    desk.now = desk.grants.nextLookAt;
    expect(desk.plan()).toHaveLength(9);
  });

  test('wakes nobody while no slot is free', () => {
    const desk = new Desk(['w1'], [LARGE, { ...LARGE, id: jobId(2), name: 'other' }]);
    desk.join('w2', [MAIL, 'other']);
    desk.commit(desk.plan());
    const [task] = desk.pen.job().tasks;
    desk.pen.fail(task?.epoch ?? 0, 0, 1);
    desk.commit(desk.plan());
    desk.now = 1e9;
    desk.commit(desk.plan());
    expect(desk.plan()).toEqual([]);
    expect(desk.grants.nextLookAt).toBe(Number.POSITIVE_INFINITY);
  });
});
