/**
 * Open: the windows that still take rows, by key and by time.
 *
 * A fixed window has two layers: rows that came before the watermark reached its end, and those that came after. The first
 * is what the window was told with, both together are what it is corrected to. They are kept apart because a part of the
 * input that is worked elsewhere cannot know yet which of them its rows belong to (see `windows.ts`). A session has one.
 *
 * Invariants: the windows of a group are in the order of their starts, and no two have the same · sessions of a group are
 * disjoint, unless they are kept apart as atoms · a group without windows does not exist · what is counted is what is there.
 */
import { assert, must } from '../../base/assert.ts';
import { PolarisError } from '../../base/errors.ts';
import { WINDOW_KEY_CHARACTERS_MAX } from '../../base/limits.ts';
import type { Accumulator } from './accumulators.ts';
import type { Cell } from './columns.ts';
import type { PlannedAggregate } from './plan.ts';

export interface Layer {
  /** Rows in it. */
  count: number;
  readonly accumulators: readonly Accumulator[];
}

export interface OpenWindow {
  readonly group: Group;
  start: number;
  end: number;
  main: Layer | null;
  late: Layer | null;
  /** Its main layer was told. */
  fired: boolean;
  /** It is closed, or became a part of another session. */
  gone: boolean;
  /** It has an entry in the queue of what is due. */
  queued: boolean;
}

export interface Group {
  readonly keys: readonly Cell[];
  readonly text: string;
  readonly windows: OpenWindow[];
}

/** The same text for the same keys only. */
export function keyText(keys: readonly Cell[]): string {
  let text = '';
  for (const key of keys) {
    if (key === null) text += 'n';
    else if (typeof key === 'string') text += `${key.length}:${key}`;
    else text += `=${key};`;
  }
  return text;
}

/** Null first, false before true, numbers by size, texts by UTF-16 code units. */
export function compareKeys(left: readonly Cell[], right: readonly Cell[]): number {
  for (const [at, mine] of left.entries()) {
    const theirs = right[at] ?? null;
    if (mine === theirs) continue;
    if (mine === null) return -1;
    if (theirs === null) return 1;
    return mine < theirs ? -1 : 1;
  }
  return 0;
}

export class OpenWindows {
  readonly #aggregates: readonly PlannedAggregate[];
  readonly #openMax: number;
  readonly #groups = new Map<string, Group>();
  #count = 0;
  #keyCharacters = 0;

  constructor(aggregates: readonly PlannedAggregate[], openMax: number) {
    this.#aggregates = aggregates;
    this.#openMax = openMax;
  }

  get count(): number {
    return this.#count;
  }

  /** In no order that means anything. */
  *all(): Generator<OpenWindow> {
    for (const { windows } of this.#groups.values()) yield* windows;
  }

  /** The window of the keys that begins there; a new one if need be. */
  at(keys: readonly Cell[], text: string, start: number, end: number): OpenWindow {
    const group = this.#group(keys, text);
    const index = firstIndex(group.windows, (window) => window.start >= start);
    const found = group.windows[index];
    if (found?.start === start) return found;
    return this.#insert(group, index, start, end);
  }

  /** The session that `[start, end)` belongs to, after all that it touches became one. */
  join(keys: readonly Cell[], text: string, start: number, end: number): OpenWindow {
    const group = this.#group(keys, text);
    const from = firstIndex(group.windows, (window) => window.end > start);
    const to = firstIndex(group.windows, (window) => window.start >= end);
    const session = group.windows[from];
    if (session === undefined || from >= to) return this.#insert(group, from, start, end);
    for (const other of group.windows.splice(from + 1, to - from - 1)) {
      session.end = other.end;
      this.fold(session, 'main', must(other.main, 'a session has rows'));
      other.gone = true;
      this.#count--;
    }
    session.start = Math.min(session.start, start);
    session.end = Math.max(session.end, end);
    return session;
  }

  /** The layer, to add a row to it. */
  layer(window: OpenWindow, name: 'main' | 'late'): Layer {
    window[name] ??= { count: 0, accumulators: this.#aggregates.map(({ kind }) => kind.create()) };
    return window[name];
  }

  /** Adds one layer to another. */
  fold(window: OpenWindow, name: 'main' | 'late', more: Layer): void {
    const layer = this.layer(window, name);
    layer.count += more.count;
    for (const [at, accumulator] of layer.accumulators.entries()) {
      accumulator.combine(must(more.accumulators[at], 'layers have the same accumulators'));
    }
  }

  remove(window: OpenWindow): void {
    const { windows, text } = window.group;
    const index = firstIndex(windows, (other) => other.start >= window.start);
    assert(windows[index] === window && !window.gone, 'a window that is closed was open');
    windows.splice(index, 1);
    window.gone = true;
    this.#count--;
    if (windows.length > 0) return;
    this.#groups.delete(text);
    this.#keyCharacters -= text.length;
  }

  #group(keys: readonly Cell[], text: string): Group {
    const known = this.#groups.get(text);
    if (known !== undefined) return known;
    this.#keyCharacters += text.length;
    if (this.#keyCharacters > WINDOW_KEY_CHARACTERS_MAX) {
      const detail = `the keys of open windows have more than ${WINDOW_KEY_CHARACTERS_MAX} characters together`;
      throw new PolarisError('TOO_MANY_WINDOWS', detail);
    }
    const group = { keys, text, windows: [] };
    this.#groups.set(text, group);
    return group;
  }

  #insert(group: Group, index: number, start: number, end: number): OpenWindow {
    if (this.#count >= this.#openMax) {
      throw new PolarisError('TOO_MANY_WINDOWS', `${this.#openMax} windows are open, and no more may be`);
    }
    this.#count++;
    const window = { group, start, end, main: null, late: null, fired: false, gone: false, queued: false };
    group.windows.splice(index, 0, window);
    return window;
  }
}

/** First index of an ascending list whose window holds the condition; all behind it do too. */
function firstIndex(windows: readonly OpenWindow[], holds: (window: OpenWindow) => boolean): number {
  let low = 0;
  let high = windows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(must(windows[middle], 'the middle lies inside'))) high = middle;
    else low = middle + 1;
  }
  return low;
}
