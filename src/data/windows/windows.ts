/**
 * Windows: rows fall into windows of event time, and each window is told once time has passed it.
 *
 * Think of a weighbridge that closes its book for every hour. The clock on the wall is the latest stamp on any load so far,
 * the *watermark*; nobody looks outside. When that clock reaches the end of an hour its page is read out. Loads that
 * come for it later are still written down until the allowed lateness has run out; then the page is read out once more,
 * corrected, and torn off. Whatever comes for it after that is too late.
 *
 * A row is judged by the largest event time *before* it, in the order of the rows (for a job: the order of its points), and
 * windows close between one row and the next. So what is told, and in which order, depends on the rows alone: not on how they
 * were cut into batches, not on when `advance` is called, not on saving and restoring in between. Every window is told
 *   - when the watermark reaches its end, with the rows so far, and
 *   - when it reaches end + lateness, with `late` set, if rows came in between: it takes the place of the first;
 * all in the order of these moments, then of start and keys.
 *
 * A session is told once, when the watermark reaches its end + gap + lateness. Its own lateness cannot be told from that of
 * its rows otherwise: a row counts as long as the session that it would make alone, `[time, time + gap)`, is not too
 * late, and it may lengthen a session or join two that ended before. One gap later no such row can come any more.
 *
 * A **partial** is for a part of the rows that is worked elsewhere, before the rows in front of it are known. It tells nothing;
 * its saved state is merged where the rows in front of it went. Only then is the watermark known with which it began: what
 * fell into a window that was closed by then was late, and into one that is gone, too late. Sessions are kept as atoms
 * until then, one a key and millisecond. Rows that were too late cannot be given back so, hence partials only drop them.
 *
 * Rows without an event time (null, NaN, or beyond the calendar) fall into no window: counted, and with `side` handed out.
 * Memory: open windows and keys, both bounded, and what was told since the last `advance`: call it after every batch.
 * After an error the windows are spent; go on from the last saved state.
 */
import type { RecordBatch, Schema } from 'apache-arrow';
import { assert, must } from '../../base/assert.ts';
import { PolarisError } from '../../base/errors.ts';
import type { Cell, ReadCell } from './columns.ts';
import { cellReader, columnOf, presenceReader, timeReader } from './columns.ts';
import { DueQueue } from './due-queue.ts';
import { Fired } from './fired.ts';
import { keyText, type Layer, type OpenWindow, OpenWindows } from './open.ts';
import { planWindows, type WindowsPlan } from './plan.ts';
import type { FixedShape, SessionShape, WindowsSpec } from './spec.ts';
import { type Counts, openState, type SavedWindow, saveState } from './state.ts';

/** Windows over rows of this schema. @throws PolarisError BAD_WINDOWS when the two do not fit. */
export function createWindows(spec: WindowsSpec, schema: Schema): Windows {
  return new Windows(planWindows(spec, schema), false);
}

/** For a part of the rows, whose state is merged where those in front of it went. */
export function createPartialWindows(spec: WindowsSpec, schema: Schema): Windows {
  const plan = planWindows(spec, schema);
  if (plan.late === 'drop') return new Windows(plan, true);
  throw new PolarisError('BAD_WINDOWS', `rows that are too late for a partial are dropped: late "${plan.late}" is not`);
}

/** Windows as they were saved, whole or cut. @throws PolarisError BAD_WINDOWS when the state is not one of this description. */
export function restoreWindows(spec: WindowsSpec, schema: Schema, ...state: readonly RecordBatch[]): Windows {
  const plan = planWindows(spec, schema);
  const { header, windows } = openState(plan, ...state);
  const restored = new Windows(plan, header.partial);
  restored.restore(header.counts, header.watermark, windows);
  return restored;
}

/** One row, as far as windows look at it. */
interface Row {
  readonly time: number;
  readonly keys: readonly Cell[];
  readonly text: string;
  /** What each aggregate is of; null does not take part. */
  readonly values: readonly Cell[];
}

type Fate = 'taken' | 'late' | 'outside';

export class Windows {
  readonly #plan: WindowsPlan;
  readonly #partial: boolean;
  readonly #open: OpenWindows;
  readonly #due = new DueQueue();
  readonly #fired: Fired;
  #late: RecordBatch[] = [];
  #watermark = Number.NEGATIVE_INFINITY;
  #counts = { rows: 0, late: 0, untimed: 0, outside: 0 };
  /** Why nothing more can be asked of it. */
  #spent: string | null = null;

  /** Made by the functions above. */
  constructor(plan: WindowsPlan, partial: boolean) {
    this.#plan = plan;
    this.#partial = partial;
    this.#open = new OpenWindows(plan.aggregates, plan.openMax);
    this.#fired = new Fired(plan);
  }

  /** Of what `advance` and `close` give. */
  get schema(): Schema {
    return this.#plan.output;
  }

  /** The largest event time so far, in milliseconds; null before the first. */
  get watermark(): number | null {
    return Number.isFinite(this.#watermark) ? this.#watermark : null;
  }

  /** Windows that are open. */
  get open(): number {
    return this.#open.count;
  }

  get counts(): Counts {
    return { ...this.#counts };
  }

  /** Takes the next rows. @throws PolarisError BAD_WINDOWS, TOO_MANY_WINDOWS, SUM_OVERFLOW. */
  add(batch: RecordBatch): void {
    this.#attempt(() => {
      const { readTime, readRow } = this.#readers(batch);
      let sideFrom = -1;
      for (let row = 0; row < batch.numRows; row++) {
        const aside = this.#take(readTime(row), row, readRow);
        if (aside && sideFrom < 0) sideFrom = row;
        if (!aside && sideFrom >= 0) {
          this.#late.push(batch.slice(sideFrom, row));
          sideFrom = -1;
        }
      }
      if (sideFrom >= 0) this.#late.push(batch.slice(sideFrom, batch.numRows));
    });
  }

  /** Takes the rows that a partial was made of, as if they came now. @throws PolarisError as `add` and `restoreWindows`. */
  merge(partial: RecordBatch): void {
    this.#attempt(() => {
      const { header, windows } = openState(this.#plan, partial);
      if (!header.partial) throw new PolarisError('BAD_WINDOWS', 'only the state of a partial can be merged');
      for (const window of windows) this.#mergeWindow(window);
      for (const name of ['rows', 'late', 'untimed', 'outside'] as const) this.#counts[name] += header.counts[name];
      this.#raise(header.watermark);
    });
  }

  /** The windows told since the last call: start, end, keys, aggregates, `late`, and with late 'fire' also `alone`. */
  advance(): RecordBatch {
    this.#refusePartial();
    return this.#attempt(() => this.#fired.take());
  }

  /** All that is left, as if time went on for ever. Nothing can be added after it. */
  close(): RecordBatch {
    this.#refusePartial();
    const told = this.#attempt(() => {
      this.#raise(Number.POSITIVE_INFINITY);
      return this.#fired.take();
    });
    assert(this.#open.count === 0, 'every window closes in the end');
    this.#spent = 'these windows are closed';
    return told;
  }

  /** With late 'side': the rows that were too late since the last call, as they came: slices of their batches, not copies. */
  late(): readonly RecordBatch[] {
    const late = this.#late;
    this.#late = [];
    return late;
  }

  /** All that must be known to go on, as one batch: the same rows give the same bytes. Take `advance` and `late` first. */
  save(): RecordBatch {
    if (this.#fired.count > 0 || this.#late.length > 0) {
      throw new PolarisError(
        'BAD_WINDOWS',
        'what was told and what was too late is not saved: take advance() and late() first',
      );
    }
    return this.#attempt(() => {
      const header = { partial: this.#partial, watermark: this.#watermark, counts: this.#counts };
      return saveState(this.#plan, header, [...this.#open.all()]);
    });
  }

  /** For `restoreWindows`. */
  restore(counts: Counts, watermark: number, windows: readonly SavedWindow[]): void {
    this.#counts = { ...counts };
    this.#watermark = watermark;
    for (const { keys, start, end, fired, main, late } of windows) {
      const window = this.#open.at(keys, keyText(keys), start, end);
      Object.assign(window, { fired, main, late });
      this.#queue(window);
    }
  }

  // ---- rows ----

  #readers(batch: RecordBatch): { readTime: (row: number) => number; readRow: (row: number) => Omit<Row, 'time'> } {
    const { time, keys, aggregates, types } = this.#plan;
    const column = (name: string) => columnOf(batch, name, must(types.get(name), 'every column has its type'));
    const readKeys = keys.map((name) => cellReader(column(name)));
    const readValues = aggregates.map(({ fn, column: name }): ReadCell => {
      if (name === null) return () => 1;
      return fn === 'count' ? presenceReader(column(name)) : cellReader(column(name));
    });
    return {
      readTime: timeReader(column(time)),
      readRow: (row) => {
        const cells = readKeys.map((read) => read(row));
        return { keys: cells, text: keyText(cells), values: readValues.map((read) => read(row)) };
      },
    };
  }

  /** Whether the row is to be handed out. */
  #take(time: number, index: number, readRow: (row: number) => Omit<Row, 'time'>): boolean {
    this.#counts.rows++;
    if (Number.isNaN(time)) {
      this.#counts.untimed++;
      return this.#plan.late === 'side';
    }
    const row = { time, ...readRow(index) };
    const { shape } = this.#plan;
    const fate = shape.type === 'session' ? this.#takeSession(shape, row) : this.#takeFixed(shape, row);
    if (fate === 'outside') this.#counts.outside++;
    this.#fired.settle();
    if (time > this.#watermark) this.#raise(time);
    return fate === 'late' && this.#plan.late === 'side';
  }

  /** Late is a row that was too late for every window of its own. */
  #takeFixed({ sizeMs, slideMs, offsetMs }: FixedShape, row: Row): Fate {
    let fate: Fate = 'outside';
    for (let start = lastStart(row.time, slideMs, offsetMs); start + sizeMs > row.time; start -= slideMs) {
      const end = start + sizeMs;
      if (this.#isTooLate(end)) {
        this.#refuse(row, start, end);
        if (fate === 'outside') fate = 'late';
        continue;
      }
      fate = 'taken';
      const window = this.#open.at(row.keys, row.text, start, end);
      addRow(this.#open.layer(window, end <= this.#watermark ? 'late' : 'main'), row);
      this.#queue(window);
    }
    return fate;
  }

  #takeSession({ gapMs }: SessionShape, row: Row): Fate {
    const end = row.time + gapMs;
    if (this.#isTooLate(end)) {
      this.#refuse(row, row.time, end);
      return 'late';
    }
    const window = this.#session(row.keys, row.text, row.time, end);
    addRow(this.#open.layer(window, 'main'), row);
    this.#queue(window);
    return 'taken';
  }

  #session(keys: readonly Cell[], text: string, start: number, end: number): OpenWindow {
    return this.#partial ? this.#open.at(keys, text, start, end) : this.#open.join(keys, text, start, end);
  }

  #isTooLate(end: number): boolean {
    return end + this.#plan.latenessMs <= this.#watermark;
  }

  #refuse(row: Row, start: number, end: number): void {
    this.#counts.late++;
    if (this.#plan.late !== 'fire') return;
    const layer = { count: 0, accumulators: this.#plan.aggregates.map(({ kind }) => kind.create()) };
    addRow(layer, row);
    this.#fired.tell({ moment: end, start, end, keys: row.keys, late: true, alone: true }, [layer]);
  }

  // ---- parts ----

  #mergeWindow({ keys, start, end, main, late }: SavedWindow): void {
    const layers = { main, late };
    if (this.#isTooLate(end)) {
      this.#counts.late += (main?.count ?? 0) + (late?.count ?? 0);
      return;
    }
    const text = keyText(keys);
    const isSession = this.#plan.shape.type === 'session';
    const window = isSession ? this.#session(keys, text, start, end) : this.#open.at(keys, text, start, end);
    // A window that was closed before its first row came has only rows that came late.
    const isClosed = !isSession && end <= this.#watermark;
    for (const name of ['main', 'late'] as const) {
      const layer = layers[name];
      if (layer !== null) this.#open.fold(window, isClosed ? 'late' : name, layer);
    }
    this.#queue(window);
  }

  // ---- time ----

  #dueOf({ end, main, fired }: OpenWindow): number {
    const { shape, latenessMs } = this.#plan;
    if (shape.type === 'session') return end + shape.gapMs + latenessMs;
    return main !== null && !fired ? end : end + latenessMs;
  }

  #queue(window: OpenWindow): void {
    if (!window.queued && !this.#partial) this.#due.push(this.#dueOf(window), window);
  }

  /** Moves the watermark, and tells what it passes. */
  #raise(watermark: number): void {
    this.#watermark = Math.max(this.#watermark, watermark);
    if (this.#partial) return;
    for (let window = this.#due.pop(this.#watermark); window !== null; window = this.#due.pop(this.#watermark)) {
      if (window.gone) continue;
      if (this.#dueOf(window) <= this.#watermark) this.#tell(window);
      if (!window.gone) this.#queue(window);
    }
    this.#fired.settle();
    this.#due.sweep(this.#open.count);
  }

  #tell(window: OpenWindow): void {
    const { group, start, end, main, late, fired } = window;
    const moment = this.#dueOf(window);
    const telling = { moment, start, end, keys: group.keys, alone: false };
    const isLast = this.#plan.shape.type === 'session' || moment === end + this.#plan.latenessMs;
    if (main !== null && !fired) {
      this.#fired.tell({ ...telling, late: false }, [main]);
      window.fired = true;
    } else if (late !== null) {
      this.#fired.tell({ ...telling, late: true }, main === null ? [late] : [main, late]);
    }
    if (isLast) this.#open.remove(window);
  }

  // ---- states of its own ----

  #attempt<T>(action: () => T): T {
    if (this.#spent !== null) throw new PolarisError('BAD_WINDOWS', this.#spent);
    this.#spent = 'these windows failed before: go on from the last saved state';
    const result = action();
    this.#spent = null;
    return result;
  }

  #refusePartial(): void {
    if (this.#partial)
      throw new PolarisError('BAD_WINDOWS', 'a partial tells nothing: save it, and merge what was saved');
  }
}

function addRow(layer: Layer, { values }: Row): void {
  layer.count++;
  for (const [at, accumulator] of layer.accumulators.entries()) {
    const value = values[at];
    if (typeof value === 'number' || typeof value === 'bigint') accumulator.add(value);
  }
}

/** Start of the last window that begins at or before `time`. Remainders are exact where divisions are not. */
function lastStart(time: number, slideMs: number, offsetMs: number): number {
  const past = (time - offsetMs) % slideMs;
  return time - (past < 0 ? past + slideMs : past);
}
