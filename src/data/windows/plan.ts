/**
 * Plan: a description of windows, held against the columns that are there, as the engine needs it.
 *
 * Invariant: whatever can be wrong with a description is found before the first row, and names the column.
 */
import { Bool, DataType, Field, Schema, TimestampMillisecond } from 'apache-arrow';
import { PolarisError } from '../../base/errors.ts';
import { WINDOW_COLUMNS_MAX, WINDOW_MS_MAX, WINDOWS_OPEN_MAX, WINDOWS_PER_ROW_MAX } from '../../base/limits.ts';
import { type AccumulatorKind, accumulatorKind } from './accumulators.ts';
import { isKeyType, isTimeType, plainType } from './columns.ts';
import {
  AGGREGATE_FUNCTIONS,
  type Aggregate,
  type AggregateFunction,
  LATE_POLICIES,
  type LatePolicy,
  type WindowShape,
  type WindowsSpec,
} from './spec.ts';

export interface PlannedAggregate {
  readonly fn: AggregateFunction;
  readonly column: string | null;
  readonly kind: AccumulatorKind;
}

/** A description that fits a schema. */
export interface WindowsPlan {
  readonly time: string;
  readonly keys: readonly string[];
  readonly shape: WindowShape;
  readonly aggregates: readonly PlannedAggregate[];
  readonly latenessMs: number;
  readonly late: LatePolicy;
  readonly openMax: number;
  /** Columns that every batch must have, with their types. */
  readonly types: ReadonlyMap<string, DataType>;
  readonly keyFields: readonly Field[];
  readonly output: Schema;
  /** Text that is the same if and only if the results are: states are only exchanged under equal ones. */
  readonly identity: string;
}

/** @throws PolarisError BAD_WINDOWS, with what is wrong. */
export function planWindows(spec: WindowsSpec, schema: Schema): WindowsPlan {
  const { time, keys = [], window: shape, allowedLatenessMs: latenessMs = 0, late = 'drop' } = spec;
  const openMax = spec.openMax ?? WINDOWS_OPEN_MAX;
  checkShape(shape);
  check(isWhole(latenessMs, 0, WINDOW_MS_MAX), `allowedLatenessMs must be 0 to ${WINDOW_MS_MAX}, not ${latenessMs}`);
  check(LATE_POLICIES.includes(late), `late must be one of ${LATE_POLICIES.join(', ')}, not "${late}"`);
  check(isWhole(openMax, 1, WINDOWS_OPEN_MAX), `openMax must be 1 to ${WINDOWS_OPEN_MAX}, not ${openMax}`);
  checkCount('keys', keys.length, 0);
  checkCount('aggregates', spec.aggregates.length, 1);
  const types = new Map<string, DataType>();
  const take = (name: string): DataType => {
    const type = typeOf(schema, name);
    types.set(name, type);
    return type;
  };
  const timeType = take(time);
  check(
    isTimeType(timeType),
    `column "${time}" is ${timeType}, which is no event time: give a timestamp, a date or a number`,
  );
  const keyFields = keys.map((name) => {
    const type = take(name);
    check(isKeyType(type), `column "${name}" is ${type}, which cannot be a key`);
    return new Field(name, type, true);
  });
  const aggregates = spec.aggregates.map(({ fn, column, as }) => {
    check(AGGREGATE_FUNCTIONS.includes(fn), `aggregate "${as}": there is no function "${fn}"`);
    check(column !== undefined || fn === 'count', `aggregate "${as}": ${fn} needs a column`);
    return { fn, column: column ?? null, kind: accumulatorKind(fn, as, column === undefined ? null : take(column)) };
  });
  const output = outputSchema(timeType, keyFields, aggregates, late);
  const texts = [...types].map(([name, type]) => [name, String(type)]);
  const identity = JSON.stringify([
    1,
    time,
    keys,
    identityOf(shape),
    spec.aggregates.map(inOrder),
    latenessMs,
    late,
    texts,
  ]);
  return { time, keys, shape, aggregates, latenessMs, late, openMax, types, keyFields, output, identity };
}

function checkShape(shape: WindowShape): void {
  if (shape.type === 'session') {
    check(
      isWhole(shape.gapMs, 1, WINDOW_MS_MAX),
      `the gap of a session must be 1 to ${WINDOW_MS_MAX} ms, not ${shape.gapMs}`,
    );
    return;
  }
  const { type, sizeMs, slideMs, offsetMs } = shape;
  check(type === 'tumbling' || type === 'sliding', `there is no window "${type}"`);
  check(isWhole(sizeMs, 1, WINDOW_MS_MAX), `the size of a window must be 1 to ${WINDOW_MS_MAX} ms, not ${sizeMs}`);
  check(isWhole(slideMs, 1, WINDOW_MS_MAX), `a window must slide by 1 to ${WINDOW_MS_MAX} ms, not ${slideMs}`);
  check(
    isWhole(Math.abs(offsetMs), 0, WINDOW_MS_MAX),
    `an offset must be at most ${WINDOW_MS_MAX} ms, not ${offsetMs}`,
  );
  const perRow = Math.ceil(sizeMs / slideMs);
  check(perRow <= WINDOWS_PER_ROW_MAX, `a row would fall into ${perRow} windows, and may into ${WINDOWS_PER_ROW_MAX}`);
}

function checkCount(what: string, count: number, min: number): void {
  check(count >= min && count <= WINDOW_COLUMNS_MAX, `${count} ${what}; ${min} to ${WINDOW_COLUMNS_MAX} are allowed`);
}

function typeOf(schema: Schema, name: string): DataType {
  const fields = schema.fields.filter((field) => field.name === name);
  const [field] = fields;
  if (field === undefined || fields.length > 1) {
    const known = schema.fields.map((each) => each.name).join(', ');
    throw new PolarisError('BAD_WINDOWS', `there are ${fields.length} columns "${name}" among ${known}`);
  }
  return plainType(field.type);
}

function outputSchema(timeType: DataType, keys: Field[], aggregates: PlannedAggregate[], late: LatePolicy): Schema {
  const moment = new TimestampMillisecond(DataType.isTimestamp(timeType) ? timeType.timezone : null);
  const fields = [
    new Field('window_start', moment, false),
    new Field('window_end', moment, false),
    ...keys,
    ...aggregates.map(({ kind }) => kind.field),
    new Field('late', new Bool(), false),
    ...(late === 'fire' ? [new Field('alone', new Bool(), false)] : []),
  ];
  const names = new Set<string>();
  for (const { name } of fields) {
    check(!names.has(name), `two columns of the result would be called "${name}"`);
    names.add(name);
  }
  return new Schema(fields);
}

function identityOf(shape: WindowShape): readonly (string | number)[] {
  if (shape.type === 'session') return ['session', shape.gapMs];
  const { sizeMs, slideMs, offsetMs } = shape;
  // A tumbling window is a sliding one, and offsets that are whole slides apart mean the same windows.
  const shift = offsetMs % slideMs;
  return ['fixed', sizeMs, slideMs, shift < 0 ? shift + slideMs : shift + 0];
}

function inOrder({ fn, column, as }: Aggregate): readonly (string | null)[] {
  return [fn, column ?? null, as];
}

function isWhole(value: number, min: number, max: number): boolean {
  return Number.isSafeInteger(value) && value >= min && value <= max;
}

function check(condition: boolean, detail: string): asserts condition {
  if (!condition) throw new PolarisError('BAD_WINDOWS', detail);
}
