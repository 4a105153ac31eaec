/**
 * Flatbuffer: reading the metadata of Arrow messages that a stranger wrote.
 *
 * A flatbuffer is a heap of tables that point to each other, and the usual accessors follow any pointer: a wrong one
 * reads as zeros, a count of two thousand million is looped over, and a table that contains itself has no end. Here
 * every step is checked against the bytes that are there before it is made, and texts draw on a budget, since
 * thousands of fields may name the same one.
 *
 * Invariants: no read outside the buffer · a vector is never longer than the buffer could hold · work and memory are
 * linear in the bytes, if the caller bounds the tables that it visits.
 */
import { PolarisError } from '../base/errors.ts';

/** A slot of a table is found through the table of offsets before it. */
const SOFFSET_BYTES = 4;
/** A text may be shared by many fields, as names of list elements are. */
const TEXT_SHARES_MAX = 4;

export class FlatBuffer {
  readonly view: DataView;
  readonly #bytes: Uint8Array;
  /** What this is the metadata of, for errors. */
  readonly what: string;
  #textBytesLeft: number;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.what = what;
    this.#textBytesLeft = bytes.byteLength * TEXT_SHARES_MAX;
  }

  get root(): FlatTable {
    return new FlatTable(this, this.follow(0));
  }

  require(position: number, length: number): void {
    if (position >= 0 && length >= 0 && position + length <= this.#bytes.byteLength) return;
    throw this.bad(`its metadata points outside itself, to byte ${position} of ${this.#bytes.byteLength}`);
  }

  /** Where the relative pointer at this position leads. */
  follow(position: number): number {
    this.require(position, SOFFSET_BYTES);
    return position + this.view.getUint32(position, true);
  }

  text(position: number): string {
    this.require(position, SOFFSET_BYTES);
    const length = this.view.getUint32(position, true);
    this.require(position + SOFFSET_BYTES, length);
    this.#textBytesLeft -= length;
    if (this.#textBytesLeft < 0) throw this.bad('its texts overlap');
    const start = position + SOFFSET_BYTES;
    return Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + start, length).toString('utf8');
  }

  /** A 64-bit integer that must be a size or a place. */
  size(position: number): number {
    this.require(position, 8);
    const value = this.view.getBigInt64(position, true);
    if (value >= 0n && value <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(value);
    throw this.bad(`it claims a length of ${value}`);
  }

  bad(why: string): PolarisError {
    return new PolarisError('BAD_ARROW', `${this.what}: ${why}.`);
  }
}

export interface FlatVector {
  readonly position: number;
  readonly count: number;
}

export class FlatTable {
  readonly buffer: FlatBuffer;
  readonly #position: number;
  readonly #slots: number;
  readonly #slotBytes: number;

  constructor(buffer: FlatBuffer, position: number) {
    this.buffer = buffer;
    this.#position = position;
    buffer.require(position, SOFFSET_BYTES);
    this.#slots = position - buffer.view.getInt32(position, true);
    buffer.require(this.#slots, 4);
    this.#slotBytes = buffer.view.getUint16(this.#slots, true);
    buffer.require(this.#slots, this.#slotBytes);
  }

  /** Position of a field of so many bytes; `null` where it has its default. */
  #field(slot: number, bytes: number): number | null {
    const at = 4 + 2 * slot;
    if (at + 2 > this.#slotBytes) return null;
    const offset = this.buffer.view.getUint16(this.#slots + at, true);
    if (offset === 0) return null;
    this.buffer.require(this.#position + offset, bytes);
    return this.#position + offset;
  }

  byte(slot: number): number {
    const position = this.#field(slot, 1);
    return position === null ? 0 : this.buffer.view.getUint8(position);
  }

  flag(slot: number): boolean {
    return this.byte(slot) !== 0;
  }

  short(slot: number, missing = 0): number {
    const position = this.#field(slot, 2);
    return position === null ? missing : this.buffer.view.getInt16(position, true);
  }

  int(slot: number, missing = 0): number {
    const position = this.#field(slot, 4);
    return position === null ? missing : this.buffer.view.getInt32(position, true);
  }

  size(slot: number): number {
    const position = this.#field(slot, 8);
    return position === null ? 0 : this.buffer.size(position);
  }

  /** A 64-bit integer that means nothing but itself. */
  id(slot: number): bigint {
    const position = this.#field(slot, 8);
    return position === null ? 0n : this.buffer.view.getBigInt64(position, true);
  }

  text(slot: number): string | null {
    const position = this.#field(slot, 4);
    return position === null ? null : this.buffer.text(this.buffer.follow(position));
  }

  table(slot: number): FlatTable | null {
    const position = this.#field(slot, 4);
    return position === null ? null : new FlatTable(this.buffer, this.buffer.follow(position));
  }

  /** A vector of elements of so many bytes each, all of them inside the buffer. */
  vector(slot: number, elementBytes: number): FlatVector {
    const field = this.#field(slot, 4);
    if (field === null) return { position: 0, count: 0 };
    const position = this.buffer.follow(field);
    this.buffer.require(position, 4);
    const count = this.buffer.view.getUint32(position, true);
    this.buffer.require(position + 4, count * elementBytes);
    return { position: position + 4, count };
  }

  *tables(slot: number): Generator<FlatTable> {
    const { position, count } = this.vector(slot, 4);
    for (let at = 0; at < count; at++) yield new FlatTable(this.buffer, this.buffer.follow(position + 4 * at));
  }
}
