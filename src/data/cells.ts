/**
 * Cells: what a piece of text means in a column of a type, and which type a column of texts has.
 *
 * A type is inferred only where the text could be written back: `007` and `+1` are texts, for as numbers they would lose
 * a character; so is an integer beyond 64 bits. Whoever knows better gives the types.
 */
import { Bool, type DataType, Float64, Int64, Utf8 } from 'apache-arrow';
import { PolarisError } from '../base/errors.ts';
import { CELL_SHOWN_MAX } from '../base/limits.ts';

export const CELL_TYPES = ['int64', 'float64', 'bool', 'utf8'] as const;
export type CellType = (typeof CELL_TYPES)[number];
/** Types that the sender of a table knows, by column. */
export type GivenTypes = Readonly<Record<string, CellType>>;

export function cellDataType(type: CellType): DataType {
  switch (type) {
    case 'int64':
      return new Int64();
    case 'float64':
      return new Float64();
    case 'bool':
      return new Bool();
    case 'utf8':
      return new Utf8();
  }
}

export function givenType(types: GivenTypes, column: string): CellType | undefined {
  return Object.hasOwn(types, column) ? types[column] : undefined;
}

const INTEGER = /^-?(0|[1-9]\d{0,18})$/;
const FLOAT = /^-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const LEADING_ZERO = /^-?0\d/;
const BOOL = /^(true|false)$/i;
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

export function isInt64(value: bigint): boolean {
  return value >= INT64_MIN && value <= INT64_MAX;
}

/** Floats without digits, as most writers spell them. */
function floatByName(text: string): number | undefined {
  switch (text.toLowerCase()) {
    case 'nan':
      return Number.NaN;
    case 'infinity':
    case 'inf':
      return Infinity;
    case '-infinity':
    case '-inf':
      return -Infinity;
    default:
      return undefined;
  }
}

/** The value; `null` for an empty cell that holds no text; `undefined` where the text is no such value. */
export function parseCell(type: CellType, text: string): string | bigint | number | boolean | null | undefined {
  if (type === 'utf8') return text;
  if (text === '') return null;
  switch (type) {
    case 'int64':
      return parseInt64(text);
    case 'float64':
      return FLOAT.test(text) ? Number(text) : floatByName(text);
    case 'bool':
      return BOOL.test(text) ? text.length === 'true'.length : undefined;
  }
}

function parseInt64(text: string): bigint | undefined {
  // A given type reads what inference leaves alone: leading zeros and a plus.
  if (!/^[+-]?\d{1,40}$/.test(text)) return undefined;
  const value = BigInt(text.startsWith('+') ? text.slice(1) : text);
  return isInt64(value) ? value : undefined;
}

/** The narrowest type that all texts fit; `utf8` where there is none but empty ones. */
export function inferCells(texts: readonly string[]): CellType {
  const some = texts.filter((text) => text !== '');
  if (some.length === 0) return 'utf8';
  if (some.every((text) => BOOL.test(text))) return 'bool';
  if (some.every((text) => INTEGER.test(text) && text !== '-0' && isInt64(BigInt(text)))) return 'int64';
  return some.every(isPlainFloat) ? 'float64' : 'utf8';
}

/** An integer beyond 64 bits would lose digits as a float, and is left a text. */
function isPlainFloat(text: string): boolean {
  if (INTEGER.test(text)) return isInt64(BigInt(text));
  if (floatByName(text) !== undefined) return true;
  return FLOAT.test(text) && !LEADING_ZERO.test(text) && !/^-?\d{20,}$/.test(text);
}

interface Misfit {
  readonly line: number;
  readonly column: string;
  readonly cell: string;
  readonly type: string;
}

/** Names the place, and the way out. */
export function misfit({ line, column, cell, type }: Misfit): PolarisError {
  const hint = `types: { ${JSON.stringify(column)}: 'utf8' }`;
  const said = `${shown(cell)} is no ${type}`;
  return new PolarisError('BAD_DATA', `Line ${line}, column ${shown(column)}: ${said}; give the type with ${hint}.`);
}

/** Quoted, and cut where it is long. */
export function shown(text: string): string {
  return JSON.stringify(text.length > CELL_SHOWN_MAX ? `${text.slice(0, CELL_SHOWN_MAX)}…` : text);
}
