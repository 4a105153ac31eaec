/** The codec: what goes in comes out, and whatever else comes in is BAD_FRAME. */
import fc from 'fast-check';
import { Packr, pack, Unpackr } from 'msgpackr';
import { describe, expect, test, vi } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { ERROR_TEXT_MAX, FRAME_BYTES_MAX, FRAME_VALUES_MAX, SLOTS_MAX } from '../../src/base/limits.ts';
import { sealRecord } from '../../src/base/record.ts';
import {
  decodeFrame,
  decodeMessage,
  encodeHello,
  encodeMessage,
  encodeRefusal,
  encodeWelcome,
} from '../../src/wire/codec.ts';
import type { Hello, WireMessage } from '../../src/wire/messages.ts';
import { anyHello, anyMessage, ENDS, MESSAGES, normal } from './frames.ts';

/** Null when the bytes are a frame; any exception but BAD_FRAME fails the test. */
function refusalOf(bytes: Uint8Array): string | null {
  try {
    decodeFrame(bytes, ENDS);
    return null;
  } catch (thrown) {
    if (thrown instanceof PolarisError && thrown.code === 'BAD_FRAME') return thrown.detail;
    throw thrown;
  }
}

/** The refusal of bytes of which msgpackr, which believes what a length says, never got to see one. */
function refusalUnseen(bytes: Uint8Array): string | null {
  const unpack = vi.spyOn(Unpackr.prototype, 'unpack');
  try {
    const refused = refusalOf(bytes);
    expect(unpack).not.toHaveBeenCalled();
    return refused;
  } finally {
    unpack.mockRestore();
  }
}

describe('codec', () => {
  for (const [type, messages] of Object.entries(MESSAGES)) {
    test(`a '${type}' comes out as it went in`, () => {
      fc.assert(
        fc.property(messages, (message) => {
          expect(normal(decodeMessage(encodeMessage(message), ENDS))).toEqual(normal(message));
        }),
        { numRuns: 50 },
      );
    });
  }

  test('hello and refusal come out as they went in, before and after the hello', () => {
    fc.assert(
      fc.property(anyHello, (hello) => {
        expect(decodeFrame(encodeHello(hello), null)).toEqual({ kind: 'hello', hello });
        expect(decodeFrame(encodeHello(hello), ENDS)).toEqual({ kind: 'hello', hello });
      }),
      { numRuns: 50 },
    );
    const refusal = { code: 'STRANGER', detail: 'who are you?' };
    expect(decodeFrame(encodeRefusal(refusal), null)).toEqual({ kind: 'refusal', refusal });
    expect(decodeFrame(encodeWelcome(), null)).toEqual({ kind: 'welcome' });
  });

  test('from is the node of the connection, whatever the sender wrote', () => {
    const said = { type: 'vote-reply', term: 3, granted: true, commit: 2, commitTerm: 1 } as const;
    const bytes = encodeMessage({ ...said, from: 'liar', to: 'n7' });
    expect(decodeMessage(bytes, ENDS)).toEqual({ ...said, from: 'n2', to: 'n1' });
  });

  test('what a frame means does not depend on the frames before it', () => {
    const message: WireMessage = { type: 'heartbeat', ...ENDS, term: 1, commit: 2, match: 2, round: 3 };
    const alone = encodeMessage(message);
    // A record definition of msgpackr: an extension that would stay in a decoder's memory.
    const poison = new Packr({ useRecords: true }).pack([9, { a: 1 }]);
    expect(refusalOf(poison)).toContain('kind 0xd4');
    expect(Buffer.from(encodeMessage(message))).toEqual(Buffer.from(alone));
    expect(decodeMessage(alone, ENDS)).toEqual(message);
  });

  test('entries and snapshots are views into the frame, not copies', () => {
    const record = sealRecord(1, 1, new Uint8Array(1_000));
    const append = encodeMessage({
      type: 'append',
      ...ENDS,
      term: 1,
      prevIndex: 0,
      prevTerm: 0,
      commit: 0,
      entries: [{ term: 1, index: 1, record }],
    });
    const decoded = decodeMessage(append, ENDS);
    if (decoded.type !== 'append') throw new Error('decoded as another type');
    expect(decoded.entries[0]?.record.buffer).toBe(append.buffer);
  });

  test('a text for a person is cut by its sender rather than refused by its receiver', () => {
    const bytes = encodeRefusal({ code: 'STRANGER', detail: 'x'.repeat(5_000) });
    const frame = decodeFrame(bytes, null);
    expect(frame.kind === 'refusal' ? frame.refusal.detail : '').toHaveLength(ERROR_TEXT_MAX);
  });
});

describe('codec, bad frames', () => {
  const heartbeat = encodeMessage({ type: 'heartbeat', ...ENDS, term: 1, commit: 2, match: 2, round: 3 });

  test('arbitrary bytes are refused and nothing else', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        refusalOf(bytes);
      }),
      { numRuns: 3_000 },
    );
  });

  test('a mutated frame is refused or is a message that can be sent on', () => {
    const mutations = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(anyMessage, mutations, (message, changes) => {
        const bytes = new Uint8Array(encodeMessage(message));
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        if (refusalOf(bytes) !== null) return;
        const frame = decodeFrame(bytes, ENDS);
        if (frame.kind !== 'message') return;
        expect(normal(decodeMessage(encodeMessage(frame.message), ENDS))).toEqual(normal(frame.message));
      }),
      { numRuns: 3_000 },
    );
  });

  test('every cut of a frame is refused, and so is every longer one', () => {
    fc.assert(
      fc.property(anyMessage, fc.nat(), (message, at) => {
        const bytes = encodeMessage(message);
        expect(refusalOf(bytes.subarray(0, at % bytes.length))).not.toBeNull();
        expect(refusalOf(Buffer.concat([bytes, Buffer.of(0xc0)]))).toContain('1 bytes too many');
      }),
      { numRuns: 300 },
    );
  });

  test('a flipped bit in an entry is found by its checksum', () => {
    const record = sealRecord(1, 1, Buffer.from('payload'));
    record[25] = (record[25] ?? 0) ^ 0x10;
    const entries = [{ term: 1, index: 1, record }];
    const append = { type: 'append', ...ENDS, term: 1, prevIndex: 0, prevTerm: 0, commit: 0, entries } as const;
    expect(refusalOf(encodeMessage(append))).toContain('checksum');
  });

  test('entries must follow prevIndex without a gap, with terms that never fall or pass the message', () => {
    const send = (prevIndex: number, prevTerm: number, term: number, ...list: [number, number][]) =>
      refusalOf(
        encodeMessage({
          type: 'append',
          ...ENDS,
          term,
          prevIndex,
          prevTerm,
          commit: 0,
          entries: list.map(([t, i]) => ({ term: t, index: i, record: sealRecord(t, i, new Uint8Array()) })),
        }),
      );
    expect(send(4, 1, 3, [1, 5], [3, 6])).toBeNull();
    expect(send(4, 1, 3, [1, 6])).toContain('entry 6 follows entry 4');
    expect(send(4, 1, 3, [1, 5], [1, 7])).toContain('entry 7 follows entry 5');
    expect(send(4, 2, 3, [1, 5])).toContain('term 1');
    expect(send(4, 1, 3, [4, 5])).toContain('term 4');
  });

  test('a message before the hello is refused', () => {
    expect(() => decodeFrame(heartbeat, null)).toThrow('before the hello');
  });

  test('a hello in the place of a message is refused by decodeMessage', () => {
    expect(() => decodeMessage(encodeRefusal({ code: 'X', detail: '' }), ENDS)).toThrow('a refusal in the place');
  });

  test('wrong kinds, signs, fractions, unsafe integers and unknown tags are refused', () => {
    expect(refusalOf(pack([9, 1, 2, 3, 4]))).toBeNull();
    for (const bad of [-1, 0.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, null, true, 'x', [1], Buffer.of(1)]) {
      expect(refusalOf(pack([9, 1, 2, 3, bad])), String(bad)).not.toBeNull();
    }
    expect(refusalOf(pack([9, 1, 2, 3]))).toContain('other fields');
    expect(refusalOf(pack([9, 1, 2, 3, 4, 5]))).toContain('other fields');
    for (const tag of [2, 127, 255, -1, 1.5, null, 'append', 'length', '__proto__', [8]]) {
      expect(refusalOf(pack([tag, 1, 2, 3])), String(tag)).toContain('tag');
    }
    expect(refusalOf(pack(8))).toContain('not an array');
    expect(refusalOf(pack([]))).toContain('tag');
  });

  test('maps, extensions, 64-bit integers and reserved bytes are refused', () => {
    expect(refusalOf(pack({ type: 'vote' }))).toContain('kind');
    expect(refusalOf(pack([9, 1, 2, new Date(0)]))).toContain('kind');
    expect(refusalOf(pack([9, 1, 2, 3n << 40n]))).toContain('kind');
    expect(refusalOf(Buffer.of(0xc1))).toContain('kind');
  });

  test('lists, texts and ids longer than their limits are refused', () => {
    const keepAlive = (length: number): WireMessage => ({
      type: 'keep-alive',
      incarnation: 1,
      sequence: 1,
      epochs: new Array<number>(length).fill(1),
      draining: false,
    });
    expect(refusalOf(encodeMessage(keepAlive(SLOTS_MAX)))).toBeNull();
    expect(refusalOf(encodeMessage(keepAlive(SLOTS_MAX + 1)))).toContain('elements');
    const leader = (length: number): WireMessage => ({
      type: 'leader',
      term: 1,
      leader: 'n'.repeat(length),
      members: [],
    });
    expect(refusalOf(encodeMessage(leader(64)))).toBeNull();
    expect(refusalOf(encodeMessage(leader(65)))).toContain('65 characters');
    expect(refusalOf(encodeMessage(leader(0)))).toContain('not a text');
    expect(refusalOf(encodeMessage(leader(100_000)))).toContain('a text of 100000 bytes');
  });

  test('forged lengths are refused before anything is made from them', () => {
    const forged = [
      [0xdd, 0xff, 0xff, 0xff, 0xff],
      [0xdd, 0x7f, 0xff, 0xff, 0xff, 0x01],
      [0xc6, 0xff, 0xff, 0xff, 0xff],
      [0xdb, 0xff, 0xff, 0xff, 0xff],
      [0xdc, 0xff, 0xff],
    ];
    for (const head of forged) expect(refusalUnseen(Buffer.from([0x92, 0x09, ...head]))).toContain('too early');
  });

  test('a large frame of tiny values is refused by their number, before any is made', () => {
    const frame = Buffer.alloc(FRAME_BYTES_MAX, 0x01);
    frame.set([0xdd]);
    frame.writeUInt32BE(FRAME_BYTES_MAX - 5, 1);
    expect(FRAME_VALUES_MAX).toBeLessThan(FRAME_BYTES_MAX);
    expect(refusalUnseen(frame)).toContain('too many values');
    expect(refusalOf(Buffer.alloc(FRAME_BYTES_MAX + 1))).toContain('bytes');
  });

  test('arrays in arrays without an end are refused', () => {
    expect(refusalOf(Buffer.alloc(1_000_000, 0x91))).toContain('too deeply');
  });

  test('a hello that is not ours is refused field by field', () => {
    const hello: Hello = {
      protocol: 1,
      protocolMin: 1,
      clusterId: null,
      nodeId: 'n1',
      instanceId: 'i',
      role: 'voter',
      address: 'a:1',
      joining: false,
      sessionTtlMs: 5_000,
      empty: true,
      members: [],
    };
    const fields = [0, 1, 1, null, 'n1', 'i', 0, 'a:1', false, 5_000, true, []];
    expect(Buffer.from(encodeHello(hello))).toEqual(Buffer.from(pack(fields)));
    for (const position of fields.keys()) {
      const broken = fields.map((field, at) => (at === position ? ['other'] : field));
      expect(refusalOf(pack(broken)), `field ${position}`).not.toBeNull();
    }
  });
});
