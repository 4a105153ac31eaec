/**
 * ExactSum: the sum of any number of floats, without an error and therefore without an order.
 *
 * Adding floats one by one rounds at each step, so that two ways to cut the same rows into batches give two sums. Here
 * nothing is rounded until somebody asks: a float is an integer times a power of two, and so is every sum of floats. The sum
 * is kept as such a pair, exactly, and rounded once, to the nearest float and on a tie to the even one. The integer has the
 * bits between the largest and the smallest float that took part: two words where prices are added, 2,100 bits at worst.
 *
 * Invariants: equal multisets give equal sums, bit by bit · `combine` is associative and commutative.
 */
import { assert } from '../../base/assert.ts';

/** Bits of `special`. */
const NOT_A_NUMBER = 1;
const PLUS_INFINITY = 2;
const MINUS_INFINITY = 4;

const SIGNIFICANT_BITS = 53;
/** The smallest float above zero is 2 to this. */
const EXPONENT_MIN = -1_074;
const EXPONENT_MAX = 1_023;

const scratch = new DataView(new ArrayBuffer(8));

/** `mantissa · 2^exponent`, and which of the values were no finite numbers. */
export interface ExactParts {
  readonly mantissa: bigint;
  readonly exponent: number;
  readonly special: number;
}

export class ExactSum {
  #mantissa = 0n;
  #exponent = 0;
  #special = 0;

  static of({ mantissa, exponent, special }: ExactParts): ExactSum {
    const sum = new ExactSum();
    sum.#mantissa = mantissa;
    sum.#exponent = exponent;
    sum.#special = special;
    return sum;
  }

  add(value: number): void {
    if (Number.isSafeInteger(value)) return this.#add(BigInt(value), 0);
    scratch.setFloat64(0, value);
    const high = scratch.getUint32(0);
    const biased = (high >>> 20) & 0x7ff;
    if (biased === 0x7ff) {
      this.#special |= Number.isNaN(value) ? NOT_A_NUMBER : value > 0 ? PLUS_INFINITY : MINUS_INFINITY;
      return;
    }
    const fraction = (high & 0xfffff) * 2 ** 32 + scratch.getUint32(4) + (biased === 0 ? 0 : 2 ** 52);
    this.#add(BigInt(value < 0 ? -fraction : fraction), Math.max(biased, 1) - 1_075);
  }

  addInteger(value: bigint): void {
    this.#add(value, 0);
  }

  combine(other: ExactSum): void {
    this.#add(other.#mantissa, other.#exponent);
    this.#special |= other.#special;
  }

  /** The nearest float; NaN and infinities as if they had been added one by one. */
  value(): number {
    return this.dividedBy(1);
  }

  /** The float that is nearest to the sum divided by a count: rounded once, not twice. */
  dividedBy(count: number): number {
    assert(Number.isSafeInteger(count) && count > 0, 'a sum is divided by how many took part');
    const both = PLUS_INFINITY | MINUS_INFINITY;
    if ((this.#special & NOT_A_NUMBER) !== 0 || (this.#special & both) === both) return Number.NaN;
    if (this.#special !== 0)
      return this.#special === PLUS_INFINITY ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
    const magnitude = this.#mantissa < 0n ? -this.#mantissa : this.#mantissa;
    const rounded = quotient(magnitude, this.#exponent, BigInt(count));
    return this.#mantissa < 0n ? -rounded : rounded;
  }

  /** Canonical: the mantissa is odd, or all is zero. */
  parts(): ExactParts {
    const special = this.#special;
    if (this.#mantissa === 0n) return { mantissa: 0n, exponent: 0, special };
    const text = this.#mantissa.toString(2);
    const zeros = text.length - 1 - text.lastIndexOf('1');
    return { mantissa: this.#mantissa >> BigInt(zeros), exponent: this.#exponent + zeros, special };
  }

  #add(mantissa: bigint, exponent: number): void {
    if (mantissa === 0n) return;
    if (exponent < this.#exponent) {
      this.#mantissa <<= BigInt(this.#exponent - exponent);
      this.#exponent = exponent;
    }
    this.#mantissa += exponent === this.#exponent ? mantissa : mantissa << BigInt(exponent - this.#exponent);
  }
}

/** `magnitude · 2^exponent / count`, rounded to a float. */
function quotient(magnitude: bigint, exponent: number, count: bigint): number {
  if (magnitude === 0n) return 0;
  if (count === 1n) return toFloat(magnitude, exponent);
  // Enough bits that the quotient has more than a float can keep; its rest becomes one more bit, which breaks ties.
  const shift = bitLength(count) + SIGNIFICANT_BITS + 2;
  const scaled = magnitude << BigInt(shift);
  const whole = scaled / count;
  return toFloat((whole << 1n) | (whole * count === scaled ? 0n : 1n), exponent - shift - 1);
}

function toFloat(magnitude: bigint, exponent: number): number {
  const bits = bitLength(magnitude);
  // Near zero a float has fewer significant bits: none of them lies below the smallest float.
  const kept = Math.min(SIGNIFICANT_BITS, bits + exponent - EXPONENT_MIN);
  const cut = bits - kept;
  if (cut <= 0) return Number(magnitude) * powerOfTwo(exponent);
  if (kept < 0) return 0;
  const top = magnitude >> BigInt(cut);
  const rest = magnitude - (top << BigInt(cut));
  const half = 1n << BigInt(cut - 1);
  const up = rest > half || (rest === half && (top & 1n) === 1n);
  return Number(up ? top + 1n : top) * powerOfTwo(exponent + cut);
}

function bitLength(magnitude: bigint): number {
  return magnitude.toString(2).length;
}

/** Exact, also among the smallest floats, which `Math.pow` does not promise. */
function powerOfTwo(exponent: number): number {
  assert(exponent >= EXPONENT_MIN, 'no float is finer than the smallest one');
  if (exponent > EXPONENT_MAX) return Number.POSITIVE_INFINITY;
  if (exponent >= EXPONENT_MIN + SIGNIFICANT_BITS - 1) scratch.setBigUint64(0, BigInt(exponent + EXPONENT_MAX) << 52n);
  else scratch.setBigUint64(0, 1n << BigInt(exponent - EXPONENT_MIN));
  return scratch.getFloat64(0);
}
