/**
 * Thrift check: walks a compact thrift struct before hyparquet makes objects of it.
 *
 * Its decoder makes an array of whatever length a list claims. Some hundred bytes of lists in lists, each claiming
 * millions, take all the memory there is. Here each claim is held against the bytes that are left.
 */
import { PolarisError } from '../base/errors.ts';
import { PARQUET_FOOTER_STRUCTS_MAX } from '../base/limits.ts';

const DEPTH_MAX = 32;
const DOUBLE_BYTES = 8;

/** Throws unless a whole struct begins here; returns where it ends. */
export function checkThrift(bytes: Uint8Array, start = 0): number {
  const walk = new Walk(bytes, start);
  walk.struct(1);
  return walk.at;
}

class Walk {
  readonly #bytes: Uint8Array;
  at: number;
  #structs = 0;

  constructor(bytes: Uint8Array, start: number) {
    this.#bytes = bytes;
    this.at = start;
  }

  struct(depth: number): void {
    this.#structs++;
    if (depth > DEPTH_MAX || this.#structs > PARQUET_FOOTER_STRUCTS_MAX) throw bad('has too many structs');
    for (;;) {
      const head = this.#byte();
      if ((head & 0x0f) === 0) return;
      // Without a step from the field before, the number of the field follows.
      if (head >> 4 === 0) this.#varint();
      this.#value(head & 0x0f, depth);
    }
  }

  #value(type: number, depth: number): void {
    switch (type) {
      case 1:
      case 2:
        return;
      case 3:
        this.#skip(1);
        return;
      case 4:
      case 5:
      case 6:
        this.#varint();
        return;
      case 7:
        this.#skip(DOUBLE_BYTES);
        return;
      case 8:
        this.#skip(this.#varint());
        return;
      case 9:
        this.#list(depth);
        return;
      case 12:
        this.struct(depth + 1);
        return;
      default:
        throw bad(`has a field of the unknown type ${type}`);
    }
  }

  #list(depth: number): void {
    const head = this.#byte();
    const count = head >> 4 === 15 ? this.#varint() : head >> 4;
    const type = head & 0x0f;
    if (depth >= DEPTH_MAX || count > this.#bytes.byteLength - this.at) throw bad(`has a list of ${count} elements`);
    // Each element takes a byte at least, so that the list is no longer than what is left.
    for (let index = 0; index < count; index++) {
      if (type <= 2) this.#skip(1);
      else this.#value(type, depth + 1);
    }
  }

  #varint(): number {
    let value = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw bad('has a number without end');
  }

  #byte(): number {
    const byte = this.#bytes[this.at++];
    if (byte === undefined) throw bad('is cut off');
    return byte;
  }

  #skip(bytes: number): void {
    if (bytes > this.#bytes.byteLength - this.at) throw bad('is cut off');
    this.at += bytes;
  }
}

function bad(why: string): PolarisError {
  return new PolarisError('BAD_DATA', `Parquet: its metadata ${why}.`);
}
