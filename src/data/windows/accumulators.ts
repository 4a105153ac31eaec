/**
 * Accumulators: what a window remembers of its rows.
 *
 * Each is a number of values folded into one, and two of them combine into what one would be that had seen both. All are
 * exact, so that it never matters in which order or in how many parts the values came: integers are summed without a
 * bound, floats by ExactSum. A mean is its exact sum divided by its count and rounded once.
 *
 * Of NaN: a sum, mean, min or max in which one took part is NaN, and a min of 0 and -0 is -0.
 *
 * Invariants: `combine` is associative and commutative, and a new accumulator changes nothing · equal contents give
 * equal `saved` cells.
 */
import { type DataType, Field, Float64, Int32, Int64, Utf8 } from 'apache-arrow';
import { assert } from '../../base/assert.ts';
import { PolarisError } from '../../base/errors.ts';
import { type Cell, isFloatType, isIntegerType, isOrderedType } from './columns.ts';
import { ExactSum } from './exact-sum.ts';
import type { AggregateFunction } from './spec.ts';

export interface Accumulator {
  add(value: number | bigint): void;
  /** `other` is of the same kind. */
  combine(other: Accumulator): void;
  /** Null where no value took part. */
  result(): Cell;
  saved(): readonly Cell[];
}

export interface AccumulatorKind {
  /** Of the result. */
  readonly field: Field;
  /** Of a saved state; their names begin with that of the result. */
  readonly savedFields: readonly Field[];
  create(): Accumulator;
  /** Of cells that `saved` gave. @throws PolarisError BAD_WINDOWS when they are none. */
  restore(cells: readonly Cell[]): Accumulator;
}

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** `type` is that of the column, null for a count of rows. @throws PolarisError BAD_WINDOWS when they do not go together. */
export function accumulatorKind(fn: AggregateFunction, as: string, type: DataType | null): AccumulatorKind {
  if (fn === 'count' || type === null) return countKind(as);
  if (fn === 'min' || fn === 'max') {
    if (isOrderedType(type)) return extremeKind(fn, as, type);
  } else if (isIntegerType(type)) {
    return fn === 'sum' ? integerSumKind(as) : meanKind(as);
  } else if (isFloatType(type)) {
    return fn === 'sum' ? floatSumKind(as) : meanKind(as);
  }
  throw new PolarisError('BAD_WINDOWS', `aggregate "${as}": there is no ${fn} of ${type}; cast the column first`);
}

// ---- count ----

class Count implements Accumulator {
  #count: number;

  constructor(count: number) {
    this.#count = count;
  }

  add(): void {
    this.#count++;
  }

  combine(other: Accumulator): void {
    assert(other instanceof Count, 'like combines with like');
    this.#count += other.#count;
  }

  result(): Cell {
    return this.#count;
  }

  saved(): readonly Cell[] {
    return [this.#count];
  }
}

function countKind(as: string): AccumulatorKind {
  return {
    field: new Field(as, new Int64(), false),
    savedFields: [new Field(`${as}.count`, new Int64(), true)],
    create: () => new Count(0),
    restore: ([count]) => new Count(wholeOf(count)),
  };
}

// ---- sum of integers ----

class IntegerSum implements Accumulator {
  readonly #as: string;
  #sum: bigint | null;
  /** What was added since, as long as a number holds it exactly: BigInts are slow. */
  #near = 0;

  constructor(as: string, sum: bigint | null) {
    this.#as = as;
    this.#sum = sum;
  }

  add(value: number | bigint): void {
    this.#sum ??= 0n;
    if (typeof value === 'bigint') {
      this.#sum += value;
      return;
    }
    // Columns of numbers have 32 bits, so that this stays far from where numbers lose integers.
    this.#near += value;
    if (Math.abs(this.#near) >= 2 ** 52) this.#settle();
  }

  combine(other: Accumulator): void {
    assert(other instanceof IntegerSum, 'like combines with like');
    const theirs = other.#settle();
    if (theirs !== null) this.#sum = (this.#sum ?? 0n) + theirs;
  }

  result(): Cell {
    const sum = this.#settle();
    if (sum === null || (sum >= INT64_MIN && sum <= INT64_MAX)) return sum;
    throw new PolarisError('SUM_OVERFLOW', `the sum "${this.#as}" is ${sum}, which does not fit into 64 bits`);
  }

  saved(): readonly Cell[] {
    const sum = this.#settle();
    return [sum === null ? null : String(sum)];
  }

  #settle(): bigint | null {
    if (this.#sum === null) return null;
    this.#sum += BigInt(this.#near);
    this.#near = 0;
    return this.#sum;
  }
}

function integerSumKind(as: string): AccumulatorKind {
  return {
    field: new Field(as, new Int64(), true),
    // As text: on its way to a result that fits, a sum may be larger than any integer type of Arrow.
    savedFields: [new Field(`${as}.sum`, new Utf8(), true)],
    create: () => new IntegerSum(as, null),
    restore: ([sum]) => new IntegerSum(as, sum === null ? null : bigintOf(sum)),
  };
}

// ---- sum and mean of floats, mean of integers ----

/** Both: how many took part, and their exact sum. */
class Moments implements Accumulator {
  readonly #result: 'sum' | 'mean';
  readonly #sum: ExactSum;
  #count: number;

  constructor(result: 'sum' | 'mean', count: number, sum: ExactSum) {
    this.#result = result;
    this.#count = count;
    this.#sum = sum;
  }

  add(value: number | bigint): void {
    this.#count++;
    if (typeof value === 'bigint') this.#sum.addInteger(value);
    else this.#sum.add(value);
  }

  combine(other: Accumulator): void {
    assert(other instanceof Moments, 'like combines with like');
    this.#count += other.#count;
    this.#sum.combine(other.#sum);
  }

  result(): Cell {
    if (this.#count === 0) return null;
    return this.#result === 'sum' ? this.#sum.value() : this.#sum.dividedBy(this.#count);
  }

  saved(): readonly Cell[] {
    const { mantissa, exponent, special } = this.#sum.parts();
    return [this.#count, String(mantissa), exponent, special];
  }
}

function momentsKind(as: string, result: 'sum' | 'mean'): AccumulatorKind {
  return {
    field: new Field(as, new Float64(), true),
    savedFields: [
      new Field(`${as}.count`, new Int64(), true),
      new Field(`${as}.mantissa`, new Utf8(), true),
      new Field(`${as}.exponent`, new Int32(), true),
      new Field(`${as}.special`, new Int32(), true),
    ],
    create: () => new Moments(result, 0, new ExactSum()),
    restore: ([count, mantissa, exponent, special]) => {
      const parts = { mantissa: bigintOf(mantissa), exponent: wholeOf(exponent), special: wholeOf(special) };
      return new Moments(result, wholeOf(count), ExactSum.of(parts));
    },
  };
}

function floatSumKind(as: string): AccumulatorKind {
  return momentsKind(as, 'sum');
}

function meanKind(as: string): AccumulatorKind {
  return momentsKind(as, 'mean');
}

// ---- min and max ----

class Extreme implements Accumulator {
  readonly #fn: 'min' | 'max';
  #value: number | bigint | null;

  constructor(fn: 'min' | 'max', value: number | bigint | null) {
    this.#fn = fn;
    this.#value = value;
  }

  add(value: number | bigint): void {
    const mine = this.#value;
    if (mine === null) this.#value = value;
    // Math knows that -0 lies below 0, and lets NaN win from either side.
    else if (typeof value === 'number') this.#value = Math[this.#fn](Number(mine), value);
    else if (this.#fn === 'min' ? value < mine : value > mine) this.#value = value;
  }

  combine(other: Accumulator): void {
    assert(other instanceof Extreme, 'like combines with like');
    if (other.#value !== null) this.add(other.#value);
  }

  result(): Cell {
    return this.#value;
  }

  saved(): readonly Cell[] {
    return [this.#value];
  }
}

function extremeKind(fn: 'min' | 'max', as: string, type: DataType): AccumulatorKind {
  return {
    field: new Field(as, type, true),
    savedFields: [new Field(`${as}.${fn}`, type, true)],
    create: () => new Extreme(fn, null),
    restore: ([value]) => {
      if (value === null || typeof value === 'number' || typeof value === 'bigint') return new Extreme(fn, value);
      throw badState();
    },
  };
}

// ---- what a saved state holds ----

/** A count or an index of a saved state. */
export function wholeOf(cell: Cell | undefined): number {
  const whole = typeof cell === 'bigint' ? Number(cell) : cell;
  if (typeof whole === 'number' && Number.isSafeInteger(whole)) return whole;
  throw badState();
}

function bigintOf(cell: Cell | undefined): bigint {
  if (typeof cell === 'string' && /^-?[0-9]+$/.test(cell)) return BigInt(cell);
  throw badState();
}

export function badState(): PolarisError {
  return new PolarisError('BAD_WINDOWS', 'the saved state is none, or was damaged');
}
