/**
 * Emitter and HostedData without a host: limits at their edges, and what is believed of a host.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Binary, Field, makeData, RecordBatch, Schema, Struct, tableFromArrays } from 'apache-arrow';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { BATCH_BYTES_MAX, OUTPUT_SEAL_BYTES, OUTPUT_UNKEPT_BYTES_MAX } from '../../src/base/limits.ts';
import { Cell } from '../../src/jobtype/cell.ts';
import type { DataAnswer, SealedSegment } from '../../src/jobtype/data-words.ts';
import { Emitter } from '../../src/jobtype/emitter.ts';
import { givenBatches } from '../../src/jobtype/given-batches.ts';
import { HostedData } from '../../src/jobtype/hosted-data.ts';
import { segmentFile } from '../../src/jobtype/spool-files.ts';
import { fillOptions } from '../../src/ranges/options.ts';
import type { TaskOrder } from '../../src/wire/messages.ts';
import { MemoryTaskBlobs } from './memory-task-blobs.ts';

let spool: string;
beforeEach(() => {
  spool = mkdtempSync(join(tmpdir(), 'polaris-emitter-'));
});
afterEach(() => rmSync(spool, { recursive: true, force: true }));

/** One row of so many bytes, in one column without nulls. */
function blob(bytes: number): RecordBatch {
  const type = new Binary();
  const fields = [new Field('blob', type, false)];
  // Two offsets of four bytes count, too.
  const data = new Uint8Array(bytes - 8);
  const column = makeData({ type, length: 1, nullCount: 0, valueOffsets: Int32Array.of(0, data.length), data });
  return new RecordBatch(new Schema(fields), makeData({ type: new Struct(fields), length: 1, children: [column] }));
}

interface Desk {
  readonly cell: Cell;
  readonly emitter: Emitter;
  readonly sealed: SealedSegment[];
}

function desk(end: number): Desk {
  const cell = Cell.create(0, end, end, Number.POSITIVE_INFINITY);
  const sealed: SealedSegment[] = [];
  return { cell, sealed, emitter: new Emitter({ spool, cell, sealed: (segment) => sealed.push(segment) }) };
}

/** Works a point from its start to its acknowledgement. */
function work({ cell, emitter }: Desk, point: number, given: unknown): void {
  cell.begin(point + 1);
  emitter.write(given, { start: point, end: point + 1 });
  cell.acknowledge(point + 1);
  emitter.acknowledged(point + 1);
}

describe('limits', () => {
  test('a batch of the largest size is taken, and one byte more is not', () => {
    for (const bytes of [BATCH_BYTES_MAX - 1, BATCH_BYTES_MAX]) expect(givenBatches(blob(bytes))).toHaveLength(1);
    expect(() => givenBatches(blob(BATCH_BYTES_MAX + 1))).toThrow(
      `BATCH_TOO_LARGE: the batch has ${BATCH_BYTES_MAX + 1} bytes; ${BATCH_BYTES_MAX} are allowed: cut it`,
    );
  });

  test('a segment is sealed with the byte that fills it, and not before', () => {
    // What one batch of this size takes in a file, whatever is in it.
    const bytes = 1_024;
    const measure = desk(2);
    work(measure, 0, blob(bytes));
    measure.emitter.seal();
    const one = readFileSync(segmentFile(spool, 1)).byteLength;
    expect(one).toBeGreaterThan(bytes);
    rmSync(segmentFile(spool, 1));
    for (const [more, sealed] of [
      [-64, 0],
      [64, 1],
    ] as const) {
      const full = desk(2);
      // A file of one batch has some hundred bytes around it; within a footer of the edge it could be either.
      work(full, 0, blob(OUTPUT_SEAL_BYTES + (more < 0 ? -one : 0) + more));
      expect(full.sealed).toHaveLength(sealed);
      rmSync(segmentFile(spool, 1));
    }
  });

  test('more than may wait to be kept makes it wait, and what is kept makes room', () => {
    const full = desk(100);
    const points = OUTPUT_UNKEPT_BYTES_MAX / OUTPUT_SEAL_BYTES;
    for (let point = 0; point < points - 1; point++) work(full, point, blob(OUTPUT_SEAL_BYTES));
    expect(full.emitter.isFull).toBe(false);
    work(full, points - 1, blob(OUTPUT_SEAL_BYTES));
    expect(full.emitter.isFull).toBe(true);
    full.emitter.kept(1);
    expect(full.emitter.isFull).toBe(false);
  });
});

describe('the cell', () => {
  test('tells a cursor beyond what was emitted only when the host knows of its segment', () => {
    const bench = desk(10);
    bench.cell.begin(4);
    bench.cell.acknowledge(3);
    bench.emitter.write(blob(16), { start: 3, end: 4 });
    expect(bench.cell.settled(0)).toBe(3);
    bench.cell.acknowledge(4);
    bench.emitter.acknowledged(4);
    expect(bench.cell.settled(0)).toBe(3);
    bench.emitter.seal();
    expect(bench.cell.settled(0)).toBe(null);
    expect(bench.cell.settled(1)).toBe(4);
  });
});

describe('what goes wrong', () => {
  test('a point that is swept leaves the bytes of a file that never had it', async () => {
    const clean = desk(3);
    work(clean, 0, blob(100));
    clean.emitter.close();
    const expected = readFileSync(segmentFile(spool, 1));
    rmSync(segmentFile(spool, 1));
    const swept = desk(3);
    work(swept, 0, blob(100));
    swept.cell.begin(2);
    swept.emitter.write(blob(5_000), { start: 1, end: 2 });
    swept.emitter.close();
    expect(readFileSync(segmentFile(spool, 1)).equals(expected)).toBe(true);
    expect(swept.sealed).toEqual([{ segment: 1, start: 0, end: 1 }]);
  });

  test('a first point that is swept leaves no file', () => {
    const swept = desk(3);
    swept.cell.begin(1);
    swept.emitter.write(blob(100), { start: 0, end: 1 });
    swept.emitter.close();
    expect(readdirSync(spool)).toEqual([]);
    expect(swept.sealed).toEqual([]);
    expect(swept.cell.settled(0)).toBe(0);
  });

  test('a table of which one batch does not fit writes none of them', () => {
    const bench = desk(3);
    work(bench, 0, blob(100));
    bench.cell.begin(2);
    const mixed = { batches: [blob(100), tableFromArrays({ blob: Uint8Array.of(1) }).batches[0]] };
    expect(() => bench.emitter.write(mixed, { start: 1, end: 2 })).toThrow(/BAD_SCHEMA/);
    bench.emitter.seal();
    expect(bench.sealed).toEqual([{ segment: 1, start: 0, end: 1 }]);
  });

  test('nothing is emitted after the end of the task', () => {
    const { emitter } = desk(3);
    emitter.close();
    expect(() => emitter.write(blob(100), { start: 0, end: 1 })).toThrow(/WRONG_STATE/);
  });
});

describe('a host is not believed', () => {
  function hosted(): { data: HostedData; answers: DataAnswer[] } {
    const options = fillOptions({});
    const order: TaskOrder = {
      ...{ epoch: 1, job: 'job', name: 'name', start: 10, end: 20, cursor: 12, claimed: 12, metadata: '{}' },
      ...{ options, attempts: 0, input: null, checkpoint: null },
    };
    const answers: DataAnswer[] = [];
    const silent = () => {};
    const data = new HostedData({
      ...{ order, spool, blobs: new MemoryTaskBlobs(), answer: (answer) => answers.push(answer) },
      ...{ sealed: silent, moved: silent, checkpoint: silent, failed: silent },
    });
    return { data, answers };
  }

  test('about segments outside of the task, out of order, or overlapping', () => {
    const sealed = (segment: number, start: number, end: number) => ({ kind: 'sealed', segment, start, end });
    for (const lies of [
      [sealed(2, 12, 14)],
      [sealed(1, 11, 14)],
      [sealed(1, 12, 21)],
      [sealed(1, 14, 14)],
      [sealed(1, 14, 13)],
      [sealed(1, 12, 14), sealed(2, 13, 15)],
      [sealed(1, 12, 14), sealed(1, 14, 15)],
      [{ kind: 'sealed', segment: 1, start: 12.5, end: 14 }],
      [{ kind: 'sealed', segment: 1, start: 12, end: 14, path: '/etc/passwd' }],
      [{ kind: 'checkpoint', number: 1, stage: -1, fingerprint: 'f' }],
      [{ kind: 'checkpoint', number: 1, stage: 0, fingerprint: 'f'.repeat(1_000) }],
      [{ kind: 'read', reading: 1, source: { of: 'file', path: '/etc/passwd' } }],
      [{ kind: 'unheard' }],
      [null],
    ]) {
      const { data } = hosted();
      expect(lies.map((lie) => data.receive(lie)).at(-1)).toBe(false);
      data.close();
    }
    const { data } = hosted();
    expect([sealed(1, 12, 14), sealed(2, 14, 15), sealed(3, 19, 20)].map((said) => data.receive(said))).toEqual([
      true,
      true,
      true,
    ]);
    data.close();
  });
});
