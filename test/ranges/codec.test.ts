import * as fc from 'fast-check';
import { Packr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { CURSORS_PER_ENTRY_MAX, ERROR_TEXT_MAX, METADATA_BYTES_MAX, STAGES_MAX } from '../../src/base/limits.ts';
import { decodeCommand, encodeCommand } from '../../src/ranges/codec.ts';
import { fillOptions } from '../../src/ranges/options.ts';
import { canonicalJson } from '../../src/ranges/spec.ts';
import type { Command } from '../../src/ranges/types.ts';
import { roundTrip, specOf } from './fixtures.ts';

const plain = new Packr({ useRecords: false });
const id = fc.string({ minLength: 1, maxLength: 36 });
const natural = fc.maxSafeNat();
const point = fc.maxSafeInteger();
const handle = fc.record({
  hash: fc.constantFrom('ab'.repeat(32), 'cd'.repeat(32)),
  bytes: fc.nat(),
  rows: natural,
  schema: fc.constantFrom('0123456789abcdef', 'fedcba9876543210'),
});
const outputs = fc.array(fc.record({ start: point, end: point, handle, stamp: natural }), { maxLength: 3 });
const checkpoint = fc.record({ stage: fc.nat({ max: STAGES_MAX - 1 }), fingerprint: id, handle });
const ofMaster = { at: natural, job: id, epoch: natural, stamp: natural };
const ending = { at: natural, epoch: natural, cursor: point, begun: point, outputs };
const text = fc.string({ unit: 'binary', maxLength: 80 });

const spec = fc
  .record({
    id,
    name: id,
    range: fc.tuple(fc.nat(), fc.integer({ min: 1, max: 2 ** 31 })),
    metadata: fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()),
    options: fc.record({ taskSize: fc.option(fc.integer({ min: 1, max: 1_000 })), maxAttempts: fc.constantFrom(1, 7) }),
    exposure: fc.constantFrom('window' as const, 'task' as const),
    overseen: fc.boolean(),
    input: fc.constant(null),
    inputName: fc.constant(null),
    collects: fc.constant(false),
  })
  .map(({ range: [start, length], metadata, options, ...rest }) => ({
    ...rest,
    start,
    end: start + length,
    metadata: canonicalJson(metadata as never),
    options: fillOptions(options),
  }));

const command: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ kind: fc.constant('submit-job' as const), at: natural, spec, stamp: fc.option(natural) }),
  fc.record({
    kind: fc.constant('control-job' as const),
    at: natural,
    id,
    action: fc.constantFrom('pause' as const, 'resume' as const, 'cancel' as const),
  }),
  fc.record({
    kind: fc.constant('retry-job' as const),
    at: natural,
    id,
    range: fc.option(fc.record({ start: fc.integer(), length: fc.integer({ min: 1 }) })).map((some) => {
      return some === null ? null : { start: some.start, end: some.start + some.length };
    }),
    uncertain: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('worker-join' as const),
    at: natural,
    worker: id,
    instanceId: id,
    address: id,
    slots: fc.nat({ max: 1_024 }),
    offers: fc.array(fc.record({ name: id, hash: id }), { maxLength: 4 }),
  }),
  fc.record({
    kind: fc.constant('worker-expire' as const),
    at: natural,
    worker: id,
    incarnation: natural,
    reason: text,
  }),
  fc.record({ kind: fc.constant('worker-suspect' as const), worker: id, incarnation: natural, quarters: natural }),
  fc.record({ kind: fc.constant('worker-heard' as const), worker: id, incarnation: natural }),
  fc.record({
    kind: fc.constant('grant' as const),
    at: natural,
    job: id,
    worker: id,
    incarnation: natural,
    size: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
    retry: fc.option(point),
  }),
  fc.record({
    kind: fc.constant('progress' as const),
    at: natural,
    cursors: fc.array(fc.record({ epoch: natural, cursor: point, claimed: point, outputs })),
  }),
  fc.record({ kind: fc.constant('complete' as const), ...ending }),
  fc.record({ kind: fc.constant('fail' as const), ...ending, error: text }),
  fc.record({ kind: fc.constant('release' as const), ...ending }),
  fc.record({ kind: fc.constant('checkpoint' as const), at: natural, epoch: natural, checkpoint, stamp: natural }),
  fc.record({ kind: fc.constant('take-master' as const), at: natural, job: id }),
  fc.record({
    kind: fc.constant('fold' as const),
    ...ofMaster,
    outputs: fc.array(point, { maxLength: 5 }),
    state: fc.option(handle),
  }),
  fc.record({ kind: fc.constant('finish-master' as const), ...ofMaster, result: fc.option(handle) }),
  fc.record({ kind: fc.constant('master-failed' as const), at: natural, job: id, epoch: natural, error: text }),
);

function codeOf(run: () => unknown): string | null {
  try {
    run();
    return null;
  } catch (error) {
    return error instanceof PolarisError ? error.code : String(error);
  }
}

const GRANT: Command = { kind: 'grant', at: 1, job: 'j', worker: 'w', incarnation: 2, size: 3, retry: null };
const FAIL: Command = { kind: 'fail', outputs: [], at: 1, epoch: 2, cursor: 3, begun: 4, error: '' };

describe('the codec of commands', () => {
  test('gives back what it was given, and the same bytes for it each time', () => {
    fc.assert(
      fc.property(command, (given) => {
        expect(roundTrip(given)).toEqual(given);
      }),
      { numRuns: 1_000 },
    );
  });

  test('gives the same bytes whatever was encoded before', () => {
    const first = encodeCommand(GRANT);
    encodeCommand({ kind: 'submit-job', stamp: null, at: 9, spec: specOf({ metadata: '{"__proto__":1}' }) });
    expect(encodeCommand({ ...GRANT })).toEqual(first);
    expect(first.buffer.byteLength).toBe(first.byteLength);
  });

  test('keeps texts that begin with a byte order mark, short and long', () => {
    for (const length of [1, 100, 1_000]) {
      const error = `\ufeff${'ä'.repeat(length)}`;
      expect(roundTrip({ ...FAIL, error })).toMatchObject({ error });
    }
  });

  test('clips an error at its limit and never through a surrogate pair', () => {
    const error = `${'x'.repeat(ERROR_TEXT_MAX - 2)}😀😀`;
    const clipped = roundTrip({ ...FAIL, error });
    expect(clipped).toMatchObject({ error: `${'x'.repeat(ERROR_TEXT_MAX - 2)}\ufffd…` });
    expect(roundTrip({ ...FAIL, error: 'a\ud800b' })).toMatchObject({ error: 'a\ufffdb' });
  });

  test('refuses at the proposer what replicas could not decode', () => {
    const bad: Command[] = [
      { ...GRANT, size: 0 },
      { ...GRANT, size: 1.5 },
      { ...GRANT, worker: '' },
      { ...GRANT, worker: 'half \ud800 pair' },
      { ...GRANT, at: Number.NaN },
      { kind: 'submit-job', stamp: null, at: 1, spec: specOf({ start: 5, end: 5 }) },
      { kind: 'submit-job', stamp: null, at: 1, spec: specOf({ start: -1, end: Number.MAX_SAFE_INTEGER }) },
      { kind: 'submit-job', stamp: null, at: 1, spec: specOf({ metadata: `"${'ä'.repeat(METADATA_BYTES_MAX / 2)}"` }) },
      {
        kind: 'submit-job',
        stamp: null,
        at: 1,
        spec: { ...specOf(), options: { ...specOf().options, commitEvery: 0 } },
      },
      {
        kind: 'progress',
        at: 1,
        cursors: Array.from({ length: CURSORS_PER_ENTRY_MAX + 1 }, () => ({
          epoch: 1,
          cursor: 1,
          claimed: 1,
          outputs: [],
        })),
      },
    ];
    for (const one of bad) expect(codeOf(() => encodeCommand(one))).toBe('BAD_REQUEST');
  });

  test('takes bytes that are no command for a damaged log', () => {
    const good = [6, 1, 'j', 'w', 2, 3, null];
    expect(codeOf(() => decodeCommand(plain.pack(good)))).toBe(null);
    const bad: unknown[] = [
      null,
      7,
      'grant',
      { kind: 'grant' },
      [],
      [99],
      [6.5],
      ['6', 1, 'j', 'w', 2, 3, null],
      good.slice(0, -1),
      [...good, 1],
      [6, -1, 'j', 'w', 2, 3, null],
      [6, 1, ['j'], 'w', 2, 3, null],
      [6, 1, 'j', 'w', 2, 2 ** 53, null],
      [6, 1, 'j', 'w', 2, 3, 'start'],
      [6, 1, 'j'.repeat(65), 'w', 2, 3, null],
      [7, 1, [[1]]],
      [7, 1, { length: 1 }],
    ];
    for (const one of bad) expect(codeOf(() => decodeCommand(plain.pack(one)))).toBe('LOG_DAMAGED');
  });

  test('takes a cut or a flipped byte for damage, or for another command, but never breaks', () => {
    const bytes = encodeCommand({ kind: 'submit-job', stamp: null, at: 1_700_000_000_000, spec: specOf() });
    fc.assert(
      fc.property(fc.nat({ max: bytes.length - 1 }), fc.integer({ min: 1, max: 255 }), (place, mask) => {
        const flipped = bytes.slice();
        flipped[place]! ^= mask;
        expect([null, 'LOG_DAMAGED']).toContain(codeOf(() => decodeCommand(flipped)));
        expect(codeOf(() => decodeCommand(bytes.subarray(0, place)))).toBe('LOG_DAMAGED');
      }),
      { numRuns: 500 },
    );
  });
});
