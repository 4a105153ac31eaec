import { describe, expect, it } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { HOSTS_SPARE } from '../../src/base/limits.ts';
import { type Bench, openBench } from './harness.ts';

describe('points and chunks', () => {
  it('a task of one host after the other runs to its end, in one warm host', async () => {
    const bench = await openBench({ commit: true });
    for (let count = 0; count < 3; count += 1) {
      const epoch = bench.run('count', {});
      expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 10, begun: 10, ending: 'complete', error: '' });
    }
    expect(bench.hostStarts()).toHaveLength(1);
  });

  it('every point is handed out once, in order, from the cursor on', async () => {
    const bench = await openBench({ commit: true });
    await bench.ending(bench.run('count', { start: -3, cursor: 2, end: 6, metadata: { say: true } }));
    expect(bench.lines()).toEqual(['point 2', 'point 3', 'point 4', 'point 5', 'reached the end']);
  });

  it('the largest safe integers are points like others', async () => {
    const bench = await openBench({ commit: true });
    const end = Number.MAX_SAFE_INTEGER;
    const epoch = bench.run('count', { start: end - 3, end, metadata: { say: true } });
    expect(await bench.ending(epoch)).toMatchObject({ cursor: end, ending: 'complete' });
    expect(bench.lines()).toContain(`point ${end - 1}`);
  });

  it('without a commit nothing beyond commitEvery is handed out, and with one the work goes on', async () => {
    const bench = await openBench({ commit: false });
    const epoch = bench.run('count', { end: 100, commitEvery: 7 });
    expect(await bench.progressed(epoch, 7)).toBe(7);
    bench.commit(epoch, 5);
    expect(await bench.progressed(epoch, 12)).toBe(12);
    bench.commit(epoch, 12);
    expect(await bench.progressed(epoch, 19)).toBe(19);
    for (const happening of bench.happenings) {
      if (happening.kind === 'progress') expect(happening.begun - happening.cursor).toBeLessThanOrEqual(7);
    }
  });

  it('a cursor that goes back does not narrow the window', async () => {
    const bench = await openBench({ commit: false });
    const epoch = bench.run('count', { end: 100, commitEvery: 10 });
    await bench.progressed(epoch, 10);
    bench.commit(epoch, 10);
    bench.commit(epoch, 3);
    expect(await bench.progressed(epoch, 20)).toBe(20);
  });

  it('a million cheap points cost few messages', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('count', { end: 1_000_000, commitEvery: 100_000 });
    expect(await bench.ending(epoch)).toMatchObject({ ending: 'complete', cursor: 1_000_000 });
    // 20 half windows, and one sample each 20 ms of what takes a second or two.
    expect(bench.happenings.filter((happening) => happening.kind === 'progress').length).toBeLessThan(1_000);
  });

  it('chunks are whole, and no larger than commitEvery', async () => {
    const bench = await openBench({ commit: true });
    await bench.ending(bench.run('pieces', { end: 25, commitEvery: 10, metadata: { size: 1_000 } }));
    expect(bench.lines()).toEqual(['0-10', '10-20', '20-25']);
  });

  it('a chunk waits until the whole of it fits the window', async () => {
    const bench = await openBench({ commit: false });
    const epoch = bench.run('pieces', { end: 30, commitEvery: 10, metadata: { size: 6 } });
    expect(await bench.progressed(epoch, 6)).toBe(6);
    bench.commit(epoch, 6);
    expect(await bench.progressed(epoch, 12)).toBe(12);
    await bench.line('6-12');
    expect(bench.lines()).toEqual(['0-6', '6-12']);
  });

  it('chunks of a bad size fail the task', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('pieces', { metadata: { size: 0 } });
    expect(await bench.ending(epoch)).toMatchObject({ ending: 'fail', error: expect.stringContaining('chunks(0)') });
  });

  it('commit() acknowledges what was handed out and comes back only when that is committed', async () => {
    const bench = await openBench({ commit: false });
    const epoch = bench.run('committer', { end: 100 });
    expect(await bench.progressed(epoch, 3)).toBe(3);
    bench.commit(epoch, 2);
    expect(bench.lines()).toEqual([]);
    bench.commit(epoch, 3);
    await bench.line('committed with 2');
    expect(await bench.ending(epoch)).toMatchObject({ ending: 'complete', cursor: 100 });
  });

  it('acknowledge() says that what was handed out is done, while no other point is asked for', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('resting', { end: 100 });
    expect(await bench.progressed(epoch, 1)).toBe(1);
    bench.executor.release(epoch);
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 1, begun: 1, ending: 'release', error: '' });
  });

  it('a commit() that can never come back ends with the release', async () => {
    const bench = await openBench({ commit: false });
    const epoch = bench.run('committer', { end: 100 });
    await bench.progressed(epoch, 3);
    bench.executor.release(epoch);
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 3, begun: 3, ending: 'release', error: '' });
  });
});

describe('the end of work()', () => {
  it('short of the end it gives the rest back', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('early', { metadata: { take: 4 } });
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 4, begun: 4, ending: 'release', error: '' });
  });

  it('without a point taken it is a failure', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('early', { metadata: { take: 0 } });
    expect(await bench.ending(epoch)).toMatchObject({
      cursor: 0,
      begun: 0,
      ending: 'fail',
      error: expect.stringMatching(/without taking/),
    });
  });

  it('a release ends the iteration without an error, and the code behind the loop runs', async () => {
    const bench = await openBench({ commit: false });
    const epoch = bench.run('count', { end: 100, commitEvery: 10 });
    await bench.progressed(epoch, 10);
    bench.executor.release(epoch);
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 10, begun: 10, ending: 'release', error: '' });
    expect(bench.lines()).toEqual(['stopped']);
  });

  it('a task that is released before its host is up is given back untouched or at a point', async () => {
    const bench = await openBench({ commit: false });
    const epoch = bench.run('count', { end: 100, commitEvery: 10 });
    bench.executor.release(epoch);
    const { ending, cursor, begun } = await bench.ending(epoch);
    expect(ending).toBe('release');
    expect(begun).toBe(cursor);
  });

  it('tasks of one job share a host, and those of two jobs do not', async () => {
    const bench = await openBench({ commit: false });
    const epochs = [
      bench.run('count', { end: 100, commitEvery: 10 }),
      bench.run('count', { end: 100, commitEvery: 10 }),
    ];
    epochs.push(bench.run('count', { job: 'b-job', end: 100, commitEvery: 10 }));
    for (const epoch of epochs) await bench.progressed(epoch, 10);
    expect(bench.hostStarts()).toHaveLength(2);
    for (const epoch of epochs) bench.executor.release(epoch);
    for (const epoch of epochs) expect(await bench.ending(epoch)).toMatchObject({ ending: 'release', cursor: 10 });
  });

  it('job code knows its task, and runs in another process at nice 10', async () => {
    const bench = await openBench({ commit: true });
    await bench.ending(bench.run('identity', { attempts: 2, metadata: { colour: 'green' } }));
    const said = JSON.parse(await bench.line(/^\{/));
    expect(said).toMatchObject({
      job: 'identity-job',
      start: 0,
      end: 10,
      epoch: 1,
      attempts: 2,
      worker: 'n1',
      nice: 10,
    });
    expect(said.metadata).toEqual({ colour: 'green' });
    expect(said.headers).toEqual({
      'polaris-job': 'identity-job',
      'polaris-epoch': '1',
      'idempotency-key': 'identity-job/7',
    });
    expect(said.pid).toBe(bench.hostStarts()[0]);
  });

  it('lines beyond the rate are dropped, and counted', async () => {
    const bench = await openBench({ commit: true });
    bench.run('chatty', { metadata: { lines: 1_000 } });
    const told = Number(/^\((\d+) lines dropped/.exec(await bench.line(/dropped/))?.[1]);
    expect(bench.lines('stdout').length - 1 + told).toBe(1_000);
  });

  it('a job type that this node does not have fails the task', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('nothing', {});
    expect(bench.happenings).toEqual([]);
    expect(await bench.ending(epoch)).toMatchObject({
      ending: 'fail',
      cursor: 0,
      error: expect.stringMatching(/job type nothing/),
    });
  });
});

it('warm hosts beyond the slots and a few go, the longest idle first', async () => {
  const bench = await openBench({ commit: true, slots: 1 });
  for (let job = 0; job < 1 + HOSTS_SPARE + 1; job += 1) await bench.ending(bench.run('count', { job: `job-${job}` }));
  const [first] = bench.hostStarts();
  const ended = await bench.when((happening) => (happening.kind === 'host-ended' ? happening : null));
  expect(ended).toMatchObject({ pid: first, reason: 'idle, and its room is needed' });
  await bench.ending(bench.run('count', { job: 'job-1' }));
  expect(bench.hostStarts()).toHaveLength(1 + HOSTS_SPARE + 1);
});

describe('at most once', () => {
  it('nothing is begun before it is claimed, and each claim is used up before the next', async () => {
    const bench = await openBench({ commit: false });
    const epoch = bench.run('count', { commitEvery: 1, delivery: 'at-most-once', metadata: { say: true } });
    for (let point = 0; point < 10; point += 1) {
      bench.commit(epoch, point, point + 1);
      expect(await bench.line(`point ${point}`)).toBe(`point ${point}`);
      for (const happening of bench.happenings) {
        if (happening.kind === 'progress') expect(happening.begun).toBeLessThanOrEqual(point + 1);
      }
      if (point < 9) await bench.progressed(epoch, point + 1);
    }
    expect(await bench.ending(epoch)).toMatchObject({ cursor: 10, begun: 10, ending: 'complete' });
  });

  it('a point that throws is named as begun, and those that were claimed with it are not', async () => {
    const bench = await openBench({ commit: false });
    const epoch = bench.run('misbehave', { delivery: 'at-most-once', metadata: { at: 4, how: 'throw' } });
    bench.commit(epoch, 0, 10);
    expect(await bench.ending(epoch)).toMatchObject({ cursor: 4, begun: 5, ending: 'fail' });
  });

  it('a release before anything is claimed has begun nothing', async () => {
    const bench = await openBench({ commit: false });
    const epoch = bench.run('count', { delivery: 'at-most-once' });
    bench.executor.release(epoch);
    expect(await bench.ending(epoch)).toMatchObject({ cursor: 0, begun: 0, ending: 'release' });
  });
});

describe('a task that is asked to give up its far half', () => {
  const kept = (bench: Bench, epoch: number) => new Promise<number>((resolve) => bench.executor.keep(epoch, resolve));

  it('keeps about half of what it has not begun, and ends there', async () => {
    const bench = await openBench({ commit: false });
    const epoch = bench.run('count', { end: 100, commitEvery: 10 });
    expect(await bench.progressed(epoch, 10)).toBe(10);
    expect(await kept(bench, epoch)).toBe(55);
    for (let cursor = 10; cursor < 50; cursor += 10) {
      bench.commit(epoch, cursor);
      await bench.progressed(epoch, cursor + 10);
    }
    bench.commit(epoch, 50);
    expect(await bench.ending(epoch)).toMatchObject({ cursor: 55, begun: 55, ending: 'complete' });
  });

  it.each(['at-least-once', 'at-most-once'] as const)(
    'and whose host dies has begun nothing of it: %s',
    async (delivery) => {
      const bench = await openBench({ commit: false });
      const epoch = bench.run('misbehave', { end: 100, commitEvery: 100, delivery, metadata: { at: 4, how: 'heed' } });
      // All of it may be begun, and nobody can ask a dead host how far it was.
      bench.commit(epoch, 0, 100);
      await bench.line('now at 4');
      const end = await kept(bench, epoch);
      expect(end).toBe(53);
      // What the leader said before it heard of that changes nothing.
      bench.commit(epoch, 0, 100);
      process.kill(must(bench.hostStarts()[0], 'its host'), 'SIGKILL');
      expect(await bench.ending(epoch)).toMatchObject({ begun: end, ending: 'fail' });
    },
  );

  it('keeps everything when it is a program', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('exec', {
      start: 10,
      end: 20,
      metadata: { command: ['sh', '-c', 'echo ready; exec sleep 1000'] },
    });
    await bench.line('ready');
    expect(await kept(bench, epoch)).toBe(20);
    bench.executor.release(epoch);
    await bench.ending(epoch);
  });
});
