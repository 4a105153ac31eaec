/**
 * Block codecs: the compressions of Parquet pages, each bounded by the length that its page claims.
 *
 * A page says how long it is when unpacked; that is the memory it gets, and what does not fill it exactly is an error.
 * Snappy and LZ4 are unpacked here, since the usual scripts believe their input: a literal of negative length sends them
 * round for ever, and a match of any length is copied to the end, though nothing of it is kept.
 */
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { decompress as unzstd } from 'fzstd';
import type { CompressionCodec } from 'hyparquet';
import { PolarisError } from '../base/errors.ts';

export function unpack(codec: CompressionCodec, input: Uint8Array, length: number): Uint8Array {
  const output = unpackAny(codec, input, length);
  if (output.byteLength === length) return output;
  throw damaged(`a page has ${output.byteLength} bytes where it claims ${length}`);
}

function unpackAny(codec: CompressionCodec, input: Uint8Array, length: number): Uint8Array {
  switch (codec) {
    case 'UNCOMPRESSED':
      return input;
    case 'SNAPPY':
      return unpackSnappy(input, new Uint8Array(length));
    case 'LZ4_RAW':
      return unpackLz4(input, new Uint8Array(length));
    case 'GZIP':
      return gunzipSync(input, { maxOutputLength: Math.max(length, 1) });
    case 'BROTLI':
      return brotliDecompressSync(input, { maxOutputLength: Math.max(length, 1) });
    case 'ZSTD':
      return unzstd(input, new Uint8Array(length));
    default:
      throw new PolarisError(
        'BAD_DATA',
        `Parquet: pages compressed with ${codec} are not read; use SNAPPY, GZIP, ZSTD, BROTLI, LZ4_RAW or none.`,
      );
  }
}

function damaged(why: string): PolarisError {
  return new PolarisError('BAD_DATA', `Parquet: ${why}.`);
}

/** Copies inside the output, where a match may overlap what it makes. */
class Unpacking {
  readonly input: Uint8Array;
  readonly output: Uint8Array;
  at = 0;
  #filled = 0;

  constructor(input: Uint8Array, output: Uint8Array) {
    this.input = input;
    this.output = output;
  }

  get hasMore(): boolean {
    return this.at < this.input.byteLength;
  }

  byte(): number {
    const byte = this.input[this.at++];
    if (byte === undefined) throw damaged('a compressed page is cut off');
    return byte;
  }

  /** A number of so many bytes, the lowest first. */
  number(bytes: number): number {
    let value = 0;
    for (let index = 0; index < bytes; index++) value += this.byte() * 2 ** (8 * index);
    return value;
  }

  literal(length: number): void {
    const piece = this.input.subarray(this.at, this.at + length);
    if (piece.byteLength < length) throw damaged('a compressed page is cut off');
    this.#requireRoom(length);
    this.output.set(piece, this.#filled);
    this.at += length;
    this.#filled += length;
  }

  match(offset: number, length: number): void {
    if (offset === 0 || offset > this.#filled) throw damaged('a compressed page repeats what was not there');
    this.#requireRoom(length);
    const end = this.#filled + length;
    for (; this.#filled < end; this.#filled++) this.output[this.#filled] = this.output[this.#filled - offset]!;
  }

  #requireRoom(length: number): void {
    if (this.#filled + length > this.output.byteLength) throw damaged('a page is longer than it claims');
  }

  result(): Uint8Array {
    return this.output.subarray(0, this.#filled);
  }
}

export function unpackSnappy(input: Uint8Array, output: Uint8Array): Uint8Array {
  const unpacking = new Unpacking(input, output);
  // The length comes first, seven bits a byte; the page has told it already.
  while (unpacking.byte() >= 0x80);
  while (unpacking.hasMore) {
    const tag = unpacking.byte();
    const size = tag >> 2;
    switch (tag & 3) {
      case 0:
        unpacking.literal((size < 60 ? size : unpacking.number(size - 59)) + 1);
        break;
      case 1:
        unpacking.match(((tag >> 5) << 8) | unpacking.byte(), (size & 7) + 4);
        break;
      default:
        unpacking.match(unpacking.number((tag & 3) === 2 ? 2 : 4), size + 1);
    }
  }
  return unpacking.result();
}

const LZ4_MATCH_MIN = 4;

export function unpackLz4(input: Uint8Array, output: Uint8Array): Uint8Array {
  const unpacking = new Unpacking(input, output);
  const length = (nibble: number): number => {
    let sum = nibble;
    for (let byte = nibble === 15 ? 255 : 0; byte === 255; sum += byte) byte = unpacking.byte();
    return sum;
  };
  while (unpacking.hasMore) {
    const token = unpacking.byte();
    unpacking.literal(length(token >> 4));
    // The last sequence is a literal alone.
    if (unpacking.hasMore) unpacking.match(unpacking.number(2), length(token & 15) + LZ4_MATCH_MIN);
  }
  return unpacking.result();
}
