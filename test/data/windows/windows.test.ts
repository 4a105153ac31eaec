/**
 * Windows, one fact a test: what is defined where it could be otherwise.
 */
import {
  Data,
  type DataType,
  DateDay,
  Decimal,
  Dictionary,
  Field,
  Float32,
  Float64,
  Int32,
  Int64,
  RecordBatch,
  Schema,
  Struct,
  TimestampMicrosecond,
  TimestampMillisecond,
  TimestampNanosecond,
  TimestampSecond,
  Uint64,
  Utf8,
  vectorFromArray,
} from 'apache-arrow';
import { describe, expect, test } from 'vitest';
import {
  EVENT_TIME_MS_MAX,
  WINDOW_KEY_CHARACTERS_MAX,
  WINDOW_MS_MAX,
  WINDOWS_OPEN_MAX,
  WINDOWS_PER_ROW_MAX,
} from '../../../src/base/limits.ts';
import type { Cell } from '../../../src/data/windows/columns.ts';
import { session, sliding, tumbling, type WindowsSpec } from '../../../src/data/windows/spec.ts';
import { createWindows } from '../../../src/data/windows/windows.ts';
import { batchOf, cells, PLAIN, refusal, schemaOf, specOf, told } from './tables.ts';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

describe('time', () => {
  test('a window is told when an event reaches its end, not before', () => {
    const windows = createWindows(specOf(), PLAIN);
    windows.add(
      batchOf(PLAIN, [
        [1, 5],
        [9, 6],
      ]),
    );
    expect(windows.advance().numRows).toBe(0);
    windows.add(batchOf(PLAIN, [[10, 7]]));
    expect(cells(windows.advance())).toEqual([[0n, 10n, 11n, false]]);
    expect(windows.advance().numRows).toBe(0);
    expect(windows.watermark).toBe(10);
    expect(cells(windows.close())).toEqual([[10n, 20n, 7n, false]]);
  });

  test('a window before 1970 begins below its times', () => {
    expect(
      told(specOf({ allowedLatenessMs: 5 }), PLAIN, [
        [-11, 3],
        [-10, 2],
        [-1, 4],
      ]),
    ).toEqual([
      [-20n, -10n, 3n, false],
      [-10n, 0n, 6n, false],
    ]);
  });

  test('times of any unit fall into the millisecond that they are in, downwards', () => {
    const instants: [DataType, Cell[]][] = [
      [new TimestampSecond(), [-1n, 1n]],
      [new TimestampMillisecond('Asia/Tokyo'), [-1000n, 1000n]],
      [new TimestampMicrosecond(), [-999_001n, 1_000_999n]],
      [new TimestampNanosecond(), [-999_000_001n, 1_000_999_999n]],
      [new Int64(), [-1000n, 1000n]],
      [new Float64(), [-999.5, 1000.9]],
      [new Float32(), [-999.5, 1000.5]],
    ];
    for (const [type, [before, after]] of instants) {
      const rows = [
        [before!, 1],
        [after!, 2],
      ];
      expect(told(specOf({ window: tumbling(1) }), schemaOf(type), rows), String(type)).toEqual([
        [-1000n, -999n, 1n, false],
        [1000n, 1001n, 2n, false],
      ]);
    }
    expect(told(specOf({ window: tumbling(DAY) }), schemaOf(new DateDay()), [[-1, 1]])).toEqual([
      [BigInt(-DAY), 0n, 1n, false],
    ]);
  });

  test('a day that begins at midnight in Tokyo is an offset', () => {
    const schema = schemaOf(new TimestampMillisecond('Asia/Tokyo'));
    const windows = createWindows(specOf({ window: tumbling(DAY, -9 * HOUR) }), schema);
    windows.add(batchOf(schema, [[0, 1]]));
    expect(cells(windows.close())[0]?.slice(0, 2)).toEqual([BigInt(-9 * HOUR), BigInt(15 * HOUR)]);
    expect(String(windows.schema.fields[0]?.type)).toBe('Timestamp<MILLISECOND, Asia/Tokyo>');
  });

  test('rows without a time fall into no window, move no watermark and are counted', () => {
    const schema = schemaOf(new Float64());
    const rows = [null, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, EVENT_TIME_MS_MAX + 2].map(
      (at) => [at, 1],
    );
    const windows = createWindows(specOf({ late: 'side' }), schema);
    windows.add(batchOf(schema, rows));
    expect(windows.counts).toEqual({ rows: 5, late: 0, untimed: 5, outside: 0 });
    expect(windows.watermark).toBe(null);
    expect(windows.late().map((batch) => batch.numRows)).toEqual([5]);
    expect(windows.close().numRows).toBe(0);
  });

  test('centuries between two rows cost nothing, and the ends of the calendar have windows', () => {
    const far = EVENT_TIME_MS_MAX;
    const spec = specOf({ window: sliding(10, 5), allowedLatenessMs: WINDOW_MS_MAX });
    const result = told(spec, PLAIN, [
      [-far, 1],
      [far, 2],
    ]);
    expect(result.map(([start]) => start)).toEqual([-far - 5, -far, far - 5, far].map(BigInt));
    expect(result.map(([, , sum]) => sum)).toEqual([1n, 1n, 2n, 2n]);
  });

  test('where the slide is larger than the window, rows between two windows belong to none', () => {
    const windows = createWindows(specOf({ window: sliding(2, 10) }), PLAIN);
    windows.add(
      batchOf(PLAIN, [
        [0, 1],
        [1, 2],
        [2, 4],
        [9, 8],
        [11, 16],
      ]),
    );
    expect(windows.counts.outside).toBe(2);
    expect(cells(windows.close()).map((row) => row.slice(0, 3))).toEqual([
      [0n, 2n, 3n],
      [10n, 12n, 16n],
    ]);
  });
});

describe('lateness', () => {
  test('a row inside the allowed lateness corrects its window, once, when the lateness has run out', () => {
    const windows = createWindows(specOf({ allowedLatenessMs: 20 }), PLAIN);
    windows.add(
      batchOf(PLAIN, [
        [5, 1],
        [12, 10],
        [6, 2],
        [7, 4],
        [29, 100],
      ]),
    );
    expect(cells(windows.advance())).toEqual([
      [0n, 10n, 1n, false],
      [10n, 20n, 10n, false],
    ]);
    windows.add(batchOf(PLAIN, [[30, 1000]]));
    expect(cells(windows.advance())).toEqual([
      [0n, 10n, 7n, true],
      [20n, 30n, 100n, false],
    ]);
  });

  test('a window whose rows all came late is told once, as late', () => {
    expect(
      told(specOf({ allowedLatenessMs: 20 }), PLAIN, [
        [15, 1],
        [5, 2],
      ]),
    ).toEqual([
      [10n, 20n, 1n, false],
      [0n, 10n, 2n, true],
    ]);
  });

  test('a row at the very millisecond at which its lateness ends is too late, and one before it is not', () => {
    for (const [watermark, late] of [
      [29, 0],
      [30, 1],
    ] as const) {
      const windows = createWindows(specOf({ allowedLatenessMs: 20 }), PLAIN);
      windows.add(
        batchOf(PLAIN, [
          [watermark, 1],
          [0, 2],
        ]),
      );
      expect(windows.counts.late).toBe(late);
    }
  });

  test('with "side" the rows that were too late are handed out as they came, and only once', () => {
    const windows = createWindows(specOf({ late: 'side' }), PLAIN);
    windows.add(
      batchOf(PLAIN, [
        [25, 1],
        [1, 2, 'x'],
        [2, 3, null],
        [26, 4],
        [3, 5],
      ]),
    );
    expect(windows.late().map(cells)).toEqual([
      [
        [1n, 2, 'x'],
        [2n, 3, null],
      ],
      [[3n, 5, null]],
    ]);
    expect(windows.late()).toEqual([]);
  });

  test('with "fire" a row that was too late is told at once, alone, for every window that it missed', () => {
    const spec = specOf({ window: sliding(20, 10), late: 'fire' });
    expect(
      told(spec, PLAIN, [
        [25, 1],
        [11, 2],
        [1, 4],
      ]),
    ).toEqual([
      [0n, 20n, 2n, true, true],
      [-10n, 10n, 4n, true, true],
      [0n, 20n, 4n, true, true],
      [10n, 30n, 3n, false, false],
      [20n, 40n, 1n, false, false],
    ]);
  });
});

describe('sessions', () => {
  const spec = specOf({ window: session(10), allowedLatenessMs: 50 });

  test('rows exactly a gap apart are of two sessions, and closer ones of one', () => {
    expect(
      told(spec, PLAIN, [
        [0, 1],
        [10, 2],
        [19, 4],
      ]),
    ).toEqual([
      [0n, 10n, 1n, false],
      [10n, 29n, 6n, false],
    ]);
  });

  test('a late row joins two sessions that had ended', () => {
    expect(
      told(spec, PLAIN, [
        [0, 1],
        [15, 2],
        [40, 8],
        [8, 4],
      ]),
    ).toEqual([
      [0n, 25n, 7n, false],
      [40n, 50n, 8n, false],
    ]);
  });

  test('a row may join many, and another key joins none of them', () => {
    const keyed = specOf({ window: session(10), keys: ['key'], allowedLatenessMs: 50 });
    const rows: Cell[][] = [
      [0, 1, 'a'],
      [18, 2, 'a'],
      [9, 4, 'b'],
      [9, 8, 'a'],
    ];
    expect(told(keyed, PLAIN, rows)).toEqual([
      [9n, 19n, 'b', 4n, false],
      [0n, 28n, 'a', 11n, false],
    ]);
  });

  test('a session is told when no row that is still taken could touch it', () => {
    const plain = specOf({ window: session(10) });
    const windows = createWindows(plain, PLAIN);
    // Joined it ends at 28. While the watermark is below 38 a row at 27 would still be taken, and lengthen it.
    windows.add(
      batchOf(PLAIN, [
        [0, 1],
        [18, 2],
        [9, 4],
        [37, 8],
      ]),
    );
    expect(windows.counts.late).toBe(0);
    expect(windows.advance().numRows).toBe(0);
    windows.add(batchOf(PLAIN, [[38, 16]]));
    expect(cells(windows.advance())).toEqual([[0n, 28n, 7n, false]]);
  });

  test('one that grows for a hundred thousand rows stays one window', () => {
    const windows = createWindows(specOf({ window: session(10), openMax: 1 }), PLAIN);
    for (let batch = 0; batch < 100; batch++) {
      windows.add(
        batchOf(
          PLAIN,
          Array.from({ length: 1_000 }, (_, row) => [batch * 1_000 + row, 1]),
        ),
      );
    }
    expect(windows.open).toBe(1);
    expect(cells(windows.close())).toEqual([[0n, 100_009n, 100_000n, false]]);
  });
});

describe('keys', () => {
  test('a null is a key of its own and comes first', () => {
    const rows: Cell[][] = [
      [0, 1, 'b'],
      [0, 2, null],
      [0, 4, ''],
      [0, 8, null],
    ];
    expect(told(specOf({ keys: ['key'] }), PLAIN, rows)).toEqual([
      [0n, 10n, null, 10n, false],
      [0n, 10n, '', 4n, false],
      [0n, 10n, 'b', 1n, false],
    ]);
  });

  test('no two keys are taken for one, whatever stands in them', () => {
    const schema = new Schema([
      new Field('at', new Int64(), true),
      new Field('one', new Utf8(), true),
      new Field('two', new Utf8(), true),
    ]);
    const pairs: Cell[][] = [
      ['n', null],
      [null, 'n'],
      ['1:a', ''],
      ['', '1:a'],
      ['=1;', '1'],
      ['nn', ''],
      ['', 'nn'],
    ];
    const spec = specOf({ keys: ['one', 'two'], aggregates: [{ fn: 'count', as: 'rows' }] });
    const result = told(
      spec,
      schema,
      pairs.map((pair) => [0n, ...pair]),
    );
    expect(result.map((row) => row[4])).toEqual(pairs.map(() => 1n));
  });

  test('texts from a dictionary are the same keys as plain ones', () => {
    const dictionary = vectorFromArray(['b', 'a', null, 'b'], new Dictionary(new Utf8(), new Int32())).data[0]!;
    const schema = new Schema([new Field('at', new Int64()), new Field('key', dictionary.type, true)]);
    const times = new Data(new Int64(), 0, 4, 0, { 1: new BigInt64Array(4) });
    const batch = new RecordBatch(schema, new Data(new Struct(schema.fields), 0, 4, 0, undefined, [times, dictionary]));
    const windows = createWindows(specOf({ keys: ['key'], aggregates: [{ fn: 'count', as: 'rows' }] }), schema);
    windows.add(batch);
    expect(cells(windows.close()).map((row) => row.slice(2, 4))).toEqual([
      [null, 1n],
      ['a', 1n],
      ['b', 2n],
    ]);
  });
});

describe('aggregates', () => {
  const every: WindowsSpec['aggregates'] = [
    { fn: 'count', as: 'rows' },
    { fn: 'count', column: 'value', as: 'values' },
    { fn: 'sum', column: 'value', as: 'sum' },
    { fn: 'min', column: 'value', as: 'min' },
    { fn: 'max', column: 'value', as: 'max' },
    { fn: 'mean', column: 'value', as: 'mean' },
  ];

  function aggregated(type: DataType, values: readonly Cell[]): Cell[] | undefined {
    return told(
      specOf({ aggregates: every }),
      schemaOf(new Int64(), type),
      values.map((value) => [0n, value]),
    )[0]?.slice(2, -1);
  }

  test('nulls take no part, and of no values there is no sum', () => {
    expect(aggregated(new Int32(), [null, 4, null, 1])).toEqual([4n, 2n, 5n, 1, 4, 2.5]);
    expect(aggregated(new Int32(), [null])).toEqual([1n, 0n, null, null, null, null]);
  });

  test('integers are summed exactly, also where the way to the sum leaves 64 bits', () => {
    const most = 2n ** 63n - 1n;
    expect(aggregated(new Int64(), [most, most, -most])?.slice(2)).toEqual([most, -most, most, Number(most) / 3]);
    expect(aggregated(new Uint64(), [most, 0n])?.[2]).toBe(most);
  });

  test('a sum that does not fit is an error that names it, and the windows are spent', () => {
    const schema = schemaOf(new Int64(), new Int64());
    const windows = createWindows(specOf(), schema);
    windows.add(
      batchOf(schema, [
        [0n, 2n ** 63n - 1n],
        [0n, 1n],
      ]),
    );
    refusal('SUM_OVERFLOW', /"sum" is 9223372036854775808/, () => windows.add(batchOf(schema, [[10n, 0n]])));
    refusal('BAD_WINDOWS', /last saved state/, () => windows.add(batchOf(schema, [])));
    refusal('BAD_WINDOWS', /last saved state/, () => windows.save());
  });

  test('floats have no order: what rounding would swallow comes out again', () => {
    expect(aggregated(new Float64(), [1e300, 1, -1e300, 0.1])?.[2]).toBe(1.1);
    expect(aggregated(new Float64(), [0.1, -1e300, 1e300, 1])?.[2]).toBe(1.1);
  });

  test('NaN wins everywhere, infinities cancel into NaN, and -0 is the least zero', () => {
    expect(aggregated(new Float64(), [1, Number.NaN, 2])?.slice(2)).toEqual([
      Number.NaN,
      Number.NaN,
      Number.NaN,
      Number.NaN,
    ]);
    expect(aggregated(new Float64(), [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])?.[2]).toBe(Number.NaN);
    expect(aggregated(new Float64(), [Number.POSITIVE_INFINITY, 1])?.[5]).toBe(Number.POSITIVE_INFINITY);
    expect(aggregated(new Float64(), [0, -0])?.slice(3, 5)).toEqual([-0, 0]);
  });

  test('the latest of a column of times keeps its unit', () => {
    const type = new TimestampNanosecond();
    const spec = specOf({ aggregates: [{ fn: 'max', column: 'value', as: 'latest' }] });
    const schema = schemaOf(new Int64(), type);
    expect(
      told(spec, schema, [
        [0n, 1_000_001n],
        [0n, 1_000_002n],
      ]),
    ).toEqual([[0n, 10n, 1_000_002n, false]]);
    expect(createWindows(spec, schema).schema.fields[2]?.type.toString()).toBe(type.toString());
  });
});

describe('limits and refusals', () => {
  test('as many windows may be open as is said, and one more is an error', () => {
    const spec = specOf({ openMax: 2 });
    expect(() =>
      createWindows(spec, PLAIN).add(
        batchOf(PLAIN, [
          [15, 1],
          [9, 1],
        ]),
      ),
    ).not.toThrow();
    const windows = createWindows({ ...spec, keys: ['key'] }, PLAIN);
    refusal('TOO_MANY_WINDOWS', /2 windows are open/, () =>
      windows.add(
        batchOf(PLAIN, [
          [1, 1, 'a'],
          [1, 1, 'b'],
          [1, 1, 'c'],
        ]),
      ),
    );
  });

  test('the keys of open windows may be so long together, and not longer', () => {
    const windows = createWindows(specOf({ keys: ['key'] }), PLAIN);
    const half = 'k'.repeat(WINDOW_KEY_CHARACTERS_MAX / 2);
    windows.add(batchOf(PLAIN, [[1, 1, half]]));
    refusal('TOO_MANY_WINDOWS', /more than 33554432 characters/, () =>
      windows.add(batchOf(PLAIN, [[1, 1, `${half}2`]])),
    );
  });

  test('windows that are closed make room for others', () => {
    const windows = createWindows(specOf({ openMax: 2, keys: ['key'] }), PLAIN);
    for (let at = 0; at < 1_000; at += 10) windows.add(batchOf(PLAIN, [[at, 1, `k${at}`]]));
    expect(windows.open).toBe(1);
  });

  test('a wrong description says what is wrong', () => {
    const wrong: [RegExp, Partial<WindowsSpec>][] = [
      [/0 columns "when" among at, value, key/, { time: 'when' }],
      [/"key" is Utf8, which is no event time/, { time: 'key' }],
      [/size of a window must be 1/, { window: tumbling(0) }],
      [/size of a window must be 1/, { window: tumbling(1.5) }],
      [/size of a window must be 1/, { window: tumbling(WINDOW_MS_MAX + 1) }],
      [/must slide by 1/, { window: sliding(10, 0) }],
      [/an offset must be at most/, { window: tumbling(10, Number.NaN) }],
      [/gap of a session must be/, { window: session(-1) }],
      [/1001 windows, and may into 1000/, { window: sliding(WINDOWS_PER_ROW_MAX + 1, 1) }],
      [/allowedLatenessMs must be 0/, { allowedLatenessMs: -1 }],
      [/openMax must be 1 to 250000/, { openMax: WINDOWS_OPEN_MAX + 1 }],
      [/0 aggregates; 1 to 64/, { aggregates: [] }],
      [/sum needs a column/, { aggregates: [{ fn: 'sum', as: 'sum' }] }],
      [/there is no sum of Utf8/, { aggregates: [{ fn: 'sum', column: 'key', as: 'sum' }] }],
      [/would be called "late"/, { aggregates: [{ fn: 'count', as: 'late' }] }],
      [/would be called "key"/, { keys: ['key'], aggregates: [{ fn: 'count', as: 'key' }] }],
    ];
    for (const [detail, changes] of wrong) refusal('BAD_WINDOWS', detail, () => createWindows(specOf(changes), PLAIN));
    const floats = schemaOf(new Int64(), new Float64());
    refusal('BAD_WINDOWS', /"value" is Float64, which cannot be a key/, () =>
      createWindows(specOf({ keys: ['value'] }), floats),
    );
    const decimals = schemaOf(new Int64(), new Decimal(2, 10, 128));
    refusal('BAD_WINDOWS', /there is no sum of Decimal/, () => createWindows(specOf(), decimals));
  });

  test('what can just be is accepted', () => {
    for (const window of [tumbling(1), tumbling(WINDOW_MS_MAX), sliding(WINDOWS_PER_ROW_MAX, 1), session(1)]) {
      expect(() => createWindows(specOf({ window, allowedLatenessMs: WINDOW_MS_MAX }), PLAIN)).not.toThrow();
    }
  });

  test('a batch with other columns is refused, one with more of them is not', () => {
    const other = schemaOf(new TimestampMillisecond(), new Int64());
    refusal('BAD_WINDOWS', /"value" of a batch is Int64 and should be Int32/, () =>
      createWindows(specOf(), PLAIN).add(batchOf(other, [])),
    );
    const fewer = new Schema(PLAIN.fields.slice(0, 1));
    refusal('BAD_WINDOWS', /no column "value"/, () => createWindows(specOf(), PLAIN).add(batchOf(fewer, [])));
    const more = new Schema([new Field('extra', new Int32(), true), ...PLAIN.fields]);
    const windows = createWindows(specOf(), PLAIN);
    windows.add(batchOf(more, [[7, 0, 1]]));
    expect(cells(windows.close())).toEqual([[0n, 10n, 1n, false]]);
  });

  test('closed windows take nothing more', () => {
    const windows = createWindows(specOf(), PLAIN);
    windows.close();
    refusal('BAD_WINDOWS', /closed/, () => windows.add(batchOf(PLAIN, [])));
    refusal('BAD_WINDOWS', /closed/, () => windows.save());
  });
});
