/**
 * The conformance suite of a store: what the daemon leans on, run against every implementation.
 *
 * A harness gives a disk that outlives the store: `open` as a process does at its start, `edit` to damage it in between.
 */
import { crc32 } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PolarisError } from '../../src/base/errors.ts';
import { sealRecord } from '../../src/base/record.ts';
import type { LogIndex, Term } from '../../src/base/types.ts';
import { configurationOf } from '../../src/raft/configuration.ts';
import type { Entry, HardState, Snapshot } from '../../src/raft/types.ts';
import { HARD_STATE_KEY, IDENTITY_KEY, logKey, SNAPSHOT_KEY } from '../../src/store/cells.ts';
import type { Formation, Store, StoreBatch, StoreContents } from '../../src/store/types.ts';

export interface StoreHarness {
  /** Opens the store of this harness's disk; a second time after the first one is closed. */
  open(): Promise<{ store: Store; contents: StoreContents }>;
  /** Changes what the disk holds, while no store is open. */
  edit(change: (cells: Map<string, Uint8Array>) => void): Promise<void>;
  /** Throws everything away. */
  dispose(): Promise<void>;
}

export function entry(index: LogIndex, term: Term, text = `entry ${index}`): Entry {
  return { index, term, record: sealRecord(term, index, Buffer.from(text)) };
}

export function entries(first: LogIndex, last: LogIndex, term: Term): Entry[] {
  return Array.from({ length: last - first + 1 }, (_, offset) => entry(first + offset, term));
}

export function hardState(term: Term, commit = 0, vote: string | null = 'n1'): HardState {
  return { term, vote, commit };
}

export function snapshot(index: LogIndex, term: Term, text = 'state'): Snapshot {
  return {
    meta: { index, term, configuration: configurationOf(['n1', 'n2', 'n3']) },
    data: new Uint8Array(Buffer.from(text)),
  };
}

export function write(store: Store, batch: StoreBatch): Promise<void> {
  return new Promise((resolve, reject) => {
    store.write(batch, (error) => (error === null ? resolve() : reject(error)));
  });
}

const FORMATION: Formation = {
  clusterId: '7f1b6a1e-22d5-4c0f-8f6f-0d6c1c8c2d11',
  members: [
    { id: 'n1', instanceId: '0a4d2f0e-7c2b-4d3a-9a51-6a9d3f0c1b22', address: '127.0.0.1:7070' },
    { id: 'n2', instanceId: '1b5e3f1f-8d3c-4e4b-8b62-7bae4f1d2c33', address: '127.0.0.1:7071' },
  ],
};

/** Entries as plain values: two views of equal bytes are equal whatever lies behind them. */
function plain(list: readonly Entry[]): { index: number; term: number; record: string }[] {
  return list.map(({ index, term, record }) => ({ index, term, record: Buffer.from(record).toString('hex') }));
}

export function storeSuite(options: { name: string; create: () => Promise<StoreHarness> }): void {
  describe(`${options.name}: conformance`, () => {
    let harness: StoreHarness;
    beforeEach(async () => {
      harness = await options.create();
    });
    afterEach(() => harness.dispose());

    /** Writes the batches in one life and gives what the next life finds. */
    async function reopened(...batches: StoreBatch[]): Promise<StoreContents> {
      const { store } = await harness.open();
      for (const batch of batches) await write(store, batch);
      await store.close();
      const next = await harness.open();
      await next.store.close();
      return next.contents;
    }

    async function damage(edit: (cells: Map<string, Uint8Array>) => void): Promise<PolarisError> {
      await harness.edit(edit);
      const opening = harness.open();
      const thrown = await opening.then(
        () => null,
        (error: unknown) => error,
      );
      if (!(thrown instanceof PolarisError)) throw new Error(`opened in spite of the damage: ${thrown}`);
      expect(thrown.code).toBe('LOG_DAMAGED');
      expect(thrown.detail).toContain('join under a new id');
      return thrown;
    }

    contentTests(() => harness, reopened);
    logTests(() => harness, reopened);
    damageTests(reopened, damage);
    formatTests(() => harness, reopened);
    lifeTests(() => harness);
  });
}

type Reopened = (...batches: StoreBatch[]) => Promise<StoreContents>;
type Damage = (edit: (cells: Map<string, Uint8Array>) => void) => Promise<PolarisError>;

function contentTests(harness: () => StoreHarness, reopened: Reopened): void {
  test('a new disk is empty but for its instance id, which it keeps', async () => {
    const first = await harness().open();
    await first.store.close();
    const { instanceId, ...rest } = first.contents;
    expect(rest).toEqual({ clusterId: null, formation: null, hardState: null, snapshot: null, entries: [] });
    expect(instanceId).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const second = await harness().open();
    await second.store.close();
    expect(second.contents.instanceId).toBe(instanceId);
  });

  test('one batch brings back everything that was in it', async () => {
    const contents = await reopened({
      hardState: hardState(3, 2),
      entries: [...entries(1, 2, 1), entry(3, 3)],
      formation: FORMATION,
    });
    expect(contents.hardState).toEqual({ term: 3, vote: 'n1', commit: 2 });
    expect(plain(contents.entries)).toEqual(plain([entry(1, 1), entry(2, 1), entry(3, 3)]));
    expect(contents.formation).toEqual(FORMATION);
    expect(contents.clusterId).toBe(FORMATION.clusterId);
  });

  test('a worker keeps the cluster that it joined without a formation', async () => {
    const contents = await reopened({ clusterId: FORMATION.clusterId });
    expect(contents.clusterId).toBe(FORMATION.clusterId);
    expect(contents.formation).toBeNull();
  });

  test('a vote for nobody is not a vote for the former candidate', async () => {
    const contents = await reopened({ hardState: hardState(1) }, { hardState: hardState(2, 0, null) });
    expect(contents.hardState).toEqual({ term: 2, vote: null, commit: 0 });
  });

  test('a founding snapshot may stand where no entry ever was', async () => {
    const contents = await reopened({ hardState: hardState(1, 1), snapshot: snapshot(1, 1), formation: FORMATION });
    expect(contents.snapshot).toEqual(snapshot(1, 1));
    expect(contents.entries).toEqual([]);
  });

  test('records and snapshots may hold any bytes and none', async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const odd = { index: 1, term: 1, record: sealRecord(1, 1, bytes) };
    const none = { index: 2, term: 1, record: sealRecord(1, 2, new Uint8Array(0)) };
    const contents = await reopened({
      hardState: hardState(1),
      entries: [odd, none],
      snapshot: { meta: snapshot(2, 1).meta, data: bytes },
    });
    expect(plain(contents.entries)).toEqual(plain([odd, none]));
    expect(contents.snapshot?.data).toEqual(bytes);
  });
}

function logTests(harness: () => StoreHarness, reopened: Reopened): void {
  test('entries replace everything from their first index on', async () => {
    const contents = await reopened(
      { hardState: hardState(1), entries: entries(1, 9, 1) },
      { hardState: hardState(2), entries: entries(4, 5, 2) },
    );
    expect(plain(contents.entries)).toEqual(plain([...entries(1, 3, 1), ...entries(4, 5, 2)]));
  });

  test('a log grows again where it was cut, in the same life', async () => {
    const contents = await reopened(
      { hardState: hardState(1), entries: entries(1, 9, 1) },
      { hardState: hardState(2), entries: entries(4, 4, 2) },
      { entries: entries(5, 6, 2) },
    );
    expect(contents.entries.map((each) => each.term)).toEqual([1, 1, 1, 2, 2, 2]);
  });

  test('a snapshot of our own keeps the log, and compaction keeps its tail', async () => {
    const contents = await reopened(
      { hardState: hardState(1), entries: entries(1, 20, 1) },
      { snapshot: snapshot(10, 1), resetLog: false, keepFrom: 6 },
    );
    expect(contents.entries.map((each) => each.index)).toEqual([
      6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
    ]);
    expect(contents.snapshot?.meta.index).toBe(10);
  });

  test('a log may be compacted up to its last entry, and grow from there', async () => {
    const contents = await reopened(
      { hardState: hardState(1), entries: entries(1, 5, 1) },
      { snapshot: snapshot(5, 1), keepFrom: 6 },
      { entries: entries(6, 7, 1) },
    );
    expect(contents.entries.map((each) => each.index)).toEqual([6, 7]);
  });

  test('the log follows a founding snapshot in the same batch', async () => {
    const contents = await reopened({ hardState: hardState(1), snapshot: snapshot(1, 1), entries: entries(2, 3, 1) });
    expect(contents.entries.map((each) => each.index)).toEqual([2, 3]);
  });

  test("a leader's snapshot drops the whole log, also what lies beyond it", async () => {
    const contents = await reopened(
      { hardState: hardState(1), entries: entries(1, 20, 1) },
      { hardState: hardState(2, 10), snapshot: snapshot(10, 2), resetLog: true },
    );
    expect(contents.entries).toEqual([]);
    expect(contents.snapshot).toEqual(snapshot(10, 2));
  });

  test("entries may follow a leader's snapshot in the same batch", async () => {
    const contents = await reopened(
      { hardState: hardState(1), entries: entries(1, 3, 1) },
      { hardState: hardState(2), snapshot: snapshot(10, 2), resetLog: true, entries: entries(11, 12, 2) },
    );
    expect(contents.entries.map((each) => each.index)).toEqual([11, 12]);
  });

  test('bounds are known after a reopen: truncation and compaction go on', async () => {
    await reopened({ hardState: hardState(1), entries: entries(1, 20, 1), snapshot: snapshot(10, 1), keepFrom: 4 });
    const contents = await reopened({ hardState: hardState(2), entries: entries(15, 15, 2), keepFrom: 8 });
    expect(contents.entries.map((each) => each.index)).toEqual([8, 9, 10, 11, 12, 13, 14, 15]);
  });

  test('a batch that would leave a gap breaks an invariant and changes nothing', async () => {
    const { store } = await harness().open();
    await write(store, { hardState: hardState(1), entries: entries(1, 3, 1) });
    expect(() => store.write({ entries: entries(5, 5, 1) }, () => {})).toThrow('gap');
    expect(() => store.write({ entries: [entry(4, 1), entry(6, 1)] }, () => {})).toThrow('contiguous');
    expect(() => store.write({ keepFrom: 3 }, () => {})).toThrow('compacted');
    expect(() => store.write({ entries: [{ ...entry(4, 1), term: 2 }] }, () => {})).toThrow('belongs');
    await write(store, { entries: entries(4, 4, 1) });
    await store.close();
    const { contents, store: next } = await harness().open();
    await next.close();
    expect(contents.entries).toHaveLength(4);
  });
}

function damageTests(reopened: Reopened, damage: Damage): void {
  const log: StoreBatch = { hardState: hardState(2, 5), entries: [...entries(1, 3, 1), ...entries(4, 6, 2)] };
  const flip = (cell: Uint8Array | undefined, at: number): Uint8Array => {
    if (cell === undefined) throw new Error('the cell to damage is not there');
    const copy = new Uint8Array(cell);
    const offset = at < 0 ? copy.length + at : at;
    copy[offset] = (copy[offset] ?? 0) ^ 0x01;
    return copy;
  };

  test('a flipped bit in an entry is found', async () => {
    await reopened(log);
    const error = await damage((cells) => cells.set(logKey(3), flip(cells.get(logKey(3)), -1)));
    expect(error.detail).toContain('entry 3');
  });

  test('an entry in the place of another is found', async () => {
    await reopened(log);
    const error = await damage((cells) => cells.set(logKey(2), cells.get(logKey(1)) ?? new Uint8Array()));
    expect(error.detail).toContain('entry 1 lies in the place of entry 2');
  });

  test('a missing entry in the middle is found', async () => {
    await reopened(log);
    expect((await damage((cells) => cells.delete(logKey(4)))).detail).toContain('entry 4 is missing');
  });

  test('a missing first entry is found, with and without a snapshot', async () => {
    await reopened(log);
    expect((await damage((cells) => cells.delete(logKey(1)))).detail).toContain('entry 1 is missing');
  });

  test('an entry missing right behind the snapshot is found', async () => {
    await reopened(log, { snapshot: snapshot(3, 1), keepFrom: 4 });
    expect((await damage((cells) => cells.delete(logKey(4)))).detail).toContain('entry 4 is missing');
  });

  test('a lost tail is found by the mark, though nothing else tells of it', async () => {
    await reopened({ hardState: hardState(2, 0), entries: entries(1, 6, 1) });
    const error = await damage((cells) => cells.delete(logKey(6)));
    expect(error.detail).toContain('entry 6 was once synced');
  });

  test('terms that fall are found', async () => {
    await reopened(log);
    const error = await damage((cells) => cells.set(logKey(5), entry(5, 1).record));
    expect(error.detail).toContain('the term falls from 2 to 1 at entry 5');
  });

  test('a HardState behind its log is found', async () => {
    await reopened({ hardState: hardState(1), entries: entries(1, 2, 1) });
    const error = await damage((cells) => cells.set(logKey(2), entry(2, 2).record));
    expect(error.detail).toMatch(/HardState has term 1, the last entry 2/);
  });

  test('a commit beyond the last entry is found', async () => {
    await reopened({ hardState: hardState(2, 0), entries: entries(1, 2, 2) });
    await reopened({ hardState: hardState(2, 2) });
    expect((await damage((cells) => cells.delete(logKey(2)))).detail).toContain('committed 2, but the last entry is 1');
  });

  test('entries without HardState or identity are found', async () => {
    await reopened(log);
    expect((await damage((cells) => cells.delete(HARD_STATE_KEY))).detail).toContain('no HardState');
    expect((await damage((cells) => cells.delete(IDENTITY_KEY))).detail).toContain('instance id');
  });

  for (const key of [SNAPSHOT_KEY, HARD_STATE_KEY, IDENTITY_KEY]) {
    test(`a flipped bit in ${key} is found, and so is its shortening`, async () => {
      await reopened({ ...log, snapshot: snapshot(3, 1) });
      expect((await damage((cells) => cells.set(key, flip(cells.get(key), -1)))).detail).toContain(key);
      expect((await damage((cells) => cells.set(key, new Uint8Array(2)))).detail).toContain(key);
    });
  }

  test('a cell under the wrong key is found', async () => {
    await reopened(log);
    await damage((cells) => cells.set(SNAPSHOT_KEY, cells.get(HARD_STATE_KEY) ?? new Uint8Array()));
  });

  test('a cell that this version never writes is refused', async () => {
    await reopened(log);
    expect((await damage((cells) => cells.set('meta/other', new Uint8Array(1)))).detail).toContain('meta/other');
  });
}

/** An identity as a later version might write it: under a right checksum, and in another shape. */
export function identityOfFormat(format: number): Uint8Array {
  const body = Buffer.from(JSON.stringify({ format, instance: { id: 7 } }));
  const cell = Buffer.alloc(4 + body.length);
  cell.writeUInt32BE(crc32(body, crc32(IDENTITY_KEY)), 0);
  cell.set(body, 4);
  return cell;
}

function formatTests(harness: () => StoreHarness, reopened: Reopened): void {
  test('a disk of another version is named as such, whatever else it holds, and is whole for that version', async () => {
    const before = await reopened({ hardState: hardState(1, 1), entries: entries(1, 3, 1) });
    const kept = new Map<string, Uint8Array>();
    await harness().edit((cells) => {
      for (const [key, value] of cells) kept.set(key, value);
      cells.set(IDENTITY_KEY, identityOfFormat(2));
      cells.set(logKey(2), new Uint8Array(3));
      cells.set('meta/other', new Uint8Array(1));
    });
    await expect(harness().open()).rejects.toMatchObject({
      code: 'OTHER_FORMAT',
      detail: expect.stringContaining('format 2'),
    });
    await harness().edit((cells) => {
      cells.clear();
      for (const [key, value] of kept) cells.set(key, value);
    });
    const { store, contents } = await harness().open();
    await store.close();
    expect(contents.instanceId).toBe(before.instanceId);
  });
}

function lifeTests(harness: () => StoreHarness): void {
  test('done comes in a later turn, and one write is in flight at a time', async () => {
    const { store } = await harness().open();
    let calls = 0;
    const first = new Promise<void>((resolve) => {
      store.write({ hardState: hardState(1) }, () => {
        calls += 1;
        resolve();
      });
    });
    expect(calls).toBe(0);
    expect(() => store.write({ hardState: hardState(2) }, () => {})).toThrow('one write');
    await first;
    expect(calls).toBe(1);
    await store.close();
  });

  test('close waits for the write in flight, and its done is called', async () => {
    const { store } = await harness().open();
    let outcome: Error | null | undefined;
    store.write({ hardState: hardState(1), entries: entries(1, 3, 1) }, (error) => {
      outcome = error;
    });
    await store.close();
    expect(outcome).toBeNull();
    const next = await harness().open();
    await next.store.close();
    expect(next.contents.entries).toHaveLength(3);
  });

  test('a disk has one store at a time', async () => {
    const { store } = await harness().open();
    await expect(harness().open()).rejects.toMatchObject({ code: 'DATA_DIR_BUSY' });
    await store.close();
    const next = await harness().open();
    await next.store.close();
  });
}
