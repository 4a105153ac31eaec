import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BATCH_BYTES_TARGET, BATCH_ROWS, LINE_BYTES_MAX } from '../../src/base/limits.ts';
import { readText } from '../../src/data/text-in.ts';
import { collect, inPieces, SEED, valuesOfAll } from './arbitrary.ts';

const lines = (bytes: Uint8Array | string, size = 7) => valuesOfAll(readText(inPieces(Buffer.from(bytes), size)));

describe('plain text', () => {
  test.each([
    ['', []],
    ['\n', ['']],
    ['a', ['a']],
    ['a\n', ['a']],
    ['a\nb', ['a', 'b']],
    ['a\r\n\r\nb\r\n', ['a', '', 'b']],
    ['a\rb\n', ['a\rb']],
    ['\ufeffa\n\ufeffb', ['a', '\ufeffb']],
    ['ä\n😀ﬀ\n', ['ä', '😀ﬀ']],
  ])('%j has these lines', async (text, expected) => {
    for (const size of [1, 2, 3, 5, 100]) expect(await lines(text, size)).toEqual([expected]);
  });

  test('any lines come back, in pieces of any size', async () => {
    const line = fc.string({ unit: 'binary' }).map((drawn) => drawn.replaceAll(/[\r\n\ufeff]/g, ''));
    await fc.assert(
      fc.asyncProperty(
        fc.array(line),
        fc.constantFrom('\n', '\r\n'),
        fc.integer({ min: 1, max: 9 }),
        async (drawn, end, size) => {
          expect(await lines(drawn.map((text) => text + end).join(''), size)).toEqual([drawn]);
        },
      ),
      { seed: SEED, numRuns: 300 },
    );
  });

  test('a line that is not UTF-8 is named, wherever the pieces are cut', async () => {
    const bad = [[0xff], [0xc3], [0xe2, 0x82], [0xf0, 0x9f, 0x98], [0xed, 0xa0, 0x80], [0xc0, 0x80], [0x80]];
    for (const sequence of bad) {
      for (const rest of ['\nnext', '']) {
        const bytes = Buffer.concat([Buffer.from('good\nä\n'), Buffer.from(sequence), Buffer.from(rest)]);
        for (const size of [1, 2, 3, 4, 100]) {
          await expect(lines(bytes, size)).rejects.toMatchObject({ code: 'BAD_DATA', detail: 'Line 3 is not UTF-8.' });
        }
      }
    }
  });

  test('a line may be as long as the limit, and no longer', async () => {
    const long = Buffer.alloc(LINE_BYTES_MAX + 1, 'x');
    const [[line]] = (await lines(Buffer.concat([long.subarray(1), Buffer.from('\n')]), 1 << 16)) as [[string]];
    expect(line.length).toBe(LINE_BYTES_MAX);
    const error = { code: 'BAD_DATA', detail: `Line 2 has more than ${LINE_BYTES_MAX} bytes.` };
    await expect(lines(Buffer.concat([Buffer.from('a\n'), long]), 1 << 16)).rejects.toMatchObject(error);
    await expect(lines(Buffer.concat([Buffer.from('a\n'), long, Buffer.from('\n')]), 1 << 16)).rejects.toMatchObject(
      error,
    );
  });

  test('a line without an end is refused before it fills the memory', async () => {
    let sent = 0;
    async function* endless() {
      for (;;) {
        sent += 1 << 20;
        yield Buffer.alloc(1 << 20, 'x');
      }
    }
    await expect(collect(readText(endless()))).rejects.toMatchObject({ code: 'BAD_DATA' });
    expect(sent).toBeLessThan(LINE_BYTES_MAX + (4 << 20));
  });

  test('batches end at their rows and at their bytes', async () => {
    const short = await collect(readText(inPieces(Buffer.from('x\n'.repeat(2 * BATCH_ROWS + 3)), 1 << 14)));
    expect(short.map((batch) => batch.numRows)).toEqual([BATCH_ROWS, BATCH_ROWS, 3]);
    const long = await collect(
      readText(inPieces(Buffer.from(`${'y'.repeat(BATCH_BYTES_TARGET / 4)}\n`.repeat(6)), 1 << 16)),
    );
    expect(long.map((batch) => batch.numRows)).toEqual([4, 2]);
  });

  test('a reader that stops early ends its source', async () => {
    let ended = false;
    async function* source() {
      try {
        for (;;) yield Buffer.from('x\n'.repeat(BATCH_ROWS + 1));
      } finally {
        ended = true;
      }
    }
    for await (const batch of readText(source())) {
      expect(batch.numRows).toBe(BATCH_ROWS);
      break;
    }
    expect(ended).toBe(true);
  });
});
