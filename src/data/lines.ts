/**
 * Lines: text from a stream of bytes, cut at its line ends, and known to be text.
 *
 * A line ends with LF or CRLF; the last one may have no end. Lines are given as views of the bytes that came, many at
 * a time, so that a line costs no promise and no copy unless it lies across two pieces.
 *
 * Invariants: every byte given is part of valid UTF-8 · at most one line is held back, of at most LINE_BYTES_MAX.
 */
import { isUtf8 } from 'node:buffer';
import { PolarisError } from '../base/errors.ts';
import { LINE_BYTES_MAX } from '../base/limits.ts';
import type { ByteSource } from './sources.ts';

const LF = 0x0a;
const CR = 0x0d;
/** A character of UTF-8 has at most four bytes, so at most three of them can be missing. */
const TAIL_BYTES_MAX = 3;

export interface Lines {
  /** Number of the first one; the first of all is 1. */
  readonly first: number;
  readonly lines: readonly Uint8Array[];
}

export async function* readLines(source: ByteSource): AsyncGenerator<Lines> {
  let number = 1;
  let held: Uint8Array[] = [];
  let heldBytes = 0;
  for await (const piece of requireUtf8(withoutMark(source))) {
    const lines: Uint8Array[] = [];
    let start = 0;
    for (let end = piece.indexOf(LF); end >= 0; end = piece.indexOf(LF, start)) {
      const tail = piece.subarray(start, end);
      const line = held.length === 0 ? tail : Buffer.concat([...held, tail]);
      requireLineBytes(line.byteLength, number + lines.length);
      lines.push(line.at(-1) === CR ? line.subarray(0, -1) : line);
      [held, heldBytes, start] = [[], 0, end + 1];
    }
    if (start < piece.byteLength) {
      held.push(piece.subarray(start));
      heldBytes += piece.byteLength - start;
      requireLineBytes(heldBytes, number + lines.length);
    }
    if (lines.length > 0) yield { first: number, lines };
    number += lines.length;
  }
  if (heldBytes === 0) return;
  yield { first: number, lines: [Buffer.concat(held)] };
}

/** Without the mark that some editors put before UTF-8. */
export async function* withoutMark(source: ByteSource): ByteSource {
  let start: Uint8Array | null = new Uint8Array(0);
  for await (const piece of source) {
    if (start === null) {
      yield piece;
      continue;
    }
    start = start.byteLength === 0 ? piece : Buffer.concat([start, piece]);
    if (start.byteLength < 3) continue;
    yield start[0] === 0xef && start[1] === 0xbb && start[2] === 0xbf ? start.subarray(3) : start;
    start = null;
  }
  if (start !== null && start.byteLength > 0) yield start;
}

function requireLineBytes(bytes: number, number: number): void {
  if (bytes <= LINE_BYTES_MAX) return;
  throw new PolarisError('BAD_DATA', `Line ${number} has more than ${LINE_BYTES_MAX} bytes.`);
}

function notText(number: number): PolarisError {
  return new PolarisError('BAD_DATA', `Line ${number} is not UTF-8.`);
}

/** The same bytes, known to be text, and never cut inside a character. Whole pieces are judged, for that is fast. */
export async function* requireUtf8(source: ByteSource): ByteSource {
  let number = 1;
  let tail: Uint8Array = new Uint8Array(0);
  for await (const piece of source) {
    const whole = tail.byteLength === 0 ? piece : Buffer.concat([tail, piece]);
    const end = whole.byteLength - unfinishedBytes(whole);
    const text = whole.subarray(0, end);
    if (!isUtf8(text)) throw notText(number + badLine(text));
    for (let at = text.indexOf(LF); at >= 0; at = text.indexOf(LF, at + 1)) number++;
    tail = whole.subarray(end);
    if (text.byteLength > 0) yield text;
  }
  if (tail.byteLength > 0) throw notText(number);
}

/** How many bytes at the end begin a character that is not yet whole. */
function unfinishedBytes(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(TAIL_BYTES_MAX, bytes.byteLength); back++) {
    const byte = bytes[bytes.byteLength - back]!;
    if ((byte & 0xc0) === 0x80) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

/** Line ends before the line that is not text; none is part of a longer character, so lines can be judged one by one. */
function badLine(bytes: Uint8Array): number {
  let [line, start] = [0, 0];
  for (let end = bytes.indexOf(LF); end >= 0; end = bytes.indexOf(LF, start)) {
    if (!isUtf8(bytes.subarray(start, end))) return line;
    [line, start] = [line + 1, end + 1];
  }
  return line;
}
