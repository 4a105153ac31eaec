/** Content for the tests of blobs: made of a seed, handed over in chunks of any size, gathered again. */
import { createHash } from 'node:crypto';
import { BLOB_PIECE_BYTES } from '../../../src/base/limits.ts';

/** Bytes that no other seed gives, cheap to make: a counter, spread. No two pieces of them are alike. */
export function content(seed: number, bytes: number): Buffer {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  for (let at = 0; at < words.length; at++) words[at] = Math.imul(at ^ Math.imul(seed, 0x9e3779b1), 0x85ebca6b);
  return Buffer.from(words.buffer, 0, bytes);
}

/** The hash of base/handle.ts, computed a second time and in another way than the product does. */
export function hashOf(bytes: Uint8Array): string {
  const digests = createHash('sha256');
  for (let at = 0; at < bytes.length; at += BLOB_PIECE_BYTES) {
    digests.update(
      createHash('sha256')
        .update(bytes.subarray(at, at + BLOB_PIECE_BYTES))
        .digest(),
    );
  }
  return digests.digest('hex');
}

export async function* chunksOf(bytes: Uint8Array, chunkBytes = 100_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
}

export async function gather(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source) chunks.push(chunk);
  return Buffer.concat(chunks);
}
