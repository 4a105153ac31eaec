/**
 * The bytes of datasets, results, inputs and outputs, in whatever format: everything here that knows Arrow. Loaded with the
 * first of them that is put or read, for it costs every start of a node more than all of Raft does.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { PolarisError } from '../base/errors.ts';
import type { BlobHash, Handle } from '../base/handle.ts';
import { BLOB_BYTES_MAX } from '../base/limits.ts';
import type { LogIndex } from '../base/types.ts';
import { type ArrowFile, readArrowFile, writeArrowFile } from '../data/arrow-file.ts';
import { writeArrowStream } from '../data/arrow-stream.ts';
import { emptyBatch } from '../data/build.ts';
import { CELL_TYPES, type CellType, type GivenTypes } from '../data/cells.ts';
import { formatFor, formatOf } from '../data/formats.ts';
import { decoded } from '../data/inflate.ts';
import { schemaHash } from '../data/schema.ts';
import type { BatchSource, ByteSource } from '../data/sources.ts';
import type { DataPlane } from './route.ts';

/** What came in, on enough disks to be named. */
export interface TakenIn {
  readonly handle: Handle;
  readonly stamp: LogIndex;
}

/** Rows of a blob: [from, to), all of them where nothing is said. */
export interface Part {
  readonly hash: BlobHash;
  readonly from?: number;
  readonly to?: number;
}

/** What is to go out, as one table: all parts have the columns of the first. */
export interface Wanted {
  readonly first: Part;
  /** Null is a pause. */
  readonly rest?: Iterable<Part> | AsyncIterable<Part | null>;
  /** The reader is given a sign of life in each pause, where the format has one. */
  readonly beats?: boolean;
}

/** What goes out. */
export interface GivenOut {
  readonly contentType: string;
  open(): Promise<ByteSource>;
}

/** @throws PolarisError UNSUPPORTED_MEDIA_TYPE, BAD_ARROW, BAD_DATA, BAD_SCHEMA, and what the depot says */
export async function takeIn(
  { depot, spoolDir }: Pick<DataPlane, 'depot' | 'spoolDir'>,
  headers: IncomingHttpHeaders,
  body: ByteSource,
  { types, bytesMax = BLOB_BYTES_MAX }: { readonly types: string | null; readonly bytesMax?: number },
): Promise<TakenIn> {
  const format = formatOf(headers['content-type']);
  const source = decoded(body, headers['content-encoding'], bytesMax);
  const spoolPath = join(spoolDir, randomUUID());
  const given = types === null ? {} : { types: parseTypes(types) };
  const file = writeArrowFile(format.read(source, { ...given, spoolPath, spoolBytesMax: bytesMax }));
  const { hash, stamp } = await depot.keep(file, bytesMax);
  const { schema, rows, bytes } = file.result();
  return { handle: { hash, bytes, rows, schema: schemaHash(schema) }, stamp };
}

/** @throws PolarisError NOT_ACCEPTABLE */
export function giveOut({ depot }: Pick<DataPlane, 'depot'>, wanted: Wanted, accept: string | undefined): GivenOut {
  const format = formatFor(accept);
  const { write } = format;
  const [contentType] = format.mediaTypes;
  if (write === null || contentType === undefined)
    throw new PolarisError('NOT_ACCEPTABLE', `${format.name} is read only`);
  const { first, rest = [], beats = false } = wanted;
  return {
    contentType,
    async open() {
      // The first one before the answer begins: what is missing altogether is then a problem, and no broken answer.
      const batches = batchesOf(depot, { file: await openFile(depot, first), ...first }, rest);
      return beats && format.name === 'arrow'
        ? writeArrowStream(batches, undefined, { keepsEmpty: true })
        : write(batches);
    },
  };
}

async function* batchesOf(
  depot: DataPlane['depot'],
  { file, from, to }: Part & { readonly file: ArrowFile },
  rest: NonNullable<Wanted['rest']>,
): BatchSource {
  yield* file.batches(from, to);
  for await (const part of rest) {
    if (part === null) yield emptyBatch(file.schema);
    else yield* (await openFile(depot, part)).batches(part.from, part.to);
  }
}

/** Its footer is read, and no row. @throws PolarisError BLOB_MISSING, BAD_ARROW */
export async function openFile(
  depot: Pick<DataPlane['depot'], 'open'>,
  { hash }: Pick<Part, 'hash'>,
): Promise<ArrowFile> {
  const blob = await depot.open(hash);
  return readArrowFile((start, end) => blob.read({ start, end }), blob.bytes);
}

/** `column:type,…`, or a JSON object for names with commas and colons. @throws PolarisError BAD_REQUEST */
export function parseTypes(text: string): GivenTypes {
  const pairs = text.startsWith('{') ? jsonPairs(text) : text.split(',').map(splitPair);
  for (const [column, type] of pairs) {
    if (CELL_TYPES.some((known) => known === type)) continue;
    throw new PolarisError('BAD_REQUEST', `types: "${column}" is to be ${type}; there are ${CELL_TYPES.join(', ')}`);
  }
  return Object.fromEntries(pairs) as Record<string, CellType>;
}

function splitPair(text: string): [string, string] {
  const colon = text.lastIndexOf(':');
  if (colon < 1) throw new PolarisError('BAD_REQUEST', `types: "${text}" is not column:type`);
  return [text.slice(0, colon), text.slice(colon + 1)];
}

function jsonPairs(text: string): [string, string][] {
  try {
    return Object.entries(JSON.parse(text) as object).map(([column, type]) => [column, String(type)]);
  } catch (cause) {
    throw new PolarisError('BAD_REQUEST', 'types is neither column:type,… nor a JSON object', { cause });
  }
}
