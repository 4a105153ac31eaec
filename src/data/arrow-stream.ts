/**
 * Arrow stream: a schema, then batches until it ends. What travels over HTTP and between nodes.
 *
 * Reading never asks for memory before a limit was looked at, and holds one batch; see arrow-batch.ts for why
 * apache-arrow's own reader is not used. Writing gives one chunk a batch.
 *
 * Invariant: what is read is either a prefix of the batches that were written, followed by an error, or all of them. A
 * stream that stops without its end mark is an error, since it looks just like a connection that broke.
 */
import type { Schema } from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import { BatchReader } from './arrow-batch.ts';
import { type ArrowMessage, CONTINUATION, readMessage, requireMetadataBytes } from './arrow-message.ts';
import { readSchema } from './arrow-schema.ts';
import { ArrowWriting } from './arrow-writing.ts';
import { emptyBatch } from './build.ts';
import { cutBatch } from './cut.ts';
import { plainBatch } from './plain.ts';
import { requireSameSchema } from './schema.ts';
import { type BatchSource, ByteReader, type ByteSource } from './sources.ts';

export interface StreamOptions {
  /** Batches without rows count too: a sign of life in a pause, which other readers pass over. */
  readonly keepsEmpty?: boolean;
}

/** Batches of at most BATCH_ROWS rows; an empty one if there is none, so that the schema is known. */
export async function* readArrowStream(source: ByteSource, { keepsEmpty = false }: StreamOptions = {}): BatchSource {
  const bytes = new ByteReader(source);
  try {
    const first = await nextMessage(bytes, 'The first message');
    if (first?.kind !== 'schema')
      throw new PolarisError('BAD_ARROW', 'A stream begins with its schema; this does not.');
    await takeBody(bytes, first);
    const reader = new BatchReader(readSchema(first.header));
    let given = false;
    for (let number = 2; ; number++) {
      const message = await nextMessage(bytes, `Message ${number} at byte ${bytes.taken}`);
      if (message === null) break;
      const body = await takeBody(bytes, message);
      if (message.kind === 'schema') throw message.header.buffer.bad('it is a second schema');
      if (message.kind === 'dictionary') {
        reader.readDictionary(message, body);
        continue;
      }
      const batch = reader.readBatch(message, body);
      if (batch.numRows === 0 && !keepsEmpty) continue;
      given = true;
      yield* cutBatch(batch);
    }
    // Whoever promised more than he sent is found out, and nothing that is there is dropped without a word.
    if ((await bytes.take(1)).byteLength > 0) {
      throw new PolarisError('BAD_ARROW', `There is more behind the end of the stream, at byte ${bytes.taken - 1}.`);
    }
    if (!given) yield emptyBatch(reader.wire.schema);
  } finally {
    await bytes.close();
  }
}

/** `null` at the mark of the end. */
async function nextMessage(bytes: ByteReader, what: string): Promise<ArrowMessage | null> {
  let length = await takeLength(bytes, what);
  if (length === CONTINUATION) length = await takeLength(bytes, what);
  if (length === 0) return null;
  requireMetadataBytes(length, what);
  return readMessage(await takeAll(bytes, length, what), what);
}

async function takeLength(bytes: ByteReader, what: string): Promise<number> {
  const prefix = await takeAll(bytes, 4, what);
  return new DataView(prefix.buffer, prefix.byteOffset, 4).getUint32(0, true);
}

async function takeBody(bytes: ByteReader, { bodyBytes, what }: ArrowMessage): Promise<Uint8Array> {
  return takeAll(bytes, bodyBytes, `The body of ${what.charAt(0).toLowerCase()}${what.slice(1)}`);
}

async function takeAll(bytes: ByteReader, length: number, what: string): Promise<Uint8Array> {
  const start = bytes.taken;
  const taken = await bytes.take(length);
  if (taken.byteLength === length) return taken;
  const missing = `${length} bytes were to follow at byte ${start}, and ${taken.byteLength} did`;
  throw new PolarisError('BAD_ARROW', `${what} is cut off: ${missing}.`);
}

/**
 * One chunk for the schema, one a batch, and the end. Each chunk is a copy of what it holds: over HTTP a chunk is what
 * the receiver sees at once, and headers and buffers that travel separately are not seen at once.
 */
export async function* writeArrowStream(
  batches: BatchSource,
  schema?: Schema,
  { keepsEmpty = false }: StreamOptions = {},
): ByteSource {
  let writing: ArrowWriting | null = null;
  let known: Schema | null = null;
  const begin = (first: Schema): ArrowWriting => {
    known = first;
    writing = ArrowWriting.stream(first);
    return writing;
  };
  if (schema !== undefined) yield Buffer.concat(begin(schema).start());
  for await (const given of batches) {
    const batch = plainBatch(given);
    if (writing === null) yield Buffer.concat(begin(batch.schema).start());
    else requireSameSchema(known!, batch.schema);
    if (batch.numRows === 0 && !keepsEmpty) continue;
    for (const part of cutBatch(batch)) yield Buffer.concat(writing!.batch(part));
  }
  if (writing === null) throw new PolarisError('BAD_SCHEMA', 'There is no batch, so nobody knows the columns.');
  yield Buffer.concat((writing as ArrowWriting).end());
}
