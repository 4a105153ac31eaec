import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { MasterCall } from '../../src/daemon/env.ts';
import { type FoldBench, folded, openFoldBench, unkept } from './fold-bench.ts';

/** Job code that dies once does it where this file is not there yet. */
function once(bench: FoldBench): string {
  return join(bench.dataDir, 'done');
}

describe('a Master that collects', () => {
  it('is given each output batch by batch, in the order of its order, and what it wrote down is kept', async () => {
    const bench = await openFoldBench();
    const outputs = [await bench.output(0, [1, 2], [3]), await bench.output(10, [4]), await bench.output(20, [5, 6])];
    const ending = await bench.fold({ outputs });
    expect(await bench.ledger(folded(ending))).toEqual(['0:6', '10:4', '20:11']);
    expect(ending).toMatchObject({ stamp: 1 });
    expect(bench.files()).toEqual([]);
  });

  it('stays for the next order, and is made anew from the state where that is not the one it has come to', async () => {
    const bench = await openFoldBench();
    const [one, two, three] = [await bench.output(0, [1]), await bench.output(10, [2]), await bench.output(20, [3])];
    const first = folded(await bench.fold({ outputs: [one] }));
    const second = folded(await bench.fold({ state: first, outputs: [two] }));
    expect(await bench.ledger(second)).toEqual(['0:1', '10:2']);
    // It had the first state, so that was not read again.
    expect(bench.blobs.opened).toEqual([one.handle.hash, two.handle.hash]);
    // The log has not taken the second; or it has another Master since.
    for (const epoch of [7, 8]) {
      const again = folded(await bench.fold({ epoch, state: first, outputs: [three] }));
      expect(await bench.ledger(again)).toEqual(['0:1', '20:3']);
    }
    expect(bench.hosts).toBe(1);
  });

  it('makes the result of all that it took in, also as another instance', async () => {
    const bench = await openFoldBench();
    const state = folded(await bench.fold({ outputs: [await bench.output(0, [1]), await bench.output(10, [2])] }));
    for (const epoch of [7, 8]) {
      const ending = await bench.fold({ epoch, state, outputs: null });
      if (ending.kind !== 'finished' || ending.result === null) throw new Error(JSON.stringify(ending));
      expect(await bench.ledger(ending.result)).toEqual(['0:1', '10:2']);
    }
    expect(bench.files()).toEqual([]);
  });

  it('is told of no output without rows, and of nothing made there is no blob', async () => {
    const bench = await openFoldBench();
    const metadata = { bad: 'none' };
    const outputs = [await bench.output(0, [])];
    const nothing = { kind: 'folded', state: null, stamp: 0 };
    expect(await bench.fold({ metadata, outputs })).toEqual(nothing);
    expect(bench.lines.filter((line) => line.startsWith('collect'))).toEqual([]);
    const result = await bench.fold({ metadata, outputs: null });
    expect(result).toEqual({ kind: 'finished', result: null, stamp: 0 });
    expect(bench.files()).toEqual([]);
  });

  it('hears of its job as the instance that took in the outputs', async () => {
    const bench = await openFoldBench();
    folded(await bench.fold({ outputs: [await bench.output(0, [1]), await bench.output(10, [2])] }));
    const progress = { total: 10, done: 4, failed: 0, uncertain: 0, reexecuted: 0 };
    const job = { job: 'folding-job', name: 'folding', start: 0, end: 10, run: 1, state: 'running', progress } as const;
    const call: MasterCall = { kind: 'progress', name: 'folding', metadata: '{}', memoryMb: null, report: job };
    expect(await new Promise((resolve) => bench.executor.oversee(call, resolve))).toBeNull();
    await expect.poll(() => bench.lines).toContain('progress after 0 10');
  });

  it.each([
    ['collect', 'collect of the points from 10 to 20: the ledger is full'],
    ['state', 'state: the ledger is full'],
  ])('that throws in %s is at fault, and says where', async (at, error) => {
    const bench = await openFoldBench();
    const outputs = [await bench.output(0, [1]), await bench.output(10, [2]), await bench.output(20, [3])];
    const ending = await bench.fold({ outputs, metadata: { how: { at, from: 10, deed: 'throw' } } });
    expect(ending).toEqual({ kind: 'failed', culprit: 'master', error });
    expect(bench.files()).toEqual([]);
  });

  it('that throws in finish is at fault', async () => {
    const bench = await openFoldBench();
    const metadata = { how: { at: 'finish', deed: 'throw' } };
    const state = folded(await bench.fold({ metadata, outputs: [await bench.output(0, [1])] }));
    const ending = await bench.fold({ metadata, state, outputs: null });
    expect(ending).toEqual({ kind: 'failed', culprit: 'master', error: 'finish: the ledger is full' });
  });

  it('that gives no batches is at fault', async () => {
    const bench = await openFoldBench();
    const outputs = [await bench.output(0, [1])];
    const said = 'BAD_SCHEMA: a RecordBatch or a Table of apache-arrow is needed, not an object of Object';
    const ending = await bench.fold({ metadata: { bad: 'state' }, outputs });
    expect(ending).toEqual({ kind: 'failed', culprit: 'master', error: `state: ${said}` });
    const state = folded(await bench.fold({ metadata: { bad: 'finish' }, outputs }));
    const finished = await bench.fold({ metadata: { bad: 'finish' }, state, outputs: null });
    expect(finished).toMatchObject({
      culprit: 'master',
      error: expect.stringContaining('finish: BAD_SCHEMA: a RecordBatch'),
    });
    expect(bench.files()).toEqual([]);
  });

  it('that hangs is ended when its time is up', { timeout: 120_000 }, async () => {
    const bench = await openFoldBench();
    const ending = await bench.fold({
      outputs: [await bench.output(0, [1])],
      metadata: { how: { at: 'collect', deed: 'hang' } },
    });
    expect(ending).toMatchObject({ culprit: 'master', error: expect.stringContaining('longer than 30000 ms') });
  });

  it('whose host is killed between two outputs is made anew, and nothing is in the state twice', async () => {
    const bench = await openFoldBench();
    const metadata = { how: { at: 'collect', from: 20, deed: 'kill', mark: once(bench) } };
    const [one, two, three] = [await bench.output(0, [1]), await bench.output(10, [2]), await bench.output(20, [3])];
    const state = folded(await bench.fold({ metadata, outputs: [one] }));
    const ending = await bench.fold({ metadata, state, outputs: [two, three] });
    expect(ending).toMatchObject({ kind: 'failed', culprit: 'host', error: expect.stringContaining('SIGKILL') });
    expect(existsSync(once(bench))).toBe(true);
    const again = folded(await bench.fold({ metadata, state, outputs: [two, three] }));
    expect(await bench.ledger(again)).toEqual(['0:1', '10:2', '20:3']);
    expect(bench.hosts).toBe(2);
    expect(bench.files()).toEqual([]);
  });

  it('whose thread ends itself is made anew, in the same host', async () => {
    const bench = await openFoldBench();
    const metadata = { how: { at: 'state', deed: 'exit', mark: once(bench) } };
    const outputs = [await bench.output(0, [1])];
    expect(await bench.fold({ metadata, outputs })).toMatchObject({ kind: 'failed', culprit: 'master' });
    expect(await bench.ledger(folded(await bench.fold({ metadata, outputs })))).toEqual(['0:1']);
    expect(bench.hosts).toBe(1);
  });

  it('is not at fault when a blob cannot be read or kept, and begins again from the state', async () => {
    const bench = await openFoldBench();
    const [one, two] = [await bench.output(0, [1]), await bench.output(10, [2])];
    const state = folded(await bench.fold({ outputs: [one] }));
    bench.blobs.failures.push(unkept());
    expect(await bench.fold({ state, outputs: [two] })).toMatchObject({ kind: 'failed', culprit: 'node' });
    expect(bench.files()).toEqual([]);
    expect(await bench.ledger(folded(await bench.fold({ state, outputs: [two] })))).toEqual(['0:1', '10:2']);
  });

  it('that is given up says nothing, and the next order begins from its state', async () => {
    const bench = await openFoldBench();
    const [one, two] = [await bench.output(0, [1]), await bench.output(10, [2])];
    const state = folded(await bench.fold({ outputs: [one] }));
    const base = { job: 'folding-job', name: 'folding', metadata: '{}', memoryMb: null, epoch: 7 };
    let told = 0;
    const giveUp = bench.executor.fold({ ...base, state, outputs: [two] }, () => {
      told += 1;
    });
    giveUp();
    expect(await bench.ledger(folded(await bench.fold({ state, outputs: [two] })))).toEqual(['0:1', '10:2']);
    expect(told).toBe(0);
  });
});
