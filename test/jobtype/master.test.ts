import { describe, expect, it } from 'vitest';
import type { MasterCall } from '../../src/daemon/env.ts';
import { type Bench, openBench } from './harness.ts';

function call(kind: MasterCall['kind'], metadata: object = {}): MasterCall {
  const progress = { total: 10, done: 4, failed: 1, uncertain: 0, reexecuted: 2 };
  const report = {
    job: 'overseen-job',
    name: 'overseen',
    start: 0,
    end: 10,
    run: 2,
    state: 'failed',
    progress,
  } as const;
  return { kind, name: 'overseen', metadata: JSON.stringify(metadata), memoryMb: null, report };
}

function oversee(bench: Bench, ...about: Parameters<typeof call>): Promise<string | null> {
  return new Promise((resolve) => bench.executor.oversee(call(...about), resolve));
}

describe('a Master', () => {
  it('is told how its job gets on, and how a run of it ended, under a key', async () => {
    const bench = await openBench({ commit: true });
    expect(await oversee(bench, 'progress', { colour: 'green' })).toBeNull();
    const said = JSON.parse((await bench.line(/^progress 1: /)).slice('progress 1: '.length));
    const { report } = call('progress');
    const { job, ...others } = report;
    expect(said).toEqual({ id: job, ...others, metadata: { colour: 'green' }, key: 'overseen-job/2' });
    expect(await oversee(bench, 'complete')).toBeNull();
    await bench.line('complete {"id":"overseen-job","run":2,"state":"failed","key":"overseen-job/2"}');
  });

  it('is called one call at a time, by one instance, in the host of its job', async () => {
    const bench = await openBench({ commit: true });
    const calls = ['progress', 'progress', 'progress'] as const;
    expect(await Promise.all(calls.map((kind) => oversee(bench, kind)))).toEqual([null, null, null]);
    await bench.line(/^progress 3: /);
    await bench.ending(bench.run('overseen', {}));
    expect(bench.hostStarts()).toHaveLength(1);
  });

  it('that throws has failed in that call alone', async () => {
    const bench = await openBench({ commit: true });
    expect(await oversee(bench, 'progress', { how: 'throw' })).toBe('the mail server is away');
    expect(await oversee(bench, 'progress')).toBeNull();
    await bench.line(/^progress 2: /);
  });

  it('that ends its thread costs the call, and the next one has another thread', async () => {
    const bench = await openBench({ commit: true });
    expect(await oversee(bench, 'progress', { how: 'exit' })).toBe('the Master ended its thread: process.exit(4)');
    expect(await oversee(bench, 'progress')).toBeNull();
    expect(bench.hostStarts()).toHaveLength(1);
  });

  it('that kills its host costs the call, and the next one has another host', async () => {
    const bench = await openBench({ commit: true });
    expect(await oversee(bench, 'progress', { how: 'kill' })).toMatch(/^job host was killed by SIGKILL/);
    expect(await oversee(bench, 'progress')).toBeNull();
    expect(bench.hostStarts()).toHaveLength(2);
  });

  it('that hangs is ended when its time is up, and the next call is answered', { timeout: 120_000 }, async () => {
    const bench = await openBench({ commit: true });
    const hanging = oversee(bench, 'progress', { how: 'hang' });
    expect(await Promise.all([hanging, oversee(bench, 'progress')])).toEqual([
      'the Master took longer than 30000 ms',
      null,
    ]);
  });
});
