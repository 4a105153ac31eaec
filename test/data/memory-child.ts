/**
 * A process of its own that moves much data from one format to another, and prints its peak resident memory as the kernel
 * counted it. The bytes are thrown away as they are made; what was held on the way, the peak shows.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Field, FixedSizeBinary, Schema, Utf8 } from 'apache-arrow';
import { must } from '../../src/base/assert.ts';
import { writeArrowFile } from '../../src/data/arrow-file.ts';
import { readArrowStream, writeArrowStream } from '../../src/data/arrow-stream.ts';
import { batchOf, dataOf, makeColumn } from '../../src/data/build.ts';
import { readCsv } from '../../src/data/csv-in.ts';
import { formatNamed } from '../../src/data/formats.ts';
import { readJsonLines } from '../../src/data/json-in.ts';
import { writeParquet } from '../../src/data/parquet-out.ts';
import type { BatchSource, ByteSource } from '../../src/data/sources.ts';
import { readText } from '../../src/data/text-in.ts';

const MIB = 1024 * 1024;

/** A copy each time, as a socket gives one. */
async function* repeated(piece: Uint8Array, bytes: number, header = ''): ByteSource {
  if (header !== '') yield Buffer.from(header);
  for (let given = 0; given < bytes; given += piece.byteLength) yield piece.slice();
}

/** Lines of 1 to 120 characters, some of them of two bytes. */
function lines(): Uint8Array {
  const all = Array.from({ length: 1_000 }, (_, at) => 'wörd '.repeat(24).slice(0, 1 + ((at * 7_919) % 120)));
  return Buffer.from(`${all.join('\n')}\n`);
}

async function* arrowBatches(bytes: number): BatchSource {
  const schema = new Schema([new Field('t', new Utf8(), true)]);
  const text = dataOf(new Utf8(), Array<string>(8_000).fill('x'.repeat(400)));
  for (let given = 0; given < bytes; given += 8_000 * 400) yield batchOf(schema, [text]);
}

/** Some numbers, and text that makes most of the row: what is held shows all the same, and reading it takes less long. */
const TEXT = 'some text, and more of it; '.repeat(40);
const CSV = Buffer.from(`1,"${TEXT}",2.5\n`.repeat(60));
const JSON_LINES = Buffer.from(`{"a":1,"b":"${TEXT}","c":[1.5,2]}\n`.repeat(60));

/** Parquet in a file, as a request lays it down, and then its batches. */
async function* throughParquet(spoolPath: string): ByteSource {
  const options = { spoolPath, spoolBytesMax: 1024 * MIB };
  const { read } = must(formatNamed('parquet'), 'a format');
  yield* writeArrowFile(read(writeParquet(noise(256 * MIB)), options));
}

/** Nothing in it can be shortened. */
async function* noise(bytes: number): BatchSource {
  const type = new FixedSizeBinary(1_000);
  const schema = new Schema([new Field('noise', type, false)]);
  for (let given = 0; given < bytes; given += 1_000_000) {
    yield batchOf(schema, [makeColumn({ type, length: 1_000, nullCount: 0, data: randomBytes(1_000_000) })]);
  }
}

/** What is moved: bytes that come in, and the way that they go. */
const WAYS: Readonly<Record<string, (spoolPath: string) => ByteSource>> = {
  text: () => writeArrowFile(readText(repeated(lines(), 512 * MIB))),
  arrow: () => writeArrowFile(readArrowStream(writeArrowStream(arrowBatches(512 * MIB)))),
  csv: () => writeArrowFile(readCsv(repeated(CSV, 256 * MIB, 'a,b,c\n'))),
  jsonl: () => writeArrowFile(readJsonLines(repeated(JSON_LINES, 256 * MIB))),
  parquet: throughParquet,
};

let bytes = 0;
for await (const piece of WAYS[process.argv[2] ?? '']!(process.argv[3] ?? '')) bytes += piece.byteLength;
const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
process.stdout.write(JSON.stringify({ peakMib: Number(peak?.[1]) / 1024, bytes }));
