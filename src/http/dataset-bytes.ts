/**
 * The bytes of datasets, in whatever format: everything here that knows Arrow. Loaded with the first dataset that is put or
 * read, for it costs every start of a node more than all of Raft does.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { PolarisError } from '../base/errors.ts';
import type { Handle } from '../base/handle.ts';
import { BLOB_BYTES_MAX } from '../base/limits.ts';
import type { LogIndex } from '../base/types.ts';
import { readArrowFile, writeArrowFile } from '../data/arrow-file.ts';
import { CELL_TYPES, type CellType, type GivenTypes } from '../data/cells.ts';
import { formatFor, formatOf } from '../data/formats.ts';
import { decoded } from '../data/inflate.ts';
import { schemaHash } from '../data/schema.ts';
import type { ByteSource } from '../data/sources.ts';
import type { DataPlane } from './route.ts';

/** What came in, on enough disks to be named. */
export interface TakenIn {
  readonly handle: Handle;
  readonly stamp: LogIndex;
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
  types: string | null,
): Promise<TakenIn> {
  const format = formatOf(headers['content-type']);
  const source = decoded(body, headers['content-encoding'], BLOB_BYTES_MAX);
  const spoolPath = join(spoolDir, randomUUID());
  const given = types === null ? {} : { types: parseTypes(types) };
  const file = writeArrowFile(format.read(source, { ...given, spoolPath, spoolBytesMax: BLOB_BYTES_MAX }));
  const { hash, stamp } = await depot.keep(file, BLOB_BYTES_MAX);
  const { schema, rows, bytes } = file.result();
  return { handle: { hash, bytes, rows, schema: schemaHash(schema) }, stamp };
}

/** @throws PolarisError NOT_ACCEPTABLE */
export function giveOut({ depot }: Pick<DataPlane, 'depot'>, handle: Handle, accept: string | undefined): GivenOut {
  const format = formatFor(accept);
  const { write } = format;
  const [contentType] = format.mediaTypes;
  if (write === null || contentType === undefined)
    throw new PolarisError('NOT_ACCEPTABLE', `${format.name} is read only`);
  return {
    contentType,
    async open() {
      const blob = await depot.open(handle.hash);
      const file = await readArrowFile((start, end) => blob.read({ start, end }), blob.bytes);
      return write(file.batches());
    },
  };
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
