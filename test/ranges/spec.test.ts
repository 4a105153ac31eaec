import { describe, expect, test } from 'vitest';
import { canonicalJson, fillOptions, sameSpec } from '../../src/ranges/spec.ts';
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
    const filled = { commitEvery: 100, commitIntervalMs: 200, taskSize: null, maxAttempts: 3 };
    expect(fillOptions({})).toEqual(filled);
    expect(fillOptions({ taskSize: null, commitEvery: undefined })).toEqual(filled);
    expect(fillOptions({ taskSize: 7, maxAttempts: 1 })).toEqual({ ...filled, taskSize: 7, maxAttempts: 1 });
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
