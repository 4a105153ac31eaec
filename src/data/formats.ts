/**
 * Formats: what tables look like outside, by media type and by name.
 *
 * One row a format; HTTP asks by `Content-Type` and `Accept`, the command line by name. All of them are streams from
 * bytes to batches and back; two of them have to be spooled to a file before they can be read.
 */
import { PolarisError } from '../base/errors.ts';
import { ACCEPT_LENGTH_MAX } from '../base/limits.ts';
import { readArrowFile, writeArrowFile } from './arrow-file.ts';
import { readArrowStream, writeArrowStream } from './arrow-stream.ts';
import type { GivenTypes } from './cells.ts';
import { readCsv } from './csv-in.ts';
import { writeCsv } from './csv-out.ts';
import { readJsonLines } from './json-in.ts';
import { writeJsonLines } from './json-out.ts';
import { readParquet } from './parquet-in.ts';
import { writeParquet } from './parquet-out.ts';
import type { BatchSource, ByteSource } from './sources.ts';
import { spool } from './spool.ts';
import { readText } from './text-in.ts';

export type FormatName = 'arrow' | 'arrow-file' | 'csv' | 'jsonl' | 'parquet' | 'text';

export interface ReadOptions {
  /** Types of columns that CSV and JSON lines do not tell. */
  readonly types?: GivenTypes;
  /** A file that does not exist yet, for formats that have to be known to their end. */
  readonly spoolPath: string;
  readonly spoolBytesMax: number;
}

export interface Format {
  readonly name: FormatName;
  /** The first one is what we send. */
  readonly mediaTypes: readonly string[];
  readonly extension: string;
  read(source: ByteSource, options: ReadOptions): BatchSource;
  /** `null` where tables cannot be written as it. */
  readonly write: ((batches: BatchSource) => ByteSource) | null;
}

const ARROW: Format = {
  name: 'arrow',
  mediaTypes: ['application/vnd.apache.arrow.stream'],
  extension: '.arrows',
  read: (source) => readArrowStream(source),
  write: (batches) => writeArrowStream(batches),
};

export const FORMATS: readonly Format[] = [
  ARROW,
  {
    name: 'arrow-file',
    mediaTypes: ['application/vnd.apache.arrow.file'],
    extension: '.arrow',
    read: readSpooledArrow,
    write: writeArrowFile,
  },
  {
    name: 'csv',
    mediaTypes: ['text/csv', 'application/csv'],
    extension: '.csv',
    read: (source, { types }) => readCsv(source, types),
    write: writeCsv,
  },
  {
    name: 'jsonl',
    mediaTypes: ['application/x-ndjson', 'application/jsonl', 'application/jsonlines', 'application/x-jsonlines'],
    extension: '.jsonl',
    read: (source, { types }) => readJsonLines(source, types),
    write: writeJsonLines,
  },
  {
    name: 'parquet',
    mediaTypes: ['application/vnd.apache.parquet', 'application/x-parquet'],
    extension: '.parquet',
    read: readSpooledParquet,
    write: writeParquet,
  },
  { name: 'text', mediaTypes: ['text/plain'], extension: '.txt', read: readText, write: null },
];

async function* readSpooledArrow(source: ByteSource, { spoolPath, spoolBytesMax }: ReadOptions): BatchSource {
  await using kept = await spool(source, spoolPath, spoolBytesMax);
  yield* (await readArrowFile(kept.read, kept.bytes)).batches();
}

async function* readSpooledParquet(source: ByteSource, { spoolPath, spoolBytesMax }: ReadOptions): BatchSource {
  await using kept = await spool(source, spoolPath, spoolBytesMax);
  yield* readParquet(kept.read, kept.bytes);
}

export function formatNamed(name: string): Format | undefined {
  return FORMATS.find((format) => format.name === name);
}

/** By the end of a file's name: `orders.csv`, `orders.CSV`. */
export function formatOfPath(path: string): Format | undefined {
  return FORMATS.find((format) => path.toLowerCase().endsWith(format.extension));
}

/** The format of a body; 415 with what there is where it is none of ours. */
export function formatOf(contentType: string | undefined): Format {
  const [mediaType = '', ...parameters] = (contentType ?? '').split(';').map((part) => part.trim().toLowerCase());
  const format = FORMATS.find(({ mediaTypes }) => mediaTypes.includes(mediaType));
  if (format === undefined) {
    const known = FORMATS.map(({ mediaTypes }) => mediaTypes[0]).join(', ');
    const sent =
      mediaType === '' ? 'A body needs a Content-Type' : `A body of ${JSON.stringify(mediaType)} is not read`;
    throw new PolarisError('UNSUPPORTED_MEDIA_TYPE', `${sent}; send one of ${known}.`);
  }
  const charset = parameters.find((parameter) => parameter.startsWith('charset='))?.slice('charset='.length);
  if (charset === undefined || /^"?(utf-8|utf8|us-ascii)"?$/.test(charset)) return format;
  throw new PolarisError('UNSUPPORTED_MEDIA_TYPE', `Text in ${JSON.stringify(charset)} is not read; send UTF-8.`);
}

/** The best format for an `Accept` header, Arrow where there is none; 406 with what there is where none will do. */
export function formatFor(accept: string | undefined): Format {
  const writable = FORMATS.filter((format) => format.write !== null);
  if (accept === undefined || accept.trim() === '') return ARROW;
  const wanted = accept.length > ACCEPT_LENGTH_MAX ? [] : accept.split(',').map(parseRange);
  let best: { format: Format; quality: number } | null = null;
  for (const format of writable) {
    const quality = Math.max(...format.mediaTypes.map((mediaType) => qualityOf(mediaType, wanted)));
    if (quality > (best?.quality ?? 0)) best = { format, quality };
  }
  if (best !== null) return best.format;
  const known = writable.map(({ mediaTypes }) => mediaTypes[0]).join(', ');
  throw new PolarisError('NOT_ACCEPTABLE', `None of the accepted media types can be written; there are ${known}.`);
}

interface MediaRange {
  readonly range: string;
  readonly quality: number;
}

/** As in `text/csv;q=0.5`; what is no quality counts as none given. */
function parseRange(text: string): MediaRange {
  const [range = '', ...parameters] = text.split(';').map((part) => part.trim().toLowerCase());
  const quality = parameters.find((parameter) => /^q=(0(\.\d{0,3})?|1(\.0{0,3})?)$/.test(parameter));
  return { range, quality: quality === undefined ? 1 : Number(quality.slice(2)) };
}

/** RFC 9110 §12.5.1: the most specific range that fits is the one that counts. */
function qualityOf(mediaType: string, wanted: readonly MediaRange[]): number {
  const kind = `${mediaType.split('/')[0]}/*`;
  for (const range of [mediaType, kind, '*/*']) {
    const found = wanted.find((candidate) => candidate.range === range);
    if (found !== undefined) return found.quality;
  }
  return 0;
}
