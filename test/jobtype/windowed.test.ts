/**
 * Windows as a Master: whatever tasks emit, rows or partials, and however often the Master is replaced, its result has each
 * window as it was told last.
 */
import { tableFromArrays } from 'apache-arrow';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cellReader } from '../../src/data/windows/columns.ts';
import { tumbling, type WindowsSpec } from '../../src/data/windows/spec.ts';
import { exportedClass } from '../../src/jobtype/exported.ts';
import { windows } from '../../src/jobtype/windowed.ts';
import { answer, type ToldWindow } from '../data/windows/oracle.ts';
import {
  AGGREGATES,
  arbitraryRows,
  arbitrarySpec,
  batchOf,
  bytesOf,
  cut,
  SCHEMA,
  type TestRow,
  travelled,
} from '../data/windows/rows.ts';

const SPEC: WindowsSpec = { time: 'at', keys: ['product'], window: tumbling(10), aggregates: AGGREGATES };

/** The result of a Master that takes these pieces, another instance each. */
async function resultOf(spec: WindowsSpec, pieces: readonly TestRow[][], arePacked: boolean): Promise<ToldWindow[]> {
  const { Master, partial } = windows(spec);
  let master = new Master();
  for (const piece of pieces) {
    const rows = batchOf(piece);
    await master.collect(travelled(arePacked ? await partial(rows) : rows));
    const successor = new Master();
    await successor.restore((await master.state()).map(travelled));
    master = successor;
  }
  return (await master.finish()).flatMap((batch) => {
    const read = batch.schema.fields.map(({ name }, at) => ({ name, cell: cellReader(batch.getChildAt(at)!) }));
    return Array.from({ length: batch.numRows }, (_, row) =>
      Object.fromEntries(read.map(({ name, cell }) => [name, cell(row)])),
    );
  });
}

/** What is left when a window that is told again takes its former place. */
function standing(spec: WindowsSpec, told: readonly ToldWindow[]): ToldWindow[] {
  const places = new Map<string, ToldWindow>();
  for (const [number, window] of told.entries()) {
    const names = ['window_start', 'window_end', ...(spec.keys ?? [])];
    const place = names.map((name) => `${typeof window[name]} ${window[name]}`).join('\n');
    places.set(window['alone'] === true ? `alone ${number}` : place, window);
  }
  return [...places.values()];
}

/** Where a window stands there is no row. */
function windowIn(told: ToldWindow): ToldWindow {
  const { aside, ...rest } = told;
  const columns = Object.entries(rest).filter(([name]) => !name.startsWith('row.'));
  if (aside !== undefined) expect(columns.length + 1 + SCHEMA.fields.length).toBe(Object.keys(told).length);
  for (const { name } of SCHEMA.fields) expect(told[`row.${name}`] ?? null).toBe(null);
  return Object.fromEntries(columns);
}

/** Where a row stands there is no window. */
function rowIn(told: ToldWindow): object {
  for (const [name, cell] of Object.entries(told)) {
    if (name !== 'aside' && !name.startsWith('row.')) expect(cell).toBe(null);
  }
  const row = Object.fromEntries(SCHEMA.fields.map(({ name }) => [name, told[`row.${name}`]]));
  return { ...row, at: typeof row['at'] === 'bigint' ? Number(row['at']) : null };
}

describe('windows of a job', () => {
  const places = fc.array(fc.nat({ max: 1_000 }), { maxLength: 6 });
  test('are those of one loop, whoever takes in the rows, and in whatever pieces', async () => {
    await fc.assert(
      fc.asyncProperty(arbitrarySpec, arbitraryRows, places, fc.boolean(), async (spec, rows, at, packs) => {
        const found = await resultOf(spec, cut(rows, at), packs && spec.late === 'drop');
        const { told, aside } = answer(spec, rows);
        expect(found.filter((row) => row['aside'] !== true).map(windowIn)).toEqual(standing(spec, told));
        expect(found.filter((row) => row['aside'] === true).map(rowIn)).toEqual(aside);
      }),
      { seed: 20_261_121, numRuns: 60 },
    );
  });

  test('of a job that emitted nothing are no result, and no state', async () => {
    const master = new (windows(SPEC).Master)();
    expect(await master.state()).toEqual([]);
    expect(await master.finish()).toEqual([]);
  });

  test('go on from a state of many batches as from one', async () => {
    const { Master } = windows({ ...SPEC, aggregates: [{ fn: 'count', as: 'rows' }], allowedLatenessMs: 90_000 });
    // Each row opens a window, and more of them are open, and more were told, than one batch has rows.
    const rows = Array.from({ length: 9_500 }, (_, row): TestRow => {
      return { at: row * 10, product: 'tea', shop: 0, amount: BigInt(row), price: null };
    });
    const [first, second] = [new Master(), new Master()];
    await first.collect(batchOf(rows));
    const state = await first.state();
    expect(state.length).toBeGreaterThan(4);
    await second.restore(state.map(travelled));
    for (const master of [first, second]) await master.collect(batchOf([{ ...rows[0]!, at: 95_000 }]));
    const [kept, went] = [await first.finish(), await second.finish()];
    expect(went.map(bytesOf)).toEqual(kept.map(bytesOf));
    expect(went.reduce((count, batch) => count + batch.numRows, 0)).toBe(9_501);
  });

  test('take outputs in order, as a Master that Polaris finds beside a Client', () => {
    const { Master } = windows(SPEC);
    const client = class {
      async work(): Promise<void> {}
    };
    const { master } = exportedClass({ Client: client, Turnover: Master });
    expect(master).toBe(Master);
    expect(new Master().ordered).toBe(true);
  });

  test('say with the first rows that two columns of the result would have one name', async () => {
    const aggregates = [{ fn: 'count', as: 'row.shop' }] as const;
    const { Master } = windows({ ...SPEC, aggregates, late: 'side' });
    const refusal = { code: 'BAD_WINDOWS', message: expect.stringContaining('called "row.shop"') };
    await expect(new Master().collect(batchOf([]))).rejects.toMatchObject(refusal);
  });

  test('go on from no state but their own', async () => {
    const [batch] = tableFromArrays({ polaris_part: ['open'], other: ['?'] }).batches;
    await expect(new (windows(SPEC).Master)().restore([batch!])).rejects.toMatchObject({ code: 'BAD_WINDOWS' });
    const other = windows({ ...SPEC, window: tumbling(11) });
    const packed = await other.partial(batchOf([]));
    await expect(new (windows(SPEC).Master)().collect(packed)).rejects.toMatchObject({ code: 'BAD_WINDOWS' });
  });
});
