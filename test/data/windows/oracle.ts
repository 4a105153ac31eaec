/**
 * The naive answer: all rows at hand, every window looked for in all of them, nothing kept up to date.
 */
import type { Aggregate, WindowsSpec } from '../../../src/data/windows/spec.ts';
import { nearest, toUnits } from './floats.ts';
import type { TestRow } from './rows.ts';

export type Value = null | boolean | number | bigint | string;

/** One told window: its cells by column. */
export type ToldWindow = Readonly<Record<string, Value>>;

export interface Answer {
  readonly told: readonly ToldWindow[];
  /** Rows that `side` hands out. */
  readonly aside: readonly TestRow[];
  readonly counts: { readonly rows: number; readonly late: number; readonly untimed: number; readonly outside: number };
}

interface Telling {
  /** Index of the row that brought it about; infinity for the end. */
  readonly step: number;
  readonly moment: number;
  readonly start: number;
  readonly end: number;
  readonly keys: readonly Value[];
  readonly late: boolean;
  readonly alone: boolean;
  readonly rows: readonly TestRow[];
}

interface Arrived {
  readonly row: TestRow;
  readonly time: number;
  readonly index: number;
  /** Largest time before it. */
  readonly before: number;
}

export function answer(spec: WindowsSpec, rows: readonly TestRow[]): Answer {
  const arrived: Arrived[] = [];
  let before = Number.NEGATIVE_INFINITY;
  const marks: number[] = [];
  for (const [index, row] of rows.entries()) {
    if (row.at !== null) {
      arrived.push({ row, time: row.at, index, before });
      before = Math.max(before, row.at);
    }
    marks.push(before);
  }
  const stepOf = (moment: number) => {
    const step = marks.findIndex((mark) => mark >= moment);
    return step < 0 ? Number.POSITIVE_INFINITY : step;
  };
  const { tellings, late, aside, outside } =
    spec.window.type === 'session' ? sessions(spec, arrived, stepOf) : fixed(spec, arrived, stepOf);
  tellings.sort(
    (one, other) =>
      (one.step === other.step ? 0 : one.step - other.step) ||
      one.moment - other.moment ||
      one.start - other.start ||
      byKeys(one.keys, other.keys),
  );
  const untimed = rows.length - arrived.length;
  const handedOut = rows.filter((row) => row.at === null || aside.has(row));
  return {
    told: tellings.map((telling) => shown(spec, telling)),
    aside: spec.late === 'side' ? handedOut : [],
    counts: { rows: rows.length, late, untimed, outside },
  };
}

interface Found {
  readonly tellings: Telling[];
  readonly late: number;
  readonly aside: ReadonlySet<TestRow>;
  readonly outside: number;
}

function fixed(spec: WindowsSpec, arrived: readonly Arrived[], stepOf: (moment: number) => number): Found {
  const { window, allowedLatenessMs: lateness = 0, keys = [] } = spec;
  if (window.type === 'session') throw new Error('these are fixed windows');
  const { sizeMs, slideMs, offsetMs } = window;
  const tellings: Telling[] = [];
  const aside = new Set<TestRow>();
  const places = new Map<string, { start: number; keys: readonly Value[] }>();
  let late = 0;
  let outside = 0;
  const startsOf = (time: number) => {
    const starts: number[] = [];
    for (let start = time - sizeMs + 1; start <= time; start++) {
      if (modulo(start - offsetMs, slideMs) === 0) starts.push(start);
    }
    return starts;
  };
  for (const each of arrived) {
    const starts = startsOf(each.time);
    const tooLate = starts.filter((start) => start + sizeMs + lateness <= each.before);
    late += tooLate.length;
    if (starts.length === 0) outside++;
    else if (tooLate.length === starts.length) aside.add(each.row);
    const own = keys.map((key) => each.row[key as keyof TestRow]);
    for (const start of starts) {
      if (!tooLate.includes(start)) places.set(JSON.stringify([start, own.map(String), own]), { start, keys: own });
      else if (spec.late === 'fire') tellings.push(lonely(each, start, start + sizeMs, own));
    }
  }
  for (const { start, keys: own } of places.values()) {
    const end = start + sizeMs;
    const inside = arrived.filter(
      ({ row, time, before }) =>
        startsOf(time).includes(start) &&
        end + lateness > before &&
        keys.every((key, at) => row[key as keyof TestRow] === own[at]),
    );
    const onTime = inside.filter(({ before }) => end > before);
    const place = { start, end, keys: own, alone: false };
    if (onTime.length > 0) {
      tellings.push({ ...place, step: stepOf(end), moment: end, late: false, rows: onTime.map(({ row }) => row) });
    }
    if (onTime.length < inside.length) {
      const moment = end + lateness;
      tellings.push({ ...place, step: stepOf(moment), moment, late: true, rows: inside.map(({ row }) => row) });
    }
  }
  return { tellings, late, aside, outside };
}

function sessions(spec: WindowsSpec, arrived: readonly Arrived[], stepOf: (moment: number) => number): Found {
  const { window, allowedLatenessMs: lateness = 0, keys = [] } = spec;
  if (window.type !== 'session') throw new Error('these are sessions');
  const { gapMs } = window;
  const late = arrived.filter(({ time, before }) => time + gapMs + lateness <= before);
  const taken = arrived.filter((each) => !late.includes(each)).sort((one, other) => one.time - other.time);
  const own = ({ row }: Arrived) => keys.map((key) => row[key as keyof TestRow]);
  const tellings: Telling[] =
    spec.late === 'fire' ? late.map((each) => lonely(each, each.time, each.time + gapMs, own(each))) : [];
  const left = new Set(taken);
  for (const first of taken) {
    if (!left.has(first)) continue;
    const rows: TestRow[] = [];
    let last = first.time;
    for (const each of left) {
      if (byKeys(own(each), own(first)) !== 0) continue;
      if (each.time - last >= gapMs) break;
      last = each.time;
      rows.push(each.row);
      left.delete(each);
    }
    const end = last + gapMs;
    const moment = end + gapMs + lateness;
    tellings.push({
      step: stepOf(moment),
      moment,
      start: first.time,
      end,
      keys: own(first),
      late: false,
      alone: false,
      rows,
    });
  }
  return { tellings, late: late.length, aside: new Set(late.map(({ row }) => row)), outside: 0 };
}

function lonely({ row, index }: Arrived, start: number, end: number, keys: readonly Value[]): Telling {
  return { step: index, moment: end, start, end, keys, late: true, alone: true, rows: [row] };
}

function shown(spec: WindowsSpec, { start, end, keys, late, alone, rows }: Telling): ToldWindow {
  const cells: Record<string, Value> = { window_start: BigInt(start), window_end: BigInt(end) };
  for (const [at, key] of (spec.keys ?? []).entries()) cells[key] = keys[at] ?? null;
  for (const aggregate of spec.aggregates) cells[aggregate.as] = aggregated(aggregate, rows);
  cells['late'] = late;
  if (spec.late === 'fire') cells['alone'] = alone;
  return cells;
}

function aggregated({ fn, column }: Aggregate, rows: readonly TestRow[]): Value {
  if (column === undefined) return BigInt(rows.length);
  const values = rows.map((row) => row[column as keyof TestRow]).filter((value) => value !== null);
  if (fn === 'count') return BigInt(values.length);
  if (values.length === 0) return null;
  if (column === 'amount') {
    const sum = values.reduce<bigint>((total, value) => total + BigInt(value), 0n);
    return fn === 'sum' ? sum : nearest(sum << 1_074n, BigInt(values.length));
  }
  const floats = values.map(Number);
  if (fn === 'min' || fn === 'max') {
    const extreme = Math[fn](...floats);
    return column === 'at' ? BigInt(extreme) : extreme;
  }
  const added = floats.reduce((total, value) => total + (Number.isFinite(value) ? 0 : value), 0);
  if (added !== 0) return added;
  const units = floats.reduce((total, value) => total + toUnits(value), 0n);
  const float = nearest(units, fn === 'sum' ? 1n : BigInt(values.length));
  return float + 0;
}

function byKeys(one: readonly Value[], other: readonly Value[]): number {
  for (const [at, mine] of one.entries()) {
    const theirs = other[at] ?? null;
    if (mine === theirs) continue;
    if (mine === null) return -1;
    if (theirs === null) return 1;
    return mine < theirs ? -1 : 1;
  }
  return 0;
}

function modulo(value: number, by: number): number {
  return ((value % by) + by) % by;
}
