/**
 * What the leader makes of controls, throttles, the end of a job and workers that are to rest.
 */
import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import {
  REST_WAIT_MS,
  SHRINK_AGAIN_MS,
  SHRINK_EVERY_MS,
  SHRINK_STUCK_MS,
  TASK_STILL_MS,
} from '../../src/base/limits.ts';
import type { Result } from '../../src/daemon/api.ts';
import { handleOf, jobId, type SpecChanges } from '../ranges/fixtures.ts';
import { answered } from './fakes.ts';
import { joined, Office } from './office.ts';

const LARGE = { end: 1e9, options: { taskSize: 100 } };

/** An office whose one worker has so many slots. */
function staffed(slots: number, job: SpecChanges = LARGE): Office {
  const office = new Office();
  office.lead();
  office.join(1, { slots });
  office.run();
  office.beat(0);
  office.submit(job);
  office.run();
  office.beat(1, { epochs: office.pen.job().tasks.map(({ epoch }) => epoch) });
  office.sent.length = 0;
  return office;
}

/** Keep-alives go on while time passes. */
function pass(office: Office, ms: number, worker = 'w1'): void {
  for (let left = ms; left > 0; left -= 100) {
    office.pass(Math.min(100, left));
    const epochs = office.pen.table.worker(worker)?.epochs ?? [];
    office.beat(1_000 + office.hand.time.now(), { worker, epochs });
    office.run();
  }
}

describe('set', () => {
  test('a lower concurrency takes the newest tasks back, until they have ended', () => {
    const office = staffed(4);
    const epochs = office.pen.job().tasks.map(({ epoch }) => epoch);
    office.set({ maxConcurrency: 1 });
    office.run();
    expect(office.take('leases')).toMatchObject([{ sequence: 0, release: epochs.slice(1) }]);
    office.beat(2, { epochs });
    expect(office.take('leases')).toMatchObject([{ sequence: 2, release: epochs.slice(1) }]);
    for (const epoch of epochs.slice(1)) {
      const { start } = must(office.pen.table.task(epoch), 'it lives');
      office.report({ epoch, cursor: start, ending: 'release' });
      office.run();
    }
    expect(office.pen.job().tasks.map(({ epoch }) => epoch)).toEqual(epochs.slice(0, 1));
    office.set({ maxConcurrency: null });
    expect(office.run()).toEqual(['grant', 'grant', 'grant']);
  });

  test('a program that runs is left to end', () => {
    const office = staffed(4, { ...LARGE, exposure: 'task' });
    office.set({ maxConcurrency: 1 });
    office.run();
    expect(office.take('leases')).toEqual([]);
  });

  test('a lower rate takes back what was granted at the former speed; a higher one takes nothing', () => {
    const office = staffed(2);
    office.set({ pointsPerSecond: 10 });
    office.run();
    expect(office.take('leases')[0]?.release).toHaveLength(2);
    office.set({ pointsPerSecond: 20 });
    office.run();
    expect(office.take('leases')).toEqual([]);
  });

  test('a job that was slow from the beginning is left alone by other changes', () => {
    const office = staffed(2, { end: 1e9, options: { pointsPerSecond: 1_000 } });
    pass(office, 1_000);
    expect(office.pen.job().tasks).toHaveLength(2);
    office.sent.length = 0;
    office.set({ priority: 3 });
    office.run();
    expect(office.take('leases')).toEqual([]);
  });
});

describe('a throttle', () => {
  const throttle = { kind: 'url', url: 'http://db/', intervalMs: 1_000 } as const;
  const held = { end: 1e9, options: { taskSize: 100, throttle } };

  test('gives nothing before its hook has said go, and everything after', () => {
    const office = staffed(2, held);
    expect(office.pen.job().tasks).toEqual([]);
    expect(office.leader.holdOf(jobId(1))).toMatch(/held by the throttle/);
    office.pass(20);
    expect(office.run()).toEqual([]);
    office.hand.probe.reply(answered(200));
    expect(office.run()).toEqual(['grant', 'grant']);
    expect(office.leader.holdOf(jobId(1))).toBeNull();
  });

  test('that holds gives nothing new and takes back what takes points', () => {
    const office = staffed(2, held);
    office.pass(20);
    office.hand.probe.reply(answered(200));
    office.run();
    office.sent.length = 0;
    pass(office, 1_000);
    office.hand.probe.reply(answered(500, 'overload'));
    office.run();
    expect(office.take('leases').at(-1)?.release).toHaveLength(2);
    for (const { epoch, start } of office.pen.job().tasks) {
      office.report({ epoch, cursor: start, ending: 'release' });
      expect(office.run()).toEqual(['release']);
    }
    expect(office.leader.holdOf(jobId(1))).toBe('held by the throttle: it answered 500: overload');
  });

  test('under a new leader, the first hold takes back what the last one granted', () => {
    const office = staffed(2, held);
    office.pass(20);
    office.hand.probe.reply(answered(200));
    office.run();
    office.lead();
    office.beat(1);
    office.pass(20);
    office.sent.length = 0;
    office.hand.probe.reply(answered(500));
    office.run();
    expect(office.take('leases').at(-1)?.release).toHaveLength(2);
  });

  test('an answer that comes when another leads is nobody’s', () => {
    const office = staffed(2, held);
    office.pass(20);
    office.leader.close();
    office.hand.probe.reply(answered(200));
    expect(office.run()).toEqual([]);
  });
});

test('a task that has not moved for long is the reason why its job does not get on, until it moves', () => {
  const office = staffed(3);
  const { leader } = office;
  const [first, second, third] = office.pen.job().tasks.map(({ epoch }) => epoch);
  office.hand.time.pass(TASK_STILL_MS - 1);
  expect(leader.holdOf(jobId(1))).toBeNull();
  office.report({ epoch: must(second, 'it was granted'), cursor: 130 });
  office.run();
  office.hand.time.pass(1);
  const advice = 'if its code hangs, cancel the job and give it a taskTimeoutMs';
  expect(leader.holdOf(jobId(1))).toBe(`[0, 100) on w1 (and 1 more) has not moved for more than 5 minutes: ${advice}`);
  office.report({ epoch: must(first, 'it was granted'), cursor: 10 }, { sequence: 2 });
  office.run();
  expect(leader.holdOf(jobId(1))).toBe(`[200, 300) on w1 has not moved for more than 5 minutes: ${advice}`);
  const checkpoint = { stage: 1, name: 'first', fingerprint: 'f', handle: handleOf(1), stamp: 1 };
  office.report({ epoch: must(third, 'it was granted'), cursor: 200, checkpoint }, { sequence: 3 });
  office.run();
  expect(leader.holdOf(jobId(1))).toBeNull();
});

describe('the end of a job', () => {
  /** One task of all points, whose worker has three slots that stand idle. */
  function tail(changes: SpecChanges = {}): Office {
    return staffed(4, { end: 1_000, ...changes, options: { taskSize: 1_000, ...changes.options } });
  }

  function asked(office: Office): number[] {
    return office.take('leases').flatMap(({ shrink }) => [...shrink]);
  }

  test('an idle slot makes the slowest task give up its far half, and that is granted', () => {
    const office = tail();
    const { epoch } = must(office.pen.job().tasks[0], 'it was granted');
    pass(office, SHRINK_STUCK_MS + 200);
    expect(asked(office)).toEqual([epoch]);
    office.keep(epoch, 500);
    expect(office.run()).toEqual(['shrink', 'grant']);
    expect(office.pen.job().tasks.map(({ start, end }) => [start, end])).toEqual([
      [0, 500],
      [500, 1_000],
    ]);
  });

  test('a task is asked once, and only then again when it kept everything and some time has passed', () => {
    const office = tail();
    const { epoch } = must(office.pen.job().tasks[0], 'it was granted');
    pass(office, SHRINK_STUCK_MS + 200);
    expect(asked(office)).toEqual([epoch]);
    office.keep(epoch, 1_000);
    expect(office.run()).toEqual([]);
    pass(office, SHRINK_AGAIN_MS - 400);
    expect(asked(office)).toEqual([]);
    pass(office, 600);
    expect(asked(office)).toEqual([epoch]);
  });

  test('of several tasks the one that will take longest is asked', () => {
    const office = staffed(3, { end: 200, options: { taskSize: 100 } });
    const [fast, slow] = office.pen.job().tasks;
    pass(office, 400);
    office.report({ epoch: must(fast, 'two tasks').epoch, cursor: 40 });
    office.report({ epoch: must(slow, 'two tasks').epoch, cursor: 110 }, { sequence: 2 });
    office.run();
    pass(office, 2 * SHRINK_EVERY_MS);
    expect(asked(office)[0]).toBe(slow?.epoch);
  });

  test('nobody is asked while something is left to grant, no slot is idle, or the end is near', () => {
    const busy = staffed(1, { end: 1_000, options: { taskSize: 1_000 } });
    pass(busy, 3_000);
    expect(asked(busy)).toEqual([]);

    const more = staffed(2, { end: 2_000, options: { taskSize: 1_000, maxConcurrency: 1 } });
    pass(more, 3_000);
    expect(asked(more)).toEqual([]);

    const near = tail();
    const { epoch } = must(near.pen.job().tasks[0], 'it was granted');
    pass(near, 400);
    near.report({ epoch, cursor: 800 });
    near.run();
    pass(near, 200);
    expect(asked(near)).toEqual([]);
  });

  test('a program, a job with a rate and one that may have no more tasks are left alone', () => {
    for (const changes of [
      { exposure: 'task' },
      { options: { pointsPerSecond: 1e6 } },
      { options: { maxConcurrency: 1 } },
    ] as const) {
      const office = tail(changes);
      pass(office, 3_000);
      expect(asked(office)).toEqual([]);
    }
  });

  test('an end that is no end of the task, or of another’s task, is not committed', () => {
    const office = tail();
    const { epoch } = must(office.pen.job().tasks[0], 'it was granted');
    office.report({ epoch, cursor: 600 });
    office.run();
    office.join(1, { worker: 'w2' });
    office.run();
    office.beat(0, { worker: 'w2' });
    for (const [end, worker] of [
      [599, 'w1'],
      [1_001, 'w1'],
      [700, 'w2'],
    ] as const) {
      office.keep(epoch, end, worker);
      expect(office.run().filter((kind) => kind === 'shrink')).toEqual([]);
    }
  });

  test('an end that is said twice is committed once', () => {
    const office = tail();
    const { epoch } = must(office.pen.job().tasks[0], 'it was granted');
    office.keep(epoch, 500);
    office.keep(epoch, 500);
    expect(office.commit()).toEqual(['shrink']);
    office.keep(epoch, 500);
    expect(office.run().filter((kind) => kind === 'shrink')).toEqual([]);
  });
});

describe('a worker that is to rest', () => {
  function ask(office: Office, resting: boolean, worker = 'w1'): Result<void>[] {
    const answers: Result<void>[] = [];
    office.leader.rest(worker, resting, (result) => void answers.push(result));
    return answers;
  }

  test('is told at once, gets nothing new, and whoever asked is answered when it has said that it knows', () => {
    const office = staffed(2);
    const answers = ask(office, true);
    office.run();
    expect(office.take('leases')).toMatchObject([{ sequence: 0, drain: true }]);
    const [task] = office.pen.job().tasks;
    office.report({ epoch: must(task, 'it has tasks').epoch, cursor: 0, ending: 'release' });
    expect(office.run()).toEqual(['release']);
    expect(answers).toEqual([]);
    office.beat(2, { draining: true });
    expect(answers).toEqual([{ ok: true, value: undefined }]);
    expect(office.leader.workers()).toMatchObject([{ id: 'w1', slots: 2, busy: 1, draining: true }]);
  });

  test('takes tasks again when that is undone', () => {
    const office = joined();
    ask(office, true);
    office.beat(1, { draining: true });
    const answers = ask(office, false);
    office.submit();
    expect(office.run()).toEqual([]);
    office.beat(2, { draining: true });
    expect(office.take('leases').at(-1)).toMatchObject({ sequence: 2, drain: false });
    expect(answers).toEqual([]);
    office.beat(3, { draining: false });
    expect(answers).toEqual([{ ok: true, value: undefined }]);
    expect(office.run()).toEqual(['grant', 'grant']);
  });

  test('rests under a new leader, too, which learns it from the worker', () => {
    const office = joined();
    ask(office, true);
    office.beat(1, { draining: true });
    office.lead();
    office.submit();
    office.beat(1, { draining: true });
    expect(office.take('leases').at(-1)).toMatchObject({ sequence: 1, drain: true });
    expect(office.run()).toEqual([]);
    expect(ask(office, true)).toEqual([{ ok: true, value: undefined }]);
  });

  test('a wish that comes before the worker is heard goes over what the worker says', () => {
    const office = joined();
    office.lead();
    const answers = ask(office, false);
    office.beat(1, { draining: true });
    expect(office.take('leases').at(-1)).toMatchObject({ drain: false });
    expect(answers).toEqual([]);
  });

  test('an answer never comes twice, and comes in every case', () => {
    const office = joined();
    office.beat(1);
    const first = ask(office, true);
    const second = ask(office, false);
    expect(first).toMatchObject([{ error: { code: 'WRONG_STATE' } }]);
    expect(second).toMatchObject([{ ok: true }]);

    const late = ask(office, true);
    pass(office, REST_WAIT_MS);
    expect(late).toMatchObject([{ error: { code: 'TIMED_OUT' } }]);

    const lost = ask(office, false);
    office.beat(2, { draining: true });
    office.leader.close();
    expect([...first, ...late, ...lost]).toHaveLength(3);
    expect(ask(office, true, 'nobody')).toMatchObject([{ error: { code: 'NOT_FOUND' } }]);
  });

  test('a worker that leaves answers for itself', () => {
    const office = joined();
    const answers = ask(office, true);
    office.pass(4_000);
    office.commit();
    expect(answers).toMatchObject([{ error: { code: 'NOT_FOUND' } }]);
  });
});
