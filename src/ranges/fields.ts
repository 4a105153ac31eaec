/**
 * Fields: reads a positional array of untrusted values one by one, each against its bounds.
 *
 * The log and its snapshots are arrays in arrays: a map would bring its insertion order and its `__proto__` along. What
 * is read here passed a checksum, so a field that does not fit means a damaged disk or a foreign version, and the node
 * must not guess.
 */
import { Packr, Unpackr } from 'msgpackr';
import { errorText, PolarisError } from '../base/errors.ts';
import type { Point } from '../base/types.ts';
import { isWellFormed } from './text.ts';

export type Packed = null | number | string | readonly Packed[];

// No records: their definitions would make the bytes of a value hang on what was packed before it.
const packr = new Packr({ useRecords: false });
const unpackr = new Unpackr({ useRecords: false });

/** The same value gives the same bytes, in a buffer of its own. */
export function packFields(value: Packed): Uint8Array {
  return new Uint8Array(packr.pack(value));
}

/** @throws PolarisError LOG_DAMAGED */
export function unpackFields(bytes: Uint8Array, what: string): Fields {
  let value: unknown;
  try {
    // msgpackr hangs a DataView on the array it is given; this one is thrown away, the caller's is kept for long.
    value = unpackr.unpack(bytes.subarray());
  } catch (cause) {
    throw new PolarisError('LOG_DAMAGED', `${what} cannot be unpacked: ${errorText(cause)}`, { cause });
  }
  return new Fields(value, what);
}

export class Fields {
  readonly #values: readonly unknown[];
  readonly #what: string;
  #position = 0;

  constructor(values: unknown, what: string) {
    this.#what = what;
    if (!Array.isArray(values)) this.fail('is no list');
    this.#values = values as readonly unknown[];
  }

  integer(min: number, max: number): number {
    const value = this.#next();
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
      this.fail(`has no integer from ${min} to ${max} in field ${this.#position}`);
    }
    return value;
  }

  /** Log indexes, epochs, counts and stamps. */
  natural(): number {
    return this.integer(0, Number.MAX_SAFE_INTEGER);
  }

  point(): Point {
    return this.integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
  }

  text(lengthMin: number, lengthMax: number): string {
    const value = this.#next();
    if (typeof value !== 'string' || value.length < lengthMin || value.length > lengthMax || !isWellFormed(value)) {
      this.fail(`has no text of ${lengthMin} to ${lengthMax} characters in field ${this.#position}`);
    }
    return value;
  }

  /** One of a few names, written as its place among them; names are only ever added at the end. */
  choice<T extends string>(names: readonly T[]): T {
    return names[this.integer(0, names.length - 1)]!;
  }

  nullable<T>(read: (fields: Fields) => T): T | null {
    if (this.#values[this.#position] !== null) return read(this);
    this.#position += 1;
    return null;
  }

  /** A positional array in this one. */
  nested<T>(what: string, read: (fields: Fields) => T): T {
    return readAll(this.#next(), what, read);
  }

  /** A list of plain values, at most `countMax` long; `read` takes one of them. */
  items<T>(countMax: number, what: string, read: (fields: Fields) => T): T[] {
    return this.nested(what, (some) => {
      if (some.#values.length > countMax) some.fail(`has ${some.#values.length} items, more than ${countMax}`);
      return some.#values.map(() => read(some));
    });
  }

  /** A list of positional arrays, at most `countMax` long. */
  list<T>(countMax: number, what: string, read: (fields: Fields) => T): T[] {
    const value = this.#next();
    if (!Array.isArray(value) || value.length > countMax) {
      this.fail(`has no list of at most ${countMax} in field ${this.#position}`);
    }
    return value.map((item) => readAll(item, what, read));
  }

  /** The list must end here. */
  close(): void {
    if (this.#position !== this.#values.length) this.fail(`has ${this.#values.length} fields, not ${this.#position}`);
  }

  fail(complaint: string): never {
    throw new PolarisError('LOG_DAMAGED', `${this.#what} ${complaint}`);
  }

  #next(): unknown {
    if (this.#position >= this.#values.length) this.fail(`ends after ${this.#values.length} fields`);
    return this.#values[this.#position++];
  }
}

function readAll<T>(value: unknown, what: string, read: (fields: Fields) => T): T {
  const fields = new Fields(value, what);
  const result = read(fields);
  fields.close();
  return result;
}
