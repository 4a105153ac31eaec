import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FileSink, readFileSink } from '../../src/sinks/file.ts';

let dir = '';

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'polaris-file-sink-'));
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function write(name: string, epoch: number, first: number, values: readonly string[]): Promise<string> {
  const path = join(dir, name);
  const sink = await FileSink.open(path, epoch);
  await sink.pushMany(first, values);
  await sink.close();
  return path;
}

async function read(...paths: readonly string[]): Promise<[number, unknown][]> {
  return [...(await readFileSink(paths))].map(([point, { value }]): [number, unknown] => [point, value]).sort();
}

test('of a point that was written twice, the newest epoch counts, whatever the order of the files', async () => {
  const lost = await write('lost', 5, 0, ['a', 'b', 'old']);
  const heir = await write('heir', 9, 2, ['new', 'd']);
  const expected = [
    [0, 'a'],
    [1, 'b'],
    [2, 'new'],
    [3, 'd'],
  ];
  expect(await read(lost, heir)).toEqual(expected);
  expect(await read(heir, lost)).toEqual(expected);
});

test('any value that JSON has comes back, line ends included', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.jsonValue(), { minLength: 1 }), async (values) => {
      const path = join(dir, 'values');
      rmSync(path, { force: true });
      const sink = await FileSink.open(path, 1);
      const whole = JSON.parse(JSON.stringify([...values, 'a\nb\r\u2028\u2029c']));
      await sink.pushMany(Number.MIN_SAFE_INTEGER, whole);
      await sink.close();
      const records = await readFileSink([path]);
      expect([...records.values()].map(({ value }) => value)).toEqual(whole);
      expect([...records.keys()][0]).toBe(Number.MIN_SAFE_INTEGER);
    }),
    { numRuns: 50 },
  );
});

test('a file that was torn at any byte loses the torn line, and no line that is written after', async () => {
  const path = await write('torn', 5, 0, ['12345', 'last']);
  const bytes = readFileSync(path);
  for (let length = 0; length < bytes.length; length++) {
    writeFileSync(path, bytes);
    truncateSync(path, length);
    await write('torn', 6, 7, ['after']);
    const records = new Map(await read(path));
    expect(records.get(7)).toBe('after');
    records.delete(7);
    // A line without its line end is whole all the same.
    for (const [point, value] of records) expect(value).toBe(['12345', 'last'][point]);
  }
});

test('a line that is none of ours is passed over', async () => {
  const path = await write('file', 5, 0, ['a']);
  appendFileSync(path, 'hello\n00000000\t1\t5\t"b"\n\n');
  expect(await read(path)).toEqual([[0, 'a']]);
});

test('a push that could not be written whole fails, and so does every one after it', async () => {
  const sink = await FileSink.open(join(dir, 'closed'), 5);
  await sink.close();
  for (let times = 0; times < 2; times++) {
    await expect(sink.push(0, 'a')).rejects.toMatchObject({ code: 'FILE_FAILED' });
  }
});
