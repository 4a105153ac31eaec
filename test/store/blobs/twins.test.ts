/** Broken twins: stores with one fault each, and the facts of the suite that find it. A suite that passes them is none. */
import { appendFile, mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { BLOB_BYTES_MAX, BLOB_PIECE_BYTES as PIECE } from '../../../src/base/limits.ts';
import { copyOf, nameOf } from '../../../src/store/blobs/names.ts';
import { checkPiece, digestNow, pieceCount } from '../../../src/store/blobs/pieces.ts';
import type { BlobStore } from '../../../src/store/blobs/types.ts';
import { type BlobHarness, brokenFacts } from './conformance.ts';
import { chunksOf, gather, hashOf } from './content.ts';
import { directoryHarness, fileOf } from './directory.ts';

type Twin = (store: BlobStore, directory: string) => Partial<BlobStore>;

/** A directory whose stores have the twin's methods in the place of their own. */
function twinOf(twin: Twin): () => Promise<BlobHarness> {
  return async () => {
    const harness = await directoryHarness();
    return {
      ...harness,
      open: async (owner) => {
        const store = await harness.open(owner);
        return { ...delegate(store), ...twin(store, harness.directory) };
      },
    };
  };
}

/** The store's methods as an object of their own, so that some can be put in the place of others. */
function delegate(store: BlobStore): BlobStore {
  return {
    put: (source, options) => store.put(source, options),
    stat: (hash) => store.stat(hash),
    read: (hash, range) => store.read(hash, range),
    digests: (hash) => store.digests(hash),
    restamp: (hash, stamp) => store.restamp(hash, stamp),
    deleteBelow: (hash, index) => store.deleteBelow(hash, index),
    list: () => store.list(),
    usage: () => store.usage(),
    scrub: (hash) => store.scrub(hash),
    discard: (hash) => store.discard(hash),
  };
}

async function findsOut(twin: Twin, fact: RegExp): Promise<void> {
  expect(await brokenFacts(twinOf(twin), fact)).not.toEqual([]);
}

test('the suite holds for a twin without a fault', async () => {
  expect(
    await brokenFacts(
      twinOf(() => ({})),
      /./,
    ),
  ).toEqual([]);
});

test('a store that writes in place is found', async () => {
  const inPlace: Twin = (store, directory) => ({
    put: async (source, options) => {
      const { expected, stamp, maxBytes } = options;
      if (expected === undefined || !/^[0-9a-f]{64}$/.test(expected)) return store.put(source, options);
      const path = join(directory, expected.slice(0, 3), nameOf({ hash: expected, bytes: maxBytes, stamp }));
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, '');
      for await (const chunk of source) await appendFile(path, chunk);
      const content = await readFile(path);
      for (let at = 0; at < content.length; at += PIECE) {
        await appendFile(path, digestNow(content.subarray(at, at + PIECE)));
      }
      return { hash: expected, bytes: content.length };
    },
  });
  await findsOut(inPlace, /nothing can be seen of a blob before it is whole/);
  await findsOut(inPlace, /what the source throws is passed on as it is, and leaves nothing/);
});

test('a store that believes what it reads is found', async () => {
  const believing: Twin = (store, directory) => ({
    read: async function* (hash, range) {
      const stat = await store.stat(hash);
      if (stat === null) yield* store.read(hash, range);
      else yield (await readFile(await fileOf(directory, hash))).subarray(range?.start ?? 0, range?.end ?? stat.bytes);
    },
  });
  await findsOut(believing, /a flipped byte at 0 is damage of piece 0/);
});

test('a store that believes its list of digests is found', async () => {
  const believing: Twin = (store, directory) => ({
    read: async function* (hash, range) {
      const stat = await store.stat(hash);
      if (stat === null || range !== undefined) return yield* store.read(hash, range);
      const stored = await readFile(await fileOf(directory, hash));
      for (let index = 0; index < pieceCount(stat.bytes); index++) {
        const piece = stored.subarray(index * PIECE, Math.min(stat.bytes, (index + 1) * PIECE));
        checkPiece(hash, index, digestNow(piece), stored.subarray(stat.bytes));
        yield piece;
      }
    },
  });
  await findsOut(believing, /a piece and its digest that were changed together/);
});

test('a delete that asks for no stamp is found', async () => {
  const ignoring: Twin = (store) => ({
    deleteBelow: (hash) => store.deleteBelow(hash, Number.MAX_SAFE_INTEGER),
  });
  await findsOut(ignoring, /a copy goes only while its stamp is below the index/);
});

test('a re-stamp that lowers is found', async () => {
  const lowering: Twin = (store, directory) => ({
    restamp: async (hash, stamp) => {
      if ((await store.stat(hash)) === null) return store.restamp(hash, stamp);
      const path = await fileOf(directory, hash);
      const copy = must(copyOf(basename(path)), 'the file of a blob is named like a copy');
      await rename(path, join(dirname(path), nameOf({ ...copy, stamp })));
      return true;
    },
  });
  await findsOut(lowering, /re-stamping raises a stamp and never lowers it/);
});

test('a store that keeps the old stamp of what is there is found', async () => {
  const lazy: Twin = (store) => ({
    put: async (source, options) => {
      const all = await gather(limited(source));
      const hash = hashOf(all);
      const before = await store.stat(hash);
      return before === null ? store.put(chunksOf(all), options) : { hash, bytes: before.bytes };
    },
  });
  await findsOut(lazy, /storing what is there keeps one copy, with the higher stamp/);
});

test('a store without a limit is found', async () => {
  const boundless: Twin = (store) => ({
    put: (source, options) => store.put(limited(source), { ...options, maxBytes: BLOB_BYTES_MAX }),
  });
  await findsOut(boundless, /one byte more is refused/);
});

test('a store that gathers all of a blob before it looks at it is found', async () => {
  const gathering: Twin = (store) => ({
    put: async (source, options) => {
      const all = await gather(limited(source));
      const once = async function* () {
        yield all;
      };
      return store.put(once(), options);
    },
  });
  await findsOut(gathering, /asked for no more than the limit/);
});

/** An endless source ends at last, also where nobody ends it. */
async function* limited(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of source) {
    yield chunk;
    bytes += chunk.length;
    if (bytes > 16 * PIECE) return;
  }
}
