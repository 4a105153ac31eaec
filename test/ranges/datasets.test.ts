/** Datasets as registers, and the blobs behind them: what is referred to is always there, and what is not can go. */
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { CONDEMNED_MAX, CONDEMNED_PER_ENTRY_MAX, DATASETS_MAX } from '../../src/base/limits.ts';
import { encodeCommand } from '../../src/ranges/codec.ts';
import { Datasets, expiresAt, isDatasetName } from '../../src/ranges/datasets.ts';
import { JobTable } from '../../src/ranges/table.ts';
import type { Command, Outcome } from '../../src/ranges/types.ts';
import { handleOf, Pen } from './fixtures.ts';

function hashOf(number: number): string {
  return number.toString(16).padStart(64, '0');
}

interface Put {
  readonly name?: string;
  readonly stamp?: number;
  readonly expected?: number | null;
  readonly ttlMs?: number | null;
  readonly pinned?: boolean;
}

function put(pen: Pen, number: number, changes: Put = {}): Outcome {
  const stamp = pen.table.appliedIndex;
  const plain = { name: 'words', stamp, expected: null, ttlMs: null, pinned: false };
  return pen.apply({ kind: 'put-dataset', handle: handleOf(number), ...plain, ...changes });
}

function drop(pen: Pen, name = 'words', expected: number | null = null): Outcome {
  return pen.apply({ kind: 'drop-dataset', name, expected });
}

function condemn(pen: Pen, ...numbers: number[]): Outcome {
  return pen.apply({ kind: 'condemn', hashes: numbers.map(hashOf) });
}

describe('a dataset', () => {
  test('stands for what was put last, and each put is a version of its own', () => {
    const pen = new Pen();
    expect(put(pen, 1)).toMatchObject({ kind: 'put', dataset: { version: 1 } });
    expect(pen.last).toEqual([{ kind: 'dataset-put', name: 'words', version: 1, hash: hashOf(1) }]);
    expect(put(pen, 2, { ttlMs: 50, pinned: true })).toMatchObject({ kind: 'put', dataset: { version: 2 } });
    expect(pen.table.dataset('words')).toEqual({
      ...{ name: 'words', handle: handleOf(2), version: 2, putAt: pen.at, ttlMs: 50, pinned: true },
    });
    expect([...pen.table.heldBlobs()]).toEqual([hashOf(2)]);
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
    expect(pen.restored().dataset('words')).toEqual(pen.table.dataset('words'));
  });

  test('changes only from the version that was expected', () => {
    const pen = new Pen();
    expect(put(pen, 1, { expected: 7 })).toMatchObject({ code: 'DATASET_CONFLICT' });
    expect(put(pen, 1, { expected: 0 })).toMatchObject({ kind: 'put', dataset: { version: 2 } });
    expect(put(pen, 2, { expected: 0 })).toMatchObject({ code: 'DATASET_CONFLICT' });
    expect(put(pen, 2, { expected: 2 })).toMatchObject({ kind: 'put', dataset: { version: 4 } });
    expect(drop(pen, 'words', 2)).toMatchObject({ code: 'DATASET_CONFLICT' });
    expect(drop(pen, 'words', 4)).toMatchObject({ kind: 'dropped', dataset: { version: 4 } });
    expect(pen.last).toEqual([{ kind: 'dataset-dropped', name: 'words' }]);
    expect(pen.table.dataset('words')).toBeUndefined();
    // The name again is no version that anybody has seen.
    expect(put(pen, 2)).toMatchObject({ kind: 'put', dataset: { version: 7 } });
    expect(put(pen, 3, { expected: 4 })).toMatchObject({ code: 'DATASET_CONFLICT' });
  });

  test('that is not there can be neither dropped nor pinned', () => {
    const pen = new Pen();
    expect(drop(pen)).toMatchObject({ code: 'NOT_FOUND' });
    expect(pen.apply({ kind: 'pin-dataset', name: 'words', pinned: true })).toMatchObject({ code: 'NOT_FOUND' });
  });

  test('is pinned and let go without becoming another version, and expires only when it is not pinned', () => {
    const pen = new Pen();
    put(pen, 1, { ttlMs: 500 });
    const dataset = () => must(pen.table.dataset('words'), 'it was put');
    expect(expiresAt(dataset())).toBe(pen.at + 500);
    const pinned = pen.apply({ kind: 'pin-dataset', name: 'words', pinned: true });
    expect(pinned).toEqual({ kind: 'pinned', dataset: dataset() });
    expect(dataset()).toMatchObject({ version: 1, pinned: true });
    expect(expiresAt(dataset())).toBeNull();
    pen.apply({ kind: 'pin-dataset', name: 'words', pinned: false });
    expect(expiresAt(dataset())).toBe(pen.at + 500);
    put(pen, 1);
    expect(expiresAt(dataset())).toBeNull();
  });

  test('has a name that is safe everywhere', () => {
    for (const name of ['a', 'A-1', 'words.v2', 'x'.repeat(128)]) expect(isDatasetName(name)).toBe(true);
    const hostile = [
      '',
      '.',
      '..',
      '../x',
      '.hidden',
      '-rf',
      'a/b',
      'a\\b',
      'a%2e',
      'a b',
      'a\0',
      'ä',
      'x'.repeat(129),
    ];
    for (const name of hostile) {
      expect(isDatasetName(name)).toBe(false);
      expect(() => put(new Pen(), 1, { name })).toThrow(/names no dataset|no text of/);
    }
  });

  test('is refused when there are too many, and one that is there can still be put', () => {
    const held: string[] = [];
    const blobs = { hold: (hash: string) => held.push(hash), release: () => held.pop() };
    const datasets = new Datasets(blobs as never);
    const one = { handle: handleOf(1), version: 1, putAt: 0, ttlMs: null, pinned: false };
    for (let number = 0; number < DATASETS_MAX; number++)
      expect(datasets.put({ ...one, name: `d${number}` })).toBe(true);
    expect(datasets.put({ ...one, name: 'more' })).toBe(false);
    expect(datasets.put({ ...one, name: 'd0' })).toBe(true);
    expect(held).toHaveLength(DATASETS_MAX);
  });

  test('costs the log at most 256 bytes, however large it is', () => {
    const handle = { hash: 'f'.repeat(64), bytes: 2 ** 36, rows: Number.MAX_SAFE_INTEGER, schema: 'f'.repeat(16) };
    const large = { name: 'n', stamp: 2 ** 50, expected: 2 ** 50, ttlMs: 1, pinned: true } as const;
    expect(encodeCommand({ kind: 'put-dataset', at: 2 ** 45, handle, ...large }).length).toBeLessThanOrEqual(256);
  });
});

describe('a condemned blob', () => {
  test('is one to which nothing refers', () => {
    const pen = new Pen();
    put(pen, 1);
    expect(condemn(pen, 1)).toEqual({ kind: 'nothing' });
    expect(condemn(pen, 1, 2)).toEqual({ kind: 'ok' });
    expect(pen.last).toEqual([{ kind: 'blobs-condemned', hashes: [hashOf(2)] }]);
    expect(pen.table.mayDeleteBlob(hashOf(1), 0)).toBe(false);
    expect(pen.table.mayDeleteBlob(hashOf(2), 2)).toBe(true);
    expect(pen.table.mayDeleteBlob(hashOf(2), 3)).toBe(false);
  });

  test('is not referred to by what was stored before it was condemned', () => {
    const pen = new Pen();
    condemn(pen, 1);
    expect(put(pen, 1, { stamp: 0 })).toMatchObject({ code: 'BLOB_CONDEMNED' });
    expect(put(pen, 1, { stamp: 1 })).toMatchObject({ kind: 'put', dataset: { version: 3 } });
    // Somebody holds it: whoever names it besides need not have stored it anew.
    expect(put(pen, 1, { name: 'other', stamp: 0 })).toMatchObject({ kind: 'put', dataset: { version: 4 } });
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
  });

  test('that is forgotten counts as condemned at the floor, as all others do', () => {
    const pen = new Pen();
    const perEntry = CONDEMNED_PER_ENTRY_MAX;
    for (let number = 1; number <= CONDEMNED_MAX + 1; number += perEntry) {
      condemn(pen, ...Array.from({ length: perEntry }, (_, at) => number + at));
    }
    const last = pen.table.appliedIndex;
    expect(last).toBe(CONDEMNED_MAX / perEntry + 1);
    // The first entry's are forgotten: whatever was stored before it may be gone.
    const never = CONDEMNED_MAX * 2;
    for (const number of [1, never]) {
      expect(put(pen, number, { name: `d${number}`, stamp: 0 })).toMatchObject({ code: 'BLOB_CONDEMNED' });
      expect(pen.table.mayDeleteBlob(hashOf(number), 0)).toBe(true);
      expect(pen.table.mayDeleteBlob(hashOf(number), 1)).toBe(false);
    }
    expect(pen.restored().snapshot()).toEqual(pen.table.snapshot());
    expect(pen.restored().mayDeleteBlob(hashOf(never), 0)).toBe(true);
  });
});

// ---- nodes that keep copies --------------------------------------------------------------------------------------

const NODES = 3;
const MAJORITY = 2;
const BLOBS = 3;
const NAMES = ['a', 'b'];

type Move =
  | { readonly kind: 'store'; readonly blob: number; readonly without: number; readonly name: number }
  | { readonly kind: 'name'; readonly which: number }
  | { readonly kind: 'drop'; readonly name: number }
  | { readonly kind: 'condemn'; readonly blob: number }
  | { readonly kind: 'apply'; readonly node: number; readonly entries: number }
  | { readonly kind: 'install'; readonly node: number };

const number = (max: number) => fc.integer({ min: 0, max: max - 1 });
const MOVE: fc.Arbitrary<Move> = fc.oneof(
  fc.record({ kind: fc.constant('store' as const), blob: number(BLOBS), without: number(NODES), name: number(2) }),
  fc.record({ kind: fc.constant('name' as const), which: number(4) }),
  fc.record({ kind: fc.constant('drop' as const), name: number(2) }),
  fc.record({ kind: fc.constant('condemn' as const), blob: number(BLOBS) }),
  fc.record({ kind: fc.constant('apply' as const), node: number(NODES), entries: number(6) }),
  fc.record({ kind: fc.constant('install' as const), node: number(NODES) }),
);

interface Keeper {
  readonly table: JobTable;
  readonly copies: Map<string, number>;
}

/** Replicas at different places of one log, each with copies of blobs, and uploads that are named later or never. */
class Cluster {
  readonly #whole = new JobTable();
  readonly #log: Uint8Array[] = [];
  readonly #nodes: readonly Keeper[] = Array.from({ length: NODES }, () => ({
    table: new JobTable(),
    copies: new Map(),
  }));
  readonly #stored: { readonly name: string; readonly blob: number; readonly stamp: number }[] = [];

  move(move: Move): void {
    switch (move.kind) {
      case 'store': {
        const { blob, without } = move;
        const stamps = this.#nodes.filter((_, at) => at !== without).map((node) => this.#store(node, hashOf(blob)));
        this.#stored.push({ name: NAMES[move.name] ?? '', blob, stamp: Math.min(...stamps) });
        return;
      }
      case 'name': {
        const [upload] = this.#stored.splice(move.which % Math.max(1, this.#stored.length), 1);
        if (upload === undefined) return;
        const { name, blob, stamp } = upload;
        const rest = { at: 0, expected: null, ttlMs: null, pinned: false };
        return this.#append({ kind: 'put-dataset', name, handle: handleOf(blob), stamp, ...rest });
      }
      case 'drop':
        return this.#append({ kind: 'drop-dataset', at: 0, name: NAMES[move.name] ?? '', expected: null });
      case 'condemn':
        return this.#append({ kind: 'condemn', hashes: [hashOf(move.blob)] });
      case 'apply':
        for (let count = 0; count < move.entries; count++) this.#applyNext(move.node);
        return;
      case 'install': {
        const node = must(this.#nodes[move.node], 'a node');
        if (node.table.appliedIndex === this.#whole.appliedIndex) return;
        node.table.restore(this.#whole.appliedIndex, this.#whole.snapshot());
        return this.#clear(move.node);
      }
    }
  }

  /** Every blob that a name stands for lies on a majority of the disks. */
  check(): void {
    for (const { handle } of this.#whole.datasets()) {
      const copies = this.#nodes.filter((node) => node.copies.has(handle.hash)).length;
      expect(copies).toBeGreaterThanOrEqual(MAJORITY);
    }
  }

  #store({ table, copies }: Keeper, hash: string): number {
    const stamp = Math.max(copies.get(hash) ?? 0, table.appliedIndex);
    copies.set(hash, stamp);
    return stamp;
  }

  #append(command: Command): void {
    const payload = encodeCommand(command);
    this.#log.push(payload);
    this.#whole.apply(this.#log.length, payload);
  }

  #applyNext(at: number): void {
    const { table } = must(this.#nodes[at], 'a node');
    const payload = this.#log[table.appliedIndex];
    if (payload === undefined) return;
    table.apply(table.appliedIndex + 1, payload);
    this.#clear(at);
  }

  #clear(at: number): void {
    const { table, copies } = must(this.#nodes[at], 'a node');
    for (const [hash, stamp] of copies) if (table.mayDeleteBlob(hash, stamp)) copies.delete(hash);
  }
}

test('no handle dangles, wherever the nodes stand in the log and however late an upload is named', () => {
  fc.assert(
    fc.property(fc.array(MOVE, { minLength: 1, maxLength: 60 }), (moves) => {
      const cluster = new Cluster();
      for (const move of moves) {
        cluster.move(move);
        cluster.check();
      }
    }),
    { numRuns: 2_000 },
  );
});
