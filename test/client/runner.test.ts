/**
 * The runner of the SDK, over HTTP, before a real leader whose clock goes with the test's.
 */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runner } from '../../src/client/runner.ts';
import type { Work } from '../../src/client/runner-attempt.ts';
import type { TaskContext } from '../../src/jobtype/client.ts';
import { Office } from '../daemon/office.ts';
import { FakeNode, listen, serverOf } from '../http/fake-node.ts';
import { MAIL } from '../ranges/fixtures.ts';

const TTL = 1_500;
const TURN_MS = 5;

let office: Office;
let node: FakeNode;
let app: ReturnType<typeof serverOf>;
let url: string;
let turns: NodeJS.Timeout;

beforeEach(async () => {
  office = new Office(TTL);
  office.lead();
  node = new FakeNode();
  node.answerRunner = (question, done) => office.leader.runners.ask(question, done);
  app = serverOf(node);
  url = `http://${await listen(app)}`;
  turns = setInterval(() => {
    office.pass(TURN_MS);
    office.run();
  }, TURN_MS);
});

afterEach(async () => {
  clearInterval(turns);
  office.leader.close();
  const closed = app.close();
  // A connection that was opened for a question taken back has never had a request, and would not count as idle.
  app.server.closeAllConnections();
  await closed;
});

const logged: string[] = [];
const base = () => ({ urls: [url], worker: 'sdk', log: (line: string) => void logged.push(line) });

/** Ends the runner when the job is finished. */
function untilFinished(): AbortSignal {
  const control = new AbortController();
  const look = setInterval(() => {
    if (office.pen.job().finishedAt === null) return;
    clearInterval(look);
    control.abort();
  }, TURN_MS);
  return control.signal;
}

test('works every point once, side by side in its slots, and gives the number of tasks', async () => {
  office.submit({ end: 200, options: { taskSize: 20, commitEvery: 7 }, metadata: '{"to":"all"}' });
  const seen: number[] = [];
  let [atOnce, most] = [0, 0];
  const work: Work = async (task) => {
    most = Math.max(most, ++atOnce);
    expect(task).toMatchObject({ worker: '@sdk', metadata: { to: 'all' }, delivery: 'at-least-once', attempts: 0 });
    expect(task.headers(5)).toMatchObject({ 'polaris-epoch': String(task.epoch) });
    for await (const point of task.points()) seen.push(point);
    atOnce--;
  };
  const done = await runner({ ...base(), types: { [MAIL]: work }, slots: 3, signal: untilFinished() });
  expect(done).toBe(10);
  expect(seen.sort((left, right) => left - right)).toEqual(Array.from({ length: 200 }, (_, at) => at));
  expect(most).toBe(3);
  expect(office.pen.job()).toMatchObject({ state: 'done', reexecuted: [] });
});

test('never has more than commitEvery points in hand that are not committed', async () => {
  office.submit({ end: 60, options: { taskSize: 60, commitEvery: 7 } });
  let farthest = 0;
  const work: Work = async (task) => {
    for await (const point of task.points()) {
      const committed = office.pen.table.task(task.epoch)?.cursor ?? 0;
      farthest = Math.max(farthest, point + 1 - committed);
    }
  };
  await runner({ ...base(), types: { [MAIL]: work }, maxTasks: 1 });
  expect(farthest).toBeGreaterThan(1);
  expect(farthest).toBeLessThanOrEqual(7);
});

test('at most once begins a point only after its claim is committed', async () => {
  office.submit({ end: 30, options: { taskSize: 30, commitEvery: 4, delivery: 'at-most-once' } });
  const unclaimed: number[] = [];
  const work: Work = async (task) => {
    for await (const { start, end } of task.chunks(3)) {
      if (end > (office.pen.table.task(task.epoch)?.claimed ?? 0)) unclaimed.push(start);
    }
  };
  expect(await runner({ ...base(), types: { [MAIL]: work }, maxTasks: 1 })).toBe(1);
  expect(unclaimed).toEqual([]);
  expect(office.pen.job()).toMatchObject({ state: 'done', uncertain: [] });
});

test('ends after maxTasks, and holds nothing then', async () => {
  office.submit({ end: 1_000, options: { taskSize: 10 } });
  const work: Work = async (task) => {
    for await (const _ of task.points());
  };
  expect(await runner({ ...base(), types: { [MAIL]: work }, slots: 2, maxTasks: 5 })).toBe(5);
  expect(office.pen.job()).toMatchObject({ coveredPoints: 50, tasks: [] });
});

test('told to end, it works what it holds to the end and claims nothing more', async () => {
  office.submit({ end: 1_000, options: { taskSize: 10 } });
  const control = new AbortController();
  const work: Work = async (task) => {
    for await (const point of task.points()) if (point === 3) control.abort();
  };
  expect(await runner({ ...base(), types: { [MAIL]: work }, signal: control.signal })).toBe(1);
  expect(office.pen.job()).toMatchObject({ coveredPoints: 10, tasks: [] });
});

test('told to end while it waits for work, it ends at once and leaves no lease', async () => {
  const control = new AbortController();
  const ended = runner({ ...base(), types: { [MAIL]: async () => {} }, signal: control.signal });
  await expect.poll(() => node.questions.some(({ kind }) => kind === 'claim')).toBe(true);
  control.abort();
  expect(await ended).toBe(0);
  office.submit();
  office.run();
  expect(office.pen.job().tasks).toEqual([]);
});

test('code that throws fails its task at the point where it was', async () => {
  office.submit({ end: 10, options: { taskSize: 10, maxAttempts: 1 } });
  const work: Work = async (task) => {
    for await (const point of task.points()) if (point === 4) throw new Error('boom at 4');
  };
  await runner({ ...base(), types: { [MAIL]: work }, signal: untilFinished() });
  expect(office.pen.job()).toMatchObject({
    ...{ state: 'failed', coveredPoints: 9 },
    failed: [{ start: 4, end: 5, error: 'boom at 4', worker: '@sdk' }],
  });
});

test('an attempt that takes too long has failed', async () => {
  office.submit({ end: 1, options: { taskTimeoutMs: 100, maxAttempts: 1 } });
  const work: Work = async (task) => {
    for await (const _ of task.points()) {
      await aborted(task);
      throw task.signal.reason;
    }
  };
  await runner({ ...base(), types: { [MAIL]: work }, signal: untilFinished() });
  expect(office.pen.job().failed).toMatchObject([{ error: expect.stringMatching(/^timed out/) }]);
});

test('its tasks stop when nobody answers, before the leader gives them to others', async () => {
  office.submit({ end: 10, options: { taskSize: 10 } });
  const control = new AbortController();
  let wasLive: boolean | null = null;
  const work: Work = async (task) => {
    for await (const _ of task.points()) {
      // From now on questions are neither answered nor heard.
      node.answerRunner = () => {};
      await aborted(task);
      wasLive = office.pen.table.task(task.epoch) !== undefined;
      control.abort();
      node.answerRunner = (question, done) => office.leader.runners.ask(question, done);
    }
  };
  expect(await runner({ ...base(), types: { [MAIL]: work }, signal: control.signal })).toBe(0);
  expect(wasLive).toBe(true);
});

test('goes on under a new leader with the tasks that it has', async () => {
  office.submit({ end: 40, options: { taskSize: 40, commitEvery: 3 } });
  const epochs = new Set<number>();
  const work: Work = async (task) => {
    epochs.add(task.epoch);
    for await (const point of task.points()) if (point % 10 === 5) office.lead();
  };
  expect(await runner({ ...base(), types: { [MAIL]: work }, maxTasks: 1 })).toBe(1);
  expect(epochs.size).toBe(1);
  expect(office.pen.job()).toMatchObject({ state: 'done', reexecuted: [] });
});

test('begins a new session when the old one has ended, and the lost task is worked again', async () => {
  office.submit({ end: 10, options: { taskSize: 10 } });
  const epochs: number[] = [];
  const work: Work = async (task) => {
    epochs.push(task.epoch);
    for await (const _ of task.points()) {
      if (epochs.length > 1) continue;
      const { incarnation } = office.pen.table.worker('@sdk') ?? {};
      office.pen.apply({ kind: 'worker-expire', worker: '@sdk', incarnation: incarnation ?? 0, reason: 'a test' });
      for (const event of office.pen.last) office.leader.applied(event);
      await aborted(task);
    }
  };
  expect(await runner({ ...base(), types: { [MAIL]: work }, signal: untilFinished() })).toBe(1);
  expect(epochs).toHaveLength(2);
  expect(office.pen.job()).toMatchObject({ state: 'done', reexecuted: [{ start: 0, end: 10 }] });
});

test('gives its tasks back when it is drained, rests, and works again afterwards', async () => {
  office.submit({ end: 200, options: { taskSize: 100, commitEvery: 5 } });
  let begun = 0;
  const work: Work = async (task) => {
    begun++;
    for await (const _ of task.points()) await new Promise((resolve) => setTimeout(resolve, begun === 1 ? 5 : 0));
  };
  const ended = runner({ ...base(), types: { [MAIL]: work }, signal: untilFinished() });
  await expect.poll(() => office.pen.job().coveredPoints).toBeGreaterThan(0);
  const rest = (resting: boolean) => new Promise((resolve) => office.leader.rest('@sdk', resting, resolve));
  expect(await rest(true)).toMatchObject({ ok: true });
  await expect.poll(() => office.pen.job().tasks).toEqual([]);
  expect(await rest(false)).toMatchObject({ ok: true });
  await ended;
  expect(office.pen.job()).toMatchObject({ state: 'done', reexecuted: [] });
});

test('another process with its name is refused, and says why', async () => {
  const control = new AbortController();
  const first = runner({ ...base(), types: { [MAIL]: async () => {} }, signal: control.signal });
  await expect.poll(() => office.pen.table.worker('@sdk')).toBeDefined();
  await expect(runner({ ...base(), types: { [MAIL]: async () => {} } })).rejects.toMatchObject({
    code: 'INSTANCE_MISMATCH',
  });
  control.abort();
  expect(await first).toBe(0);
});

test('passes over addresses where nobody answers', async () => {
  office.submit({ end: 10, options: { taskSize: 10 } });
  const urls = ['http://127.0.0.1:1', url];
  const work: Work = async (task) => {
    for await (const _ of task.points());
  };
  expect(await runner({ ...base(), urls, types: { [MAIL]: work }, signal: untilFinished() })).toBe(1);
});

function aborted({ signal }: TaskContext): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
