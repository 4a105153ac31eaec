/**
 * How much job code may give, one byte below, exactly, and one above. The bounds themselves are of a size that no test writes
 * three times over; here they are small, and everything else is as it is.
 */
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Binary, Field, makeData, RecordBatch, Schema, Struct } from 'apache-arrow';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { OUTPUT_BYTES_MAX } from '../../src/base/limits.ts';
import { MASTER_STATE_BYTES_MAX } from '../../src/base/limits-masters.ts';
import { batchBytes } from '../../src/data/cut.ts';
import { Cell } from '../../src/jobtype/cell.ts';
import { Checkpoints } from '../../src/jobtype/checkpoints.ts';
import { Emitter } from '../../src/jobtype/emitter.ts';
import { saveState } from '../../src/jobtype/ledger.ts';
import { checkpointFile } from '../../src/jobtype/spool-files.ts';
import { batchesOf } from '../data/arbitrary.ts';

const MIB = 1024 ** 2;
vi.mock('../../src/base/limits.ts', async (original) => ({ ...(await original()), OUTPUT_BYTES_MAX: 3 * 1024 ** 2 }));
vi.mock('../../src/base/limits-masters.ts', async (original) => ({
  ...(await original()),
  // An Arrow file has a multiple of eight bytes and two more: ten of them end it.
  MASTER_STATE_BYTES_MAX: 3 * 1024 ** 2 + 2,
}));

let spool: string;
beforeEach(() => {
  spool = mkdtempSync(join(tmpdir(), 'polaris-byte-limits-'));
});
afterEach(() => rmSync(spool, { recursive: true, force: true }));

/** One row of so many bytes, two offsets of four bytes among them. */
function blob(bytes: number): RecordBatch {
  const type = new Binary();
  const fields = [new Field('blob', type, false)];
  const data = new Uint8Array(bytes - 8);
  const column = makeData({ type, length: 1, nullCount: 0, valueOffsets: Int32Array.of(0, data.length), data });
  const batch = new RecordBatch(
    new Schema(fields),
    makeData({ type: new Struct(fields), length: 1, children: [column] }),
  );
  expect(batchBytes(batch)).toBe(bytes);
  return batch;
}

test('the bounds are the small ones', () => {
  expect([OUTPUT_BYTES_MAX, MASTER_STATE_BYTES_MAX]).toEqual([3 * MIB, 3 * MIB + 2]);
});

test.each([-1, 0, 1])(
  'one point emits the bound and %i bytes, in two batches, whatever the points before it emitted',
  (more) => {
    const cell = Cell.create(0, 10, 10, Number.POSITIVE_INFINITY);
    const emitter = new Emitter({ spool, cell, sealed: () => {} });
    const emit = (point: number, ...sizes: number[]) => {
      cell.begin(point + 1);
      for (const bytes of sizes) emitter.write(blob(bytes), { start: point, end: point + 1 });
      cell.acknowledge(point + 1);
      emitter.acknowledged(point + 1);
    };
    emit(0, MIB);
    const second = () => emit(1, 2 * MIB, MIB + more);
    if (more <= 0) second();
    else expect(second).toThrow(`BLOB_TOO_LARGE: one point, or one task of a pipeline, may emit ${3 * MIB} bytes`);
    emitter.close();
  },
);

test.each([-1, 0, 1])('a checkpoint has the bound and %i bytes, in two batches', async (more) => {
  const store = new Checkpoints({
    ...{ spool, found: null, signal: new AbortController().signal },
    made: ({ stage }) => store.committed(stage),
    read: () => batchesOf(),
  });
  const saved = store.save(1, 'f', batchesOf(blob(2 * MIB), blob(MIB + more)));
  if (more <= 0) return saved;
  await expect(saved).rejects.toMatchObject({
    ...{ code: 'BLOB_TOO_LARGE', detail: `a checkpoint may have ${3 * MIB} bytes` },
  });
  expect(existsSync(checkpointFile(spool, 1))).toBe(false);
});

test('the state of a Master has the bound as the file that it is kept as, and not a step of eight bytes more', async () => {
  const save = async (name: string, bytes: number) => {
    const path = join(spool, name);
    await saveState({ state: () => [blob(2 * MIB), blob(bytes)] }, path, () => {});
    return statSync(path).size;
  };
  // What stands around the rows does not depend on how many there are.
  const around = (await save('measured', 512 * 1024)) - 512 * 1024;
  const fills = MASTER_STATE_BYTES_MAX - around;
  expect(await save('below', fills - 8)).toBe(MASTER_STATE_BYTES_MAX - 8);
  expect(await save('exactly', fills)).toBe(MASTER_STATE_BYTES_MAX);
  await expect(save('above', fills + 8)).rejects.toMatchObject({ code: 'BLOB_TOO_LARGE' });
});
