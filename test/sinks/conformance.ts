/**
 * The conformance suite of a fenced sink, run against each of them.
 */
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkSchedule, type SinkUnderTest, schedules } from './foreman.ts';

export interface SinkHarness {
  /** A sink of a job that nobody has used. */
  make(): Promise<SinkUnderTest>;
  /** How many schedules of workers are tried. */
  readonly runs: number;
}

const STALE = { code: 'STALE_EPOCH' };
const TASKS = 300;

/** `given` is called in each test, for a server may come up only before the first. */
export function testSink(given: () => SinkHarness): void {
  test('every point takes effect exactly once, whatever workers do that lost their leases', async () => {
    const { make, runs } = given();
    const property = fc.asyncProperty(schedules, async (schedule) => checkSchedule(await make(), schedule));
    await fc.assert(property, { numRuns: runs });
  });

  test('a push says whether the point took effect now or before', async () => {
    const { sink, effects } = await given().make();
    const task = await sink.open({ start: 0, end: 3 }, 5);
    expect(task.done).toEqual([]);
    expect(await task.push(0, '0')).toBe('pushed');
    expect(await task.push(0, 'again')).toBe('already-done');
    expect(await task.pushMany(0, ['again', '1', '2'])).toBe(2);
    expect([...(await effects())].sort()).toEqual(['0', '1', '2']);
  });

  test('an open gives what is done within its range, and no more of it', async () => {
    const { sink } = await given().make();
    await (await sink.open({ start: 0, end: 10 }, 5)).pushMany(0, ['0', '1', '2', '3']);
    await (await sink.open({ start: 20, end: 30 }, 6)).pushMany(20, ['20', '21']);
    await (await sink.open({ start: 4, end: 6 }, 7)).pushMany(4, ['4', '5']);
    const { done } = await sink.open({ start: 2, end: 21 }, 8);
    expect(done).toEqual([
      { start: 2, end: 6 },
      { start: 20, end: 21 },
    ]);
  });

  test('a newer lease cuts the older one off within its own range, and nowhere else', async () => {
    const { sink } = await given().make();
    const older = await sink.open({ start: 0, end: 10 }, 5);
    await older.push(0, '0');
    const newer = await sink.open({ start: 2, end: 5 }, 9);
    expect(await older.push(1, '1')).toBe('pushed');
    await expect(older.push(2, '2')).rejects.toMatchObject(STALE);
    expect(await newer.push(2, '2')).toBe('pushed');
    expect(await older.push(5, '5')).toBe('pushed');
    await expect(sink.open({ start: 4, end: 20 }, 8)).rejects.toMatchObject(STALE);
  });

  test('an older lease may still open what a newer one has finished: there is nothing left to do', async () => {
    const { sink } = await given().make();
    await (await sink.open({ start: 0, end: 2 }, 9)).pushMany(0, ['0', '1']);
    const older = await sink.open({ start: 0, end: 4 }, 5);
    expect(older.done).toEqual([{ start: 0, end: 2 }]);
    expect(await older.pushMany(0, ['0', '1', '2', '3'])).toBe(2);
  });

  test('a batch with one point of somebody else has no effect at all', async () => {
    const { sink, effects } = await given().make();
    const older = await sink.open({ start: 0, end: 4 }, 5);
    await sink.open({ start: 3, end: 4 }, 9);
    await expect(older.pushMany(0, ['0', '1', '2', '3'])).rejects.toMatchObject(STALE);
    expect(await effects()).toEqual([]);
    expect(await older.pushMany(0, ['0', '1', '2'])).toBe(3);
  });

  test('a push that is sent twice at the same moment takes effect once', async () => {
    const { sink, effects } = await given().make();
    const task = await sink.open({ start: 0, end: 10 }, 5);
    for (let point = 0; point < 10; point++) {
      const answers = await Promise.all([task.push(point, String(point)), task.push(point, String(point))]);
      expect(answers.sort()).toEqual(['already-done', 'pushed']);
    }
    expect(await effects()).toHaveLength(10);
  });

  test('a point is not pushed before the one before it, nor without an open', async () => {
    const { sink, effects } = await given().make();
    const task = await sink.open({ start: 0, end: 4 }, 5);
    await expect(task.push(1, '1')).rejects.toMatchObject({ code: 'OUT_OF_ORDER' });
    await expect(task.push(4, '4')).rejects.toMatchObject(STALE);
    await expect(task.push(-1, '-1')).rejects.toMatchObject(STALE);
    expect(await effects()).toEqual([]);
  });

  test('what is no range and no epoch is refused before anything is asked', async () => {
    const { sink } = await given().make();
    await expect(sink.open({ start: 3, end: 3 }, 5)).rejects.toMatchObject({ code: 'BAD_RANGE' });
    await expect(sink.open({ start: 0, end: 2 ** 53 }, 5)).rejects.toMatchObject({ code: 'BAD_RANGE' });
    await expect(sink.open({ start: 0, end: 1 }, 0)).rejects.toMatchObject({ code: 'BAD_OPTION' });
    await expect(sink.open({ start: 0, end: 1 }, 0.5)).rejects.toMatchObject({ code: 'BAD_OPTION' });
  });

  test('a batch larger than a round trip is pushed whole', async () => {
    const { sink, effects } = await given().make();
    const values = Array.from({ length: 2_500 }, (_, point) => String(point));
    expect(await (await sink.open({ start: 0, end: 2_500 }, 5)).pushMany(0, values)).toBe(2_500);
    expect(new Set(await effects())).toEqual(new Set(values));
  });

  test('after a drop, whoever had a lease stays locked out, and a newer lease begins anew', async () => {
    const { sink } = await given().make();
    const old = await sink.open({ start: 0, end: 4 }, 5);
    await old.push(0, '0');
    await sink.drop();
    await expect(old.push(1, '1')).rejects.toMatchObject(STALE);
    await expect(sink.open({ start: 0, end: 4 }, 5)).rejects.toMatchObject(STALE);
    expect((await sink.open({ start: 0, end: 4 }, 6)).done).toEqual([]);
  });

  test(`${TASKS} finished tasks leave a handful of segments, in whatever order they finish`, async () => {
    const { sink, segments } = await given().make();
    // Two side by side, the right one of each pair first.
    for (let at = 0; at < TASKS; at += 2) {
      const left = await sink.open({ start: 2 * at, end: 2 * at + 2 }, at + 1);
      const right = await sink.open({ start: 2 * at + 2, end: 2 * at + 4 }, at + 2);
      await right.pushMany(2 * at + 2, ['a', 'b']);
      await left.pushMany(2 * at, ['a', 'b']);
      expect(await segments()).toBeLessThanOrEqual(4);
    }
    await sink.drop();
    expect(await segments()).toBe(0);
  });
}
