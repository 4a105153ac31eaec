/**
 * Windows against the naive answer, and what must not make a difference: cuts, calls, saves, parts.
 */

import type { RecordBatch } from 'apache-arrow';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cellReader } from '../../../src/data/windows/columns.ts';
import type { WindowsSpec } from '../../../src/data/windows/spec.ts';
import {
  createPartialWindows,
  createWindows,
  restoreWindows,
  type Windows,
} from '../../../src/data/windows/windows.ts';
import { answer, type ToldWindow } from './oracle.ts';
import { arbitraryRows, arbitrarySpec, batchOf, bytesOf, cut, SCHEMA, type TestRow, travelled } from './rows.ts';

/** Seeded, so that a failure is the same for everybody. */
const RUNS = { seed: 20_261_121, numRuns: 60 };
const places = fc.array(fc.nat({ max: 1_000 }), { maxLength: 6 });

/** The told windows by column, raw. */
function shown(batch: RecordBatch): ToldWindow[] {
  const read = batch.schema.fields.map(({ name }, at) => ({ name, cell: cellReader(batch.getChildAt(at)!) }));
  return Array.from({ length: batch.numRows }, (_, row) =>
    Object.fromEntries(read.map(({ name, cell }) => [name, cell(row)])),
  );
}

function rowsOf(batches: readonly RecordBatch[]): unknown[] {
  return batches.flatMap((batch) => batch.toArray().map((row) => row.toJSON()));
}

interface Result {
  readonly told: ToldWindow[];
  readonly aside: unknown[];
  readonly windows: Windows;
}

/** Adds piece after piece and fetches what is told after each. */
function run(spec: WindowsSpec, pieces: readonly TestRow[][], between = (windows: Windows) => windows): Result {
  let windows = createWindows(spec, SCHEMA);
  const told: ToldWindow[] = [];
  const aside: unknown[] = [];
  for (const piece of pieces) {
    windows.add(batchOf(piece));
    told.push(...shown(windows.advance()));
    aside.push(...rowsOf(windows.late()));
    windows = between(windows);
  }
  told.push(...shown(windows.close()));
  return { told, aside, windows };
}

describe('windows', () => {
  test('tell what the naive answer tells, in its order', () => {
    fc.assert(
      fc.property(arbitrarySpec, arbitraryRows, (spec, rows) => {
        const expected = answer(spec, rows);
        const { told, aside, windows } = run(spec, [rows]);
        expect(told).toEqual(expected.told);
        expect(aside).toEqual(rowsOf([batchOf(expected.aside)]));
        expect(windows.counts).toEqual(expected.counts);
        expect(windows.open).toBe(0);
      }),
      { ...RUNS, numRuns: 300 },
    );
  });

  test('tell the same however the rows are cut and however often they are asked', () => {
    fc.assert(
      fc.property(arbitrarySpec, arbitraryRows, places, (spec, rows, at) => {
        const whole = run(spec, [rows]);
        const pieces = run(spec, cut(rows, at));
        expect(pieces.told).toEqual(whole.told);
        expect(pieces.aside).toEqual(whole.aside);
      }),
      RUNS,
    );
  });

  test('tell the same when they are saved and restored after every batch, and save the same bytes', () => {
    fc.assert(
      fc.property(arbitrarySpec, arbitraryRows, places, (spec, rows, at) => {
        const pieces = cut(rows, at);
        const plain: string[] = [];
        const whole = run(spec, pieces, (windows) => {
          plain.push(bytesOf(windows.save()));
          return windows;
        });
        const restored: string[] = [];
        const again = run(spec, pieces, (windows) => {
          const state = windows.save();
          restored.push(bytesOf(state));
          return restoreWindows(spec, SCHEMA, travelled(state));
        });
        expect(again.told).toEqual(whole.told);
        expect(again.aside).toEqual(whole.aside);
        expect(restored).toEqual(plain);
      }),
      RUNS,
    );
  });

  test('have a state that does not show how the rows were cut', () => {
    fc.assert(
      fc.property(arbitrarySpec, arbitraryRows, places, (spec, rows, at) => {
        const states = [[rows], cut(rows, at)].map((pieces) => {
          const windows = createWindows(spec, SCHEMA);
          for (const piece of pieces) windows.add(batchOf(piece));
          windows.advance();
          windows.late();
          return bytesOf(windows.save());
        });
        expect(states[1]).toBe(states[0]);
      }),
      RUNS,
    );
  });
});

const droppingSpec = arbitrarySpec.map((spec): WindowsSpec => ({ ...spec, late: 'drop' }));

function partialOf(spec: WindowsSpec, pieces: readonly TestRow[][]): RecordBatch {
  const partial = createPartialWindows(spec, SCHEMA);
  for (const piece of pieces) partial.add(batchOf(piece));
  return travelled(partial.save());
}

describe('partials', () => {
  test('merged in the order of their rows give the same bytes as the rows', () => {
    fc.assert(
      fc.property(droppingSpec, arbitraryRows, places, (spec, rows, at) => {
        const whole = createWindows(spec, SCHEMA);
        whole.add(batchOf(rows));
        const merged = createWindows(spec, SCHEMA);
        for (const piece of cut(rows, at)) merged.merge(partialOf(spec, cut(piece, at)));
        expect(bytesOf(merged.advance())).toBe(bytesOf(whole.advance()));
        expect(bytesOf(merged.save())).toBe(bytesOf(whole.save()));
        expect(merged.counts).toEqual(whole.counts);
        expect(bytesOf(merged.close())).toBe(bytesOf(whole.close()));
      }),
      { ...RUNS, numRuns: 150 },
    );
  });

  test('may be mixed with rows, and told in between', () => {
    fc.assert(
      fc.property(droppingSpec, arbitraryRows, places, (spec, rows, at) => {
        const pieces = cut(rows, at);
        const whole = run(spec, pieces);
        const mixed = createWindows(spec, SCHEMA);
        const told: ToldWindow[] = [];
        for (const [index, piece] of pieces.entries()) {
          if (index % 2 === 0) mixed.merge(partialOf(spec, [piece]));
          else mixed.add(batchOf(piece));
          told.push(...shown(mixed.advance()));
        }
        told.push(...shown(mixed.close()));
        expect(told).toEqual(whole.told);
      }),
      RUNS,
    );
  });

  test('combine in any grouping, and a part without rows changes nothing', () => {
    fc.assert(
      fc.property(droppingSpec, arbitraryRows, arbitraryRows, arbitraryRows, (spec, first, second, third) => {
        const [a, b, c] = [first, second, third].map((rows) => partialOf(spec, [rows])) as [
          RecordBatch,
          RecordBatch,
          RecordBatch,
        ];
        const merge = (...parts: RecordBatch[]): RecordBatch => {
          const partial = createPartialWindows(spec, SCHEMA);
          for (const part of parts) partial.merge(part);
          return partial.save();
        };
        const inOne = bytesOf(partialOf(spec, [first, second, third]));
        expect(bytesOf(merge(merge(a, b), c))).toBe(inOne);
        expect(bytesOf(merge(a, merge(b, c)))).toBe(inOne);
        expect(bytesOf(merge(partialOf(spec, []), a))).toBe(bytesOf(a));
        expect(bytesOf(merge(a, partialOf(spec, [])))).toBe(bytesOf(a));
      }),
      RUNS,
    );
  });
});
