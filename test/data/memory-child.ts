/**
 * A process of its own that moves much data from one format to another, and prints its peak resident memory as the kernel
 * counted it. The bytes are thrown away as they are made; what was held on the way, the peak shows.
 */
import { readFileSync } from 'node:fs';
import { Field, Schema, Utf8 } from 'apache-arrow';
import { writeArrowFile } from '../../src/data/arrow-file.ts';
import { readArrowStream, writeArrowStream } from '../../src/data/arrow-stream.ts';
import { batchOf, dataOf } from '../../src/data/build.ts';
import { readCsv } from '../../src/data/csv-in.ts';
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

/** What is moved: bytes that come in, and the way that they go. */
const WAYS: Readonly<Record<string, () => ByteSource>> = {
  text: () => writeArrowFile(readText(repeated(lines(), 512 * MIB))),
  arrow: () => writeArrowFile(readArrowStream(writeArrowStream(arrowBatches(512 * MIB)))),
  csv: () => writeArrowFile(readCsv(repeated(Buffer.from('1,some text,2.5\n'.repeat(4_000)), 64 * MIB, 'a,b,c\n'))),
  jsonl: () => writeArrowFile(readJsonLines(repeated(Buffer.from('{"a":1,"c":[1.5,2]}\n'.repeat(3_000)), 64 * MIB))),
  parquet: () => writeParquet(readText(repeated(lines(), 64 * MIB))),
};

let bytes = 0;
for await (const piece of WAYS[process.argv[2] ?? '']!()) bytes += piece.byteLength;
const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
process.stdout.write(JSON.stringify({ peakMib: Number(peak?.[1]) / 1024, bytes }));
