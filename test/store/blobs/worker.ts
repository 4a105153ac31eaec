/**
 * Processes for the tests of blobs. Each says one JSON line for what it did.
 *
 *   store DIR OWNER     stores blobs for ever, and names each once it is acknowledged; ended by kill -9
 *   keep DIR OWNER N    N blobs: stores with a low stamp, raises it, and reads what it was promised
 *   clear DIR OWNER     deletes everything below 1000 for ever; ended by its parent
 *   large DIR BYTES     stores so much and reads it again, counting the pieces that are held
 */
import { readdirSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { BLOB_PIECE_BYTES } from '../../../src/base/limits.ts';
import { createPrng } from '../../../src/base/prng.ts';
import { openFileBlobs } from '../../../src/store/blobs/files.ts';
import type { BlobStore } from '../../../src/store/blobs/types.ts';
import { chunksOf, content, gather, hashOf } from './content.ts';

const [task = '', directory = '', third = '', fourth = ''] = process.argv.slice(2);

function say(value: object): void {
  writeSync(1, `${JSON.stringify(value)}\n`);
}

async function storeForEver(store: BlobStore, owner: string): Promise<void> {
  const prng = createPrng(Number(owner.slice(1)));
  say({ ready: true });
  for (let seed = 1; ; seed++) {
    const blob = content(seed + prng.integer(0, 1_000_000), prng.integer(0, 2 * BLOB_PIECE_BYTES));
    const { hash } = await store.put(chunksOf(blob, 50_000), { stamp: seed, maxBytes: blob.length });
    if (prng.chance(0.3)) await store.restamp(hash, seed + 1_000_000);
    say({ hash });
  }
}

/** Gone, or raised by the other keeper: then it stays. */
async function untilCleared(store: BlobStore, hash: string): Promise<void> {
  for (;;) {
    const stat = await store.stat(hash);
    if (stat === null || stat.stamp >= 1_000) return;
  }
}

/** Blobs are few, so that both keepers and the clearer meet at the same ones. */
async function keep(store: BlobStore, count: number): Promise<void> {
  const tally = { kept: 0, lost: 0, wrong: 0 };
  say({ ready: true });
  for (let round = 0; round < count; round++) {
    const blob = content(round, 20_000);
    const hash = hashOf(blob);
    await store.put(chunksOf(blob), { stamp: 1 + (round % 900), maxBytes: blob.length });
    // Most rounds are a race that anybody may win; now and then the clearer must have been there, however slow its walk is.
    if (round % 30 === 0) await untilCleared(store, hash);
    if (!(await store.restamp(hash, 1_000 + round))) {
      tally.lost += 1;
      await store.put(chunksOf(blob), { stamp: 1_000 + round, maxBytes: blob.length });
    } else tally.kept += 1;
    const read = await gather(store.read(hash)).catch(() => Buffer.alloc(0));
    if (!read.equals(blob) || ((await store.stat(hash))?.stamp ?? 0) < 1_000 + round) tally.wrong += 1;
  }
  say(tally);
}

async function clearForEver(store: BlobStore): Promise<void> {
  let removed = 0;
  say({ ready: true });
  for (;;) {
    for await (const { hash } of store.list()) {
      if (await store.deleteBelow(hash, 1_000)) {
        removed += 1;
        if (removed % 5 === 0) say({ removed });
      }
    }
  }
}

/** Held while storing: what the source gave and the file does not have. While reading: what the process read ahead. */
async function large(store: BlobStore, bytes: number): Promise<void> {
  const unfinished = join(directory, 'unfinished');
  const chunk = content(1, 256 * 1_024);
  let given = 0;
  let heldMax = 0;
  async function* source(): AsyncGenerator<Uint8Array> {
    while (given < bytes) {
      const [part] = readdirSync(unfinished);
      const written = part === undefined ? 0 : statSync(join(unfinished, part)).size;
      heldMax = Math.max(heldMax, given - written);
      given += chunk.length;
      yield chunk;
    }
  }
  const { hash } = await store.put(source(), { stamp: 1, maxBytes: bytes });
  const before = bytesRead();
  let read = 0;
  let aheadMax = 0;
  for await (const piece of store.read(hash)) {
    read += piece.length;
    aheadMax = Math.max(aheadMax, bytesRead() - before - read);
  }
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  const pieces = (held: number) => Math.ceil(held / BLOB_PIECE_BYTES);
  say({ read, heldPieces: pieces(heldMax), aheadPieces: pieces(aheadMax), peakMib: Math.round(Number(peak) / 1_024) });
}

function bytesRead(): number {
  return Number(/rchar: (\d+)/.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
}

const store = await openFileBlobs(directory, { owner: task === 'large' ? 'n1' : third });
if (task === 'store') await storeForEver(store, third);
if (task === 'keep') await keep(store, Number(fourth));
if (task === 'clear') await clearForEver(store);
if (task === 'large') await large(store, Number(third));
