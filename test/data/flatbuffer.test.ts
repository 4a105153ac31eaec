import { describe, expect, test } from 'vitest';
import { FlatBuffer } from '../../src/data/flatbuffer.ts';

/** A table with one slot, whose field is a pointer to a text of so many bytes. */
function oneText(length: number): DataView {
  const view = new DataView(new ArrayBuffer(24 + length));
  view.setUint32(0, 12, true);
  // The slots: their own length, that of the table, and where the field lies.
  view.setUint16(4, 6, true);
  view.setUint16(6, 8, true);
  view.setUint16(8, 4, true);
  view.setInt32(12, 8, true);
  view.setUint32(16, 4, true);
  view.setUint32(20, length, true);
  new Uint8Array(view.buffer).fill(0x61, 24);
  return view;
}

const open = (view: DataView) => new FlatBuffer(new Uint8Array(view.buffer), 'A message').root;

describe('flatbuffer', () => {
  test('a field is found by its slot, and is missing where there is no slot for it', () => {
    const table = open(oneText(3));
    expect([table.text(0), table.text(1), table.int(7, 5), table.table(2)]).toEqual(['aaa', null, 5, null]);
    expect([...table.tables(3)]).toEqual([]);
  });

  test('fields may share a text, but not so often that it becomes more than the buffer', () => {
    const table = open(oneText(100));
    for (let time = 0; time < 4; time++) expect(table.text(0)).toBe('a'.repeat(100));
    expect(() => table.text(0)).toThrow('BAD_ARROW: A message: its texts overlap.');
  });

  test.each([
    ['the root', 0, 2 ** 31],
    ['the slots', 12, -(2 ** 30)],
    ['the text', 16, 2 ** 30],
    ['the length of the text', 20, 1_000],
  ])('a pointer outside, of %s, is refused before it is followed', (_, at, value) => {
    const view = oneText(3);
    view.setInt32(at, value, true);
    expect(() => open(view).text(0)).toThrow(/^BAD_ARROW: A message: its metadata points outside itself/);
  });

  test('a vector that claims more than is there is refused before it is walked', () => {
    const table = open(oneText(2 ** 10));
    expect(table.vector(0, 1).count).toBe(2 ** 10);
    expect(() => table.vector(0, 2)).toThrow('points outside itself');
    expect(() => [...table.tables(0)]).toThrow('points outside itself');
  });

  test('a length below zero, or beyond what a number holds, is refused', () => {
    const buffer = new FlatBuffer(new Uint8Array(new BigInt64Array([-1n, 2n ** 60n, 7n]).buffer), 'A message');
    expect(() => buffer.size(0)).toThrow('it claims a length of -1');
    expect(() => buffer.size(8)).toThrow('it claims a length of 1152921504606846976');
    expect(buffer.size(16)).toBe(7);
  });
});
