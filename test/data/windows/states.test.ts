/**
 * What windows save, and who may go on from it.
 */
import { describe, expect, test } from 'vitest';
import { buildBatch, type Cell, cellReader } from '../../../src/data/windows/columns.ts';
import { session, sliding, tumbling } from '../../../src/data/windows/spec.ts';
import { createPartialWindows, createWindows, restoreWindows } from '../../../src/data/windows/windows.ts';
import { bytesOf } from './rows.ts';
import { batchOf, cells, PLAIN, refusal, specOf, told } from './tables.ts';

describe('states', () => {
  test('what was told must be fetched before a save, or it would be told never', () => {
    const windows = createWindows(specOf({ late: 'side' }), PLAIN);
    windows.add(
      batchOf(PLAIN, [
        [5, 1],
        [15, 2],
        [5, 3],
      ]),
    );
    refusal('BAD_WINDOWS', /take advance\(\) and late\(\) first/, () => windows.save());
    windows.advance();
    refusal('BAD_WINDOWS', /take advance\(\) and late\(\) first/, () => windows.save());
    windows.late();
    expect(() => windows.save()).not.toThrow();
  });

  test('a state fits its own description only, however it is written', () => {
    const windows = createWindows(specOf({ window: tumbling(10, 3) }), PLAIN);
    windows.add(batchOf(PLAIN, [[5, 1]]));
    const state = windows.save();
    for (const window of [tumbling(10, -7), sliding(10, 10, 13)]) {
      const restored = restoreWindows(specOf({ window }), PLAIN, state);
      expect(bytesOf(restored.save())).toBe(bytesOf(state));
    }
    for (const changes of [{ window: tumbling(10) }, { allowedLatenessMs: 1 }, { late: 'side' as const }]) {
      refusal('BAD_WINDOWS', /described otherwise/, () => restoreWindows(specOf(changes), PLAIN, state));
    }
    const aggregates = [{ fn: 'max' as const, column: 'value', as: 'sum' }];
    refusal('BAD_WINDOWS', /other columns/, () => restoreWindows(specOf({ aggregates }), PLAIN, state));
  });

  test('what is no state is refused', () => {
    const windows = createWindows(specOf(), PLAIN);
    windows.add(batchOf(PLAIN, [[5, 1]]));
    const state = windows.save();
    refusal('BAD_WINDOWS', /other columns/, () => restoreWindows(specOf(), PLAIN, batchOf(PLAIN, [])));
    refusal('BAD_WINDOWS', /is none/, () => restoreWindows(specOf(), PLAIN, state.slice(0, 0)));
    refusal('BAD_WINDOWS', /is none/, () => restoreWindows(specOf(), PLAIN, state.slice(1, 2)));
    const header = String(cellReader(state.getChildAt(0)!)(0));
    const changed = (text: string) =>
      buildBatch(
        state.schema,
        state.schema.fields.map((_field, at) => [at === 0 ? text : null]),
        1,
      );
    refusal('BAD_WINDOWS', /another version/, () =>
      restoreWindows(specOf(), PLAIN, changed(header.replace('[1,', '[2,'))),
    );
    refusal('BAD_WINDOWS', /is none/, () => restoreWindows(specOf(), PLAIN, changed(header.replace(',false,', ',0,'))));
    refusal('BAD_WINDOWS', /is none/, () => restoreWindows(specOf(), PLAIN, changed('{}')));
  });

  test('a partial tells nothing, cannot hand rows out, and alone can be merged', () => {
    refusal('BAD_WINDOWS', /late "side" is not/, () => createPartialWindows(specOf({ late: 'side' }), PLAIN));
    const partial = createPartialWindows(specOf(), PLAIN);
    refusal('BAD_WINDOWS', /tells nothing/, () => partial.advance());
    refusal('BAD_WINDOWS', /tells nothing/, () => partial.close());
    const whole = createWindows(specOf(), PLAIN);
    refusal('BAD_WINDOWS', /only the state of a partial/, () => createWindows(specOf(), PLAIN).merge(whole.save()));
    expect(bytesOf(restoreWindows(specOf(), PLAIN, partial.save()).save())).toBe(bytesOf(partial.save()));
  });

  test('a partial keeps the rows of a session apart, for some of them may turn out to be too late', () => {
    const spec = specOf({ window: session(10) });
    const rows: Cell[][][] = [
      [[100, 1]],
      [
        [88, 2],
        [95, 4],
      ],
    ];
    const merged = createWindows(spec, PLAIN);
    for (const part of rows) {
      const partial = createPartialWindows(spec, PLAIN);
      partial.add(batchOf(PLAIN, part));
      merged.merge(partial.save());
    }
    expect(merged.counts.late).toBe(1);
    expect(cells(merged.close())).toEqual([[95n, 110n, 5n, false]]);
    expect(told(spec, PLAIN, rows.flat())).toEqual([[95n, 110n, 5n, false]]);
  });
});
