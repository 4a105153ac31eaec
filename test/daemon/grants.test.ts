import { describe, expect, test } from 'vitest';
import { GRANTS_IN_FLIGHT_MAX, RETRY_MS_MIN } from '../../src/base/limits.ts';
import { createPrng } from '../../src/base/prng.ts';
import { type GrantCommand, Grants } from '../../src/daemon/grants.ts';
import { Pace } from '../../src/daemon/pace.ts';
import type { WorkerView } from '../../src/ranges/types.ts';
import { jobId, MAIL, Pen, type SpecChanges } from '../ranges/fixtures.ts';

/** A leader's grants over a table, at a time that the test sets. */
class Desk {
  readonly pen = new Pen();
  readonly pace = new Pace();
  readonly grants = new Grants({ table: this.pen.table, pace: this.pace, prng: createPrng(1) });
  now = 0;

  constructor(workers: readonly string[], jobs: readonly SpecChanges[]) {
    for (const worker of workers) this.pen.join(worker);
    for (const job of jobs) this.pen.submit(job);
  }

  plan(workers: Iterable<WorkerView> = this.pen.table.workers()): GrantCommand[] {
    return this.grants.plan([...workers], this.now, 0);
  }

  /** Commits planned grants, and gives their epochs; null where one found nothing. */
  commit(planned: readonly GrantCommand[]): (number | null)[] {
    return planned.map((grant) => {
      const outcome = this.pen.apply(grant);
      this.grants.settled(grant, outcome.kind === 'granted', this.now);
      return outcome.kind === 'granted' ? outcome.epoch : null;
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
    desk.pen.join('w2');
    expect(slotsOf(desk.plan())).toEqual({ 2: 9 });
  });

  test('equals share, and the odd slot goes to the one submitted first', () => {
    const desk = new Desk(['w1'], [LARGE, { ...LARGE, id: jobId(2) }]);
    expect(slotsOf(desk.plan())).toEqual({ 1: 5, 2: 4 });
  });

  test('slots in flight count', () => {
    const desk = new Desk(['w1', 'w2'], [LARGE, { ...LARGE, id: jobId(2) }]);
    const [w1] = desk.pen.table.workers();
    desk.plan(w1 === undefined ? [] : [w1]);
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
    const at = desk.grants.nextRetryAt;
    expect(at).toBeGreaterThanOrEqual(RETRY_MS_MIN / 2);
    expect(at).toBeLessThanOrEqual(RETRY_MS_MIN);
    desk.now = at - 1;
    expect(desk.plan()).toEqual([]);
    desk.now = at;
    expect(desk.plan()).toMatchObject([{ retry: 3, size: 1 }]);
  });

  test('waits longer after each failure', () => {
    const desk = failedOnce();
    desk.plan();
    desk.now = desk.grants.nextRetryAt;
    const [epoch] = desk.commit(desk.plan());
    desk.pen.fail(epoch ?? 0, 3, 4);
    desk.plan();
    expect(desk.grants.nextRetryAt - desk.now).toBeGreaterThanOrEqual(RETRY_MS_MIN);
  });

  test('is on its way once only, however long the log takes', () => {
    const desk = failedOnce();
    desk.plan();
    desk.now = desk.grants.nextRetryAt;
    const planned = desk.plan();
    expect(planned).toHaveLength(1);
    desk.now += 60_000;
    expect(desk.plan()).toEqual([]);
    desk.now += 60_000;
    expect(desk.plan()).toEqual([]);
    expect(desk.commit(planned)).not.toContain(null);
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
    expect(desk.grants.nextRetryAt).toBeGreaterThan(desk.now);
    desk.now = desk.grants.nextRetryAt;
    expect(desk.plan()).toHaveLength(9);
  });

  test('wakes nobody while no slot is free', () => {
    const desk = new Desk(['w1'], [LARGE, { ...LARGE, id: jobId(2), name: 'other' }]);
    desk.pen.join('w2', [MAIL, 'other']);
    desk.commit(desk.plan());
    const [task] = desk.pen.job().tasks;
    desk.pen.fail(task?.epoch ?? 0, 0, 1);
    desk.commit(desk.plan());
    desk.now = 1e9;
    desk.commit(desk.plan());
    expect(desk.plan()).toEqual([]);
    expect(desk.grants.nextRetryAt).toBe(Number.POSITIVE_INFINITY);
  });
});
