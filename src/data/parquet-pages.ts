/**
 * Parquet pages: the levels and stored values of one column of one row group.
 *
 * Headers and encodings are those of hyparquet; every count and length that they are told is held against the limits
 * of the group and against the bytes of the page first. The run-length decoder and the one for shared prefixes are our
 * own, since theirs write as many values as a run claims.
 */
import type { ColumnMetaData, DataReader, PageHeader } from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { deltaBinaryUnpack, deltaLengthByteArray } from 'hyparquet/src/delta.js';
import { byteStreamSplit } from 'hyparquet/src/encoding.js';
import { readPlain } from 'hyparquet/src/plain.js';
import { PolarisError } from '../base/errors.ts';
import { unpack } from './block-codecs.ts';
import type { LeafNode } from './parquet-schema.ts';
import type { Stored } from './parquet-types.ts';
import { checkThrift } from './thrift-check.ts';

/** What one row group may still take. */
export interface GroupBudget {
  bytes: number;
  readonly valuesMax: number;
}

export interface ColumnPages {
  /** One a slot; empty where every value is there. */
  readonly definitions: Levels;
  /** Empty where the column lies in no list. */
  readonly repetitions: Levels;
  /** The values that are there. */
  readonly values: Stored[];
  readonly slots: number;
}
type Levels = Uint8Array;

export function badParquet(why: string): PolarisError {
  return new PolarisError('BAD_DATA', `Parquet: ${why}.`);
}

export function spendBytes(budget: GroupBudget, bytes: number): void {
  budget.bytes -= bytes;
  if (budget.bytes < 0) throw badParquet('a row group is too large in memory; write smaller row groups');
}

interface Chunk {
  readonly bytes: Uint8Array;
  readonly meta: ColumnMetaData;
  readonly leaf: LeafNode;
  readonly budget: GroupBudget;
}

export function readPages(chunk: Chunk): ColumnPages {
  const reading = new ChunkReading(chunk);
  while (reading.hasMore) reading.page();
  return reading.result();
}

class ChunkReading {
  readonly #chunk: Chunk;
  readonly #slots: number;
  readonly #definitionMax: number;
  readonly #repetitionMax: number;
  readonly #definitions: Levels;
  readonly #repetitions: Levels;
  readonly #values: Stored[] = [];
  #dictionary: ArrayLike<Stored> | null = null;
  #at = 0;
  #filled = 0;

  constructor(chunk: Chunk) {
    this.#chunk = chunk;
    this.#slots = Number(chunk.meta.num_values);
    if (!(this.#slots >= 0 && this.#slots <= chunk.budget.valuesMax)) {
      throw badParquet(`a row group has ${this.#slots} values in one column; ${chunk.budget.valuesMax} are allowed`);
    }
    this.#definitionMax = chunk.leaf.present;
    this.#repetitionMax = chunk.leaf.repetition;
    this.#definitions = new Uint8Array(this.#definitionMax > 0 ? this.#slots : 0);
    this.#repetitions = new Uint8Array(this.#repetitionMax > 0 ? this.#slots : 0);
  }

  get hasMore(): boolean {
    return this.#filled < this.#slots;
  }

  result(): ColumnPages {
    const [definitions, repetitions] = [this.#definitions, this.#repetitions];
    return { definitions, repetitions, values: this.#values, slots: this.#slots };
  }

  page(): void {
    const { bytes, budget } = this.#chunk;
    const start = checkThrift(bytes, this.#at);
    const header = parquetHeader({ view: viewOf(bytes), offset: this.#at });
    const { compressed_page_size: packed, uncompressed_page_size: unpacked } = header;
    if (!(packed >= 0 && packed <= bytes.byteLength - start)) throw badParquet(`a page claims ${packed} bytes`);
    if (!(unpacked >= 0)) throw badParquet(`a page claims ${unpacked} bytes`);
    spendBytes(budget, unpacked);
    this.#at = start + packed;
    // A copy, so that what is read beyond the page is an error and no part of the next one.
    const page = bytes.slice(start, start + packed);
    switch (header.type) {
      case 'DICTIONARY_PAGE':
        this.#dictionaryPage(page, header);
        return;
      case 'DATA_PAGE':
        this.#dataPage(page, header);
        return;
      case 'DATA_PAGE_V2':
        this.#dataPageV2(page, header);
        return;
      default:
        // Indexes are none of our business.
        return;
    }
  }

  #dictionaryPage(page: Uint8Array, header: PageHeader): void {
    const count = this.#requireCount(header.dictionary_page_header?.num_values, this.#chunk.budget.valuesMax);
    const bytes = unpack(this.#chunk.meta.codec, page, header.uncompressed_page_size);
    this.#dictionary = this.#plain(bytes, count);
  }

  /** Held against what the column still lacks. */
  #requireCount(count: number | undefined, most = this.#slots - this.#filled): number {
    if (count !== undefined && count >= 0 && count <= most) return count;
    throw badParquet(`a page claims ${count} values where at most ${most} can follow`);
  }

  #dataPage(page: Uint8Array, header: PageHeader): void {
    const { num_values: claimed, encoding } = header.data_page_header ?? {};
    const count = this.#requireCount(claimed);
    const bytes = unpack(this.#chunk.meta.codec, page, header.uncompressed_page_size);
    let at = 0;
    const levels = (into: Levels, most: number) => {
      if (most === 0) return;
      const length = viewOf(bytes.subarray(at)).getUint32(0, true);
      this.#levels(into, { bytes: bytes.subarray(at + 4, at + 4 + length), most, count });
      at += 4 + length;
    };
    levels(this.#repetitions, this.#repetitionMax);
    levels(this.#definitions, this.#definitionMax);
    this.#valuesOf(bytes.subarray(at), { encoding, count, prefixed: true });
  }

  /** Its levels stand before the compressed part, their lengths in the header. */
  #dataPageV2(page: Uint8Array, header: PageHeader): void {
    const own = header.data_page_header_v2;
    if (own === undefined) throw badParquet('a page has no header');
    const { encoding } = own;
    const count = this.#requireCount(own.num_values);
    const repetitionBytes = own.repetition_levels_byte_length;
    const levelBytes = repetitionBytes + own.definition_levels_byte_length;
    if (!(repetitionBytes >= 0 && levelBytes >= repetitionBytes && levelBytes <= page.byteLength)) {
      throw badParquet(`a page claims ${levelBytes} bytes of levels`);
    }
    if (this.#repetitionMax > 0) {
      this.#levels(this.#repetitions, { bytes: page.subarray(0, repetitionBytes), most: this.#repetitionMax, count });
    }
    if (this.#definitionMax > 0) {
      const bytes = page.subarray(repetitionBytes, levelBytes);
      this.#levels(this.#definitions, { bytes, most: this.#definitionMax, count });
    }
    const packed = page.subarray(levelBytes);
    const codec = own.is_compressed === false ? 'UNCOMPRESSED' : this.#chunk.meta.codec;
    const length = header.uncompressed_page_size - levelBytes;
    if (length < 0) throw badParquet('a page is shorter than its levels');
    // Writers leave a page of nulls empty, whatever the codec would make of nothing.
    const bytes = length === 0 ? new Uint8Array(0) : unpack(codec, packed, length);
    this.#valuesOf(bytes, { encoding, count, prefixed: false });
  }

  #levels(into: Levels, { bytes, most, count }: { bytes: Uint8Array; most: number; count: number }): void {
    const levels = decodeRuns(bytes, { width: 32 - Math.clz32(most), count });
    for (let index = 0; index < count; index++) {
      if (levels[index]! > most) throw badParquet(`a level is ${levels[index]} where ${most} is the highest`);
      into[this.#filled + index] = levels[index]!;
    }
  }

  #valuesOf(bytes: Uint8Array, page: { encoding: string | undefined; count: number; prefixed: boolean }): void {
    let there = page.count;
    if (this.#definitionMax > 0) {
      for (let index = 0; index < page.count; index++) {
        if (this.#definitions[this.#filled + index]! < this.#definitionMax) there--;
      }
    }
    this.#filled += page.count;
    // A page without values would be read for ever where the column is to have some.
    if (page.count === 0 && this.#at >= this.#chunk.bytes.byteLength)
      throw badParquet('a column ends before its values');
    const values = there === 0 ? [] : this.#decoded(bytes, { ...page, count: there });
    if (values.length < there) throw badParquet(`a page has ${values.length} values where it claims ${there}`);
    for (let index = 0; index < there; index++) this.#values.push(values[index]!);
  }

  #decoded(
    bytes: Uint8Array,
    { encoding, count, prefixed }: { encoding: string | undefined; count: number; prefixed: boolean },
  ): ArrayLike<Stored> {
    const { element } = this.#chunk.leaf;
    const reader: DataReader = { view: viewOf(bytes), offset: 0 };
    switch (encoding) {
      case 'PLAIN':
        return this.#plain(bytes, count);
      case 'PLAIN_DICTIONARY':
      case 'RLE_DICTIONARY':
        return this.#looked(bytes, count);
      case 'RLE':
        // Booleans; version 2 of the page leaves out the length in some writers' hands, and has it in others'.
        return booleans(bytes, count, prefixed);
      case 'DELTA_BINARY_PACKED': {
        const numbers = element.type === 'INT32' ? new Int32Array(count) : new BigInt64Array(count);
        deltaBinaryUnpack(reader, count, numbers);
        return numbers;
      }
      case 'DELTA_LENGTH_BYTE_ARRAY': {
        const texts: Uint8Array[] = new Array(count);
        deltaLengthByteArray(reader, count, texts);
        return texts;
      }
      case 'DELTA_BYTE_ARRAY':
        return this.#sharedPrefixes(reader, bytes, count);
      case 'BYTE_STREAM_SPLIT':
        return byteStreamSplit(reader, count, element.type!, element.type_length) as ArrayLike<Stored>;
      default:
        throw badParquet(`the encoding ${encoding} is not read`);
    }
  }

  #plain(bytes: Uint8Array, count: number): ArrayLike<Stored> {
    const { type, type_length: length } = this.#chunk.leaf.element;
    return readPlain({ view: viewOf(bytes), offset: 0 }, type!, count, length) as ArrayLike<Stored>;
  }

  /** Indices into the dictionary, after their width. */
  #looked(bytes: Uint8Array, count: number): Stored[] {
    const dictionary = this.#dictionary;
    const width = bytes[0] ?? 0;
    if (dictionary === null || width > 32) throw badParquet('a page looks into a dictionary that is not there');
    const indices = decodeRuns(bytes.subarray(1), { width, count });
    return Array.from(indices, (index) => {
      if (index < dictionary.length) return dictionary[index]!;
      throw badParquet(`a value is number ${index} of a dictionary of ${dictionary.length}`);
    });
  }

  /** Each value repeats the beginning of the one before; measured first, for a few bytes can repeat a great many. */
  #sharedPrefixes(reader: DataReader, bytes: Uint8Array, count: number): Uint8Array[] {
    const [prefixes, suffixes] = [new Int32Array(count), new Int32Array(count)];
    deltaBinaryUnpack(reader, count, prefixes);
    deltaBinaryUnpack(reader, count, suffixes);
    const values: Uint8Array[] = [];
    let before: Uint8Array = new Uint8Array(0);
    for (let index = 0; index < count; index++) {
      const [prefix, suffix] = [prefixes[index]!, suffixes[index]!];
      const end = reader.offset + suffix;
      if (prefix < 0 || prefix > before.byteLength || suffix < 0 || end > bytes.byteLength) {
        throw badParquet('a text repeats more than was there');
      }
      spendBytes(this.#chunk.budget, prefix + suffix);
      const value = new Uint8Array(prefix + suffix);
      value.set(before.subarray(0, prefix));
      value.set(bytes.subarray(reader.offset, end), prefix);
      reader.offset = end;
      values.push(value);
      before = value;
    }
    return values;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function booleans(bytes: Uint8Array, count: number, prefixed: boolean): Stored[] {
  const length = bytes.byteLength >= 4 ? viewOf(bytes).getUint32(0, true) : -1;
  const hasLength = prefixed || length === bytes.byteLength - 4;
  return Array.from(decodeRuns(hasLength ? bytes.subarray(4) : bytes, { width: 1, count }), (bit) => bit === 1);
}

/** Runs of one number, or of eight at a time bit by bit; never more than so many numbers in all. */
export function decodeRuns(bytes: Uint8Array, { width, count }: { width: number; count: number }): Uint32Array {
  const numbers = new Uint32Array(count);
  const byteWidth = (width + 7) >> 3;
  let [at, filled] = [0, 0];
  while (filled < count) {
    let [head, shift] = [0, 0];
    for (let more = true; more; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 28) throw badParquet('a run of numbers is cut off');
      head += (byte & 0x7f) * 2 ** shift;
      more = byte >= 0x80;
    }
    const length = Math.floor(head / 2);
    if (length === 0) continue;
    if (head % 2 === 0) {
      const number = littleEndian(bytes, at, byteWidth);
      at += byteWidth;
      const end = Math.min(count, filled + length);
      numbers.fill(number, filled, end);
      filled = end;
      continue;
    }
    const end = Math.min(count, filled + length * 8);
    // The last group may be cut to the bytes that its numbers need.
    const needed = Math.ceil(((end - filled) * width) / 8);
    if (at + needed > bytes.byteLength) throw badParquet('a run of numbers is cut off');
    for (let bit = at * 8; filled < end; filled++, bit += width) numbers[filled] = bitsAt(bytes, bit, width);
    at += length * width;
  }
  return numbers;
}

function littleEndian(bytes: Uint8Array, at: number, width: number): number {
  if (at + width > bytes.byteLength) throw badParquet('a run of numbers is cut off');
  let number = 0;
  for (let index = 0; index < width; index++) number += bytes[at + index]! * 2 ** (8 * index);
  return number;
}

function bitsAt(bytes: Uint8Array, start: number, width: number): number {
  let [number, taken] = [0, 0];
  while (taken < width) {
    const bit = start + taken;
    const piece = Math.min(8 - (bit & 7), width - taken);
    number += ((bytes[bit >> 3]! >> (bit & 7)) & ((1 << piece) - 1)) * 2 ** taken;
    taken += piece;
  }
  return number;
}
