/**
 * Arrow batch: from the body of a message to columns, without copying and without believing.
 *
 * apache-arrow trusts its input: offsets that run backwards, bodies shorter than their buffers or indices beyond their
 * dictionary give wrong values, or end the process, long after the request that brought them. So its reader never sees
 * these bytes. The columns are made here, as views of the body, and each buffer is measured against the rows first;
 * what apache-arrow gets is right by construction.
 *
 * A copy is made only of a buffer that is not aligned to its numbers, and of dictionaries and views (see plain.ts).
 *
 * Invariant: whatever a column made here is asked for, it reads inside its own buffers.
 */
import { isUtf8 } from 'node:buffer';
import { type Data, type DataType, type FixedSizeBinary, type FixedSizeList, RecordBatch, Struct } from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import { BATCH_BYTES_MAX, BATCH_ROWS_MAX } from '../base/limits.ts';
import type { ArrowMessage } from './arrow-message.ts';
import type { WireColumn, WireSchema } from './arrow-schema.ts';
import { isBitSet } from './bits.ts';
import { makeColumn } from './build.ts';
import { bitsOf, isLarge, kindOf, nameText } from './column-type.ts';
import type { FlatTable, FlatVector } from './flatbuffer.ts';
import { type Budget, batchBudget, gather, gatherBytes } from './plain.ts';

const BATCH = { length: 0, nodes: 1, buffers: 2, compression: 3, variadicCounts: 4 } as const;
const DICTIONARY = { id: 0, data: 1, isDelta: 2 } as const;
const NODE_BYTES = 16;
const BUFFER_BYTES = 16;

/** The columns of one stream or file, with the dictionaries that came so far. */
export class BatchReader {
  readonly wire: WireSchema;
  readonly #dictionaries = new Map<bigint, Data[]>();
  readonly #dictionaryColumns = new Map<bigint, WireColumn>();
  #dictionaryBytes = 0;

  constructor(wire: WireSchema) {
    this.wire = wire;
    this.#findDictionaries(wire.columns);
  }

  #findDictionaries(columns: readonly WireColumn[]): void {
    for (const column of columns) {
      if (column.dictionary !== null) this.#dictionaryColumns.set(column.dictionary.id, column);
      this.#findDictionaries(column.children);
    }
  }

  readBatch(message: ArrowMessage, body: Uint8Array): RecordBatch {
    const columns = new ColumnReader({ table: message.header, body, dictionaries: this.#dictionaries });
    const children = this.wire.columns.map((column) => columns.read(column, columns.rows));
    columns.requireEnd();
    const { schema } = this.wire;
    schema.fields.forEach((field, at) => {
      if (field.nullable || children[at]!.nullCount === 0) return;
      throw message.header.buffer.bad(`column ${nameText(field.name)} allows no null and has some`);
    });
    const struct = makeColumn({ type: new Struct(schema.fields), length: columns.rows, nullCount: 0, children });
    return new RecordBatch(schema, struct as Data<Struct>);
  }

  /** A dictionary replaces the one before it, or, as a delta, adds to it. */
  readDictionary(message: ArrowMessage, body: Uint8Array): void {
    const { header } = message;
    const id = header.id(DICTIONARY.id);
    const column = this.#dictionaryColumns.get(id);
    const table = header.table(DICTIONARY.data);
    if (column === undefined || table === null) throw header.buffer.bad(`no column has the dictionary ${id}`);
    const columns = new ColumnReader({ table, body, dictionaries: this.#dictionaries });
    const values = columns.read({ ...column, layout: 'plain', dictionary: null }, columns.rows);
    columns.requireEnd();
    const before = header.flag(DICTIONARY.isDelta) ? (this.#dictionaries.get(id) ?? []) : [];
    // A delta may be empty: chunks are counted too, for each costs memory beside its bytes.
    this.#dictionaryBytes += body.byteLength + CHUNK_BYTES;
    if (this.#dictionaryBytes > BATCH_BYTES_MAX) {
      throw new PolarisError('BATCH_TOO_LARGE', `${message.what}: dictionaries may have ${BATCH_BYTES_MAX} bytes.`);
    }
    this.#dictionaries.set(id, [...before, values]);
  }
}

/** What one chunk of a dictionary costs beside its bytes, generously; it also bounds their number to some thousands. */
const CHUNK_BYTES = 16 * 1024;

interface Source {
  readonly table: FlatTable;
  readonly body: Uint8Array;
  readonly dictionaries: ReadonlyMap<bigint, readonly Data[]>;
}

type Base = Parameters<typeof makeColumn>[0];

/** Walks nodes and buffers in the order of the columns, depth first, as the format wants them. */
class ColumnReader {
  readonly rows: number;
  readonly #table: FlatTable;
  readonly #body: Uint8Array;
  readonly #dictionaries: Source['dictionaries'];
  readonly #nodes: FlatVector;
  readonly #buffers: FlatVector;
  readonly #variadicCounts: FlatVector;
  readonly #budget: Budget = batchBudget();
  #node = 0;
  #buffer = 0;
  #variadic = 0;

  constructor({ table, body, dictionaries }: Source) {
    this.#table = table;
    this.#body = body;
    this.#dictionaries = dictionaries;
    if (table.table(BATCH.compression) !== null) {
      throw table.buffer.bad('its buffers are compressed (LZ4 or ZSTD); write it without compression');
    }
    this.rows = table.size(BATCH.length);
    if (this.rows > BATCH_ROWS_MAX) throw this.#bad(`it claims ${this.rows} rows; ${BATCH_ROWS_MAX} are allowed`);
    this.#nodes = table.vector(BATCH.nodes, NODE_BYTES);
    this.#buffers = table.vector(BATCH.buffers, BUFFER_BYTES);
    this.#variadicCounts = table.vector(BATCH.variadicCounts, 8);
  }

  #bad(why: string): PolarisError {
    return this.#table.buffer.bad(why);
  }

  requireEnd(): void {
    if (this.#node === this.#nodes.count && this.#buffer === this.#buffers.count) return;
    throw this.#bad('it has more columns than its schema');
  }

  /** A column of so many rows. */
  read(column: WireColumn, rows: number): Data {
    const data = this.#readAny(column);
    if (data.length === rows) return data;
    throw this.#bad(`column ${column.path} has ${data.length} rows where there should be ${rows}`);
  }

  /** A column inside another may have more rows than that one points to. */
  #readAtLeast(column: WireColumn, rows: number): Data {
    const data = this.#readAny(column);
    if (data.length >= rows) return data.length === rows ? data : data.slice(0, rows);
    throw this.#bad(`column ${column.path} has ${data.length} rows where there should be ${rows}`);
  }

  #readAny(column: WireColumn): Data {
    const { length, nullCount } = this.#nextNode(column);
    const { type } = column.field;
    if (kindOf(type) === 'null' && column.layout === 'plain') return makeColumn({ type, length, nullCount: length });
    const base = { length, ...this.#validity(column, length, nullCount) };
    if (column.layout === 'dictionary') return this.#dictionaryColumn(column, base);
    if (column.layout === 'view') return this.#viewColumn(column, base);
    return this.#plainColumn(column, { type, ...base });
  }

  #plainColumn(column: WireColumn, base: Base): Data {
    const { type, length } = base;
    switch (kindOf(type)) {
      case 'bool':
        return makeColumn({ ...base, data: this.#nextBytes(column, Math.ceil(length / 8)) });
      case 'utf8':
      case 'binary':
        return this.#byteStrings(column, base);
      case 'fixed-binary':
        return makeColumn({ ...base, data: this.#nextBytes(column, length * (type as FixedSizeBinary).byteWidth) });
      case 'list':
      case 'map':
        return this.#listColumn(column, base);
      case 'fixed-list': {
        const child = this.#readAtLeast(column.children[0]!, length * (type as FixedSizeList).listSize);
        return makeColumn({ ...base, child });
      }
      case 'struct':
        return makeColumn({ ...base, children: column.children.map((child) => this.#readAtLeast(child, length)) });
      default:
        return makeColumn({ ...base, data: this.#nextNumbers(column, type, length) });
    }
  }

  #nextNode(column: WireColumn): { length: number; nullCount: number } {
    if (this.#node >= this.#nodes.count) throw this.#bad(`column ${column.path} is missing`);
    const position = this.#nodes.position + NODE_BYTES * this.#node++;
    const { buffer } = this.#table;
    const length = buffer.size(position);
    const nullCount = buffer.size(position + 8);
    if (length > BATCH_ROWS_MAX || nullCount > length) {
      throw this.#bad(`column ${column.path} claims ${length} rows and ${nullCount} nulls`);
    }
    return { length, nullCount };
  }

  /** The next buffer, which must have at least so many bytes. */
  #nextBytes(column: WireColumn, bytes: number): Uint8Array {
    if (this.#buffer >= this.#buffers.count) throw this.#bad(`column ${column.path} lacks a buffer`);
    const position = this.#buffers.position + BUFFER_BYTES * this.#buffer++;
    const { buffer } = this.#table;
    const offset = buffer.size(position);
    const length = buffer.size(position + 8);
    if (offset + length > this.#body.byteLength) {
      throw this.#bad(
        `a buffer of column ${column.path} ends at ${offset + length}, its body at ${this.#body.byteLength}`,
      );
    }
    if (length < bytes) throw this.#bad(`a buffer of column ${column.path} has ${length} bytes and needs ${bytes}`);
    return this.#body.subarray(offset, offset + length);
  }

  #nextNumbers(column: WireColumn, type: DataType, length: number): ArrayBufferView {
    const bytes = this.#nextBytes(column, (length * bitsOf(type)) / 8);
    return asNumbers(type.ArrayType as NumbersConstructor, bytes.subarray(0, (length * bitsOf(type)) / 8));
  }

  #validity(column: WireColumn, length: number, nullCount: number): Pick<Base, 'nullCount' | 'nullBitmap'> {
    const bits = this.#nextBytes(column, nullCount === 0 ? 0 : Math.ceil(length / 8));
    // The count of a stranger is not believed: -1 lets it be counted when it is needed.
    return nullCount === 0 ? { nullCount: 0 } : { nullCount: -1, nullBitmap: bits };
  }

  /** Offsets into so many elements: never backwards, never outside. */
  #offsets(column: WireColumn, length: number): Int32Array | BigInt64Array {
    const large = isLarge(column.field.type);
    const bytes = this.#nextBytes(column, length === 0 ? 0 : (length + 1) * (large ? 8 : 4));
    // Writers may leave out the one offset of no rows.
    if (length === 0) return large ? new BigInt64Array(1) : new Int32Array(1);
    const own = bytes.subarray(0, (length + 1) * (large ? 8 : 4));
    return asNumbers((large ? BigInt64Array : Int32Array) as NumbersConstructor, own) as Int32Array | BigInt64Array;
  }

  #requireOffsets(column: WireColumn, offsets: Int32Array | BigInt64Array, end: number): void {
    let before: number | bigint = 0;
    for (const offset of offsets) {
      if (offset < before) throw this.#bad(`the offsets of column ${column.path} run backwards`);
      before = offset;
    }
    if (before > end) throw this.#bad(`the offsets of column ${column.path} run to ${before} of ${end}`);
  }

  #byteStrings(column: WireColumn, base: Base): Data {
    const valueOffsets = this.#offsets(column, base.length);
    const data = this.#nextBytes(column, 0);
    this.#requireOffsets(column, valueOffsets, data.byteLength);
    const made = makeColumn({ ...base, valueOffsets, data });
    if (kindOf(base.type) === 'utf8') this.#requireText(column, made);
    return made;
  }

  /** Text that is none would be altered on its way out, without a word. All at once first, for that is fast. */
  #requireText(column: WireColumn, data: Data): void {
    const { values, valueOffsets, length } = data;
    const [start, end] = [Number(valueOffsets[0]), Number(valueOffsets[length])];
    if (isUtf8(values.subarray(start, end)) && startsCharacters(values, valueOffsets, end)) return;
    for (let row = 0; row < length; row++) {
      const text = values.subarray(Number(valueOffsets[row]), Number(valueOffsets[row + 1]));
      if (isUtf8(text) || !data.getValid(row)) continue;
      throw this.#bad(`row ${row + 1} of column ${column.path} is not UTF-8`);
    }
  }

  #listColumn(column: WireColumn, base: Base): Data {
    const valueOffsets = this.#offsets(column, base.length);
    const child = this.#readAny(column.children[0]!);
    this.#requireOffsets(column, valueOffsets, child.length);
    return makeColumn({ ...base, valueOffsets, child });
  }

  #dictionaryColumn(column: WireColumn, base: Omit<Base, 'type'>): Data {
    const { id, indices: type } = column.dictionary!;
    const indices = makeColumn({ type, ...base, data: this.#nextNumbers(column, type, base.length) });
    const chunks = this.#dictionaries.get(id) ?? [];
    const count = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    for (let row = 0; row < base.length; row++) {
      const index = indices.values[row]!;
      if ((index >= 0 && index < count) || !indices.getValid(row)) continue;
      throw this.#bad(`row ${row + 1} of column ${column.path} is value ${index} of a dictionary of ${count}`);
    }
    return gather(column.field.type, { indices, chunks, budget: this.#budget });
  }

  #viewColumn(column: WireColumn, base: Omit<Base, 'type'>): Data {
    const views = this.#nextBytes(column, base.length * VIEW_BYTES);
    const buffers = Array.from({ length: this.#nextVariadicCount(column) }, () => this.#nextBytes(column, 0));
    const words = new DataView(views.buffer, views.byteOffset, views.byteLength);
    const { type } = column.field;
    const { nullBitmap } = base;
    const made = gatherBytes(type, {
      length: base.length,
      budget: this.#budget,
      bytesAt: (row) => {
        if (nullBitmap !== undefined && !isBitSet(nullBitmap, row)) return null;
        const length = words.getInt32(row * VIEW_BYTES, true);
        if (length >= 0 && length <= VIEW_INLINE_BYTES) return views.subarray(row * VIEW_BYTES + 4).subarray(0, length);
        const buffer = buffers[words.getInt32(row * VIEW_BYTES + 8, true)];
        const offset = words.getInt32(row * VIEW_BYTES + 12, true);
        if (buffer !== undefined && length > 0 && offset >= 0 && offset + length <= buffer.byteLength) {
          return buffer.subarray(offset, offset + length);
        }
        throw this.#bad(`row ${row + 1} of column ${column.path} lies outside its buffers`);
      },
    });
    if (kindOf(type) === 'utf8') this.#requireText(column, made);
    return made;
  }

  #nextVariadicCount(column: WireColumn): number {
    if (this.#variadic >= this.#variadicCounts.count)
      throw this.#bad(`column ${column.path} lacks its count of buffers`);
    const count = this.#table.buffer.size(this.#variadicCounts.position + 8 * this.#variadic++);
    if (count <= this.#buffers.count) return count;
    throw this.#bad(`column ${column.path} claims ${count} buffers of ${this.#buffers.count}`);
  }
}

const VIEW_BYTES = 16;
const VIEW_INLINE_BYTES = 12;

type Numbers = ArrayBufferView & ArrayLike<number | bigint> & Iterable<number | bigint>;
interface NumbersConstructor {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, offset: number, length: number): Numbers;
}

/** The bytes as numbers, in place where they are aligned. */
function asNumbers(Numbers: NumbersConstructor, bytes: Uint8Array): Numbers {
  const aligned = bytes.byteOffset % Numbers.BYTES_PER_ELEMENT === 0 ? bytes : bytes.slice();
  return new Numbers(aligned.buffer, aligned.byteOffset, aligned.byteLength / Numbers.BYTES_PER_ELEMENT);
}

/** Whether each text begins where a character does, given that all of them together are text. */
function startsCharacters(values: Uint8Array, offsets: Int32Array | BigInt64Array, end: number): boolean {
  for (const offset of offsets) {
    const at = Number(offset);
    if (at < end && (values[at]! & 0xc0) === 0x80) return false;
  }
  return true;
}
