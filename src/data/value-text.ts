/**
 * Value text: values of each type as people and other programs write them, without a digit lost.
 *
 * Times are ISO 8601 with as many digits as their unit has; a timestamp with a zone is an instant and ends in `Z`, one
 * without is what a clock on the wall shows. Decimals have their digits, bytes are base64, durations are a whole number of
 * their unit. Nothing goes through `Date`, which has no nanoseconds and ends in the year 275,760.
 */
import type { DataType, Decimal, Timestamp } from 'apache-arrow';
import { bitsOf, kindOf, type Unit, unitOf } from './column-type.ts';
import type { Value } from './values.ts';

const PER_SECOND: Readonly<Record<Unit, bigint>> = { s: 1n, ms: 1_000n, us: 1_000_000n, ns: 1_000_000_000n };
const FRACTION_DIGITS: Readonly<Record<Unit, number>> = { s: 0, ms: 3, us: 6, ns: 9 };
const DAY_SECONDS = 86_400n;
const DAY_MS = 86_400_000n;

/** For types whose text is neither a number nor a text of their own; `null` for the others. */
export function textOf(type: DataType): ((value: Value) => string) | null {
  switch (kindOf(type)) {
    case 'decimal':
      return (value) => decimalText(value as bigint, (type as Decimal).scale);
    case 'date':
      return bitsOf(type) === 32
        ? (days) => dateText(days as number)
        : (ms) => dateText(Number(floor(ms as bigint, DAY_MS)));
    case 'time':
      return (value) => clockText(BigInt(value as number | bigint), unitOf(type));
    case 'timestamp': {
      const zone = (type as Timestamp).timezone ? 'Z' : '';
      return (value) => `${timestampText(value as bigint, unitOf(type))}${zone}`;
    }
    case 'binary':
    case 'fixed-binary':
      return (value) => base64(value as Uint8Array);
    default:
      return null;
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}

function decimalText(value: bigint, scale: number): string {
  if (scale <= 0) return (value * 10n ** BigInt(-scale)).toString();
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0');
  return `${value < 0n ? '-' : ''}${digits.slice(0, -scale)}.${digits.slice(-scale)}`;
}

function timestampText(value: bigint, unit: Unit): string {
  const perDay = DAY_SECONDS * PER_SECOND[unit];
  const days = floor(value, perDay);
  return `${dateText(Number(days))}T${clockText(value - days * perDay, unit)}`;
}

/** Of a time since midnight. */
function clockText(time: bigint, unit: Unit): string {
  const seconds = Number(floor(time, PER_SECOND[unit]));
  const fraction = time - floor(time, PER_SECOND[unit]) * PER_SECOND[unit];
  const two = (part: number) => part.toString().padStart(2, '0');
  const clock = `${two(Math.floor(seconds / 3_600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  const digits = FRACTION_DIGITS[unit];
  return digits === 0 ? clock : `${clock}.${fraction.toString().padStart(digits, '0')}`;
}

function floor(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value % by < 0n ? quotient - 1n : quotient;
}

const ERA_DAYS = 146_097;
/** From 1 March of the year 0, where the count of eras begins, to 1 January 1970. */
const EPOCH_DAYS = 719_468;

/** Days since 1970 in the calendar of Gregory, which repeats every 400 years; years begin in March, so leap days end them. */
function dateText(epochDays: number): string {
  const days = epochDays + EPOCH_DAYS;
  const era = Math.floor(days / ERA_DAYS);
  const dayOfEra = days - era * ERA_DAYS;
  const leaps = Math.floor(dayOfEra / 1_460) - Math.floor(dayOfEra / 36_524) + Math.floor(dayOfEra / 146_096);
  const yearOfEra = Math.floor((dayOfEra - leaps) / 365);
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const month = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * month + 2) / 5) + 1;
  const year = yearOfEra + era * 400 + (month >= 10 ? 1 : 0);
  const two = (part: number) => part.toString().padStart(2, '0');
  return `${yearText(year)}-${two(month >= 10 ? month - 9 : month + 3)}-${two(day)}`;
}

/** Years beyond four digits have a sign and at least six, as ISO 8601 allows. */
function yearText(year: number): string {
  if (year >= 0 && year <= 9_999) return year.toString().padStart(4, '0');
  return `${year < 0 ? '-' : '+'}${Math.abs(year).toString().padStart(6, '0')}`;
}
