import { describe, expect, test } from 'vitest';
import { fillOptions, toleratedPoints } from '../../src/ranges/options.ts';
import { canonicalJson, sameSpec } from '../../src/ranges/spec.ts';
import { jobId, specOf } from './fixtures.ts';

describe('canonical JSON', () => {
  test('does not hang on the order of keys, on how a number is written, or on the sign of zero', () => {
    expect(canonicalJson({ b: 1, a: [1e2, -0] })).toBe('{"a":[100,0],"b":1}');
    expect(canonicalJson(JSON.parse('{"a":[100,0],"b":1.0}'))).toBe('{"a":[100,0],"b":1}');
  });

  test('keeps a key named __proto__', () => {
    expect(canonicalJson(JSON.parse('{"__proto__":{"x":1},"a":2}'))).toBe('{"__proto__":{"x":1},"a":2}');
  });

  test('refuses what has no canonical form', () => {
    const circle: { self?: unknown } = {};
    circle.self = circle;
    let deep: unknown = 1;
    for (let i = 0; i < 100_000; i++) deep = [deep];
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 'half \ud800 pair', circle, undefined, deep]) {
      expect(() => canonicalJson(value as never)).toThrow(expect.objectContaining({ code: 'BAD_METADATA' }));
    }
  });
});

describe('the same spec', () => {
  test('is the same in every field', () => {
    expect(sameSpec(specOf(), specOf())).toBe(true);
    const others = [
      specOf({ id: jobId(2) }),
      specOf({ name: 'hash' }),
      specOf({ start: 1 }),
      specOf({ end: 101 }),
      specOf({ metadata: '{"a":1}' }),
      specOf({ exposure: 'task' }),
      specOf({ overseen: true }),
      specOf({ options: { commitEvery: 11 } }),
      specOf({ options: { commitIntervalMs: 11 } }),
      specOf({ options: { taskSize: 5 } }),
      specOf({ options: { maxAttempts: 5 } }),
    ];
    for (const other of others) expect(sameSpec(specOf(), other)).toBe(false);
  });
});

describe('options', () => {
  test('that are left out are filled in', () => {
    const filled = {
      ...{ delivery: 'at-least-once', commitEvery: 100, commitIntervalMs: 200, taskSize: null, maxAttempts: 3 },
      ...{ taskTimeoutMs: null, memoryMb: null, priority: 0, weight: 1, maxConcurrency: null, pointsPerSecond: null },
      ...{ tolerate: 1_000, throttle: null, onDone: null, after: null, at: null },
    };
    expect(fillOptions({})).toEqual(filled);
    expect(fillOptions({ taskSize: null, commitEvery: undefined })).toEqual(filled);
    expect(fillOptions({ taskSize: 7, maxAttempts: 1 })).toEqual({ ...filled, taskSize: 7, maxAttempts: 1 });
  });

  test('delivery is one of three words', () => {
    for (const delivery of ['at-least-once', 'at-most-once', 'exactly-once']) {
      expect(fillOptions({ delivery }).delivery).toBe(delivery);
    }
    for (const delivery of ['sometimes', '', 1, {}]) {
      expect(() => fillOptions({ delivery })).toThrow(
        'delivery must be one of at-least-once, at-most-once, exactly-once',
      );
    }
  });

  test('a tolerance is a number of points or a share of them', () => {
    expect(toleratedPoints(fillOptions({ tolerate: 7 }).tolerate, 100)).toBe(7);
    expect(toleratedPoints(fillOptions({ tolerate: '0%' }).tolerate, 100)).toBe(0);
    expect(toleratedPoints(fillOptions({ tolerate: '2.5%' }).tolerate, 1_000)).toBe(25);
    expect(toleratedPoints(fillOptions({ tolerate: '100%' }).tolerate, 2 ** 53 - 1)).toBe(2 ** 53 - 1);
    for (const tolerate of [-1, 1.5, '101%', '5', '%', '1.234%', 'all', {}, true]) {
      expect(() => fillOptions({ tolerate })).toThrow('tolerate must be a number of points or a percentage');
    }
  });

  test('that are unknown are refused by name, also when they hide behind a prototype', () => {
    for (const text of ['{"retries":1}', '{"__proto__":1}', '{"toString":1}']) {
      const name = Object.keys(JSON.parse(text))[0]!;
      expect(() => fillOptions(JSON.parse(text))).toThrow(`no option "${name}"`);
    }
    expect(() => fillOptions({ retries: 1 })).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }));
  });

  test('out of their bounds are refused by name', () => {
    const bad = [
      { commitEvery: 0 },
      { commitEvery: 1_000_001 },
      { commitEvery: null },
      { commitIntervalMs: 9 },
      { commitIntervalMs: Number.NaN },
      { taskSize: 0 },
      { taskSize: 1.5 },
      { taskSize: '5' },
      { maxAttempts: 101 },
    ];
    for (const options of bad) {
      const name = Object.keys(options)[0]!;
      expect(() => fillOptions(options)).toThrow(expect.objectContaining({ code: 'BAD_OPTION' }));
      expect(() => fillOptions(options)).toThrow(name);
    }
  });
});
