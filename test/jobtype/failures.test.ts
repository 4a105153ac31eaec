import { describe, expect, it } from 'vitest';
import { goneProcess, inMs, openBench, runs, stoppedProcess } from './harness.ts';

/** What job code did at point 4 of 10 costs this attempt, and how it ends is known here. */
async function ended(how: string) {
  const bench = await openBench({ commit: true });
  const epoch = bench.run('misbehave', { metadata: { at: 4, how }, commitEvery: 100 });
  return { bench, epoch, ending: await bench.ending(epoch) };
}

describe('job code that fails', () => {
  it('a throw fails the task at the point that threw', async () => {
    const { epoch, ending } = await ended('throw');
    expect(ending).toEqual({ epoch, cursor: 4, begun: 5, ending: 'fail', error: 'no such user' });
  });

  it('what a failed attempt still had under way has ended before the attempt has', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('misbehave', { metadata: { at: 4, how: 'straggle' } });
    expect(await bench.ending(epoch)).toMatchObject({ cursor: 4, ending: 'fail', error: 'half of it failed' });
    const said = bench.lines().length;
    const sink = `file:${bench.dataDir}/lines`;
    await bench.ending(bench.run('append', { end: 5, metadata: { sink, intervalMs: 20 } }));
    expect(bench.lines().slice(said)).toEqual([]);
  });

  it('an error that nobody catches costs the attempt, not the host', async () => {
    const { bench, ending } = await ended('uncaught');
    expect(ending).toMatchObject({
      cursor: 4,
      begun: 5,
      ending: 'fail',
      error: expect.stringMatching(/nobody catches this/),
    });
    expect(await bench.ending(bench.run('misbehave', { metadata: { at: -1 } }))).toMatchObject({ ending: 'complete' });
    expect(bench.hostStarts()).toHaveLength(1);
  });

  it('process.exit costs the attempt, not its neighbour', async () => {
    const bench = await openBench({ commit: true });
    const neighbour = bench.run('misbehave', { metadata: { at: 4, how: 'heed' } });
    await bench.line('now at 4');
    const epoch = bench.run('misbehave', { start: 100, end: 110, metadata: { at: 104, how: 'exit' } });
    const error = 'job code ended its thread: process.exit(3)';
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 104, begun: 105, ending: 'fail', error });
    bench.executor.release(neighbour);
    expect(await bench.ending(neighbour)).toMatchObject({ ending: 'release', cursor: 4 });
    expect(bench.hostStarts()).toHaveLength(1);
  });

  it('SIGKILL of its own process fails the attempts of its job, and another host takes the next', async () => {
    const bench = await openBench({ commit: true });
    const other = bench.run('misbehave', { job: 'b-job', metadata: { at: 4, how: 'heed' } });
    await bench.line('now at 4');
    const epoch = bench.run('misbehave', { end: 1_000, metadata: { at: 4, how: 'kill' } });
    const { begun, ...ending } = await bench.ending(epoch);
    expect(ending).toMatchObject({ ending: 'fail', error: 'job host was killed by SIGKILL' });
    // The node cannot know how far it was, so it names all that the window allowed.
    expect(begun).toBeGreaterThanOrEqual(100);
    expect(ending.cursor).toBeLessThanOrEqual(4);
    expect(await bench.ending(bench.run('misbehave', { metadata: { at: -1 } }))).toMatchObject({ ending: 'complete' });
    bench.executor.release(other);
    expect(await bench.ending(other)).toMatchObject({ ending: 'release' });
  });

  it('a heap that is full costs the attempt, not the host', async () => {
    const { bench, ending } = await ended('heap');
    expect(ending).toMatchObject({
      cursor: 4,
      begun: 5,
      ending: 'fail',
      error: expect.stringMatching(/more than 512 MB of heap/),
    });
    expect(await bench.ending(bench.run('misbehave', { metadata: { at: -1 } }))).toMatchObject({ ending: 'complete' });
    expect(bench.hostStarts()).toHaveLength(1);
  });

  it('two gigabytes of Buffers end the host, and the attempt says why', async () => {
    const { ending } = await ended('buffers');
    expect(ending).toMatchObject({
      ending: 'fail',
      error: expect.stringMatching(/memory of this job's code on this node passed 1024 MB/),
    });
  });

  it('a job that says how much memory its threads may have gets that and no more', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('misbehave', { metadata: { at: 4, how: 'heap' }, memoryMb: 32 });
    const error = 'job code used more than 32 MB of heap';
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 4, begun: 5, ending: 'fail', error });
  });

  it('and its Buffers are counted against the host', async () => {
    const bench = await openBench({ commit: true, slots: 2 });
    const epoch = bench.run('misbehave', { metadata: { at: 4, how: 'buffers' }, memoryMb: 64 });
    expect(await bench.ending(epoch)).toMatchObject({
      ending: 'fail',
      error: expect.stringMatching(/memory of this job's code on this node passed 384 MB/),
    });
  });

  it('a module that cannot be loaded in a thread fails the task with the reason', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('broken', {});
    const error = 'no threads, please';
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 0, begun: 0, ending: 'fail', error });
  });

  it('SIGINT and SIGTERM to a host end neither it nor its tasks', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('misbehave', { metadata: { at: 4, how: 'heed' } });
    await bench.line('now at 4');
    const [host = 0] = bench.hostStarts();
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.kill(host, signal);
    await bench.ending(bench.run('misbehave', { metadata: { at: -1 } }));
    bench.executor.release(epoch);
    expect(await bench.ending(epoch)).toMatchObject({ ending: 'release', cursor: 4 });
    expect(bench.hostStarts()).toEqual([host]);
  });
});

describe('job code that does not stop', () => {
  it('code that heeds the signal gives the task back at its point', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('misbehave', { metadata: { at: 4, how: 'heed' } });
    await bench.line('now at 4');
    bench.executor.release(epoch);
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 4, begun: 5, ending: 'release', error: '' });
  });

  it.each(['deaf', 'loop'])('a %s task that is released is terminated, and its host lives', async (how) => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('misbehave', { metadata: { at: 4, how } });
    await bench.progressed(epoch, 4);
    bench.executor.release(epoch);
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 4, begun: 5, ending: 'release', error: '' });
    expect(await bench.ending(bench.run('misbehave', { metadata: { at: -1 } }))).toMatchObject({ ending: 'complete' });
    expect(bench.hostStarts()).toHaveLength(1);
  });

  it.each(['deaf', 'loop'])('a %s task that may take only so long fails when its time is up', async (how) => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('misbehave', { metadata: { at: 4, how }, taskTimeoutMs: 1_500 });
    const error = 'timed out: the task ran longer than its taskTimeoutMs of 1500 ms';
    // How far it came within its time is the machine's affair.
    expect(await bench.ending(epoch)).toMatchObject({ ending: 'fail', error });
    expect(await bench.ending(bench.run('misbehave', { metadata: { at: -1 } }))).toMatchObject({ ending: 'complete' });
    expect(bench.hostStarts()).toHaveLength(1);
  });

  it('a host that stands still when the time of its task is up is killed, and the attempt says why', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('misbehave', { metadata: { at: 4, how: 'stop' }, taskTimeoutMs: 1_500 });
    expect(await bench.ending(epoch)).toMatchObject({
      ending: 'fail',
      error: 'timed out: the task ran longer than its taskTimeoutMs of 1500 ms',
    });
  });

  it('an endless loop is terminated at once when its lease is lost', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('misbehave', { metadata: { at: 4, how: 'loop' } });
    await bench.progressed(epoch, 4);
    bench.executor.abort(epoch);
    expect(await bench.ending(epoch)).toMatchObject({ cursor: 4, begun: 5, ending: 'release' });
  });

  it('a thread in a system call costs its host, for nothing else can end it', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('misbehave', { metadata: { at: 4, how: 'system-call' } });
    await bench.progressed(epoch, 4);
    bench.executor.abort(epoch);
    expect(await bench.ending(epoch)).toMatchObject({ cursor: 4, ending: 'release' });
    // The host's own clock is first as a rule; a host that the machine kept waiting is overtaken by its node's.
    expect(await bench.hostEnd()).toMatch(/could not be terminated|did not stop a task in time/);
  });

  it('a host that stopped itself is killed by its node', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('misbehave', { metadata: { at: 4, how: 'stop' } });
    await bench.when((happening) => (happening.kind === 'host-started' ? true : null));
    const [host = 0] = bench.hostStarts();
    await stoppedProcess(host);
    bench.executor.abort(epoch);
    const { ending, begun } = await bench.ending(epoch);
    expect(ending).toBe('release');
    expect(begun).toBe(10);
    expect(runs(host)).toBe(false);
  });

  it('at the deadline every task is terminated, whatever it does', async () => {
    const bench = await openBench({ commit: true });
    const loop = bench.run('misbehave', { metadata: { at: 4, how: 'loop' } });
    const deaf = bench.run('misbehave', { metadata: { at: 4, how: 'deaf' } });
    await bench.progressed(loop, 4);
    await bench.progressed(deaf, 4);
    const at = inMs(50);
    bench.executor.deadline(at);
    for (const epoch of [loop, deaf]) {
      expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 4, begun: 5, ending: 'release', error: '' });
    }
    expect(inMs(0)).toBeGreaterThanOrEqual(at);
  });

  it('a deadline that is moved on in time ends nothing', async () => {
    const bench = await openBench({ commit: true });
    bench.executor.deadline(inMs(60_000));
    const epoch = bench.run('misbehave', { metadata: { at: 4, how: 'heed' } });
    await bench.line('now at 4');
    bench.executor.deadline(inMs(100));
    bench.executor.deadline(inMs(60_000));
    const late = bench.run('misbehave', { metadata: { at: 4, how: 'deaf' } });
    await bench.progressed(late, 4);
    expect(await bench.ending(bench.run('misbehave', { metadata: { at: -1 } }))).toMatchObject({ ending: 'complete' });
    expect(bench.happenings.some((happening) => happening.kind === 'ended' && happening.epoch === epoch)).toBe(false);
  });

  it('a task that comes after the deadline hands out nothing', async () => {
    const bench = await openBench({ commit: true });
    bench.executor.deadline(inMs(-1));
    const epoch = bench.run('count', { metadata: { say: true } });
    expect(await bench.ending(epoch)).toEqual({ epoch, cursor: 0, begun: 0, ending: 'release', error: '' });
  });

  it('a process that job code started ends with its host', async () => {
    const bench = await openBench({ commit: true });
    const epoch = bench.run('misbehave', { metadata: { at: 4, how: 'child' } });
    const child = Number((await bench.line(/^child/)).split(' ')[1]);
    bench.executor.abort(epoch);
    await bench.ending(epoch);
    await bench.stop();
    await goneProcess(child);
  });
});
