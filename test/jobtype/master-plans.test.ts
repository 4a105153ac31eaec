import { describe, expect, it } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { type FoldBench, openFoldBench } from './fold-bench.ts';

const DATASETS: Readonly<Record<string, number>> = { books: 40, trades: 2 };

function plan(bench: FoldBench, metadata: object) {
  const rows = async (name: string): Promise<number> => {
    const count = DATASETS[name];
    if (count === undefined) throw new PolarisError('NOT_FOUND', `there is no dataset "${name}"`);
    return count;
  };
  const request = { job: 'planned-job', name: 'planning', metadata: JSON.stringify(metadata), memoryMb: null, rows };
  return bench.executor.plan(request);
}

function refused(code: string, detail: string | RegExp): object {
  return expect.objectContaining({ code, detail: typeof detail === 'string' ? detail : expect.stringMatching(detail) });
}

describe('a Master that plans', () => {
  it('says the range, or the input, or some rows of it', async () => {
    const bench = await openFoldBench();
    expect(await plan(bench, { plan: { start: 3, end: 9 } })).toEqual({ input: null, start: 3, end: 9 });
    expect(await plan(bench, { plan: { input: 'books' } })).toEqual({ input: 'books', start: null, end: null });
    const some = { input: 'books', start: 1, end: 2 };
    expect(await plan(bench, { plan: some })).toEqual(some);
    expect(bench.hosts).toBe(1);
  });

  it('asks how many rows datasets have', async () => {
    const bench = await openFoldBench();
    const made = await plan(bench, { how: 'ask', names: ['books', 'trades'] });
    expect(made).toEqual({ input: null, start: 0, end: 42 });
  });

  it('that asks for a dataset that is not there is refused with its name', async () => {
    const bench = await openFoldBench();
    const missing = plan(bench, { how: 'ask', names: ['books', 'brooks'] });
    await expect(missing).rejects.toEqual(refused('NOT_FOUND', 'there is no dataset "brooks"'));
  });

  it('that throws, or plans nothing that can be read, is refused with the reason', async () => {
    const bench = await openFoldBench();
    const says = 'the Master of "planning": ';
    await expect(plan(bench, { how: 'throw' })).rejects.toEqual(refused('BAD_PLAN', `${says}no plan`));
    await expect(plan(bench, { plan: 7 })).rejects.toEqual(refused('BAD_PLAN', `${says}its plan is no object`));
    await expect(plan(bench, { plan: { start: 1 } })).rejects.toEqual(refused('BAD_PLAN', /neither an input nor/));
    await expect(plan(bench, { plan: { input: 'books', rows: 1 } })).rejects.toEqual(refused('BAD_PLAN', /"rows"/));
    await expect(plan(bench, { plan: { start: 0, end: 1.5 } })).rejects.toEqual(refused('BAD_PLAN', /end of its plan/));
  });

  it('that kills its host is refused, and the next plan has another host', async () => {
    const bench = await openFoldBench();
    await expect(plan(bench, { how: 'kill' })).rejects.toEqual(refused('BAD_PLAN', /SIGKILL/));
    expect(await plan(bench, { plan: { start: 0, end: 1 } })).toMatchObject({ end: 1 });
    expect(bench.hosts).toBe(2);
  });
});
