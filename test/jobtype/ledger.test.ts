/**
 * Ledger without a host: what a Master gives may be larger than a batch, and comes back as it was.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  Binary,
  Dictionary,
  Field,
  Int32,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  Utf8,
  Vector,
  vectorFromArray,
} from 'apache-arrow';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { BATCH_BYTES_MAX, BATCH_BYTES_TARGET } from '../../src/base/limits.ts';
import { batchBytes } from '../../src/data/cut.ts';
import { restoreState, saveState } from '../../src/jobtype/ledger.ts';
import type { Batches } from '../../src/jobtype/master.ts';

const MIB = 1024 ** 2;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'polaris-ledger-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** One batch of so many blobs, each of so many zeros but for its number. */
function blobs(count: number, bytes: number): RecordBatch {
  const type = new Binary();
  const fields = [new Field('blob', type, false)];
  const valueOffsets = Int32Array.from({ length: count + 1 }, (_, at) => at * bytes);
  const data = new Uint8Array(count * bytes);
  for (let at = 0; at < count; at++) data[at * bytes] = at;
  const column = makeData({ type, length: count, nullCount: 0, valueOffsets, data });
  return new RecordBatch(new Schema(fields), makeData({ type: new Struct(fields), length: count, children: [column] }));
}

/** What comes back of a state. */
async function travelled(state: Batches): Promise<readonly RecordBatch[]> {
  const path = join(directory, 'state.arrow');
  expect(await saveState({ state: () => state }, path, () => {})).toBe(true);
  let found: readonly RecordBatch[] = [];
  const restore = (batches: readonly RecordBatch[]): void => {
    found = batches;
  };
  await restoreState({ restore }, path);
  return found;
}

test('a state that is one large batch is cut, and comes back row by row', async () => {
  const batch = blobs(65, MIB);
  expect(batchBytes(batch)).toBeGreaterThan(BATCH_BYTES_MAX);
  const pieces = await travelled(batch);
  for (const piece of pieces) expect(batchBytes(piece)).toBeLessThanOrEqual(BATCH_BYTES_TARGET);
  const firstBytes = pieces.flatMap((piece) => Array.from(piece.getChild('blob') ?? [], ([byte]) => byte));
  expect(firstBytes).toEqual(Array.from({ length: 65 }, (_, at) => at));
});

test('a dictionary that is small, and large when it is decoded, is cut too', async () => {
  const rows = BATCH_BYTES_MAX / 4_096 + 1;
  const words = vectorFromArray(['a'.repeat(4_096), 'b'], new Utf8());
  const type = new Dictionary(words.type, new Int32());
  const data = new Int32Array(rows);
  data[rows - 1] = 1;
  const column = makeData({ type, length: rows, nullCount: 0, data, dictionary: words });
  const pieces = await travelled(new Table({ word: new Vector([column]) }));
  expect(pieces.reduce((count, piece) => count + piece.numRows, 0)).toBe(rows);
  expect(must(pieces.at(-1), 'there are pieces').getChild('word')?.at(-1)).toBe('b');
});

test('a single row cannot be cut', async () => {
  const save = saveState({ state: () => blobs(1, BATCH_BYTES_MAX + 1) }, join(directory, 'state.arrow'), () => {});
  await expect(save).rejects.toMatchObject({ code: 'BATCH_TOO_LARGE' });
});
